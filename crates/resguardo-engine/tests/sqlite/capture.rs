//! Captures of live databases: consistent, of one snapshot, and in nobody's way.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use resguardo_engine::contract::{MemorySink, capture, request, with_run};
use resguardo_engine::port::{
    CaptureRequest, CaptureSink, Captured, Engine as _, EngineError, FileDigest, FileSink,
    Location, Run, SinkError,
};
use resguardo_model::{CancelToken, FileKind, FilePath, Progress, SystemClock};
use rusqlite::Connection;
use serde_json::Value;

use crate::shop::{Shop, crashed_with_log, number, text};

/// SQLite queues nobody: on a busy machine a connection may be unlucky for long.
const PATIENCE: Duration = Duration::from_secs(120);

/// A sink that tells of every block before it takes it.
struct Telling<'a> {
    inner: MemorySink,
    told: &'a (dyn Fn() + Sync),
}

struct TellingFile<'a> {
    inner: Box<dyn FileSink + 'a>,
    told: &'a (dyn Fn() + Sync),
}

impl CaptureSink for Telling<'_> {
    fn open_file(
        &self,
        path: &FilePath,
        kind: FileKind,
    ) -> Result<Box<dyn FileSink + '_>, SinkError> {
        Ok(Box::new(TellingFile {
            inner: self.inner.open_file(path, kind)?,
            told: self.told,
        }))
    }
}

impl FileSink for TellingFile<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        (self.told)();
        self.inner.write(bytes)
    }

    fn finish(self: Box<Self>) -> Result<FileDigest, SinkError> {
        self.inner.finish()
    }
}

fn capture_telling(
    shop: &Shop,
    told: &(dyn Fn() + Sync),
) -> Result<(Captured, MemorySink), EngineError> {
    let sink = Telling {
        inner: MemorySink::new(),
        told,
    };
    let request = CaptureRequest {
        check_integrity: false,
        ..request(&shop.location())
    };
    let captured = with_run(|run| shop.engine.capture(&request, &sink, run))?;
    Ok((captured, sink.inner))
}

/// Writers that move amounts between two tables, whose sum is always the same. They take turns, so
/// that whatever refuses one of them is not another writer.
struct Writers {
    turn: Mutex<()>,
    commits: AtomicU64,
    stop: AtomicBool,
}

impl Writers {
    fn new() -> Self {
        Self {
            turn: Mutex::new(()),
            commits: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        }
    }

    /// Writes until it is told to stop. `busy_timeout` zero: never to be refused at all.
    fn write(&self, connection: &Connection, seed: u64, busy_timeout: Duration) {
        // To connect is not to write: that, SQLite may refuse while somebody else disconnects.
        connection.busy_timeout(PATIENCE).unwrap();
        connection
            .query_row("select count(*) from customer", [], |_| Ok(()))
            .unwrap();
        connection.busy_timeout(busy_timeout).unwrap();
        let mut number = seed;
        while !self.stop.load(Ordering::SeqCst) {
            number = number
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let (id, amount) = (number % 100 + 1, number % 17);
            let _turn = self.turn.lock().unwrap();
            connection
                .execute_batch(&format!(
                    "begin immediate;
                     update account_a set amount = amount - {amount} where id = {id};
                     update account_b set amount = amount + {amount} where id = {id};
                     insert into changed values ('{number}');
                     commit"
                ))
                .expect("a writer is never refused");
            self.commits.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Waits until somebody has committed again: whoever blocks the writers waits in vain.
    fn wait_for_a_commit(&self) {
        let before = self.commits.load(Ordering::SeqCst);
        let begun = Instant::now();
        while self.commits.load(Ordering::SeqCst) == before {
            assert!(begun.elapsed() < PATIENCE, "writers are blocked");
            std::thread::yield_now();
        }
    }
}

/// Captures three times while writers write, each block of the sink waiting for a commit of theirs.
fn capture_under_load(shop: &Shop, busy_timeout: Duration) {
    let writers = Writers::new();
    let sum = "select (select sum(amount) from account_a) + (select sum(amount) from account_b)";
    std::thread::scope(|scope| {
        for seed in 1..=3 {
            let connection = shop.connect();
            let writers = &writers;
            scope.spawn(move || writers.write(&connection, seed, busy_timeout));
        }
        // Whatever fails here must not leave the writers writing.
        let captured = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            writers.wait_for_a_commit();
            for _ in 0..3 {
                let (captured, sink) =
                    capture_telling(shop, &|| writers.wait_for_a_commit()).unwrap();
                let backup = sink.into_backup(Some(captured.facts.clone()));
                let copy = shop.folder.path().join("restored.sqlite");
                std::fs::write(&copy, backup.only_file()).unwrap();
                assert_eq!(text(&copy, "pragma integrity_check"), "ok");
                assert_eq!(number(&copy, sum), 200_000);
                // The counts are of the very snapshot that is stored.
                let rows = |name: &str| {
                    let tables = &captured.facts.tables;
                    tables.iter().find(|table| table.name == name).unwrap().rows
                };
                let changed = number(&copy, "select count(*) from changed");
                assert_eq!(rows("changed"), changed.unsigned_abs());
                for ending in ["", "-wal", "-shm", "-journal"] {
                    let _ = std::fs::remove_file(format!("{}{ending}", copy.display()));
                }
            }
        }));
        writers.stop.store(true, Ordering::SeqCst);
        if let Err(panic) = captured {
            std::panic::resume_unwind(panic);
        }
    });
    // One before, and at least one for each block that the sink was given.
    assert!(writers.commits.load(Ordering::SeqCst) > 3);
}

