//! The steps of a drill between choosing a backup and destroying the sandbox. Whatever goes wrong in
//! one becomes a check's result, and the steps that needed it are said not to have run.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Instant;

use jiff::Timestamp;
use resguardo_engine::port::{Allowed, BackupReader, RestoreOptions, Target};
use resguardo_model::receipt::Subject;
use resguardo_model::{CheckOutcome, CheckResult, Objectives, counted};

use super::objective;
use crate::check::{self, Restored};
use crate::context::Context;
use crate::error::{ErrorKind, OpsError};
use crate::origin::Selected;
use crate::phase::Phases;
use crate::receipt;
use crate::run::described;
use crate::sandbox::Sandbox;
use crate::source::SourceSpec;
use resguardo_engine::process;

/// What is restored and still open.
pub(super) struct Stage {
    pub(super) target: Box<dyn Target>,
}

/// A drill as it goes.
pub(super) struct Rehearsal<'a> {
    ctx: &'a Context,
    selected: &'a Selected<'a>,
    started_at: Timestamp,
    pub(super) objectives: Objectives,
    pub(super) taken_at: Option<Timestamp>,
    pub(super) checks: Vec<CheckResult>,
    /// Those of `checks` whose details are words of the user's scripts, commands and applications.
    pub(super) of_others: Range<usize>,
    pub(super) subject: Vec<Subject>,
    pub(super) tools: BTreeMap<String, String>,
    pub(super) notes: Vec<String>,
    pub(super) rto_seconds: Option<f64>,
    pub(super) rpo_seconds: Option<f64>,
}

impl<'a> Rehearsal<'a> {
    pub(super) fn new(ctx: &'a Context, selected: &'a Selected<'a>, started_at: Timestamp) -> Self {
        let spec = selected.spec;
        Self {
            ctx,
            selected,
            started_at,
            objectives: spec.map(|spec| spec.objectives).unwrap_or_default(),
            taken_at: selected.taken_at(),
            checks: Vec::new(),
            of_others: 0..0,
            subject: selected
                .head()
                .map(receipt::subjects_of)
                .unwrap_or_default(),
            tools: BTreeMap::new(),
            notes: Vec::new(),
            rto_seconds: None,
            rpo_seconds: None,
        }
    }

    /// Restores, provisions, migrates and checks. Stops early when it is cancelled; the caller asks.
    pub(super) fn run(&mut self, sandbox: &Sandbox, phases: &mut Phases<'_>) -> Option<Stage> {
        let begun = Instant::now();
        let stage = self.restore_and_compare(sandbox, phases);
        let own = self.selected.spec.map_or(&[][..], |spec| &spec.checks);
        let Some(stage) = stage else {
            self.checks
                .extend(check::skip_all(own, "nothing was restored"));
            return None;
        };
        if self.ctx.cancel.is_cancelled() {
            return Some(stage);
        }
        if let Some(spec) = self.selected.spec {
            let restored = Restored {
                ctx: self.ctx,
                target: &*stage.target,
                spec,
                log: sandbox,
            };
            let first = self.checks.len();
            let prepared = self
                .provision(&restored, phases)
                .and_then(|()| self.migrate(&restored, phases));
            phases.begin("checks");
            let failed = prepared.is_err();
            self.checks.extend(match prepared {
                Ok(()) => check::run_all(&restored),
                Err(why) => check::skip_all(own, &why),
            });
            self.of_others = first..self.checks.len();
            if failed {
                return Some(stage);
            }
        }
        phases.end();
        self.rto_seconds = Some(begun.elapsed().as_secs_f64());
        Some(stage)
    }

