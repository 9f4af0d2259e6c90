//! The order of an emergency: commands before, safety backup, restore, scripts, migration, checks,
//! commands after. What fails stops the rest, and it is said what was done and what was not.

use serde_json::{Value, json};

use crate::world::{World, ask};

const SECRET: &str = "hook-s3cret";

/// A shop that is backed up and then loses its customers.
fn world(restore: &str) -> World {
    let world = World::with_shop();
    world.backup();
    rusqlite::Connection::open(world.path("shop.db"))
        .unwrap()
        .execute_batch("DELETE FROM orders; DELETE FROM customers")
        .unwrap();
    world.write("roles.sql", "CREATE TABLE provisioned (id INTEGER)");
    world.add_to_config(restore);
    world
}

/// Every step writes its name into `log`, with what it sees.
const STEPS: &str = r#"
[sources.shop.restore]
before = ["TOKEN=hook-s3cret sh -c 'echo before >> log'", "echo also before >> log"]
provision = ["roles.sql"]
migrate = "test -n \"$DATABASE_URL\" && echo migrate >> log"
checks = true
after = ["echo after >> log"]

[[sources.shop.checks]]
name = "customers"
sql = "select count(*) from customers, (select count(*) from provisioned)"
equals = 500
"#;

const CLEAN: [&str; 7] = [
    "restore",
    "shop",
    "--to",
    "shop.db",
    "--clean",
    "--yes-overwrite",
    "shop.db",
];

fn outcomes(steps: &Value) -> Vec<(String, String)> {
    let steps = steps.as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    steps
        .map(|step| (text(&step["name"]), text(&step["outcome"])))
        .collect()
}

fn all_done(names: &[&str]) -> Vec<(String, String)> {
    names
        .iter()
        .map(|name| ((*name).to_owned(), "done".to_owned()))
        .collect()
}

/// The details of the newest receipt of a restore, and its text.
fn receipt(world: &World) -> (Value, String) {
    let listed = world.run(&["receipts", "list", "--json"]).exits(0).json();
    let receipts = listed["receipts"].as_array().unwrap();
    let last = receipts
        .iter()
        .rfind(|receipt| receipt["verb"] == "restore")
        .unwrap();
    let run = last["run"].as_str().unwrap();
    let shown = world.run(&["receipts", "show", run, "--json"]).exits(0);
    let details = shown.json()["statement"]["predicate"]["details"].clone();
    (details, shown.stdout)
}

#[test]
fn every_step_is_done_in_its_order() {
    let world = world(STEPS);
    let ran = world.run(&[&CLEAN[..], &["--json"]].concat()).exits(0);
    let names = [
        "before sh",
        "before echo",
        "safety backup",
        "restore",
        "provision roles.sql",
        "migrate",
        "checks",
        "after echo",
    ];
    assert_eq!(outcomes(&ran.json()["steps"]), all_done(&names));
    let log = std::fs::read_to_string(world.path("log")).unwrap();
    assert_eq!(log, "before\nalso before\nmigrate\nafter\n");
    assert_eq!(
        ask(&world.path("shop.db"), "select count(*) from customers"),
        "500"
    );
    let (details, text) = receipt(&world);
    assert_eq!(outcomes(&details["steps"]), all_done(&names));
    assert!(!text.contains(SECRET), "{text}");
    let listed = world.run(&["list", "--json"]).exits(0).json();
    let reasons: Vec<_> = listed["backups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|backup| backup["reason"].clone())
        .collect();
    assert_eq!(reasons, [json!("manual"), json!("safety")]);
}

#[test]
fn elsewhere_nothing_is_done_unless_it_is_asked_for() {
    let world = world(STEPS);
    world
        .run(&["restore", "shop@2030-01-01", "--to", "new.db"])
        .exits(0);
    assert!(!world.path("log").exists());
    world
        .run(&["restore", "shop", "--to", "other.db", "--hooks", "always"])
        .exits(0)
        .prints(&["steps: before sh", "after echo"]);
    let log = std::fs::read_to_string(world.path("log")).unwrap();
    assert_eq!(log, "before\nalso before\nmigrate\nafter\n");
    std::fs::remove_file(world.path("log")).unwrap();
    world
        .run(&[&CLEAN[..], &["--hooks", "never"]].concat())
        .exits(0);
    assert!(!world.path("log").exists());
}

#[test]
fn a_failed_step_stops_and_says_what_was_done() {
    struct Case {
        from: &'static str,
        to: &'static str,
        code: i32,
        complains: &'static [&'static str],
        log: &'static str,
        customers: &'static str,
    }
    let cases = [
        Case {
            from: "echo also before >> log",
            to: "echo hook-s3cret is wrong; exit 9",
            code: 1,
            complains: &[
                "before echo: exit code 9; done before it: before sh; not done: safety backup, restore, provision roles.sql, migrate, checks, after echo",
                "it said: hook-s3cret is wrong",
            ],
            log: "before\n",
            customers: "0",
        },
        Case {
            from: "test -n",
            to: "false && test -n",
            code: 3,
            complains: &[
                "migrate: exit code 1; done before it: before sh, before echo, safety backup, restore, provision roles.sql; not done: checks, after echo",
            ],
            log: "before\nalso before\n",
            customers: "500",
        },
        Case {
            from: "equals = 500",
            to: "equals = 501",
            code: 3,
            complains: &[
                "checks: customers did not pass; done before it: before sh, before echo, safety backup, restore, provision roles.sql, migrate; not done: after echo",
                "501 was expected",
            ],
            log: "before\nalso before\nmigrate\n",
            customers: "500",
        },
        Case {
            from: "roles.sql\"]",
            to: "nope.sql\"]",
            code: 1,
            complains: &["provision nope.sql: it failed", "nope.sql"],
            log: "before\nalso before\n",
            customers: "500",
        },
    ];
    for case in cases {
        let world = world(&STEPS.replace(case.from, case.to));
        world.run(&CLEAN).exits(case.code).complains(case.complains);
        let log = std::fs::read_to_string(world.path("log")).unwrap();
        assert_eq!(log, case.log, "{}", case.to);
        let customers = ask(&world.path("shop.db"), "select count(*) from customers");
        assert_eq!(customers, case.customers, "{}", case.to);
        let (details, text) = receipt(&world);
        let outcomes = outcomes(&details["steps"]);
        let failed = outcomes.iter().position(|(_, outcome)| outcome == "failed");
        let failed = failed.unwrap();
        assert!(
            outcomes[..failed]
                .iter()
                .all(|(_, outcome)| outcome == "done")
        );
        assert!(
            outcomes[failed + 1..]
                .iter()
                .all(|(_, outcome)| outcome == "not done")
        );
        assert!(!text.contains(SECRET), "{text}");
    }
}

