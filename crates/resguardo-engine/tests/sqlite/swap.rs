//! The swap, stopped by a crash at every step: either the old database is whole or the new one.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use resguardo_engine::contract::{MemoryBackup, capture, with_run};
use resguardo_engine::port::{Engine as _, Location, RestoreOptions};
use resguardo_engine::sqlite::{Step, restore_in_steps};

use crate::shop::{Shop, crashed_with_log, listing, number, text};

const STEPS: [Step; 4] = [Step::Taken, Step::Alone, Step::Renamed, Step::Flushed];
/// Set in the process that is to crash: the step, and the target.
const CRASH_AT: &str = "RESGUARDO_TEST_CRASH_AT";
const TARGET: &str = "RESGUARDO_TEST_TARGET";

const CUSTOMERS: &str = "select count(*) from customer";

/// A backup of a shop with 7 customers.
fn backup() -> MemoryBackup {
    let shop = Shop::new("wal", 7, 0);
    capture(&shop.engine, &shop.location()).unwrap().0
}

/// Runs this very test in another process that aborts after `step`.
fn crash(test: &str, step: Step, target: &Path) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(CRASH_AT, format!("{step:?}"))
        .env(TARGET, target)
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains(&format!("crash after {step:?}")), "{words}");
    assert!(!output.status.success());
}

/// In the process that is to crash: does so, and never returns. In every other: nothing.
fn crash_if_told() {
    let Ok(step) = std::env::var(CRASH_AT) else {
        return;
    };
    let target = PathBuf::from(std::env::var(TARGET).unwrap());
    let after = |reached: Step| {
        if format!("{reached:?}") == step {
            eprintln!("crash after {step}");
            std::process::abort();
        }
    };
    let result = with_run(|run| restore_in_steps(&backup(), &target, run, &after));
    panic!("it should have crashed: {result:?}");
}

fn is_whole(path: &Path) {
    assert_eq!(text(path, "pragma integrity_check"), "ok");
    assert_eq!(
        number(path, "select count(*) from pragma_foreign_key_check"),
        0
    );
}

#[test]
fn a_crash_with_a_stale_log_leaves_the_old_or_the_new() {
    crash_if_told();
    for step in STEPS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.sqlite");
        // The old one has 51 customers, the last only in its log.
        crashed_with_log(
            &path,
            "insert into customer (name) values ('only in the log')",
        );
        crash(
            "swap::a_crash_with_a_stale_log_leaves_the_old_or_the_new",
            step,
            &path,
        );
        is_whole(&path);
        let expected = if matches!(step, Step::Taken | Step::Alone) {
            51
        } else {
            7
        };
        assert_eq!(number(&path, CUSTOMERS), expected, "{step:?}");
        // And a restore after the crash is not hindered by what it left.
        with_run(|run| restore_in_steps(&backup(), &path, run, &|_| {})).unwrap();
        is_whole(&path);
        assert_eq!(number(&path, CUSTOMERS), 7);
        assert_eq!(listing(folder.path()), ["shop.sqlite"], "{step:?}");
    }
}

#[test]
fn a_crash_with_a_hot_journal_leaves_the_old_or_the_new() {
    crash_if_told();
    for step in STEPS {
        let shop = Shop::new("delete", 50, 1_000_000);
        let connection = shop.connect();
        connection
            .execute_batch("pragma cache_size = 5; begin; update filler set a = zeroblob(1000)")
            .unwrap();
        let path = shop.folder.path().join("crashed.sqlite");
        for ending in ["", "-journal"] {
            let from = format!("{}{ending}", shop.path.display());
            std::fs::copy(from, format!("{}{ending}", path.display())).unwrap();
        }
        drop(connection);
        crash(
            "swap::a_crash_with_a_hot_journal_leaves_the_old_or_the_new",
            step,
            &path,
        );
        is_whole(&path);
        if matches!(step, Step::Taken | Step::Alone) {
            let zeros = "select count(*) from filler where a = zeroblob(1000)";
            assert_eq!(number(&path, zeros), 0, "{step:?}");
        } else {
            assert_eq!(number(&path, CUSTOMERS), 7, "{step:?}");
        }
    }
}

