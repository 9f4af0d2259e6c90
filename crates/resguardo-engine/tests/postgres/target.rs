//! What lies at a target before anything is done to it.

use resguardo_engine::port::{Engine as _, Location, TargetState};
use resguardo_testkit::{PgServer, PgVersion};

use crate::world::engine;

fn state(server: &PgServer, database: &str) -> TargetState {
    let location = Location::new(server.url(database));
    let target = engine(server.version()).open_target(&location).unwrap();
    target.state().unwrap()
}

/// One thing that somebody may have made, and the word by which it is told.
const MADE: [(&str, &str); 13] = [
    ("create table t ()", "1 table"),
    ("create view v as select 1", "1 view"),
    ("create sequence s", "1 sequence"),
    (
        "create function f() returns int language sql as 'select 1'",
        "1 function",
    ),
    ("create domain d as int", "1 type"),
    ("create type mood as enum ('a')", "1 type"),
    ("create schema s", "1 schema"),
    ("create extension tsm_system_rows", "1 extension"),
    ("create publication p", "1 publication"),
    (
        "create foreign data wrapper w; create server s foreign data wrapper w",
        "1 foreign server",
    ),
    (
        "create text search configuration c (copy = english)",
        "1 text search configuration",
    ),
    ("select lo_create(0)", "1 large object"),
    (
        "create function e() returns event_trigger language plpgsql as 'begin end'; \
         create event trigger e on ddl_command_start execute function e()",
        "1 event trigger",
    ),
];

#[test]
fn whatever_a_user_makes_counts() {
    let server = PgServer::start(PgVersion::V15);
    assert_eq!(state(&server, "nowhere"), TargetState::Missing);
    server.create_database("none", "");
    assert_eq!(state(&server, "none"), TargetState::Empty);
    for (number, (script, word)) in MADE.iter().enumerate() {
        let database = format!("made_{number}");
        server.create_database(&database, "");
        server.psql(&database, script);
        match state(&server, &database) {
            TargetState::Occupied { name, contents } => {
                assert_eq!(name, database);
                assert!(contents.contains(word), "{script}: {contents}");
            }
            other => panic!("{script}: {other:?}"),
        }
    }
}
