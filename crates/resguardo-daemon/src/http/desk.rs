//! What the server asks of whoever runs the daemon.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use resguardo_model::retention::Policy;
use resguardo_model::{BackupId, SourceName};
use resguardo_ops::status::Status;
use resguardo_ops::{Context, CopyPlace};
use serde::Serialize;

use crate::agenda::Task;
use crate::driver::JobState;

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

/// Something that somebody wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The source.
    pub source: SourceName,
    /// What is to be done.
    pub task: Task,
    /// A drill: of this backup.
    pub backup: Option<BackupId>,
    /// A drill: what was restored stays.
    pub keep: bool,
    /// Who wants it.
    pub by: String,
}

/// What becomes of a wish. Wished again meanwhile, nothing is done twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Taken {
    /// It begins.
    Begun,
    /// The same runs already.
    Running,
    /// It begins when its source is free, and there is room.
    Waits,
    /// There is no such source.
    NotConfigured,
    /// No run is begun any more.
    Stopping,
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

    /// Has something done.
    fn wish(&self, wish: Wish) -> Taken;

    /// The zone in which times are told.
    fn zone(&self) -> TimeZone;

    /// Says something to whoever reads the log.
    fn note(&self, line: &str);

    /// Asks for a new look at everything.
    fn look(&self);
}
