//! What is done around a restore into a source: commands that end and start what uses it, maintenance,
//! scripts, the migration and the checks.
//!
//! INVARIANT: the first step that fails is the last that is done, and the error names those before and
//! after it in their order (`a_failed_step_stops_and_says_what_was_done`). What a step says is for whoever
//! runs it; receipts and the catalog get its name and its outcome.

use std::time::Instant;

use resguardo_engine::port::{EngineError, Maintenance, Run, Target, TargetState};
use resguardo_engine::process::{self, Command, GroupLog, ProcessMark};
use resguardo_model::{CancelToken, CheckOutcome, Verdict};
use serde::Serialize;

use super::{Inspection, RestoreRequest};
use crate::check;
use crate::context::Context;
use crate::error::{OpsError, Stopped};
use crate::origin::Selected;
use crate::run::described;
use crate::source::{RestoreSpec, SourceSpec};

mod planned;

use planned::planned;

/// For which targets the steps of `[sources.X.restore]` are done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hooks {
    /// Where the target is the source itself: elsewhere nothing uses it yet.
    #[default]
    AtSource,
    /// Wherever it is: those of the source whose data comes.
    Always,
    /// Nowhere.
    Never,
}

/// One thing that was done around a restore, or was to be done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepDone {
    /// `before pm2`, `maintenance`, `safety backup`, `restore`, `provision sql/roles.sql`, `migrate`,
    /// `checks`, `end of maintenance` or `after pm2`.
    pub name: String,
    /// `done`, `failed`, or `not done`.
    pub outcome: &'static str,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// The steps as they go.
pub(super) struct Around<'a> {
    ctx: &'a Context,
    target: &'a dyn Target,
    place: String,
    /// Whose steps they are; `None` if there are none.
    source: Option<&'a SourceSpec>,
    steps: Vec<StepDone>,
    at: usize,
    closed: Option<Maintenance>,
    /// The data are as they have to be: what is left to do is done elsewhere.
    whole: bool,
    pub(super) notes: Vec<String>,
}

/// A step that failed.
struct Failed {
    why: String,
    said: String,
    data: bool,
    source: Option<Box<OpsError>>,
}

impl Failed {
    fn of(error: OpsError) -> Self {
        Self {
            why: "it failed".to_owned(),
            said: String::new(),
            data: false,
            source: Some(Box::new(error)),
        }
    }
}

/// Commands around a restore are not written down: they are to outlive us if we die.
struct NoLog;

impl GroupLog for NoLog {
    fn started(&self, _group: &ProcessMark) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> Around<'a> {
    pub(super) fn new(
        ctx: &'a Context,
        request: &RestoreRequest<'a>,
        selected: &Selected<'a>,
        found: &Inspection,
        target: &'a dyn Target,
    ) -> Self {
        let at_target = request
            .sources
            .iter()
            .find(|spec| Some(&spec.name) == found.is_source.as_ref());
        let source = match request.hooks {
            Hooks::AtSource => at_target,
            Hooks::Always => at_target.or(selected.spec),
            Hooks::Never => None,
        };
        let source = source.filter(|source| source.restore != RestoreSpec::default());
        let occupied = matches!(found.state, TargetState::Occupied { .. });
        let safety = occupied && request.safety_backup;
        let closes = found.state != TargetState::Missing;
        let names = source.map_or_else(Vec::new, |source| planned(source, safety, closes));
        let step = |name| StepDone {
            name,
            outcome: "not done",
            seconds: 0.0,
        };
        Self {
            ctx,
            target,
            place: found.place.clone(),
            source,
            steps: names.into_iter().map(step).collect(),
            at: 0,
            closed: None,
            whole: false,
            notes: Vec::new(),
        }
    }

    /// The steps, done and not.
    pub(super) fn steps(&self) -> &[StepDone] {
        &self.steps
    }

    /// Whether anything was done.
    pub(super) fn has_begun(&self) -> bool {
        self.at > 0
    }

    /// Whether the target is about to be closed.
    pub(super) fn closes(&self) -> bool {
        self.next() == Some("maintenance")
    }