    /// Measures both objectives; each is a check by itself where it is set.
    pub(super) fn measure(&mut self) {
        #[expect(
            clippy::cast_precision_loss,
            reason = "milliseconds of any age fit a float"
        )]
        let age = |taken_at: Timestamp| {
            self.started_at.duration_since(taken_at).as_millis() as f64 / 1000.0
        };
        self.rpo_seconds = self.taken_at.map(age);
        if let Some(rpo) = self.objectives.rpo {
            self.checks.push(objective::rpo(rpo, self.rpo_seconds));
        }
        if let Some(rto) = self.objectives.rto {
            self.checks.push(objective::rto(rto, self.rto_seconds));
        }
    }

    fn restore_and_compare(&mut self, sandbox: &Sandbox, phases: &mut Phases<'_>) -> Option<Stage> {
        phases.begin("restore");
        let expected = format!("{} comes back", self.selected.describe());
        let begun = Instant::now();
        let mut result = match self.restore(sandbox) {
            Ok((reader, target, restored)) => {
                let mut result =
                    CheckResult::new("restore", CheckOutcome::Passed, expected, restored);
                result.milliseconds = milliseconds(begun);
                self.checks.push(result);
                phases.begin("compare");
                // The content as it came back, before provisioning and migrations change it.
                let spec = self.selected.spec;
                let allowed = spec.map_or_else(Allowed::default, |spec| spec.drill.allowed);
                self.checks
                    .extend(target.check(&*reader, allowed, self.ctx.run()));
                if self.selected.spec.is_some_and(|spec| spec.drill.amcheck) {
                    self.checks.extend(target.check_deeply(self.ctx.run()));
                }
                return Some(Stage { target });
            }
            // What is stored is not what was backed up: that is a failed check. Anything else is an
            // error: nothing is known of the backup.
            Err(error) if error.kind() == ErrorKind::Findings => {
                let mut result =
                    CheckResult::new("restore", CheckOutcome::Failed, expected, "damaged data");
                result.detail = described(&error);
                result
            }
            Err(error) => CheckResult::error("restore", expected, described(&error)),
        };
        result.milliseconds = milliseconds(begun);
        self.checks.push(result);
        None
    }

    #[expect(
        clippy::type_complexity,
        reason = "three things that come about together"
    )]
    fn restore(
        &mut self,
        sandbox: &Sandbox,
    ) -> Result<(Box<dyn BackupReader>, Box<dyn Target>, String), OpsError> {
        let doing = || format!("restoring {}", self.selected.describe());
        let reader = self.selected.open(self.ctx)?;
        self.taken_at = self.taken_at.or(reader.taken_at());
        let engine = &self.selected.engine;
        let target = engine
            .open_sandbox(sandbox, reader.facts(), self.ctx.run())
            .map_err(OpsError::engine(doing()))?;
        let options = RestoreOptions::default();
        let restored = target
            .restore(&*reader, &options, self.ctx.run())
            .map_err(OpsError::engine(doing()))?;
        if let Some(facts) = reader.facts() {
            let version = facts.server_version.clone();
            self.tools.insert(facts.engine.to_string(), version);
        }
        if self.subject.is_empty() {
            // A file has no head to be named by: its contents are.
            let files = reader.files().into_iter();
            let named = files.map(|file| Subject::new(file.path.as_str(), file.sha256));
            self.subject = named.collect();
        }
        self.notes.extend(restored.notes);
        let tables = counted(restored.tables, "table");
        let words = format!("{tables}, {}", counted(restored.bytes, "byte"));
        Ok((reader, target, words))
    }

    /// Runs the provisioning scripts; the error says why nothing after them is run.
    fn provision(
        &mut self,
        restored: &Restored<'_>,
        phases: &mut Phases<'_>,
    ) -> Result<(), String> {
        let spec = restored.spec;
        if spec.drill.provision.is_empty() {
            return Ok(());
        }
        phases.begin("provision");
        for script in &spec.drill.provision {
            self.ctx.cancel.check().map_err(|error| error.to_string())?;
            let name = format!("provision {}", script.display());
            self.ctx.progress.note(&name);
            let path = spec.folder.join(script);
            let result = check::timed(|| match std::fs::read_to_string(&path) {
                Ok(text) => self.execute(restored, &name, &text),
                Err(error) => {
                    let why = format!("reading {}: {error}", path.display());
                    CheckResult::error(&name, "no error", why)
                }
            });
            let passed = result.outcome == CheckOutcome::Passed;
            check::tell(self.ctx, "", &result);
            self.checks.push(result);
            if !passed {
                return Err(format!("not run, because {name} did not pass"));
            }
        }
        Ok(())
    }

    fn execute(&self, restored: &Restored<'_>, name: &str, script: &str) -> CheckResult {
        let timeout = restored.spec.drill.step_timeout;
        match restored.target.execute(script, timeout, self.ctx.run()) {
            Ok(()) => CheckResult::new(name, CheckOutcome::Passed, "no error", "no error"),
            Err(error @ resguardo_engine::port::EngineError::Sql { .. }) => {
                let mut result =
                    CheckResult::new(name, CheckOutcome::Failed, "no error", "an error");
                result.detail = described(&error);
                result
            }
            Err(error) => CheckResult::error(name, "no error", described(&error)),
        }
    }

    /// Migrates; the error says why nothing after it is run.
    fn migrate(&mut self, restored: &Restored<'_>, phases: &mut Phases<'_>) -> Result<(), String> {
        let spec: &SourceSpec = restored.spec;
        let Some(line) = &spec.drill.migrate else {
            return Ok(());
        };
        phases.begin("migrate");
        self.ctx.progress.note("migrate");
        let command = restored.command(line);
        let expected = "exit code 0";
        let result = check::timed(|| {
            let timeout = spec.drill.step_timeout;
            match process::run(&command, timeout, &self.ctx.cancel, restored.log) {
                Ok(ended) => {
                    let mut result = CheckResult::compare("migrate", expected, ended.describe());
                    result.detail = ended.output.said().to_owned();
                    result
                }
                Err(error) => CheckResult::error("migrate", expected, check::explained(&error)),
            }
        });
        let passed = result.outcome == CheckOutcome::Passed;
        check::tell(self.ctx, "", &result);
        self.checks.push(result);
        if passed {
            Ok(())
        } else {
            Err("not run, because the migration did not pass".to_owned())
        }
    }
}

fn milliseconds(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}
