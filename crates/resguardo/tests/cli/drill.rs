//! `drill`

use crate::world::{World, shop};

#[test]
fn passes_and_signs() {
    let world = World::with_shop();
    let id = world.backup();
    let ran = world.run(&["drill", "--json"]).exits(0);
    assert_eq!(ran.stderr, "");
    let answer = ran.json();
    let drill = &answer["drills"][0];
    assert_eq!(drill["verdict"], "passed");
    assert_eq!(drill["backup"], serde_json::json!(id));
    assert!(drill["rto_seconds"].as_f64().unwrap() > 0.0);
    assert!(drill["rpo_seconds"].as_f64().unwrap() >= 0.0);
    assert!(
        drill["phases"]
            .as_array()
            .unwrap()
            .iter()
            .any(|phase| phase["name"] == "restore")
    );
    assert!(
        drill["checks"]
            .as_array()
            .unwrap()
            .iter()
            .all(|check| check["outcome"] != "failed")
    );
    assert!(drill["receipt"].is_string());
    assert_eq!(world.sandboxes(), 0);
    world.run(&["drill", "shop"]).exits(0).prints(&[
        "shop: PASSED",
        "RTO",
        "objective 4h",
        "phases:",
        "CHECK",
        "receipt:",
    ]);
}

#[test]
fn own_checks_that_do_not_pass() {
    let world = World::with_shop();
    world.backup();
    world.add_to_config(
        r#"
[[sources.shop.checks]]
name = "customers"
sql = "select count(*) from customers"
equals = 501

[[sources.shop.checks]]
name = "broken"
sql = "select count(*) from nowhere"
min = 1

[[sources.shop.checks]]
name = "fine"
sql = "select name from customers where id = 7"
matches = "^Cliente"
"#,
    );
    let ran = world.run(&["drill", "--json"]).exits(3);
    let answer = ran.json();
    let drill = &answer["drills"][0];
    assert_eq!(drill["verdict"], "error");
    let outcome = |name: &str| {
        let checks = drill["checks"].as_array().unwrap();
        checks.iter().find(|check| check["name"] == name).unwrap()["outcome"].clone()
    };
    assert_eq!(outcome("customers"), "failed");
    assert_eq!(outcome("broken"), "error");
    assert_eq!(outcome("fine"), "passed");
    world
        .run(&["drill"])
        .exits(3)
        .prints(&["ERROR", "nowhere", "501", "500"]);
    let listed = world.run(&["list", "--json"]).exits(0).json();
    assert!(
        listed["backups"][0]["proven_at"].is_null(),
        "a failed drill proves nothing"
    );
}

#[test]
fn reports_in_both_formats_and_languages() {
    let world = World::with_shop();
    world.backup();
    world
        .run(&["drill", "--report", "drill.md"])
        .exits(0)
        .prints(&["report: "]);
    world
        .run(&["drill", "--report", "drill.html", "--lang", "es"])
        .exits(0);
    let page = std::fs::read_to_string(world.path("drill.html")).unwrap();
    assert!(page.contains("<html lang=\"es\""), "{page}");
    assert!(
        std::fs::read_to_string(world.path("drill.md"))
            .unwrap()
            .contains("shop")
    );
    world
        .run(&["drill", "--report", "drill.pdf"])
        .exits(2)
        .complains(&[".md or .html"]);
}

#[test]
fn of_several_sources_each_has_its_report() {
    let world = World::with_shop();
    shop(&world.path("blog.db"), 5);
    world.add_to_config("[sources.blog]\nurl = \"blog.db\"\n");
    world.run(&["backup"]).exits(0);
    world.run(&["drill", "--report", "drill.md"]).exits(0);
    for name in ["drill-shop.md", "drill-blog.md"] {
        assert!(world.path(name).is_file(), "{name}");
    }
}

#[test]
fn a_kept_sandbox() {
    let world = World::with_shop();
    world.backup();
    let answer = world.run(&["drill", "--keep", "--json"]).exits(0).json();
    let folder = answer["drills"][0]["kept_at"].as_str().unwrap();
    assert!(std::path::Path::new(folder).is_dir());
    // What nobody else removes is named until it is gone.
    let sandbox = std::path::Path::new(folder).parent().unwrap();
    let removal = format!("rm -r {}", sandbox.display());
    world
        .run(&["doctor"])
        .exits(0)
        .prints(&["warning  sandboxes: one was kept", &removal]);
    std::fs::remove_dir_all(sandbox).unwrap();
    let ran = world.run(&["doctor"]).exits(0);
    assert!(!ran.stdout.contains("one was kept"), "{}", ran.stdout);
    world
        .run(&["drill", "--keep", "--quiet"])
        .exits(0)
        .prints(&["sandbox kept: "]);
}

