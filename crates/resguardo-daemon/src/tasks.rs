//! What the daemon does when something is due: the same use cases as the command line's.

mod backup;
mod begun;
mod choice;
mod copy;
pub(crate) mod drill;
mod prune;
mod restore;
mod verify;

use std::sync::Arc;

use resguardo_model::retention::Policy;
use resguardo_model::{CancelToken, Clock, Progress, RunId, SourceName};
use resguardo_ops::catalog::Catalog;
use resguardo_ops::copy::CopyPlace;
use resguardo_ops::verify::Depth;
use resguardo_ops::{Context, ErrorKind, OpsError, SourceSpec, recover};

use crate::agenda::{Subject, Task};
use crate::driver::{Ended, JobState};
use crate::poke::Asked;
use crate::run::{Memory, PANICKED, Run, Work};
use begun::Begun;
pub use choice::Choice;

/// Where the daemon finds what is configured, read anew for each run: a password may have changed, a writer
/// may have been retired.
pub trait Sources: Send + Sync {
    /// What a run is given: as `before`, with the vault and its keys as they are now.
    ///
    /// # Errors
    /// Why the vault cannot be opened at present, in a line.
    fn context(&self, before: &Context) -> Result<Context, String>;

    /// A source, ready for use.
    ///
    /// # Errors
    /// Why it cannot be used at present, in a line.
    fn ready(&self, name: &SourceName, cancel: &CancelToken) -> Result<SourceSpec, String>;

    /// A source for a drill, which needs its place only where it is known.
    fn anywhere(&self, name: &SourceName, cancel: &CancelToken) -> Option<SourceSpec>;

    /// What holds for a source; `None` if it is not configured.
    fn rules(&self, name: &SourceName) -> Option<Rules>;

    /// The copies of the vault, and what each keeps of a source.
    fn copies(&self, name: &SourceName, cancel: &CancelToken) -> Vec<ConfiguredCopy>;
}

/// What holds for a source.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Its environment.
    pub environment: String,
    /// What is kept of it in the vault; `None`: everything.
    pub retention: Option<Policy>,
    /// How deep it is verified.
    pub depth: Depth,
    /// Which backup is drilled.
    pub choice: Choice,
}

/// A copy of the vault.
pub struct ConfiguredCopy {
    /// What it is called.
    pub name: String,
    /// Where it lies, or why that cannot be told, in a line.
    pub place: Result<CopyPlace, String>,
    /// What it keeps of the source that was asked for; `None`: everything.
    pub policy: Option<Policy>,
}

/// Does the work by the use cases.
pub struct OpsWork {
    /// What every use case is given; each run has its own order to stop, and its own watcher.
    pub context: Context,
    /// What is configured.
    pub sources: Arc<dyn Sources>,
}

impl Work for OpsWork {
    fn run(&self, subject: &Subject, task: Task, run: &Run) -> Ended {
        let asked = run.asked.as_ref();
        let begun = Begun::new(Arc::clone(&run.progress));
        let base = Context {
            cancel: run.cancel.clone(),
            progress: Arc::clone(&begun) as Arc<dyn Progress>,
            operator: asked.map_or_else(|| self.context.operator.clone(), |asked| asked.by.clone()),
            ..self.context.clone()
        };
        let source = match (subject, task) {
            (Subject::Machine, _) | (_, Task::Sweep) => return sweep(&base),
            (Subject::Source(source), _) => source,
        };
        let done = std::panic::AssertUnwindSafe(|| self.at_source(&base, source, task, asked));
        let ended =
            std::panic::catch_unwind(done).unwrap_or_else(|_| Ended::Failed(PANICKED.to_owned()));
        begun.write_down(&base, task, source, &ended);
        ended
    }

    fn failed(&self, subject: &Subject, task: Task, newest: Option<RunId>, why: &str) {
        if let (Subject::Source(source), false) = (subject, task == Task::Sweep) {
            let begun = Begun::after(newest, Arc::clone(&self.context.progress));
            let ended = Ended::Failed(why.to_owned());
            begun.write_down(&self.context, task, source, &ended);
        }
    }
}

