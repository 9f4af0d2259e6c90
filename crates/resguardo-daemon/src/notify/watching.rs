//! Tells of runs what a daemon's [`Watch`] sees, beside whoever watches already.

use std::sync::Arc;

use jiff::Timestamp;
use resguardo_model::Verdict;

use super::clerk::Notifier;
use super::event::{Event, FactName, What, word_of};
use crate::agenda::{Job, Task};
use crate::driver::{Outcome, Standing};
use crate::run::Watch;
use crate::tasks::drill::DID_NOT_PASS;

/// A watch that tells people, too.
pub struct Telling {
    /// Who watches already.
    pub watch: Arc<dyn Watch>,
    /// Who tells.
    pub notifier: Arc<Notifier>,
    /// The time.
    pub clock: Arc<dyn resguardo_model::Clock>,
}

impl Watch for Telling {
    fn waits(&self, until: Option<Timestamp>) {
        self.watch.waits(until);
    }

    fn begins(&self, job: &Job) {
        self.watch.begins(job);
        let Some(source) = job.subject.source() else {
            return;
        };
        let now = self.clock.now();
        let mut event = Event::new(What::RunBegan, now);
        event.began_at = Some(now);
        event.source = Some(source.clone());
        event.task = Some(job.task.word().to_owned());
        self.notifier.tell(event);
    }

    fn ended(&self, standing: &Standing) {
        self.watch.ended(standing);
        if let Some(event) = of_run(standing) {
            self.notifier.tell(event);
        }
    }

    fn others(&self) {
        self.watch.others();
    }

    fn note(&self, line: &str) {
        self.watch.note(line);
    }

    fn stops(&self, running: usize) {
        self.watch.stops(running);
    }
}

/// What is told of a run that ended; nothing of one that was told to stop, waits for somebody else, or is about
/// no source.
fn of_run(standing: &Standing) -> Option<Event> {
    let source = standing.job.subject.source()?;
    let last = standing.state.last.as_ref()?;
    let what = match last.outcome {
        Outcome::Succeeded => What::RunSucceeded,
        Outcome::Failed | Outcome::Died => What::RunFailed,
        Outcome::Interrupted | Outcome::Locked => return None,
    };
    let again = standing.state.retry_at.map(|at| at.to_string());
    let mut event = Event::new(what, last.ended_at)
        .with(FactName::Message, last.message.clone())
        .with(FactName::AgainAt, again.unwrap_or_default());
    if what == What::RunFailed && standing.job.task == Task::Drill {
        let verdict = match last.message.starts_with(DID_NOT_PASS) {
            true => Verdict::Failed,
            false => Verdict::Error,
        };
        event = event.with(FactName::Verdict, word_of(verdict));
    }
    event.began_at = Some(last.began_at);
    event.source = Some(source.clone());
    event.task = Some(standing.job.task.word().to_owned());
    Some(event)
}
