//! Trying a place out, for `init` and `doctor`: what it can do, and whether it keeps the contract.
//!
//! Objects are written below `_probe/` and removed again, also when the trial fails half-way; only a host
//! that may not delete, and a place that locks every new object, leave them.

use bytes::Bytes;
use jiff::SignedDuration;
use resguardo_model::Clock;

use crate::port::{Condition, Key, PlaceFacts, Store, StoreError};

/// What was seen. Serves as the record that the vault keeps of its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// A second `put` under [`Condition::Absent`] was refused, and the first bytes stayed. `None`: the
    /// store says it cannot put conditionally.
    pub absent_refuses: Option<bool>,
    /// A `put` under [`Condition::Matches`] was refused after the object had changed, and done before.
    /// `None`: the store says it cannot put conditionally.
    pub matches_refuses: Option<bool>,
    /// The trial's objects could be removed. `false`: this host may not delete, and they stay.
    pub may_delete: bool,
    /// The store's time less ours; coarse by a second on most object stores, and by the duration of a
    /// `put`.
    pub clock_ahead: SignedDuration,
    /// What the place tells of itself.
    pub facts: PlaceFacts,
}

impl Probe {
    /// Whether leases and commits are safe here.
    #[must_use]
    pub fn conditions_hold(&self) -> bool {
        self.absent_refuses == Some(true) && self.matches_refuses == Some(true)
    }
}

/// Tries `store` out. `nonce` (1 to 60 of `a-z 0-9 -`) keeps two trials at the same time apart.
///
/// # Errors
/// Whatever a call fails with; a place that may not be written to is [`StoreError::Denied`]. A broken
/// condition is no error but an answer.
pub fn probe(store: &dyn Store, clock: &dyn Clock, nonce: &str) -> Result<Probe, StoreError> {
    let key = |name: &str| {
        format!("_probe/{nonce}-{name}")
            .parse::<Key>()
            .map_err(|error| StoreError::Other {
                operation: "probe",
                key: nonce.to_owned(),
                source: error.into(),
            })
    };
    let (object, facts) = (key("object")?, key("facts")?);
    let seen = look(store, clock, &object, &facts);
    // Removed in every case; of two errors the first says more.
    let removed = store.delete(&object).and_then(|()| store.delete(&facts));
    let seen = seen?;
    match removed {
        // A lock that every new object gets says nothing of this host's permissions.
        Ok(()) | Err(StoreError::Locked { .. }) => Ok(seen),
        // As it should be for a host that only writes.
        Err(StoreError::Denied { .. }) => Ok(Probe {
            may_delete: false,
            ..seen
        }),
        Err(error) => Err(error),
    }
}

fn look(
    store: &dyn Store,
    clock: &dyn Clock,
    object: &Key,
    facts: &Key,
) -> Result<Probe, StoreError> {
    let first = Bytes::from_static(b"first");
    let before = clock.now();
    store.put(object, first.clone(), Condition::Always)?;
    let half = clock.now().duration_since(before) / 2;
    let info = store.stat(object)?;
    let clock_ahead = info.modified_at.duration_since(before) - half;
    let (mut absent_refuses, mut matches_refuses) = (None, None);
    if store.capabilities().conditional_put {
        let refused = refuses(store, object, "second", Condition::Absent)?;
        absent_refuses = Some(refused && store.get(object)? == first);
        matches_refuses = Some(match store.stat(object)?.version {
            None => false,
            Some(version) => {
                let matching = Condition::Matches(version);
                let done = !refuses(store, object, "third", matching.clone())?;
                done && refuses(store, object, "fourth", matching)?
            }
        });
    }
    let facts = store.place_facts(facts)?;
    Ok(Probe {
        absent_refuses,
        matches_refuses,
        may_delete: true,
        clock_ahead,
        facts,
    })
}

