//! Whether a run stands in the catalog, and that one stands there which failed before it could begin: what
//! stands nowhere is looked at by nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use resguardo_model::{Progress, RunId, SourceName};
use resguardo_ops::{Context, failed_to_begin};

use crate::agenda::Task;
use crate::driver::Ended;

/// A watcher that remembers whether a run began.
pub(super) struct Begun {
    progress: Arc<dyn Progress>,
    has_begun: AtomicBool,
}

impl Begun {
    pub(super) fn new(progress: Arc<dyn Progress>) -> Arc<Self> {
        Arc::new(Self {
            progress,
            has_begun: AtomicBool::new(false),
        })
    }

    /// Writes the run down if it failed, and nothing of it was.
    pub(super) fn write_down(&self, ctx: &Context, task: Task, source: &SourceName, ended: &Ended) {
        let (Ended::Failed(why) | Ended::Transient(why)) = ended else {
            return;
        };
        let Some(verb) = task.verb() else { return };
        if self.has_begun.load(Ordering::Acquire) {
            return;
        }
        if let Err(error) = failed_to_begin(ctx, verb, source, why) {
            self.note(&resguardo_ops::described(&error));
        }
    }
}

impl Progress for Begun {
    fn began(&self, run: RunId) {
        self.has_begun.store(true, Ordering::Release);
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