impl OpsWork {
    fn at_source(
        &self,
        base: &Context,
        source: &SourceName,
        task: Task,
        asked: Option<&Asked>,
    ) -> Ended {
        let context = match self.sources.context(base) {
            Ok(context) => context,
            Err(_) if base.cancel.is_cancelled() => return Ended::Interrupted,
            Err(why) => return Ended::Transient(why),
        };
        let of = Of {
            ctx: &context,
            sources: &*self.sources,
            source,
        };
        match task {
            Task::Backup => backup::run(&of, asked),
            Task::Copy => copy::run(&of),
            Task::Verify => verify::run(&of),
            Task::Drill => drill::run(&of, asked),
            Task::Prune => prune::run(&of),
            Task::Restore => restore::run(&of, asked),
            Task::Sweep => sweep(&context),
        }
    }
}

/// What a task of a source is given.
struct Of<'a> {
    ctx: &'a Context,
    sources: &'a dyn Sources,
    source: &'a SourceName,
}

impl Of<'_> {
    fn rules(&self) -> Result<Rules, Ended> {
        let gone = || Ended::Failed(format!("the source {} is not configured", self.source));
        self.sources.rules(self.source).ok_or_else(gone)
    }

    fn tell(&self, notes: &[String]) {
        for note in notes {
            self.ctx.progress.note(note);
        }
    }
}

/// What died is marked, and what it left here removed. It tells itself what it found.
fn sweep(ctx: &Context) -> Ended {
    match recover::sweep(ctx) {
        Ok(_) => Ended::Done,
        Err(error) => ended_with(&error),
    }
}

/// How a run ended that failed with `error`. What cannot be reached may be again after a while, and a catalog
/// that is locked, or on a full disk, may be written again.
fn ended_with(error: &OpsError) -> Ended {
    let message = resguardo_ops::described(error);
    if matches!(error, OpsError::Catalog(_)) {
        return Ended::Transient(message);
    }
    match error.kind() {
        ErrorKind::Interrupted => Ended::Interrupted,
        ErrorKind::Locked => Ended::Locked(message),
        ErrorKind::Unreachable | ErrorKind::Vault => Ended::Transient(message),
        ErrorKind::User | ErrorKind::Usage | ErrorKind::Findings | ErrorKind::Refused => {
            Ended::Failed(message)
        }
    }
}

/// What went wrong at several places, the worst of it: what somebody has to look at before what may go away by
/// itself, that before a lock. `Done` if nothing did.
fn worst(ends: Vec<Ended>) -> Ended {
    let rank = |ended: &Ended| match ended {
        Ended::Interrupted => 4,
        Ended::Failed(_) => 3,
        Ended::Transient(_) => 2,
        Ended::Locked(_) => 1,
        Ended::Done => 0,
    };
    let worst = ends.iter().map(rank).max().unwrap_or(0);
    let texts = ends.iter().filter_map(|ended| match ended {
        Ended::Failed(why) | Ended::Transient(why) | Ended::Locked(why) => Some(why.as_str()),
        Ended::Done | Ended::Interrupted => None,
    });
    let all = texts.collect::<Vec<_>>().join("; ");
    match worst {
        4 => Ended::Interrupted,
        3 => Ended::Failed(all),
        2 => Ended::Transient(all),
        1 => Ended::Locked(all),
        _ => Ended::Done,
    }
}

/// Remembers in the catalog.
pub struct CatalogMemory {
    /// The catalog.
    pub catalog: Catalog,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Memory for CatalogMemory {
    fn state(&self, subject: &Subject, task: Task) -> Result<Option<JobState>, String> {
        let text = self
            .catalog
            .job(subject.source(), task.word())
            .map_err(|error| resguardo_ops::described(&error))?;
        // What another version wrote and this one cannot read is a job that is new.
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    fn keep(&self, subject: &Subject, task: Task, state: &JobState) -> Result<(), String> {
        let text = serde_json::to_string(state).expect("times and texts always serialise");
        self.catalog
            .put_job(subject.source(), task.word(), &text, self.clock.now())
            .map_err(|error| resguardo_ops::described(&error))
    }
}

#[cfg(test)]
mod tests;
