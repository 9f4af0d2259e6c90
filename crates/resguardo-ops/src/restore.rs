//! `restore`: a backup or a file into a target, without ever losing what is there by accident.

use std::time::Instant;

use jiff::Timestamp;
use resguardo_engine::port::{
    BackupReader, EngineError, Location, RestoreOptions, Restored, Target, TargetState,
};
use resguardo_model::receipt::{Subject, Verb};
use resguardo_model::{BackupId, EngineKind, Reason, RunId, SourceName};

use crate::backup::{self, BackupDone, BackupRequest};
use crate::catalog::RunState;
use crate::context::Context;
use crate::error::OpsError;
use crate::origin::{self, Origin, Selected};
use crate::receipt::value;
use crate::recover;
use crate::run::{self, OpenRun};
use crate::source::SourceSpec;

mod around;
pub mod beside;
mod outcome;

use around::Around;
pub use around::{Hooks, StepDone};
pub(crate) use outcome::CHANGES;
use outcome::Outcome;

/// What is asked of a restore.
#[derive(Clone, Debug)]
pub struct RestoreRequest<'a> {
    /// What is restored.
    pub origin: Origin,
    /// Every source that is configured: a target that is one of them is treated as such.
    pub sources: &'a [SourceSpec],
    /// Where it is restored to.
    pub to: Location,
    /// The kind of source that `to` names; it has to be the backup's.
    pub engine: EngineKind,
    /// How it is to be done. What makes it durable, and the limits of waiting, are set here.
    pub options: RestoreOptions,
    /// The target's name, as it was typed; without it nothing is replaced.
    pub confirmation: Option<String>,
    /// Take a backup of what is there first (reason `safety`).
    pub safety_backup: bool,
    /// Whether what the source has to be done around a restore is done.
    pub hooks: Hooks,
}

/// What lies at a target, to be shown before its name is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The target, without secrets.
    pub place: String,
    /// What is in it.
    pub state: TargetState,
    /// The configured source that it is, if it is one.
    pub is_source: Option<SourceName>,
}

