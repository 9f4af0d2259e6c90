//! Locks that keep tables from being dropped, truncated or rewritten while they are read.

use std::collections::HashSet;

use tokio_postgres::error::SqlState;

use super::Source;
use crate::port::EngineError;
use crate::postgres::catalog::Relation;
use crate::postgres::failure;
use crate::postgres::session::Session;

/// Tables that one statement locks.
const BATCH: usize = 500;

/// How locking ended.
pub(super) enum Locked {
    /// All are locked.
    All,
    /// One is not there any more: list them again.
    Changed,
}

/// Locks tables by name.
///
/// # Errors
/// [`EngineError::Busy`], which names whoever holds a lock.
pub(super) fn lock(
    source: &Source<'_>,
    session: &Session,
    relations: &[Relation],
    observer: &Session,
) -> Result<Locked, EngineError> {
    for batch in relations.chunks(BATCH) {
        let tables: Vec<String> = batch
            .iter()
            .map(|relation| format!("only {}", relation.quoted()))
            .collect();
        let statement = format!("lock table {} in access share mode", tables.join(", "));
        match session.batch(&statement) {
            Ok(()) => {}
            Err(error) if is_gone(&error) => return Ok(Locked::Changed),
            Err(EngineError::Busy { place, held }) => {
                let held = holder(observer, batch).unwrap_or(held);
                let seconds = source.request.lock_timeout.as_secs();
                return Err(EngineError::Busy {
                    place,
                    held: format!("{held}; waited {seconds} s"),
                });
            }
            Err(EngineError::Sql { message, state, .. }) => {
                return Err(EngineError::Sql {
                    statement: format!("locking {} tables", relations.len()),
                    message,
                    state,
                });
            }
            Err(other) => return Err(other),
        }
    }
    Ok(Locked::All)
}

fn is_gone(error: &EngineError) -> bool {
    [SqlState::UNDEFINED_TABLE, SqlState::INVALID_SCHEMA_NAME]
        .iter()
        .any(|state| failure::is_sql_state(error, state))
}

/// The tables that this session has locked.
///
/// # Errors
/// If it cannot be asked.
pub(super) fn held(session: &Session) -> Result<HashSet<u32>, EngineError> {
    let rows = session.rows(
        "select relation from pg_locks where pid = pg_backend_pid() and locktype = 'relation' and granted",
    )?;
    Ok(rows.iter().map(|row| row.number(0)).collect())
}

/// Who keeps these tables from being locked, in words; `None` if that cannot be found out any more.
pub(super) fn holder(observer: &Session, relations: &[Relation]) -> Option<String> {
    let oids: Vec<String> = relations.iter().map(|r| r.oid.to_string()).collect();
    let rows = observer
        .rows(&format!(
            "select a.pid, a.usename, a.application_name, a.query, n.nspname || '.' || c.relname, l.granted \
             from pg_locks l join pg_stat_activity a on a.pid = l.pid join pg_class c on c.oid = l.relation \
               join pg_namespace n on n.oid = c.relnamespace \
             where l.locktype = 'relation' and l.mode = 'AccessExclusiveLock' and l.pid <> pg_backend_pid() \
               and l.database = (select oid from pg_database where datname = current_database()) \
               and l.relation = any ('{{{}}}'::oid[]) order by l.granted desc, a.query_start limit 1",
            oids.join(",")
        ))
        .ok()?;
    let row = rows.first()?;
    let application = match row.text(2) {
        "" => String::new(),
        name => format!(" ({name})"),
    };
    let state = if row.is_true(5) { "holds" } else { "waits for" };
    Some(format!(
        "process {} of user {}{application} {state} an exclusive lock on {}: {}",
        row.text(0),
        row.text(1),
        row.text(4),
        failure::shortened(row.text(3))
    ))
}
