//! Captures that cannot come to their end: the error names what happened, no file is finished in vain, and
//! nothing of ours keeps running.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use resguardo_engine::contract::{MemorySink, with_run};
use resguardo_engine::port::{
    CaptureRequest, CaptureSink, Engine as _, EngineError, FileDigest, FileSink, Location, Run,
    SinkError,
};
use resguardo_engine::postgres::PostgresEngine;
use resguardo_model::{CancelToken, FileKind, FilePath, NoProgress};
use resguardo_testkit::{FakeClock, PgServer, PgVersion, Proxy, ProxyFault};

use crate::capture::shop;
use crate::world::{described, engine, engine_with};

fn request(url: &str) -> CaptureRequest {
    CaptureRequest {
        lock_timeout: Duration::from_secs(1),
        silence_timeout: Duration::from_secs(3),
        ..CaptureRequest::new(Location::new(url))
    }
}

type Hook<'a> = Mutex<Option<Box<dyn FnOnce() + Send + 'a>>>;

/// Runs something when the first block of rows arrives.
struct Hooked<'a> {
    inner: MemorySink,
    hook: Hook<'a>,
}

struct HookedFile<'a, 'b> {
    inner: Box<dyn FileSink + 'a>,
    hook: Option<&'a Hook<'b>>,
}

impl CaptureSink for Hooked<'_> {
    fn open_file(
        &self,
        path: &FilePath,
        kind: FileKind,
    ) -> Result<Box<dyn FileSink + '_>, SinkError> {
        let inner = self.inner.open_file(path, kind)?;
        let hook = path.as_str().starts_with("rows/").then_some(&self.hook);
        Ok(Box::new(HookedFile { inner, hook }))
    }
}

impl FileSink for HookedFile<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        if let Some(hook) = self.hook {
            // Nobody else goes on until it is done.
            let mut hook = hook.lock().unwrap();
            if let Some(hook) = hook.take() {
                hook();
            }
        }
        self.inner.write(bytes)
    }

    fn finish(self: Box<Self>) -> Result<FileDigest, SinkError> {
        self.inner.finish()
    }
}

/// A database whose rows take a while.
fn large(version: PgVersion) -> PgServer {
    let server = shop(version);
    server.psql(
        "shop",
        "create table large as select i, repeat(md5(i::text), 30) as t from generate_series(1, 60000) i",
    );
    server
}

fn fail(
    engine: &PostgresEngine,
    request: &CaptureRequest,
    hook: impl FnOnce() + Send,
) -> EngineError {
    let sink = Hooked {
        inner: MemorySink::new(),
        hook: Mutex::new(Some(Box::new(hook))),
    };
    let error = with_run(|run| engine.capture(request, &sink, run)).expect_err("it cannot succeed");
    let Hooked { inner, .. } = sink;
    let finished: Vec<String> = if inner.is_broken() {
        Vec::new()
    } else {
        let files = inner.into_backup(None);
        let files = resguardo_engine::port::BackupReader::files(&files);
        files
            .into_iter()
            .map(|file| file.path.to_string())
            .collect()
    };
    assert!(
        !finished.contains(&"inventory.json".to_owned()),
        "{finished:?}"
    );
    assert_eq!(tools_running(), Vec::<String>::new());
    error
}

/// Programs of PostgreSQL's that this process has started and that still run.
fn tools_running() -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let names = processes.filter_map(|entry| {
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
        let parent = rest.split_whitespace().nth(1)?;
        let is_ours = parent == std::process::id().to_string() && name.starts_with("pg_");
        is_ours.then(|| name.to_owned())
    });
    names.collect()
}

fn assert_unreachable(error: &EngineError) {
    let words = described(error);
    assert!(
        matches!(
            error,
            EngineError::Unreachable { .. } | EngineError::Missing { .. }
        ),
        "{words}"
    );
    assert!(!error.is_permanent() || matches!(error, EngineError::Missing { .. }));
}

