//! The tables of the shared catalog, version by version.

use resguardo_engine::port::EngineError;
use resguardo_engine::postgres::database::{Database, TextRow};

use super::{SharedError, text};

/// Each brings the shared catalog from the version of its position to the next.
const MIGRATIONS: [&str; 1] = ["
    create table resguardo.catalog (alone boolean primary key default true check (alone), version bigint not null);
    insert into resguardo.catalog (version) values (0);
    create table resguardo.leases (
        vault text not null, source text not null, fence bigint not null default 0, task text, holder text,
        host text, until timestamptz, primary key (vault, source)
    );
    create table resguardo.jobs (
        vault text not null, source text not null, task text not null, state text not null,
        revision bigint not null default 1, at timestamptz not null default clock_timestamp(),
        primary key (vault, source, task)
    );
    create table resguardo.machines (
        vault text not null, process text not null, host text not null,
        heard_at timestamptz not null default clock_timestamp(), primary key (vault, process)
    );
    create table resguardo.runs (
        vault text not null, run text not null, process text not null, state text not null, row text not null,
        changed_at timestamptz not null default clock_timestamp(), primary key (vault, run)
    );
    create index runs_by_change on resguardo.runs (vault, changed_at);
    create table resguardo.messages (
        vault text not null, delivery text not null, process text not null, until timestamptz not null,
        sent_at timestamptz, primary key (vault, delivery)
    );
"];

/// The newest version known.
pub(super) const KNOWN: i64 = MIGRATIONS.len() as i64;

/// Whoever makes or changes the tables holds this lock of the database: `resguardo` as a number.
const LOCK: i64 = 0x7265_7367_7561_7264;

/// Brings the tables to the newest version, or refuses newer ones.
pub(super) fn migrate(database: &Database) -> Result<(), SharedError> {
    // Most often there is nothing to do, and then nothing is locked.
    if version(database)? == Some(KNOWN) {
        return Ok(());
    }
    database.in_transaction(|ask| {
        let failed = SharedError::at("preparing");
        ask(&format!("select pg_catalog.pg_advisory_xact_lock({LOCK})")).map_err(&failed)?;
        let there = found(ask).map_err(&failed)?;
        let done = refuse_newer(database, there)?.unwrap_or(0);
        if there.is_none() {
            // Where the schema was made for us, nobody may have let us make another.
            let schema = ask("select 1 from pg_catalog.pg_namespace where nspname = 'resguardo'")
                .map_err(&failed)?;
            if schema.is_empty() {
                ask("create schema resguardo").map_err(&failed)?;
            }
        }
        let done = usize::try_from(done).unwrap_or(0);
        for migration in &MIGRATIONS[done..] {
            ask(migration).map_err(&failed)?;
        }
        ask(&format!("update resguardo.catalog set version = {KNOWN}")).map_err(&failed)?;
        Ok(())
    })
}

/// The version that is there; a newer one is refused.
pub(super) fn version(database: &Database) -> Result<Option<i64>, SharedError> {
    let failed = SharedError::at("reading");
    let there = found(&|sql| database.ask_again(sql)).map_err(&failed)?;
    refuse_newer(database, there)
}

fn found(
    ask: &dyn Fn(&str) -> Result<Vec<TextRow>, EngineError>,
) -> Result<Option<i64>, EngineError> {
    // By a query: `to_regclass` may answer from what this connection knew before it waited for the lock.
    let table = ask(
        "select 1 from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where n.nspname = 'resguardo' and c.relname = 'catalog'",
    )?;
    if table.is_empty() {
        return Ok(None);
    }
    let version = ask("select version from resguardo.catalog")?;
    Ok(version.first().and_then(|row| text(row, 0).parse().ok()))
}

fn refuse_newer(database: &Database, there: Option<i64>) -> Result<Option<i64>, SharedError> {
    match there {
        Some(version) if version > KNOWN => Err(SharedError::Newer {
            place: database.describe(),
            version,
            known: KNOWN,
        }),
        there => Ok(there),
    }
}
