//! Drills of a PostgreSQL source: everything between the restore and the receipt, and every way in which it
//! must not pass.

use resguardo_testkit::{PgServer, PgServerOptions, PgVersion};
use serde_json::Value;

use super::{PASSWORD, Shop, without_secret};
use crate::world::{finish, send, wait_for};

/// Answers with what `psql` says of the restored database.
const APPLICATION: &str = r#"
import http.server, json, os, subprocess
class Shop(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/broken":
            return self.answer(500, {"error": "broken"})
        sql = "select count(*) from customers"
        told = subprocess.run(["psql", "-XAtc", sql, os.environ["DATABASE_URL"]], capture_output=True, text=True, check=True)
        self.answer(200, {"customers": int(told.stdout)})
    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Shop).serve_forever()
"#;

const CHECKS: &str = r#"
[sources.shop.drill]
provision = ["sql/roles.sql"]
migrate = "psql -X -v ON_ERROR_STOP=1 \"$DATABASE_URL\" -c 'ALTER TABLE customers ADD COLUMN email text'"
ready_timeout = "20s"

[[sources.shop.checks]]
name = "migrated"
sql = "select count(*) from customers where email is null"
equals = 500

[[sources.shop.checks]]
name = "as the application"
sql = "set role app; set search_path = public; select current_user || ' ' || count(*) from orders"
equals = "app 166"

[[sources.shop.checks]]
name = "provisioned"
sql = "select count(*) from pg_roles where rolname = 'support'"
equals = 1

[[sources.shop.checks]]
name = "health"
serve = "exec python3 app.py"
http = "/health"
json = { customers = 500 }

[[sources.shop.checks]]
name = "smoke"
command = "test \"$(psql -XAtc 'select sum(total) from orders')\" = 62374.50 && test -n \"$PGHOST\""
"#;

/// A shop with a backup and these checks.
fn shop(version: PgVersion, checks: &str) -> Shop {
    let shop = Shop::new(version).set_up();
    shop.server
        .psql("shop", "UPDATE orders SET total = customer_id * 1.5");
    shop.world.run(&["backup"]).exits(0);
    std::fs::create_dir(shop.world.path("sql")).unwrap();
    shop.world.write(
        "sql/roles.sql",
        "CREATE ROLE support LOGIN;\nGRANT SELECT ON orders TO support;\n",
    );
    shop.world.write("app.py", APPLICATION);
    shop.world.add_to_config(checks);
    shop
}

fn check<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let checks = answer["drills"][0]["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["name"] == name);
    found.unwrap_or_else(|| panic!("no check {name} in {checks:#?}"))
}

#[test]
fn everything_between_restore_and_receipt() {
    let shop = shop(PgVersion::V15, CHECKS);
    let ran = without_secret(
        shop.world
            .run(&["drill", "--json", "--report", "drill.html"])
            .exits(0),
    );
    let answer = ran.json();
    let drill = &answer["drills"][0];
    assert_eq!(drill["verdict"], "passed", "{drill:#}");
    for name in [
        "provision sql/roles.sql",
        "migrate",
        "migrated",
        "as the application",
        "provisioned",
        "health",
        "smoke",
    ] {
        assert_eq!(check(&answer, name)["outcome"], "passed", "{name}");
    }
    let phases: Vec<&str> = drill["phases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|phase| phase["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        phases,
        [
            "select",
            "restore",
            "compare",
            "provision",
            "migrate",
            "checks",
            "destroy"
        ]
    );
    assert!(drill["receipt"].is_string());
    assert_eq!(shop.world.sandboxes(), 0);
    // Nothing of it reached the source.
    assert_eq!(
        shop.server.psql(
            "shop",
            "SELECT count(*) FROM pg_roles WHERE rolname = 'support'"
        ),
        "0"
    );
    shop.has_no_secret();
}

