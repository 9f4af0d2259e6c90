//! The queue that several daemons share: how every job stands, and who runs what.
//!
//! Jobs of sources alone are in it: what is about a machine is nobody else's. Whoever wants to run a job claims its
//! source, and holds it for a lease's time, which he renews for as long as he runs. The queue's own clock counts,
//! nobody else's.
//!
//! Contract, which `contract` holds every adapter to:
//!
//! - Each operation happens as a whole or not at all, and everybody sees it at once. One that failed may have happened
//!   all the same: its answer may have been lost.
//! - A job has a revision, which grows with everything that is written of it. A claim, and whatever is written of a job
//!   that nobody runs, names the revision that was seen, and is refused if there is another.
//! - A source is held by one claim at a time, whatever lease has run out: it is taken from its holder by
//!   [`Queue::put`], which says what became of the run, and not by a claim.
//! - A claim has a number, larger than every one of the source before. Who lost it is refused from then on, also if
//!   nobody else has claimed the source since.
//! - A holder whose lease has run out, and from whom nobody took the source, may renew it.

use std::time::Duration;

use jiff::Timestamp;
use resguardo_model::SourceName;

use crate::agenda::Task;
use crate::driver::JobState;

mod catalog;
#[cfg(test)]
mod contract;
#[cfg(test)]
pub(crate) mod memory;

pub use catalog::CatalogQueue;

/// A queue. A failure is a line that says why, and may be gone at the next try.
pub trait Queue: Send + Sync {
    /// How long a holder may be silent.
    fn lease(&self) -> Duration;

    /// How everything stands.
    ///
    /// # Errors
    /// Why that cannot be told, in a line.
    fn look(&self) -> Result<Seen, String>;

    /// Makes a job known that is not yet; one that is known stays as it is.
    ///
    /// # Errors
    /// Why it cannot be kept, in a line.
    fn introduce(&self, source: &SourceName, task: Task, state: &JobState) -> Result<(), String>;

    /// Claims the source of a job to run it, and writes `state` of the job. `None`: somebody holds the source, or the
    /// job has another revision.
    ///
    /// # Errors
    /// Why it cannot be kept, in a line.
    fn claim(
        &self,
        source: &SourceName,
        task: Task,
        revision: i64,
        state: &JobState,
    ) -> Result<Option<Ticket>, String>;

    /// Holds on for another lease's time; for each, whether it still holds.
    ///
    /// # Errors
    /// Why that cannot be told, in a line.
    fn renew(&self, tickets: &[&Ticket]) -> Result<Vec<bool>, String>;

    /// Writes how a job stands whose run goes on; whether its claim holds.
    ///
    /// # Errors
    /// Why it cannot be kept, in a line.
    fn keep(&self, ticket: &Ticket, state: &JobState) -> Result<bool, String>;

    /// Writes how a job stands whose run has ended, and lets its source go; whether its claim held, else nothing
    /// is written.
    ///
    /// # Errors
    /// Why it cannot be kept, in a line.
    fn end(&self, ticket: &Ticket, state: &JobState) -> Result<bool, String>;

    /// Writes how a job stands that nobody runs, or that is held by us without a claim that we know of, or whose
    /// holder's lease has run out: then the source is free. Whether it was so and the job had that revision.
    ///
    /// # Errors
    /// Why it cannot be kept, in a line.
    fn put(
        &self,
        source: &SourceName,
        task: Task,
        revision: i64,
        state: &JobState,
    ) -> Result<bool, String>;
}

/// How everything stood at one moment.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When, by the queue's clock.
    pub now: Timestamp,
    /// Every job that is known.
    pub jobs: Vec<Known>,
}

/// How a job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Whose it is.
    pub source: SourceName,
    /// What is done.
    pub task: Task,
    /// How it stands.
    pub state: JobState,
    /// Grows with everything that is written of it.
    pub revision: i64,
    /// Who runs it.
    pub runner: Option<Runner>,
}

/// Who runs a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runner {
    /// His machine.
    pub host: String,
    /// It is who asks.
    pub is_us: bool,
    /// His lease has not run out.
    pub is_heard: bool,
}

/// A claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The source.
    pub source: SourceName,
    /// What is done to it.
    pub task: Task,
    /// Larger than that of every claim of the source before.
    pub fence: i64,
}
