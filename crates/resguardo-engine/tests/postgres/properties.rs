//! What a database has beside its objects: settings, grants, comment and limit, and those of its roles.

use resguardo_engine::contract::with_run;
use resguardo_engine::port::{Engine as _, Location};
use resguardo_model::CheckOutcome;
use resguardo_testkit::fixture::{self, Extra};
use resguardo_testkit::{PgServer, PgVersion};

use crate::restore::restored;
use crate::world::{
    Site, assert_all_pass, captured, checked, clean, create, drilled, engine, execute,
};

const CHECK: &str = "database settings and grants";
/// Roles with settings of their own, of which one is a member of the other in no common way.
const ROLES: &str = "
    create role fixture_app login; create role boss; create role reader noinherit;
    grant boss to fixture_app with admin option; grant boss to reader;
    alter role fixture_app set search_path = \"$user\", shop; alter role fixture_app set app.tenant = 'it''s';
    alter database shop owner to boss; revoke connect on database shop from public;
    grant connect on database shop to reader; create table t as select 1 as a; alter table t owner to fixture_app";
/// What 16 and later know beside it.
const SINCE_16: &str = "grant boss to reader with inherit true, set false";

fn shop(version: PgVersion) -> PgServer {
    let server = PgServer::start(version);
    server.create_database("shop", "");
    server.psql("shop", ROLES);
    if version != PgVersion::V15 {
        server.psql("shop", SINCE_16);
    }
    fixture::add(&server, "shop", Extra::DatabaseSettings);
    server
}

/// Everything of the database `shop` that hangs on its name, and of its roles.
fn look(server: &PgServer) -> String {
    let members = match server.version() {
        PgVersion::V15 => "admin_option::text",
        _ => "admin_option || ' ' || inherit_option || ' ' || set_option",
    };
    server.psql(
        "postgres",
        &format!(
            "select shobj_description(d.oid, 'pg_database'), datconnlimit, datdba::regrole,
               (select array_agg(a::text order by a::text) from aclexplode(datacl) x,
                  concat_ws(' ', case grantee when 0 then 'public' else grantee::regrole::text end, privilege_type, is_grantable) a),
               (select array_agg(concat(nullif(setrole, 0)::regrole, setconfig) order by 1)
                  from pg_db_role_setting where setdatabase = d.oid),
               (select array_agg(concat(setrole::regrole, setconfig) order by 1) from pg_db_role_setting where setdatabase = 0),
               (select array_agg(concat_ws(' ', roleid::regrole, member::regrole, {members}) order by 1) from pg_auth_members
                  where member >= 16384)
             from pg_database d where datname = 'shop'"
        ),
    )
}

#[test]
fn a_database_that_is_made_anew_has_all_of_it() {
    for version in PgVersion::all() {
        let server = shop(version);
        let backup = captured(&server, "shop");
        let other = PgServer::start(version);
        let done = restored(&other, "shop", &backup, &create());
        let told = done.notes.iter().find(|note| note.contains("could not"));
        assert_eq!(told, None);
        let before = look(&server);
        assert!(
            before.contains("77") && before.contains("nowhere"),
            "{before}"
        );
        assert_eq!(before, look(&other), "{version}");
    }
}

#[test]
fn a_database_that_was_there_keeps_its_own() {
    let server = shop(PgVersion::V16);
    let backup = captured(&server, "shop");
    let other = PgServer::start(PgVersion::V16);
    other.create_database("shop", "");
    other.psql(
        "shop",
        "comment on database shop is 'mine'; create table mine (a int)",
    );
    restored(&other, "shop", &backup, &clean());
    let kept = look(&other);
    assert!(kept.starts_with("mine|-1|"), "{kept}");
    assert!(!kept.contains("nowhere"), "{kept}");
}

#[test]
fn a_backup_of_a_closed_database_brings_an_open_one() {
    let server = shop(PgVersion::V15);
    let before = look(&server);
    let target = engine(PgVersion::V15).open_target(&Location::new(server.url("shop")));
    let target = target.unwrap();
    with_run(|run| target.begin_maintenance(run)).unwrap();
    assert_ne!(look(&server), before);
    let backup = captured(&server, "shop");
    server.drop_database("shop");
    restored(&server, "shop", &backup, &create());
    assert_eq!(look(&server), before);
}

#[test]
fn a_drill_sees_each_that_is_lost() {
    for version in PgVersion::all() {
        let server = shop(version);
        let backup = captured(&server, "shop");
        drop(server);
        let site = Site::new();
        let target = drilled(version, &site, &backup);
        assert_all_pass(&*target, &backup, "untouched");
        for (fault, check, word) in [
            (
                "alter database shop reset timezone",
                CHECK,
                "setting TimeZone: missing",
            ),
            (
                "alter role fixture_app in database shop reset all",
                CHECK,
                "setting work_mem of fixture_app",
            ),
            (
                "grant connect on database shop to public",
                CHECK,
                "granted to public",
            ),
            (
                "comment on database shop is null",
                CHECK,
                "comment: missing",
            ),
            (
                "alter database shop connection limit -1",
                CHECK,
                "limit of connections: missing",
            ),
            (
                "alter role fixture_app reset search_path",
                "roles",
                "fixture_app",
            ),
            (
                "revoke admin option for boss from fixture_app",
                "roles",
                "in boss",
            ),
        ] {
            execute(
                &*target,
                &format!("set default_transaction_read_only = off; {fault}"),
            );
            let results = checked(&*target, &backup);
            let result = results.iter().find(|result| result.name == check).unwrap();
            assert_eq!(
                result.outcome,
                CheckOutcome::Failed,
                "{version}: {fault}: {result:#?}"
            );
            assert!(
                result.actual.contains(word),
                "{version}: {fault}: {result:#?}"
            );
        }
        target.close().unwrap();
    }
}