#[test]
fn writers_of_a_log_are_never_refused() {
    capture_under_load(&Shop::new("wal", 100, 12_000_000), Duration::ZERO);
}

#[test]
fn a_small_database_with_a_log_under_load() {
    capture_under_load(&Shop::new("wal", 100, 0), Duration::ZERO);
}

#[test]
fn writers_of_a_rollback_journal_go_on_while_the_sink_is_fed() {
    capture_under_load(&Shop::new("delete", 100, 20_000_000), PATIENCE);
}

#[test]
fn a_small_database_with_a_rollback_journal_under_load() {
    capture_under_load(&Shop::new("truncate", 100, 0), PATIENCE);
}

#[test]
fn the_image_is_the_file_byte_by_byte() {
    for (mode, filler) in [
        ("wal", 0),
        ("wal", 12_000_000),
        ("delete", 0),
        ("delete", 20_000_000),
    ] {
        let shop = Shop::new(mode, 20, filler);
        let before = std::fs::read(&shop.path).unwrap();
        let (backup, captured) = capture(&shop.engine, &shop.location()).unwrap();
        assert!(backup.only_file() == before, "{mode} {filler}: image");
        let after = std::fs::read(&shop.path).unwrap();
        assert!(after == before, "{mode} {filler}: source was written to");
        let pages = captured.facts.details["page_count"].as_u64().unwrap();
        assert_eq!(pages * 4096, before.len() as u64);
        let names: Vec<_> = backup.files.keys().map(FilePath::as_str).collect();
        assert_eq!(names, ["shop.sqlite"]);
    }
}

#[test]
fn facts_say_what_the_database_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings.db");
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "pragma page_size = 8192; pragma encoding = 'UTF-16le'; pragma auto_vacuum = incremental;
             pragma user_version = 42; pragma application_id = -7;
             create table gone (a); create table t (a);
             insert into gone select randomblob(9000) from json_each('[1,2,3]');
             drop table gone",
        )
        .unwrap();
    drop(connection);
    let engine = resguardo_engine::sqlite::SqliteEngine::new(folder.path());
    let location = Location::new(path.to_str().unwrap());
    let (_, captured) = capture(&engine, &location).unwrap();
    let details = &captured.facts.details;
    for (name, value) in [
        ("page_size", Value::from(8192)),
        ("encoding", "UTF-16le".into()),
        ("auto_vacuum", "incremental".into()),
        ("user_version", 42.into()),
        ("application_id", (-7).into()),
        ("journal_mode", "rollback".into()),
        ("sqlite_version", rusqlite::version().into()),
    ] {
        assert_eq!(details[name], value, "{name}");
    }
    assert!(details["freelist_count"].as_u64().unwrap() > 0);
    assert_eq!(captured.tools[0].0, "sqlite");
}

#[test]
fn what_only_the_log_of_a_crashed_writer_holds_is_captured() {
    let shop = Shop::new("wal", 1, 0);
    let path = shop.folder.path().join("crashed.sqlite");
    crashed_with_log(
        &path,
        "insert into customer (name) values ('only in the log')",
    );
    let main_before = std::fs::read(&path).unwrap();
    let (backup, _) = capture(&shop.engine, &Location::new(path.to_str().unwrap())).unwrap();
    let copy = shop.folder.path().join("copy.sqlite");
    std::fs::write(&copy, backup.only_file()).unwrap();
    assert_eq!(number(&copy, "select count(*) from customer"), 51);
    assert!(
        std::fs::read(&path).unwrap() == main_before,
        "moved the log"
    );
}

