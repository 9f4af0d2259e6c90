//! `pg_amcheck`: whether every heap and b-tree is what PostgreSQL expects, and every row is in its indexes.

use std::sync::Arc;
use std::time::Duration;

use resguardo_model::{CheckOutcome, CheckResult};

use super::LIMITS;
use crate::port::{EngineError, Run};
use crate::postgres::Surroundings;
use crate::postgres::capture::jobs;
use crate::postgres::session::Session;
use crate::postgres::settings::Settings;
use crate::postgres::tool;
use crate::postgres::tools::Tools;
use crate::process::{self, NoLog, ProcessError};

const NAME: &str = "amcheck";
const EXPECTED: &str = "no corruption";
/// Its exit code when it has found corruption.
const FOUND: i32 = 2;
/// It is silent while it reads a table of any size: only the caller ends it.
const ENDLESS: Duration = Duration::MAX;

pub(super) fn check(settings: &Settings, around: &Arc<Surroundings>, run: Run<'_>) -> CheckResult {
    look(settings, around, run)
        .unwrap_or_else(|error| CheckResult::error(NAME, EXPECTED, error.in_full()))
}

fn look(
    settings: &Settings,
    around: &Arc<Surroundings>,
    run: Run<'_>,
) -> Result<CheckResult, EngineError> {
    let major = Session::connect(settings, LIMITS, run.cancel)?
        .version()
        .major();
    let tools = Tools::clients(major, &around.tool_folders)?;
    if !tools.has("pg_amcheck") {
        return Err(EngineError::ToolMissing {
            tool: "pg_amcheck".to_owned(),
            why: format!("it is not beside pg_dump {}", tools.version()),
            package: format!("postgresql-client-{major}"),
        });
    }
    let arguments = [
        "--no-password".to_owned(),
        "--install-missing".to_owned(),
        "--heapallindexed".to_owned(),
        format!("--jobs={}", jobs(None)),
    ];
    let command = tool::command(&tools, "pg_amcheck", arguments, settings);
    let ended = match process::run(&command, ENDLESS, run.cancel, &NoLog) {
        Ok(ended) => ended,
        Err(ProcessError::Cancelled(cancelled)) => return Err(cancelled.into()),
        Err(error) => {
            return Err(EngineError::Other {
                operation: "looking for corruption in",
                place: settings.describe(),
                source: Box::new(error),
            });
        }
    };
    Ok(match ended.status.code() {
        Some(0) => CheckResult::compare(NAME, EXPECTED, EXPECTED),
        Some(FOUND) => {
            let mut result = CheckResult::new(NAME, CheckOutcome::Failed, EXPECTED, "corruption");
            result.detail = ended.output.stdout.trim().to_owned();
            result
        }
        _ => {
            let why = format!(
                "pg_amcheck ended with {}: {}",
                ended.describe(),
                ended.output.said()
            );
            CheckResult::error(NAME, EXPECTED, why)
        }
    })
}
