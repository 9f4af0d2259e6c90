//! A pin that comes while a prune is at work: it holds if it is said to, whichever of the two makes its calls when.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test: a rig that fails ends the test"
)]

mod rig;

use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex};

use bytes::Bytes;
use resguardo_store::wrap::{Call, Operation, Record};
use resguardo_store::{
    Capabilities, Condition, Key, MemoryStore, ObjectInfo, Store, StoreError, Version,
};
use resguardo_vault::{PinDraft, Pinned, PruneOptions, VaultError};
use rig::pruning::{Pruning, prune_with};
use rig::{back_up, backup_id, run_id, source};

/// Lets through so many calls as it was told to.
#[derive(Default)]
struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    allowed: u64,
    begun: u64,
    done: u64,
    over: bool,
}

impl Turns {
    fn begin(&self) {
        let mut state = self.state.lock().unwrap();
        while state.begun >= state.allowed {
            state = self.changed.wait(state).unwrap();
        }
        state.begun += 1;
    }

    fn end(&self) {
        self.state.lock().unwrap().done += 1;
        self.changed.notify_all();
    }

    /// Lets through `calls` more and waits until they are done; answers whether there will be others.
    fn advance(&self, calls: u64) -> bool {
        let mut state = self.state.lock().unwrap();
        state.allowed = state.allowed.saturating_add(calls);
        self.changed.notify_all();
        while state.done < state.allowed && !state.over {
            state = self.changed.wait(state).unwrap();
        }
        !state.over
    }

    fn finish(&self) {
        self.state.lock().unwrap().over = true;
        self.changed.notify_all();
    }
}

/// A store whose calls wait for their turn.
struct InTurn {
    inner: MemoryStore,
    turns: Arc<Turns>,
}

impl InTurn {
    fn turn<T>(&self, call: impl FnOnce(&MemoryStore) -> T) -> T {
        self.turns.begin();
        let answer = call(&self.inner);
        self.turns.end();
        answer
    }
}

impl Store for InTurn {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn put(
        &self,
        key: &Key,
        body: Bytes,
        condition: Condition,
    ) -> Result<Option<Version>, StoreError> {
        self.turn(|store| store.put(key, body, condition))
    }

    fn get(&self, key: &Key) -> Result<Bytes, StoreError> {
        self.turn(|store| store.get(key))
    }

    fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.turn(|store| store.get_range(key, range))
    }

    fn stat(&self, key: &Key) -> Result<ObjectInfo, StoreError> {
        self.turn(|store| store.stat(key))
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        self.turn(|store| store.list(prefix))
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.turn(|store| store.delete(key))
    }
}

fn draft() -> PinDraft {
    PinDraft {
        source: source(),
        backup: backup_id(1),
        reason: "contract".to_owned(),
        until: None,
        operator: "ana".to_owned(),
        host: "host".to_owned(),
    }
}

/// Begins `work` in a thread of its own, over `store` and in turns.
fn begin<T: Send + 'static>(
    store: &MemoryStore,
    work: impl FnOnce(Arc<dyn Store>) -> T + Send + 'static,
) -> (Arc<Turns>, std::thread::JoinHandle<T>) {
    let turns = Arc::new(Turns::default());
    let inner = store.clone();
    let theirs = Arc::clone(&turns);
    let thread = std::thread::spawn(move || {
        let in_turn = InTurn {
            inner,
            turns: Arc::clone(&theirs),
        };
        let done =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(Arc::new(in_turn))));
        theirs.finish();
        done.unwrap()
    });
    (turns, thread)
}

/// How one meeting ended: what the pin was said to be, and whether there were calls left at each pause.
struct Met {
    pinned: Result<Pinned, VaultError>,
    prune_went_on: bool,
    pin_went_on: bool,
}

/// A prune makes `first` calls, then the pin `then`, then the prune `more`; then the pin all of its, and the prune the rest.
fn meet(all: &Pruning, first: u64, then: u64, more: u64) -> Met {
    let store = all.rig.store.fork();
    let (pruning, pinning) = (all.rig.sharing(), all.rig.sharing());
    let (prune_turns, prune) = begin(&store, move |store| {
        prune_with(&pruning.vault_over(store), &[1], PruneOptions::default()).map(drop)
    });
    let (pin_turns, pin) = begin(&store, move |store| {
        let vault = pinning.vault_over(store);
        vault.pin(&draft(), run_id(77), std::process::id())
    });
    let prune_went_on = prune_turns.advance(first);
    let pin_went_on = pin_turns.advance(then);
    prune_turns.advance(more);
    pin_turns.advance(u64::MAX);
    prune_turns.advance(u64::MAX);
    let pinned = pin.join().unwrap();
    // Whoever takes the lease of a prune that stands still is not its matter here.
    prune.join().unwrap().unwrap();
    let there = |name: &str| store.stat(&name.parse().unwrap()).is_ok();
    let head = there(&format!("shop/snapshots/{}.head.json", backup_id(1)));
    let pin = there(&format!("shop/pins/{}.json", backup_id(1)));
    let at = format!("{first}, {then}, {more}");
    match &pinned {
        Ok(Pinned::Holds(_)) => assert!(head && pin, "{at}: it was said to hold"),
        Ok(Pinned::Gone) => assert!(!head && !pin, "{at}"),
        Err(VaultError::Locked { .. }) => assert!(!pin, "{at}: it was taken back"),
        Err(other) => panic!("{at}: {other}"),
    }
    Met {
        pinned,
        prune_went_on,
        pin_went_on,
    }
}

