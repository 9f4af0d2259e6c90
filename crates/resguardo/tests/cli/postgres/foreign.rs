//! Dumps that somebody else made, and exports of ours: drilled, restored, and refused where they are cut
//! short or of something else.

use resguardo_testkit::PgVersion;

use super::{Shop, without_secret};

const CHECKS: &str = r#"
[[sources.shop.checks]]
name = "customers"
sql = "select count(*) from customers"
equals = 500
"#;

/// `pg_dump` of a database of the server, as a cron job runs it.
fn pg_dump(shop: &Shop, database: &str, words: &[&str], to: &str) {
    let mut command = shop.server.command("pg_dump", database);
    let path = shop.world.path(to);
    command.args(words).arg("-f").arg(path);
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn every_format_is_drilled_and_restored() {
    let shop = Shop::new(PgVersion::V15).set_up();
    shop.world.add_to_config(CHECKS);
    for (words, file) in [
        (&["-Fc"][..], "shop.dump"),
        (&["-Ft"], "shop.tar"),
        (&["-Fd"], "shop-folder"),
        (&["-Fp"], "shop.sql"),
        (&["-Fp", "-Z6"], "shop.sql.gz"),
    ] {
        pg_dump(&shop, "shop", words, file);
        let drill = ["drill", "--file", file, "--source", "shop", "--json"];
        let answer = without_secret(shop.world.run(&drill).exits(0)).json();
        let drill = &answer["drills"][0];
        assert_eq!(drill["verdict"], "passed", "{file}: {drill:#}");
        assert!(drill["receipt"].is_string());
        let checks = drill["checks"].as_array().unwrap();
        assert!(
            checks
                .iter()
                .any(|check| check["name"] == "customers" && check["outcome"] == "passed")
        );
        // Without a source its kind is told by its name alone.
        shop.world
            .run(&["drill", "--file", file])
            .exits(0)
            .prints(&["PASSED"]);
        let database = file.replace(['.', '-'], "_");
        let world = shop.world.again_with("TARGET", &shop.url(&database));
        without_secret(
            world
                .run(&[
                    "restore",
                    &format!("./{file}"),
                    "--to",
                    "${TARGET}",
                    "--create",
                ])
                .exits(0),
        );
        assert_eq!(shop.count(&database, "orders"), 166);
    }
    shop.has_no_secret();
}

#[test]
fn exports_of_ours_know_their_rows() {
    let shop = Shop::new(PgVersion::V15).set_up();
    let world = &shop.world;
    for file in ["x.dump", "x.sql", "x.sql.gz", "x.sql.zst"] {
        without_secret(world.run(&["backup", "--out", file]).exits(0));
        let drill = ["drill", "--file", file, "--source", "shop", "--json"];
        let answer = without_secret(world.run(&drill).exits(0)).json();
        let checks = answer["drills"][0]["checks"].as_array().unwrap();
        for name in ["row counts", "row digests", "schema", "sequences"] {
            let check = checks.iter().find(|check| check["name"] == name).unwrap();
            assert_eq!(check["outcome"], "passed", "{file}: {check:#}");
        }
    }
    // What lies beside it is of the snapshot: a row that is missing is found, and told in the report's language.
    let beside = std::fs::read_to_string(world.path("x.dump.meta.json")).unwrap();
    let one_more = beside.replace("\"rows\": 500", "\"rows\": 501");
    world.write("x.dump.meta.json", &one_more);
    let report = [
        "drill", "--file", "x.dump", "--report", "drill.md", "--lang", "es",
    ];
    world.run(&report).exits(3);
    let report = std::fs::read_to_string(world.path("drill.md")).unwrap();
    assert!(report.contains("conteo de filas"), "{report}");
    assert!(report.contains("public.customers: 501"), "{report}");
    shop.has_no_secret();
}

#[test]
fn what_is_cut_short_or_of_something_else() {
    let shop = Shop::new(PgVersion::V15).set_up();
    shop.world.add_to_config(CHECKS);
    for (words, file, whole) in [
        (&["-Fc"][..], "cut.dump", "whole.dump"),
        (&["-Fp"], "cut.sql", "whole.sql"),
        (&["-Fp", "-Z6"], "cut.sql.gz", "whole.sql.gz"),
    ] {
        pg_dump(&shop, "shop", words, whole);
        let bytes = std::fs::read(shop.world.path(whole)).unwrap();
        std::fs::write(shop.world.path(file), &bytes[..bytes.len() * 2 / 3]).unwrap();
        let drill = ["drill", "--file", file, "--source", "shop", "--json"];
        let answer = shop.world.run(&drill).exits(3).json();
        assert_ne!(answer["drills"][0]["verdict"], "passed", "{file}");
        let world = shop.world.again_with("TARGET", &shop.url("cut"));
        let ran = world.run(&["restore", file, "--to", "${TARGET}", "--create"]);
        assert_ne!(ran.code, 0, "{file}");
        let there = "SELECT count(*) FROM pg_database WHERE datname = 'cut'";
        assert_eq!(shop.server.psql("postgres", there), "0", "{file}");
    }
    // A dump of another database comes back, and is not this shop.
    shop.server.create_database("blog", "");
    shop.server
        .psql("blog", "CREATE TABLE posts AS SELECT 1 AS id");
    pg_dump(&shop, "blog", &["-Fc"], "blog.dump");
    let drill = ["drill", "--file", "blog.dump", "--source", "shop", "--json"];
    let answer = shop.world.run(&drill).exits(3).json();
    let checks = answer["drills"][0]["checks"].as_array().unwrap();
    let own = checks
        .iter()
        .find(|check| check["name"] == "customers")
        .unwrap();
    assert_eq!(own["outcome"], "error", "{own:#}");

    shop.world.write("noise.dump", "this is no dump");
    shop.world
        .run(&["restore", "noise.dump", "--to", "${DATABASE_URL}"])
        .complains(&["noise.dump", "dump"]);
    shop.world.write("noise.bin", "this is nothing");
    shop.world
        .run(&["drill", "--file", "noise.bin"])
        .exits(1)
        .complains(&[
            "of no format that an engine knows",
            "sqlite: ",
            "postgres: ",
        ]);
    assert_eq!(shop.count("shop", "customers"), 500);
}