    /// Whether the target is closed.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// Whether nothing is left to be done to the data.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// The commands before.
    pub(super) fn before(&mut self) -> Result<(), OpsError> {
        let commands = self.source.map_or(&[][..], |source| &source.restore.before);
        commands.iter().try_for_each(|line| self.command(line))
    }

    /// Somebody else's step: the safety backup.
    pub(super) fn during<T>(
        &mut self,
        work: impl FnOnce() -> Result<T, OpsError>,
    ) -> Result<T, OpsError> {
        if self.source.is_none() {
            return work();
        }
        self.step(|around| {
            work().map_err(|error| {
                // Nothing was touched yet.
                if around.open_again() {
                    around.closed = None;
                }
                Failed::of(error)
            })
        })
    }

    /// Opens a target again that was closed. Tells whether it is open.
    fn open_again(&self) -> bool {
        // Whoever stopped us wants the application to be let in again all the same.
        let cancel = CancelToken::new();
        let run = Run {
            cancel: &cancel,
            ..self.ctx.run()
        };
        self.closed.is_none() || self.target.end_maintenance(run).is_ok()
    }

    /// Closes the target, where that is asked for.
    pub(super) fn close(&mut self) -> Result<(), OpsError> {
        if !self.closes() {
            return Ok(());
        }
        self.step(|around| {
            let run = around.ctx.run();
            let doing = format!("closing {}", around.place);
            let closed = around.target.begin_maintenance(run);
            let closed =
                closed.map_err(|error| Failed::of(OpsError::target(doing, None)(error)))?;
            around.notes.extend(closed.notes.iter().cloned());
            around.closed = Some(closed);
            Ok(())
        })
    }

    /// The restore succeeded.
    pub(super) fn restored(&mut self, seconds: f64) {
        if self.next() == Some("restore") {
            self.end_step("done", seconds);
        }
    }

    /// The restore failed. A target that is as it was is opened again; else it stays closed. Says in words
    /// what was done and what was not.
    pub(super) fn gave_up(&mut self, error: &EngineError, seconds: f64) -> String {
        if self.source.is_none() {
            return String::new();
        }
        self.end_step("failed", seconds);
        let touched = matches!(error, EngineError::TargetTouched { .. });
        let mut words = String::new();
        if let Some(reopen) = self.closed.as_ref().map(|closed| closed.reopen.clone()) {
            words = format!("; it stays closed until `{reopen}`");
            if !touched && self.open_again() {
                self.closed = None;
                "; it is open again".clone_into(&mut words);
            }
        }
        let (done, not_done) = self.parted();
        let listed = |names: &[String]| names.join(", ");
        if !done.is_empty() {
            words.push_str(&format!("; done before: {}", listed(&done)));
        }
        if !not_done.is_empty() {
            words.push_str(&format!("; not done: {}", listed(&not_done)));
        }
        words
    }

    /// Everything after the restore.
    pub(super) fn after(&mut self) -> Result<(), OpsError> {
        let Some(source) = self.source else {
            return Ok(());
        };
        let spec = &source.restore;
        for script in &spec.provision {
            let path = source.folder.join(script);
            self.step(|around| {
                let text = std::fs::read_to_string(&path).map_err(|source| {
                    Failed::of(OpsError::Io {
                        operation: "reading",
                        path: path.clone(),
                        source,
                    })
                })?;
                let ran = around
                    .target
                    .execute(&text, spec.step_timeout, around.ctx.run());
                ran.map_err(|error| Failed {
                    why: "it failed".to_owned(),
                    said: described(&error),
                    data: true,
                    source: None,
                })
            })?;
        }
        if let Some(line) = &spec.migrate {
            self.step(|around| {
                let ran = around.shell(line, source);
                ran.map_err(|failed| Failed {
                    data: true,
                    ..failed
                })
            })?;
        }
        if spec.checks && !source.checks.is_empty() {
            self.step(|around| around.check(source))?;
        }
        self.open()?;
        self.whole = true;
        spec.after.iter().try_for_each(|line| self.command(line))
    }

