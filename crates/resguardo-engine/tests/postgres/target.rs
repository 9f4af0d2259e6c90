//! Databases as targets: what lies there, and whether two addresses lead to one place.

use resguardo_engine::port::{Engine as _, Location, TargetState};
use resguardo_testkit::{PgServer, PgVersion};

use crate::restore::state;
use crate::world::engine;

/// Each is enough for a database not to be empty, and can be taken back.
const MADE: [(&str, &str); 20] = [
    ("create table t ()", "drop table t"),
    ("create view v as select 1", "drop view v"),
    ("create sequence s", "drop sequence s"),
    ("create schema s", "drop schema s"),
    ("create domain d as int", "drop domain d"),
    ("create type e as enum ()", "drop type e"),
    ("create type c as ()", "drop type c"),
    (
        "create function f() returns int language sql as 'select 1'",
        "drop function f",
    ),
    (
        "create extension resguardo_fixture",
        "drop extension resguardo_fixture cascade",
    ),
    ("select lo_create(7)", "select lo_unlink(7)"),
    ("create publication p", "drop publication p"),
    (
        "create foreign data wrapper w",
        "drop foreign data wrapper w",
    ),
    ("create collation c (locale = 'C')", "drop collation c"),
    (
        "create cast (int as point) with inout as assignment",
        "drop cast (int as point)",
    ),
    (
        "create text search dictionary d (template = simple)",
        "drop text search dictionary d",
    ),
    (
        "create text search configuration c (copy = simple)",
        "drop text search configuration c",
    ),
    (
        "create access method a type index handler bthandler",
        "drop access method a",
    ),
    (
        "create operator @@@ (function = int4eq, leftarg = int, rightarg = int)",
        "drop operator @@@ (int, int)",
    ),
    (
        "alter default privileges grant select on tables to public",
        "alter default privileges revoke select on tables from public",
    ),
    (
        "create materialized view m as select 1",
        "drop materialized view m",
    ),
];

#[test]
fn whatever_a_user_makes_counts() {
    for version in PgVersion::all() {
        let server = PgServer::start(version);
        server.create_database("mine", "");
        assert_eq!(state(&server, "missing"), TargetState::Missing);
        assert_eq!(state(&server, "mine"), TargetState::Empty);
        for (make, drop) in MADE {
            server.psql("mine", make);
            let now = state(&server, "mine");
            assert!(
                matches!(now, TargetState::Occupied { .. }),
                "{version}: {make}: {now:?}"
            );
            server.psql("mine", drop);
            assert_eq!(
                state(&server, "mine"),
                TargetState::Empty,
                "{version}: {drop}"
            );
        }
    }
}

#[test]
fn two_addresses_of_one_database_are_one_place() {
    let server = PgServer::start(PgVersion::V15);
    let other = PgServer::start(PgVersion::V15);
    for server in [&server, &other] {
        server.create_database("shop", "");
        server.create_database("second", "");
    }
    let target = engine(PgVersion::V15)
        .open_target(&Location::new(server.url("shop")))
        .unwrap();
    let is_same = |url: String| target.is_same_as(&Location::new(url));
    assert!(is_same(server.url("shop")));
    assert!(is_same(server.socket_url("shop")));
    assert!(is_same(
        server.url("shop").replace("127.0.0.1", "localhost")
    ));
    assert!(!is_same(server.url("second")));
    assert!(!is_same(server.url("not_there")));
    assert!(!is_same(other.url("shop")));
}
