//! The driver: which run begins now, and what becomes of one that ended. A machine of states, told the time;
//! threads and waiting are [`crate::run`]'s.
//!
//! A run is written down *before* it begins, by the time of its schedule: stopped anywhere, a later start
//! knows that it was begun. What died, and what failed for a reason that may go away by itself, is tried again after a
//! while, at most until its schedule names the next time. What failed for good waits for that.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use resguardo_model::SourceName;
use serde::{Deserialize, Serialize};

use crate::agenda::{self, Due, Job, Task};

/// How long after a failure it is tried again: after the first, the second, ...
const BACK_OFF_MINUTES: [i64; 6] = [1, 5, 15, 30, 60, 60];

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It did what it was to do.
    Done,
    /// It did not, for a reason that may go away by itself.
    Transient(String),
    /// It did not, for a reason that somebody has to look at.
    Failed(String),
    /// It was told to stop.
    Interrupted,
}

/// How the last run of a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It did what it was to do.
    Succeeded,
    /// It did not.
    Failed,
    /// It was told to stop.
    Interrupted,
    /// Its process ended without a word.
    Died,
}

/// The last run of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// When it began.
    pub began_at: Timestamp,
    /// When it ended; of one that died, when that was found.
    pub ended_at: Timestamp,
    /// How.
    pub outcome: Outcome,
    /// Why it did not do what it was to do; else empty.
    pub message: String,
}

/// What is remembered of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobState {
    /// The newest time of the schedule for which a run was begun; at first the moment from which the job
    /// is known: what a schedule named before is not made up for.
    pub handled: Timestamp,
    /// When the run that has not ended began.
    pub running_since: Option<Timestamp>,
    /// Runs that failed since the last time of the schedule.
    pub failures: u32,
    /// When it is tried again.
    pub retry_at: Option<Timestamp>,
    /// The run before.
    pub last: Option<LastRun>,
}

impl JobState {
    /// Of a job that is new.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            handled: now,
            running_since: None,
            failures: 0,
            retry_at: None,
            last: None,
        }
    }
}

/// A job and how it stands.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The job.
    pub job: Job,
    /// How it stands.
    pub state: JobState,
}

/// Which job, for the time that a driver lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobNumber(usize);

/// Decides what begins.
#[derive(Debug)]
pub struct Driver {
    all: Vec<Slot>,
    runs_max: usize,
}

/// A job, and when the time after the one that was handled begins: to look it up takes long.
#[derive(Debug)]
struct Slot {
    standing: Standing,
    next: Option<Due>,
}

impl Slot {
    fn of(standing: Standing) -> Self {
        let next = standing.job.next(standing.state.handled);
        Self { standing, next }
    }

    /// What is to be run now.
    fn due(&self, now: Timestamp) -> Option<Due> {
        let Standing { job, state } = &self.standing;
        let is_time = self.next.is_some_and(|next| next.begins <= now);
        if is_time || agenda::is_ahead(state.handled, now) {
            job.due(state.handled, now)
        } else {
            None
        }
    }

    /// When that has to be asked again.
    fn wakes(&self, now: Timestamp) -> Option<Timestamp> {
        let Standing { job, state } = &self.standing;
        if agenda::is_ahead(state.handled, now) {
            job.wakes(state.handled, now)
        } else {
            self.next.map(|next| next.begins)
        }
    }

    fn handle(&mut self, due: Due) {
        self.standing.state.handled = due.scheduled;
        self.next = self.standing.job.next(due.scheduled);
    }
}

impl Driver {
    /// With jobs as they were remembered. Those that were running then have died.
    #[must_use]
    pub fn new(jobs: Vec<Standing>, runs_max: usize, now: Timestamp) -> Self {
        let mut driver = Self {
            all: jobs.into_iter().map(Slot::of).collect(),
            runs_max: runs_max.max(1),
        };
        for number in 0..driver.all.len() {
            if driver.all[number].standing.state.running_since.is_some() {
                let why = "its process ended without a word".to_owned();
                driver.close(number, Outcome::Died, why, now, true);
            }
        }
        driver
    }

    /// Every job and how it stands.
    pub fn standings(&self) -> impl Iterator<Item = (JobNumber, &Standing)> {
        let numbered = self.all.iter().enumerate();
        numbered.map(|(number, slot)| (JobNumber(number), &slot.standing))
    }

    /// One of them.
    ///
    /// # Panics
    /// If the number is another driver's.
    #[must_use]
    pub fn standing(&self, job: JobNumber) -> &Standing {
        &self.all[job.0].standing
    }

