//! Exports: files that plain `pg_restore` and `psql` read.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use resguardo_engine::contract::with_run;
use resguardo_engine::port::{
    Allowed, CaptureRequest, Engine as _, EngineError, Location, RestoreOptions,
};
use resguardo_engine::postgres::PostgresEngine;
use resguardo_model::{CheckOutcome, Sha256Digest};
use resguardo_testkit::{PgServer, PgVersion};

use crate::capture::{capture, shop};
use crate::source_errors::spoiled;
use crate::world::{Site, described, engine, engine_with, execute, not_passed};

fn export(
    engine: &PostgresEngine,
    server: &PgServer,
    out: &Path,
) -> Result<Vec<PathBuf>, EngineError> {
    let request = CaptureRequest::new(Location::new(server.url("shop")));
    with_run(|run| engine.export(&request, out, run))
}

/// What a person would type.
fn line_for(out: &Path) -> String {
    let file = out.display();
    match out.extension().unwrap().to_str().unwrap() {
        "gz" => format!("gunzip -c '{file}' | psql -X -q -v ON_ERROR_STOP=1"),
        "zst" => format!("zstd -dc '{file}' | psql -X -q -v ON_ERROR_STOP=1"),
        "sql" => format!("psql -X -q -v ON_ERROR_STOP=1 -f '{file}'"),
        "dump" => format!("pg_restore --exit-on-error -j 2 -d back '{file}'"),
        _ => format!("pg_restore --exit-on-error -d back '{file}'"),
    }
}

#[test]
fn every_format_comes_back_with_plain_tools() {
    for version in PgVersion::all() {
        let server = shop(version);
        let (_, before) = capture(&server, "shop");
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "shop.dump",
            "shop.tar",
            "shop.sql",
            "shop.sql.gz",
            "shop.sql.zst",
        ] {
            let out = folder.path().join(name);
            let written = export(&engine(version), &server, &out);
            let written = written.unwrap_or_else(|error| panic!("{name}: {}", described(&error)));
            let beside = folder.path().join(format!("{name}.meta.json"));
            assert_eq!(written, [out.clone(), beside.clone()]);
            let meta: serde_json::Value =
                serde_json::from_slice(&std::fs::read(&beside).unwrap()).unwrap();
            let bytes = std::fs::read(&out).unwrap();
            assert_eq!(meta["sha256"], Sha256Digest::of(&bytes).to_string());
            assert_eq!(meta["bytes"], bytes.len());
            assert_eq!(meta["facts"]["details"]["database"], "shop");
            let counted = serde_json::to_value(&before.facts.tables).unwrap();
            assert_eq!(meta["facts"]["tables"], counted, "{version}, {name}");
            let psql = server.command("psql", "back");
            server.create_database("back", "TEMPLATE template0");
            let mut shell = Command::new("sh");
            shell
                .arg("-c")
                .arg(line_for(&out))
                .stdin(Stdio::null())
                .env(
                    "PATH",
                    format!("{}:/usr/bin:/bin", version.bin_dir().display()),
                );
            for (name, value) in psql.get_envs() {
                if let Some(value) = value {
                    shell.env(name, value);
                }
            }
            let output = shell.output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{version}, {name}: {said}");
            let (_, after) = capture(&server, "back");
            assert_eq!(before.facts.tables, after.facts.tables, "{version}, {name}");
            server.drop_database("back");
        }
        let left = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, 10, "five dumps and what lies beside each");
    }
}

#[test]
fn a_drill_of_an_export_compares_every_row_with_what_lies_beside_it() {
    for (version, name) in [
        (PgVersion::V15, "shop.sql.zst"),
        (PgVersion::V16, "shop.dump"),
        (PgVersion::V18, "shop.dump"),
    ] {
        let server = shop(version);
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join(name);
        let written = export(&engine(version), &server, &out);
        written.unwrap_or_else(|error| panic!("{name}: {}", described(&error)));
        let site = Site::new();
        let target = with_run(|run| {
            let backup = engine(version).open_file(&out, run)?;
            let target = engine(version).open_sandbox(&site, backup.facts(), run)?;
            target.restore(&*backup, &RestoreOptions::default(), run)?;
            Ok::<_, EngineError>(target)
        });
        let target = target.unwrap_or_else(|error| panic!("{name}: {}", described(&error)));
        let checked = || {
            with_run(|run| {
                let backup = engine(version).open_file(&out, run).unwrap();
                target.check(&*backup, Allowed::default(), run)
            })
        };
        let results = checked();
        let skipped = not_passed(&results);
        let names: Vec<_> = skipped.iter().map(|one| &*one.name).collect();
        assert_eq!(
            names,
            ["roles", "database settings and grants"],
            "{version}: {results:#?}"
        );
        assert!(
            skipped
                .iter()
                .all(|one| one.outcome == CheckOutcome::Skipped)
        );
        execute(&*target, "update shop.orders set note = 'x' where id = 77");
        execute(&*target, "drop index shop.orders_note_idx");
        let results = checked();
        let failed = results
            .iter()
            .filter(|one| one.outcome == CheckOutcome::Failed);
        let failed: Vec<_> = failed.map(|one| &*one.name).collect();
        assert_eq!(failed, ["row digests", "schema"], "{version}");
        target.close().unwrap();
    }
}

