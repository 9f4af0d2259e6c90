//! Exports, and files of others as backups.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use resguardo_engine::contract::{FolderSite, request, with_run};
use resguardo_engine::port::{
    Allowed, BackupReader, Engine as _, EngineError, ReadError, RestoreOptions, TargetState,
};
use resguardo_model::{CheckOutcome, Sha256Digest};
use serde_json::Value;

use crate::shop::{Shop, crashed_with_log, listing};

fn export(shop: &Shop, name: &str) -> Result<Vec<PathBuf>, EngineError> {
    let out = shop.folder.path().join("exports").join(name);
    std::fs::create_dir_all(out.parent().unwrap()).unwrap();
    with_run(|run| shop.engine.export(&request(&shop.location()), &out, run))
}

fn open(shop: &Shop, path: &Path) -> Result<Box<dyn BackupReader>, EngineError> {
    with_run(|run| shop.engine.open_file(path, run))
}

#[test]
fn an_export_is_a_pair_that_standard_tools_can_check() {
    let shop = Shop::new("wal", 30, 0);
    let written = export(&shop, "shop-2026.sqlite.gz").unwrap();
    let names: Vec<_> = written
        .iter()
        .map(|path| path.file_name().unwrap())
        .collect();
    assert_eq!(
        names,
        ["shop-2026.sqlite.gz", "shop-2026.sqlite.gz.meta.json"]
    );
    assert_eq!(listing(written[0].parent().unwrap()).len(), 2);
    let unpacked = Command::new("gzip")
        .arg("-dc")
        .arg(&written[0])
        .output()
        .unwrap()
        .stdout;
    assert!(unpacked == std::fs::read(&shop.path).unwrap());
    let meta: Value = serde_json::from_slice(&std::fs::read(&written[1]).unwrap()).unwrap();
    let file = std::fs::read(&written[0]).unwrap();
    for (field, value) in [
        ("format", Value::from(2)),
        ("file", "shop-2026.sqlite.gz".into()),
        ("sha256", Sha256Digest::of(&file).to_string().into()),
        ("bytes", file.len().into()),
    ] {
        assert_eq!(meta[field], value, "{field}");
    }
    let inside = &meta["database"];
    assert_eq!(
        inside["sha256"],
        Sha256Digest::of(&unpacked).to_string().as_str()
    );
    assert_eq!(inside["bytes"], unpacked.len());
    assert!(meta["taken_at"].is_string());
    let facts = &meta["facts"];
    assert_eq!(facts["details"]["page_size"], 4096);
    assert_eq!(facts["details"]["page_count"], unpacked.len() / 4096);
    assert_eq!(facts["tables"][3]["name"], "customer");
    assert_eq!(facts["tables"][3]["rows"], 30);
}

#[test]
fn every_ending_exports_and_opens() {
    let shop = Shop::new("delete", 30, 0);
    for name in ["a.sqlite", "b.db", "c.sqlite3", "d.sqlite.gz", "e.db.gz"] {
        let written = export(&shop, name).unwrap();
        let backup = open(&shop, &written[0]).unwrap();
        assert_eq!(backup.facts().unwrap().rows(), 273, "{name}");
        assert!(backup.taken_at().is_some(), "{name}");
        let file = &backup.files()[0];
        assert_eq!(
            file.sha256,
            Sha256Digest::of(&std::fs::read(&shop.path).unwrap())
        );
        let mut bytes = Vec::new();
        backup
            .open_stream(&file.path)
            .unwrap()
            .read_to_end(&mut bytes)
            .unwrap();
        assert!(bytes == std::fs::read(&shop.path).unwrap());
    }
}

#[test]
fn nothing_is_overwritten_and_nothing_left_behind() {
    let shop = Shop::new("wal", 3, 0);
    export(&shop, "a.sqlite").unwrap();
    let folder = shop.folder.path().join("exports");
    std::fs::write(folder.join("c.db.meta.json"), "{}").unwrap();
    let before = listing(&folder);
    for name in ["a.sqlite", "c.db"] {
        let error = export(&shop, name).expect_err("a file would be overwritten");
        assert!(matches!(error, EngineError::Occupied { .. }), "{error}");
    }
    let error = export(&shop, "a.zip").expect_err("no such format");
    assert!(
        matches!(error, EngineError::UnknownFormat { .. }),
        "{error}"
    );
    std::fs::write(&shop.path, "no database").unwrap();
    export(&shop, "b.sqlite.gz").expect_err("no database");
    assert_eq!(listing(&folder), before);
}

