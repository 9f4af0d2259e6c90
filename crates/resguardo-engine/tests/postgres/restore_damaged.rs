//! Restores of backups that are damaged: nothing is given up for them, and nothing that is missing passes.

use resguardo_engine::contract::{MemoryBackup, with_run};
use resguardo_engine::port::{Engine as _, EngineError, RestoreOptions, RestorePart};
use resguardo_model::FilePath;
use resguardo_testkit::{PgServer, PgVersion};

use crate::restore::{assert_same, restore, restored, shop};
use crate::world::{Site, captured, clean, described, engine};

/// Takes the last row of the orders away.
fn cut_orders(backup: &mut MemoryBackup) {
    let mut paths = backup.files.keys();
    let path = paths.find(|path| path.as_str().starts_with("rows/shop.orders"));
    let path: FilePath = path.unwrap().clone();
    let (_, rows) = backup.files.get_mut(&path).unwrap();
    rows.pop();
    let line = rows.iter().rposition(|byte| *byte == b'\n').unwrap();
    rows.truncate(line + 1);
}

#[test]
fn what_is_there_does_not_make_way_for_a_damaged_backup() {
    for version in PgVersion::all() {
        let server = shop(version);
        let backup = captured(&server, "shop");
        server.create_database("there", "template shop");
        server.psql("there", "create table mine as select 1 as a");
        server.create_database("as it was", "template there");
        let mut without_rows = backup.clone();
        cut_orders(&mut without_rows);
        let mut without_objects = backup.clone();
        let objects: FilePath = "large-objects.dump".parse().unwrap();
        without_objects.files.remove(&objects).unwrap();
        for damaged in [&without_rows, &without_objects] {
            let error = restore(&server, "there", damaged, &clean()).unwrap_err();
            let is_touched = matches!(error, EngineError::TargetTouched { .. });
            assert!(!is_touched, "{}", described(&error));
            assert_same((&server, "as it was"), (&server, "there"), &[]);
        }
        let rows = RestoreOptions {
            part: RestorePart::Data,
            ..clean()
        };
        restore(&server, "there", &without_objects, &rows).unwrap_err();
        assert_same((&server, "as it was"), (&server, "there"), &[]);
        restored(&server, "there", &backup, &clean());
        assert_same((&server, "shop"), (&server, "there"), &[]);
    }
}

/// An archive of as many large objects with other bytes in them.
fn other_objects(server: &PgServer) -> Vec<u8> {
    server.create_database("objects", "");
    server.psql(
        "objects",
        "select lo_from_bytea(70001, 'x'), lo_from_bytea(70002, ''), lo_from_bytea(70003, 'y')",
    );
    let mut dump = server.command("pg_dump", "objects");
    let output = dump
        .args(["-Fc", "--section=data", "--blobs"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

#[test]
fn large_objects_that_are_there_with_other_bytes_are_no_success() {
    for version in PgVersion::all() {
        let server = shop(version);
        let mut backup = captured(&server, "shop");
        let archive = other_objects(&server);
        let (_, objects) = backup
            .files
            .get_mut(&"large-objects.dump".parse().unwrap())
            .unwrap();
        *objects = archive;
        server.create_database("again", "");
        let options = RestoreOptions::default();
        let error = restore(&server, "again", &backup, &options).unwrap_err();
        let words = described(&error);
        assert!(
            words.contains("3 of 3 are there, with 2 bytes of"),
            "{version}: {words}"
        );
    }
}

#[test]
fn a_sandbox_is_not_to_be_restored_again() {
    let server = shop(PgVersion::V15);
    let mut backup = captured(&server, "shop");
    cut_orders(&mut backup);
    let site = Site::new();
    let facts = backup.facts.clone();
    let target = with_run(|run| engine(PgVersion::V15).open_sandbox(&site, facts.as_ref(), run));
    let target = target.unwrap_or_else(|error| panic!("{}", described(&error)));
    let restored = with_run(|run| target.restore(&backup, &RestoreOptions::default(), run));
    let words = described(&restored.unwrap_err());
    assert!(
        words.contains("5000 rows") && !words.contains("--clean"),
        "{words}"
    );
}
