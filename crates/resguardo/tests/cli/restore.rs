//! `restore`

use crate::world::{World, ask, shop};

#[test]
fn comes_back_byte_by_byte() {
    let world = World::with_shop();
    world.backup();
    let answer = world
        .run(&["restore", "latest", "--to", "back.db", "--json"])
        .exits(0)
        .json();
    for field in [
        "run",
        "backup",
        "source",
        "target",
        "tables",
        "bytes",
        "seconds",
        "safety_backup",
        "receipt",
    ] {
        assert!(answer.get(field).is_some(), "{field}");
    }
    let shown = world.run(&["show", "latest", "--json"]).exits(0).json();
    let bytes = std::fs::read(world.path("back.db")).unwrap();
    assert_eq!(
        shown["files"][0]["sha256"],
        serde_json::json!(resguardo_model::Sha256Digest::of(&bytes))
    );
}

#[test]
fn an_occupied_target_is_refused_with_what_is_in_it() {
    let world = World::with_shop();
    world.backup();
    shop(&world.path("live.db"), 42);
    let before = std::fs::read(world.path("live.db")).unwrap();
    world
        .run(&["restore", "latest", "--to", "live.db"])
        .exits(7)
        .complains(&["live.db", "2 tables", "hint: "]);
    world
        .run(&["restore", "latest", "--to", "live.db", "--clean"])
        .exits(7)
        .complains(&["live.db", "hint: "]);
    world
        .run(&[
            "restore",
            "latest",
            "--to",
            "live.db",
            "--clean",
            "--yes-overwrite",
            "other.db",
        ])
        .exits(7);
    assert_eq!(std::fs::read(world.path("live.db")).unwrap(), before);
    world
        .run(&[
            "restore",
            "latest",
            "--to",
            "live.db",
            "--yes-overwrite",
            "live.db",
        ])
        .exits(2);
}

#[test]
fn what_is_replaced_is_backed_up_first() {
    let world = World::with_shop();
    world.backup();
    ask(
        &world.path("shop.db"),
        "delete from orders where id > 3 returning id",
    );
    let ran = world
        .run(&[
            "restore",
            "latest",
            "--to",
            "shop.db",
            "--clean",
            "--yes-overwrite",
            "shop.db",
        ])
        .exits(0)
        .prints(&["before it was replaced", "restored "]);
    assert!(!ran.stdout.is_empty());
    assert_eq!(
        ask(&world.path("shop.db"), "select count(*) from orders"),
        "166"
    );
    let listed = world.run(&["list", "--json"]).exits(0).json();
    assert_eq!(listed["backups"][1]["reason"], "safety");
    let note = listed["backups"][1]["note"].as_str().unwrap();
    assert!(note.starts_with("before a restore of shop "), "{note}");
    // `latest` is never the safety backup.
    let id = listed["backups"][0]["id"].as_str().unwrap();
    world.run(&["show", "latest"]).exits(0).prints(&[id]);
}

#[test]
fn one_table() {
    let world = World::with_shop();
    world.backup();
    world
        .run(&[
            "restore",
            "latest",
            "--to",
            "some.db",
            "--only",
            "customers",
        ])
        .exits(0);
    assert_eq!(
        ask(
            &world.path("some.db"),
            "select count(*) from sqlite_schema where name = 'orders'"
        ),
        "0"
    );
    world
        .run(&["restore", "latest", "--to", "none.db", "--only", "custmers"])
        .exits(1)
        .complains(&["custmers", "customers"]);
}

#[test]
fn on_a_new_machine_with_nothing_but_the_identity() {
    let world = World::with_shop();
    world.backup();
    std::fs::copy(
        world.keys().join("identity.txt"),
        world.path("identity.txt"),
    )
    .unwrap();
    let machine = World::new();
    machine
        .run(&[
            "restore",
            "latest",
            "--vault",
            world.path("vault").to_str().unwrap(),
            "--identity",
            world.path("identity.txt").to_str().unwrap(),
            "--to",
            "back.db",
        ])
        .exits(0)
        .complains(&["warning:", "no writer is pinned"]);
    assert_eq!(
        ask(&machine.path("back.db"), "select count(*) from customers"),
        "500"
    );
}

#[test]
fn folders_are_made_only_when_asked() {
    let world = World::with_shop();
    world.backup();
    assert_ne!(
        world
            .run(&["restore", "latest", "--to", "a/b/back.db"])
            .code,
        0
    );
    assert!(!world.path("a").exists());
    world
        .run(&["restore", "latest", "--to", "a/b/back.db", "--create"])
        .exits(0);
}

#[test]
fn a_file_whose_hash_is_wrong() {
    let world = World::with_shop();
    world.run(&["backup", "--out", "shop.sqlite"]).exits(0);
    let mut bytes = std::fs::read(world.path("shop.sqlite")).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(world.path("shop.sqlite"), bytes).unwrap();
    world
        .run(&["restore", "./shop.sqlite", "--to", "back.db"])
        .exits(3)
        .complains(&["SHA-256", "meta.json"]);
    assert!(!world.path("back.db").exists());
    world
        .run(&["restore", "./nope.sqlite", "--to", "back.db"])
        .exits(1)
        .complains(&["does not exist"]);
}
