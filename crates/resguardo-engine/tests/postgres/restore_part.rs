//! Restores of a part: structure or rows alone, some tables, and into what is not empty.

use resguardo_engine::port::{EngineError, RestoreOptions, RestorePart};
use resguardo_testkit::PgVersion;

use crate::restore::{SHOP, assert_same, restore, restored, shop};
use crate::world::{captured, clean, described};

#[test]
fn what_is_not_empty_is_refused_and_clean_replaces_all_of_it() {
    for version in PgVersion::all() {
        let server = shop(version);
        let backup = captured(&server, "shop");
        server.create_database("full", "");
        let other = SHOP.replace("create event trigger noted", "create event trigger other");
        server.psql("full", &other);
        server.psql(
            "full",
            "create table mine (a int); create schema more; create table more.x (a int);
             alter default privileges revoke execute on functions from public;
             create type odd as (a int); create cast (odd as text) with inout;
             create foreign data wrapper fdw",
        );
        let error = restore(&server, "full", &backup, &RestoreOptions::default()).unwrap_err();
        assert!(matches!(error, EngineError::Occupied { .. }), "{error}");
        assert_eq!(server.psql("full", "select count(*) from mine"), "0");
        restored(&server, "full", &backup, &clean());
        assert_same((&server, "shop"), (&server, "full"), &[]);
    }
}

#[test]
fn structure_alone_and_then_rows_alone_are_the_same_as_all() {
    for version in PgVersion::all() {
        let server = shop(version);
        let backup = captured(&server, "shop");
        server.create_database("again", "");
        let structure = RestoreOptions {
            part: RestorePart::Structure,
            ..RestoreOptions::default()
        };
        restored(&server, "again", &backup, &structure);
        assert_same((&server, "shop"), (&server, "again"), &["--schema-only"]);
        let count = "select (select count(*) from shop.orders)
            + (select count(*) from pg_largeobject_metadata)";
        assert_eq!(server.psql("again", count), "0");
        let rows = RestoreOptions {
            part: RestorePart::Data,
            ..RestoreOptions::default()
        };
        restored(&server, "again", &backup, &rows);
        assert_same((&server, "shop"), (&server, "again"), &[]);
        let error = restore(&server, "again", &backup, &rows).unwrap_err();
        assert!(matches!(error, EngineError::Occupied { .. }), "{error}");
        let changes = "update shop.orders set note = 'x'; delete from shop.lines";
        server.psql("again", changes);
        let rows = RestoreOptions {
            clean: true,
            ..rows
        };
        restored(&server, "again", &backup, &rows);
        assert_same((&server, "shop"), (&server, "again"), &[]);
    }
}

fn only(tables: &[&str], clean: bool) -> RestoreOptions {
    RestoreOptions {
        only: tables.iter().map(|table| (*table).to_owned()).collect(),
        clean,
        ..RestoreOptions::default()
    }
}

#[test]
fn some_tables_come_back_into_a_database_that_lacks_them() {
    for version in PgVersion::all() {
        let server = shop(version);
        let backup = captured(&server, "shop");
        server.create_database("part", "");
        let options = only(&["shop.orders", "events"], false);
        let done = restored(&server, "part", &backup, &options);
        assert_eq!(done.tables, 3, "{done:?}");
        let words = ["-t", "shop.orders", "-t", "events*"];
        assert_same((&server, "shop"), (&server, "part"), &words);
        let tables = "select string_agg(relname, ' ' order by relname) from pg_class
            where relkind in ('r', 'p')
            and relnamespace in ('shop'::regnamespace, 'public'::regnamespace)";
        let there = server.psql("part", tables);
        assert_eq!(there, "events events_2025 events_rest orders");
        let next = "insert into shop.orders (note) values ('new') returning id";
        assert_eq!(server.psql("part", next).lines().next(), Some("5001"));
    }
}

#[test]
fn some_tables_that_are_there_get_their_rows_back_and_nothing_else_changes() {
    for version in PgVersion::all() {
        let server = shop(version);
        let backup = captured(&server, "shop");
        server.psql(
            "shop",
            "delete from shop.lines; update shop.orders set note = 'gone';
             update events set what = 'x'; create table mine as select 1 as a;
             create view orders_now as select * from shop.orders",
        );
        let error = restore(&server, "shop", &backup, &only(&["shop.orders"], false));
        let error = error.unwrap_err();
        assert!(matches!(error, EngineError::Occupied { .. }), "{error}");
        let both = only(&["shop.orders", "shop.lines"], true);
        restored(&server, "shop", &backup, &both);
        let kept = "select concat_ws(' ', (select count(*) from mine),
            (select count(*) from orders_now where note <> 'gone'),
            (select count(*) from shop.lines where what = 'seen'),
            (select count(*) from events where what = 'x'),
            (select count(*) from pg_constraint where contype = 'f' and conparentid = 0),
            (select tgenabled from pg_trigger where tgname = 'watch'))";
        assert_eq!(server.psql("shop", kept), "1 5000 0 500 2 O");
        // A row of another table whose parent the backup lacks: nothing changes.
        server.psql(
            "shop",
            "insert into shop.orders (note) values ('late');
             insert into shop.lines select max(id), 'late' from shop.orders",
        );
        let error = restore(&server, "shop", &backup, &only(&["shop.orders"], true));
        let error = error.unwrap_err();
        let is_touched = matches!(error, EngineError::TargetTouched { .. });
        assert!(!is_touched, "{}", described(&error));
        let count = "select count(*) from shop.orders";
        assert_eq!(server.psql("shop", count), "5001");
        let error = restore(&server, "shop", &backup, &only(&["nothing"], true));
        let error = error.unwrap_err();
        assert!(matches!(error, EngineError::NoSuchTable { .. }), "{error}");
    }
}