#[test]
fn a_lock_that_is_held_for_ever_is_named_with_its_holder() {
    for version in PgVersion::all() {
        let server = shop(version);
        let mut holder = server
            .command("psql", "shop")
            .env("PGAPPNAME", "nightly migration")
            .args([
                "-XAtc",
                "begin; lock table shop.orders; select pg_sleep(600)",
            ])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let waiting = "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and granted \
                       and relation = 'shop.orders'::regclass";
        while server.psql("shop", waiting) != "1" {
            std::thread::sleep(Duration::from_millis(20));
        }
        let error = fail(&engine(version), &request(&server.url("shop")), || ());
        let words = described(&error);
        assert!(matches!(error, EngineError::Busy { .. }), "{words}");
        for part in [
            "nightly migration",
            "user postgres",
            "shop.orders",
            "pg_sleep",
        ] {
            assert!(words.contains(part), "{version}: {words}");
        }
        holder.kill().unwrap();
        holder.wait().unwrap();
    }
}

#[test]
fn a_table_that_cannot_be_read_fails_the_backup_by_name() {
    for version in PgVersion::all() {
        let server = shop(version);
        server.psql(
            "shop",
            "create role reader login bypassrls in role pg_read_all_data; \
             select lo_unlink(oid) from pg_largeobject_metadata; \
             revoke pg_read_all_data from reader; grant usage on schema shop to reader; \
             grant select on all tables in schema shop, public to reader; \
             grant select on all sequences in schema shop, public to reader; \
             revoke select on events_rest from reader",
        );
        let url = server.url_of("reader", None, "shop");
        let error = fail(&engine(version), &request(&url), || ());
        let words = described(&error);
        assert!(matches!(error, EngineError::Denied { .. }), "{words}");
        assert!(
            words.contains("table \"public\".\"events_rest\""),
            "{words}"
        );
        assert!(
            words.contains("GRANT SELECT ON TABLE \"public\".\"events_rest\" TO \"reader\""),
            "{words}"
        );
    }
}

#[test]
fn a_database_that_is_dropped_midway_fails_the_backup() {
    for version in PgVersion::all() {
        let server = large(version);
        let url = server.url("shop");
        let error = fail(&engine(version), &request(&url), || {
            server.drop_database("shop")
        });
        assert_unreachable(&error);
    }
}

#[test]
fn a_server_that_is_stopped_or_killed_midway_fails_the_backup() {
    for version in PgVersion::all() {
        let server = large(version);
        let url = server.url("shop");
        let error = fail(&engine(version), &request(&url), || server.stop_fast());
        assert_unreachable(&error);
        server.start_again();
        let error = fail(&engine(version), &request(&url), || server.kill());
        assert_unreachable(&error);
        let error = fail(&engine(version), &request(&url), || ());
        assert_unreachable(&error);
    }
}

#[test]
fn a_connection_that_is_cut_midway_fails_the_backup() {
    for version in PgVersion::all() {
        let server = large(version);
        let proxy = Proxy::before(([127, 0, 0, 1], server.port()).into());
        let url = format!("postgresql://postgres@{}/shop", proxy.address());
        let error = fail(&engine(version), &request(&url), || {
            proxy.always(ProxyFault::Close)
        });
        assert_unreachable(&error);
        // Whatever was cut, it is never a success: after ever more bytes of each connection.
        for bytes in [1, 100, 1000, 3000, 10_000, 100_000, 1_000_000] {
            proxy.always(ProxyFault::CutDownload(bytes));
            let error = fail(&engine(version), &request(&url), || ());
            assert!(
                !matches!(error, EngineError::Cancelled(_)),
                "{bytes}: {}",
                described(&error)
            );
        }
    }
}

#[test]
fn a_server_that_falls_silent_midway_is_given_up() {
    for version in PgVersion::all() {
        let server = large(version);
        let error = fail(&engine(version), &request(&server.url("shop")), || {
            server.pause()
        });
        server.resume();
        let words = described(&error);
        assert!(
            matches!(error, EngineError::Timeout { seconds: 3, .. }),
            "{words}"
        );
    }
}

/// A folder with a `pg_dump` that tells its version and then does something else.
pub(crate) fn spoiled(version: PgVersion, folder: &Path, deed: &str) -> Vec<PathBuf> {
    let real = version.bin_dir();
    for tool in ["pg_restore", "psql"] {
        std::os::unix::fs::symlink(real.join(tool), folder.join(tool)).unwrap();
    }
    let dump = folder.join("pg_dump");
    let script = format!(
        "#!/bin/sh\nreal={}\n[ \"$1\" = --version ] && exec $real --version\n{deed}\n",
        real.join("pg_dump").display()
    );
    std::fs::write(&dump, script).unwrap();
    std::fs::set_permissions(&dump, std::fs::Permissions::from_mode(0o755)).unwrap();
    vec![folder.to_owned()]
}

