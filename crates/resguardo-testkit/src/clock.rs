//! A clock that stands still until a test moves it.

use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use resguardo_model::Clock;

/// A settable clock. Clones share the time.
#[derive(Clone, Debug)]
pub struct FakeClock(Arc<Mutex<Timestamp>>);

impl FakeClock {
    /// A clock at `now`, like `"2026-11-22T08:00:00Z"`.
    ///
    /// # Panics
    /// If the text is no timestamp.
    #[must_use]
    pub fn at(now: &str) -> Self {
        Self::from_timestamp(now.parse().expect("an RFC 3339 timestamp"))
    }

    /// A clock at `now`.
    #[must_use]
    pub fn from_timestamp(now: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(now)))
    }

    /// Sets the time, forward or back.
    ///
    /// # Panics
    /// If another test thread panicked in the middle of a call.
    pub fn set(&self, now: Timestamp) {
        *self.0.lock().unwrap() = now;
    }

    /// Moves the time on by `by`, or back if it is negative.
    ///
    /// # Panics
    /// If the result is beyond what a timestamp can be.
    pub fn advance(&self, by: SignedDuration) {
        let mut now = self.0.lock().unwrap();
        *now = now.checked_add(by).unwrap();
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}