#[test]
fn a_crash_before_the_first_restore_leaves_nothing_or_the_new() {
    crash_if_told();
    for step in STEPS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.sqlite");
        crash(
            "swap::a_crash_before_the_first_restore_leaves_nothing_or_the_new",
            step,
            &path,
        );
        let exists = !matches!(step, Step::Taken | Step::Alone);
        assert_eq!(path.exists(), exists, "{step:?}");
        if exists {
            is_whole(&path);
        }
    }
}

#[test]
fn a_log_without_its_database_is_kept_and_never_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.sqlite");
    crashed_with_log(
        &path,
        "insert into customer (name) values ('only in the log')",
    );
    std::fs::remove_file(&path).unwrap();
    let restored = with_run(|run| restore_in_steps(&backup(), &path, run, &|_| {})).unwrap();
    assert!(
        restored.notes[0].contains("moved to"),
        "{:?}",
        restored.notes
    );
    is_whole(&path);
    assert_eq!(number(&path, CUSTOMERS), 7);
    let names = listing(folder.path());
    assert_eq!(names, ["shop.sqlite", "shop.sqlite.resguardo-old-1-wal"]);
}

#[test]
fn a_damaged_database_is_kept_with_its_side_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.sqlite");
    let log = folder.path().join("shop.sqlite-wal");
    std::fs::write(&path, [0x91; 9000]).unwrap();
    std::fs::write(&log, "a log").unwrap();
    let restored = with_run(|run| restore_in_steps(&backup(), &path, run, &|_| {})).unwrap();
    assert!(
        restored.notes[0].contains("kept as"),
        "{:?}",
        restored.notes
    );
    is_whole(&path);
    assert_eq!(number(&path, CUSTOMERS), 7);
    let kept = folder.path().join("shop.sqlite.resguardo-old-1");
    assert_eq!(std::fs::read(&kept).unwrap(), [0x91; 9000]);
    let kept_log = folder.path().join("shop.sqlite.resguardo-old-1-wal");
    assert_eq!(std::fs::read_to_string(kept_log).unwrap(), "a log");
}

#[test]
fn a_crash_over_a_damaged_database_loses_none_of_it() {
    crash_if_told();
    for step in STEPS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.sqlite");
        std::fs::write(&path, [0x91; 9000]).unwrap();
        crash(
            "swap::a_crash_over_a_damaged_database_loses_none_of_it",
            step,
            &path,
        );
        let kept = folder.path().join("shop.sqlite.resguardo-old-1");
        assert_eq!(std::fs::read(kept).unwrap(), [0x91; 9000]);
        if matches!(step, Step::Renamed | Step::Flushed) {
            is_whole(&path);
        }
    }
}

#[test]
fn the_new_file_has_the_mode_of_the_old_and_links_stay() {
    let shop = Shop::new("wal", 10, 0);
    let link = shop.folder.path().join("current.sqlite");
    std::os::unix::fs::symlink("shop.sqlite", &link).unwrap();
    std::fs::set_permissions(&shop.path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let target = shop
        .engine
        .open_target(&Location::new(link.to_str().unwrap()))
        .unwrap();
    let options = RestoreOptions {
        clean: true,
        ..RestoreOptions::default()
    };
    with_run(|run| target.restore(&backup(), &options, run)).unwrap();
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert_eq!(number(&shop.path, CUSTOMERS), 7);
    let mode = shop.path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
}

#[test]
fn nobody_else_sees_the_image_while_it_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.sqlite");
    let looked = std::cell::Cell::new(0);
    let after = |_: Step| {
        for entry in folder.path().read_dir().unwrap() {
            let entry = entry.unwrap();
            if entry.file_name().to_string_lossy().contains(".resguardo-") {
                let mode = entry.metadata().unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o700);
                looked.set(looked.get() + 1);
            }
        }
    };
    with_run(|run| restore_in_steps(&backup(), &path, run, &after)).unwrap();
    assert!(looked.get() > 0, "the folder of the image was never seen");
}
