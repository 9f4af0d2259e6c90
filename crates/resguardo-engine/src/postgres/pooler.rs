//! Poolers that give each transaction another connection are recognised before any setting is changed: it
//! would be changed for whoever gets that connection next, and neither locks nor snapshot would be ours.

use resguardo_model::CancelToken;

use super::session::{Limits, Session};
use super::settings::Settings;
use crate::port::EngineError;

/// How often both sessions are asked who serves them.
const ROUNDS: usize = 4;

/// Connects twice, makes sure that each session has a server process of its own from one transaction to the
/// next, and prepares both.
///
/// # Errors
/// [`EngineError::Unsupported`] if they have not; else why it could not connect.
pub(super) fn two_sessions(
    settings: &Settings,
    limits: Limits,
    cancel: &CancelToken,
) -> Result<(Session, Session), EngineError> {
    let mut one = Session::connect_unprepared(settings, limits, cancel)?;
    let mut other = Session::connect_unprepared(settings, limits, cancel)?;
    let first = server_process(&one)?;
    for _ in 0..ROUNDS {
        if server_process(&other)? == first || server_process(&one)? != first {
            return Err(refused(settings));
        }
    }
    one.prepare()?;
    other.prepare()?;
    Ok((one, other))
}

fn server_process(session: &Session) -> Result<String, EngineError> {
    let rows = session.rows("select pg_catalog.pg_backend_pid()")?;
    Ok(rows
        .first()
        .map_or_else(String::new, |row| row.text(0).to_owned()))
}

fn refused(settings: &Settings) -> EngineError {
    EngineError::Unsupported {
        place: settings.describe(),
        why: "a pooler answers there that gives each transaction another connection (PgBouncer's pool_mode = \
              transaction), through which neither a snapshot nor settings can be kept"
            .to_owned(),
        next: "use the address of the server itself, or of a pool in session mode".to_owned(),
    }
}
