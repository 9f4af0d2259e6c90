//! The quick start on a database that nobody here made: nycflights13, every flight that left New York in
//! 2013, as five tables.

use std::fmt::Write as _;

use resguardo_testkit::{PgServer, PgVersion, tools};

use crate::world::World;

/// Columns of each table, with the types that a person would give them.
const TABLES: [(&str, &str); 5] = [
    ("airlines", "carrier text primary key, name text not null"),
    (
        "airports",
        "faa text primary key, name text, lat double precision, lon double precision, alt int, tz int, dst text, tzone text",
    ),
    (
        "planes",
        "tailnum text primary key, year int, type text, manufacturer text, model text, engines int, seats int, speed int, engine text",
    ),
    (
        "weather",
        "origin text, year int, month int, day int, hour int, temp double precision, dewp double precision, humid double precision, \
         wind_dir int, wind_speed double precision, wind_gust double precision, precip double precision, pressure double precision, \
         visib double precision, time_hour timestamptz",
    ),
    (
        "flights",
        "year int, month int, day int, dep_time int, sched_dep_time int, dep_delay int, arr_time int, sched_arr_time int, \
         arr_delay int, carrier text references airlines, flight int, tailnum text, origin text, dest text, air_time int, \
         distance int, hour int, minute int, time_hour timestamptz",
    ),
];
const FLIGHTS: u64 = 336_776;

fn flights(version: PgVersion) -> PgServer {
    let server = PgServer::start(version);
    server.create_database("flights", "");
    let mut script = String::new();
    for (table, columns) in TABLES {
        let file = tools::find(&format!("{table}.csv"), "data");
        writeln!(script, "create table {table} ({columns});").unwrap();
        // The file is ours to read, and the server runs as somebody else.
        writeln!(
            script,
            "\\copy {table} from '{}' with (format csv, header, null 'NA')",
            file.display()
        )
        .unwrap();
    }
    script.push_str("create index on flights (origin, dest);\n");
    server.psql("flights", &script);
    server
}

#[test]
fn from_a_url_alone() {
    let server = flights(PgVersion::V15);
    server.create_database("restored", "");
    let world = World::new()
        .with("DATABASE_URL", &server.url("flights"))
        .with("PGCONNECT_TIMEOUT", "20");
    world.run(&["init", "--vault", "vault", "--yes"]).exits(0);
    let backup = world.run(&["backup", "--json"]).exits(0).json();
    assert_eq!(backup["backups"][0]["source"], "flights");
    assert_eq!(backup["backups"][0]["tables"], 5);
    let drill = world.run(&["drill", "--json"]).exits(0).json();
    assert_eq!(drill["drills"][0]["verdict"], "passed");
    let to = server.url("restored");
    world.run(&["restore", "latest", "--to", &to]).exits(0);
    let digest = "select count(*), md5(string_agg(f::text, '|' order by f::text)) from flights f";
    let restored = server.psql("restored", digest);
    assert!(restored.starts_with(&FLIGHTS.to_string()), "{restored}");
    assert_eq!(restored, server.psql("flights", digest));
    // Nothing changed since: nothing but the way back is stored again.
    let again = world.run(&["backup", "--json"]).exits(0).json();
    let added = again["backups"][0]["stored_bytes"].as_u64().unwrap();
    let first = backup["backups"][0]["stored_bytes"].as_u64().unwrap();
    assert!(added * 20 < first, "{added} of {first} bytes were added");
}

#[test]
fn with_a_config() {
    let server = flights(PgVersion::V18);
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", server.bin_dir().display());
    let world = World::new()
        .with("PATH", &path)
        .with("DATABASE_URL", &server.url("flights"));
    world
        .run(&[
            "init",
            "--vault",
            "vault",
            "--source",
            "vuelos=${DATABASE_URL}",
            "--yes",
        ])
        .exits(0);
    let config = std::fs::read_to_string(world.path("resguardo.toml")).unwrap();
    assert!(config.contains("${DATABASE_URL}"), "{config}");
    world.run(&["doctor"]).exits(0);
    world
        .run(&["backup", "vuelos", "--reason", "daily"])
        .exits(0);
    world
        .run(&["drill", "vuelos"])
        .exits(0)
        .prints(&["vuelos: PASSED"]);
}
