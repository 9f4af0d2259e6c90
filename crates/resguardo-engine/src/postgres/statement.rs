//! Asks a database a question, or runs a script in it, within a limit of time, as the application would: with
//! the settings that the database and the role give a session, not with ours.

mod script;

use std::time::{Duration, Instant};

use super::failure;
use super::session::{Limits, Session};
use super::settings::Settings;
use super::target::LOCK_TIMEOUT;
use crate::port::{EngineError, Rows, Run};
use script::Statement;

/// First words of statements that could end the transaction in which nothing can be written, or reach beyond
/// the database.
const REFUSED: [&str; 11] = [
    "abort", "begin", "commit", "copy", "end", "execute", "load", "prepare", "rollback", "start",
    "vacuum",
];

/// Variables in which applications and their tools look for a database. All of them lead to the restored
/// one: a migration that finds the production's in one of them would migrate that.
const URL_VARIABLES: [&str; 5] = [
    "DATABASE_URL",
    "DIRECT_URL",
    "POSTGRES_URL",
    "POSTGRES_PRISMA_URL",
    "POSTGRES_URL_NON_POOLING",
];

/// A session that is like the application's, and how long it may still work.
struct Asking {
    session: Session,
    begun: Instant,
    timeout: Duration,
}

impl Asking {
    fn connect(settings: &Settings, timeout: Duration, run: Run<'_>) -> Result<Self, EngineError> {
        let begun = Instant::now();
        let limits = Limits {
            lock: LOCK_TIMEOUT.min(timeout),
            silence: Some(timeout),
        };
        let session = Session::connect(settings, limits, run.cancel)?;
        session.batch("reset all")?;
        Ok(Self {
            session,
            begun,
            timeout,
        })
    }

    fn left(&self, statement: &str) -> Result<Duration, EngineError> {
        let left = self.timeout.checked_sub(self.begun.elapsed());
        left.ok_or_else(|| EngineError::Timeout {
            what: failure::shortened(statement),
            seconds: self.timeout.as_secs(),
        })
    }

    fn run(&self, statement: &Statement<'_>) -> Result<(), EngineError> {
        let left = self.left(statement.sql)?;
        match statement.data {
            None => self.session.batch_within(statement.sql, left),
            Some(data) => self
                .session
                .copy_in(statement.sql, &mut data.as_bytes())
                .map(drop),
        }
    }
}

/// Runs a script of statements, each by itself. What it did before a statement failed stays, unless it has
/// its own transaction.
///
/// # Errors
/// [`EngineError::Sql`], [`EngineError::Timeout`], or why it cannot be reached.
pub(super) fn execute(
    settings: &Settings,
    script: &str,
    timeout: Duration,
    run: Run<'_>,
) -> Result<(), EngineError> {
    let statements = statements(script)?;
    let asking = Asking::connect(settings, timeout, run)?;
    for statement in &statements {
        asking.run(statement)?;
    }
    Ok(())
}

/// Runs a question that cannot write. It may be several statements (`SET ROLE …; SELECT …`); the last one's
/// rows are the answer.
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
    let statements = statements(sql)?;
    let Some((last, first)) = statements.split_last() else {
        return Err(refused(sql, "there is no statement in it"));
    };
    for statement in &statements {
        if REFUSED.contains(&statement.verb().as_str()) {
            return Err(refused(statement.sql, "a check may only read"));
        }
    }
    let asking = Asking::connect(settings, timeout, run)?;
    // After the first snapshot a transaction cannot be made to write any more.
    asking.session.batch("begin read only; select 1")?;
    for statement in first {
        asking.run(statement)?;
    }
    let left = asking.left(last.sql)?;
    asking.session.rows_max(last.sql, rows_max, left)
}

fn statements(script: &str) -> Result<Vec<Statement<'_>>, EngineError> {
    script::split(script).map_err(|script::ForPsql(command)| {
        let why =
            "this is a command of psql, not SQL; a script that needs psql is run by a command";
        refused(&command, why)
    })
}

fn refused(statement: &str, why: &str) -> EngineError {
    EngineError::Sql {
        statement: failure::shortened(statement),
        message: why.to_owned(),
        state: None,
    }
}

/// What leads a command or application to the database.
pub(super) fn environment(settings: &Settings) -> Vec<(String, String)> {
    let url = settings.url();
    let mut variables = settings.variables();
    variables.extend(URL_VARIABLES.map(|name| (name.to_owned(), url.clone())));
    variables
}
