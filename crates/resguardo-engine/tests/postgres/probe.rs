//! What `doctor` is told: whether a source can be backed up, and what mends it if not.

use resguardo_engine::contract::{MemorySink, with_run};
use resguardo_engine::port::{CaptureRequest, Engine as _, EngineError, Location};
use resguardo_model::{Diagnosis, Severity};
use resguardo_testkit::{PgBouncer, PgServer, PgServerOptions, PgVersion, PoolMode};

use crate::capture::shop;
use crate::world::{described, engine, engine_with};

fn probe(version: PgVersion, url: &str) -> Vec<Diagnosis> {
    engine(version).probe("source shop", &Location::new(url))
}

fn problems(found: &[Diagnosis]) -> Vec<&Diagnosis> {
    let problems = found.iter();
    problems
        .filter(|one| one.severity == Severity::Problem)
        .collect()
}

fn capture_error(version: PgVersion, url: &str) -> Option<EngineError> {
    let sink = MemorySink::new();
    let request = CaptureRequest::new(Location::new(url));
    with_run(|run| engine(version).capture(&request, &sink, run)).err()
}

#[test]
fn all_is_well_with_a_good_source() {
    for version in PgVersion::all() {
        let server = shop(version);
        let found = probe(version, &server.url("shop"));
        assert!(
            found.iter().all(|one| one.severity == Severity::Ok),
            "{found:?}"
        );
        let about = &found[0].message;
        assert!(
            about.contains(&format!("PostgreSQL {}.", version.major())),
            "{about}"
        );
        assert!(about.contains("12 tables"), "{about}");
        assert!(about.contains("pg_dump"), "{about}");
    }
}

#[test]
fn every_missing_privilege_is_named_with_the_grant_that_mends_it() {
    for version in PgVersion::all() {
        let server = shop(version);
        server.psql(
            "shop",
            r#"create role "back up" login;
               create table guarded (a int); insert into guarded values (1), (2);
               alter table guarded enable row level security;
               create policy one on guarded using (a = 1);"#,
        );
        let url = server.url_of("back up", None, "shop");
        let found = probe(version, &url);
        let named = problems(&found);
        assert!(named.len() > 15, "{version}: {found:?}");
        for (object, grant) in [
            (
                "schema \"shop\"",
                "GRANT USAGE ON SCHEMA \"shop\" TO \"back up\";",
            ),
            (
                "table \"public\".\"quick\"",
                "GRANT SELECT ON TABLE \"public\".\"quick\" TO \"back up\";",
            ),
            (
                "sequence \"public\".\"free\"",
                "GRANT SELECT ON SEQUENCE \"public\".\"free\" TO \"back up\";",
            ),
        ] {
            let problem = named.iter().find(|one| one.message.starts_with(object));
            let problem = problem.unwrap_or_else(|| panic!("{version}: {object}: {found:?}"));
            assert_eq!(problem.next, grant);
        }
        let error = capture_error(version, &url).unwrap();
        assert!(matches!(error, EngineError::Denied { .. }), "{error:?}");
        let words = described(&error);
        assert!(
            words.contains("privileges are missing in all: resguardo doctor"),
            "{words}"
        );
        // What it says is enough, and nothing more is needed.
        for _ in 0..3 {
            let found = probe(version, &url);
            for problem in problems(&found) {
                let next = if problem.next.starts_with("GRANT SELECT ON ALL") {
                    "grant pg_read_all_data to \"back up\""
                } else {
                    &problem.next
                };
                server.psql("shop", next);
            }
        }
        let found = probe(version, &url);
        assert!(problems(&found).is_empty(), "{version}: {found:?}");
        let error = capture_error(version, &url);
        assert!(error.is_none(), "{version}: {error:?}");
    }
}

#[test]
fn a_role_that_may_read_everything_needs_no_more() {
    for version in PgVersion::all() {
        let server = shop(version);
        server.psql(
            "shop",
            "create role reader login bypassrls in role pg_read_all_data; \
             select lo_unlink(oid) from pg_largeobject_metadata",
        );
        let url = server.url_of("reader", None, "shop");
        let found = probe(version, &url);
        assert!(problems(&found).is_empty(), "{version}: {found:?}");
        let error = capture_error(version, &url);
        assert!(error.is_none(), "{version}: {error:?}");
    }
}

#[test]
fn large_objects_are_named_once_with_what_lasts() {
    for version in PgVersion::all() {
        let server = shop(version);
        server.psql(
            "shop",
            "create role reader login bypassrls in role pg_read_all_data",
        );
        let url = server.url_of("reader", None, "shop");
        let found = probe(version, &url);
        let named = problems(&found);
        assert_eq!(named.len(), 1, "{version}: {found:?}");
        assert!(named[0].message.starts_with("3 large objects"), "{found:?}");
        assert_eq!(
            named[0].next,
            "ALTER DATABASE \"shop\" SET lo_compat_privileges = on;"
        );
        server.psql("shop", &named[0].next);
        server.psql("shop", "select lo_from_bytea(70009, 'new')");
        let found = probe(version, &url);
        assert!(problems(&found).is_empty(), "{version}: {found:?}");
        let error = capture_error(version, &url);
        assert!(error.is_none(), "{version}: {error:?}");
    }
}

