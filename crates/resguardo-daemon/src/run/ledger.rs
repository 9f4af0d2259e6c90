//! What is written down of jobs. A memory that cannot be written holds nobody up: what it is to remember waits
//! here, the newest state of each job, and is tried again after a while.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{Around, Memory, Stopwatch, Watch};
use crate::agenda::{Job, Subject, Task, name_of};
use crate::driver::{JobState, Standing};

/// How long until a memory that could not be written is tried again. Each try may take as long as the catalog
/// waits for a lock, and a service manager wants to hear of us more often.
const AGAIN: Duration = Duration::from_secs(30);

pub(super) struct Ledger<'a> {
    memory: &'a Arc<dyn Memory>,
    watch: &'a Arc<dyn Watch>,
    stopwatch: &'a Arc<dyn Stopwatch>,
    /// What it holds, or is to hold.
    known: BTreeMap<(Subject, Task), JobState>,
    /// What could not be written.
    waiting: BTreeMap<(Subject, Task), JobState>,
    /// When it could not be written last.
    failed_at: Option<Duration>,
}

impl<'a> Ledger<'a> {
    pub(super) fn new(around: &'a Around) -> Self {
        Self {
            memory: &around.memory,
            watch: &around.watch,
            stopwatch: &around.stopwatch,
            known: BTreeMap::new(),
            waiting: BTreeMap::new(),
            failed_at: None,
        }
    }

    /// A job as it was remembered. One that is new is known from now on.
    pub(super) fn remembered(&mut self, job: Job, now: Timestamp) -> Result<Standing, String> {
        let state = self.memory.state(&job.subject, job.task)?;
        let is_new = state.is_none();
        let state = state.unwrap_or_else(|| JobState::new(now));
        let standing = Standing { job, state };
        // Of what nobody does by himself there is nothing to make up for.
        if is_new && standing.job.plan.is_some() {
            self.keep(&standing);
        } else {
            self.known.insert(key(&standing), standing.state.clone());
        }
        Ok(standing)
    }

    /// Whether it has changed.
    pub(super) fn keep_if_changed(&mut self, standing: &Standing) -> bool {
        let has_changed = self.known.get(&key(standing)) != Some(&standing.state);
        if has_changed {
            self.keep(standing);
        }
        has_changed
    }

    pub(super) fn keep(&mut self, standing: &Standing) {
        let key = key(standing);
        self.known.insert(key.clone(), standing.state.clone());
        self.waiting.insert(key, standing.state.clone());
        if self.failed_at.is_none() {
            self.write();
        }
    }

    /// Tries again what could not be written, if it is time.
    pub(super) fn catch_up(&mut self) {
        let is_time = |at: Duration| self.stopwatch.elapsed().saturating_sub(at) >= AGAIN;
        if self.failed_at.is_some_and(is_time) {
            self.write();
        }
    }

    /// A last try.
    pub(super) fn close(&mut self) {
        if self.failed_at.is_some() {
            self.write();
        }
    }

    fn write(&mut self) {
        while let Some((key, state)) = self.waiting.first_key_value() {
            let (subject, task) = key;
            if let Err(why) = self.memory.keep(subject, *task, state) {
                if self.failed_at.is_none() {
                    self.watch.note(&format!(
                        "the {} cannot be written down: {why}; everything else goes on, and that is tried again",
                        name_of(subject, *task)
                    ));
                }
                self.failed_at = Some(self.stopwatch.elapsed());
                return;
            }
            self.waiting.pop_first();
        }
        if self.failed_at.take().is_some() {
            self.watch
                .note("what could not be written down is written now");
        }
    }
}

fn key(standing: &Standing) -> (Subject, Task) {
    (standing.job.subject.clone(), standing.job.task)
}
