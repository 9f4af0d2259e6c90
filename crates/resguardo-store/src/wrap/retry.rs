//! Trying again: for errors that may go away, with exponential back-off and full jitter, bounded in
//! number and time.
//!
//! A conditional `put` whose answer was lost may have taken place, and its repetition then meets its
//! own work. Where a repeated `put` finds its condition broken, the bytes there are compared with those
//! that were to be written: the same bytes are its own success.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use resguardo_model::CancelToken;

use crate::port::{
    AccessFact, Capabilities, Condition, Key, LockedUntil, ObjectInfo, PlaceFacts, Store,
    StoreError, Version,
};

/// How often and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, the first included; at least one is made.
    pub attempts_max: u32,
    /// No attempt begins, and no pause ends, later than this after the first attempt began.
    pub total_max: Duration,
    /// The longest pause after the first attempt; it doubles after each.
    pub pause_first: Duration,
    /// The longest pause after any attempt.
    pub pause_max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts_max: 8,
            total_max: Duration::from_secs(120),
            pause_first: Duration::from_millis(200),
            pause_max: Duration::from_secs(20),
        }
    }
}

/// Time and chance, injected.
pub trait Pacing: Send + Sync {
    /// Blocks the thread for `pause`, or returns earlier when the work is cancelled.
    fn sleep(&self, pause: Duration);
    /// Time since any fixed moment; never goes back.
    fn elapsed(&self) -> Duration;
    /// A random number, at least 0 and less than 1.
    fn fraction(&self) -> f64;
    /// Whether the work is cancelled: no further attempt is made then.
    fn is_cancelled(&self) -> bool;
}

/// The machine's own time and chance; a cancelled token ends every pause within 50 ms.
#[derive(Clone, Debug)]
pub struct SystemPacing {
    cancel: CancelToken,
    origin: Instant,
}

impl SystemPacing {
    /// Pacing that obeys `cancel`.
    #[must_use]
    pub fn new(cancel: CancelToken) -> Self {
        Self {
            cancel,
            origin: Instant::now(),
        }
    }
}

impl Pacing for SystemPacing {
    fn sleep(&self, pause: Duration) {
        let end = self.elapsed() + pause;
        while !self.is_cancelled() {
            let left = end.saturating_sub(self.elapsed());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(Duration::from_millis(50)));
        }
    }

    fn elapsed(&self) -> Duration {
        self.origin.elapsed()
    }

    fn fraction(&self) -> f64 {
        // Without randomness every client comes back at once, which is worse but no error.
        let bits = getrandom::u32().unwrap_or(u32::MAX / 2);
        f64::from(bits) / (f64::from(u32::MAX) + 1.0)
    }

    fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }
}

/// A store whose calls are tried again.
pub struct Retry<S> {
    inner: S,
    policy: RetryPolicy,
    pacing: Arc<dyn Pacing>,
}

impl<S: Store> Retry<S> {
    /// Wraps `inner`.
    #[must_use]
    pub fn new(inner: S, policy: RetryPolicy, pacing: Arc<dyn Pacing>) -> Self {
        Self {
            inner,
            policy,
            pacing,
        }
    }

    /// Calls `attempt` with the number of attempts before it, until it succeeds, fails for good, or a
    /// bound is reached; the last error is the answer then.
    fn again<T>(
        &self,
        mut attempt: impl FnMut(u32) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let began = self.pacing.elapsed();
        let mut made = 0;
        loop {
            let error = match attempt(made) {
                Err(error) if !error.is_permanent() => error,
                done => return done,
            };
            made += 1;
            let pause = self.pause_after(made);
            let spent = self.pacing.elapsed().saturating_sub(began);
            if made >= self.policy.attempts_max
                || spent + pause > self.policy.total_max
                || self.pacing.is_cancelled()
            {
                return Err(error);
            }
            self.pacing.sleep(pause);
            if self.pacing.is_cancelled() {
                return Err(error);
            }
        }
    }