#[test]
fn a_standard_file() {
    let world = World::with_shop();
    world.run(&["backup", "--out", "shop.sqlite.gz"]).exits(0);
    let answer = world
        .run(&[
            "drill",
            "--file",
            "shop.sqlite.gz",
            "--source",
            "shop",
            "--json",
        ])
        .exits(0)
        .json();
    assert_eq!(answer["drills"][0]["verdict"], "passed");
    world
        .run(&["drill", "--file", "shop.sqlite.gz", "--source", "nope"])
        .exits(1);
    world
        .run(&["drill", "--file", "nope.sqlite"])
        .exits(1)
        .complains(&["does not exist"]);
    // One whose engine has to be found out is read once for both.
    std::fs::remove_file(world.path("shop.sqlite.gz.meta.json")).unwrap();
    let ran = world.run(&["drill", "--file", "shop.sqlite.gz"]).exits(0);
    let told = ran.stderr.matches("no hash lies beside").count();
    assert_eq!(told, 1, "{}", ran.stderr);
}

#[test]
fn nothing_to_drill() {
    let world = World::with_shop();
    world.run(&["drill"]).exits(1).complains(&["hint: "]);
    world.run(&["drill", "nope"]).exits(1);
}

#[test]
fn provisioned_migrated_and_asked_as_an_application() {
    let world = World::with_shop();
    world.backup();
    world.write(
        "views.sql",
        "CREATE VIEW vip AS SELECT * FROM customers WHERE id < 10;",
    );
    world.write(
        "serve.py",
        r#"
import http.server, os, sqlite3
database = sqlite3.connect(os.environ["RESGUARDO_DATABASE_PATH"], check_same_thread=False)
class Application(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 500)
        self.end_headers()
        self.wfile.write(str(database.execute("select count(*) from vip").fetchone()[0]).encode())
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Application).serve_forever()
"#,
    );
    let config = |path: &str| {
        format!(
            r#"
[sources.shop.drill]
provision = ["views.sql"]
migrate = "echo migrating $DATABASE_URL"

[[sources.shop.checks]]
name = "application"
serve = "python3 serve.py"
http = "http://127.0.0.1:${{PORT}}{path}"
status = 200
matches = "^9$"
"#
        )
    };
    let before = std::fs::read_to_string(world.path("resguardo.toml")).unwrap();
    world.add_to_config(&config("/health"));
    let answer = world.run(&["drill", "--json"]).exits(0).json();
    let phases = answer["drills"][0]["phases"].as_array().unwrap();
    for name in ["provision", "migrate"] {
        assert!(
            phases.iter().any(|phase| phase["name"] == name),
            "{name}: {phases:?}"
        );
    }
    world.write("resguardo.toml", &before);
    world.add_to_config(&config("/orders"));
    world
        .run(&["drill"])
        .exits(3)
        .prints(&["application", "FAILED", "500"]);
}

#[test]
fn quiet_is_not_silent_about_what_did_not_come_back() {
    let world = World::with_shop();
    world.backup();
    let ran = world.run(&["drill", "--quiet"]).exits(0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    world.add_to_config(
        "[[sources.shop.checks]]\nname = \"customers\"\nsql = \"select count(*) from customers\"\nequals = 501\n",
    );
    let ran = world.run(&["drill", "--quiet"]).exits(3).prints(&[
        "shop: FAILED backup ",
        "customers",
        "501",
        "500",
    ]);
    assert!(!ran.stdout.contains("passed"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("phases"), "{}", ran.stdout);
}

#[test]
fn the_place_of_a_report_is_looked_at_before_the_drill() {
    let world = World::with_shop();
    world.backup();
    let receipts = world.objects("shop/receipts", ".json").len();
    world
        .run(&["drill", "--report", "nowhere/drill.md"])
        .exits(1)
        .complains(&[
            "there is no folder",
            "nowhere",
            "hint: make it with `mkdir -p ",
        ]);
    assert_eq!(
        world.objects("shop/receipts", ".json").len(),
        receipts,
        "nothing was drilled"
    );
}

#[test]
fn a_report_that_cannot_be_written_loses_no_drill() {
    let world = World::with_shop();
    shop(&world.path("blog.db"), 5);
    world.add_to_config("[sources.blog]\nurl = \"blog.db\"\n");
    world.run(&["backup"]).exits(0);
    std::fs::create_dir(world.path("drill-blog.md")).unwrap();
    let ran = world
        .run(&["drill", "--report", "drill.md", "--json"])
        .exits(1)
        .complains(&["drill-blog.md"]);
    assert_eq!(ran.json()["drills"].as_array().unwrap().len(), 2);
    assert!(world.path("drill-shop.md").is_file());
}

#[test]
fn a_slip_in_a_name_is_told() {
    let world = World::with_shop();
    world.backup();
    for arguments in [
        &["drill", "shp"][..],
        &["drill", "shp@2026-11-20"],
        &["show", "shp"],
        &["verify", "shp:latest"],
        &["restore", "shp", "--to", "x.db"],
    ] {
        world
            .run(arguments)
            .exits(1)
            .complains(&["there is no backup shp", "hint: did you mean shop?"]);
    }
}
