//! Cancellation: one flag, asked for at every block, table and child process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// A flag that is raised once (by SIGINT, SIGTERM or a deadline) and never lowered.
/// Clones share the flag.
#[derive(Clone, Debug, Default)]
pub struct CancelToken {
    flag: Arc<AtomicBool>,
    limit: Arc<OnceLock<String>>,
}

/// The work was stopped by its caller. It is not a failure of the work.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("interrupted")]
pub struct Cancelled;

impl CancelToken {
    /// A token that nobody has cancelled yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The shared flag itself, for a signal handler to raise.
    #[must_use]
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.flag)
    }

    /// Raises the flag.
    pub fn cancel(&self) {
        self.flag.store(true, Ordering::SeqCst);
    }

    /// Raises the flag because the work is beyond a limit of its own: it failed for that reason, and was not
    /// stopped by somebody who did not want it any more. The first reason stands.
    pub fn cancel_beyond_limit(&self, why: &str) {
        // Whoever sees the flag sees the reason.
        self.limit.get_or_init(|| why.to_owned());
        self.cancel();
    }

    /// The limit that the work was beyond, if the flag was raised because of one.
    #[must_use]
    pub fn limit(&self) -> Option<&str> {
        self.limit.get().map(String::as_str)
    }

    /// Whether the flag is raised.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.flag.load(Ordering::SeqCst)
    }

    /// `Err(Cancelled)` once the flag is raised, so that `?` leaves a loop.
    ///
    /// # Errors
    /// [`Cancelled`] if the flag is raised.
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() {
            Err(Cancelled)
        } else {
            Ok(())
        }
    }
}
