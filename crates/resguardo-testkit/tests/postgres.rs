//! The testkit's own PostgreSQL servers: every major starts, answers, dies and comes back.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test: runs programs, unwraps"
)]

use std::net::TcpStream;

use resguardo_testkit::postgres::quote_identifier;
use resguardo_testkit::{
    PgBouncer, PgServer, PgServerOptions, PgVersion, PoolMode, Proxy, ProxyFault,
};

const STRANGE: &str = "say \"hi\" to 'ñandú' = %20/?#&";

#[test]
fn every_major_starts_and_answers() {
    for version in PgVersion::all() {
        let server = PgServer::start(version);
        let number = server.psql("postgres", "SHOW server_version_num");
        assert!(number.starts_with(&version.major().to_string()), "{number}");
        let encoding = server.psql("postgres", "SHOW server_encoding");
        assert_eq!(encoding, "UTF8", "{version}");
        server.create_database(STRANGE, "TEMPLATE template0");
        assert_eq!(
            server.psql(STRANGE, "SELECT current_database()"),
            STRANGE,
            "{version}"
        );
        for url in [server.url(STRANGE), server.socket_url(STRANGE)] {
            let output = server
                .command("psql", "nowhere")
                .args(["-XAtc", "SELECT current_database()", &url])
                .output()
                .unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            assert_eq!(text.trim_end(), STRANGE, "{version}, {url}");
        }
        server.drop_database(STRANGE);
        let left = "SELECT count(*) FROM pg_database WHERE NOT datistemplate";
        assert_eq!(server.psql("postgres", left), "1");
    }
}

#[test]
fn the_extension_and_the_tools_are_there_on_every_major() {
    for version in PgVersion::all() {
        let server = PgServer::start(version);
        let sql = "CREATE EXTENSION resguardo_fixture; SELECT fixture_double(21)";
        assert_eq!(server.psql("postgres", sql), "42", "{version}");
        for tool in [
            "pg_dump",
            "pg_restore",
            "pg_dumpall",
            "pg_amcheck",
            "pgbench",
        ] {
            let output = server
                .command(tool, "postgres")
                .arg("--version")
                .output()
                .unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(text.contains(&format!(" {}.", version.major())), "{text}");
        }
    }
}

#[test]
fn servers_are_told_apart_by_their_identifiers() {
    let question = "SELECT system_identifier FROM pg_control_system()";
    for version in PgVersion::all() {
        let [one, other] = [(), ()].map(|()| PgServer::start(version));
        assert_ne!(
            one.psql("postgres", question),
            other.psql("postgres", question),
            "{version}"
        );
    }
}

#[test]
fn a_killed_server_recovers_what_was_committed() {
    for version in PgVersion::all() {
        let server = PgServer::start(version);
        server.pgbench("postgres", &["-i", "-q", "-s", "1"]);
        let load = server.pgbench_meanwhile("postgres", &["-T", "60", "-c", "2"]);
        while server.psql("postgres", "SELECT count(*) > 20 FROM pgbench_history") != "t" {}
        let before = server.psql("postgres", "SELECT count(*) FROM pgbench_history");
        server.kill();
        drop(load);
        assert!(TcpStream::connect(("127.0.0.1", server.port())).is_err());
        server.start_again();
        let after = server.psql(
            "postgres",
            &format!("SELECT count(*) >= {before} FROM pgbench_history"),
        );
        assert_eq!(after, "t", "{version}: {}", server.log());
        server.stop_fast();
        assert!(server.try_psql("postgres", "SELECT 1").is_err());
    }
}

#[test]
fn a_paused_server_takes_no_connection_until_it_goes_on() {
    let server = PgServer::start(PgVersion::V16);
    server.pause();
    let mut waiting = server.command("psql", "postgres");
    let mut waiting = waiting.args(["-XAtc", "SELECT 1"]).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(waiting.try_wait().unwrap().is_none());
    server.resume();
    assert!(waiting.wait().unwrap().success());
}