#[test]
fn what_must_not_pass() {
    let cases = [
        (
            "ADD COLUMN email text",
            "ADD COLUMN name text",
            "migrate",
            "failed",
            "already exists",
        ),
        (
            "http = \"/health\"",
            "http = \"/broken\"",
            "health",
            "failed",
            "status 500",
        ),
        (
            "exec python3 app.py",
            "echo no module shop >&2; exit 1",
            "health",
            "error",
            "no module shop",
        ),
        (
            "equals = \"app 166\"",
            "equals = \"app 167\"",
            "as the application",
            "failed",
            "app 166",
        ),
        (
            "LOGIN;",
            "LOGIN; SELECT nonsense;",
            "provision sql/roles.sql",
            "failed",
            "nonsense",
        ),
        ("62374.50", "1", "smoke", "failed", "exit code 1"),
    ];
    let shop = shop(PgVersion::V15, "");
    let config = std::fs::read_to_string(shop.world.path("resguardo.toml")).unwrap();
    let roles = std::fs::read_to_string(shop.world.path("sql/roles.sql")).unwrap();
    for (from, to, name, outcome, words) in cases {
        let checks = CHECKS.replace(from, to);
        shop.world
            .write("resguardo.toml", &format!("{config}\n{checks}"));
        shop.world.write("sql/roles.sql", &roles.replace(from, to));
        let ran = without_secret(shop.world.run(&["drill", "--json"]).exits(3));
        let answer = ran.json();
        let check = check(&answer, name);
        assert_eq!(check["outcome"], outcome, "{check:#}");
        assert!(
            check.to_string().contains(words),
            "{words} is missing in {check:#}"
        );
        assert_eq!(shop.world.sandboxes(), 0);
    }
    let listed = shop.world.run(&["list", "--json"]).exits(0).json();
    assert!(
        listed["backups"][0]["proven_at"].is_null(),
        "nothing was proven"
    );
}

#[test]
fn a_backup_that_is_older_than_the_objective() {
    let shop = shop(PgVersion::V15, "");
    let config = std::fs::read_to_string(shop.world.path("resguardo.toml")).unwrap();
    shop.world.write(
        "resguardo.toml",
        &config.replace("rpo = \"24h\"", "rpo = \"0s\""),
    );
    let answer = shop.world.run(&["drill", "--json"]).exits(3).json();
    assert_eq!(check(&answer, "RPO")["outcome"], "failed");
}

#[test]
fn in_a_temporary_database_of_another_server() {
    let shop = shop(PgVersion::V15, CHECKS);
    let other = PgServer::start_with(PgServerOptions {
        password: Some(PASSWORD.to_owned()),
        ..PgServerOptions::new(PgVersion::V16)
    });
    other.psql("postgres", "CREATE ROLE app LOGIN");
    let path = format!(
        "{}:{}",
        PgVersion::V16.bin_dir().display(),
        std::env::var("PATH").unwrap()
    );
    let world = shop
        .world
        .again_with("DRILL_SERVER", &other.url("postgres"))
        .again_with("PATH", &path);
    let config = std::fs::read_to_string(world.path("resguardo.toml")).unwrap();
    let on_server =
        "\n[sources.shop.drill]\nsandbox = \"database\"\nserver = \"${DRILL_SERVER}\"\n";
    world.write(
        "resguardo.toml",
        &config.replace("\n[sources.shop.drill]\n", on_server),
    );
    let databases =
        |server: &PgServer| server.psql("postgres", "SELECT datname FROM pg_database ORDER BY 1");
    let before = databases(&other);
    without_secret(world.run(&["drill"]).exits(0)).prints(&["shop: PASSED"]);
    assert_eq!(databases(&other), before, "it is gone");
    shop.has_no_secret();

    // The source's own server, by whatever name.
    let own = shop.url("postgres").replace("127.0.0.1", "localhost");
    let world = world.again_with("DRILL_SERVER", &own);
    let before = databases(&shop.server);
    without_secret(world.run(&["drill"]).exits(7)).complains(&[
        "is the server of the source shop itself",
        "same_server = true",
    ]);
    // A server that is not known is no reason to take no backups.
    let unset = world.again_with("DRILL_SERVER", "");
    unset
        .run(&["drill"])
        .exits(7)
        .complains(&["DRILL_SERVER is not set"]);
    unset.run(&["backup"]).exits(0);
    let config = std::fs::read_to_string(world.path("resguardo.toml")).unwrap();
    world.write(
        "resguardo.toml",
        &config.replace(
            "\nsandbox = \"database\"\n",
            "\nsandbox = \"database\"\nsame_server = true\n",
        ),
    );
    without_secret(world.run(&["drill"]).exits(0)).prints(&["shop: PASSED"]);
    assert_eq!(databases(&shop.server), before);
}

