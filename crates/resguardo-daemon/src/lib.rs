//! What Resguardo does by itself on a machine that nobody looks at.
//!
//! It decides when something is due, and never how it is done: that is `resguardo-ops`, the same as for
//! the command line.

pub mod agenda;
pub mod board;
mod client;
pub mod driver;
pub mod feed;
pub mod http;
pub mod metrics;
pub mod notify;
pub mod oidc;
pub mod poke;
pub mod queue;
pub mod run;
pub mod tasks;
pub mod timing;
pub mod web;
pub mod window;

pub use agenda::{Due, Job, Limits, Plan, Subject, Task};
pub use driver::{Driver, Ended, JobNumber, JobState, LastRun, Outcome, Standing};
pub use feed::{Feed, Running};
pub use poke::{Answer, Asked, Poke};
pub use queue::{CatalogQueue, Queue};
pub use run::{Around, Handle, Inbox, Memory, Monotonic, Run, Settings, Stopwatch, Watch, Work};
pub use tasks::{CatalogMemory, Choice, ConfiguredCopy, OpsWork, Rules, Sources};
pub use window::{NotAWindow, Window};
