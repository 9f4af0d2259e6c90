//! Captures: what a backup holds, and that it brings everything back with plain tools.

use std::collections::BTreeSet;

use resguardo_engine::contract::{MemoryBackup, MemorySink, with_run};
use resguardo_engine::port::{
    BackupReader as _, CaptureRequest, Captured, Engine as _, EngineError, Location,
};
use resguardo_model::EngineKind;
use resguardo_testkit::{PgServer, PgServerOptions, PgVersion, fixture};
use serde_json::Value;

use crate::way_back::bring_back;
use crate::world::{described, engine};

/// Of everything a little, in the database `shop`.
const SHOP: &str = concat!(
    a_little_of_everything!(),
    r#"
    create role shop_owner; create role "clerk's" login in role shop_owner;
    alter role "clerk's" set search_path = "$user", shop, public;
    create schema shop authorization shop_owner;
    create table shop.orders (id bigint generated always as identity primary key, note text,
        twice bigint generated always as (length(note) * 2) stored, at timestamptz default now());
    insert into shop.orders (note) select repeat(md5(i::text), 20) from generate_series(1, 40000) i;
    alter table shop.orders owner to shop_owner;
    create index on shop.orders (note);
    create table schema_migrations (version varchar primary key);
    insert into schema_migrations values ('20250101000000'), ('20260301120000');
"#
);

pub(crate) fn shop(version: PgVersion) -> PgServer {
    let server = PgServer::start(version);
    server.create_database("shop", "");
    server.psql("shop", SHOP);
    server
}

pub(crate) fn capture(server: &PgServer, database: &str) -> (MemoryBackup, Captured) {
    let sink = MemorySink::new();
    let request = CaptureRequest::new(Location::new(server.url(database)));
    let captured = with_run(|run| engine(server.version()).capture(&request, &sink, run));
    let captured = captured.unwrap_or_else(|error| panic!("{}", described(&error)));
    (sink.into_backup(Some(captured.facts.clone())), captured)
}

pub(crate) fn read(backup: &MemoryBackup, path: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut stream = backup.open_stream(&path.parse().unwrap()).unwrap();
    std::io::Read::read_to_end(&mut stream, &mut bytes).unwrap();
    bytes
}

pub(crate) fn inventory(backup: &MemoryBackup) -> Value {
    serde_json::from_slice(&read(backup, "inventory.json")).unwrap()
}

#[test]
fn a_backup_holds_everything_and_counts_it() {
    for version in PgVersion::all() {
        let server = shop(version);
        let (backup, captured) = capture(&server, "shop");
        assert!(!server.log().contains("unexpected EOF"), "{}", server.log());
        let facts = &captured.facts;
        assert_eq!(facts.engine, EngineKind::Postgres);
        let rows = |name: &str| {
            let table = facts.tables.iter().find(|table| table.name == name);
            table.unwrap_or_else(|| panic!("no table {name}")).rows
        };
        for (name, expected) in [
            ("shop.orders", 40_000),
            ("public.odd \"name' \\ ñ", 3),
            ("public.empty", 0),
            ("public.no_columns", 3),
            ("public.events_2025", 213),
            ("public.parent", 2),
            ("public.child", 1),
            ("public.quick", 1),
        ] {
            assert_eq!(rows(name), expected, "{version}: {name}");
        }
        assert!(
            facts
                .tables
                .iter()
                .all(|table| table.name != "public.events")
        );
        let inventory = inventory(&backup);
        let orders = &inventory["tables"].as_array().unwrap().iter();
        let orders = orders
            .clone()
            .find(|table| table["name"] == "orders")
            .unwrap();
        let files = orders["files"].as_array().unwrap();
        assert!(files.len() > 2, "{version}: {files:?}");
        let counted: u64 = files
            .iter()
            .map(|file| file["rows"].as_u64().unwrap())
            .sum();
        assert_eq!(counted, 40_000);
        assert!(
            !orders["columns"]
                .as_array()
                .unwrap()
                .contains(&"twice".into())
        );
        assert_eq!(inventory["large_objects"]["count"], 3);
        assert_eq!(inventory["large_objects"]["bytes"], 600_003);
        assert_eq!(inventory["migration"]["version"], "20260301120000");
        let paths: BTreeSet<String> = backup.files().iter().map(|f| f.path.to_string()).collect();
        for path in [
            "globals.sql",
            "schema.dump",
            "rows.sql",
            "large-objects.dump",
        ] {
            assert!(paths.contains(path), "{paths:?}");
        }
        let globals = String::from_utf8(read(&backup, "globals.sql")).unwrap();
        assert!(
            globals.contains("CREATE ROLE \"clerk's\" WITH"),
            "{globals}"
        );
        assert!(
            globals.contains("GRANT \"shop_owner\" TO \"clerk's\""),
            "{globals}"
        );
    }
}