#[test]
fn what_fails_in_the_restore_itself() {
    let world = world(STEPS);
    let key = world.objects("shop/packs", ".age").remove(0);
    std::fs::remove_file(key).unwrap();
    world.run(&CLEAN).complains(&[
        "it is as it was before",
        "done before: before sh, before echo, safety backup",
        "not done: provision roles.sql, migrate, checks, after echo",
    ]);
    assert_eq!(
        ask(&world.path("shop.db"), "select count(*) from customers"),
        "0"
    );
}

#[test]
fn a_source_that_is_half_restored_is_not_backed_up() {
    let broken = world(&STEPS.replace("test -n", "test -e migrated && test -n"));
    let doctors = |code: i32| broken.run(&["doctor"]).exits(code);
    broken.run(&CLEAN).exits(3);
    doctors(3).prints(&[
        "PROBLEM  data of shop: the last restore into it, of ",
        "did not end well (failed: ",
        "migrate: exit code 1",
        "next: restore into it again",
    ]);
    let refused = [
        "source shop may be half restored, and was not backed up: the last restore into it",
        "--after-failed-restore",
    ];
    broken.run(&["backup"]).exits(7).complains(&refused);
    // The receipts know of it when the catalog is lost.
    forget(&broken);
    broken.run(&["backup"]).exits(7).complains(&refused);
    doctors(3).prints(&["did not end well (failed: ", "migrate: exit code 1"]);
    // A restore to elsewhere mends nothing.
    broken.run(&["restore", "shop", "--to", "new.db"]).exits(0);
    broken.run(&["backup", "shop"]).exits(7).complains(&refused);
    // One that ends well does.
    std::fs::write(broken.path("migrated"), "").unwrap();
    broken
        .run(&[
            "restore",
            "shop",
            "--to",
            "shop.db",
            "--clean",
            "--yes-overwrite",
            "shop.db",
        ])
        .exits(0);
    broken.run(&["backup"]).exits(0);
    doctors(0);
}

#[test]
fn whoever_vouches_for_half_restored_data_takes_the_backup() {
    let broken = world(&STEPS.replace("test -n", "false && test -n"));
    broken.run(&CLEAN).exits(3);
    broken.run(&["backup"]).exits(7);
    let ran = broken
        .run(&["backup", "--after-failed-restore", "--json"])
        .exits(0);
    assert_eq!(ran.json()["backups"][0]["source"], "shop");
    let listed = broken.run(&["receipts", "list", "--json"]).exits(0).json();
    let last = listed["receipts"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    let run = last["run"].as_str().unwrap();
    let shown = broken.run(&["receipts", "show", run, "--json"]).exits(0);
    let details = &shown.json()["statement"]["predicate"]["details"];
    assert_eq!(details["after_failed_restore"], true);
    forget(&broken);
    broken.run(&["doctor"]).exits(0);
    broken.run(&["backup"]).exits(0);
}

/// Loses the catalog and makes it anew from the vault.
fn forget(world: &World) {
    for name in ["catalog.db", "catalog.db-wal", "catalog.db-shm"] {
        let _ = std::fs::remove_file(world.home().join(name));
    }
    world.run(&["catalog", "rebuild"]).exits(0);
}

#[test]
fn a_restore_that_touched_nothing_casts_no_doubt() {
    for (from, to) in [
        ("echo also before >> log", "exit 9"),
        ("echo after >> log", "exit 9"),
    ] {
        let world = world(&STEPS.replace(from, to));
        world.run(&CLEAN).exits(1);
        world.run(&["backup"]).exits(0);
        world.run(&["doctor"]).exits(0);
    }
}
