//! Dumps that others made: each format comes back, and what is not whole is refused before anything is touched.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use resguardo_engine::contract::with_run;
use resguardo_engine::port::{
    Engine as _, EngineError, Location, RestoreOptions, Restored, TargetState,
};
use resguardo_testkit::{PgServer, PgVersion};
use tempfile::TempDir;

use crate::restore::{SHOP, assert_same, state};
use crate::world::{clean, described, engine, engine_with};

/// Name and words for `pg_dump` of each format; what is compressed is compressed afterwards.
const FORMATS: [(&str, &[&str]); 7] = [
    ("shop.dump", &["-Fc"]),
    ("shop.tar", &["-Ft"]),
    ("shop-folder", &["-Fd", "-j2"]),
    ("shop.sql", &[]),
    ("created.sql", &["-C", "--clean"]),
    ("shop.sql.gz", &[]),
    ("shop.sql.zst", &[]),
];

fn dump(server: &PgServer, folder: &Path, name: &str, words: &[&str]) -> PathBuf {
    let path = folder.join(name);
    let plain = folder.join(name.trim_end_matches(".gz").trim_end_matches(".zst"));
    let output = server
        .command("pg_dump", "shop")
        .args(words)
        .arg("-f")
        .arg(&plain)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    if plain != path {
        let text = std::fs::read(&plain).unwrap();
        let packed = if name.ends_with(".gz") {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut gzip, &text).unwrap();
            gzip.finish().unwrap()
        } else {
            zstd::encode_all(&text[..], 1).unwrap()
        };
        std::fs::write(&path, packed).unwrap();
    }
    path
}

fn restore(
    server: &PgServer,
    database: &str,
    file: &Path,
    options: &RestoreOptions,
) -> Result<Restored, EngineError> {
    let engine = engine(server.version());
    with_run(|run| {
        let backup = engine.open_file(file, run)?;
        let target = engine.open_target(&Location::new(server.url(database)))?;
        target.restore(backup.as_ref(), options, run)
    })
}

fn opened(version: PgVersion, file: &Path) -> Result<(), EngineError> {
    with_run(|run| engine(version).open_file(file, run).map(|_| ()))
}

fn shop(version: PgVersion) -> (PgServer, TempDir) {
    let server = PgServer::start(version);
    server.create_database("shop", "");
    server.psql("shop", SHOP);
    (server, tempfile::tempdir().unwrap())
}

#[test]
fn each_format_comes_back_on_every_major() {
    for version in PgVersion::all() {
        let (server, folder) = shop(version);
        for (number, (name, words)) in FORMATS.iter().enumerate() {
            let file = dump(&server, folder.path(), name, words);
            let database = format!("again{number}");
            let options = RestoreOptions {
                create: true,
                durable: true,
                ..RestoreOptions::default()
            };
            let restored = restore(&server, &database, &file, &options)
                .unwrap_or_else(|error| panic!("{version} {name}: {}", described(&error)));
            assert!(restored.tables >= 12, "{name}: {restored:?}");
            assert_same((&server, "shop"), (&server, &database), &[]);
        }
    }
}

#[test]
fn what_is_cut_short_is_refused_before_anything_is_touched() {
    for version in PgVersion::all() {
        let (server, folder) = shop(version);
        server.psql("postgres", "create database other");
        for (name, words) in FORMATS {
            let file = dump(&server, folder.path(), name, words);
            let mut victim = file.clone();
            if file.is_dir() {
                let packed = |path: &PathBuf| path.extension().is_some_and(|end| end == "gz");
                let files = std::fs::read_dir(&file)
                    .unwrap()
                    .map(|one| one.unwrap().path());
                victim = files
                    .filter(packed)
                    .max_by_key(|path| path.metadata().unwrap().len())
                    .unwrap();
            }
            let bytes = std::fs::read(&victim).unwrap();
            for length in [bytes.len() / 2, bytes.len() - bytes.len() / 20 - 1] {
                std::fs::write(&victim, &bytes[..length]).unwrap();
                let options = clean();
                let error = restore(&server, "shop", &file, &options).unwrap_err();
                assert!(
                    matches!(error, EngineError::Corrupt { .. }),
                    "{name} at {length}: {}",
                    described(&error)
                );
            }
        }
        assert!(matches!(
            state(&server, "shop"),
            TargetState::Occupied { .. }
        ));
        assert_eq!(
            server.psql("shop", "select count(*) from shop.orders"),
            "5000"
        );
    }
}

