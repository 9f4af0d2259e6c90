//! `backup`

use crate::world::{World, ask, shop};

#[test]
fn answers_with_the_documented_fields() {
    let world = World::with_shop();
    let ran = world
        .run(&[
            "backup",
            "shop",
            "--reason",
            "pre-migration",
            "--note",
            "v2",
            "--json",
        ])
        .exits(0);
    assert_eq!(ran.stderr, "");
    let answer = ran.json();
    let backup = &answer["backups"][0];
    assert_eq!(backup["source"], "shop");
    assert_eq!(backup["reason"], "pre-migration");
    assert_eq!(backup["id"].as_str().unwrap().len(), 26);
    assert_eq!(backup["tables"], 2);
    assert_eq!(backup["rows"], 666);
    assert!(backup["raw_bytes"].as_u64().unwrap() > 0);
    assert!(backup["stored_bytes"].as_u64().unwrap() > 0);
    assert!(backup["seconds"].as_f64().unwrap() >= 0.0);
    let shown = world.run(&["show", "latest", "--json"]).exits(0).json();
    assert_eq!(shown["manifest"]["note"], "v2");
    assert_eq!(shown["manifest"]["operator"], "ana");
}

#[test]
fn says_in_one_line_what_it_did() {
    let world = World::with_shop();
    world
        .run(&["backup"])
        .exits(0)
        .prints(&["shop: backup ", "2 tables, 666 rows;", "added in"])
        .complains(&["phase: "]);
    let quiet = world.run(&["backup", "--quiet"]).exits(0);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
}

#[test]
fn the_second_adds_little() {
    let world = World::new();
    shop(&world.path("shop.db"), 20_000);
    world.init("./vault");
    let first = world.run(&["backup", "--json"]).exits(0).json();
    ask(
        &world.path("shop.db"),
        "update customers set note = 'x' where id = 77 returning id",
    );
    let second = world.run(&["backup", "--json"]).exits(0).json();
    let stored =
        |answer: &serde_json::Value| answer["backups"][0]["stored_bytes"].as_u64().unwrap();
    assert!(
        stored(&second) * 10 < stored(&first),
        "{} after {}",
        stored(&second),
        stored(&first)
    );
}

#[test]
fn one_bad_source_does_not_stop_the_others() {
    let world = World::with_shop();
    world.write("text.db", "this is no database, whatever its name says");
    world.add_to_config("[sources.aaa]\nurl = \"text.db\"\n");
    let ran = world.run(&["backup", "--json"]);
    assert_ne!(ran.code, 0);
    assert_eq!(ran.json()["backups"].as_array().unwrap().len(), 1);
    assert!(ran.stderr.contains("aaa"), "{}", ran.stderr);
}

#[test]
fn a_standard_file() {
    let world = World::with_shop();
    let ran = world
        .run(&["backup", "shop", "--out", "shop-<time>.sqlite.gz", "--json"])
        .exits(0);
    let paths = ran.json()["exports"][0]["paths"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(paths.len(), 2, "{paths:?}");
    assert!(paths[0].as_str().unwrap().ends_with(".sqlite.gz"));
    assert!(!paths[0].as_str().unwrap().contains("<time>"));
    assert!(
        world.objects("shop/snapshots", "").is_empty(),
        "it is not a backup in the vault"
    );
    world
        .run(&["restore", paths[0].as_str().unwrap(), "--to", "back.db"])
        .exits(0);
    assert_eq!(
        ask(&world.path("back.db"), "select count(*) from customers"),
        "500"
    );
    world
        .run(&["backup", "--out", "shop.txt"])
        .exits(1)
        .complains(&["unknown format"]);
}

#[test]
fn without_a_config_file() {
    let world = World::new();
    shop(&world.path("dev.db"), 10);
    world
        .run(&[
            "init",
            "--vault",
            "./v",
            "--config",
            "elsewhere/resguardo.toml",
            "--yes",
        ])
        .exits(0);
    let world = world
        .with("DATABASE_URL", "file:./dev.db?connection_limit=1")
        .with("BACKUP_DIR", "./v")
        .with("BACKUP_RETENTION_DAYS", "30");
    let answer = world.run(&["backup", "--json"]).exits(0).json();
    assert_eq!(answer["backups"][0]["source"], "dev");
    world
        .run(&["config", "show"])
        .exits(0)
        .prints(&["env DATABASE_URL", "env BACKUP_DIR", "30d"]);
    let world = world.with("DATABASE_URL", "mysql://db/shop");
    world
        .run(&["backup"])
        .exits(1)
        .complains(&["there is no engine mysql", "postgresql://USER@HOST"]);
    world.run(&["list"]).exits(0);
}

#[test]
fn nothing_to_back_up() {
    let world = World::new();
    world.run(&["init", "--vault", "./v", "--yes"]).exits(0);
    world
        .run(&["backup"])
        .exits(1)
        .complains(&["no source is configured", "hint: "]);
}