#[test]
fn the_url_by_reference() {
    let shop = Shop::new(PgVersion::V15).set_up();
    let config = std::fs::read_to_string(shop.world.path("resguardo.toml")).unwrap();
    let file = config.replace("\"${DATABASE_URL}\"", "\"file:secret/url\"");
    let command = config.replace("\"${DATABASE_URL}\"", "\"cmd:cat secret/url\"");
    std::fs::create_dir(shop.world.path("secret")).unwrap();
    for text in [file, command] {
        shop.world.write("resguardo.toml", &text);
        shop.world.write("secret/url", "not a url\n");
        shop.world
            .run(&["backup"])
            .exits(1)
            .complains(&["gives no URL of postgres"]);
        shop.world.run(&["list"]).exits(0);
        shop.world
            .write("secret/url", &format!("{}\n", shop.url("shop")));
        without_secret(shop.world.run(&["backup"]).exits(0));
        without_secret(shop.world.run(&["doctor"]).exits(0));
        without_secret(shop.world.run(&["drill"]).exits(0));
    }
    std::fs::remove_dir_all(shop.world.path("secret")).unwrap();
    shop.has_no_secret();
    shop.world
        .run(&["backup"])
        .exits(1)
        .complains(&["the url of the source shop", "secret/url"]);
}

/// Processes whose command line has this text.
fn processes_with(text: &str) -> usize {
    let entries = std::fs::read_dir("/proc").unwrap();
    let lines = entries.filter_map(|entry| {
        let path = entry.ok()?.path().join("cmdline");
        Some(String::from_utf8_lossy(&std::fs::read(path).ok()?).into_owned())
    });
    lines.filter(|line| line.contains(text)).count()
}

#[test]
fn a_drill_that_is_stopped_or_killed_leaves_no_server() {
    let checks = "[[sources.shop.checks]]\nname = \"slow\"\ncommand = 'touch started; sleep 300'\ntimeout = \"10m\"\n";
    let shop = shop(PgVersion::V15, checks);
    let started = shop.world.path("started");
    for signal in ["TERM", "KILL"] {
        let _ = std::fs::remove_file(&started);
        let child = shop.world.command(&["drill"]).spawn().unwrap();
        wait_for("the check runs", || started.exists());
        let folders = std::fs::read_dir(shop.world.home().join("sandboxes")).unwrap();
        let run = folders
            .map(|entry| entry.unwrap())
            .find(|entry| entry.path().is_dir())
            .unwrap();
        let run = run.file_name().into_string().unwrap();
        assert!(processes_with(&run) > 0, "the server of the sandbox runs");
        send(signal, &child);
        let ran = finish(child);
        if signal == "TERM" {
            ran.exits(130);
        } else {
            // The next start ends what a killed drill left.
            shop.world.run(&["backup"]).exits(0);
        }
        wait_for("the server has ended", || processes_with(&run) == 0);
        assert_eq!(shop.world.sandboxes(), 0);
        assert!(
            !std::path::Path::new("/var/lib/resguardo/sandboxes")
                .join(&run)
                .exists()
        );
    }
}
