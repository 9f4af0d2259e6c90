//! Asks a database a question, or runs a script in it, within a limit of time.

use std::time::Duration;

use super::session::{Limits, Session};
use super::settings::Settings;
use super::target::LOCK_TIMEOUT;
use crate::port::{EngineError, Rows, Run};

fn connect(settings: &Settings, timeout: Duration, run: Run<'_>) -> Result<Session, EngineError> {
    let limits = Limits {
        lock: LOCK_TIMEOUT.min(timeout),
        silence: Some(timeout),
    };
    Session::connect(settings, limits, run.cancel)
}

/// Runs a script of statements.
///
/// # Errors
/// [`EngineError::Sql`], [`EngineError::Timeout`], or why it cannot be reached.
pub(super) fn execute(
    settings: &Settings,
    script: &str,
    timeout: Duration,
    run: Run<'_>,
) -> Result<(), EngineError> {
    connect(settings, timeout, run)?.batch_within(script, timeout)
}

/// Runs one query that cannot write.
///
/// # Errors
/// As [`execute`].
pub(super) fn ask(
    settings: &Settings,
    sql: &str,
    rows_max: usize,
    timeout: Duration,
    run: Run<'_>,
) -> Result<Rows, EngineError> {
    let session = connect(settings, timeout, run)?;
    session.batch("set default_transaction_read_only = on")?;
    session.rows_max(sql, rows_max, timeout)
}

/// What leads a command or application to the database.
pub(super) fn environment(settings: &Settings) -> Vec<(String, String)> {
    let mut variables = settings.variables();
    variables.push(("DATABASE_URL".to_owned(), settings.url()));
    variables
}
