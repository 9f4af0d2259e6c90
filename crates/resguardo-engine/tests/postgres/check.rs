//! Drills: what comes back into a throwaway server passes every check, and each fault fails the one that is
//! there for it.

use resguardo_model::CheckOutcome;
use resguardo_testkit::{PgServer, PgVersion};

use crate::world::{Site, assert_all_pass, captured, checked, drilled, execute};

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
