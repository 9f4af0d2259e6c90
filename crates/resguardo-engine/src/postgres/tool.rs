//! Runs of the server's own programs: where they connect to, and what their end means.

use super::settings::Settings;
use super::tools::Tools;
use crate::port::EngineError;
use crate::process::{Command, Ended, ProcessError, StreamError};

/// A program that connects to the database of `settings`, and learns of no other.
pub(super) fn command(
    tools: &Tools,
    program: &str,
    arguments: impl IntoIterator<Item = String>,
    settings: &Settings,
) -> Command {
    Command::program(tools.program(program), arguments, "/")
        .without_variables(Settings::foreign_variables())
        .with_variables(settings.variables())
}

/// Makes `pg_dump` write names and definitions in UTF-8. Those of a database without an encoding are bytes that
/// nobody can convert.
pub(super) fn in_utf8(encoding: &str) -> Option<&'static str> {
    (encoding != "SQL_ASCII").then_some("--encoding=UTF8")
}

/// Begins the statement that pg_dump quotes, in every language, if it waited in vain.
const LOCKING: &str = "LOCK TABLE ";

/// How a program ended that did not end well.
#[derive(Debug, thiserror::Error)]
#[error("{program} ended with {how}: {said}")]
pub(super) struct ToolError {
    program: &'static str,
    how: String,
    said: String,
}

/// The meaning of a program's end: anything but exit code 0 is an error of `doing` at `place`.
///
/// # Errors
/// [`EngineError::Timeout`], [`EngineError::Cancelled`], the data's own error, or [`EngineError::Other`]
/// with the program's words.
pub(super) fn ended(
    doing: &'static str,
    place: &str,
    program: &'static str,
    ended: Result<Ended, StreamError<EngineError>>,
) -> Result<(), EngineError> {
    let ended = match ended {
        Ok(ended) => ended,
        Err(StreamError::Data(error)) => return Err(error),
        Err(StreamError::Process(ProcessError::Cancelled(cancelled))) => {
            return Err(cancelled.into());
        }
        Err(StreamError::Process(
            ProcessError::Timeout { seconds, .. } | ProcessError::Silent { seconds, .. },
        )) => {
            return Err(EngineError::Timeout {
                what: format!("{program}, {doing} {place},"),
                seconds,
            });
        }
        Err(StreamError::Process(other)) => {
            return Err(EngineError::Other {
                operation: doing,
                place: place.to_owned(),
                source: Box::new(other),
            });
        }
    };
    if ended.status.success() {
        return Ok(());
    }
    if program == "pg_dump" && ended.output.said().contains(LOCKING) {
        return Err(EngineError::Busy {
            place: place.to_owned(),
            held: format!("pg_dump could not lock its tables: {}", ended.output.said()),
        });
    }
    Err(EngineError::Other {
        operation: doing,
        place: place.to_owned(),
        source: Box::new(ToolError {
            program,
            how: ended.describe(),
            said: ended.output.said().to_owned(),
        }),
    })
}
