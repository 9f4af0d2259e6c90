//! From nothing to a proven backup, and back.

use resguardo_testkit::PgVersion;

use super::{PASSWORD, Shop, without_secret};

#[test]
fn without_a_config_file() {
    let shop = Shop::new(PgVersion::V15);
    let elsewhere = [
        "--vault",
        "./v",
        "--config",
        "elsewhere/resguardo.toml",
        "--yes",
    ];
    shop.world
        .run(&[&["init"], &elsewhere[..]].concat())
        .exits(0);
    let world = shop.world.with("BACKUP_DIR", "./v");
    let taken = without_secret(world.run(&["backup", "--json"]).exits(0)).json();
    assert_eq!(taken["backups"][0]["source"], "shop");
    assert_eq!(taken["backups"][0]["tables"], 3);
    assert_eq!(taken["backups"][0]["rows"], 500 + 166 + 2);
    let drilled = without_secret(world.run(&["drill", "--json"]).exits(0)).json();
    assert_eq!(drilled["drills"][0]["verdict"], "passed");
    let url = shop.server.url("shop_new");
    let to = url.replace(&format!(":{PASSWORD}"), "");
    let world = world.with("PGPASSWORD", PASSWORD);
    without_secret(
        world
            .run(&["restore", "shop", "--to", &to, "--create"])
            .exits(0),
    )
    .prints(&["3 tables"]);
    let shop = Shop { world, ..shop };
    for (table, rows) in [("customers", 500), ("orders", 166)] {
        assert_eq!(shop.count("shop_new", table), rows);
    }
    let next = shop.server.psql(
        "shop_new",
        "INSERT INTO orders (customer_id, total) VALUES (1, 1) RETURNING id",
    );
    assert_eq!(next, "167");
    shop.has_no_secret();
}

#[test]
fn with_a_config_file_on_every_major() {
    for version in [PgVersion::V15, PgVersion::V16, PgVersion::V18] {
        let shop = Shop::new(version).set_up();
        let world = &shop.world;
        world.run(&["doctor"]).exits(0).prints(&["source shop"]);
        let more = [
            "--reason",
            "pre-migration",
            "--note",
            "before 7",
            "--commit",
            "abc123",
        ];
        world
            .run(&[&["backup"], &more[..]].concat())
            .exits(0)
            .prints(&["shop: backup"]);
        world.run(&["show", "shop"]).exits(0).prints(&[
            "pre-migration",
            "before 7",
            "abc123",
            "20261115 (public.schema_migrations)",
            "public.customers",
        ]);
        without_secret(world.run(&["drill"]).exits(0)).prints(&["shop: PASSED"]);
        world
            .run(&["list"])
            .exits(0)
            .prints(&["pre-migration", "NOTE", "before 7 (abc123)"]);
        let listed = world.run(&["list", "--json"]).exits(0).json();
        let backup = &listed["backups"][0];
        assert_eq!(
            [&backup["note"], &backup["commit"], &backup["migration"]],
            ["before 7", "abc123", "20261115"]
        );
        shop.has_no_secret();
    }
}