#[test]
fn what_a_crashed_writer_left_unfinished_is_rolled_back() {
    let live = Shop::new("delete", 50, 2_000_000);
    let connection = live.connect();
    connection
        .execute_batch(
            "pragma cache_size = 5; begin; update filler set a = zeroblob(1000);
             delete from customer where id > 10 and id not in (select customer_id from orders)",
        )
        .unwrap();
    let crashed = live.folder.path().join("crashed.sqlite");
    for ending in ["", "-journal"] {
        let from = format!("{}{ending}", live.path.display());
        std::fs::copy(from, format!("{}{ending}", crashed.display())).unwrap();
    }
    connection.execute_batch("rollback").unwrap();
    let location = Location::new(crashed.to_str().unwrap());
    let (backup, _) = capture(&live.engine, &location).unwrap();
    let copy = live.folder.path().join("copy.sqlite");
    std::fs::write(&copy, backup.only_file()).unwrap();
    assert_eq!(text(&copy, "pragma integrity_check"), "ok");
    let zeros = "select count(*) from filler where a = zeroblob(1000)";
    assert_eq!(number(&copy, zeros), 0);
}

/// Commits whenever progress is told, which is between two steps of a private copy.
struct Disturbing {
    path: std::path::PathBuf,
    notes: Mutex<Vec<String>>,
}

impl Progress for Disturbing {
    fn phase(&self, _name: &str) {}

    fn bytes(&self, done: u64, total: Option<u64>) {
        if Some(done) != total {
            let connection = Connection::open(&self.path).unwrap();
            connection
                .execute("insert into changed values ('x')", [])
                .unwrap();
        }
    }

    fn note(&self, line: &str) {
        self.notes.lock().unwrap().push(line.to_owned());
    }
}

#[test]
fn a_copy_that_is_always_disturbed_makes_writers_wait_in_the_end() {
    let shop = Shop::new("delete", 100, 20_000_000);
    let progress = Disturbing {
        path: shop.path.clone(),
        notes: Mutex::new(Vec::new()),
    };
    let run = Run {
        cancel: &CancelToken::new(),
        progress: &progress,
        clock: &SystemClock,
    };
    let sink = MemorySink::new();
    let captured = shop
        .engine
        .capture(&request(&shop.location()), &sink, run)
        .unwrap();
    let how = &captured.facts.details["capture"];
    assert_eq!(how, &Value::from("private copy under a lock"));
    let notes = progress.notes.into_inner().unwrap();
    assert!(
        notes.iter().any(|note| note.contains("writers wait")),
        "{notes:?}"
    );
    let copy = shop.folder.path().join("copy.sqlite");
    std::fs::write(&copy, sink.into_backup(None).only_file()).unwrap();
    assert_eq!(text(&copy, "pragma integrity_check"), "ok");
    let changed = captured
        .facts
        .tables
        .iter()
        .find(|t| t.name == "changed")
        .unwrap();
    assert!(changed.rows > 0);
    let stored = number(&copy, "select count(*) from changed");
    assert_eq!(stored.unsigned_abs(), changed.rows);
}

#[test]
fn a_file_that_is_replaced_while_it_is_read_is_no_backup() {
    for (mode, filler) in [("wal", 0), ("wal", 12_000_000)] {
        let shop = Shop::new(mode, 10, filler);
        let other = Shop::new("wal", 20, 0);
        let done = AtomicBool::new(false);
        let replace = || {
            if !done.swap(true, Ordering::SeqCst) {
                std::fs::rename(&other.path, &shop.path).unwrap();
            }
        };
        let error = capture_telling(&shop, &replace).expect_err("replaced");
        assert!(matches!(error, EngineError::Replaced { .. }), "{error}");
        assert!(!error.is_permanent());
    }
}

#[test]
fn a_file_that_is_written_over_while_it_is_read_is_no_backup() {
    let shop = Shop::new("wal", 10, 12_000_000);
    let other = Shop::new("wal", 20, 0);
    let done = AtomicBool::new(false);
    let overwrite = || {
        if !done.swap(true, Ordering::SeqCst) {
            std::fs::copy(&other.path, &shop.path).unwrap();
        }
    };
    let error = capture_telling(&shop, &overwrite).expect_err("written over");
    let named = matches!(
        error,
        EngineError::Replaced { .. } | EngineError::Corrupt { .. } | EngineError::Other { .. }
    );
    assert!(named, "{error}");
}
