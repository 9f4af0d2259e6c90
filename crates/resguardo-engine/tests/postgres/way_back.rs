//! The way back without Resguardo: what `rows.sql` says at its head, with plain tools.

use std::path::Path;
use std::process::Stdio;

use resguardo_engine::contract::MemoryBackup;
use resguardo_engine::port::BackupReader as _;
use resguardo_testkit::{PgServer, PgVersion, fixture};
use serde_json::Value;

use crate::capture::{capture, inventory, read, shop};

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
