//! Restores: what comes back is what was there, into any database that may be had.

use std::collections::HashSet;
use std::process::Stdio;

use resguardo_engine::contract::{MemoryBackup, with_run};
use resguardo_engine::port::{
    Engine as _, EngineError, Location, RestoreOptions, Restored, TargetState,
};
use resguardo_testkit::{PgServer, PgVersion, fixture};

use crate::world::{captured, create, described, engine};

/// Of everything a little, and of what comes back in an order.
pub(crate) const SHOP: &str = concat!(
    a_little_of_everything!(),
    r#"
    do $$ begin create role shop_owner; create role "clerk's" login; grant shop_owner to "clerk's";
        exception when duplicate_object then null; end $$;
    create schema shop authorization shop_owner;
    create type shop.mood as enum ('ok', 'sad');
    create table shop.orders (id bigint generated always as identity primary key, note text, mood shop.mood,
        twice bigint generated always as (length(note) * 2) stored, at timestamptz default now());
    insert into shop.orders (note, mood) select repeat(md5(i::text), 20), 'ok' from generate_series(1, 5000) i;
    alter table shop.orders owner to shop_owner;
    grant select on shop.orders to "clerk's";
    create index on shop.orders (note);
    create table shop.lines (order_id bigint references shop.orders, what text, check (what <> ''));
    insert into shop.lines select i, 'x' from generate_series(1, 1000) i;
    create function shop.watch() returns trigger language plpgsql as $$begin new.what = 'seen'; return new; end$$;
    create trigger watch before insert on shop.lines for each row execute function shop.watch();
    alter table events add primary key (at);
    create table seen (at date references events);
    insert into seen values ('2025-06-02');
    create materialized view more as select n + 1 as n from totals;
    create unique index on totals (n);
    create materialized view never as select 1 as x with no data;
    alter large object 70001 owner to shop_owner;
    comment on large object 70001 is 'one';
    alter default privileges for role shop_owner grant select on tables to "clerk's";
    alter default privileges in schema shop grant select on tables to "clerk's";
    alter table shop.lines enable row level security;
    create policy mine on shop.lines to "clerk's" using (what <> '');
    create statistics shop.stats on note, mood from shop.orders;
    create publication pub for table shop.orders;
    create function shop.note_ddl() returns event_trigger language plpgsql as $$begin end$$;
    create event trigger noted on ddl_command_end execute function shop.note_ddl();
"#
);

pub(crate) fn shop(version: PgVersion) -> PgServer {
    let server = PgServer::start(version);
    server.create_database("shop", "");
    server.psql("shop", SHOP);
    server
}

pub(crate) fn restore(
    server: &PgServer,
    database: &str,
    backup: &MemoryBackup,
    options: &RestoreOptions,
) -> Result<Restored, EngineError> {
    let target = engine(server.version()).open_target(&Location::new(server.url(database)));
    with_run(|run| target?.restore(backup, options, run))
}

pub(crate) fn restored(
    server: &PgServer,
    database: &str,
    backup: &MemoryBackup,
    options: &RestoreOptions,
) -> Restored {
    restore(server, database, backup, options)
        .unwrap_or_else(|error| panic!("{}", described(&error)))
}

/// What `pg_dump` prints of a database with all its rows and grants, in an order of its own.
fn text(server: &PgServer, database: &str, words: &[&str]) -> Vec<String> {
    let output = server
        .command("pg_dump", database)
        .args(words)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with("\\restrict"));
    let mut lines: Vec<_> = lines
        .filter(|line| !line.starts_with("\\unrestrict") && !line.starts_with("-- Dumped"))
        .map(str::to_owned)
        .collect();
    // Rows of a table may come in another order, and so may objects whose numbers were others.
    lines.sort();
    lines
}

pub(crate) fn assert_same(from: (&PgServer, &str), to: (&PgServer, &str), words: &[&str]) {
    let (one, other) = (text(from.0, from.1, words), text(to.0, to.1, words));
    let known = |lines: &[String]| lines.iter().cloned().collect::<HashSet<_>>();
    let (before, after) = (known(&one), known(&other));
    let lost: Vec<_> = before.difference(&after).collect();
    let new: Vec<_> = after.difference(&before).collect();
    assert!(
        one.len() == other.len() && lost.is_empty() && new.is_empty(),
        "lost {lost:#?}, new {new:#?}"
    );
}

pub(crate) fn state(server: &PgServer, database: &str) -> TargetState {
    let target = engine(server.version())
        .open_target(&Location::new(server.url(database)))
        .unwrap();
    target.state().unwrap()
}

#[test]
fn everything_comes_back_on_every_major() {
    for version in PgVersion::all() {
        let server = shop(version);
        let backup = captured(&server, "shop");
        server.create_database("again", "");
        let restored = restored(&server, "again", &backup, &RestoreOptions::default());
        assert!(restored.tables >= 12, "{restored:?}");
        assert_same((&server, "shop"), (&server, "again"), &[]);
        assert!(matches!(
            state(&server, "again"),
            TargetState::Occupied { .. }
        ));
    }
}

#[test]
fn the_whole_fixture_comes_back_on_every_major() {
    for version in PgVersion::all() {
        let server = PgServer::start(version);
        server.create_database("truth", "");
        fixture::load(&server, "truth");
        let backup = captured(&server, "truth");
        server.create_database("again", "");
        restored(&server, "again", &backup, &RestoreOptions::default());
        assert_same((&server, "truth"), (&server, "again"), &[]);
    }
}

