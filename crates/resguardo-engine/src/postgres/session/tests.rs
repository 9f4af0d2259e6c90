//! Connections to real servers, good and bad.

#![allow(clippy::disallowed_methods, reason = "test: threads that disturb")]

use std::io::{self, Read};
use std::time::Duration;

use resguardo_model::CancelToken;
use resguardo_testkit::{PgServer, PgServerOptions, PgVersion, Proxy, ProxyFault};

use super::*;
use crate::port::Location;
use crate::postgres::LibpqEnvironment;

const LIMITS: Limits = Limits {
    lock: Duration::from_secs(30),
    silence: Some(Duration::from_secs(60)),
};

fn settings(url: &str) -> Settings {
    Settings::resolve(&Location::new(url), &LibpqEnvironment::default()).unwrap()
}

fn connect(url: &str) -> Result<Session, EngineError> {
    Session::connect(&settings(url), LIMITS, &CancelToken::new())
}

fn error_of(url: &str) -> EngineError {
    match connect(url) {
        Ok(_) => panic!("{} let us in", settings(url)),
        Err(error) => error,
    }
}

#[test]
fn every_major_answers_over_a_socket_and_over_the_network() {
    for version in PgVersion::all() {
        let server = PgServer::start(version);
        for url in [server.url("postgres"), server.socket_url("postgres")] {
            let session = connect(&url).unwrap();
            let told = session.rows("show server_version_num").unwrap();
            assert_eq!(session.version().number, told[0].number::<u32>(0));
            assert_eq!(session.encoding(), "UTF8");
            assert!(!session.in_recovery());
            let shown = session.rows("select null, 't', 7; select 1").unwrap();
            assert_eq!(shown.len(), 2);
            assert_eq!(shown[0].optional(0), None);
            assert!(shown[0].is_true(1));
            assert_eq!(shown[0].number::<u8>(2), 7);
        }
    }
}

#[test]
fn rows_come_out_one_by_one_and_go_in_again() {
    let server = PgServer::start(PgVersion::V15);
    let session = connect(&server.url("postgres")).unwrap();
    session
        .batch("create schema s; create table s.t (a int, b text); insert into s.t select i, repeat(i::text, i % 300) from generate_series(1, 20000) i")
        .unwrap();
    let mut text = Vec::new();
    let mut calls = 0_u64;
    let rows = session
        .copy_out("copy s.t to stdout", &mut |row| {
            calls += 1;
            assert_eq!(row.iter().filter(|byte| **byte == b'\n').count(), 1);
            text.extend_from_slice(row);
            Ok(())
        })
        .unwrap();
    assert_eq!((rows, calls), (20_000, 20_000));
    session.batch("create table s.u (like s.t)").unwrap();
    let taken = session
        .copy_in("copy s.u from stdin", &mut &text[..])
        .unwrap();
    assert_eq!(taken, 20_000);
    let differing = session
        .rows("select count(*) from (select * from s.t except select * from s.u) d")
        .unwrap();
    assert_eq!(differing[0].text(0), "0");
}

#[test]
fn a_source_that_fails_leaves_no_row() {
    struct Damaged(usize);
    impl Read for Damaged {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::Error::other("damaged"));
            }
            self.0 -= 1;
            buffer[..4].copy_from_slice(b"1\ta\n");
            Ok(4)
        }
    }
    let server = PgServer::start(PgVersion::V15);
    let session = connect(&server.url("postgres")).unwrap();
    session
        .batch("create table public.t (a int, b text)")
        .unwrap();
    let copied = session.copy_in("copy public.t from stdin", &mut Damaged(100_000));
    let error = copied.unwrap_err();
    assert!(matches!(error, EngineError::Other { .. }), "{error}");
    let left = session.rows("select count(*) from public.t").unwrap();
    assert_eq!(left[0].text(0), "0");
}

