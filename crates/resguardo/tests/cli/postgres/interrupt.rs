//! A restore that is interrupted in the middle of a table: it ends at once, says how the target stands, and leaves
//! nobody at work.

use resguardo_testkit::PgVersion;

use super::{Shop, without_secret};
use crate::world::{finish, send, wait_for};

/// A row that takes for ever to come back.
const STICKY: &str = "
    CREATE FUNCTION slow(int) RETURNS bool LANGUAGE sql AS 'SELECT true';
    CREATE TABLE sticky (a int CHECK (slow(a)));
    INSERT INTO sticky VALUES (1);
    CREATE OR REPLACE FUNCTION slow(int) RETURNS bool LANGUAGE plpgsql
        AS 'BEGIN PERFORM pg_sleep(600); RETURN true; END';
";

#[test]
fn a_signal_during_a_restore_ends_it_and_says_what_is_left() {
    for version in PgVersion::all() {
        let shop = Shop::new(version).set_up();
        shop.server.psql("shop", STICKY);
        shop.world.run(&["backup"]).exits(0);
        shop.server.create_database("there", "");
        for (signal, database, told) in [
            ("INT", "made", "nothing was made there"),
            ("TERM", "there", "it holds a part of the backup"),
        ] {
            let world = shop.world.again_with("TO", &shop.url(database));
            let words = ["restore", "shop", "--to", "${TO}", "--create"];
            let child = world.command(&words).spawn().unwrap();
            let sessions = |more: &str| {
                let sql = format!(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND {more}"
                );
                shop.server.psql("postgres", &sql)
            };
            wait_for("the row is on its way", || {
                sessions("query LIKE '%sticky%' AND wait_event = 'PgSleep'") != "0"
            });
            send(signal, &child);
            without_secret(finish(child).exits(130)).complains(&["interrupted", told]);
            wait_for("nobody works in the database any more", || {
                sessions("true") == "0"
            });
            let there = format!("SELECT count(*) FROM pg_database WHERE datname = '{database}'");
            let expected = if database == "there" { "1" } else { "0" };
            assert_eq!(shop.server.psql("postgres", &there), expected, "{version}");
        }
        let runs = shop.world.run(&["catalog", "runs", "--json"]).exits(0);
        assert_eq!(runs.json()["runs"][0]["state"], "interrupted");
        assert_eq!(shop.count("shop", "customers"), 500);
        shop.has_no_secret();
    }
}
