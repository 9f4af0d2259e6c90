//! Wakes a thread that waits, or tells it to end.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug, Default)]
pub(super) struct Bell {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    rung: bool,
    over: bool,
}

impl Bell {
    /// There is something to do.
    pub(super) fn ring(&self) {
        self.change(|state| state.rung = true);
    }

    /// There is nothing to do any more, ever.
    pub(super) fn end(&self) {
        self.change(|state| state.over = true);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    pub(super) fn is_over(&self) -> bool {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .over
    }

    /// Waits until it rings or is over, and not longer than `limit`.
    pub(super) fn wait(&self, limit: Duration) {
        self.wait_until(limit, |state| state.rung || state.over);
    }

    /// Waits for `limit`, whatever rings; less only if it is over.
    pub(super) fn pause(&self, limit: Duration) {
        self.wait_until(limit, |state| state.over);
    }

    fn wait_until(&self, limit: Duration, is_enough: impl Fn(&State) -> bool) {
        let begun = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !is_enough(&state) {
            let Some(left) = limit.checked_sub(begun.elapsed()) else {
                break;
            };
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.rung = false;
    }
}
