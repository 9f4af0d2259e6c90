//! Checks of several requests: a login, and a list behind it. Nothing secret of them is ever shown.

use crate::world::World;

const PASSWORD: &str = "hunter2-of-ana";
const TOKEN: &str = "t0ken-of-this-run";
const COOKIE: &str = "c00kie-of-this-run";

/// Lists customers for whoever logged in, and says more than it should.
const APPLICATION: &str = r#"
import http.server, json, os, sqlite3, sys
path = os.environ["DATABASE_URL"].removeprefix("file:")
token, cookie, password = sys.argv[1:4]
class Shop(http.server.BaseHTTPRequestHandler):
    def answer(self, status, value, headers={}):
        body = json.dumps(value).encode()
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_POST(self):
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if told["password"] != password:
            return self.answer(401, {"error": "not " + told["password"]})
        print("logged in:", token, cookie, file=sys.stderr, flush=True)
        self.answer(200, {"data": {"token": token, "role": "admin"}}, {"Set-Cookie": "session=" + cookie + "; HttpOnly"})
    def do_GET(self):
        if self.path == "/health":
            return self.answer(200, {"ok": True})
        good = self.headers.get("Authorization") == "Bearer " + token
        good = good and self.headers.get("Cookie") == "session=" + cookie
        if not good:
            return self.answer(403, {"error": "who is " + str(self.headers.get("Authorization"))})
        if self.path == "/broken":
            return self.answer(500, {"error": "broken for " + token})
        names = [row[0] for row in sqlite3.connect(path).execute("select name from customers order by id limit 3")]
        self.answer(200, {"items": names})
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Shop).serve_forever()
"#;

fn world() -> World {
    let world = World::with_shop();
    world.write("app.py", APPLICATION);
    world.backup();
    world.with("SHOP_PASSWORD", PASSWORD)
}

fn check(name: &str, behind: &str, expected: &str) -> String {
    format!(
        r#"
[[sources.shop.checks]]
name = "{name}"
serve = "exec python3 app.py {TOKEN} {COOKIE} {PASSWORD}"

[[sources.shop.checks.steps]]
url = "/login"
method = "POST"
headers = {{ Content-Type = "application/json" }}
body = '{{"password":"${{SHOP_PASSWORD}}"}}'
json = {{ "data.role" = "admin" }}
capture = {{ token = "$.data.token" }}

[[sources.shop.checks.steps]]
url = "http://127.0.0.1:${{PORT}}{behind}"
headers = {{ Authorization = "Bearer ${{token}}" }}
{expected}
"#
    )
}

/// Everything that was printed, reported and stored.
#[track_caller]
fn has_no_secret(world: &World, shown: &[&str]) {
    let report = std::fs::read_to_string(world.path("drill.md")).unwrap();
    let mut texts: Vec<String> = shown.iter().map(|text| (*text).to_owned()).collect();
    texts.push(report);
    for receipt in world.objects("shop/receipts", ".json") {
        let text = std::fs::read_to_string(receipt).unwrap();
        texts.push(text.clone());
        let envelope: serde_json::Value = serde_json::from_str(&text).unwrap();
        let payload = envelope["payload"].as_str().unwrap();
        texts.push(decoded(payload));
    }
    for text in texts {
        for secret in [PASSWORD, TOKEN, COOKIE] {
            assert!(!text.contains(secret), "{secret} in\n{text}");
        }
    }
}

/// Base64.
fn decoded(text: &str) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for letter in text.bytes().filter(|letter| *letter != b'=') {
        let value = LETTERS.iter().position(|known| *known == letter).unwrap();
        bits = bits << 6 | u32::try_from(value).unwrap();
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap());
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn a_list_behind_a_login() {
    let world = world();
    let expected = r#"json = { "items.length()" = 3, "items[0]" = "Cliente 1" }
matches = "Cliente 2""#;
    world.add_to_config(&check("orders", "/orders", expected));
    let ran = world
        .run(&["drill", "--report", "drill.md"])
        .exits(0)
        .prints(&["orders", "2 steps as expected"]);
    has_no_secret(&world, &[&ran.stdout, &ran.stderr]);
    let shown = world.run(&["config", "show"]).exits(0);
    assert!(
        shown.stdout.contains("${SHOP_PASSWORD}"),
        "{}",
        shown.stdout
    );
}

#[test]
fn a_step_that_is_not_answered_as_expected() {
    let world = world();
    world.add_to_config(&check("broken", "/broken", "status = 200"));
    world.add_to_config(&check(
        "other",
        "/orders",
        "json = { \"items[0]\" = \"Ana\" }",
    ));
    let ran = world
        .run(&["drill", "--report", "drill.md"])
        .exits(3)
        .prints(&[
            "step 2 of 2: status 500",
            "GET http://127.0.0.1:${PORT}/broken: status 500; status 200 was expected",
            "broken for ***",
            "items[0] = \"Cliente 1\"",
        ]);
    has_no_secret(&world, &[&ran.stdout, &ran.stderr]);
}

#[test]
fn a_password_that_is_wrong_or_not_set() {
    let world = World::with_shop().with("SHOP_PASSWORD", "wrong-s3cret");
    world.write("app.py", APPLICATION);
    world.backup();
    world.add_to_config(&check("orders", "/orders", ""));
    let ran = world
        .run(&["drill"])
        .exits(3)
        .prints(&["step 1 of 2: status 401", "not ***"]);
    assert!(!ran.stdout.contains("wrong-s3cret"), "{}", ran.stdout);

    let world = world.with("SHOP_PASSWORD", "");
    world
        .run(&["drill"])
        .exits(3)
        .prints(&["ERROR", "${SHOP_PASSWORD} is neither set nor captured"]);
}

#[test]
fn steps_that_make_no_sense() {
    let world = World::with_shop();
    world.add_to_config(
        r#"
[[sources.shop.checks]]
name = "outside"
status = 201
[[sources.shop.checks.steps]]
url = "http://127.0.0.1:1/a"

[[sources.shop.checks]]
name = "no port"
[[sources.shop.checks.steps]]
url = "/a"

[[sources.shop.checks]]
name = "no address"
[[sources.shop.checks.steps]]
method = "POST"

[[sources.shop.checks]]
name = "slip"
[[sources.shop.checks.steps]]
url = "http://127.0.0.1:1/a"
capture = { token = "a" }
[[sources.shop.checks.steps]]
url = "http://127.0.0.1:1/b?t=${tokn}"

[[sources.shop.checks]]
name = "path"
http = "http://127.0.0.1:1/a"
json = { "a[" = 1 }

[[sources.shop.checks]]
name = "both"
http = "http://127.0.0.1:1/a"
[[sources.shop.checks.steps]]
url = "http://127.0.0.1:1/a"
"#,
    );
    world.run(&["list"]).exits(1).complains(&[
        "belongs to one of its steps",
        "${PORT} is the port of serve, and the check has none",
        "a step asks nothing",
        "${tokn} is captured by no earlier step",
        "did you mean ${token}?",
        "is no path into JSON",
        "has both http and steps",
    ]);
}
