//! What long work tells whoever watches it. The work never prints.

use crate::RunId;

/// A watcher of one run. Calls come from several threads and must not block for long.
pub trait Progress: Send + Sync {
    /// The work is this run, in the catalog and in its receipt.
    fn began(&self, _run: RunId) {}
    /// A new phase begins: `capture`, `restore`, `checks`, ... Phases do not nest.
    fn phase(&self, name: &str);
    /// `done` bytes of the phase's `total` (if it is known) are through.
    fn bytes(&self, done: u64, total: Option<u64>);
    /// One line worth saying that is no error.
    fn note(&self, line: &str);
    /// One line that a program of the user's printed, as it comes. It may be data, or hold a secret: it is for whoever
    /// watches the run, and for no log.
    fn said(&self, _line: &str) {}
}

/// A watcher that ignores everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn phase(&self, _name: &str) {}
    fn bytes(&self, _done: u64, _total: Option<u64>) {}
    fn note(&self, _line: &str) {}
}