/// Whether the store refuses the `put` because of its condition.
fn refuses(
    store: &dyn Store,
    key: &Key,
    body: &'static str,
    condition: Condition,
) -> Result<bool, StoreError> {
    match store.put(key, body.into(), condition) {
        Ok(_) => Ok(false),
        Err(StoreError::ConditionFailed { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryStore;
    use crate::wrap::{Fault, Faulty, Operation, Rule};
    use resguardo_testkit::FakeClock;
    use std::sync::Arc;

    fn ours() -> FakeClock {
        FakeClock::at("2026-11-22T08:00:00Z")
    }

    #[test]
    fn a_sound_place() {
        let theirs = Arc::new(FakeClock::at("2026-11-22T08:01:30Z"));
        let store = MemoryStore::with_clock(theirs);
        let seen = probe(&store, &ours(), "01").unwrap();
        assert!(seen.conditions_hold());
        assert_eq!(seen.clock_ahead.as_secs(), 90);
        assert_eq!(seen.facts, PlaceFacts::default());
        assert!(store.list("").unwrap().is_empty());
    }

    /// Takes every condition for `Always`, as some services do.
    struct Careless(MemoryStore);

    impl Store for Careless {
        fn describe(&self) -> String {
            self.0.describe()
        }
        fn capabilities(&self) -> crate::Capabilities {
            self.0.capabilities()
        }
        fn put(
            &self,
            key: &Key,
            body: Bytes,
            _condition: Condition,
        ) -> Result<Option<crate::Version>, StoreError> {
            self.0.put(key, body, Condition::Always)
        }
        fn get(&self, key: &Key) -> Result<Bytes, StoreError> {
            self.0.get(key)
        }
        fn get_range(&self, key: &Key, range: std::ops::Range<u64>) -> Result<Bytes, StoreError> {
            self.0.get_range(key, range)
        }
        fn stat(&self, key: &Key) -> Result<crate::ObjectInfo, StoreError> {
            self.0.stat(key)
        }
        fn list(&self, prefix: &str) -> Result<Vec<crate::ObjectInfo>, StoreError> {
            self.0.list(prefix)
        }
        fn delete(&self, key: &Key) -> Result<(), StoreError> {
            self.0.delete(key)
        }
    }

    #[test]
    fn a_place_that_ignores_conditions_is_found_out() {
        let seen = probe(&Careless(MemoryStore::new()), &ours(), "01").unwrap();
        assert_eq!(
            (seen.absent_refuses, seen.matches_refuses),
            (Some(false), Some(false))
        );
        assert!(!seen.conditions_hold());
    }

    #[test]
    fn objects_are_removed_after_a_failure_too() {
        for nth in 1..=9 {
            let memory = MemoryStore::new();
            let store = Faulty::new(memory.clone()).with(Rule::nth(nth, Fault::Fail));
            assert_eq!(
                probe(&store, &ours(), "01").is_err(),
                nth <= store.calls(),
                "call {nth}"
            );
            let left = memory.list("").unwrap().len();
            assert!(
                left == 0 || nth > 7,
                "call {nth} was not a delete, and left something"
            );
        }
        let denied =
            Faulty::new(MemoryStore::new()).with(Rule::from(1, Fault::Denied).on(Operation::Put));
        assert!(matches!(
            probe(&denied, &ours(), "01"),
            Err(StoreError::Denied { .. })
        ));
        assert!(probe(&MemoryStore::new(), &ours(), "no key/../").is_err());
    }

    #[test]
    fn a_place_that_locks_what_is_new_is_no_lack_of_permission() {
        let store = MemoryStore::new();
        store.lock_until("", "9999-01-01T00:00:00Z".parse().unwrap());
        let seen = probe(&store, &ours(), "01").unwrap();
        assert!(seen.may_delete && seen.conditions_hold());
    }

    #[test]
    fn a_host_that_may_not_delete_says_so() {
        let store = Faulty::new(MemoryStore::new())
            .with(Rule::from(1, Fault::Denied).on(Operation::Delete));
        let seen = probe(&store, &ours(), "01").unwrap();
        assert!(!seen.may_delete && seen.conditions_hold());
        assert!(
            probe(&MemoryStore::new(), &ours(), "01")
                .unwrap()
                .may_delete
        );
    }
}