    fn open(&mut self) -> Result<(), OpsError> {
        if self.next() != Some("end of maintenance") {
            return Ok(());
        }
        self.step(|around| {
            let run = around.ctx.run();
            let doing = format!("opening {} again", around.place);
            let opened = around.target.end_maintenance(run);
            opened.map_err(|error| Failed::of(OpsError::target(doing, None)(error)))?;
            around.closed = None;
            Ok(())
        })
    }

    fn check(&mut self, source: &SourceSpec) -> Result<(), Failed> {
        let results = check::run_all(&check::Restored {
            ctx: self.ctx,
            target: self.target,
            spec: source,
            log: &NoLog,
        });
        self.ctx
            .cancel
            .check()
            .map_err(|error| Failed::of(error.into()))?;
        if Verdict::of(&results) == Verdict::Passed {
            return Ok(());
        }
        let bad = results
            .iter()
            .filter(|result| matches!(result.outcome, CheckOutcome::Failed | CheckOutcome::Error));
        let (names, words): (Vec<_>, Vec<_>) = bad
            .map(|bad| {
                let words = format!(
                    "{}: {} was expected, {} found; {}",
                    bad.name, bad.expected, bad.actual, bad.detail
                );
                (bad.name.clone(), words)
            })
            .unzip();
        Err(Failed {
            why: format!("{} did not pass", names.join(", ")),
            said: words.join("\n"),
            data: true,
            source: None,
        })
    }

    fn command(&mut self, line: &str) -> Result<(), OpsError> {
        let Some(source) = self.source else {
            return Ok(());
        };
        self.step(|around| around.shell(line, source))
    }

    fn shell(&self, line: &str, source: &SourceSpec) -> Result<(), Failed> {
        // A service or host of ours would win over the target's.
        let command = Command::shell(line, &source.folder)
            .without_variables(self.target.foreign_variables())
            .with_variables(self.target.environment());
        let timeout = source.restore.step_timeout;
        match process::run(&command, timeout, &self.ctx.cancel, &NoLog) {
            Ok(ended) if ended.status.success() => Ok(()),
            Ok(ended) => Err(Failed {
                why: ended.describe(),
                said: ended.output.said().to_owned(),
                data: false,
                source: None,
            }),
            Err(process::ProcessError::Cancelled(cancelled)) => Err(Failed::of(cancelled.into())),
            Err(error) => Err(Failed {
                why: described(&error),
                said: String::new(),
                data: false,
                source: None,
            }),
        }
    }

    /// The step that comes next.
    fn next(&self) -> Option<&str> {
        self.steps.get(self.at).map(|step| step.name.as_str())
    }

    fn step<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, Failed>,
    ) -> Result<T, OpsError> {
        let name = self.next().unwrap_or_default().to_owned();
        self.ctx.progress.phase(&name);
        let begun = Instant::now();
        match work(self) {
            Ok(answer) => {
                self.end_step("done", begun.elapsed().as_secs_f64());
                Ok(answer)
            }
            Err(failed) => {
                self.end_step("failed", begun.elapsed().as_secs_f64());
                let (done, not_done) = self.parted();
                Err(OpsError::Stopped(Box::new(Stopped {
                    place: self.place.clone(),
                    step: name,
                    why: failed.why,
                    said: failed.said,
                    done,
                    not_done,
                    reopen: self.closed.as_ref().map(|closed| closed.reopen.clone()),
                    data: failed.data,
                    source: failed.source.map(|source| *source),
                })))
            }
        }
    }

    fn end_step(&mut self, outcome: &'static str, seconds: f64) {
        if let Some(step) = self.steps.get_mut(self.at) {
            step.outcome = outcome;
            step.seconds = seconds;
        }
        self.at += 1;
    }

    /// The names of what was done, and of what was not.
    fn parted(&self) -> (Vec<String>, Vec<String>) {
        let of = |outcome: &str| {
            let steps = self.steps.iter();
            let named = steps.filter(|step| step.outcome == outcome);
            named.map(|step| step.name.clone()).collect()
        };
        (of("done"), of("not done"))
    }
}
