//! Fault injection, deterministic: rules say at which call what goes wrong.
//!
//! For tests of whatever stands on a store. A rule counts the calls that it fits (by operation and key),
//! from 1; the first rule in force decides over a call. With no rule in force the store passes the
//! contract.

use std::collections::HashSet;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;

use crate::port::{
    AccessFact, BoxError, Capabilities, Condition, Key, LockedUntil, ObjectInfo, PlaceFacts, Store,
    StoreError, Version,
};
use crate::wrap::Operation;

/// What goes wrong with a call.
#[derive(Clone)]
pub enum Fault {
    /// It does not take place: [`StoreError::Interrupted`].
    Fail,
    /// It does not take place, and trying again is pointless ([`StoreError::Other`]). With
    /// [`Rule::from`]: our process died at that call.
    Dead,
    /// It does not take place: [`StoreError::Full`].
    Full,
    /// It does not take place: [`StoreError::Denied`].
    Denied,
    /// It takes place, but its answer is lost: [`StoreError::Interrupted`].
    LostAnswer,
    /// A `put` leaves only the first half of the object, against the contract. `acknowledged`: it
    /// reports success, else [`StoreError::Interrupted`]. Other calls are not touched.
    TornUpload {
        /// Whether the store claims success.
        acknowledged: bool,
    },
    /// A `get` or `get_range` returns its bytes with this bit (counted from the first byte's lowest,
    /// modulo the length) flipped, against the contract. Other calls are not touched.
    BitFlip {
        /// Which bit.
        bit: usize,
    },
    /// A `get` or `get_range` returns the first half of its bytes, against the contract. Other calls
    /// are not touched.
    ShortRead,
    /// It takes this long first. The sleeper is [`Faulty::with_sleeper`]'s.
    Slow(Duration),
    /// Nobody hears of it again for this long, and then not how it ended:
    /// [`StoreError::Interrupted`].
    Timeout {
        /// How long.
        after: Duration,
        /// Whether it took place.
        takes_place: bool,
    },
    /// A `list` does not have the youngest objects yet, against the contract. Other calls are not touched.
    StaleList {
        /// How many of them.
        youngest: usize,
    },
}

/// When what goes wrong.
pub struct Rule {
    first: u64,
    last: u64,
    operation: Option<Operation>,
    key_part: String,
    fault: Fault,
    fitting_calls: AtomicU64,
}

impl Rule {
    /// At the `nth` fitting call, counted from 1, and only then.
    #[must_use]
    pub fn nth(nth: u64, fault: Fault) -> Self {
        Self {
            last: nth,
            ..Self::from(nth, fault)
        }
    }

    /// At the `first` fitting call, counted from 1, and at every one after it.
    #[must_use]
    pub fn from(first: u64, fault: Fault) -> Self {
        Self {
            first,
            last: u64::MAX,
            operation: None,
            key_part: String::new(),
            fault,
            fitting_calls: AtomicU64::new(0),
        }
    }

    /// Fits only calls of `operation`.
    #[must_use]
    pub fn on(mut self, operation: Operation) -> Self {
        self.operation = Some(operation);
        self
    }

    /// Fits only calls whose key (or prefix, for `list`) contains `part`.
    #[must_use]
    pub fn key(mut self, part: &str) -> Self {
        part.clone_into(&mut self.key_part);
        self
    }

    /// Counts the call if it fits, and tells whether the rule is in force for it.
    fn applies(&self, operation: Operation, key: &str) -> bool {
        let fits =
            self.operation.is_none_or(|only| only == operation) && key.contains(&self.key_part);
        fits && {
            let nth = self.fitting_calls.fetch_add(1, Ordering::SeqCst) + 1;
            (self.first..=self.last).contains(&nth)
        }
    }
}

type Sleeper = Arc<dyn Fn(Duration) + Send + Sync>;

/// A store with faults.
pub struct Faulty<S> {
    inner: S,
    rules: Vec<Rule>,
    calls: AtomicU64,
    struck: Arc<AtomicU64>,
    sleeper: Sleeper,
}

