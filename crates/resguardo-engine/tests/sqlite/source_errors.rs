//! Every way in which a source cannot be read has its name.

use std::path::Path;
use std::time::Duration;

use resguardo_engine::contract::{MemorySink, capture, request, with_run};
use resguardo_engine::port::{Allowed, CaptureRequest, Engine as _, EngineError, Location};
use resguardo_engine::sqlite::SqliteEngine;
use resguardo_model::Severity;
use rusqlite::Connection;

use crate::shop::{Shop, crashed_with_log};

fn error_at(path: &Path) -> EngineError {
    let engine = SqliteEngine::new(path.with_file_name("scratch"));
    let location = Location::new(path.to_str().unwrap());
    let probed = engine.probe("source shop", &location);
    assert!(
        probed.iter().any(|one| one.severity == Severity::Problem),
        "{probed:?}"
    );
    capture(&engine, &location).expect_err("it cannot be captured")
}

#[test]
fn what_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["missing.db", "missing/shop.db"] {
        let error = error_at(&folder.path().join(name));
        assert!(matches!(error, EngineError::Missing { .. }), "{error}");
    }
    assert_eq!(crate::shop::listing(folder.path()), [""; 0]);
}

#[test]
fn what_is_no_database() {
    let folder = tempfile::tempdir().unwrap();
    let noise: Vec<u8> = (0..8192u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    for (name, bytes, words) in [
        ("empty.db", &b""[..], "empty"),
        ("text.db", b"id;name\n1;ana\n", "the text"),
        ("short.db", b"SQLite format 3\0", "header"),
        ("dump.db", b"PGDMP\x01\x0e\x00", "PostgreSQL"),
        ("sealed.db", &noise, "encrypted"),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let error = error_at(&path);
        assert!(
            matches!(error, EngineError::NotThatKind { .. }),
            "{name}: {error}"
        );
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "{name} was touched");
    }
    let error = error_at(folder.path());
    assert!(error.to_string().contains("a folder"), "{error}");
}

#[test]
fn what_is_locked_names_its_holder_and_the_wait() {
    for script in [
        "pragma journal_mode = delete; begin exclusive",
        "pragma journal_mode = wal; pragma locking_mode = exclusive; begin immediate;
         insert into changed values ('x')",
    ] {
        let shop = Shop::new("delete", 3, 0);
        let holder = shop.connect();
        holder.execute_batch(script).unwrap();
        let impatient = CaptureRequest {
            lock_timeout: Duration::from_millis(100),
            ..request(&shop.location())
        };
        let sink = MemorySink::new();
        let error =
            with_run(|run| shop.engine.capture(&impatient, &sink, run)).expect_err("locked");
        assert!(matches!(error, EngineError::Busy { .. }), "{error}");
        assert!(error.to_string().contains("waited 0.1 s"), "{error}");
        let holder_named = format!("process {} ", std::process::id());
        assert!(error.to_string().contains(&holder_named), "{error}");
        assert!(!error.is_permanent());
        drop(holder);
        capture(&shop.engine, &shop.location()).expect("nobody holds it any more");
    }
}

fn damage(path: &Path, from: usize, to: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    let to = to.min(bytes.len());
    bytes[from..to].fill(0xa5);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn what_is_damaged() {
    let inside = Shop::new("wal", 300, 0);
    damage(&inside.path, 5 * 4096, 60 * 4096);
    let schema = Shop::new("delete", 300, 0);
    damage(&schema.path, 100, 4096);
    let short = Shop::new("delete", 300, 0);
    let bytes = std::fs::read(&short.path).unwrap();
    std::fs::write(&short.path, &bytes[..bytes.len() / 2]).unwrap();
    for shop in [&schema, &short] {
        assert!(shop.engine.is_damaged(&shop.location()));
    }
    let missing = Location::new("/nowhere/shop.sqlite");
    assert!(!short.engine.is_damaged(&missing), "it is not there at all");
    for shop in [&schema, &short, &inside] {
        let error =
            capture(&shop.engine, &shop.location()).expect_err("a damaged database is no source");
        assert!(matches!(error, EngineError::Corrupt { .. }), "{error}");
    }
}

#[test]
fn rows_without_their_parent_are_found_on_request() {
    let shop = Shop::new("wal", 3, 0);
    let connection = shop.connect();
    connection
        .execute_batch("pragma foreign_keys = off; delete from customer where id = 2")
        .unwrap();
    let error = capture(&shop.engine, &shop.location()).expect_err("orphans");
    let words = "3 rows of orders name no row of customer";
    assert!(error.to_string().contains(words), "{error}");
    let unchecked = CaptureRequest {
        check_integrity: false,
        ..request(&shop.location())
    };
    let sink = MemorySink::new();
    with_run(|run| shop.engine.capture(&unchecked, &sink, run)).expect("nobody asked");
    let known = |orphans| CaptureRequest {
        allowed: Allowed { orphans },
        ..request(&shop.location())
    };
    let capture = |request| with_run(|run| shop.engine.capture(&request, &MemorySink::new(), run));
    capture(known(3)).expect("three are known");
    let error = capture(known(2)).expect_err("one more than is known");
    assert!(error.to_string().contains(words), "{error}");
}

/// A link to nowhere, which SQLite does not follow, keeps it from making its shared memory, as a
/// read-only mount does.
fn forbid_shared_memory(path: &Path) {
    std::os::unix::fs::symlink("/nowhere/shm", format!("{}-shm", path.display())).unwrap();
}

#[test]
fn where_no_side_file_can_be_made_an_empty_log_is_no_obstacle() {
    let shop = Shop::new("wal", 30, 0);
    forbid_shared_memory(&shop.path);
    let (backup, _) = capture(&shop.engine, &shop.location()).expect("nothing is in the log");
    assert!(backup.only_file() == std::fs::read(&shop.path).unwrap());
}

#[test]
fn where_no_side_file_can_be_made_a_log_with_commits_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.sqlite");
    crashed_with_log(
        &path,
        "insert into customer (name) values ('only in the log')",
    );
    forbid_shared_memory(&path);
    let error = error_at(&path);
    let cause = std::error::Error::source(&error)
        .expect("a cause")
        .to_string();
    assert!(cause.contains("-wal file holds commits"), "{cause}");
}

#[test]
fn a_probe_says_how_it_will_be_captured() {
    for (mode, words) in [("wal", "never wait"), ("delete", "private copy")] {
        let shop = Shop::new(mode, 3, 0);
        let before = shop.listing();
        let diagnosis = shop.engine.probe("source shop", &shop.location());
        assert_eq!(diagnosis.len(), 1);
        assert_eq!(diagnosis[0].subject, "source shop");
        assert_eq!(diagnosis[0].severity, Severity::Ok);
        assert!(diagnosis[0].message.contains(words), "{diagnosis:?}");
        assert_eq!(shop.listing(), before);
    }
}

#[test]
fn an_open_connection_keeps_its_locks_while_its_database_is_captured() {
    let shop = Shop::new("delete", 3, 0);
    let reader = shop.connect();
    reader
        .execute_batch("begin; select * from customer")
        .unwrap();
    capture(&shop.engine, &shop.location()).expect("readers share");
    let writer = Connection::open(&shop.path).unwrap();
    writer.busy_timeout(Duration::ZERO).unwrap();
    writer
        .execute_batch("begin immediate; insert into changed values ('x')")
        .unwrap();
    writer
        .execute_batch("commit")
        .expect_err("the reader still holds its lock");
}
