//! What a target says of itself, and what its checks say of a backup that is not what it was.

use std::io::Read;
use std::path::{Path, PathBuf};

use resguardo_engine::contract::{MemoryBackup, MemorySink, capture, request, with_run};
use resguardo_engine::port::{
    Allowed, BackupFile, BackupReader, CaptureRequest, Engine as _, EngineError, Location,
    ReadError, RestoreOptions, Run, Target, TargetState,
};
use resguardo_model::{CheckOutcome, FilePath, Sha256Digest, SourceFacts};

use crate::shop::{Shop, listing};

fn target(shop: &Shop, path: &Path) -> Box<dyn Target> {
    let location = Location::new(path.to_str().unwrap());
    shop.engine.open_target(&location).unwrap()
}

#[test]
fn a_target_says_what_it_holds() {
    let shop = Shop::new("wal", 10, 0);
    let path = shop.folder.path().join("target.db");
    let target = target(&shop, &path);
    assert_eq!(target.state().unwrap(), TargetState::Missing);
    std::fs::write(&path, "").unwrap();
    assert_eq!(target.state().unwrap(), TargetState::Empty);
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .execute_batch("create table t (a); drop table t")
        .unwrap();
    drop(connection);
    assert_eq!(target.state().unwrap(), TargetState::Empty);
    for (content, words) in [
        (std::fs::read(&shop.path).unwrap(), "8 tables, 93 rows, "),
        (b"hola mundo".to_vec(), "no SQLite database"),
    ] {
        std::fs::write(&path, content).unwrap();
        let TargetState::Occupied { name, contents } = target.state().unwrap() else {
            panic!("it holds data");
        };
        assert_eq!(name, "target.db");
        assert!(contents.starts_with(words), "{contents}");
    }
}

#[test]
fn the_source_is_known_by_every_name() {
    let shop = Shop::new("wal", 10, 0);
    let link = shop.folder.path().join("link.db");
    std::os::unix::fs::symlink(&shop.path, &link).unwrap();
    let target = target(&shop, &link);
    assert!(target.is_same_as(&shop.location()));
    assert!(target.is_same_as(&Location::new(format!("file:{}", shop.path.display()))));
    assert!(!target.is_same_as(&Location::new("/nowhere/shop.sqlite")));
    assert!(!target.is_same_as(&Location::new("postgres://db/shop")));
}

#[test]
fn a_restored_file_is_private_and_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let shop = Shop::new("wal", 10, 0);
    let (backup, _) = capture(&shop.engine, &shop.location()).unwrap();
    let folder = shop.folder.path().join("new");
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("shop.sqlite");
    let restored =
        with_run(|run| target(&shop, &path).restore(&backup, &RestoreOptions::default(), run))
            .unwrap();
    assert_eq!(restored.tables, 8);
    assert_eq!(restored.bytes, backup.only_file().len() as u64);
    assert!(std::fs::read(&path).unwrap() == backup.only_file());
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(listing(&folder), ["shop.sqlite"]);
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let shop = Shop::new("wal", 10, 0);
    let (backup, _) = capture(&shop.engine, &shop.location()).unwrap();
    let path = shop.folder.path().join("no such folder/shop.sqlite");
    let error =
        with_run(|run| target(&shop, &path).restore(&backup, &RestoreOptions::default(), run))
            .expect_err("no folder");
    assert!(
        error.to_string().contains("no such folder does not exist"),
        "{error}"
    );
}

#[test]
fn a_backup_that_is_no_database_never_reaches_the_target() {
    let shop = Shop::new("wal", 10, 0);
    let (backup, _) = capture(&shop.engine, &shop.location()).unwrap();
    let before = std::fs::read(&shop.path).unwrap();
    let names = shop.listing();
    let options = RestoreOptions {
        clean: true,
        ..RestoreOptions::default()
    };
    for bytes in [
        vec![0x91; 8192],
        Vec::new(),
        backup.only_file()[..4096].to_vec(),
    ] {
        let mut damaged = backup.clone();
        damaged.files.values_mut().next().unwrap().1 = bytes;
        let result = with_run(|run| target(&shop, &shop.path).restore(&damaged, &options, run));
        let error = result.expect_err("it is no database");
        assert!(
            error.to_string().starts_with("a backup in memory is "),
            "{error}"
        );
        assert!(std::fs::read(&shop.path).unwrap() == before);
        assert_eq!(shop.listing(), names);
    }
}

/// A backup whose files cannot be written: the disk is full.
struct NoSpace(MemoryBackup);

impl BackupReader for NoSpace {
    fn describe(&self) -> String {
        self.0.describe()
    }

    fn facts(&self) -> Option<&SourceFacts> {
        self.0.facts()
    }

    fn files(&self) -> Vec<BackupFile> {
        self.0.files()
    }

    fn write_files(
        &self,
        wanted: &[(FilePath, PathBuf)],
        _durable: bool,
        _run: Run<'_>,
    ) -> Result<(), ReadError> {
        let path = wanted[0].1.clone();
        std::fs::write(&path, "a beginning").unwrap();
        let source = std::io::ErrorKind::StorageFull.into();
        Err(ReadError::Write { path, source })
    }

    fn open_stream<'a>(&'a self, path: &FilePath) -> Result<Box<dyn Read + Send + 'a>, ReadError> {
        self.0.open_stream(path)
    }
}

#[test]
fn a_full_disk_leaves_the_target_as_it_was() {
    let shop = Shop::new("wal", 10, 0);
    let (backup, _) = capture(&shop.engine, &shop.location()).unwrap();
    let (before, names) = (std::fs::read(&shop.path).unwrap(), shop.listing());
    let options = RestoreOptions {
        clean: true,
        ..RestoreOptions::default()
    };
    let full = NoSpace(backup);
    let error = with_run(|run| target(&shop, &shop.path).restore(&full, &options, run))
        .expect_err("no space");
    assert!(matches!(error, EngineError::Full { .. }), "{error}");
    assert!(std::fs::read(&shop.path).unwrap() == before);
    assert_eq!(shop.listing(), names);
}