impl<S: Store> Faulty<S> {
    /// Wraps `inner`; no rule yet.
    #[must_use]
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            rules: Vec::new(),
            calls: AtomicU64::new(0),
            struck: Arc::default(),
            sleeper: Arc::new(std::thread::sleep),
        }
    }

    /// With one more rule.
    #[must_use]
    pub fn with(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Calls for which a rule was in force are counted in `struck` as well.
    #[must_use]
    pub fn with_counter(mut self, struck: Arc<AtomicU64>) -> Self {
        self.struck = struck;
        self
    }

    /// [`Fault::Slow`] calls `sleeper` in place of the thread's sleep.
    #[must_use]
    pub fn with_sleeper(mut self, sleeper: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        self.sleeper = Arc::new(sleeper);
        self
    }

    /// How many calls there were in all, those that failed included.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// The wrapped store, without faults.
    #[must_use]
    pub fn inner(&self) -> &S {
        &self.inner
    }

    fn call<T>(
        &self,
        operation: Operation,
        key: &str,
        run: impl FnOnce(Option<&Fault>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        // Every rule counts every call that fits it, also where an earlier rule decides.
        let in_force: Vec<_> = self
            .rules
            .iter()
            .filter(|rule| rule.applies(operation, key))
            .collect();
        let fault = in_force.first().map(|rule| &rule.fault);
        if fault.is_some() {
            self.struck.fetch_add(1, Ordering::SeqCst);
        }
        let (operation, key) = (operation.name(), key.to_owned());
        match fault {
            Some(Fault::Fail) => Err(StoreError::Interrupted {
                operation,
                key,
                source: injected("failed"),
            }),
            Some(Fault::Dead) => Err(StoreError::Other {
                operation,
                key,
                source: injected("dead"),
            }),
            Some(Fault::Full) => Err(StoreError::Full {
                operation,
                key,
                source: injected("full"),
            }),
            Some(Fault::Denied) => Err(StoreError::Denied {
                operation,
                key,
                source: injected("denied"),
            }),
            Some(Fault::LostAnswer) => run(None).and_then(|_| {
                Err(StoreError::Interrupted {
                    operation,
                    key,
                    source: injected("answer lost"),
                })
            }),
            Some(Fault::Slow(pause)) => {
                (self.sleeper)(*pause);
                run(None)
            }
            Some(Fault::Timeout { after, takes_place }) => {
                if *takes_place {
                    run(None)?;
                }
                (self.sleeper)(*after);
                let source = injected("timed out");
                Err(StoreError::Interrupted {
                    operation,
                    key,
                    source,
                })
            }
            other => run(other),
        }
    }
}

fn injected(what: &str) -> BoxError {
    io::Error::other(format!("injected fault: {what}")).into()
}

/// What a read makes of its bytes under a fault.
fn damaged(body: Bytes, fault: Option<&Fault>) -> Bytes {
    match fault {
        Some(Fault::BitFlip { bit }) if !body.is_empty() => {
            let mut bytes = body.to_vec();
            let bit = bit % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes.into()
        }
        Some(Fault::ShortRead) => body.slice(..body.len() / 2),
        _ => body,
    }
}

/// A listing from before the youngest objects were written; it stays in the order of keys.
fn without_youngest(mut listed: Vec<ObjectInfo>, youngest: usize) -> Vec<ObjectInfo> {
    let mut times: Vec<_> = listed
        .iter()
        .map(|info| (info.modified_at, info.key.clone()))
        .collect();
    times.sort_unstable();
    let kept = times.len().saturating_sub(youngest);
    let hidden: HashSet<Key> = times.drain(kept..).map(|(_, key)| key).collect();
    listed.retain(|info| !hidden.contains(&info.key));
    listed
}

impl<S: Store> Store for Faulty<S> {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn place_facts(&self, probe: &Key) -> Result<PlaceFacts, StoreError> {
        self.inner.place_facts(probe)
    }

    fn access(&self) -> Result<Vec<AccessFact>, StoreError> {
        self.inner.access()
    }

    fn put(
        &self,
        key: &Key,
        body: Bytes,
        condition: Condition,
    ) -> Result<Option<Version>, StoreError> {
        self.call(Operation::Put, key.as_str(), |fault| match fault {
            Some(Fault::TornUpload { acknowledged }) => {
                let version = self
                    .inner
                    .put(key, body.slice(..body.len() / 2), condition)?;
                if *acknowledged {
                    return Ok(version);
                }
                let source = injected("torn upload");
                Err(StoreError::Interrupted {
                    operation: "put",
                    key: key.to_string(),
                    source,
                })
            }
            _ => self.inner.put(key, body, condition),
        })
    }

    fn get(&self, key: &Key) -> Result<Bytes, StoreError> {
        self.call(Operation::Get, key.as_str(), |fault| {
            Ok(damaged(self.inner.get(key)?, fault))
        })
    }

    fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.call(Operation::GetRange, key.as_str(), |fault| {
            Ok(damaged(self.inner.get_range(key, range)?, fault))
        })
    }

    fn stat(&self, key: &Key) -> Result<ObjectInfo, StoreError> {
        self.call(Operation::Stat, key.as_str(), |_| self.inner.stat(key))
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        self.call(Operation::List, prefix, |fault| {
            let listed = self.inner.list(prefix)?;
            Ok(match fault {
                Some(Fault::StaleList { youngest }) => without_youngest(listed, *youngest),
                _ => listed,
            })
        })
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.call(Operation::Delete, key.as_str(), |_| self.inner.delete(key))
    }

    fn retention(&self, key: &Key) -> Result<Option<LockedUntil>, StoreError> {
        self.call(Operation::Retention, key.as_str(), |_| {
            self.inner.retention(key)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryStore;

    fn key() -> Key {
        "shop/packs/1".parse().unwrap()
    }

    fn store(rule: Rule) -> Faulty<MemoryStore> {
        let store = Faulty::new(MemoryStore::new()).with(rule);
        store
            .inner()
            .put(&key(), "abcd".into(), Condition::Always)
            .unwrap();
        store
    }

    #[test]
    fn nth_fails_once_and_from_fails_on() {
        let once = store(Rule::nth(2, Fault::Fail));
        let ends: Vec<_> = (0..4).map(|_| once.get(&key()).is_ok()).collect();
        assert_eq!(ends, [true, false, true, true]);
        let dead = store(Rule::from(3, Fault::Dead));
        let ends: Vec<_> = (0..4).map(|_| dead.get(&key()).is_ok()).collect();
        assert_eq!(ends, [true, true, false, false]);
        assert!(dead.stat(&key()).unwrap_err().is_permanent());
        assert_eq!(dead.calls(), 5);
        assert_eq!(dead.struck.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn rules_count_only_what_fits_them() {
        let store = store(Rule::nth(1, Fault::Full).on(Operation::Put).key("index/"));
        store.get(&key()).unwrap();
        store.put(&key(), "x".into(), Condition::Always).unwrap();
        let other: Key = "shop/index/1".parse().unwrap();
        let error = store
            .put(&other, "x".into(), Condition::Always)
            .unwrap_err();
        assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
        assert!(store.inner().get(&other).is_err());
        store.put(&other, "x".into(), Condition::Always).unwrap();
    }

    #[test]
    fn a_lost_answer_and_a_torn_upload_leave_their_traces() {
        let lost = store(Rule::nth(1, Fault::LostAnswer));
        assert!(
            !lost
                .put(&key(), "new".into(), Condition::Always)
                .unwrap_err()
                .is_permanent()
        );
        assert_eq!(lost.get(&key()).unwrap(), "new");

        for acknowledged in [false, true] {
            let torn = store(Rule::nth(1, Fault::TornUpload { acknowledged }));
            let result = torn.put(&key(), "123456".into(), Condition::Always);
            assert_eq!(result.is_ok(), acknowledged);
            assert_eq!(torn.get(&key()).unwrap(), "123");
        }
    }

    #[test]
    fn reads_are_damaged_and_slowed() {
        assert_eq!(
            store(Rule::nth(1, Fault::BitFlip { bit: 9 }))
                .get(&key())
                .unwrap(),
            "a`cd"
        );
        assert_eq!(
            store(Rule::nth(1, Fault::ShortRead))
                .get_range(&key(), 0..4)
                .unwrap(),
            "ab"
        );
        let slept = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&slept);
        let slow = store(Rule::nth(1, Fault::Slow(Duration::from_secs(7))))
            .with_sleeper(move |pause| seen.store(pause.as_secs(), Ordering::SeqCst));
        assert_eq!(slow.get(&key()).unwrap(), "abcd");
        assert_eq!(slept.load(Ordering::SeqCst), 7);
        for takes_place in [false, true] {
            let after = Duration::from_secs(9);
            let seen = Arc::clone(&slept);
            let slow = store(Rule::nth(1, Fault::Timeout { after, takes_place }))
                .with_sleeper(move |pause| seen.store(pause.as_secs(), Ordering::SeqCst));
            let error = slow.delete(&key()).unwrap_err();
            assert!(!error.is_permanent(), "{error}");
            assert_eq!(slow.get(&key()).is_err(), takes_place);
            assert_eq!(slept.load(Ordering::SeqCst), 9);
        }
        let stale = store(Rule::nth(1, Fault::StaleList { youngest: 1 }));
        assert_eq!(stale.list("").unwrap(), []);
        assert_eq!(stale.list("").unwrap().len(), 1);
        assert!(matches!(
            store(Rule::nth(1, Fault::Denied)).delete(&key()),
            Err(StoreError::Denied {
                operation: "delete",
                ..
            })
        ));
    }
}
