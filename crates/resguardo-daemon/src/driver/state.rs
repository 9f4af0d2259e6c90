//! How jobs stand, as it is remembered beyond the end of the process, and how a run may end.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::agenda::Job;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It did what it was to do.
    Done,
    /// It did not, for a reason that may go away by itself.
    Transient(String),
    /// It did not, for a reason that somebody has to look at.
    Failed(String),
    /// It did nothing yet: somebody else works on the source, like a backup that is taken by hand.
    Locked(String),
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
    /// It waits for somebody else, who works on the source.
    Locked,
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
    /// How often it found the source locked since it last ended otherwise.
    #[serde(default)]
    pub locked: u32,
    /// The last run was not the schedule's: somebody asked for it.
    #[serde(default)]
    pub out_of_turn: bool,
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
            locked: 0,
            out_of_turn: false,
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
