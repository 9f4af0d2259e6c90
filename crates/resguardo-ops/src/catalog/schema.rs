//! The catalog's tables, version by version (`user_version`).

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::CatalogError;

/// Columns of a run, in the order in which they are read and written.
pub(super) const RUN_COLUMNS: &str = "run, vault, verb, source, backup, state, started_at, finished_at, \
     host, operator, pid, process_started, message, receipt, changes";

/// Each brings the catalog from the version of its position to the next.
const MIGRATIONS: [&str; 11] = [
    "
    create table runs (
        run text primary key, vault text, verb text not null, source text, backup text,
        state text not null, started_at text not null, finished_at text, host text not null,
        operator text not null, pid integer, process_started text, message text not null, receipt text
    ) strict;
    create index runs_by_start on runs (started_at);
    create table heads (
        vault text not null, key text not null, sha256 text not null, head text not null,
        primary key (vault, key)
    ) strict, without rowid;
    create table receipts (
        vault text not null, key text not null, bytes blob not null,
        writer text not null, drilled text, drilled_at text, verdict text,
        primary key (vault, key)
    ) strict;
    create index receipts_of_drills on receipts (vault, key) where drilled is not null;
",
    // Receipts are read again from the vault, with what they tell of backups.
    "
    alter table receipts add column told text;
    create index receipts_that_tell on receipts (vault, key) where told is not null;
    delete from receipts;
",
    // Which source a restore writes into, whatever source its data are of.
    "
    alter table runs add column changes text;
",
    // Of a writer that is retired, only receipts that were pinned by their digests are believed.
    "
    alter table receipts add column sha256 text not null default '';
    delete from receipts;
",
    // What receipts say that copies hold.
    "
    alter table receipts add column copied text;
    create index receipts_of_copies on receipts (vault, key) where copied is not null;
    delete from receipts;
",
    // How scheduled jobs stand.
    "
    create table jobs (
        source text not null, task text not null, state text not null, at text not null,
        primary key (source, task)
    ) strict, without rowid;
",
    // What standings are made of, and what somebody has to look at.
    "
    alter table receipts add column stated text;
    create index receipts_that_state on receipts (vault, key) where stated is not null;
    delete from receipts;
    create index runs_by_source on runs (source, verb, started_at);
    create table exceptions (
        id text primary key, vault text not null, source text not null, kind text not null,
        what text not null, times integer not null, opened_at text not null, seen_at text not null,
        good_at text, opened_receipt text, resolved_at text, resolved_by text, note text,
        resolved_run text, resolved_receipt text, signing_since text
    ) strict;
    create index exceptions_open on exceptions (vault) where resolved_at is null;
    create index exceptions_of on exceptions (vault, source, kind, opened_at);
",
    // Who may use the pages. Of sessions and tokens, hashes.
    "
    create table users (
        name text primary key, role text not null, password text not null,
        created_at text not null, changed_at text not null
    ) strict, without rowid;
    create table sessions (
        id blob primary key, user text not null, issuer text not null, role text not null,
        began_at text not null, seen_at text not null
    ) strict, without rowid;
    create index sessions_of_users on sessions (user, issuer);
    create table tokens (
        name text primary key, hash blob not null unique, role text not null,
        created_at text not null, expires_at text, used_at text
    ) strict, without rowid;
",
    // What people are to be told.
    "
    create table outbox (
        number integer primary key autoincrement, endpoint text not null, subject text not null,
        change text not null, delivery text not null, payload text not null, fleeting integer not null,
        state text not null, tries integer not null, created_at integer not null,
        next_at integer not null, expires_at integer not null, said text not null,
        unique (endpoint, subject, change)
    ) strict;
    create index outbox_waiting on outbox (endpoint, subject, number) where state = 'waiting';
",
    // Receipts tell of backups at copies by their ids, and of what was found wrong there.
    "
    delete from receipts;
",
    // What was done here, by whom.
    "
    create table audit (
        id text primary key, at text not null, who text not null, origin text not null,
        what text not null, object text not null, source text, outcome text not null,
        receipt text, signing_since text
    ) strict, without rowid;
    create index audit_by_time on audit (at);
    create index audit_unsigned on audit (at) where receipt is null;
",
];

/// Brings the catalog to the newest version, or refuses one that is newer.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), CatalogError> {
    let failed = CatalogError::sqlite("migrating");
    let known = i64::try_from(MIGRATIONS.len()).expect("there are few migrations");
    let version = |connection: &Connection| -> rusqlite::Result<i64> {
        connection.pragma_query_value(None, "user_version", |row| row.get(0))
    };
    // One that is current is only read: it can be on a full disk, and while another process writes.
    if version(connection).map_err(&failed)? == known {
        return Ok(());
    }
    // Immediate: two processes that start at once must not both find version 0.
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(&failed)?;
    let version = version(&transaction).map_err(&failed)?;
    let done = match usize::try_from(version) {
        Ok(done) if done <= MIGRATIONS.len() => done,
        _ => {
            return Err(CatalogError::Newer {
                path: path.to_owned(),
                version,
                known,
            });
        }
    };
    for migration in &MIGRATIONS[done..] {
        transaction.execute_batch(migration).map_err(&failed)?;
    }
    transaction
        .pragma_update(None, "user_version", known)
        .map_err(&failed)?;
    transaction.commit().map_err(&failed)
}
