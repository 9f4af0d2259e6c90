//! `drill`: a backup is restored into a sandbox, provisioned, migrated, checked and timed; the
//! sandbox is destroyed, and a signed receipt says how it went.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use resguardo_model::receipt::Verb;
use resguardo_model::{
    BackupId, CheckOutcome, CheckResult, EngineKind, Objectives, RunId, Sha256Digest, SourceName,
    Verdict,
};
use resguardo_vault::VaultError;
use serde::{Deserialize, Serialize};

use crate::catalog::RunState;
use crate::context::Context;
use crate::error::{ErrorKind, OpsError};
use crate::origin::{self, Origin, Selected};
use crate::phase::{PhaseTime, Phases};
use crate::receipt::{self, Record, Test, value};
use crate::recover;
use crate::run::{self, OpenRun};
use crate::sandbox::Sandbox;
use crate::source::SourceSpec;

mod kept;
mod objective;
mod server;
mod steps;

use kept::details_of;
pub(crate) use kept::from_receipt;
pub(crate) use objective::length;
use steps::{Rehearsal, Stage};

/// What is asked of a drill.
#[derive(Clone, Debug)]
pub struct DrillRequest<'a> {
    /// What is drilled.
    pub origin: Origin,
    /// Every source that is configured. A backup whose source is not among them is drilled with the
    /// built-in checks alone.
    pub sources: &'a [SourceSpec],
    /// Keep the sandbox, however it ends.
    pub keep: bool,
}

/// A drill that ran to its end, whatever its verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DrillDone {
    /// The run.
    pub run: RunId,
    /// How it ended.
    pub verdict: Verdict,
    /// The source whose data was drilled, where that is known.
    pub source: Option<SourceName>,
    /// The environment of the source, where it is configured.
    pub environment: Option<String>,
    /// The engine.
    pub engine: EngineKind,
    /// The backup, if it came from the vault.
    pub backup: Option<BackupId>,
    /// Digest of the backup's head, if it came from the vault.
    pub head_sha256: Option<Sha256Digest>,
    /// The file, if it came from one.
    pub file: Option<PathBuf>,
    /// The instant whose data was drilled, where that is known.
    pub taken_at: Option<Timestamp>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// From the start of the restore to the end of the checks, in seconds; `None` if it did not get
    /// that far.
    pub rto_seconds: Option<f64>,
    /// Age of the backup when the drill began, in seconds; `None` where `taken_at` is not known.
    pub rpo_seconds: Option<f64>,
    /// What both are measured against.
    pub objectives: Objectives,
    /// The phases in the order in which they ran.
    pub phases: Vec<PhaseTime>,
    /// The checks in the order in which they ran.
    pub checks: Vec<CheckResult>,
    /// Where the sandbox was kept, if it was.
    pub kept_at: Option<PathBuf>,
    /// Key of the receipt in the vault; `None` without a write key or a source.
    pub receipt: Option<String>,
    /// The machine.
    pub host: String,
    /// The user.
    pub operator: String,
    /// Names and versions of what took part.
    pub tools: BTreeMap<String, String>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Runs a drill. That a backup cannot be read, restored or checked is not an error of the drill but
/// its result.
///
/// # Errors
/// If there is no such backup, file or source, or no identity for a backup: nothing was begun, and no
/// receipt speaks of it. If the drill was interrupted, the sandbox is gone too, and a receipt says so.
pub fn drill(ctx: &Context, request: &DrillRequest<'_>) -> Result<DrillDone, OpsError> {
    recover::sweep(ctx)?;
    can_be_read(ctx, &request.origin)?;
    let mut run = OpenRun::begin(ctx, Verb::Drill, None)?;
    let mut phases = Phases::new(&*ctx.progress);
    phases.begin("select");
    let selected = match origin::select(ctx, &request.origin, request.sources) {
        Ok(selected) => selected,
        Err(error) => {
            run.end_with(&error);
            return Err(error);
        }
    };
    let backup = selected.head().map(|stored| stored.head.backup);
    run.is_about(selected.source(), backup);
    selected.tell_findings(ctx);
    let server = match server::of(&selected) {
        Ok(server) => server,
        Err(error) => {
            run.end_with(&error);
            return Err(error);
        }
    };
    let mut rehearsal = Rehearsal::new(ctx, &selected, run.started_at());
    let sandbox = match Sandbox::create(&ctx.state, &ctx.annexes, run.id()) {
        Ok(sandbox) => {
            let sandbox = sandbox.on_server(server);
            let stage = rehearsal.run(&sandbox, &mut phases);
            Some((sandbox, stage))
        }
        Err(error) => {
            let why = run::described(&error);
            rehearsal
                .checks
                .push(CheckResult::error("sandbox", "a private folder", why));
            None
        }
    };
    if let Err(cancelled) = ctx.cancel.check() {
        let error = OpsError::from(cancelled);
        phases.begin("destroy");
        // Asked to stop, we stop; whoever asked to keep the sandbox gets what there is of it.
        if let Some((sandbox, stage)) = sandbox {
            let _ = put_away(sandbox, stage, request.keep, &mut rehearsal.notes);
        }
        phases.end();
        interrupted(ctx, &selected, run, &rehearsal, &phases, &error);
        return Err(error);
    }
    rehearsal.measure();
    let before = Verdict::of(&rehearsal.checks);
    let keep_failed = selected.spec.is_some_and(|spec| spec.drill.keep_failed);
    let keep = request.keep || keep_failed && before != Verdict::Passed;
    let mut kept_at = None;
    phases.begin("destroy");
    if let Some((sandbox, stage)) = sandbox {
        match put_away(sandbox, stage, keep, &mut rehearsal.notes) {
            Ok(folder) => kept_at = folder,
            Err(why) => {
                let expected = "nothing of the sandbox is left";
                rehearsal
                    .checks
                    .push(CheckResult::error("destroy", expected, why));
            }
        }
    }
    phases.end();
    Ok(conclude(ctx, &selected, run, rehearsal, &phases, kept_at))
}

