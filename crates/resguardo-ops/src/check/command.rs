//! A command, and the exit code that passes.

use resguardo_model::{CheckOutcome, CheckResult};

use super::Restored;
use crate::run::described;
use crate::source::CheckSpec;
use resguardo_engine::process::{self, ProcessError};

/// Exit codes by which the shell says that it could not run the command.
const NOT_EXECUTABLE: i32 = 126;
const NOT_FOUND: i32 = 127;

pub(super) fn run(
    restored: &Restored<'_>,
    check: &CheckSpec,
    line: &str,
    exit_code: i32,
) -> CheckResult {
    let expected = format!("exit code {exit_code}");
    let command = restored.command(line);
    let cancel = &restored.ctx.cancel;
    match process::run(&command, check.timeout, cancel, restored.log) {
        Ok(ended) => {
            let code = ended.status.code();
            let outcome = if code == Some(exit_code) {
                CheckOutcome::Passed
            } else if matches!(code, Some(NOT_EXECUTABLE | NOT_FOUND)) {
                CheckOutcome::Error
            } else {
                CheckOutcome::Failed
            };
            let mut result = CheckResult::new(&check.name, outcome, expected, ended.describe());
            result.detail = ended.output.said().to_owned();
            result
        }
        Err(error) => CheckResult::error(&check.name, expected, explained(&error)),
    }
}

/// An error of a process with what the process said before.
pub(crate) fn explained(error: &ProcessError) -> String {
    let words = described(error);
    match error {
        ProcessError::Timeout { output, .. } if !output.said().is_empty() => {
            format!("{words}; it had said: {}", output.said())
        }
        _ => words,
    }
}
