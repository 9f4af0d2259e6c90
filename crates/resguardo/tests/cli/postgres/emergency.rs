//! A restore over the source itself: the application is ended, the database closed, brought back, checked
//! and opened again.

use resguardo_testkit::PgVersion;

use super::{Shop, without_secret};
use crate::world::World;

/// Whoever migrates tries to get in as the application does, which must fail.
const RESTORE: &str = r#"
[sources.shop.restore]
before = ["echo before >> log"]
maintenance = true
provision = ["roles.sql"]
migrate = "psql -X \"$APP_URL\" -c 'select 1' > seen 2>&1 && exit 7; echo migrate >> log"
checks = true
after = ["psql -X \"$APP_URL\" -c 'select 1' && echo after >> log"]

[[sources.shop.checks]]
name = "customers"
sql = "select count(*) from customers join provisioned on true"
equals = 500
"#;

fn set_up() -> Shop {
    let shop = Shop::new(PgVersion::V15).set_up();
    let socket = shop.server.socket_url("shop").replace("postgres@", "app@");
    let world = shop.world.with("APP_URL", &socket);
    world.run(&["backup"]).exits(0);
    world.write(
        "roles.sql",
        "CREATE TABLE provisioned AS SELECT 1 AS id;\nGRANT SELECT ON provisioned TO app;\n",
    );
    world.add_to_config(RESTORE);
    shop.server.psql("shop", "TRUNCATE customers, orders");
    Shop { world, ..shop }
}

const CLEAN: [&str; 7] = [
    "restore",
    "shop",
    "--to",
    "${DATABASE_URL}",
    "--clean",
    "--yes-overwrite",
    "shop",
];

fn log(world: &World) -> String {
    std::fs::read_to_string(world.path("log")).unwrap()
}

fn app_can_connect(shop: &Shop) -> bool {
    let mut psql = shop.server.command("psql", "shop");
    psql.env("PGUSER", "app").args(["-Xc", "select 1"]);
    psql.output().unwrap().status.success()
}

#[test]
fn the_application_is_shut_out_meanwhile() {
    let shop = set_up();
    let mut session = shop.server.command("psql", "shop");
    session
        .env("PGUSER", "app")
        .args(["-Xc", "select pg_sleep(600)"]);
    let mut session = session.spawn().unwrap();
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'";
    while shop.server.psql("postgres", sessions) == "0" {
        std::thread::yield_now();
    }
    let ran = shop.world.run(&[&CLEAN[..], &["--json"]].concat());
    let answer = without_secret(ran.exits(0)).json();
    assert!(!session.wait().unwrap().success(), "its session was ended");
    let names: Vec<&str> = answer["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "before echo",
            "maintenance",
            "safety backup",
            "restore",
            "provision roles.sql",
            "migrate",
            "checks",
            "end of maintenance",
            "after psql",
        ]
    );
    assert_eq!(log(&shop.world), "before\nmigrate\nafter\n");
    let seen = std::fs::read_to_string(shop.world.path("seen")).unwrap();
    assert!(seen.contains("permission denied for database"), "{seen}");
    assert_eq!(shop.count("shop", "customers"), 500);
    assert!(app_can_connect(&shop));
    shop.has_no_secret();
}

#[test]
fn after_a_failed_check_it_stays_closed_until_the_next_restore() {
    let shop = set_up();
    let config = std::fs::read_to_string(shop.world.path("resguardo.toml")).unwrap();
    let wrong = config.replace("equals = 500", "equals = 501");
    shop.world.write("resguardo.toml", &wrong);
    without_secret(shop.world.run(&CLEAN).exits(3)).complains(&[
        "checks: customers did not pass",
        "not done: end of maintenance, after psql",
        "to let the application in as it is: grant connect on database \"shop\" to public",
    ]);
    assert!(!app_can_connect(&shop));
    assert_eq!(log(&shop.world), "before\nmigrate\n");
    shop.world.run(&["doctor"]).prints(&[
        "a restore that did not end left it closed",
        "grant connect on database",
    ]);

    shop.world.write("resguardo.toml", &config);
    shop.world.run(&CLEAN).exits(0);
    assert!(app_can_connect(&shop));
    let comment =
        "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'shop'";
    assert_eq!(shop.server.psql("postgres", comment), "");
}

#[test]
fn a_restore_that_cannot_begin_opens_it_again() {
    let shop = set_up();
    let pack = shop.world.objects("shop/packs", ".age").remove(0);
    std::fs::remove_file(pack).unwrap();
    let ran = shop.world.run(&CLEAN);
    assert_ne!(ran.code, 0);
    ran.complains(&["it is open again", "not done: provision roles.sql"]);
    assert!(app_can_connect(&shop));
    assert_eq!(shop.count("shop", "customers"), 0, "it is as it was");
}
