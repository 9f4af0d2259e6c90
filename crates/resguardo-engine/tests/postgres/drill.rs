//! Drills of databases of everything: what comes back into a throwaway server passes every check.

use resguardo_engine::contract::with_run;
use resguardo_engine::port::{Allowed, Engine as _, Location, RestoreOptions};
use resguardo_model::CheckOutcome;
use resguardo_testkit::{PgServer, PgVersion, fixture};

use crate::world::{Site, ask, assert_all_pass, captured, described, drilled, engine};

#[test]
fn everything_that_a_database_can_hold_passes() {
    for version in PgVersion::all() {
        let server = PgServer::start(version);
        server.create_database(fixture::ODD_DATABASE, "");
        fixture::load(&server, fixture::ODD_DATABASE);
        let backup = captured(&server, fixture::ODD_DATABASE);
        drop(server);
        let site = Site::new();
        let target = drilled(version, &site, &backup);
        assert_all_pass(&*target, &backup, &version.to_string());
        target.close().unwrap();
    }
}

#[test]
fn databases_of_other_encodings_pass() {
    let server = PgServer::start(PgVersion::V16);
    fixture::make_latin(&server, "latin");
    fixture::make_ascii(&server, "ascii");
    for database in ["latin", "ascii"] {
        let backup = captured(&server, database);
        let site = Site::new();
        let target = drilled(PgVersion::V16, &site, &backup);
        assert_all_pass(&*target, &backup, database);
        target.close().unwrap();
    }
}

#[test]
fn what_even_plain_tools_do_not_give_back_as_it_was_passes() {
    for version in PgVersion::all() {
        let server = PgServer::start(version);
        server.create_database("extra", "");
        fixture::load(&server, "extra");
        for extra in [
            fixture::Extra::Otherwise,
            fixture::Extra::HashOfEnum,
            fixture::Extra::Subscription,
            fixture::Extra::DatabaseSettings,
        ] {
            fixture::add(&server, "extra", extra);
        }
        let backup = captured(&server, "extra");
        drop(server);
        let site = Site::new();
        let target = drilled(version, &site, &backup);
        assert_all_pass(&*target, &backup, &version.to_string());
        target.close().unwrap();
    }
}

#[test]
fn a_temporary_database_is_checked_in_full_and_its_roles_go_with_it() {
    let source = PgServer::start(PgVersion::V16);
    source.psql(
        "postgres",
        "create role new_one; create role known; create table t (a serial primary key);
         insert into t select generate_series(1, 100); alter table t owner to new_one; grant select on t to known",
    );
    let backup = captured(&source, "postgres");
    let server = PgServer::start(PgVersion::V16);
    server.psql("postgres", "create role known nologin createdb");
    let roles =
        "select string_agg(rolname, ',' order by rolname) from pg_roles where rolname !~ '^pg_'";
    let site = Site::on(&server.url("postgres"));
    let target = drilled(PgVersion::V16, &site, &backup);
    assert_eq!(server.psql("postgres", roles), "known,new_one,postgres");
    assert_all_pass(&*target, &backup, "on a named server");
    assert!(!target.is_same_as(&Location::new(server.url("postgres"))));
    target.close().unwrap();
    assert_eq!(server.psql("postgres", roles), "known,postgres");
    let databases = "select count(*) from pg_database where datname like 'resguardo%'";
    assert_eq!(server.psql("postgres", databases), "0");
}

#[test]
fn a_dump_that_somebody_else_made_is_drilled_as_far_as_it_is_known() {
    let server = PgServer::start(PgVersion::V16);
    server.psql(
        "postgres",
        "create role stranger; create table t (a serial primary key); insert into t select generate_series(1, 9);
         alter table t owner to stranger",
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cron.dump");
    let mut dump = server.command("pg_dump", "postgres");
    let made = dump.args(["-Fc", "-f"]).arg(&file).status().unwrap();
    assert!(made.success());
    let other = PgServer::start(PgVersion::V16);
    let roles = "select count(*) from pg_roles where rolname = 'stranger'";
    let engine = engine(PgVersion::V16);
    let backup = with_run(|run| engine.open_file(&file, run)).unwrap();
    for site in [Site::new(), Site::on(&other.url("postgres"))] {
        let target = with_run(|run| engine.open_sandbox(&site, backup.facts(), run)).unwrap();
        with_run(|run| target.restore(&*backup, &RestoreOptions::default(), run))
            .unwrap_or_else(|error| panic!("{}", described(&error)));
        assert_eq!(ask(&*target, "select count(*) from t"), "9");
        assert_eq!(ask(&*target, roles), "1");
        let results = with_run(|run| target.check(&*backup, Allowed::default(), run));
        let valid = results
            .iter()
            .find(|result| result.name == "indexes and constraints");
        assert_eq!(valid.unwrap().outcome, CheckOutcome::Passed);
        for result in &results {
            let known = [CheckOutcome::Passed, CheckOutcome::Skipped];
            assert!(known.contains(&result.outcome), "{result:#?}");
            if result.outcome == CheckOutcome::Skipped {
                assert!(result.detail.contains("does not say"), "{result:#?}");
            }
        }
        target.close().unwrap();
    }
    assert_eq!(other.psql("postgres", roles), "0");
}

#[test]
fn whoever_may_make_databases_may_drill_on_a_named_server() {
    let make = "create role maker login createdb";
    let source = PgServer::start(PgVersion::V16);
    source.psql("postgres", make);
    source.create_database("shop", "owner maker");
    source.psql(
        "shop",
        "set role maker; create table t (a serial primary key); insert into t select generate_series(1, 9);
         create view v as select count(*) from t",
    );
    let backup = captured(&source, "shop");
    let server = PgServer::start(PgVersion::V16);
    server.psql("postgres", make);
    let site = Site::on(&server.url_of("maker", None, "postgres"));
    let target = drilled(PgVersion::V16, &site, &backup);
    assert_all_pass(&*target, &backup, "by a role that may make databases");
    target.close().unwrap();
    let databases = "select count(*) from pg_database where datname like 'resguardo%'";
    assert_eq!(server.psql("postgres", databases), "0");
}
