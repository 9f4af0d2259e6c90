//! Captures: what a backup holds, and that it brings everything back with plain tools.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use resguardo_engine::contract::{MemoryBackup, MemorySink, with_run};
use resguardo_engine::port::{BackupReader as _, CaptureRequest, Captured, Engine as _, Location};
use resguardo_model::EngineKind;
use resguardo_testkit::{PgServer, PgVersion, fixture};
use serde_json::Value;

use crate::world::{described, engine};

/// Of everything a little, in the database `shop`.
const SHOP: &str = r#"
    create role shop_owner; create role "clerk's" login in role shop_owner;
    alter role "clerk's" set search_path = "$user", shop, public;
    create schema shop authorization shop_owner;
    create table shop.orders (id bigint generated always as identity primary key, note text,
        twice bigint generated always as (length(note) * 2) stored, at timestamptz default now());
    insert into shop.orders (note) select repeat(md5(i::text), 20) from generate_series(1, 40000) i;
    alter table shop.orders owner to shop_owner;
    create index on shop.orders (note);
    create table public."odd ""name' \ ñ" ("select" int, "a b" text);
    insert into public."odd ""name' \ ñ" values (1, E'tab\t newline\n back\\ null'), (null, null), (null, '');
    create table empty (x int);
    create table no_columns ();
    insert into no_columns select from generate_series(1, 3);
    create table events (at date, what text) partition by range (at);
    create table events_2025 partition of events for values from ('2025-01-01') to ('2026-01-01');
    create table events_rest partition of events default;
    insert into events select '2025-06-01'::date + i, i from generate_series(1, 500) i;
    create table parent (a int); create table child (b int) inherits (parent);
    insert into parent values (1), (1); insert into child values (2, 3);
    create unlogged table quick (a int); insert into quick values (7);
    create materialized view totals as select count(*) as n from events;
    create sequence free start 5 increment 7; select nextval('free'), nextval('free');
    create sequence untouched;
    select lo_from_bytea(70001, '\x00ff00'), lo_from_bytea(70002, ''), lo_from_bytea(70003, decode(repeat('ab', 600000), 'hex'));
    create extension resguardo_fixture;
    create table schema_migrations (version varchar primary key);
    insert into schema_migrations values ('20250101000000'), ('20260301120000');
"#;

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

/// Lays a backup out in a folder and follows what `rows.sql` says at its head.
pub(crate) fn bring_back(server: &PgServer, backup: &MemoryBackup, folder: &Path, database: &str) {
    for file in backup.files() {
        let path = folder.join(file.path.as_str());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, read(backup, file.path.as_str())).unwrap();
    }
    let run = |program: &str, words: &[&str]| {
        let output = server
            .command(program, database)
            .args(words)
            .current_dir(folder)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {words:?}: {said}");
    };
    let psql = |file| run("psql", &["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", file]);
    let restore = |words: &[&str]| {
        run(
            "pg_restore",
            &[&["-d", database, "--exit-on-error"], words].concat(),
        );
    };
    psql("globals.sql");
    restore(&["--section=pre-data", "schema.dump"]);
    psql("rows.sql");
    if folder.join("large-objects.dump").exists() {
        restore(&["large-objects.dump"]);
    }
    restore(&["--section=post-data", "schema.dump"]);
}

/// Brings a database back on another server with plain tools, and compares what is captured there.
fn comes_back_the_same(server: &PgServer, database: &str, extra: &str) {
    let version = server.version();
    {
        let (backup, before) = capture(server, database);
        let folder = tempfile::tempdir().unwrap();
        let other = PgServer::start(version);
        other.create_database(database, &format!("TEMPLATE template0 {extra}"));
        bring_back(&other, &backup, folder.path(), database);
        let (again, after) = capture(&other, database);
        assert_eq!(before.facts.tables, after.facts.tables, "{version}");
        assert_eq!(
            before.facts.schema_sha256, after.facts.schema_sha256,
            "{version}"
        );
        let (before, after) = (inventory(&backup), inventory(&again));
        for part in [
            "extensions",
            "roles",
            "large_objects",
            "matviews",
            "migration",
        ] {
            assert_eq!(before[part], after[part], "{version}: {part}");
        }
        let standing = |inventory: &Value| -> Vec<Value> {
            let sequences = inventory["sequences"].as_array().unwrap();
            let fields = ["schema", "name", "last_value", "is_called"];
            let fields = |s: &Value| fields.map(|field| s[field].clone()).to_vec().into();
            sequences.iter().map(fields).collect()
        };
        assert_eq!(standing(&before), standing(&after), "{version}");
    }
}

#[test]
fn plain_tools_bring_a_backup_back_and_it_is_the_same() {
    for version in PgVersion::all() {
        comes_back_the_same(&shop(version), "shop", "");
    }
}

#[test]
fn plain_tools_bring_everything_that_a_database_can_hold_back() {
    for version in PgVersion::all() {
        let server = PgServer::start(version);
        server.create_database("truth", "");
        fixture::load(&server, "truth");
        comes_back_the_same(&server, "truth", "");
    }
}

#[test]
fn databases_of_other_encodings_come_back_byte_by_byte() {
    for version in PgVersion::all() {
        let server = PgServer::start(version);
        fixture::make_latin(&server, "latin");
        comes_back_the_same(
            &server,
            "latin",
            "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'",
        );
        fixture::make_ascii(&server, "ascii");
        comes_back_the_same(
            &server,
            "ascii",
            "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'",
        );
    }
}
