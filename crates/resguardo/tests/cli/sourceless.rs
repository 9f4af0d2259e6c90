//! What goes without a source, and what is said where there is none.

use crate::world::{World, shop};

/// A world whose only source is named by a variable that is not set.
fn forgotten() -> World {
    let world = World::new();
    shop(&world.path("shop.db"), 50);
    let set = world.again_with("SHOP_URL", "./shop.db");
    let init = [
        "init",
        "--vault",
        "./vault",
        "--source",
        "shop=${SHOP_URL}",
        "--yes",
    ];
    set.run(&init).exits(0);
    world.add_to_config(
        "[[sources.shop.checks]]\nname = \"customers\"\nsql = \"select count(*) from customers\"\nequals = 50\n",
    );
    set.run(&["backup"]).exits(0);
    world
}

#[test]
fn a_drill_needs_the_vault_and_not_the_source() {
    let world = forgotten();
    world.run(&["backup"]).exits(1).complains(&["SHOP_URL"]);
    for arguments in [&["drill", "--json"][..], &["drill", "shop", "--json"]] {
        let ran = world.run(arguments).exits(0).json();
        let drill = &ran["drills"][0];
        assert_eq!(drill["verdict"], "passed");
        let checks = drill["checks"].as_array().unwrap();
        assert!(
            checks.iter().any(|check| check["name"] == "customers"),
            "the source's own checks: {drill}"
        );
    }
}

#[test]
fn no_source_is_said_at_once() {
    let world = World::new();
    world
        .run(&["init", "--vault", "./vault", "--yes"])
        .exits(0)
        .complains(&["no source is configured", "resguardo.toml: [sources.shop]"]);
    world.run(&["doctor"]).exits(0).prints(&[
        "warning  sources: no source is configured",
        "[sources.shop]",
    ]);
    for verb in ["backup", "drill"] {
        let ran = world.run(&[verb]).exits(1);
        assert!(!ran.stderr.contains("resguardo init"), "{}", ran.stderr);
        ran.complains(&[
            "no source is configured",
            "add to resguardo.toml: [sources.shop]",
        ]);
    }
}

#[test]
fn a_server_is_no_database() {
    let hint = "postgresql://USER@HOST:PORT/DATABASE";
    let url = "postgresql://ana@127.0.0.1:5";
    let world = World::with_shop();
    world.backup();
    world
        .run(&["restore", "shop", "--to", url])
        .exits(2)
        .complains(&["--to names no database", hint]);
    world.add_to_config(&format!("[sources.other]\nurl = \"{url}\"\n"));
    world
        .run(&["backup", "other"])
        .exits(1)
        .complains(&["sources.other.url names no database", hint]);
    World::new()
        .with("DATABASE_URL", url)
        .run(&["backup", "--vault", "vault"])
        .exits(1)
        .complains(&["DATABASE_URL names no database", hint]);
}
