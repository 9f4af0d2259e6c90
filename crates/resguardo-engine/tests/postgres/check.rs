//! Drills: what comes back into a throwaway server passes every check, and each fault fails the one that is
//! there for it.

use resguardo_engine::contract::with_run;
use resguardo_engine::port::{Engine as _, RestoreOptions};
use resguardo_model::CheckOutcome;
use resguardo_testkit::{PgServer, PgVersion};

use crate::world::{
    Site, assert_all_pass, captured, checked, described, drilled, engine_with, execute,
};

const SHOP: &str = "
    create role owner_of_all; create role clerk in role owner_of_all;
    create schema shop authorization owner_of_all;
    create table shop.customers (id int primary key, name text not null, note text check (note <> ''));
    insert into shop.customers select i, 'c' || i, repeat(md5(i::text), 3) from generate_series(1, 2000) i;
    create index by_name on shop.customers (name);
    create table shop.orders (id bigserial primary key, customer int references shop.customers);
    insert into shop.orders (customer) select 1 + i % 2000 from generate_series(1, 5000) i;
    alter table shop.orders owner to owner_of_all; grant select on shop.orders to clerk;
    create function shop.vat(n numeric) returns numeric language sql as 'select n * 0.19';
    create materialized view shop.totals as select customer, count(*) from shop.orders group by 1;
    create extension resguardo_fixture;
    create table _prisma_migrations (migration_name text, finished_at timestamptz, rolled_back_at timestamptz);
    insert into _prisma_migrations values ('1_init', now(), null), ('2_more', now() + '1 s', null);
    select lo_from_bytea(70001, 'hello');
    create table shop.odd (\"Ñame, \"\"x\"\"\" int); insert into shop.odd values (null), (7);";

/// What is done to a restored database, how it is undone, the checks that must fail, and a word of the first.
const FAULTS: [(&str, &str, &[&str], &str); 13] = [
    (
        "update shop.customers set note = note || 'x' where id = 1234",
        "update shop.customers set note = left(note, -1) where id = 1234",
        &["row digests"],
        "shop.customers",
    ),
    (
        "create table shop.kept as select * from shop.orders where id = 77; delete from shop.orders where id = 77;
         alter table shop.kept set schema pg_catalog",
        "",
        &["row counts", "row digests"],
        "shop.orders: 4999",
    ),
    ("select setval('shop.orders_id_seq', 4999)", "select setval('shop.orders_id_seq', 5000)", &["sequences"], "4999"),
    ("select setval('shop.orders_id_seq', 5000, false)", "select setval('shop.orders_id_seq', 5000)", &["sequences"], "not given out"),
    ("drop index shop.by_name", "create index by_name on shop.customers (name)", &["schema"], "by_name"),
    ("drop extension resguardo_fixture cascade", "", &["extensions", "schema"], "missing"),
    (
        "revoke select on shop.orders from clerk; drop role clerk",
        "",
        &["roles", "schema"],
        "clerk: missing",
    ),
    ("revoke owner_of_all from clerk", "grant owner_of_all to clerk", &["roles"], "clerk"),
    ("update pg_index set indisvalid = false where indexrelid = 'shop.by_name'::regclass", "update pg_index set indisvalid = true where indexrelid = 'shop.by_name'::regclass", &["indexes and constraints"], "shop.by_name"),
    (
        "create or replace function shop.vat(n numeric) returns numeric language sql as 'select n * 0.21'",
        "create or replace function shop.vat(n numeric) returns numeric language sql as 'select n * 0.19'",
        &["schema"],
        "FUNCTION shop.vat",
    ),
    (
        "refresh materialized view shop.totals with no data",
        "refresh materialized view shop.totals",
        &["materialized views"],
        "not populated",
    ),
    ("update _prisma_migrations set finished_at = null where migration_name = '2_more'", "", &["migration version", "row digests"], "1_init"),
    ("select lo_put(70001, 0, 'j')", "select lo_put(70001, 0, 'h')", &["large objects"], "5 bytes"),
];

#[test]
fn every_fault_fails_the_check_that_is_there_for_it() {
    for version in PgVersion::all() {
        let server = PgServer::start(version);
        server.create_database("shop", "");
        server.psql("shop", SHOP);
        let backup = captured(&server, "shop");
        drop(server);
        let mut site = Site::new();
        let mut target = drilled(version, &site, &backup);
        assert_all_pass(&*target, &backup, "untouched");
        for (fault, mended, failing, word) in FAULTS {
            execute(&*target, fault);
            let results = checked(&*target, &backup);
            for name in failing {
                let result = results.iter().find(|result| result.name == *name).unwrap();
                assert_eq!(
                    result.outcome,
                    CheckOutcome::Failed,
                    "{version}: {fault}: {results:#?}"
                );
            }
            let first = results
                .iter()
                .find(|result| result.name == failing[0])
                .unwrap();
            let told = format!("{} {}", first.actual, first.detail);
            assert!(told.contains(word), "{version}: {fault}: {first:#?}");
            if mended.is_empty() {
                target.close().unwrap();
                site = Site::new();
                target = drilled(version, &site, &backup);
            } else {
                execute(&*target, mended);
            }
        }
        assert_all_pass(&*target, &backup, "mended");
        target.close().unwrap();
        assert!(!site.is_alive());
    }
}

#[test]
fn corruption_is_found_where_the_extension_for_it_is_there() {
    for version in PgVersion::all() {
        let server = PgServer::start(version);
        server.psql(
            "postgres",
            "create function turned(int) returns int immutable language sql as 'select $1';
             create table t (a int); insert into t select generate_series(1, 1000);
             create index on t (turned(a))",
        );
        let backup = captured(&server, "postgres");
        drop(server);
        let site = Site::new();
        let target = drilled(version, &site, &backup);
        let deep = || with_run(|run| target.check_deeply(run)).remove(0);
        let untouched = deep();
        if !version.has_contrib() {
            assert_eq!(untouched.outcome, CheckOutcome::Error, "{untouched:#?}");
            assert!(untouched.detail.contains("amcheck"), "{untouched:#?}");
            continue;
        }
        assert_eq!(untouched.outcome, CheckOutcome::Passed, "{untouched:#?}");
        // The index is not what its expression says any more.
        execute(
            &*target,
            "create or replace function turned(int) returns int immutable language sql as 'select -$1'",
        );
        let result = deep();
        assert_eq!(result.outcome, CheckOutcome::Failed, "{result:#?}");
        assert!(result.detail.contains("t_turned_idx"), "{result:#?}");
    }
}

#[test]
fn a_backup_of_an_older_major_is_compared_by_what_both_know() {
    let server = PgServer::start(PgVersion::V15);
    server.create_database("shop", "");
    server.psql("shop", SHOP);
    let backup = captured(&server, "shop");
    let site = Site::new();
    let facts = backup.facts.as_ref();
    // Only the newer one is installed.
    let engine = engine_with(vec![PgVersion::V18.bin_dir()]);
    drop(server);
    let mut older = facts.unwrap().clone();
    older.server_version = "17.1".to_owned();
    let target = with_run(|run| engine.open_sandbox(&site, Some(&older), run)).unwrap();
    let restored = with_run(|run| target.restore(&backup, &RestoreOptions::default(), run));
    let restored = restored.unwrap_or_else(|error| panic!("{}", described(&error)));
    assert!(
        restored
            .notes
            .iter()
            .any(|note| note.contains("PostgreSQL 18")),
        "{restored:?}"
    );
    assert_all_pass(&*target, &backup, "15 in 18");
    execute(&*target, "drop index shop.by_name");
    let results = checked(&*target, &backup);
    let schema = results
        .iter()
        .find(|result| result.name == "schema")
        .unwrap();
    assert_eq!(schema.outcome, CheckOutcome::Failed);
    assert!(
        schema.actual.contains("INDEX shop.by_name is missing"),
        "{schema:#?}"
    );
    assert!(schema.detail.contains("not compared"), "{schema:#?}");
}