    /// Full jitter: anything from nothing to the doubled bound.
    fn pause_after(&self, attempts: u32) -> Duration {
        let doubled = self
            .policy
            .pause_first
            .saturating_mul(1 << attempts.saturating_sub(1).min(30));
        doubled
            .min(self.policy.pause_max)
            .mul_f64(self.pacing.fraction().clamp(0.0, 1.0))
    }

    /// Whether the object has exactly these bytes; its version then.
    fn is_ours(&self, key: &Key, body: &Bytes) -> Result<Option<ObjectInfo>, StoreError> {
        // The version first: were the object replaced between the two calls, a later `Matches` with
        // the older version fails, which is right.
        let info = match found(self.inner.stat(key))? {
            Some(info) if info.bytes == body.len() as u64 => info,
            _ => return Ok(None),
        };
        let there = found(self.inner.get(key))?;
        Ok((there.as_ref() == Some(body)).then_some(info))
    }
}

fn found<T>(result: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match result {
        Err(StoreError::NotFound { .. }) => Ok(None),
        other => other.map(Some),
    }
}

impl<S: Store> Store for Retry<S> {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn place_facts(&self, probe: &Key) -> Result<PlaceFacts, StoreError> {
        self.again(|_| self.inner.place_facts(probe))
    }

    fn access(&self) -> Result<Vec<AccessFact>, StoreError> {
        self.again(|_| self.inner.access())
    }

    fn put(
        &self,
        key: &Key,
        body: Bytes,
        condition: Condition,
    ) -> Result<Option<Version>, StoreError> {
        self.again(
            |made| match self.inner.put(key, body.clone(), condition.clone()) {
                Err(broken @ StoreError::ConditionFailed { .. }) if made > 0 => self
                    .is_ours(key, &body)?
                    .map(|info| info.version)
                    .ok_or(broken),
                other => other,
            },
        )
    }

    fn get(&self, key: &Key) -> Result<Bytes, StoreError> {
        self.again(|_| self.inner.get(key))
    }

    fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.again(|_| self.inner.get_range(key, range.clone()))
    }

    fn stat(&self, key: &Key) -> Result<ObjectInfo, StoreError> {
        self.again(|_| self.inner.stat(key))
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        self.again(|_| self.inner.list(prefix))
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.again(|_| self.inner.delete(key))
    }

    fn retention(&self, key: &Key) -> Result<Option<LockedUntil>, StoreError> {
        self.again(|_| self.inner.retention(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryStore;
    use crate::wrap::{Fault, Faulty, Operation, Rule};
    use std::sync::Mutex;

    /// Sleeps by counting; draws the longest pause.
    #[derive(Default)]
    struct Counted {
        pauses: Mutex<Vec<Duration>>,
        cancel: CancelToken,
    }

    impl Pacing for Counted {
        fn sleep(&self, pause: Duration) {
            self.pauses.lock().unwrap().push(pause);
        }

        fn elapsed(&self) -> Duration {
            self.pauses.lock().unwrap().iter().sum()
        }

        fn fraction(&self) -> f64 {
            1.0
        }

        fn is_cancelled(&self) -> bool {
            self.cancel.is_cancelled()
        }
    }

    fn key() -> Key {
        "a/b".parse().unwrap()
    }

    fn retry(rules: Vec<Rule>) -> (Retry<Faulty<MemoryStore>>, Arc<Counted>, MemoryStore) {
        let memory = MemoryStore::new();
        let faulty = rules
            .into_iter()
            .fold(Faulty::new(memory.clone()), Faulty::with);
        let pacing = Arc::new(Counted::default());
        let policy = RetryPolicy {
            attempts_max: 4,
            total_max: Duration::from_secs(60),
            pause_first: Duration::from_secs(1),
            pause_max: Duration::from_secs(3),
        };
        (Retry::new(faulty, policy, pacing.clone()), pacing, memory)
    }

    #[test]
    fn tries_again_with_growing_bounded_pauses() {
        let (store, pacing, memory) = retry(vec![
            Rule::nth(1, Fault::Fail),
            Rule::nth(2, Fault::Fail),
            Rule::nth(3, Fault::Fail),
        ]);
        store.put(&key(), "x".into(), Condition::Always).unwrap();
        assert_eq!(memory.get(&key()).unwrap(), "x");
        assert_eq!(
            *pacing.pauses.lock().unwrap(),
            [1, 2, 3].map(Duration::from_secs)
        );
    }

    #[test]
    fn gives_up_after_the_last_attempt_with_the_stores_words() {
        let (store, pacing, _) = retry(vec![Rule::from(1, Fault::Fail)]);
        assert!(matches!(
            store.list(""),
            Err(StoreError::Interrupted {
                operation: "list",
                ..
            })
        ));
        assert_eq!(pacing.pauses.lock().unwrap().len(), 3);
    }

    #[test]
    fn gives_up_when_the_time_is_over() {
        let (mut store, pacing, _) = retry(vec![Rule::from(1, Fault::Fail)]);
        store.policy.total_max = Duration::from_secs(2);
        store.get(&key()).unwrap_err();
        assert_eq!(*pacing.pauses.lock().unwrap(), [Duration::from_secs(1)]);
    }

    #[test]
    fn permanent_errors_and_cancelled_work_are_not_tried_again() {
        let (store, pacing, _) = retry(vec![]);
        assert!(matches!(
            store.get(&key()),
            Err(StoreError::NotFound { .. })
        ));
        let (store, cancelled, _) = retry(vec![Rule::from(1, Fault::Fail)]);
        cancelled.cancel.cancel();
        store.get(&key()).unwrap_err();
        assert_eq!(store.inner.calls(), 1);
        assert!(pacing.pauses.lock().unwrap().is_empty());
    }

    #[test]
    fn a_lost_answer_is_not_someone_elses_object() {
        for body in ["x", ""] {
            let (store, _, memory) =
                retry(vec![Rule::nth(1, Fault::LostAnswer).on(Operation::Put)]);
            let version = store.put(&key(), body.into(), Condition::Absent).unwrap();
            assert_eq!(version, memory.stat(&key()).unwrap().version);
        }
        let (store, _, memory) = retry(vec![Rule::nth(1, Fault::LostAnswer).on(Operation::Put)]);
        let old = memory
            .put(&key(), "old".into(), Condition::Always)
            .unwrap()
            .unwrap();
        let version = store
            .put(&key(), "new".into(), Condition::Matches(old))
            .unwrap();
        assert_eq!(version, memory.stat(&key()).unwrap().version);
    }

    #[test]
    fn someone_elses_object_stays() {
        let (store, _, memory) = retry(vec![Rule::nth(1, Fault::Fail).on(Operation::Put)]);
        memory
            .put(&key(), "theirs".into(), Condition::Always)
            .unwrap();
        for ours in ["ours", "theirz"] {
            let error = store
                .put(&key(), ours.into(), Condition::Absent)
                .unwrap_err();
            assert!(
                matches!(error, StoreError::ConditionFailed { .. }),
                "{error:?}"
            );
        }
        assert_eq!(memory.get(&key()).unwrap(), "theirs");
    }

    #[test]
    fn without_a_lost_answer_the_same_bytes_are_still_someone_elses() {
        let (store, _, memory) = retry(vec![]);
        memory
            .put(&key(), "same".into(), Condition::Always)
            .unwrap();
        let error = store
            .put(&key(), "same".into(), Condition::Absent)
            .unwrap_err();
        assert!(
            matches!(error, StoreError::ConditionFailed { .. }),
            "{error:?}"
        );
    }

    #[test]
    fn the_machines_own_pacing_draws_fractions_and_obeys_cancellation() {
        let cancel = CancelToken::new();
        let pacing = SystemPacing::new(cancel.clone());
        for _ in 0..100 {
            assert!((0.0..1.0).contains(&pacing.fraction()));
        }
        cancel.cancel();
        // Would block the test for a day.
        pacing.sleep(Duration::from_secs(86_400));
    }
}