#[test]
fn a_role_that_may_not_connect_is_told_what_lets_it_in() {
    for version in PgVersion::all() {
        let server = shop(version);
        server.psql(
            "shop",
            "create role reader login; revoke connect on database shop from public",
        );
        let found = probe(version, &server.url_of("reader", None, "shop"));
        let named = problems(&found);
        assert_eq!(named.len(), 1, "{found:?}");
        assert_eq!(
            named[0].next,
            "GRANT CONNECT ON DATABASE \"shop\" TO \"reader\";"
        );
    }
}

#[test]
fn a_pooler_in_transaction_mode_is_refused_and_left_as_it_was() {
    let version = PgVersion::V15;
    let server = shop(version);
    for mode in [PoolMode::Transaction, PoolMode::Statement] {
        let pooler = PgBouncer::start(&server, mode);
        let found = probe(version, &pooler.url("shop"));
        let named = problems(&found);
        assert_eq!(named.len(), 1, "{found:?}");
        assert!(named[0].message.contains("pooler"), "{found:?}");
        assert!(named[0].next.contains("session mode"), "{found:?}");
        let error = capture_error(version, &pooler.url("shop")).unwrap();
        assert!(
            matches!(error, EngineError::Unsupported { .. }),
            "{error:?}"
        );
        // No setting stays behind for whoever gets the connection next.
        let output = server
            .command("psql", "shop")
            .args(["-XAtc", "show search_path", &pooler.url("shop")])
            .output()
            .unwrap();
        let path = String::from_utf8(output.stdout).unwrap();
        assert_eq!(path.trim(), "\"$user\", public");
    }
    let pooler = PgBouncer::start(&server, PoolMode::Session);
    let found = probe(version, &pooler.url("nowhere"));
    let named = problems(&found);
    assert!(named[0].message.contains("does not exist"), "{found:?}");
    let found = probe(version, &pooler.url("shop"));
    assert!(problems(&found).is_empty(), "{found:?}");
    let error = capture_error(version, &pooler.url("shop"));
    assert!(error.is_none(), "{error:?}");
}

#[test]
fn a_server_with_room_for_too_few_locks_is_named_with_the_setting() {
    let options = PgServerOptions::new(PgVersion::V18)
        .setting("max_locks_per_transaction", "10")
        .setting("max_connections", "15");
    let server = PgServer::start_with(options);
    server.psql(
        "postgres",
        "do $$ begin for i in 1..200 loop execute 'create table t' || i || ' (a int)'; \
         if i % 20 = 0 then commit; end if; end loop; end $$",
    );
    let found = probe(PgVersion::V18, &server.url("postgres"));
    let named = problems(&found);
    assert_eq!(named.len(), 1, "{found:?}");
    assert!(named[0].message.contains("locks 200 tables"), "{found:?}");
    assert!(
        named[0].next.contains("max_locks_per_transaction = 21"),
        "{found:?}"
    );
}

#[test]
fn a_standby_is_named() {
    let primary = shop(PgVersion::V16);
    let standby = primary.standby();
    standby.catch_up_with(&primary);
    let found = probe(PgVersion::V16, &standby.url("shop"));
    assert!(problems(&found).is_empty(), "{found:?}");
    let all: String = found.iter().map(|one| one.message.clone() + "\n").collect();
    assert!(all.contains("without hot_standby_feedback"), "{all}");
    assert!(all.contains("\"quick\" holds"), "{all}");
}

#[test]
fn whatever_keeps_a_backup_from_beginning_is_named() {
    for version in PgVersion::all() {
        let server = PgServer::start_with(PgServerOptions {
            password: Some("right".to_owned()),
            ..PgServerOptions::new(version)
        });
        let told = |url: &str, tools: PgVersion| {
            let found = engine(tools).probe("source shop", &Location::new(url));
            let named = problems(&found);
            assert_eq!(named.len(), 1, "{found:?}");
            assert!(!named[0].next.is_empty(), "{found:?}");
            (named[0].message.clone(), named[0].next.clone())
        };
        let nobody = resguardo_testkit::servers::free_port();
        let (message, _) = told(
            &format!("postgresql://postgres@127.0.0.1:{nobody}/x"),
            version,
        );
        assert!(message.contains("cannot be reached"), "{message}");
        let wrong = server.url("postgres").replace("right", "wrong");
        let (message, _) = told(&wrong, version);
        assert!(
            message.contains("password authentication failed"),
            "{message}"
        );
        assert!(!message.contains("wrong"), "{message}");
        let (message, _) = told(&server.url("nowhere"), version);
        assert!(message.contains("does not exist"), "{message}");
    }
}

#[test]
fn a_server_that_is_newer_than_the_tools_is_named_with_the_package() {
    for (version, tools) in [
        (PgVersion::V16, PgVersion::V15),
        (PgVersion::V18, PgVersion::V16),
    ] {
        let newer = PgServer::start(version);
        let found = engine_with(vec![tools.bin_dir()])
            .probe("source shop", &Location::new(newer.url("postgres")));
        let named = problems(&found);
        assert_eq!(named.len(), 1, "{found:?}");
        assert!(
            named[0]
                .next
                .contains(&format!("postgresql-client-{}", version.major())),
            "{found:?}"
        );
        let sink = MemorySink::new();
        let request = CaptureRequest::new(Location::new(newer.url("postgres")));
        let old = engine_with(vec![tools.bin_dir()]);
        let error = with_run(|run| old.capture(&request, &sink, run)).unwrap_err();
        assert!(
            matches!(error, EngineError::ToolMissing { .. }),
            "{}",
            described(&error)
        );
    }
}
