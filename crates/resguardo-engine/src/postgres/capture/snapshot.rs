//! The snapshot that everything is read from.

use jiff::Timestamp;

use super::Source;
use super::lock::{self, Locked};
use crate::port::EngineError;
use crate::postgres::catalog::{self, Relation};
use crate::postgres::session::Session;

/// How often tables may come and go before it is given up.
const TRIES_MAX: usize = 20;

/// An exported snapshot.
pub(in crate::postgres) struct Snapshot {
    /// Its name, for `SET TRANSACTION SNAPSHOT`.
    pub(in crate::postgres) id: String,
    /// An instant that is not after it.
    pub(in crate::postgres) taken_at: Timestamp,
    /// The tables in it, all locked.
    pub(in crate::postgres) relations: Vec<Relation>,
}

/// Locks all tables in `locks` and takes a snapshot in `holder` in which no other table is.
///
/// # Errors
/// [`EngineError::Busy`] if a lock cannot be had, or tables come and go all the time.
pub(super) fn take(
    source: &Source<'_>,
    locks: &Session,
    holder: &Session,
) -> Result<Snapshot, EngineError> {
    let mut relations = catalog::relations(locks)?;
    locks.batch("begin")?;
    for _ in 0..TRIES_MAX {
        let locked = lock::held(locks)?;
        let missing: Vec<&Relation> = relations
            .iter()
            .filter(|relation| !locked.contains(&relation.oid))
            .collect();
        if let Locked::Changed = lock::lock(source, locks, &missing)? {
            locks.batch("rollback; begin")?;
            relations = catalog::relations(holder)?;
            continue;
        }
        let taken_at = source.run.clock.now();
        holder.batch("begin transaction isolation level repeatable read, read only")?;
        let id = holder.rows("select pg_export_snapshot()")?;
        relations = catalog::relations(holder)?;
        let locked = lock::held(locks)?;
        if let Some(id) = id.first()
            && relations
                .iter()
                .all(|relation| locked.contains(&relation.oid))
        {
            return Ok(Snapshot {
                id: id.text(0).to_owned(),
                taken_at,
                relations,
            });
        }
        holder.batch("rollback")?;
    }
    Err(EngineError::Busy {
        place: source.settings.describe(),
        held: format!("tables were made and dropped in each of {TRIES_MAX} tries to lock them all"),
    })
}

/// Makes a session see the snapshot until its transaction ends.
///
/// # Errors
/// If the snapshot is gone.
pub(super) fn enter(session: &Session, id: &str) -> Result<(), EngineError> {
    session.batch(&format!(
        "begin transaction isolation level repeatable read, read only; set transaction snapshot {}",
        crate::postgres::name::literal(id)
    ))
}

/// Asks the sessions whether locks and snapshot were held to the end.
///
/// # Errors
/// If one was cut.
pub(super) fn confirm(locks: &Session, holder: &Session) -> Result<(), EngineError> {
    locks.batch("select 1; commit")?;
    holder.batch("select 1; commit")
}
