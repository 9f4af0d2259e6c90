//! What does not work: each with its reason, its exit code and no secret, and with nothing lost.

use resguardo_testkit::PgVersion;

use super::{PASSWORD, Shop, without_secret};

#[test]
fn whoever_cannot_connect_is_told_why() {
    let shop = Shop::new(PgVersion::V15).set_up();
    let good = shop.url("shop");
    let port = shop.server.port().to_string();
    let cases = [
        (
            good.replace(PASSWORD, "wrong-s3cret"),
            4,
            "password authentication failed",
        ),
        (good.replace(&format!(":{PASSWORD}"), ""), 4, "password"),
        (good.replace(&port, "1"), 4, "cannot be reached"),
        (good.replace("/shop", "/shpo"), 4, "does not exist"),
        (
            good.replace("postgresql://", "postgressql://"),
            1,
            "there is no engine postgressql",
        ),
        (format!("{good}?sslmode=requird"), 4, "sslmode"),
        (format!("{good}?sslmode=verify-full"), 4, "sslrootcert"),
    ];
    for (url, code, words) in cases {
        let world = shop.world.again_with("DATABASE_URL", &url);
        for verb in [&["backup"][..], &["backup", "--out", "x.dump"]] {
            let ran = without_secret(world.run(verb));
            assert!(!ran.stderr.contains("wrong-s3cret"), "{}", ran.stderr);
            ran.exits(code).complains(&[words]);
        }
        let doctor = without_secret(world.run(&["doctor"]).exits(if code == 1 { 1 } else { 3 }));
        let said = format!("{}{}", doctor.stdout, doctor.stderr);
        assert!(said.contains(words), "{words} is missing in\n{said}");
        assert!(!world.path("x.dump").exists());
    }
    assert!(
        shop.world
            .objects("shop/snapshots", ".head.json")
            .is_empty()
    );
}

#[test]
fn a_target_that_is_not_empty() {
    let shop = Shop::new(PgVersion::V15).set_up();
    shop.world.run(&["backup"]).exits(0);
    shop.server.create_database("other", "");
    shop.server
        .psql("other", "CREATE TABLE precious AS SELECT 1 AS x");
    let world = shop.world.again_with("OTHER", &shop.url("other"));
    let to = ["restore", "shop", "--to", "${OTHER}"];
    without_secret(world.run(&to).exits(7)).complains(&[
        "is not empty",
        "1 table",
        "--clean --yes-overwrite other",
    ]);
    without_secret(
        world
            .run(&[&to[..], &["--clean", "--yes-overwrite", "othr"]].concat())
            .exits(7),
    )
    .complains(&["\"othr\" is not its name"]);
    assert_eq!(shop.count("other", "precious"), 1);
    // The source itself is said to be the source, however it is called.
    let local = shop.url("shop").replace("127.0.0.1", "localhost");
    let world = world.again_with("OTHER", &local);
    world
        .run(&to)
        .exits(7)
        .complains(&["is the source shop itself"]);
    assert_eq!(shop.count("shop", "customers"), 500);
    // With its name it is replaced, after a safety backup.
    let clean = [
        "restore",
        "shop",
        "--to",
        "${DATABASE_URL}",
        "--clean",
        "--yes-overwrite",
        "shop",
    ];
    shop.server.psql("shop", "DELETE FROM orders");
    world.run(&clean).exits(0);
    assert_eq!(shop.count("shop", "orders"), 166);
    let listed = world.run(&["list"]).exits(0);
    listed.prints(&["safety"]);
    shop.has_no_secret();
}

#[test]
fn engines_do_not_mix() {
    let shop = Shop::new(PgVersion::V15).set_up();
    shop.world.run(&["backup"]).exits(0);
    shop.world
        .run(&["restore", "shop", "--to", "shop.db"])
        .exits(2)
        .complains(&[
            "is one of postgres",
            "shop.db is one of sqlite",
            "--to postgresql://",
        ]);
    let missing = ["restore", "shop", "--to", "${MISSING}"];
    let world = shop.world.again_with("MISSING", &shop.url("nowhere"));
    without_secret(world.run(&missing).exits(4)).complains(&["does not exist", "--create"]);
    // A password that is typed can be seen by everybody.
    let typed = shop.url("typed");
    without_secret(
        world
            .run(&["restore", "shop", "--to", &typed, "--create"])
            .exits(0),
    )
    .complains(&["everybody on this machine can see the password"]);
}

#[test]
fn a_lock_that_is_held() {
    let shop = Shop::new(PgVersion::V15).set_up();
    let config = std::fs::read_to_string(shop.world.path("resguardo.toml")).unwrap();
    let config = config.replace("# lock_timeout = \"30s\"", "lock_timeout = \"1s\"");
    shop.world.write("resguardo.toml", &config);
    let mut holder = shop.server.command("psql", "shop");
    holder.args([
        "-Xc",
        "BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(600)",
    ]);
    let mut holder = holder.spawn().unwrap();
    let locks = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'orders'::regclass";
    while shop.server.psql("shop", locks) == "0" {
        std::thread::yield_now();
    }
    without_secret(shop.world.run(&["backup"]).exits(6)).complains(&[
        "orders",
        "LOCK TABLE orders IN ACCESS EXCLUSIVE MODE",
        "lock_timeout of the source",
    ]);
    assert!(
        shop.world
            .objects("shop/snapshots", ".head.json")
            .is_empty()
    );
    holder.kill().unwrap();
    holder.wait().unwrap();
    // What psql began goes on in the server until it notices.
    shop.server.psql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()");
    shop.world.run(&["backup"]).exits(0);
}

#[test]
fn a_role_that_only_reads() {
    let shop = Shop::new(PgVersion::V15).set_up();
    shop.server.psql(
        "shop",
        &format!(
            "CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'; GRANT SELECT ON customers, orders TO reader;"
        ),
    );
    let url = shop.server.url_of("reader", Some(PASSWORD), "shop");
    let world = shop.world.again_with("DATABASE_URL", &url);
    let doctor = without_secret(world.run(&["doctor"]).exits(3));
    let doctor = doctor.prints(&["schema_migrations", "GRANT SELECT ON"]);
    without_secret(world.run(&["backup"]).exits(4)).complains(&[
        "cannot be read: SELECT is missing",
        "(and 2 more: `resguardo doctor` names all)",
    ]);
    assert!(world.objects("shop/snapshots", ".head.json").is_empty());
    // The statements that the doctor names mend it.
    let grants = doctor.stdout.lines().filter_map(|line| {
        let at = line.find("GRANT ")?;
        Some(line[at..].trim_end_matches(['`', ';']).to_owned())
    });
    for grant in grants {
        shop.server.psql("shop", &grant);
    }
    without_secret(world.run(&["backup"]).exits(0));
    without_secret(world.run(&["drill"]).exits(0)).prints(&["shop: PASSED"]);
    shop.has_no_secret();
}