/// A restore that was done.
#[derive(Clone, Debug, PartialEq)]
pub struct RestoreDone {
    /// The run.
    pub run: RunId,
    /// The backup or file, in words.
    pub origin: String,
    /// The backup, if it came from the vault.
    pub backup: Option<BackupId>,
    /// The source whose data it is, where that is known.
    pub source: Option<SourceName>,
    /// The instant whose data was restored, where that is known.
    pub taken_at: Option<Timestamp>,
    /// The target, without secrets.
    pub target: String,
    /// Tables restored.
    pub tables: u64,
    /// Bytes written.
    pub bytes: u64,
    /// How long it took, the safety backup included, in seconds.
    pub seconds: f64,
    /// The safety backup of what was there.
    pub safety_backup: Option<BackupDone>,
    /// What was done around it, and the restore among it; empty where nothing is configured.
    pub steps: Vec<StepDone>,
    /// Key of the receipt in the vault; `None` without a write key or a source.
    pub receipt: Option<String>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// What lies at a target, to be shown before its name is asked for.
///
/// # Errors
/// If that cannot be found out.
pub fn inspect(
    ctx: &Context,
    engine: EngineKind,
    to: &Location,
    sources: &[SourceSpec],
) -> Result<Inspection, OpsError> {
    let engine = ctx.engines.get(engine)?;
    let target = engine
        .open_target(to)
        .map_err(OpsError::target(format!("opening {to}"), None))?;
    look_at(&*target, engine.kind(), sources)
}

/// The engine that will restore an origin.
///
/// # Errors
/// If there is no such backup, file, source or engine.
pub fn engine_of(
    ctx: &Context,
    origin: &Origin,
    sources: &[SourceSpec],
) -> Result<EngineKind, OpsError> {
    Ok(origin::select(ctx, origin, sources)?.kind())
}

/// Restores. What is at the target is neither replaced without its name having been typed, nor without
/// a safety backup of it, unless that was given up; and it is not touched before the digests of what
/// comes in its place were checked.
///
/// # Errors
/// [`OpsError::Refused`], [`OpsError::SafetyBackup`]: nothing was touched. [`OpsError::Restore`] says
/// what state the target is in.
pub fn restore(ctx: &Context, request: &RestoreRequest<'_>) -> Result<RestoreDone, OpsError> {
    recover::sweep(ctx)?;
    let mut run = OpenRun::begin(ctx, Verb::Restore, None)?;
    match attempt(ctx, request, &mut run) {
        Ok(done) => {
            run.has_receipt(done.receipt.as_deref());
            run.end(RunState::Succeeded, &done.target);
            Ok(done)
        }
        Err(error) => {
            run.end_with(&error);
            Err(error)
        }
    }
}

fn attempt(
    ctx: &Context,
    request: &RestoreRequest<'_>,
    run: &mut OpenRun<'_>,
) -> Result<RestoreDone, OpsError> {
    ctx.progress.phase("select");
    let selected = origin::select(ctx, &request.origin, request.sources)?;
    let backup = selected.head().map(|stored| stored.head.backup);
    run.is_about(selected.source(), backup);
    selected.tell_findings(ctx);
    let to = &request.to;
    if selected.kind() != request.engine {
        return Err(OpsError::OtherEngine {
            backup: selected.describe(),
            engine: selected.kind(),
            place: to.to_string(),
            to: request.engine,
        });
    }
    let reader = selected.open(ctx)?;
    let target = selected
        .engine
        .open_target(to)
        .map_err(OpsError::target(format!("opening {to}"), None))?;
    let found = look_at(&*target, selected.kind(), request.sources)?;
    if let TargetState::Occupied { name, contents } = &found.state {
        allow(request, &found, name, contents)?;
    }
    let mut around = Around::new(ctx, request, &selected, &found, &*target);
    let mut outcome = Outcome {
        selected: &selected,
        taken_at: selected.taken_at().or(reader.taken_at()),
        found: &found,
        request,
        safety_backup: None,
        steps: Vec::new(),
        touched: false,
    };
    let ended = carry_out(ctx, run, &*target, &*reader, &mut around, &mut outcome);
    // Whatever is left half done is not to be taken for a source's data by a later backup.
    let whole = ended.is_err() && !around.is_closed() && (!outcome.touched || around.is_whole());
    run.changes(found.is_source.as_ref().filter(|_| !whole));
    let (begun, steps) = (around.has_begun(), around.steps().to_vec());
    let notes = std::mem::take(&mut around.notes);
    outcome.steps = steps;
    match ended {
        Ok(mut restored) => {
            restored.notes.extend(notes);
            if let Err(error) = target.close() {
                restored.notes.push(run::described(&error));
            }
            let subject = outcome.subject(Some(&*reader));
            Ok(succeeded(ctx, run, outcome, subject, restored))
        }
        // Nothing was done: there is nothing that a receipt could prove.
        Err(error) if !begun && !matches!(error, OpsError::Restore { .. }) => Err(error),
        Err(error) => {
            let details = outcome.details(&[("error", value(run::described(&error)))]);
            let word = run::state_of(&error).as_str();
            let subject = outcome.subject(None);
            // The error that brought us here is the one to be told.
            let key = outcome.receipt(ctx, run, word, subject, details, &mut Vec::new());
            run.has_receipt(key.as_deref());
            Err(error)
        }
    }
}

/// Everything that changes something, in its order.
fn carry_out(
    ctx: &Context,
    run: &mut OpenRun<'_>,
    target: &dyn Target,
    reader: &dyn BackupReader,
    around: &mut Around<'_>,
    outcome: &mut Outcome<'_>,
) -> Result<Restored, OpsError> {
    let (request, selected, found) = (outcome.request, outcome.selected, outcome.found);
    let occupied = matches!(found.state, TargetState::Occupied { .. });
    around.before()?;
    ctx.cancel.check()?;
    if around.closes() {
        run.changes(found.is_source.as_ref());
    }
    around.close()?;
    if occupied && request.safety_backup {
        let taken = around.during(|| keep_safe(ctx, request, selected, found))?;
        outcome.safety_backup = Some(taken);
    }
    ctx.progress.phase("restore");
    let limits = limits(selected, found, request);
    let options = RestoreOptions {
        durable: true,
        lock_timeout: limits.map(|spec| spec.lock_timeout),
        silence_timeout: limits.map(|spec| spec.silence_timeout),
        jobs: request.options.jobs.or(limits.and_then(|spec| spec.jobs)),
        ..request.options.clone()
    };
    // SQLite's files are replaced at a stroke: whoever is killed leaves one or the other.
    if request.engine != EngineKind::Sqlite || !around.steps().is_empty() {
        run.changes(found.is_source.as_ref());
    }
    let begun = Instant::now();
    let restored = target.restore(reader, &options, ctx.run());
    outcome.touched = matches!(&restored, Ok(_) | Err(EngineError::TargetTouched { .. }));
    let restored = restored.map_err(|error| {
        let words = around.gave_up(&error, begun.elapsed().as_secs_f64());
        outcome.failed(error, &words)
    })?;
    around.restored(begun.elapsed().as_secs_f64());
    around.after()?;
    Ok(restored)
}

fn succeeded(
    ctx: &Context,
    run: &OpenRun<'_>,
    outcome: Outcome<'_>,
    subject: Vec<Subject>,
    restored: Restored,
) -> RestoreDone {
    let selected = outcome.selected;
    let details = outcome.details(&[
        ("tables", value(restored.tables)),
        ("bytes", value(restored.bytes)),
        ("seconds", value(run.seconds())),
    ]);
    let mut notes = restored.notes;
    let receipt = outcome.receipt(ctx, run, "succeeded", subject, details, &mut notes);
    RestoreDone {
        run: run.id(),
        origin: selected.describe(),
        backup: selected.head().map(|stored| stored.head.backup),
        source: selected.source().cloned(),
        taken_at: outcome.taken_at,
        target: outcome.found.place.clone(),
        tables: restored.tables,
        bytes: restored.bytes,
        seconds: run.seconds(),
        safety_backup: outcome.safety_backup,
        steps: outcome.steps,
        receipt,
        notes,
    }
}

fn look_at(
    target: &dyn Target,
    kind: EngineKind,
    sources: &[SourceSpec],
) -> Result<Inspection, OpsError> {
    let place = target.describe();
    let state = target
        .state()
        .map_err(OpsError::target(format!("looking at {place}"), None))?;
    let is_source = sources
        .iter()
        .find(|spec| spec.engine == kind && target.is_same_as(&spec.location))
        .map(|spec| spec.name.clone());
    Ok(Inspection {
        place,
        state,
        is_source,
    })
}

/// The configured source whose limits hold: the one that the target is, else the one whose data comes.
fn limits<'a>(
    selected: &Selected<'a>,
    found: &Inspection,
    request: &RestoreRequest<'a>,
) -> Option<&'a SourceSpec> {
    let target = request
        .sources
        .iter()
        .find(|spec| Some(&spec.name) == found.is_source.as_ref());
    target.or(selected.spec)
}

