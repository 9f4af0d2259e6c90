// Looks at the pages in a real Chromium: what overflows, what the policy refused, what has no name, what cannot
// be reached by the keyboard. The pages come from a folder; nothing is asked of any network.
//
// node look.mjs TOOLS PLAN: PLAN is a file of JSON; what was found is printed as JSON.
import { createRequire } from "node:module";
import { spawnSync } from "node:child_process";
import { readFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";

const [tools, planFile] = process.argv.slice(2);
const require = createRequire(join(tools, "node", "look.cjs"));
const { chromium } = require("playwright-core");
const plan = JSON.parse(readFileSync(planFile, "utf8"));
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const host = "http://resguardo.test";
const troubles = [];

const browser = await chromium.launch({
  executablePath: plan.chromium,
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage", "--font-render-hinting=none"],
});

const answers = new Map();
for (const asset of plan.assets) answers.set(asset.path, { body: asset.content, contentType: asset.media_type });

async function look(page, one) {
  const say = (what) => troubles.push(`${one.name}: ${what}`);
  page.removeAllListeners("console");
  page.removeAllListeners("pageerror");
  page.on("console", (message) => { if (["error", "warning"].includes(message.type())) say(`console: ${message.text()}`); });
  page.on("pageerror", (error) => say(`script: ${error.message}`));
  answers.set(one.path, {
    body: readFileSync(one.file, "utf8"),
    contentType: "text/html; charset=utf-8",
    headers: { "content-security-policy": plan.policy, "x-content-type-options": "nosniff" },
  });
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.goto(host + one.path);
  for (const width of plan.widths) {
    await page.setViewportSize({ width, height: width < 700 ? 844 : 800 });
    const wide = await page.evaluate(() => {
      const root = document.documentElement;
      const scrolls = (element) => {
        for (let up = element; up; up = up.parentElement) {
          if (["auto", "scroll", "hidden"].includes(getComputedStyle(up).overflowX) && up !== document.body && up !== root) return true;
        }
        return false;
      };
      const over = [...document.body.querySelectorAll("*")]
        .filter((element) => element.getBoundingClientRect().right > root.clientWidth + 1 && !scrolls(element))
        .slice(0, 3)
        .map((element) => `${element.tagName.toLowerCase()}.${element.getAttribute("class") ?? ""}`);
      // Text that is cut: more in a box than it shows, and no way to scroll to it.
      return { by: root.scrollWidth - root.clientWidth, over };
    });
    if (wide.by > 0 || wide.over.length > 0) say(`at ${width} px it is ${wide.by} px too wide: ${wide.over}`);
    if (plan.pictures) {
      mkdirSync(plan.pictures, { recursive: true });
      await page.screenshot({ path: join(plan.pictures, `${one.name}-${width}.png`), fullPage: true });
      await forTheGuide(page, one, width);
    }
    if (one.axe.includes(width)) {
      // Run outside the page's own world: its policy lets no foreign script in.
      await page.evaluate(axe);
      const found = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
      for (const violation of found.violations) {
        say(`${violation.id} at ${width} px: ${violation.help}: ${violation.nodes.slice(0, 3).map((node) => `${node.target} ${node.any[0]?.message ?? ""}`).join(" | ")}`);
      }
    }
  }
  if (one.keyboard) await keyboard(page, say);
}

// What the guide shows: the upper part of some pages, with as few colours as do.
async function forTheGuide(page, one, width) {
  const [, name, language, theme] = /^(.+)-(en|es)-(light|dark)$/.exec(one.name);
  const phone = width < 700;
  const shown = phone ? ["overview"] : ["overview", "source", "backup", "drill-failed", "run-live", "runs", "exceptions", "policy", "access"];
  if (!shown.includes(name) || theme !== (name === "run-live" ? "dark" : "light")) return;
  const folder = join(plan.pictures, "guide");
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${name}${phone ? "-phone" : ""}.${language}.png`);
  const height = await page.evaluate(() => document.documentElement.scrollHeight);
  await page.screenshot({ path, fullPage: true, clip: { x: 0, y: 0, width, height: Math.min(height, phone ? 1200 : name === "source" ? 1620 : 1180) } });
  const done = spawnSync("pngquant", ["--force", "--skip-if-larger", "--speed", "1", "--output", path, "48", path]);
  if (done.error) throw new Error("Debian's package pngquant is missing: the pictures of the guide are made with it");
}

// Everything that can be used is reached by the Tab key, in the order of the page, and shows that it is.
async function keyboard(page, say) {
  const expected = await page.evaluate(() => {
    const all = [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary")];
    return all.filter((element) => element.checkVisibility()).length;
  });
  // A field that asks for the focus has it: the walk begins at the top all the same.
  await page.evaluate(() => document.querySelector(".skip").focus());
  let last = null;
  for (let step = 0; step < Math.min(expected, 60); step += 1) {
    if (step > 0) await page.keyboard.press("Tab");
    const seen = await page.evaluate(() => {
      const element = document.activeElement;
      if (!element || element === document.body) return null;
      const style = getComputedStyle(element);
      const all = [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']")];
      return { place: all.indexOf(element), text: element.textContent.trim().slice(0, 40), ring: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 1, skip: element.matches(".skip") };
    });
    if (!seen) { if (step < expected - 1) say(`the Tab key leaves the page after ${step} of ${expected}`); break; }
    if (step === 0 && !seen.skip) say("the skip link takes no focus");
    if (step === 0 && seen.place !== 0) say("the skip link is not the first stop");
    if (!seen.ring) say(`no focus can be seen on ${seen.text}`);
    if (last !== null && seen.place >= 0 && seen.place <= last) say(`the Tab key goes back to ${seen.text}`);
    last = seen.place;
  }
}

for (const theme of ["light", "dark"]) {
  const context = await browser.newContext({ colorScheme: theme, locale: "en-GB", timezoneId: "America/Bogota", deviceScaleFactor: 1 });
  await context.clock?.setFixedTime(new Date(plan.now));
  const page = await context.newPage();
  await page.route("**/*", (route) => {
    const { pathname, search } = new URL(route.request().url());
    if (pathname === "/events") return route.fulfill({ contentType: "text/event-stream", body: ": nothing happens\n\n" });
    const answer = answers.get(pathname + search) ?? answers.get(pathname);
    return answer ? route.fulfill(answer) : route.fulfill({ status: 404, body: "" });
  });
  for (const one of plan.pages.filter((one) => one.theme === theme)) await look(page, one);
  await context.close();
}
await browser.close();
process.stdout.write(JSON.stringify(troubles));