#[test]
fn a_wrong_hash_is_named_whatever_names_it() {
    let shop = Shop::new("wal", 3, 0);
    let wrong = "0".repeat(64);
    for (name, content) in [
        ("copy.sqlite.sha256", format!("{wrong}  copy.sqlite\n")),
        ("copy.meta.json", format!("{{\"sha256\": \"{wrong}\"}}")),
        (
            "copy.sqlite.meta.json",
            format!("{{\"sha256\": \"{wrong}\"}}"),
        ),
    ] {
        let folder = shop.folder.path().join(name).with_extension("d");
        std::fs::create_dir(&folder).unwrap();
        let file = folder.join("copy.sqlite");
        std::fs::copy(&shop.path, &file).unwrap();
        open(&shop, &file).expect("no hash beside it");
        std::fs::write(folder.join(name), content).unwrap();
        let error = open(&shop, &file).err().expect("a wrong hash");
        assert!(matches!(error, EngineError::HashMismatch { .. }), "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn exports_of_several_endings_lie_together_and_each_has_its_own_hash() {
    let shop = Shop::new("wal", 30, 0);
    let plain = export(&shop, "a.sqlite").unwrap();
    let packed = export(&shop, "a.sqlite.gz").unwrap();
    assert!(plain.iter().all(|path| !packed.contains(path)));
    for path in [&plain[0], &packed[0]] {
        open(&shop, path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    // Whoever decompresses the one finds its hash still.
    std::fs::remove_file(&plain[0]).unwrap();
    std::fs::remove_file(plain[0].with_file_name("a.sqlite.meta.json")).unwrap();
    std::fs::remove_file(&packed[0]).unwrap();
    std::fs::copy(&shop.path, &plain[0]).unwrap();
    let error = open(&shop, &plain[0])
        .err()
        .expect("it is another database");
    assert!(
        error.to_string().contains("a.sqlite.gz.meta.json"),
        "{error}"
    );
}

#[test]
fn one_changed_byte_of_an_export_is_found() {
    let shop = Shop::new("wal", 30, 0);
    for name in ["a.sqlite", "b.sqlite.gz"] {
        let path = export(&shop, name).unwrap().remove(0);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let error = open(&shop, &path).err().expect("changed");
        assert!(matches!(error, EngineError::HashMismatch { .. }), "{error}");
    }
}

#[test]
fn damaged_gzip_data_is_named() {
    let shop = Shop::new("wal", 300, 0);
    let path = export(&shop, "a.sqlite.gz").unwrap().remove(0);
    std::fs::remove_file(path.with_file_name("a.sqlite.gz.meta.json")).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle..middle + 8].fill(0xff);
    for (bytes, words) in [
        (whole[..whole.len() / 2].to_vec(), "ends early"),
        (whole[..whole.len() - 3].to_vec(), "ends early"),
        (flipped, "damaged after"),
        (b"no gzip at all".to_vec(), "damaged after"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = open(&shop, &path).err().expect("damaged");
        assert!(matches!(error, EngineError::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    assert!(listing(&shop.folder.path().join("scratch")).is_empty());
}

#[test]
fn what_is_no_whole_database_is_named() {
    let shop = Shop::new("delete", 300, 0);
    let whole = std::fs::read(&shop.path).unwrap();
    let path = shop.folder.path().join("copy.db");
    for (bytes, words) in [
        (whole[..whole.len() - 4096].to_vec(), "its header promises"),
        (whole[..whole.len() - 100].to_vec(), "its header promises"),
        (b"hola".to_vec(), "the text \"hola\""),
        (Vec::new(), "it is empty"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = open(&shop, &path).err().expect("not whole");
        assert!(error.to_string().contains(words), "{error}");
    }
    let error = open(&shop, &path.with_file_name("no.db"))
        .err()
        .expect("missing");
    assert!(matches!(error, EngineError::Missing { .. }), "{error}");
    let error = open(&shop, shop.folder.path()).err().expect("a folder");
    assert!(
        matches!(error, EngineError::UnknownFormat { .. }),
        "{error}"
    );
}

#[test]
fn a_database_in_use_is_no_backup() {
    let shop = Shop::new("wal", 3, 0);
    let path = shop.folder.path().join("live.sqlite");
    crashed_with_log(&path, "insert into changed values ('only in the log')");
    let error = open(&shop, &path).err().expect("half of it is in the log");
    let cause = std::error::Error::source(&error)
        .expect("a cause")
        .to_string();
    assert!(cause.contains("-wal"), "{cause}");
}

#[test]
fn a_foreign_file_restores_and_its_counts_are_skipped_not_passed() {
    let shop = Shop::new("wal", 30, 0);
    let path = shop.folder.path().join("nightly.sqlite.gz");
    let mut gzip = flate2::write::GzEncoder::new(
        std::fs::File::create(&path).unwrap(),
        flate2::Compression::fast(),
    );
    gzip.write_all(&std::fs::read(&shop.path).unwrap()).unwrap();
    gzip.finish().unwrap();
    let backup = open(&shop, &path).unwrap();
    assert!(backup.facts().is_none() && backup.taken_at().is_none());
    let folder = shop.folder.path().join("sandbox");
    std::fs::create_dir(&folder).unwrap();
    let target = with_run(|run| shop.engine.open_sandbox(&FolderSite(folder), None, run)).unwrap();
    with_run(|run| target.restore(backup.as_ref(), &RestoreOptions::default(), run)).unwrap();
    assert!(matches!(
        target.state().unwrap(),
        TargetState::Occupied { .. }
    ));
    let results = with_run(|run| target.check(backup.as_ref(), Allowed::default(), run));
    let outcomes: Vec<_> = results.iter().map(|result| result.outcome).collect();
    use CheckOutcome::{Passed, Skipped};
    assert_eq!(outcomes, [Passed, Passed, Skipped, Skipped, Passed, Passed]);
    assert!(results[2].detail.contains("does not say"));
}

#[test]
fn a_file_that_changes_after_it_was_opened_does_not_restore() {
    let shop = Shop::new("wal", 30, 0);
    let path = shop.folder.path().join("copy.sqlite");
    std::fs::copy(&shop.path, &path).unwrap();
    let backup = open(&shop, &path).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let folder = shop.folder.path().join("sandbox");
    std::fs::create_dir(&folder).unwrap();
    let target = with_run(|run| {
        shop.engine
            .open_sandbox(&FolderSite(folder.clone()), None, run)
    })
    .unwrap();
    let result = with_run(|run| target.restore(backup.as_ref(), &RestoreOptions::default(), run));
    let error = result.expect_err("it changed");
    let named = matches!(error, EngineError::Read(ReadError::DigestMismatch { .. }));
    assert!(named, "{error}");
    assert_eq!(listing(&folder), [""; 0]);
}
