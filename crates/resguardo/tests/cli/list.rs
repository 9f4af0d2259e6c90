//! `list` and `show`

use crate::world::World;

#[test]
fn an_empty_vault() {
    let world = World::with_shop();
    world.run(&["list"]).exits(0).prints(&["no backup yet"]);
    let answer = world.run(&["list", "--json"]).exits(0).json();
    assert_eq!(answer["backups"], serde_json::json!([]));
}

#[test]
fn every_backup_with_the_documented_fields() {
    let world = World::with_shop();
    let first = world.backup();
    world.run(&["drill"]).exits(0);
    let second = world.backup();
    let answer = world.run(&["list", "shop", "--json"]).exits(0).json();
    let backups = answer["backups"].as_array().unwrap();
    assert_eq!(backups[0]["id"], serde_json::json!(first));
    assert_eq!(backups[1]["id"], serde_json::json!(second));
    for field in [
        "source",
        "taken_at",
        "reason",
        "proven_at",
        "copies",
        "raw_bytes",
        "stored_bytes",
        "trusted",
    ] {
        assert!(backups[0].get(field).is_some(), "{field}");
    }
    assert!(backups[0]["proven_at"].is_string());
    assert!(backups[1]["proven_at"].is_null());
    let ran =
        world
            .run(&["list"])
            .exits(0)
            .prints(&["ID", "PROVEN", "not yet", &first[..10], "manual"]);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{}", ran.stdout);
    assert!(lines[2].starts_with(&second[..10]), "the newest is last");
}

#[test]
fn needs_no_key_at_all() {
    let world = World::with_shop();
    let id = world.backup();
    let stranger = World::new();
    let vault = world.path("vault");
    stranger
        .run(&["list", "--vault", vault.to_str().unwrap()])
        .exits(0)
        .prints(&[&id[..10]])
        .complains(&["no write key"]);
}

#[test]
fn everything_of_one_backup() {
    let world = World::with_shop();
    let id = world.backup();
    world.run(&["show", &id[..10]]).exits(0).prints(&[
        &id,
        "shop (sqlite)",
        "customers",
        "500",
        "SHA-256",
        "RECEIPT",
        "ed25519:",
    ]);
    let answer = world.run(&["show", "shop", "--json"]).exits(0).json();
    assert_eq!(answer["backup"]["id"], serde_json::json!(id));
    assert_eq!(answer["files"].as_array().unwrap().len(), 1);
    assert_eq!(answer["manifest"]["facts"]["tables"][0]["rows"], 500);
    // Without an identity, what needs none is shown, and why the rest is not.
    std::fs::remove_file(world.keys().join("identity.txt")).unwrap();
    let ran = world
        .run(&["show", "latest"])
        .exits(0)
        .prints(&[&id])
        .complains(&["cannot be shown"]);
    assert!(!ran.stdout.contains("customers"));
}

#[test]
fn a_source_that_is_not_there() {
    let world = World::with_shop();
    world
        .run(&["list", "shop"])
        .exits(0)
        .prints(&["no backup of shop yet", "resguardo backup shop"]);
    world.run(&["list", "shp"]).exits(1).complains(&[
        "there is no source shp; known here: shop",
        "hint: did you mean shop?",
    ]);
    world.backup();
    world
        .run(&["list", "blog"])
        .exits(1)
        .complains(&["there is no source blog; known here: shop", "hint: "]);
    // What the vault holds can be listed where no config knows it.
    std::fs::write(world.path("empty.toml"), "[vault]\nurl = \"./vault\"\n").unwrap();
    world
        .run(&["list", "shop", "--config", "empty.toml"])
        .exits(0)
        .prints(&["not yet"]);
}

#[test]
fn an_identity_that_is_locked_is_not_said_to_be_missing() {
    let world = World::new();
    world.write("pass.txt", "correct horse\n");
    crate::world::shop(&world.path("shop.db"), 10);
    let init = ["init", "--source", "shop=shop.db", "--yes"];
    world
        .run(&[&init[..], &["--passphrase-file", "pass.txt"]].concat())
        .exits(0);
    world.backup();
    let ran = world.run(&["show", "latest"]).exits(0).complains(&[
        "cannot be shown",
        "identity.txt: the identity is protected by a passphrase",
        "--passphrase-file FILE",
    ]);
    assert!(!ran.stderr.contains("no identity"), "{}", ran.stderr);
}

#[test]
fn a_drill_that_could_not_be_done_is_not_said_to_have_failed() {
    let world = World::with_shop();
    world.backup();
    world.add_to_config(
        "[[sources.shop.checks]]\nname = \"broken\"\nsql = \"select 1 from nowhere\"\nequals = 1\n",
    );
    world.run(&["drill"]).exits(3);
    world.run(&["list"]).exits(0).prints(&["drill error"]);
    world
        .run(&["show", "latest"])
        .exits(0)
        .prints(&["its last drill ended with an error"]);
}