#[test]
fn a_pg_dump_that_fails_in_any_way_fails_the_backup() {
    for version in PgVersion::all() {
        let server = shop(version);
        for (deed, told) in [
            ("kill -9 $$", "signal 9"),
            ("$real \"$@\" | head -c 2000; kill -9 $$", "signal 9"),
            ("echo oh no >&2; exit 1", "exit code 1: oh no"),
            ("exit 0", "pg_dump wrote nothing"),
            (
                "$real \"$@\" | head -c 3000; exit 0",
                "pg_restore ended with exit code 1",
            ),
            ("sleep 600", "took longer than 3 s"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let engine = engine_with(spoiled(version, folder.path(), deed));
            let error = fail(&engine, &request(&server.url("shop")), || ());
            let words = described(&error);
            assert!(words.contains(told), "{version}, {deed}: {words}");
        }
    }
}

#[test]
fn a_sink_that_fails_is_the_sinks_error() {
    let server = large(PgVersion::V15);
    let sink = MemorySink::failing_after(3_000_000);
    let request = request(&server.url("shop"));
    let captured = with_run(|run| engine(PgVersion::V15).capture(&request, &sink, run));
    let error = captured.unwrap_err();
    assert!(
        matches!(error, EngineError::Sink(_)),
        "{}",
        described(&error)
    );
    assert_eq!(tools_running(), Vec::<String>::new());
}

#[test]
fn a_backup_that_is_interrupted_ends_at_once() {
    for version in PgVersion::all() {
        let server = large(version);
        let cancel = CancelToken::new();
        let sink = Hooked {
            inner: MemorySink::new(),
            hook: Mutex::new(Some(Box::new(|| cancel.cancel()))),
        };
        let run = Run {
            cancel: &cancel,
            progress: &NoProgress,
            clock: &FakeClock::at("2026-11-22T08:00:00Z"),
        };
        let captured = engine(version).capture(&request(&server.url("shop")), &sink, run);
        let error = captured.unwrap_err();
        assert!(
            matches!(error, EngineError::Cancelled(_)),
            "{}",
            described(&error)
        );
        assert_eq!(tools_running(), Vec::<String>::new());
        let left = "select count(*) from pg_stat_activity where application_name = 'resguardo'";
        while server.psql("shop", left) != "0" {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn names_that_are_no_text_are_refused_and_not_left_out() {
    for version in PgVersion::all() {
        let server = PgServer::start(version);
        server.create_database(
            "ascii",
            "TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'",
        );
        let sql = "do $$ begin execute 'create table a' || chr(233) || ' (x int)'; end $$";
        server.psql("ascii", sql);
        let error = fail(&engine(version), &request(&server.url("ascii")), || ());
        let words = described(&error);
        assert!(words.contains("encoding \"UTF8\""), "{words}");
    }
}

#[test]
fn who_wants_tables_for_himself_meanwhile_waits_for_the_backup_and_spoils_nothing() {
    for version in PgVersion::all() {
        let server = large(version);
        let psql = |sql: &str| {
            let mut psql = server.command("psql", "shop");
            psql.args(["-Xqc", sql]).spawn().unwrap()
        };
        let waiting = Mutex::new(Vec::new());
        let hook = || {
            let truncate = "truncate large, shop.orders, quick, schema_migrations";
            waiting.lock().unwrap().push(psql(truncate));
            let queued =
                "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and not granted";
            while server.psql("shop", queued) == "0" {
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        let sink = Hooked {
            inner: MemorySink::new(),
            hook: Mutex::new(Some(Box::new(hook))),
        };
        let request = CaptureRequest {
            jobs: Some(1),
            ..request(&server.url("shop"))
        };
        let captured = with_run(|run| engine(version).capture(&request, &sink, run));
        let captured = captured.unwrap_or_else(|error| panic!("{version}: {}", described(&error)));
        for (name, rows) in [
            ("public.large", 60_000),
            ("shop.orders", 40_000),
            ("public.quick", 1),
            ("public.schema_migrations", 2),
        ] {
            let mut tables = captured.facts.tables.iter();
            assert_eq!(
                tables.find(|table| table.name == name).unwrap().rows,
                rows,
                "{version}: {name}"
            );
        }
        drop(sink);
        for mut psql in waiting.into_inner().unwrap() {
            assert!(psql.wait().unwrap().success());
        }
        assert_eq!(server.psql("shop", "select count(*) from large"), "0");
    }
}

#[test]
fn who_comes_before_pg_dump_is_let_through_first() {
    let version = PgVersion::V16;
    let server = shop(version);
    let folder = tempfile::tempdir().unwrap();
    let once = folder.path().join("once");
    // The first pg_dump starts only when somebody wants a table for himself.
    let deed = format!(
        "if mkdir {0}; then ({1}/psql -Xqc 'truncate shop.orders' > /dev/null 2>&1 &); \
         until [ \"$({1}/psql -XAtc \"select count(*) > 0 from pg_locks where mode = 'AccessExclusiveLock' \
         and not granted\")\" = t ]; do :; done; fi\nexec $real \"$@\"",
        once.display(),
        version.bin_dir().display()
    );
    let engine = engine_with(spoiled(version, folder.path(), &deed));
    let sink = MemorySink::new();
    let captured = with_run(|run| engine.capture(&request(&server.url("shop")), &sink, run));
    let captured = captured.unwrap_or_else(|error| panic!("{}", described(&error)));
    let mut tables = captured.facts.tables.iter();
    let orders = tables.find(|table| table.name == "shop.orders").unwrap();
    assert_eq!(orders.rows, 0, "he was first");
    assert!(once.exists());
}

#[test]
fn a_pg_dump_that_waits_for_a_lock_in_vain_names_who_is_in_the_way() {
    let version = PgVersion::V16;
    let server = shop(version);
    let folder = tempfile::tempdir().unwrap();
    // Every pg_dump starts when somebody wants a table for himself, and waits for less than we look.
    let deed = format!(
        "(PGAPPNAME=eager {0}/psql -Xqc 'lock table shop.orders; select pg_sleep(600)' > /dev/null 2>&1 &); \
         until [ \"$({0}/psql -XAtc \"select count(*) > 0 from pg_locks where mode = 'AccessExclusiveLock' \
         and not granted\")\" = t ]; do :; done\nexec $real --lock-wait-timeout=100 \"$@\" --lock-wait-timeout=100",
        version.bin_dir().display()
    );
    let engine = engine_with(spoiled(version, folder.path(), &deed));
    let error = fail(&engine, &request(&server.url("shop")), || ());
    let words = described(&error);
    assert!(matches!(error, EngineError::Busy { .. }), "{words}");
    assert!(
        words.contains("eager") && words.contains("shop.orders"),
        "{words}"
    );
}

#[test]
fn a_source_that_is_corrupt_is_named_if_it_is_to_be_checked() {
    // Of the versions here, the one without contrib has no amcheck.
    for version in [PgVersion::V15, PgVersion::V18] {
        let server = shop(version);
        let request = CaptureRequest {
            check_integrity: true,
            ..request(&server.url("shop"))
        };
        let error = fail(&engine(version), &request, || ());
        assert!(
            matches!(error, EngineError::Unsupported { .. }),
            "{}",
            described(&error)
        );
        server.psql("shop", "create extension amcheck");
        let sink = MemorySink::new();
        let captured = with_run(|run| engine(version).capture(&request, &sink, run));
        assert!(captured.is_ok(), "{:?}", captured.err());
        let file = server.psql(
            "shop",
            "checkpoint; select pg_relation_filepath('shop.orders')",
        );
        server.stop_fast();
        let path = server.data_dir().join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        // The first line pointer of the third page: a row that ends beyond the page.
        let pointer: u32 = 8000 | 1 << 15 | 500 << 17;
        bytes[2 * 8192 + 24..2 * 8192 + 28].copy_from_slice(&pointer.to_le_bytes());
        std::fs::write(&path, bytes).unwrap();
        server.start_again();
        let error = fail(&engine(version), &request, || ());
        let words = described(&error);
        assert!(matches!(error, EngineError::Corrupt { .. }), "{words}");
        assert!(words.contains("orders"), "{words}");
    }
}
