//! What the server asks of whoever runs the daemon.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use resguardo_model::SourceName;
use resguardo_model::retention::Policy;
use resguardo_ops::copy::CopyPlace;
use resguardo_ops::status::Status;
use resguardo_ops::{Context, SourceSpec};
use serde::Serialize;

use crate::driver::JobState;
use crate::feed::Running;
use crate::poke::{Answer, Poke};

/// What the board shows.
#[derive(Clone, Debug)]
pub struct Seen {
    /// How every source stands.
    pub status: Status,
    /// What comes, by schedule.
    pub plan: Vec<Planned>,
    /// The vault, without secrets.
    pub vault: String,
}

/// A job and what comes of it next.
#[derive(Clone, Debug, Serialize)]
pub struct Planned {
    /// The source; `None`: this machine.
    pub source: Option<SourceName>,
    /// What is done.
    pub task: String,
    /// When it begins next; `None`: only when somebody asks for it.
    pub next: Option<Timestamp>,
    /// What is remembered of it; `None`: nothing yet.
    pub state: Option<JobState>,
}

/// Whoever runs the daemon.
pub trait Desk: Send + Sync {
    /// What use cases are given, to read, as it was at the last look.
    ///
    /// # Errors
    /// Why the vault cannot be asked at present, in a line.
    fn context(&self) -> Result<Context, String>;

    /// The copies of the vault, as far as they can be reached.
    fn copies(&self) -> Vec<CopyPlace>;

    /// The environment and the policy of a source; `None`: it is not configured.
    fn policy(&self, source: &SourceName) -> Option<(String, Option<Policy>)>;

    /// A source as it is configured, ready for use.
    ///
    /// # Errors
    /// Why it cannot be used at present, in a line.
    fn ready(&self, source: &SourceName) -> Result<SourceSpec, String>;

    /// Asks for a run now.
    fn poke(&self, poke: Poke) -> Answer;

    /// The zone in which times are told.
    fn zone(&self) -> TimeZone;

    /// Says something to whoever reads the log.
    fn note(&self, line: &str);

    /// What runs at this moment, in the order in which it began.
    fn running(&self) -> Vec<Running>;

    /// What a run said that ended lately: the newest of which `is_it` holds.
    fn ended(&self, is_it: &dyn Fn(&Running) -> bool) -> Option<Running>;

    /// Asks for a new look at everything.
    fn look(&self);
}
