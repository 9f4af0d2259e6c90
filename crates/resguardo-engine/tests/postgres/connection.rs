//! The tools of a capture connect as we do: encrypted, with the same checks, and with no secret that others see.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use resguardo_engine::contract::{MemorySink, with_run};
use resguardo_engine::port::{CaptureRequest, Captured, Engine as _, EngineError, Location};
use resguardo_engine::postgres::{LibpqEnvironment, PostgresEngine, Surroundings};
use resguardo_testkit::{PgServer, PgServerOptions, PgVersion};

use crate::source_errors::spoiled;
use crate::world::described;

const PASSWORD: &str = "s3cret with 'quotes' and %25";

/// A server that takes nothing but TLS and passwords.
fn strict() -> PgServer {
    let server = PgServer::start_with(PgServerOptions {
        tls: true,
        password: Some(PASSWORD.to_owned()),
        hba: vec![
            "hostssl all all 127.0.0.1/32 scram-sha-256".to_owned(),
            "hostnossl all all 127.0.0.1/32 reject".to_owned(),
        ],
        ..PgServerOptions::new(PgVersion::V15)
    });
    server.psql(
        "postgres",
        "create table t (a int); insert into t values (1), (2)",
    );
    server
}

fn capture(
    libpq: LibpqEnvironment,
    tools: Vec<PathBuf>,
    url: &str,
) -> Result<Captured, EngineError> {
    let engine = PostgresEngine::new(Surroundings {
        scratch: std::env::temp_dir().join(format!(
            "resguardo-engine-tests-{}",
            rustix::process::geteuid().as_raw()
        )),
        libpq,
        tool_folders: tools,
        server_user: None,
    });
    let request = CaptureRequest::new(Location::new(url));
    with_run(|run| engine.capture(&request, &MemorySink::new(), run))
}

#[test]
fn settings_reach_pg_dump_and_no_secret_is_on_its_command_line() {
    let server = strict();
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("seen");
    let tools = folder.path().join("tools");
    std::fs::create_dir(&tools).unwrap();
    let deed = format!(
        "echo \"$@\" >> {0}; env | grep ^PG >> {0}; exec $real \"$@\"",
        seen.display()
    );
    let tools = spoiled(PgVersion::V15, &tools, &deed);
    let service = folder.path().join("services");
    let passfile = folder.path().join("passwords");
    let escaped = PASSWORD.replace('\\', "\\\\").replace(':', "\\:");
    std::fs::write(
        &service,
        format!(
            "[shop]\nhost=localhost\nhostaddr=127.0.0.1\nport={}\ndbname=postgres\nuser=postgres\n\
             sslmode=verify-full\nsslrootcert={}\n",
            server.port(),
            server.ca_file().display()
        ),
    )
    .unwrap();
    std::fs::write(
        &passfile,
        format!("localhost:{}:*:postgres:{escaped}\n", server.port()),
    )
    .unwrap();
    std::fs::set_permissions(&passfile, std::fs::Permissions::from_mode(0o600)).unwrap();
    let variable = |name: &str, value: String| (name.to_owned(), value);
    let libpq = LibpqEnvironment {
        variables: [
            variable("PGSERVICEFILE", service.display().to_string()),
            variable("PGPASSFILE", passfile.display().to_string()),
        ]
        .into(),
        home: None,
        user: None,
    };
    let captured = capture(libpq, tools, "postgresql:///?service=shop");
    let captured = captured.unwrap_or_else(|error| panic!("{}", described(&error)));
    assert_eq!(captured.facts.rows(), 2);
    let seen = std::fs::read_to_string(&seen).unwrap();
    let (words, variables) = seen.split_once('\n').unwrap();
    assert!(words.contains("--snapshot="), "{words}");
    for secret in ["s3cret", "quotes"] {
        assert!(!words.contains(secret), "{words}");
    }
    assert!(variables.contains("PGSSLMODE=verify-full"), "{variables}");
    assert!(
        variables.contains(&format!("PGPASSWORD={PASSWORD}")),
        "{variables}"
    );
}

#[test]
fn a_password_file_that_others_may_read_is_named_when_the_server_asks() {
    for version in PgVersion::all() {
        let server = PgServer::start_with(PgServerOptions {
            password: Some(PASSWORD.to_owned()),
            ..PgServerOptions::new(version)
        });
        let home = tempfile::tempdir().unwrap();
        let passfile = home.path().join(".pgpass");
        std::fs::write(&passfile, "*:*:*:*:anything\n").unwrap();
        std::fs::set_permissions(&passfile, std::fs::Permissions::from_mode(0o644)).unwrap();
        let libpq = LibpqEnvironment {
            home: Some(home.path().to_owned()),
            ..LibpqEnvironment::default()
        };
        let url = server.url_of("postgres", None, "postgres");
        let error = capture(libpq, vec![version.bin_dir()], &url).unwrap_err();
        let words = described(&error);
        assert!(matches!(error, EngineError::Denied { .. }), "{words}");
        assert!(
            words.contains("others may read it (mode 0644); chmod 600"),
            "{words}"
        );
        assert!(!words.contains("anything"), "{words}");
    }
}

#[test]
fn a_certificate_of_somebody_else_is_refused() {
    let server = strict();
    let url = |query: &str| {
        format!(
            "{}?{query}",
            server.url("postgres").replace("127.0.0.1", "localhost")
        )
    };
    let tools = || vec![PgVersion::V15.bin_dir()];
    let ours = format!(
        "sslmode=verify-full&sslrootcert={}",
        server.ca_file().display()
    );
    let captured = capture(LibpqEnvironment::default(), tools(), &url(&ours));
    assert!(captured.is_ok(), "{:?}", captured.err());
    let theirs = server.wrong_ca_file();
    let theirs = format!("sslmode=verify-full&sslrootcert={}", theirs.display());
    for query in [&theirs[..], "sslmode=disable"] {
        let error = capture(LibpqEnvironment::default(), tools(), &url(query)).unwrap_err();
        let words = described(&error);
        assert!(
            matches!(
                error,
                EngineError::Unreachable { .. } | EngineError::Denied { .. }
            ),
            "{words}"
        );
        assert!(!words.contains("s3cret"), "{words}");
    }
}