#[test]
fn what_is_no_dump_is_refused() {
    for version in PgVersion::all() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        for (name, bytes) in [
            ("picture.dump", b"\x89PNG\r\n\x1a\n\0\0\0".as_slice()),
            ("empty.sql", b""),
            ("mine.sql", b"create table t (a int);\n"),
        ] {
            let error = opened(version, &write(name, bytes)).unwrap_err();
            assert!(
                matches!(error, EngineError::NotThatKind { .. }),
                "{name}: {error}"
            );
        }
        let error = opened(version, &write("broken.dump", b"PGDMP\x01\x0e\0")).unwrap_err();
        assert!(matches!(error, EngineError::Corrupt { .. }), "{error}");
        let error = opened(version, &write("shop.sqlite", b"SQLite format 3\0")).unwrap_err();
        assert!(
            matches!(error, EngineError::UnknownFormat { .. }),
            "{error}"
        );
        let error = opened(version, &folder.path().join("missing.dump")).unwrap_err();
        assert!(matches!(error, EngineError::Missing { .. }), "{error}");
        let cluster = b"--\n-- PostgreSQL database cluster dump\n--\n\\connect a\n";
        let error = opened(version, &write("all.sql", cluster)).unwrap_err();
        assert!(matches!(error, EngineError::Unsupported { .. }), "{error}");
    }
}

#[test]
fn a_hash_beside_it_must_be_its_own() {
    let (server, folder) = shop(PgVersion::V15);
    let file = dump(&server, folder.path(), "shop.dump", &["-Fc"]);
    let beside = folder.path().join("shop.dump.sha256");
    let digest = resguardo_model::Sha256Digest::of(&std::fs::read(&file).unwrap());
    std::fs::write(&beside, format!("{digest}  shop.dump\n")).unwrap();
    opened(PgVersion::V15, &file).unwrap();
    std::fs::write(&beside, format!("{}  shop.dump\n", "a".repeat(64))).unwrap();
    let error = opened(PgVersion::V15, &file).unwrap_err();
    assert!(matches!(error, EngineError::HashMismatch { .. }), "{error}");
}

#[test]
fn a_plain_dump_that_fails_leaves_nothing_and_runs_nothing() {
    let (server, folder) = shop(PgVersion::V15);
    server.create_database("again", "");
    let file = dump(&server, folder.path(), "shop.sql", &[]);
    let text = std::fs::read_to_string(&file).unwrap();
    let proof = folder.path().join("ran");
    for bad in [
        "select no_such_function();".to_owned(),
        format!("\\! touch {}", proof.display()),
    ] {
        let at = text.find("CREATE TABLE").unwrap();
        std::fs::write(&file, format!("{}{bad}\n{}", &text[..at], &text[at..])).unwrap();
        let error = restore(&server, "again", &file, &RestoreOptions::default());
        assert!(error.is_err(), "{bad}");
        assert_eq!(state(&server, "again"), TargetState::Empty, "{bad}");
        assert!(!proof.exists());
    }
}

#[test]
fn a_pg_restore_that_is_killed_is_told_and_leaves_no_database_behind() {
    let (server, folder) = shop(PgVersion::V15);
    let file = dump(&server, folder.path(), "shop.dump", &["-Fc"]);
    let real = PgVersion::V15.bin_dir();
    let tools = folder.path().join("tools");
    std::fs::create_dir(&tools).unwrap();
    for program in ["pg_dump", "psql"] {
        std::os::unix::fs::symlink(real.join(program), tools.join(program)).unwrap();
    }
    let fake = tools.join("pg_restore");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *--dbname=*) kill -9 $$;; esac\nexec {} \"$@\"\n",
        real.join("pg_restore").display()
    );
    std::fs::write(&fake, script).unwrap();
    std::fs::set_permissions(&fake, std::fs::Permissions::from_mode(0o755)).unwrap();
    let engine = engine_with(vec![tools]);
    server.create_database("there", "");
    for (database, create) in [("made", true), ("there", false)] {
        let options = RestoreOptions {
            create,
            ..RestoreOptions::default()
        };
        let error = with_run(|run| {
            let backup = engine.open_file(&file, run).unwrap();
            let location = Location::new(server.url(database));
            let target = engine.open_target(&location).unwrap();
            target.restore(backup.as_ref(), &options, run).unwrap_err()
        });
        let words = described(&error);
        assert!(words.contains("pg_restore ended with signal 9"), "{words}");
        let is_touched = matches!(error, EngineError::TargetTouched { .. });
        assert_eq!(is_touched, !create, "{words}");
    }
    assert_eq!(state(&server, "made"), TargetState::Missing);
}

#[test]
fn roles_that_are_not_there_are_named() {
    let (server, folder) = shop(PgVersion::V18);
    let other = PgServer::start(PgVersion::V18);
    for (name, words) in FORMATS {
        let file = dump(&server, folder.path(), name, words);
        other.create_database("again", "");
        let options = RestoreOptions::default();
        let error = restore(&other, "again", &file, &options).unwrap_err();
        let words = described(&error);
        assert!(
            words.contains("shop_owner") && words.contains("clerk's"),
            "{words}"
        );
        assert_eq!(state(&other, "again"), TargetState::Empty);
        // The policy for a role stays, which pg_restore leaves out no more than we do.
        other.psql("postgres", "create role \"clerk's\"");
        let options = RestoreOptions {
            no_owner: true,
            no_acl: true,
            ..options
        };
        restore(&other, "again", &file, &options)
            .unwrap_or_else(|error| panic!("{name}: {}", described(&error)));
        other.drop_database("again");
        other.psql("postgres", "drop role \"clerk's\"");
    }
}
