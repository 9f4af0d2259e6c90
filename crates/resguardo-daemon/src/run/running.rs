//! A run that has not ended: how long it may take, and that it was told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use resguardo_model::CancelToken;

use crate::agenda::Job;
use crate::driver::Ended;

pub(super) struct Running {
    /// Of the feed.
    pub(super) key: u64,
    pub(super) job: Job,
    pub(super) cancel: CancelToken,
    /// By the stopwatch.
    pub(super) began: Duration,
    /// Counts whatever its progress told.
    pub(super) moved: Arc<AtomicU64>,
    /// The last count, and when it was another.
    pub(super) seen: (u64, Duration),
    pub(super) order: Option<Told>,
    /// Another machine has taken it over.
    pub(super) is_lost: bool,
}

/// It was told to stop.
pub(super) struct Told {
    why: String,
    at: Duration,
    /// What kept it may go away by itself.
    again: bool,
    given_up: bool,
}

/// What is to be done with a run.
pub(super) enum Order {
    /// It is to stop, for that reason.
    Stop(String),
    /// It was told so, and does not.
    GiveUp(String),
}

impl Running {
    /// What is to be done at `elapsed`. It is answered once.
    pub(super) fn order_now(&mut self, elapsed: Duration, grace: Duration) -> Option<Order> {
        let moved = self.moved.load(Ordering::Relaxed);
        if moved != self.seen.0 {
            self.seen = (moved, elapsed);
        }
        if let Some(told) = &mut self.order {
            let is_over = elapsed.saturating_sub(told.at) >= grace;
            if told.given_up || !is_over {
                return None;
            }
            told.given_up = true;
            return Some(Order::GiveUp(told.why.clone()));
        }
        let limits = self.job.limits;
        let is_beyond = |limit: Option<resguardo_model::duration::Span>, since: Duration| {
            limit.filter(|limit| elapsed.saturating_sub(since) >= Duration::from(*limit))
        };
        let (why, again) = if let Some(limit) = is_beyond(limits.deadline, self.began) {
            (
                format!("it took longer than its deadline of {limit}"),
                false,
            )
        } else {
            let limit = is_beyond(limits.silence, self.seen.1)?;
            (format!("nothing of it moved for {limit}"), true)
        };
        self.cancel.cancel_beyond_limit(&why);
        self.order = Some(Told {
            why: why.clone(),
            at: elapsed,
            again,
            given_up: false,
        });
        Some(Order::Stop(why))
    }

    /// How it ended, where it was told to stop: for the reason that it was told.
    pub(super) fn explain(&self, ended: Ended) -> Ended {
        match (&self.order, ended) {
            (Some(told), Ended::Interrupted) if told.again => Ended::Transient(told.why.clone()),
            (Some(told), Ended::Interrupted) => Ended::Failed(told.why.clone()),
            (_, ended) => ended,
        }
    }
}