/// Where there is no identity, nothing can be said of a backup: a receipt about that would only make a
/// good one look bad to everybody else.
fn can_be_read(ctx: &Context, origin: &Origin) -> Result<(), OpsError> {
    let Origin::Backup(reference) = origin else {
        return Ok(());
    };
    if ctx.vault()?.can_read() {
        return Ok(());
    }
    let stored = crate::refer::resolve(ctx, reference)?;
    let doing = format!("drilling {}", crate::reader::describe(&stored, &ctx.zone));
    Err(OpsError::vault(doing)(VaultError::NoIdentity {
        object: stored.key.replace(".head.json", ".manifest.age"),
    }))
}

/// Lets go of the target and destroys the sandbox, or keeps it.
fn put_away(
    sandbox: Sandbox,
    stage: Option<Stage>,
    keep: bool,
    notes: &mut Vec<String>,
) -> Result<Option<PathBuf>, String> {
    let closed = stage.map_or(Ok(()), |stage| {
        let mut target = stage.target;
        let kept = if keep { target.keep() } else { Ok(None) };
        let closed = target.close();
        notes.extend(kept?);
        closed
    });
    let gone = if keep {
        sandbox.keep().map(Some)
    } else {
        sandbox.destroy().map(|()| None)
    };
    closed.map_err(|error| run::described(&error))?;
    gone.map_err(|error| run::described(&error))
}

fn conclude(
    ctx: &Context,
    selected: &Selected<'_>,
    mut run: OpenRun<'_>,
    rehearsal: Rehearsal<'_>,
    phases: &Phases<'_>,
    kept_at: Option<PathBuf>,
) -> DrillDone {
    let mut done = DrillDone {
        run: run.id(),
        verdict: Verdict::of(&rehearsal.checks),
        source: selected.source().cloned(),
        environment: selected.spec.map(|spec| spec.environment.clone()),
        engine: selected.kind(),
        backup: selected.head().map(|stored| stored.head.backup),
        head_sha256: selected.head().map(|stored| stored.sha256),
        file: match &selected.from {
            origin::From::Head(_) => None,
            origin::From::File(path) => Some(path.clone()),
        },
        taken_at: rehearsal.taken_at,
        started_at: run.started_at(),
        finished_at: ctx.clock.now(),
        rto_seconds: rehearsal.rto_seconds,
        rpo_seconds: rehearsal.rpo_seconds,
        objectives: rehearsal.objectives,
        phases: phases.times().to_vec(),
        checks: rehearsal.checks,
        kept_at,
        receipt: None,
        host: ctx.host.clone(),
        operator: ctx.operator.clone(),
        tools: rehearsal.tools,
        notes: rehearsal.notes,
    };
    done.tools
        .insert("resguardo".to_owned(), ctx.version.clone());
    done.receipt = match &done.source {
        Some(source) => {
            let record = Record {
                run: &run,
                source,
                outcome: verdict_name(done.verdict),
                subject: rehearsal.subject,
                tools: done.tools.clone(),
                details: details_of(&done, &rehearsal.of_others, selected.spec),
                test: Some(Test::of(
                    &done,
                    selected.spec.and_then(|spec| spec.config_sha256),
                )),
            };
            let mut notes = Vec::new();
            let key = receipt::store_or_note(ctx, record, &mut notes);
            done.notes.extend(notes);
            key
        }
        None => {
            let why = "no receipt was made: the file belongs to no source";
            done.notes.push(why.to_owned());
            None
        }
    };
    run.has_receipt(done.receipt.as_deref());
    let state = if done.verdict == Verdict::Passed {
        RunState::Succeeded
    } else {
        RunState::Failed
    };
    run.end(state, ended_as(done.verdict, &done.checks));
    done
}

/// The message of the run: the verdict, and the checks that are the reason for it.
fn ended_as(verdict: Verdict, checks: &[CheckResult]) -> String {
    let is_bad =
        |check: &&CheckResult| matches!(check.outcome, CheckOutcome::Failed | CheckOutcome::Error);
    let names: Vec<&str> = checks
        .iter()
        .filter(is_bad)
        .map(|check| check.name.as_str())
        .collect();
    let verdict = verdict_name(verdict);
    if names.is_empty() {
        return verdict.to_owned();
    }
    format!("{verdict}: {}", names.join(", "))
}

/// A drill that was stopped says so, so that it leaves no hole in the history.
fn interrupted(
    ctx: &Context,
    selected: &Selected<'_>,
    mut run: OpenRun<'_>,
    rehearsal: &Rehearsal<'_>,
    phases: &Phases<'_>,
    error: &OpsError,
) {
    debug_assert_eq!(error.kind(), ErrorKind::Interrupted);
    if let Some(source) = selected.source() {
        let record = Record {
            run: &run,
            source,
            outcome: RunState::Interrupted.as_str(),
            subject: rehearsal.subject.clone(),
            tools: rehearsal.tools.clone(),
            details: BTreeMap::from([("phases".to_owned(), value(phases.times()))]),
            test: None,
        };
        // There is nothing else to be told than that it was interrupted.
        let key = receipt::store(ctx, record).ok().flatten();
        run.has_receipt(key.as_deref());
    }
    run.end_with(error);
}

/// The word of a verdict.
#[must_use]
pub fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Failed => "failed",
        Verdict::Error => "error",
    }
}