#[test]
fn checks_name_what_differs() {
    let shop = Shop::new("wal", 10, 0);
    let (backup, _) = capture(&shop.engine, &shop.location()).unwrap();
    let path = shop.folder.path().join("restored.db");
    let cases: [(&str, &[&str], &str); 4] = [
        ("select 1", &[], ""),
        (
            "update customer set name = 'x' where id = 1",
            &["file digest"],
            "",
        ),
        (
            "delete from line where order_id = 30",
            &["file digest", "row counts"],
            "line: 29",
        ),
        (
            "drop table account_b; create table more (a)",
            &["file digest", "row counts", "schema"],
            "account_b: no such table, more: 0",
        ),
    ];
    for (script, failing, words) in cases {
        let options = RestoreOptions {
            clean: true,
            ..RestoreOptions::default()
        };
        let target = target(&shop, &path);
        with_run(|run| target.restore(&backup, &options, run)).unwrap();
        with_run(|run| target.execute(script, std::time::Duration::from_secs(9), run)).unwrap();
        let results = with_run(|run| target.check(&backup, Allowed::default(), run));
        let names: Vec<_> = results.iter().map(|result| result.name.as_str()).collect();
        let all = [
            "file digest",
            "page count",
            "row counts",
            "schema",
            "integrity_check",
            "foreign_key_check",
        ];
        assert_eq!(names, all);
        for result in &results {
            let outcome = if failing.contains(&result.name.as_str()) {
                CheckOutcome::Failed
            } else {
                CheckOutcome::Passed
            };
            assert_eq!(result.outcome, outcome, "{script}: {result:?}");
        }
        assert!(results[2].actual.contains(words), "{:?}", results[2]);
    }
}

#[test]
fn rows_without_their_parent_fail_beyond_those_that_are_known() {
    let shop = Shop::new("wal", 30, 0);
    let orphans = "pragma foreign_keys = off; create table child (of references parent); \
                   create table parent (id integer primary key); insert into child values (7), (8)";
    shop.connect().execute_batch(orphans).unwrap();
    let unchecked = CaptureRequest {
        check_integrity: false,
        ..request(&shop.location())
    };
    let sink = MemorySink::new();
    let captured = with_run(|run| shop.engine.capture(&unchecked, &sink, run)).unwrap();
    let backup = sink.into_backup(Some(captured.facts));
    let target = target(&shop, &shop.folder.path().join("restored.db"));
    with_run(|run| target.restore(&backup, &RestoreOptions::default(), run)).unwrap();
    let cases = [
        (0, CheckOutcome::Failed, "0 rows without their parent"),
        (
            1,
            CheckOutcome::Failed,
            "at most 1 row without their parent",
        ),
        (
            2,
            CheckOutcome::Passed,
            "at most 2 rows without their parent",
        ),
    ];
    for (orphans, outcome, expected) in cases {
        let results = with_run(|run| target.check(&backup, Allowed { orphans }, run));
        let keys = results.last().unwrap();
        assert_eq!(keys.name, "foreign_key_check");
        assert_eq!(keys.outcome, outcome, "{keys:?}");
        assert_eq!(keys.expected, expected);
        assert_eq!(keys.actual, "2 rows without their parent");
        assert_eq!(keys.detail, "2 rows of child name no row of parent");
    }
}

#[test]
fn a_damaged_file_fails_its_checks_and_a_missing_one_is_an_error() {
    let shop = Shop::new("wal", 300, 0);
    let (backup, _) = capture(&shop.engine, &shop.location()).unwrap();
    let path = shop.folder.path().join("restored.db");
    let target = target(&shop, &path);
    let results = with_run(|run| target.check(&backup, Allowed::default(), run));
    assert!(
        results
            .iter()
            .all(|result| result.outcome == CheckOutcome::Error)
    );
    let mut bytes = backup.only_file().to_vec();
    bytes[5 * 4096..9 * 4096].fill(0xa5);
    std::fs::write(&path, &bytes).unwrap();
    let results = with_run(|run| target.check(&backup, Allowed::default(), run));
    let outcome = |name: &str| results.iter().find(|r| r.name == name).unwrap().outcome;
    assert_eq!(outcome("file digest"), CheckOutcome::Failed);
    assert_ne!(outcome("integrity_check"), CheckOutcome::Passed);
    assert_eq!(results[0].expected, backup.files()[0].sha256.to_string());
    assert_eq!(results[0].actual, Sha256Digest::of(&bytes).to_string());
}

#[test]
fn an_open_database_is_not_replaced() {
    for (mode, script) in [
        ("wal", "select count(*) from customer"),
        ("delete", "begin immediate"),
    ] {
        let shop = Shop::new(mode, 10, 0);
        let (backup, _) = capture(&shop.engine, &shop.location()).unwrap();
        let holder = shop.connect();
        holder.execute_batch(script).unwrap();
        let options = RestoreOptions {
            clean: true,
            lock_timeout: Some(std::time::Duration::from_millis(100)),
            ..RestoreOptions::default()
        };
        let result = with_run(|run| target(&shop, &shop.path).restore(&backup, &options, run));
        let error = result.expect_err("somebody uses it");
        assert!(matches!(error, EngineError::Busy { .. }), "{mode}: {error}");
        assert!(
            error.to_string().contains("waited 0.1 s"),
            "{mode}: {error}"
        );
        drop(holder);
        assert_eq!(
            crate::shop::number(&shop.path, "select count(*) from customer"),
            10
        );
    }
}
