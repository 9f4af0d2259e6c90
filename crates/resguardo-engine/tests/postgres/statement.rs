//! Questions and scripts on a restored database: as the application would ask them, and never writing where
//! only a question was allowed.

use std::time::Duration;

use resguardo_engine::contract::with_run;
use resguardo_engine::port::{Engine as _, EngineError, Location, Target};
use resguardo_testkit::{PgServer, PgVersion};

use crate::world::{TIMEOUT, ask, described, engine, execute};

fn shop() -> (PgServer, Box<dyn Target>) {
    let server = PgServer::start(PgVersion::V16);
    server.psql(
        "postgres",
        "create role app; create schema app; create table app.t (a int); insert into app.t values (1), (2);
         grant usage on schema app to app; grant select on app.t to app;
         alter table app.t enable row level security; create policy odd on app.t using (a % 2 = 1);
         create function app.w() returns int language sql as 'insert into app.t values (9) returning a'",
    );
    let url = Location::new(server.url("postgres"));
    let target = engine(PgVersion::V16).open_target(&url).unwrap();
    (server, target)
}

#[test]
fn a_question_may_set_the_role_and_the_path_and_its_last_statement_is_judged() {
    let (server, target) = shop();
    assert_eq!(
        ask(
            &*target,
            "set role app; set search_path = app; select count(*) from t;"
        ),
        "1"
    );
    assert_eq!(
        ask(&*target, "select 7; select count(*) from app.t -- all"),
        "2"
    );
    server.psql("postgres", "alter database postgres set search_path = app");
    assert_eq!(
        ask(&*target, "select count(*) from t"),
        "2",
        "the database's own settings hold"
    );
    let rows = with_run(|run| target.query("select a, null from t order by a", 1, TIMEOUT, run));
    let rows = rows.unwrap();
    assert_eq!(
        (rows.rows, rows.truncated),
        (vec![vec![Some("1".to_owned()), None]], true)
    );
}

#[test]
fn a_question_cannot_write() {
    let (server, target) = shop();
    for sql in [
        "delete from app.t",
        "select app.w()",
        "commit; delete from app.t",
        "/* x */ rollback; delete from app.t",
        "end; delete from app.t; begin",
        "set transaction read write; delete from app.t",
        "select set_config('transaction_read_only', 'off', false); delete from app.t",
        "set default_transaction_read_only = off; delete from app.t",
        "copy (select 1) to program 'cat'",
        "copy app.t from stdin;\n1\n\\.\n",
        "do $$ begin commit; delete from app.t; end $$",
        "create table app.n (a int)",
        "select 1 into app.n",
        "select nothing from nowhere",
        "\\! true",
        "-- nothing",
    ] {
        let error = with_run(|run| target.query(sql, 10, TIMEOUT, run)).expect_err(sql);
        assert!(
            matches!(error, EngineError::Sql { .. }),
            "{sql}: {}",
            described(&error)
        );
    }
    let tables = "select count(*) from app.t; select count(*) from pg_class where relname = 'n'";
    assert_eq!(server.psql("postgres", tables), "2\n0");
}

#[test]
fn a_question_that_takes_too_long_is_ended_on_the_server_too() {
    let (server, target) = shop();
    for sql in [
        "select pg_sleep(1000)",
        "set role app; select pg_sleep(1000)",
        "select pg_sleep(1000); select 1",
    ] {
        let limit = Duration::from_millis(200);
        let error = with_run(|run| target.query(sql, 10, limit, run)).unwrap_err();
        assert!(
            matches!(error, EngineError::Timeout { .. }),
            "{}",
            described(&error)
        );
    }
    let running = "select count(*) from pg_stat_activity where query like '%pg_sleep(1000)%' and state = 'active' \
                   and pid <> pg_backend_pid()";
    while server.psql("postgres", running) != "0" {
        std::thread::yield_now();
    }
}

#[test]
fn a_script_runs_statement_by_statement_as_psql_does() {
    let (server, target) = shop();
    execute(
        &*target,
        "create table app.s (a int primary key, b text);
         copy app.s from stdin;\n1\tx;y\n2\t\\N\n\\.\n
         create function app.two() returns bigint begin atomic; select count(*) from app.s; end;
         create index concurrently on app.s (b); vacuum app.s;
         do $$ begin insert into app.s values (3, ';'); end $$;",
    );
    assert_eq!(
        server.psql("postgres", "select app.two(), count(b) from app.s"),
        "3|2"
    );
    let script =
        "insert into app.s values (4); insert into app.s values (4); insert into app.s values (5)";
    let error = with_run(|run| target.execute(script, TIMEOUT, run)).unwrap_err();
    assert!(
        described(&error).contains("duplicate key"),
        "{}",
        described(&error)
    );
    assert_eq!(server.psql("postgres", "select max(a) from app.s"), "4");
    let error = with_run(|run| target.execute("\\i other.sql", TIMEOUT, run)).unwrap_err();
    assert!(described(&error).contains("psql"), "{}", described(&error));
}

#[test]
fn every_variable_of_an_application_leads_to_the_database() {
    let (server, target) = shop();
    let variables = target.environment();
    for name in ["DATABASE_URL", "DIRECT_URL", "POSTGRES_URL"] {
        let url = &variables.iter().find(|(found, _)| found == name).unwrap().1;
        assert!(url.starts_with(&server.url("postgres")), "{url}");
    }
    let psql = std::process::Command::new(server.bin_dir().join("psql"))
        .args(["-X", "-A", "-t", "-c", "select count(*) from app.t"])
        .envs(variables)
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&psql.stdout).trim(),
        "2",
        "{psql:?}"
    );
}
