//! What the daemon does when something is due: the same use cases as the command line's.

mod backup;
mod drill;

use std::sync::Arc;

use resguardo_model::{CancelToken, Clock, Progress, SourceName};
use resguardo_ops::catalog::Catalog;
use resguardo_ops::{Context, ErrorKind, OpsError, SourceSpec};

use crate::agenda::Task;
use crate::driver::{Ended, JobState};
use crate::run::{Memory, Work};

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
    fn ready(&self, name: &SourceName) -> Result<SourceSpec, String>;

    /// A source for a drill, which needs its place only where it is known.
    fn anywhere(&self, name: &SourceName) -> Option<SourceSpec>;

    /// Brings the newest backup of a source to its copies.
    ///
    /// # Errors
    /// Which of them are behind, and why, in a line.
    fn copy(&self, ctx: &Context, source: &SourceName) -> Result<(), String>;

    /// Whoever watches the run of a source.
    fn progress(&self, name: &SourceName, task: Task) -> Arc<dyn Progress>;
}

/// Does the work by the use cases.
pub struct OpsWork {
    /// What every use case is given; each run has its own order to stop, and its own watcher.
    pub context: Context,
    /// What is configured.
    pub sources: Arc<dyn Sources>,
}

impl Work for OpsWork {
    fn run(&self, source: &SourceName, task: Task, cancel: &CancelToken) -> Ended {
        let context = match self.sources.context(&self.context) {
            Ok(context) => Context {
                cancel: cancel.clone(),
                progress: self.sources.progress(source, task),
                ..context
            },
            Err(why) => return Ended::Transient(why),
        };
        match task {
            Task::Backup => backup::run(&context, &*self.sources, source),
            Task::Drill => drill::run(&context, &*self.sources, source),
        }
    }
}

/// How a run ended that failed with `error`. What cannot be reached or is locked may be again, or free,
/// after a while.
fn ended_with(error: &OpsError) -> Ended {
    let message = resguardo_ops::described(error);
    match error.kind() {
        ErrorKind::Interrupted => Ended::Interrupted,
        ErrorKind::Unreachable | ErrorKind::Vault | ErrorKind::Locked => Ended::Transient(message),
        ErrorKind::User | ErrorKind::Usage | ErrorKind::Findings | ErrorKind::Refused => {
            Ended::Failed(message)
        }
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
    fn state(&self, source: &SourceName, task: Task) -> Result<Option<JobState>, String> {
        let text = self
            .catalog
            .job(source, task.word())
            .map_err(|error| error.to_string())?;
        // What another version wrote and this one cannot read is a job that is new.
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    fn keep(&self, source: &SourceName, task: Task, state: &JobState) -> Result<(), String> {
        let text = serde_json::to_string(state).expect("times and texts always serialise");
        self.catalog
            .put_job(source, task.word(), &text, self.clock.now())
            .map_err(|error| error.to_string())
    }
}
