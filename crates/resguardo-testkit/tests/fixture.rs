//! The fixture databases: they load on every major, and PostgreSQL's own tools give them back equal.
//!
//! What those tools do not give back equal is held here too, so that a change of theirs is noticed.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test: runs programs, unwraps"
)]

use std::process::Command;

use resguardo_testkit::fixture::{self, Extra, ODD_DATABASE};
use resguardo_testkit::{PgServer, PgVersion};

#[test]
fn everything_comes_back_equal_on_every_major() {
    for version in PgVersion::all() {
        let source = PgServer::start(version);
        source.create_database(ODD_DATABASE, "");
        fixture::load(&source, ODD_DATABASE);
        fixture::add(&source, ODD_DATABASE, Extra::Subscription);
        let target = beside(&source);
        let text = dump(&source, ODD_DATABASE);
        assert!(text.len() > 5_000_000, "{version}: {} bytes", text.len());

        target.psql("postgres", &text);
        same(&text, &dump(&target, ODD_DATABASE), version);
        assert_eq!(globals(&source), globals(&target), "{version}");
        let other = beside(&source);
        restore_archive(&source, &other, ODD_DATABASE);
        same(&text, &dump(&other, ODD_DATABASE), version);
    }
}

#[test]
fn the_fixture_loads_twice_into_one_server() {
    let server = PgServer::start(PgVersion::V18);
    for database in ["one", "two"] {
        server.create_database(database, "");
        fixture::load(&server, database);
    }
    let count = "SELECT count(*) FROM truth.many_rows";
    assert_eq!(server.psql("one", count), server.psql("two", count));
}

#[test]
fn huge_values_come_back_equal() {
    let source = PgServer::start(PgVersion::V18);
    source.create_database("huge", "");
    fixture::add(&source, "huge", Extra::HugeValues);
    let lengths = "SELECT count(*) FROM huge.huge_values
        WHERE 100000000 IN (length(letters), length(bytes))";
    assert_eq!(source.psql("huge", lengths), "4");
    let target = beside(&source);
    restore_archive(&source, &target, "huge");
    let digest = "SELECT md5(string_agg(id || what || coalesce(md5(letters), '-')
        || coalesce(md5(bytes), '-'), ',' ORDER BY id)) FROM huge.huge_values";
    assert_eq!(source.psql("huge", digest), target.psql("huge", digest));
}

#[test]
fn other_encodings_come_back_equal_on_every_major() {
    for version in PgVersion::all() {
        let source = PgServer::start(version);
        fixture::make_latin(&source, "latin");
        fixture::make_ascii(&source, "ascii");
        let bytes = "SELECT count(DISTINCT value) FROM bytes_as_text";
        assert_eq!(source.psql("ascii", bytes), "260", "{version}");
        let target = beside(&source);
        for database in ["latin", "ascii"] {
            restore_archive(&source, &target, database);
            let [before, after] = [&source, &target].map(|server| dump_bytes(server, database));
            assert!(before == after, "{version}: {database}");
            assert_eq!(
                target.psql(database, "SHOW server_encoding"),
                source.psql(database, "SHOW server_encoding")
            );
        }
        let letters = "SELECT count(*) FROM \"año\".letters WHERE code = ascii(letter)";
        assert_eq!(target.psql("latin", letters), "255", "{version}");
    }
}

#[test]
fn settings_of_the_database_come_back_with_it_alone() {
    for version in PgVersion::all() {
        let source = PgServer::start(version);
        source.create_database("settings", "");
        fixture::load(&source, "settings");
        fixture::add(&source, "settings", Extra::DatabaseSettings);
        let target = beside(&source);
        restore_archive(&source, &target, "settings");
        let question = "SELECT unnest(setconfig) FROM pg_db_role_setting
            WHERE setdatabase <> 0 ORDER BY setrole, 1";
        let settings = source.psql("postgres", question);
        assert_eq!(settings.lines().count(), 15, "{settings}");
        assert_eq!(settings, target.psql("postgres", question), "{version}");
        same(
            &dump(&source, "settings"),
            &dump(&target, "settings"),
            version,
        );
    }
}

