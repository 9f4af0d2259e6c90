//! Another database under a source's name is told at once, by the backup and by `doctor`.

use resguardo_testkit::PgVersion;

use super::Shop;

#[test]
fn another_database_under_the_same_name_is_told() {
    let shop = Shop::new(PgVersion::V15);
    let world = &shop.world;
    let init = [
        "init",
        "--vault",
        "./vault",
        "--source",
        "tienda=${DATABASE_URL}",
        "--yes",
    ];
    world.run(&init).exits(0);
    shop.server.create_database("copia", "");
    shop.server.psql("copia", "CREATE TABLE other (id int)");
    let first = world.run(&["backup", "--json"]).exits(0);
    assert!(
        !first.stdout.contains("is of the database"),
        "{}",
        first.stdout
    );
    let moved = world.again_with("DATABASE_URL", &shop.url("copia"));
    moved.run(&["backup"]).exits(0).complains(&[
        "this backup is of the database copia, and the one before it",
        "is of shop",
        "put the url of the source tienda right",
    ]);
    moved
        .run(&["doctor"])
        .prints(&["the newest is of the database copia"]);
    let listed = world.run(&["list", "--json"]).exits(0).json();
    assert_eq!(listed["backups"][0]["database"], "shop");
    assert_eq!(listed["backups"][1]["database"], "copia");
    world.run(&["list"]).exits(0).prints(&["DATABASE", "copia"]);
    world
        .run(&["show", "latest"])
        .exits(0)
        .prints(&["database", "copia"]);
    // Put right, it is told once more, and then no longer.
    world
        .run(&["backup"])
        .exits(0)
        .complains(&["is of the database shop"]);
    let ran = world.run(&["backup"]).exits(0);
    assert!(!ran.stderr.contains("is of the database"), "{}", ran.stderr);
}
