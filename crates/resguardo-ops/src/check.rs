//! The checks of the user's own. Each ends as one result with what was expected and what was found;
//! one that could not run is an error, never passed.

use std::sync::Arc;
use std::time::Instant;

use resguardo_engine::port::Target;
use resguardo_model::{CheckOutcome, CheckResult};

use crate::context::Context;
use crate::source::{CheckKind, CheckSpec, SourceSpec};
use resguardo_engine::process::{Command, GroupLog, Listener};

mod application;
mod command;
mod http;
mod sql;

use application::Applications;
pub(crate) use command::explained;

/// What checks are run on.
pub(crate) struct Restored<'a> {
    pub(crate) ctx: &'a Context,
    pub(crate) target: &'a dyn Target,
    pub(crate) spec: &'a SourceSpec,
    pub(crate) log: &'a dyn GroupLog,
}

impl Restored<'_> {
    /// A command line, run in the source's folder: it finds the restored data, and nothing of ours that would
    /// lead it elsewhere. Whoever watches the drill sees what it prints, as it comes.
    pub(crate) fn command(&self, line: &str) -> Command {
        let progress = Arc::clone(&self.ctx.progress);
        let listener = Listener::new(move |line: &str| progress.said(line));
        Command::shell(line, &self.spec.folder)
            .heard_by(listener)
            .without_variables(self.target.foreign_variables())
            .with_variables(self.target.environment())
    }
}

/// Runs all checks in their order; the applications that they serve are ended before this returns.
pub(crate) fn run_all(restored: &Restored<'_>) -> Vec<CheckResult> {
    let mut applications = Applications::new(restored);
    let mut results = Vec::new();
    for check in &restored.spec.checks {
        if restored.ctx.cancel.is_cancelled() {
            break;
        }
        restored.ctx.progress.note(&format!("check {}", check.name));
        let result = timed(|| run_one(restored, check, &mut applications));
        tell(restored.ctx, "check ", &result);
        results.push(result);
    }
    results
}

/// Tells whoever watches of one that did not pass. What was found stands in the report alone: it may be data.
pub(crate) fn tell(ctx: &Context, kind: &str, result: &CheckResult) {
    let word = match result.outcome {
        CheckOutcome::Passed | CheckOutcome::Skipped => return,
        CheckOutcome::Failed => "failed",
        CheckOutcome::Error => "error",
    };
    ctx.progress.note(&format!("{kind}{}: {word}", result.name));
}

/// The results of checks that are not run, and why.
pub(crate) fn skip_all(checks: &[CheckSpec], why: &str) -> Vec<CheckResult> {
    let skipped = checks.iter().map(|check| {
        let mut result = CheckResult::new(&check.name, CheckOutcome::Skipped, "", "");
        result.detail = why.to_owned();
        result
    });
    skipped.collect()
}

/// Runs one and notes how long it took.
pub(crate) fn timed(check: impl FnOnce() -> CheckResult) -> CheckResult {
    let begun = Instant::now();
    let mut result = check();
    result.milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    result
}

fn run_one(
    restored: &Restored<'_>,
    check: &CheckSpec,
    applications: &mut Applications<'_>,
) -> CheckResult {
    match &check.kind {
        CheckKind::Sql { sql, expect } => sql::run(restored, check, sql, expect),
        CheckKind::Http(request) => http::run(restored, check, request, applications),
        CheckKind::Command { command, exit_code } => {
            command::run(restored, check, command, *exit_code)
        }
    }
}