/// Whether what is there may be replaced: only if that was asked for, and its name was typed.
fn allow(
    request: &RestoreRequest<'_>,
    found: &Inspection,
    name: &str,
    contents: &str,
) -> Result<(), OpsError> {
    let whose = match &found.is_source {
        Some(source) => format!("is the source {source} itself and "),
        None => String::new(),
    };
    let refused = |what: String| {
        Err(OpsError::Refused {
            place: found.place.clone(),
            why: format!("{whose}is not empty ({contents}); {what}"),
            next: format!("to replace it, add --clean --yes-overwrite {name}"),
        })
    };
    match &request.confirmation {
        _ if !request.options.clean => refused("nothing was touched".to_owned()),
        None => refused("its name was not confirmed, and nothing was touched".to_owned()),
        Some(typed) if typed != name => refused(format!(
            "{typed:?} is not its name, and nothing was touched"
        )),
        Some(_) => Ok(()),
    }
}

/// Takes a backup of what is about to be replaced, among the backups of the source that it is, or of
/// the source whose data comes in its place.
fn keep_safe(
    ctx: &Context,
    request: &RestoreRequest<'_>,
    selected: &Selected<'_>,
    found: &Inspection,
) -> Result<BackupDone, OpsError> {
    let failed = |source: OpsError| OpsError::SafetyBackup {
        place: found.place.clone(),
        source: Box::new(source),
    };
    let Some(name) = found.is_source.as_ref().or(selected.source()) else {
        return Err(OpsError::Refused {
            place: found.place.clone(),
            why: "is not empty, and its safety backup would belong to no source".to_owned(),
            next: "name the source with --source NAME, or give up the safety backup with --no-safety-backup"
                .to_owned(),
        });
    };
    let configured = request.sources.iter().find(|spec| spec.name == *name);
    let mut source = match configured {
        Some(spec) => spec.clone(),
        None => SourceSpec::new(name.clone(), selected.kind(), request.to.clone()),
    };
    source.location = request.to.clone();
    // A damaged database is kept as it is: it may be all that is left.
    source.check_integrity = false;
    let request = BackupRequest {
        source: &source,
        reason: Reason::safety(),
        note: match found.is_source {
            Some(_) => format!("before a restore of {}", selected.describe()),
            None => format!(
                "of {}, before a restore of {}",
                found.place,
                selected.describe()
            ),
        },
        commit: String::new(),
        check_integrity: false,
        after_failed_restore: false,
    };
    // What fails at another database is no failed backup of the source.
    let taken = match found.is_source {
        Some(_) => backup::take(ctx, &request),
        None => backup::take_of_another(ctx, &request),
    };
    taken.map_err(failed)
}