#[test]
fn a_standby_is_exported_without_what_it_does_not_have() {
    let version = PgVersion::V18;
    let primary = shop(version);
    let standby = primary.standby();
    standby.catch_up_with(&primary);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("shop.dump");
    let written = export(&engine(version), &standby, &out);
    let written = written.unwrap_or_else(|error| panic!("{}", described(&error)));
    let meta = std::fs::read_to_string(&written[1]).unwrap();
    assert!(meta.contains("shop.orders") && meta.contains("a standby does not have it"));
    let list = primary
        .command("pg_restore", "shop")
        .arg("--list")
        .arg(&out)
        .output()
        .unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(list.contains("TABLE DATA shop orders"), "{list}");
    assert!(!list.contains("TABLE DATA public quick"), "{list}");
}

#[test]
fn who_wants_a_table_for_himself_is_let_through_and_the_export_begins_anew() {
    let version = PgVersion::V16;
    let server = shop(version);
    let tools = tempfile::tempdir().unwrap();
    let once = tools.path().join("once");
    // The first dump of the rows starts only when somebody wants a table for himself.
    let deed = format!(
        "case \"$*\" in *--file=*) if mkdir {0}; then \
         ({1}/psql -Xqc 'truncate shop.orders' > /dev/null 2>&1 &); \
         until [ \"$({1}/psql -XAtc \"select count(*) > 0 from pg_locks where mode = 'AccessExclusiveLock' \
         and not granted\")\" = t ]; do :; done; fi;; esac\nexec $real \"$@\"",
        once.display(),
        version.bin_dir().display()
    );
    let engine = engine_with(spoiled(version, tools.path(), &deed));
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("shop.dump");
    let written = export(&engine, &server, &out);
    let written = written.unwrap_or_else(|error| panic!("{}", described(&error)));
    let meta: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&written[1]).unwrap()).unwrap();
    let mut tables = meta["facts"]["tables"].as_array().unwrap().iter();
    let orders = tables.find(|table| table["name"] == "shop.orders").unwrap();
    assert_eq!(orders["rows"], 0, "he was first");
    assert!(once.exists());
}

#[test]
fn an_export_overwrites_nothing_and_leaves_nothing_behind() {
    let version = PgVersion::V16;
    let server = shop(version);
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let error = export(&engine(version), &server, &at("shop.zip")).unwrap_err();
    assert!(
        matches!(error, EngineError::UnknownFormat { .. }),
        "{error:?}"
    );
    for name in ["a.dump", "a.sql.gz.meta.json"] {
        std::fs::write(at(name), "mine").unwrap();
        let out = at(name.trim_end_matches(".meta.json"));
        let error = export(&engine(version), &server, &out).unwrap_err();
        assert!(matches!(error, EngineError::Occupied { .. }), "{error:?}");
        assert_eq!(std::fs::read_to_string(at(name)).unwrap(), "mine");
    }
    let error = export(&engine(version), &server, &at("none/b.dump")).unwrap_err();
    assert!(matches!(error, EngineError::Missing { .. }), "{error:?}");
    for (deed, told) in [
        ("kill -9 $$", "signal 9"),
        ("echo oh no >&2; exit 1", "oh no"),
        ("exit 0", ""),
        (
            "for word in \"$@\"; do case $word in --file=*) out=${word#--file=};; esac; done; \
             if [ -n \"$out\" ]; then $real \"$@\" && truncate -s 2000 $out; \
             else $real \"$@\" | head -c 2000; fi",
            "",
        ),
    ] {
        for name in ["c.dump", "c.tar", "c.sql", "c.sql.zst"] {
            let tools = tempfile::tempdir().unwrap();
            let engine = engine_with(spoiled(version, tools.path(), deed));
            let error = export(&engine, &server, &at(name)).unwrap_err();
            let words = described(&error);
            assert!(words.contains(told), "{name}, {deed}: {words}");
        }
    }
    let mut left: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["a.dump", "a.sql.gz.meta.json"]);
}