/// Captures with a say in how.
fn capture_with(
    server: &PgServer,
    database: &str,
    change: impl FnOnce(&mut CaptureRequest),
) -> Result<(MemoryBackup, Captured), EngineError> {
    let sink = MemorySink::new();
    let mut request = CaptureRequest::new(Location::new(server.url(database)));
    change(&mut request);
    let captured = with_run(|run| engine(server.version()).capture(&request, &sink, run))?;
    Ok((sink.into_backup(None), captured))
}

#[test]
fn a_backup_under_load_is_consistent() {
    for version in PgVersion::all() {
        let server = PgServer::start(version);
        server.pgbench("postgres", &["-i", "-q", "-s", "3", "--foreign-keys"]);
        let load = server.pgbench_meanwhile("postgres", &["-n", "-T", "600", "-c", "4"]);
        let busy = "select count(*) > 300 from pgbench_history";
        while server.psql("postgres", busy) != "t" {}
        let (backup, captured) = capture(&server, "postgres");
        drop(load);
        let history = captured.facts.tables.iter();
        let history = history
            .clone()
            .find(|table| table.name == "public.pgbench_history");
        assert!(history.unwrap().rows > 300);
        let folder = tempfile::tempdir().unwrap();
        server.create_database("back", "TEMPLATE template0");
        bring_back(&server, &backup, folder.path(), "back");
        let sums = "select (select sum(abalance) from pgbench_accounts), \
            (select sum(bbalance) from pgbench_branches), (select sum(tbalance) from pgbench_tellers), \
            (select sum(delta) from pgbench_history)";
        let sums = server.psql("back", sums);
        let sums: Vec<&str> = sums.split('|').collect();
        assert!(
            !sums[0].is_empty() && sums.iter().all(|sum| *sum == sums[0]),
            "{version}: {sums:?}"
        );
    }
}

#[test]
fn tables_that_come_go_and_are_emptied_meanwhile_do_not_spoil_a_backup() {
    for version in PgVersion::all() {
        let server = PgServer::start(version);
        server.psql(
            "postgres",
            "create table kept (a int); insert into kept select generate_series(1, 1000); \
             create table other (a int);",
        );
        let script = server.folder().join("ddl.sql");
        std::fs::write(
            &script,
            "begin; truncate kept; insert into kept select generate_series(1, 1000); commit;\n\
             begin; drop table other; create table other (a int); insert into other values (1); commit;\n\
             create table if not exists passing (a int);\ndrop table passing;\n\
             begin; alter table kept add column b int default 1; alter table kept drop column b; commit;\n",
        )
        .unwrap();
        let script = script.to_string_lossy();
        let load = server.pgbench_meanwhile("postgres", &["-n", "-T", "600", "-f", &script]);
        for _ in 0..3 {
            let (_, captured) = match capture_with(&server, "postgres", |_| ()) {
                Ok(captured) => captured,
                // An honest answer where there is never a quiet moment.
                Err(EngineError::Busy { .. }) => continue,
                Err(error) => panic!("{version}: {}", described(&error)),
            };
            let rows = |name: &str| {
                let mut tables = captured.facts.tables.iter();
                tables
                    .find(|table| table.name == name)
                    .map(|table| table.rows)
            };
            assert_eq!(rows("public.kept"), Some(1000), "{version}");
            assert!(matches!(rows("public.other"), Some(0 | 1)), "{version}");
        }
        drop(load);
    }
}

