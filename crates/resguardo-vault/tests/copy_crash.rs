//! Stopped at every call of either store, a copy holds whole backups, and the next run sends the rest.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test: a rig that fails ends the test"
)]

mod rig;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use resguardo_model::{CancelToken, NoProgress};
use resguardo_store::wrap::faulty::{Fault, Rule};
use resguardo_store::wrap::{Call, Faulty, Operation, Record};
use resguardo_store::{MemoryStore, Store};
use resguardo_vault::{Depth, Selection, Vault};
use rig::copies::{assert_whole, filled, key, objects, opened_alone, place, sync};

/// Runs a synchronisation in which one of the stores goes wrong at call `n`, then one in which none does.
fn at_every_call(faulty_copy: bool, rule: impl Fn(u64) -> Rule) {
    let rig = filled();
    let vault_bytes: u64 = objects(&rig.store)
        .values()
        .map(|body| body.len() as u64)
        .sum();
    let largest = objects(&rig.store).values().map(Bytes::len).max().unwrap() as u64;
    for n in 1.. {
        let copy = MemoryStore::new();
        let put_bytes = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&put_bytes);
        let observed = Record::new(copy.clone(), move |call: Call| {
            if call.operation == Operation::Put {
                counted.fetch_add(call.bytes, Ordering::SeqCst);
            }
        });
        let observed = Arc::new(observed);
        let calls;
        let outcome = if faulty_copy {
            let store = Arc::new(Faulty::new(Arc::clone(&observed)).with(rule(n)));
            let outcome = sync(&rig.vault(), &place(Arc::clone(&store)));
            calls = store.calls();
            outcome
        } else {
            let store = Arc::new(Faulty::new(rig.store.clone()).with(rule(n)));
            let vault = Vault::open(store.clone(), rig.access(true, true), rig.settings());
            let outcome = vault.and_then(|vault| sync(&vault, &place(Arc::clone(&observed))));
            calls = store.calls();
            outcome
        };
        // Whatever has a head at the copy is whole there.
        if copy.stat(&key("vault.json")).is_ok() {
            let found = opened_alone(&rig, &copy)
                .verify(
                    &Selection::All,
                    Depth::Digests,
                    &CancelToken::new(),
                    &NoProgress,
                )
                .unwrap();
            let broken = found
                .findings
                .iter()
                .filter(|one| !one.backups_hit.is_empty());
            assert_eq!(broken.count(), 0, "call {n}: {:?}", found.findings);
        }
        if outcome.is_ok() {
            assert_whole(&rig, &copy);
        }
        // The dead run's lease is that of a process which is no more: remove it as its lapse would.
        copy.delete(&key("shop/lease.json")).unwrap();
        sync(&rig.vault(), &place(Arc::clone(&observed))).unwrap();
        assert_eq!(objects(&copy), objects(&rig.store), "call {n}");
        // What was on its way is sent again, and nothing else.
        let small = 100_000;
        let sent = put_bytes.load(Ordering::SeqCst);
        assert!(
            sent <= vault_bytes + 4 * largest + small,
            "call {n}: {sent}"
        );
        if calls < n {
            assert!(n > 10, "a synchronisation takes more calls than {n}");
            return;
        }
    }
}

#[test]
fn killed_at_every_call_of_the_copy() {
    at_every_call(true, |n| Rule::from(n, Fault::Dead));
}

#[test]
fn killed_at_every_call_of_the_vault() {
    at_every_call(false, |n| Rule::from(n, Fault::Dead));
}

#[test]
fn a_lost_answer_or_a_failure_at_every_call_of_the_copy() {
    at_every_call(true, |n| Rule::nth(n, Fault::LostAnswer));
    at_every_call(true, |n| Rule::nth(n, Fault::Fail));
}