    /// Which runs begin now. Each counts as running from here on, and is to be written down before it is begun.
    pub fn begin(&mut self, now: Timestamp) -> Vec<JobNumber> {
        let mut busy: BTreeSet<SourceName> = BTreeSet::new();
        for (_, standing) in self.standings() {
            if standing.state.running_since.is_some() {
                busy.insert(standing.job.source.clone());
            }
        }
        let mut running = busy.len();
        let mut ready: Vec<(Timestamp, Task, usize)> = (0..self.all.len())
            .filter_map(|number| {
                let since = self.ready_since(number, now)?;
                Some((since, self.all[number].standing.job.task, number))
            })
            .collect();
        // A backup first: what is drilled is the newest.
        let backed_up: BTreeSet<SourceName> = ready
            .iter()
            .filter(|(_, task, _)| *task == Task::Backup)
            .map(|(_, _, number)| self.all[*number].standing.job.source.clone())
            .collect();
        ready.retain(|(_, task, number)| {
            *task == Task::Backup || !backed_up.contains(&self.all[*number].standing.job.source)
        });
        // Who has waited longest.
        ready.sort();
        let mut begun = Vec::new();
        for (_, _, number) in ready {
            if running >= self.runs_max {
                break;
            }
            let slot = &mut self.all[number];
            if !busy.insert(slot.standing.job.source.clone()) {
                continue;
            }
            if let Some(due) = slot.due(now) {
                slot.handle(due);
                slot.standing.state.failures = 0;
            }
            let state = &mut slot.standing.state;
            state.retry_at = None;
            state.running_since = Some(now);
            running += 1;
            begun.push(JobNumber(number));
        }
        begun
    }

    /// Since when a job waits to be begun.
    fn ready_since(&self, number: usize, now: Timestamp) -> Option<Timestamp> {
        let slot = &self.all[number];
        let state = &slot.standing.state;
        if state.running_since.is_some() {
            return None;
        }
        let due = slot.due(now).map(|due| due.begins);
        let retry = state.retry_at.filter(|at| *at <= now);
        due.into_iter().chain(retry).min()
    }

    /// Takes down how a run ended.
    ///
    /// # Panics
    /// If the number is another driver's.
    pub fn end(&mut self, job: JobNumber, ended: Ended, now: Timestamp) {
        let (outcome, message, again) = match ended {
            Ended::Done => (Outcome::Succeeded, String::new(), false),
            Ended::Transient(why) => (Outcome::Failed, why, true),
            Ended::Failed(why) => (Outcome::Failed, why, false),
            // Whoever starts us again finds it waiting.
            Ended::Interrupted => (Outcome::Interrupted, "it was told to stop".to_owned(), true),
        };
        self.close(job.0, outcome, message, now, again);
    }

    fn close(
        &mut self,
        number: usize,
        outcome: Outcome,
        message: String,
        now: Timestamp,
        again: bool,
    ) {
        let next = self.all[number].wakes(now);
        let state = &mut self.all[number].standing.state;
        let began_at = state.running_since.take().unwrap_or(now);
        state.last = Some(LastRun {
            began_at,
            ended_at: now,
            outcome,
            message,
        });
        state.retry_at = None;
        if outcome == Outcome::Succeeded {
            state.failures = 0;
            return;
        }
        let tried = usize::try_from(state.failures).unwrap_or(usize::MAX);
        state.failures = state.failures.saturating_add(1);
        let minutes = BACK_OFF_MINUTES.get(tried).copied();
        let retry =
            minutes.and_then(|minutes| now.checked_add(SignedDuration::from_mins(minutes)).ok());
        state.retry_at = retry
            .filter(|_| again)
            .filter(|at| next.is_none_or(|next| *at < next));
    }

    /// When [`Driver::begin`] has to be asked again, if no run ends before.
    #[must_use]
    pub fn wakes(&self, now: Timestamp) -> Option<Timestamp> {
        let waiting = self
            .all
            .iter()
            .filter(|slot| slot.standing.state.running_since.is_none());
        let times = waiting.flat_map(|slot| {
            let retry = slot.standing.state.retry_at;
            slot.wakes(now).into_iter().chain(retry)
        });
        times.min()
    }

    /// Whether a run has not ended.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.standings()
            .any(|(_, standing)| standing.state.running_since.is_some())
    }
}

#[cfg(test)]
mod tests;
