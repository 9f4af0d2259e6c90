//! Looks for corruption in the source before its data is taken, by `pg_amcheck`: only where it is asked for, since
//! it reads every table and index.

use super::Source;
use crate::port::EngineError;
use crate::postgres::session::Session;
use crate::postgres::tool;
use crate::postgres::tools::Tools;
use crate::process::{self, NoLog, ProcessError};

/// Its exit code when it has found corruption.
const FOUND: i32 = 2;
/// Lines of what it found that an error tells.
const LINES_MAX: usize = 5;

/// Checks the database that `session` is connected to. Nothing is installed there for it.
///
/// # Errors
/// [`EngineError::Corrupt`] with what was found; [`EngineError::Unsupported`] if it cannot be checked.
pub(super) fn check(
    source: &Source<'_>,
    session: &Session,
    tools: &Tools,
) -> Result<(), EngineError> {
    let place = source.settings.describe();
    let installed = session.rows("select from pg_extension where extname = 'amcheck'")?;
    // Without it, pg_amcheck leaves the database out and says that all is well.
    if installed.is_empty() {
        return Err(EngineError::Unsupported {
            place,
            why: "its integrity is checked by the extension amcheck, which is not installed there"
                .to_owned(),
            next: "CREATE EXTENSION amcheck, or check what a drill restores".to_owned(),
        });
    }
    if !tools.has("pg_amcheck") {
        return Err(EngineError::ToolMissing {
            tool: "pg_amcheck".to_owned(),
            why: format!("it is not beside pg_dump {}", tools.version()),
            package: format!("postgresql-client-{}", session.version().major()),
        });
    }
    let words = [
        "--no-password".to_owned(),
        format!("--jobs={}", super::jobs(source.request.jobs)),
    ];
    let command = tool::command(tools, "pg_amcheck", words, &source.settings);
    // It says nothing for as long as it finds nothing.
    let endless = std::time::Duration::MAX;
    let ended = match process::run(&command, endless, source.run.cancel, &NoLog) {
        Ok(ended) => ended,
        Err(ProcessError::Cancelled(cancelled)) => return Err(cancelled.into()),
        Err(error) => {
            return Err(EngineError::Other {
                operation: "looking for corruption in",
                place,
                source: Box::new(error),
            });
        }
    };
    if ended.status.code() == Some(FOUND) {
        let lines: Vec<&str> = ended.output.stdout.lines().map(str::trim).collect();
        let shown = lines[..lines.len().min(LINES_MAX)].join("; ");
        return Err(EngineError::Corrupt { place, why: shown });
    }
    tool::ended("looking for corruption in", &place, "pg_amcheck", Ok(ended))
}
