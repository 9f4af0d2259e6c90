//! What Resguardo does by itself on a machine that nobody looks at.
//!
//! It decides when something is due, and never how it is done: that is `resguardo-ops`, the same as for
//! the command line.

pub mod agenda;
pub mod board;
pub mod driver;
pub mod http;
pub mod notify;
pub mod run;
pub mod tasks;
pub mod timing;
pub mod web;
pub mod window;

pub use agenda::{Due, Job, Plan, Task};
pub use driver::{Driver, Ended, JobNumber, JobState, LastRun, Outcome, Standing};
pub use run::{Around, Memory, Settings, Watch, Work};
pub use tasks::{CatalogMemory, OpsWork, Sources};
pub use window::{NotAWindow, Window};