#[test]
fn a_password_is_asked_for_over_tcp() {
    for version in PgVersion::all() {
        let password = "p@ss' \"w:ö/rd%";
        let server = PgServer::start_with(PgServerOptions {
            password: Some(password.to_owned()),
            ..PgServerOptions::new(version)
        });
        let with = |url: &str| {
            let mut psql = server.command("psql", "postgres");
            psql.args(["-XAtwc", "SELECT 1", url]).output().unwrap()
        };
        assert!(with(&server.url("postgres")).status.success(), "{version}");
        let wrong = server.url_of("postgres", Some("wrong"), "postgres");
        let error = String::from_utf8(with(&wrong).stderr).unwrap();
        assert!(error.contains("password authentication failed"), "{error}");
    }
}

#[test]
fn tls_is_for_localhost_alone() {
    let server = PgServer::start_with(PgServerOptions {
        tls: true,
        ..PgServerOptions::new(PgVersion::V15)
    });
    let connects = |host: &str, ca: &std::path::Path| {
        let url = format!(
            "host={host} port={} sslmode=verify-full sslrootcert={}",
            server.port(),
            ca.display()
        );
        let mut psql = server.command("psql", "postgres");
        let output = psql
            .args([
                "-XAtc",
                "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
                &url,
            ])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim() == "t"
    };
    assert!(connects("localhost", &server.ca_file()));
    assert!(!connects("localhost", &server.wrong_ca_file()));
    assert!(!connects("127.0.0.1", &server.ca_file()));
}

#[test]
fn encodings_and_collations_are_as_asked() {
    let latin = PgServer::start_with(PgServerOptions {
        encoding: "LATIN1".to_owned(),
        locale: "C".to_owned(),
        ..PgServerOptions::new(PgVersion::V18)
    });
    assert_eq!(latin.psql("postgres", "SHOW server_encoding"), "LATIN1");
    let german = PgServer::start_with(PgServerOptions {
        locale: "icu:de".to_owned(),
        ..PgServerOptions::new(PgVersion::V15)
    });
    let question =
        "SELECT datlocprovider, daticulocale FROM pg_database WHERE datname = 'postgres'";
    assert_eq!(german.psql("postgres", question), "i|de");
}

#[test]
fn a_standby_follows_its_primary() {
    for version in PgVersion::all() {
        let primary = PgServer::start(version);
        let standby = primary.standby();
        primary.psql("postgres", "CREATE TABLE t AS SELECT 7 AS n");
        standby.catch_up_with(&primary);
        let question = "SELECT n, pg_is_in_recovery() FROM t";
        assert_eq!(standby.psql("postgres", question), "7|t", "{version}");
    }
}

#[test]
fn a_server_without_tcp_is_reached_by_its_socket_alone() {
    let server = PgServer::start_with(PgServerOptions {
        tcp: false,
        ..PgServerOptions::new(PgVersion::V18)
    });
    assert_eq!(server.psql("postgres", "SELECT 1"), "1");
    assert!(TcpStream::connect(("127.0.0.1", server.port())).is_err());
}

#[test]
fn a_pooler_hands_out_connections() {
    let server = PgServer::start(PgVersion::V15);
    let pooler = PgBouncer::start(&server, PoolMode::Transaction);
    let output = server
        .command("psql", "postgres")
        .args([
            "-XAtc",
            "SELECT inet_server_port()",
            &pooler.url("postgres"),
        ])
        .output()
        .unwrap();
    let port = String::from_utf8(output.stdout).unwrap();
    assert_eq!(port.trim(), server.port().to_string());
}

#[test]
fn a_proxy_cuts_a_connection_after_some_bytes() {
    let server = PgServer::start(PgVersion::V18);
    let proxy = Proxy::before(([127, 0, 0, 1], server.port()).into());
    let url = format!("postgresql://postgres@{}/postgres", proxy.address());
    let select = || {
        let mut psql = server.command("psql", "postgres");
        let sql = "SELECT repeat('x', 1000) FROM generate_series(1, 10000)";
        psql.args(["-XAtc", sql, &url]).output().unwrap()
    };
    assert!(select().status.success());
    proxy.next(1, ProxyFault::CutDownload(1_000_000));
    let cut = select();
    assert!(!cut.status.success());
    let said = String::from_utf8_lossy(&cut.stderr).into_owned();
    assert!(said.contains("server closed the connection"), "{said}");
    assert!(select().status.success());
}

#[test]
fn names_are_quoted() {
    assert_eq!(quote_identifier("a\"b"), "\"a\"\"b\"");
}
