//! That a failure stands in the catalog: what stands nowhere is looked at by nobody.
//!
//! The use cases write their own runs down. What goes wrong before them, between them or around them has no run
//! of its own, and the newest one of the same task may have gone well: at the vault, while a copy is out of reach.

use std::sync::{Arc, Mutex, PoisonError};

use resguardo_model::receipt::Verb;
use resguardo_model::{Progress, RunId, SourceName};
use resguardo_ops::catalog::{RunRow, RunState};
use resguardo_ops::{Context, failed_to_begin};

use crate::agenda::Task;
use crate::driver::Ended;

/// A watcher that remembers the newest run that began.
pub(super) struct Begun {
    progress: Arc<dyn Progress>,
    newest: Mutex<Option<RunId>>,
}

impl Begun {
    pub(super) fn new(progress: Arc<dyn Progress>) -> Arc<Self> {
        Arc::new(Self::after(None, progress))
    }

    /// One of a task that began this last.
    pub(super) fn after(newest: Option<RunId>, progress: Arc<dyn Progress>) -> Self {
        Self {
            progress,
            newest: Mutex::new(newest),
        }
    }

    /// Writes down that the task failed, unless its newest run says so.
    pub(super) fn write_down(&self, ctx: &Context, task: Task, source: &SourceName, ended: &Ended) {
        let why = match ended {
            Ended::Failed(why) | Ended::Transient(why) => why,
            Ended::Interrupted => match ctx.cancel.limit() {
                Some(why) => why,
                None => return,
            },
            Ended::Done | Ended::Locked(_) => return,
        };
        let newest = self.newest(ctx);
        let is_told = |run: &RunRow| run.state == RunState::Failed;
        if newest.as_ref().is_some_and(is_told) {
            return;
        }
        let Some(verb) = verb(task, newest.as_ref()) else {
            return;
        };
        if let Err(error) = failed_to_begin(ctx, verb, source, why) {
            self.note(&resguardo_ops::described(&error));
        }
    }

    /// What cannot be read says nothing of how it ended.
    fn newest(&self, ctx: &Context) -> Option<RunRow> {
        let run = *self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        ctx.catalog.run(run?).ok().flatten()
    }
}

/// What failed of a task. A backup that stands did not: its way to a copy did.
fn verb(task: Task, newest: Option<&RunRow>) -> Option<Verb> {
    let stands = |run: &RunRow| run.verb == Verb::Copy || run.state == RunState::Succeeded;
    match task {
        Task::Backup if newest.is_some_and(stands) => Some(Verb::Copy),
        task => task.verb(),
    }
}

impl Progress for Begun {
    fn began(&self, run: RunId) {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(run);
        self.progress.began(run);
    }

    fn phase(&self, name: &str) {
        self.progress.phase(name);
    }

    fn bytes(&self, done: u64, total: Option<u64>) {
        self.progress.bytes(done, total);
    }

    fn said(&self, line: &str) {
        self.progress.said(line);
    }

    fn note(&self, line: &str) {
        self.progress.note(line);
    }
}