#[test]
fn who_may_not_come_in_is_told_why() {
    for version in PgVersion::all() {
        let server = PgServer::start_with(PgServerOptions {
            password: Some("super-s3cret".to_owned()),
            ..PgServerOptions::new(version)
        });
        server.psql("postgres", "create role ana login password 's3cret'");
        assert!(connect(&server.url_of("ana", Some("s3cret"), "postgres")).is_ok());
        let error = error_of(&server.url_of("ana", Some("wrong-w0rd"), "postgres"));
        assert!(matches!(error, EngineError::Denied { .. }), "{error}");
        assert!(
            error.to_string().contains("password authentication failed"),
            "{error}"
        );
        assert!(!error.to_string().contains("wrong-w0rd"), "{error}");
        let error = error_of(&server.url_of("ana", None, "postgres"));
        assert!(matches!(error, EngineError::Denied { .. }), "{error}");
        let error = error_of(&server.url_of("ana", Some("s3cret"), "nowhere"));
        assert!(matches!(error, EngineError::Missing { .. }), "{error}");
        let error = error_of("postgresql://ana@127.0.0.1:1/shop");
        assert!(matches!(error, EngineError::Unreachable { .. }), "{error}");
        let error = error_of("postgresql://ana@no-such-host.invalid/shop");
        assert!(matches!(error, EngineError::Unreachable { .. }), "{error}");
    }
}

#[test]
fn tls_is_checked_as_strictly_as_asked() {
    let server = PgServer::start_with(PgServerOptions {
        tls: true,
        ..PgServerOptions::new(PgVersion::V15)
    });
    let url = |extra: &str| format!("{}?{extra}", server.url("postgres"));
    let by_name = |extra: &str| url(extra).replace("127.0.0.1", "localhost");
    let ca = server.ca_file().display().to_string();
    let wrong = server.wrong_ca_file().display().to_string();
    let is_encrypted = |url: &str| {
        let session = connect(url).unwrap();
        let told = session
            .rows("select ssl from pg_catalog.pg_stat_ssl where pid = pg_catalog.pg_backend_pid()");
        told.unwrap()[0].is_true(0)
    };
    assert!(!is_encrypted(&url("sslmode=disable")));
    assert!(is_encrypted(&url("sslmode=prefer")));
    assert!(is_encrypted(&url("sslmode=require")));
    assert!(is_encrypted(&url(&format!(
        "sslmode=verify-ca&sslrootcert={ca}"
    ))));
    assert!(is_encrypted(&by_name(&format!(
        "sslmode=verify-full&sslrootcert={ca}"
    ))));
    for refused in [
        format!("sslmode=verify-ca&sslrootcert={wrong}"),
        format!("sslmode=require&sslrootcert={wrong}"),
        "sslmode=verify-full&sslrootcert=system".to_owned(),
    ] {
        let error = error_of(&by_name(&refused));
        assert!(
            matches!(error, EngineError::Unreachable { .. }),
            "{refused}: {error}"
        );
    }
    let error = error_of(&by_name("sslmode=verify-full"));
    assert!(error.to_string().contains("sslrootcert"), "{error}");
    let error = error_of(&by_name("sslmode=verify-full&sslrootcert=/nowhere.pem"));
    assert!(error.to_string().contains("/nowhere.pem"), "{error}");
}

#[test]
fn a_server_without_tls_is_refused_where_that_is_asked_for() {
    for version in PgVersion::all() {
        let plain = PgServer::start(version);
        let error = error_of(&format!("{}?sslmode=require", plain.url("postgres")));
        assert!(matches!(error, EngineError::Unreachable { .. }), "{error}");
    }
}

#[test]
fn a_server_that_shuts_down_lets_nobody_in() {
    for version in PgVersion::all() {
        let server = PgServer::start(version);
        let session = connect(&server.url("postgres")).unwrap();
        let pid = std::fs::read_to_string(server.data_dir().join("postmaster.pid")).unwrap();
        let pid: i32 = pid.lines().next().unwrap().parse().unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        // It waits for those who are in.
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let error = loop {
            if let Err(error) = connect(&server.url("postgres")) {
                break error;
            }
        };
        assert!(matches!(error, EngineError::Unreachable { .. }), "{error}");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("shutting down"), "{version}: {cause}");
        assert!(session.rows("select 1").is_ok());
    }
}

