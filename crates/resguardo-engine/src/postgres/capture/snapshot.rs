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

/// Locks all tables in `holder` and takes a snapshot in which no other table is. `observer` lists the
/// tables where the other cannot.
///
/// # Errors
/// [`EngineError::Busy`] if a lock cannot be had, or tables come and go all the time.
pub(super) fn take(
    source: &Source<'_>,
    holder: &Session,
    observer: &Session,
) -> Result<Snapshot, EngineError> {
    let mut relations = catalog::relations(observer)?;
    for _ in 0..TRIES_MAX {
        // Locking takes no snapshot: the first question after it does.
        holder.batch("begin transaction isolation level repeatable read, read only")?;
        if let Locked::Changed = lock::lock(source, holder, &relations, observer)? {
            holder.batch("rollback")?;
            relations = catalog::relations(observer)?;
            continue;
        }
        let taken_at = source.run.clock.now();
        let id = holder.rows("select pg_export_snapshot()")?;
        relations = catalog::relations(holder)?;
        let locked = lock::held(holder)?;
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