#[test]
fn a_pin_that_is_said_to_hold_does_however_it_meets_a_prune() {
    let all = Pruning::with(3);
    let (mut held, mut gone, mut refused) = (0, 0, 0);
    for first in 0.. {
        let mut prune_goes_on = true;
        for then in 0.. {
            let mut pin_goes_on = true;
            for more in [0, 1, 4] {
                let met = meet(&all, first, then, more);
                match met.pinned {
                    Ok(Pinned::Holds(_)) => held += 1,
                    Ok(Pinned::Gone) => gone += 1,
                    Err(_) => refused += 1,
                }
                prune_goes_on = met.prune_went_on;
                pin_goes_on = met.pin_went_on;
            }
            if !pin_goes_on {
                assert!(then > 3, "a pin takes more calls than {then}");
                break;
            }
        }
        if !prune_goes_on {
            assert!(first > 15, "a prune takes more calls than {first}");
            break;
        }
    }
    assert!(
        held > 50 && gone > 50 && refused > 50,
        "{held}, {gone}, {refused}"
    );
}

#[test]
fn a_lease_that_is_let_go_of_between_two_questions_is_taken() {
    let all = Pruning::with(1);
    let inner = all.rig.store.clone();
    let held = all.rig.vault();
    let lease = held
        .acquire_lease(&source(), run_id(50), "elsewhere", std::process::id())
        .unwrap();
    let once = std::sync::Once::new();
    let let_go = Record::new((*all.rig.store).clone(), move |call: Call| {
        if call.operation == Operation::Stat && call.key == "shop/lease.json" {
            once.call_once(|| inner.delete(&call.key.parse().unwrap()).unwrap());
        }
    });
    let vault = all.vault_over(Arc::new(let_go));
    let taken = vault.acquire_lease(&source(), run_id(51), "host", std::process::id());
    assert!(taken.is_ok(), "{taken:?}");
    drop((lease, taken));
}

#[test]
fn a_pin_that_is_taken_back_leaves_that_of_somebody_else_who_came_since() {
    let all = Pruning::with(2);
    let key = format!("shop/pins/{}.json", backup_id(1));
    let lease = all
        .rig
        .vault()
        .acquire_lease(&source(), run_id(50), "elsewhere", std::process::id())
        .unwrap();
    let other = all.rig.vault();
    let theirs = PinDraft {
        operator: "bea".to_owned(),
        ..draft()
    };
    let once = std::sync::Once::new();
    let meanwhile = Record::new((*all.rig.store).clone(), move |call: Call| {
        if call.key == "shop/lease.json" {
            once.call_once(|| drop(other.put_pin(&theirs).unwrap()));
        }
    });
    let vault = all.vault_over(Arc::new(meanwhile));
    let refused = vault.pin(&draft(), run_id(77), std::process::id());
    let is_locked = matches!(refused, Err(VaultError::Locked { .. }));
    assert!(is_locked, "{refused:?}");
    let there = String::from_utf8(all.get(&key).to_vec()).unwrap();
    assert!(there.contains("\"bea\""), "{there}");
    drop(lease);
}

#[test]
fn what_was_pinned_before_stays_so_where_a_prune_is_at_work() {
    let all = Pruning::with(2);
    let vault = all.rig.vault();
    let key = format!("shop/pins/{}.json", backup_id(1));
    vault.put_pin(&draft()).unwrap();
    let before = all.get(&key);
    let lease = vault
        .acquire_lease(&source(), run_id(50), "elsewhere", std::process::id())
        .unwrap();
    let longer = PinDraft {
        reason: "another contract".to_owned(),
        ..draft()
    };
    let pid = std::process::id();
    let refused = vault.pin(&longer, run_id(77), pid);
    assert!(
        matches!(refused, Err(VaultError::Locked { .. })),
        "{refused:?}"
    );
    assert_eq!(all.get(&key), before);
    drop(lease);
    assert!(matches!(
        vault.pin(&longer, run_id(77), pid),
        Ok(Pinned::Holds(_))
    ));
}

#[test]
fn nobody_waits_for_a_backup_with_a_pin_nor_for_a_prune_that_is_dead() {
    let all = Pruning::with(2);
    let vault = all.rig.vault();
    let pid = std::process::id();
    let lease = vault
        .acquire_lease_to_add(&source(), run_id(50), "elsewhere", pid)
        .unwrap();
    assert!(matches!(
        vault.pin(&draft(), run_id(77), pid),
        Ok(Pinned::Holds(_))
    ));
    drop(lease);
    // A lease as it was written before leases said for what they are.
    let lapsed = format!(
        r#"{{"format":1,"run":"{}","host":"gone","pid":1,"acquired_at":"2026-11-22T02:00:00Z","ttl_seconds":900}}"#,
        run_id(51)
    );
    all.put("shop/lease.json", lapsed.into_bytes());
    let refused = vault.pin(&draft(), run_id(78), pid);
    assert!(
        matches!(refused, Err(VaultError::Locked { .. })),
        "{refused:?}"
    );
    all.store_clock.advance(jiff::SignedDuration::from_mins(16));
    assert!(matches!(
        vault.pin(&draft(), run_id(79), pid),
        Ok(Pinned::Holds(_))
    ));
    // The source is free for the next run.
    back_up(&vault, 3, &all.contents[&2]).unwrap();
}