#[test]
fn a_wait_ends_when_it_is_cancelled_or_too_long_and_so_does_its_statement() {
    let server = PgServer::start(PgVersion::V15);
    let cancel = CancelToken::new();
    let session = Session::connect(&settings(&server.url("postgres")), LIMITS, &cancel).unwrap();
    let error = session
        .batch_within(
            "select pg_catalog.pg_sleep(1000)",
            Duration::from_millis(300),
        )
        .unwrap_err();
    assert!(matches!(error, EngineError::Timeout { .. }), "{error}");
    let sleeping = "select count(*) from pg_stat_activity where query like '%sleep(1000)' and state = 'active' and pid <> pg_backend_pid()";
    while server.psql("postgres", sleeping).trim() != "0" {
        std::thread::yield_now();
    }
    cancel.cancel();
    let error = session
        .batch("select pg_catalog.pg_sleep(1001)")
        .unwrap_err();
    assert!(matches!(error, EngineError::Cancelled(_)), "{error}");
}

#[test]
fn a_locked_table_is_busy_and_a_bad_statement_shows_its_own_words() {
    let server = PgServer::start(PgVersion::V15);
    let holder = connect(&server.url("postgres")).unwrap();
    holder
        .batch("create table public.t (a int primary key)")
        .unwrap();
    holder
        .batch("begin; lock table public.t in access exclusive mode")
        .unwrap();
    let limits = Limits {
        lock: Duration::from_millis(200),
        ..LIMITS
    };
    let url = server.url("postgres");
    let session = Session::connect(&settings(&url), limits, &CancelToken::new()).unwrap();
    let error = session
        .batch("begin; lock table public.t in access share mode")
        .unwrap_err();
    assert!(matches!(error, EngineError::Busy { .. }), "{error}");
    session.batch("rollback").unwrap();
    let error = session.batch("select nonsense").unwrap_err();
    assert!(matches!(error, EngineError::Sql { .. }), "{error}");
    assert!(error.to_string().contains("nonsense"), "{error}");
    // What a row holds does not get into an error: errors are kept in receipts.
    holder
        .batch("rollback; create table public.v (a text primary key);  insert into public.v values ('ana@example')")
        .unwrap();
    let error = holder
        .batch("insert into public.v values ('ana@example')")
        .unwrap_err();
    assert!(!format!("{error:?}").contains("Key (a)"), "{error:?}");
}

#[test]
fn a_cut_or_silent_connection_is_an_error_of_the_copy() {
    let server = PgServer::start(PgVersion::V15);
    server.psql(
        "postgres",
        "create table t as select i, repeat('x', 200) from generate_series(1, 50000) i",
    );
    let proxy = Proxy::before(([127, 0, 0, 1], server.port()).into());
    let url = server.url("postgres").replace(
        &format!(":{}", server.port()),
        &format!(":{}", proxy.address().port()),
    );
    let url = format!("{url}?sslmode=disable");
    proxy.next(1, ProxyFault::CutDownload(1_000_000));
    let session = connect(&url).unwrap();
    let copied = session.copy_out("copy public.t to stdout", &mut |_| Ok(()));
    let error = copied.unwrap_err();
    assert!(matches!(error, EngineError::Unreachable { .. }), "{error}");

    let limits = Limits {
        silence: Some(Duration::from_millis(500)),
        ..LIMITS
    };
    let session = Session::connect(&settings(&url), limits, &CancelToken::new()).unwrap();
    server.pause();
    let error = session.rows("select 1").err();
    server.resume();
    let error = error.expect("a frozen server says nothing");
    assert!(matches!(error, EngineError::Timeout { .. }), "{error}");
}

#[test]
fn a_server_that_stops_or_is_a_standby_says_so() {
    for version in PgVersion::all() {
        let server = PgServer::start(version);
        let session = connect(&server.url("postgres")).unwrap();
        let standby = server.standby();
        assert!(connect(&standby.url("postgres")).unwrap().in_recovery());
        server.stop_fast();
        let error = session.rows("select 1").err().expect("it is gone");
        assert!(matches!(error, EngineError::Unreachable { .. }), "{error}");
        let error = error_of(&server.url("postgres"));
        assert!(matches!(error, EngineError::Unreachable { .. }), "{error}");
    }
}