#[test]
fn what_the_tools_give_back_otherwise() {
    for version in PgVersion::all() {
        let source = PgServer::start(version);
        source.create_database("other", "");
        fixture::add(&source, "other", Extra::Otherwise);
        fixture::add(&source, "other", Extra::HashOfEnum);
        let target = beside(&source);
        restore_archive(&source, &target, "other");
        // All rows are there, but the columns stand in another order, and rows lie in other partitions.
        for (table, columns) in [
            ("otherwise.child", "a, own, other, late, latest"),
            ("otherwise.joined", "own, a, latest, late"),
            ("moving.by_label", "label, id"),
        ] {
            let rows = format!("SELECT {columns} FROM {table} ORDER BY {columns}");
            assert_eq!(source.psql("other", &rows), target.psql("other", &rows));
        }
        let columns = "SELECT attname FROM pg_attribute
            WHERE attrelid = 'otherwise.child'::regclass AND attnum > 0 ORDER BY attnum";
        assert_eq!(source.psql("other", columns), "a\nown\nother\nlate\nlatest");
        assert_eq!(target.psql("other", columns), "a\nlate\nlatest\nown\nother");
        let places =
            "SELECT label, tableoid::regclass FROM moving.by_label GROUP BY 1, 2 ORDER BY 1, 2";
        assert_ne!(
            source.psql("other", places),
            target.psql("other", places),
            "{version}"
        );
    }
}

/// A server of the same major with the same roles and no database of its own.
fn beside(source: &PgServer) -> PgServer {
    let target = PgServer::start(source.version());
    let roles = globals(source);
    let made: String = roles
        .lines()
        .filter(|line| !line.contains("ROLE postgres"))
        .map(|line| format!("{line}\n"))
        .collect();
    target.psql("postgres", &made);
    target
}

fn globals(server: &PgServer) -> String {
    let mut command = server.command("pg_dumpall", "postgres");
    String::from_utf8(output(command.args(["--globals-only", RESTRICT]))).unwrap()
}

/// Otherwise it is drawn anew for every dump.
const RESTRICT: &str = "--restrict-key=x";

/// The whole database as text, with its settings.
fn dump(server: &PgServer, database: &str) -> String {
    String::from_utf8(dump_bytes(server, database)).unwrap()
}

fn dump_bytes(server: &PgServer, database: &str) -> Vec<u8> {
    let mut command = server.command("pg_dump", database);
    // The database may say that its clients speak LATIN1.
    let encoding = server.psql(database, "SHOW server_encoding");
    output(command.args(["--create", RESTRICT, "--encoding", &encoding]))
}

fn restore_archive(source: &PgServer, target: &PgServer, database: &str) {
    let encoding = source.psql(database, "SHOW server_encoding");
    let archive = target.folder().join("dump");
    let mut command = source.command("pg_dump", database);
    command.args(["-Fc", "-Z0", "--encoding", &encoding, "-f"]);
    output(command.arg(&archive));
    let mut command = target.command("pg_restore", "postgres");
    command.args(["--create", "--exit-on-error", "-d", "postgres"]);
    // Of itself it would be read-only.
    command.env("PGOPTIONS", "-c default_transaction_read_only=off");
    output(command.arg(&archive));
    std::fs::remove_file(archive).unwrap();
}

fn output(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// Megabytes are not shown whole.
fn same(before: &str, after: &str, version: PgVersion) {
    let mut lines = before.lines().zip(after.lines()).enumerate();
    if let Some((number, (one, other))) = lines.find(|(_, (one, other))| one != other) {
        panic!("{version}, line {}: {one:?} became {other:?}", number + 1);
    }
    assert_eq!(before.len(), after.len(), "{version}");
}
