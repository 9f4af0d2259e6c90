//! A database that is closed for a restore, and opened again as far as it was open.

use resguardo_engine::contract::with_run;
use resguardo_engine::port::{Engine as _, EngineError, Location, Target};
use resguardo_testkit::{PgServer, PgVersion};

use crate::world::engine;

/// A server with the database `shop` of `boss`, to which `app` may connect as everybody may.
fn server(version: PgVersion) -> PgServer {
    let server = PgServer::start(version);
    server.psql(
        "postgres",
        "CREATE ROLE boss LOGIN; CREATE ROLE app LOGIN; CREATE ROLE \"odd 'role\" LOGIN",
    );
    server.create_database("shop", "OWNER boss");
    server.psql("shop", "COMMENT ON DATABASE shop IS 'it''s ours'");
    server
}

fn target(server: &PgServer, role: &str) -> Box<dyn Target> {
    let url = server.url_of(role, None, "shop");
    let engine = engine(server.version());
    engine.open_target(&Location::new(url)).unwrap()
}

fn can_connect(server: &PgServer, role: &str) -> bool {
    let mut psql = server.command("psql", "shop");
    psql.env("PGUSER", role).args(["-Xc", "select 1"]);
    psql.output().unwrap().status.success()
}

/// Whoever may connect, and the comment.
fn look(server: &PgServer) -> String {
    server.psql(
        "postgres",
        "SELECT shobj_description(d.oid, 'pg_database'),
                (SELECT string_agg(a.grantee::regrole || ' ' || a.privilege_type || a.is_grantable, ',' ORDER BY 1)
                 FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a)
         FROM pg_database d WHERE datname = 'shop'",
    )
}

#[test]
fn others_are_shut_out_and_let_in_again() {
    for version in [PgVersion::V15, PgVersion::V16, PgVersion::V18] {
        let server = server(version);
        server.psql(
            "postgres",
            "GRANT CONNECT ON DATABASE shop TO \"odd 'role\" WITH GRANT OPTION;
             GRANT pg_signal_backend TO boss",
        );
        let before = look(&server);
        for role in ["boss", "postgres"] {
            let mut session = server.command("psql", "shop");
            session
                .env("PGUSER", "app")
                .args(["-Xc", "select pg_sleep(600)"]);
            let mut session = session.spawn().unwrap();
            while server.psql(
                "postgres",
                "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'",
            ) == "0"
            {
                std::thread::yield_now();
            }
            let target = target(&server, role);
            let closed = with_run(|run| target.begin_maintenance(run)).unwrap();
            assert!(closed.notes.is_empty(), "{:?}", closed.notes);
            assert!(!session.wait().unwrap().success(), "its session was ended");
            for other in ["app", "odd 'role"] {
                assert!(!can_connect(&server, other), "{other}");
            }
            assert_eq!(can_connect(&server, "boss"), role == "boss");
            assert!(can_connect(&server, "postgres"));

            // Somebody died and begins anew.
            with_run(|run| target.begin_maintenance(run)).unwrap();
            with_run(|run| target.end_maintenance(run)).unwrap();
            assert_eq!(look(&server), before, "{role}");
            assert!(can_connect(&server, "app"));
            // What is open already stays as it is.
            with_run(|run| target.end_maintenance(run)).unwrap();
            assert_eq!(look(&server), before, "{role}");
        }
    }
}

#[test]
fn the_statements_that_open_it_do() {
    let server = server(PgVersion::V15);
    let before = look(&server);
    let target = target(&server, "postgres");
    let closed = with_run(|run| target.begin_maintenance(run)).unwrap();
    assert!(!can_connect(&server, "app"));
    server.psql("postgres", &closed.reopen);
    assert_eq!(look(&server), before);
}

#[test]
fn who_comes_back_is_named() {
    let server = server(PgVersion::V15);
    let load = server.pgbench("shop", &["-i", "-q"]);
    drop(load);
    // A superuser cannot be shut out; this one connects for every transaction.
    let _load = server.pgbench_meanwhile("shop", &["-n", "-S", "-C", "-c", "2", "-T", "600"]);
    let target = target(&server, "postgres");
    let began = with_run(|run| target.begin_maintenance(run));
    // pgbench gives up when its sessions are ended: then nobody is left.
    let closed = began.unwrap();
    assert!(
        closed.notes.iter().all(|note| note.contains("postgres")),
        "{:?}",
        closed.notes
    );
    with_run(|run| target.end_maintenance(run)).unwrap();
}

#[test]
fn whoever_may_not_is_refused_and_nothing_changes() {
    let server = server(PgVersion::V15);
    let before = look(&server);
    let target = target(&server, "app");
    let error = with_run(|run| target.begin_maintenance(run)).unwrap_err();
    assert!(matches!(error, EngineError::Denied { .. }), "{error}");
    assert_eq!(look(&server), before);
    assert!(can_connect(&server, "boss"));
    // Ours, but the session of somebody greater is in the way: it is open again.
    let mut session = server.command("psql", "shop");
    session.args(["-Xc", "select pg_sleep(600)"]);
    let mut session = session.spawn().unwrap();
    while server.psql(
        "postgres",
        "SELECT count(*) FROM pg_stat_activity WHERE datname = 'shop'",
    ) == "0"
    {
        std::thread::yield_now();
    }
    let owner = crate::maintenance::target(&server, "boss");
    let error = with_run(|run| owner.begin_maintenance(run)).unwrap_err();
    assert!(matches!(error, EngineError::Denied { .. }), "{error}");
    assert_eq!(look(&server), before);
    session.kill().unwrap();
    session.wait().unwrap();
}
