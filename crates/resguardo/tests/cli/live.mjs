// The dashboard as somebody uses it, in a real Chromium and through the real server: in, a drill watched live, out;
// and what a viewer may not do. Nothing is asked of any network but this server.
//
// node live.mjs TOOLS PLAN: PLAN is a file of JSON; what was found is printed as JSON.
import { createRequire } from "node:module";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [tools, planFile] = process.argv.slice(2);
const require = createRequire(join(tools, "node", "live.cjs"));
const { chromium } = require("playwright-core");
const plan = JSON.parse(readFileSync(planFile, "utf8"));
const troubles = [];
let where = "at the beginning";
const say = (what) => troubles.push(`${where}: ${what}`);
const holds = (is, what) => { if (!is) say(what); };

const browser = await chromium.launch({
  executablePath: plan.chromium,
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"],
});

// Whatever a page complains of is found, but for the statuses that are asked for.
async function open(options) {
  const context = await browser.newContext({ locale: "en-GB", timezoneId: "UTC", baseURL: plan.url, ...options });
  const page = await context.newPage();
  page.on("console", (message) => {
    const asked = /the server responded with a status of (401|403)/.test(message.text());
    if (["error", "warning"].includes(message.type()) && !asked) say(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => say(`script: ${error.message}`));
  return { context, page };
}

async function login(page, name, password) {
  await page.fill("#name", name);
  await page.fill("#password", password);
  await page.click("main form button");
  await page.waitForLoadState("load");
}

const path = (page) => new URL(page.url()).pathname;

async function operator() {
  where = "the login";
  const { context, page } = await open();
  await page.goto("/sources/shop");
  holds(path(page) === "/login", `whoever is not logged in comes to ${page.url()}`);
  await login(page, "olga", "wrong horse battery");
  holds(path(page) === "/login", `a wrong password leads to ${page.url()}`);
  holds(await page.locator("[role=alert]").first().isVisible(), "it is not said that the password is wrong");
  await login(page, "olga", plan.password);
  holds(path(page) === "/sources/shop", `the right password leads to ${page.url()}`);
  const kept = await context.storageState();

  where = "the overview";
  await page.goto("/");
  await page.locator('main a[href="/sources/shop"]').first().click();
  await page.waitForURL("**/sources/shop");

  where = "the start of a drill";
  await page.click('form[action="/sources/shop/drill"] button');
  await page.waitForURL("**/sources/shop?done=begun");
  // It comes up without anything being asked for.
  await page.evaluate(() => { window.stays = true; });
  const link = page.locator('main a[href^="/runs/"]').first();
  await link.waitFor();
  holds(await page.evaluate(() => window.stays), "the page of the source was loaded again");
  await link.click();
  await page.waitForURL("**/runs/*");

  where = "the drill while it runs";
  await page.evaluate(() => { window.stays = true; });
  await page.locator("ol.steps li.now", { hasText: plan.phase }).waitFor();
  holds(await page.locator("ol.steps li").count() > 1, "the phases that are through are not shown");
  const plain = await open({ javaScriptEnabled: false, storageState: kept });
  await plain.page.goto(page.url());
  const read = await plain.page.locator("main").innerText();
  holds(read.includes(plan.phase), `without script there is only: ${read}`);
  await page.locator("pre.log", { hasText: plan.phase }).waitFor();
  const marks = async () => page.locator("pre.log").innerText();
  writeFileSync(plan.go, "");
  await page.locator("#state .summary.ok").waitFor();
  holds(await page.evaluate(() => window.stays), "the page of the run was loaded again");
  holds((await marks()).includes(plan.line), "what it said is gone from the page");

  where = "the drill after its end";
  await page.reload();
  holds((await marks()).includes(plan.line), "what it said is gone once the page is loaded again");
  await plain.page.goto(page.url());
  holds((await plain.page.locator("main").innerText()).includes(plan.line), "without script what it said is gone");
  await plain.context.close();
  await page.locator('main a[href^="/drills/"]').click();
  await page.waitForURL("**/drills/*");
  holds((await page.locator("main").innerText()).includes("PASSED") || await page.locator(".summary.ok").count() > 0, "the drill is not said to have passed");

  where = "the logout";
  const drill = path(page);
  await page.click('form[action="/logout"] button');
  await page.waitForURL("**/login");
  await page.goto(drill);
  holds(path(page) === "/login", `after the logout ${drill} is shown`);
  const old = await open({ storageState: kept });
  await old.page.goto(drill);
  holds(path(old.page) === "/login", "the session of before the logout still holds");
  await old.context.close();
  await context.close();
}

async function viewer() {
  where = "a viewer";
  const { context, page } = await open();
  await page.goto("/login");
  await login(page, "vera", plan.password);
  await page.goto("/sources/shop");
  holds(await page.locator('form[action^="/sources/"]').count() === 0, "a viewer is shown a form");
  const main = await page.locator("main").evaluate((element) => element.textContent);
  holds(main.includes("resguardo drill shop"), "a viewer is not told the command");
  // His own session and his own page: only the role forbids it.
  const forged = await page.evaluate(async () => {
    const csrf = document.querySelector('form[action="/logout"] [name=csrf]').value;
    const answer = await fetch("/sources/shop/drill", { method: "POST", body: new URLSearchParams({ csrf }) });
    return answer.status;
  });
  holds(forged === 403, `a forged form is answered with ${forged}`);
  await context.close();
}

try {
  await operator();
  await viewer();
} catch (error) {
  say(error.message);
}
await browser.close();
process.stdout.write(JSON.stringify(troubles));