/// Makes a database as the plain tools do: the dump of one server, restored by the programs of the other.
fn by_plain_tools(from: (&PgServer, &str), to: (&PgServer, &str)) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.dump");
    let mut dump = from.0.command("pg_dump", from.1);
    let dumped = dump.arg("-Fc").arg("-f").arg(&file).output().unwrap();
    assert!(dumped.status.success(), "{dumped:?}");
    to.0.create_database(to.1, "template template0");
    let mut restore = to.0.command("pg_restore", to.1);
    let restored = restore.args(["-d", to.1]).arg(&file).output().unwrap();
    assert!(restored.status.success(), "{restored:?}");
}

#[test]
fn a_newer_major_takes_it_too() {
    let newer = PgServer::start(PgVersion::V18);
    for version in [PgVersion::V15, PgVersion::V16] {
        let server = PgServer::start(version);
        server.create_database("truth", "");
        fixture::load(&server, "truth");
        // The newer server of these tests is built without ICU, LZ4 and XML.
        let without = "drop collation if exists truth.phone_book, truth.careless cascade;
            alter table truth.settings_of_columns alter column b set compression default;
            drop table if exists truth.markup cascade";
        server.psql("truth", without);
        let backup = captured(&server, "truth");
        let options = create();
        let database = format!("from {version}");
        restored(&newer, &database, &backup, &options);
        // A newer server prints some things otherwise: it does so whoever has restored them.
        by_plain_tools((&server, "truth"), (&newer, "plain"));
        assert_same((&newer, "plain"), (&newer, &database), &[]);
        newer.drop_database("plain");
    }
}

#[test]
fn an_older_major_is_refused_and_nothing_is_made() {
    for (newer, older) in [
        (PgVersion::V16, PgVersion::V15),
        (PgVersion::V18, PgVersion::V16),
    ] {
        let server = shop(newer);
        let backup = captured(&server, "shop");
        let older = PgServer::start(older);
        let options = create();
        let error = restore(&older, "shop", &backup, &options).unwrap_err();
        assert!(matches!(error, EngineError::Unsupported { .. }), "{error}");
        assert_eq!(state(&older, "shop"), TargetState::Missing);
        let roles = older.psql("postgres", "select rolname from pg_roles");
        assert!(!roles.contains("shop_owner"), "{roles}");
    }
}

#[test]
fn a_database_is_made_only_if_asked_and_dropped_if_it_cannot_be_filled() {
    let server = shop(PgVersion::V18);
    let mut backup = captured(&server, "shop");
    let options = RestoreOptions::default();
    let error = restore(&server, "new", &backup, &options).unwrap_err();
    assert!(matches!(error, EngineError::Missing { .. }), "{error}");
    let create = RestoreOptions {
        durable: true,
        ..create()
    };
    restored(&server, "new", &backup, &create);
    assert_same((&server, "shop"), (&server, "new"), &[]);
    let path = backup.files.keys();
    let mut path = path.filter(|path| path.as_str().starts_with("rows/shop.orders"));
    let path = path.next().unwrap().clone();
    let (_, rows) = backup.files.get_mut(&path).unwrap();
    rows.truncate(rows.len() / 2);
    let error = restore(&server, "broken", &backup, &create).unwrap_err();
    let is_touched = matches!(error, EngineError::TargetTouched { .. });
    assert!(!is_touched, "{}", described(&error));
    assert_eq!(state(&server, "broken"), TargetState::Missing);
    // Whole lines, but too few of them.
    let (_, rows) = backup.files.get_mut(&path).unwrap();
    let line = rows.iter().rposition(|byte| *byte == b'\n').unwrap();
    rows.truncate(line + 1);
    let words = described(&restore(&server, "broken", &backup, &create).unwrap_err());
    assert!(words.contains("has 5000 rows"), "{words}");
    assert_eq!(state(&server, "broken"), TargetState::Missing);
    // A database that was there keeps a part, and the error says so.
    server.create_database("there", "");
    let error = restore(&server, "there", &backup, &options).unwrap_err();
    let is_touched = matches!(error, EngineError::TargetTouched { .. });
    assert!(is_touched, "{}", described(&error));
}

#[test]
fn a_table_that_dominates_comes_back_whole() {
    let server = PgServer::start(PgVersion::V16);
    server.create_database("large", "");
    server.psql(
        "large",
        "create table large (id int primary key, what text);
         alter table large alter column what set storage external;
         insert into large select i, repeat(md5(i::text), 40) from generate_series(1, 60000) i;
         create index on large (md5(what)); create table small as select 1 as a",
    );
    let backup = captured(&server, "large");
    let files = backup.files.keys();
    let files = files.filter(|path| path.as_str().starts_with("rows/public.large"));
    assert!(files.count() >= 4, "it is read in ranges");
    let options = RestoreOptions {
        create: true,
        jobs: Some(2),
        ..RestoreOptions::default()
    };
    restored(&server, "again", &backup, &options);
    let digest = "select count(*) || ' ' || sum(hashtext(large::text)::bigint) from large";
    assert_eq!(server.psql("large", digest), server.psql("again", digest));
    // What one session loads alone is frozen; to analyze counts that and does not bring it about.
    let frozen = "select relallvisible > 0 from pg_class where relname = 'small'";
    server.psql("again", "analyze small");
    assert_eq!(server.psql("again", frozen), "t");
}