#[test]
fn ranges_of_a_large_table_are_the_whole_table() {
    for version in PgVersion::all() {
        let server = PgServer::start(version);
        server.psql(
            "postgres",
            "create table large (id bigint primary key, t text, filler text) with (fillfactor = 60); \
             insert into large select i, md5(i::text), repeat('x', i % 700) from generate_series(1, 150000) i; \
             update large set t = t || '!' where id % 10 = 0; delete from large where id between 30000 and 60000; \
             create table long (id int, t text); alter table long alter t set storage external; \
             insert into long select i, repeat(md5(i::text), 5000) from generate_series(1, 300) i;",
        );
        let (backup, captured) = capture(&server, "postgres");
        let inventory = inventory(&backup);
        for table in inventory["tables"].as_array().unwrap() {
            let files = table["files"].as_array().unwrap();
            let is_long = table["name"] == "long";
            assert!(
                files.len() >= if is_long { 2 } else { 4 },
                "{version}: {table}"
            );
            let sizes = files.iter().map(|file| file["bytes"].as_u64().unwrap());
            assert!(
                is_long || sizes.max().unwrap() < 16 << 20,
                "{version}: {table}"
            );
            let name = table["name"].as_str().unwrap();
            let counted = server.psql("postgres", &format!("select count(*) from {name}"));
            assert_eq!(table["rows"].to_string(), counted);
        }
        // The same rows in another order and in one piece.
        server.psql(
            "postgres",
            "alter table large set (fillfactor = 100); cluster large using large_pkey",
        );
        let (_, again) =
            capture_with(&server, "postgres", |request| request.jobs = Some(1)).unwrap();
        let digest = |captured: &Captured, name: &str| {
            let mut tables = captured.facts.tables.iter();
            tables.find(|table| table.name == name).unwrap().clone()
        };
        for name in ["public.large", "public.long"] {
            assert_eq!(digest(&captured, name), digest(&again, name), "{version}");
        }
    }
}

#[test]
fn a_standby_is_captured_and_what_it_lacks_is_named() {
    for version in [PgVersion::V15, PgVersion::V18] {
        let primary = shop(version);
        let standby = primary.standby();
        standby.catch_up_with(&primary);
        let (backup, captured) = capture(&standby, "shop");
        let (_, expected) = capture(&primary, "shop");
        let logged = |captured: &Captured| {
            let tables = captured.facts.tables.iter();
            let logged = tables.filter(|table| table.name != "public.quick");
            logged.cloned().collect::<Vec<_>>()
        };
        assert_eq!(logged(&captured), captured.facts.tables, "{version}");
        assert_eq!(logged(&captured), logged(&expected), "{version}");
        let left_out = inventory(&backup)["left_out"].to_string();
        assert!(
            left_out.contains("\\\"quick\\\" holds: a standby"),
            "{left_out}"
        );
    }
}

#[test]
fn ten_thousand_tables() {
    let version = PgVersion::V18;
    let options = PgServerOptions::new(version).setting("max_locks_per_transaction", "256");
    let server = PgServer::start_with(options);
    server.psql(
        "postgres",
        "do $$ begin for i in 1..10000 loop \
           execute format('create table t%s (id int generated always as identity primary key, a text)', i); \
           if i % 100 = 0 then execute format('insert into t%s (a) values (%L)', i, i); commit; end if; \
         end loop; end $$",
    );
    let (backup, captured) = capture(&server, "postgres");
    assert_eq!(captured.facts.tables.len(), 10_000);
    assert_eq!(captured.facts.rows(), 100);
    assert_eq!(captured.facts.details["sequences"], 10_000);
    // What is empty needs no file.
    let rows = backup.files().into_iter();
    assert_eq!(
        rows.filter(|file| file.path.as_str().starts_with("rows/"))
            .count(),
        100
    );
}

#[test]
fn values_of_a_hundred_megabytes_are_captured() {
    let version = PgVersion::V15;
    let server = PgServer::start(version);
    server.create_database("huge", "");
    fixture::add(&server, "huge", fixture::Extra::HugeValues);
    let (_, captured) = capture(&server, "huge");
    assert!(captured.facts.rows() > 0);
    let (_, again) = capture(&server, "huge");
    assert_eq!(captured.facts.tables, again.facts.tables);
}

#[test]
fn no_password_is_in_any_file() {
    let version = PgVersion::V16;
    let server = PgServer::start(version);
    server.create_database("truth", "");
    fixture::load(&server, "truth");
    server.psql(
        "truth",
        "create role \"one more\" password 'never-in-any-backup' in role fixture_owner",
    );
    let (backup, _) = capture(&server, "truth");
    let needle = fixture::PASSWORD.as_bytes();
    let verifier = b"SCRAM-SHA-256";
    for file in backup.files() {
        let bytes = read(&backup, file.path.as_str());
        for secret in [needle, verifier] {
            let found = bytes.windows(secret.len()).any(|window| window == secret);
            assert!(!found, "{}", file.path);
        }
    }
}
