//! Drills of databases of everything: what comes back into a throwaway server passes every check.

use resguardo_engine::port::Location;
use resguardo_testkit::{PgServer, PgVersion, fixture};

use crate::world::{Site, assert_all_pass, captured, drilled};

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
