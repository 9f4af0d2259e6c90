//! Stopped at every store call in turn, the vault keeps what it had and the next backup succeeds.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test: writes files and starts tools directly"
)]

mod rig;

use std::sync::Arc;

use resguardo_model::{CancelToken, NoProgress};
use resguardo_store::wrap::Faulty;
use resguardo_store::wrap::faulty::{Fault, Rule};
use resguardo_store::{Key, MemoryStore, Store};
use resguardo_vault::{Depth, Selection};
use rig::{Files, Rig, assert_restores, back_up, change_page, noise, pages};

fn content() -> Files {
    Files::from([
        ("db.pages".to_owned(), pages(1, 300)),
        ("table.copy".to_owned(), noise(2, 200_000)),
    ])
}

fn changed() -> Files {
    let mut files = content();
    let db = files.get_mut("db.pages").unwrap();
    change_page(db, 3, 77);
    change_page(db, 299, 78);
    files
        .get_mut("table.copy")
        .unwrap()
        .extend(noise(5, 50_000));
    files
}

/// A store that shares the objects of `store` and goes wrong as the rule says.
fn faulty(store: &Arc<MemoryStore>, rule: Rule) -> Arc<Faulty<Arc<dyn Store>>> {
    Arc::new(Faulty::new(store.clone() as Arc<dyn Store>).with(rule))
}

/// Runs a second backup over a store that goes wrong at call `n` until it takes fewer calls than that.
fn at_every_call(rule: impl Fn(u64) -> Rule, mut after: impl FnMut(u64, bool, &Rig)) {
    for n in 1.. {
        let rig = Rig::new();
        let first = back_up(&rig.vault(), 1, &content()).unwrap();
        let store = faulty(&rig.store, rule(n));
        let outcome =
            resguardo_vault::Vault::open(store.clone(), rig.access(true, true), rig.settings())
                .and_then(|vault| back_up(&vault, 2, &changed()));
        let vault = rig.vault();
        let heads = vault.heads(None).unwrap();
        assert_restores(&vault, &heads.heads[0], &content());
        assert_eq!(heads.heads[0].sha256, first.head.sha256);
        // A backup that is there is whole, also if its author never heard of it.
        if let Some(second) = heads.heads.get(1) {
            assert_restores(&vault, second, &changed());
        }
        if outcome.is_ok() {
            assert_eq!(heads.heads.len(), 2, "call {n}: a success is there");
        }
        let found = vault
            .verify(
                &Selection::All,
                Depth::Bytes,
                &CancelToken::new(),
                &NoProgress,
            )
            .unwrap();
        assert_eq!(found.findings, [], "call {n}");
        after(n, outcome.is_ok(), &rig);
        if store.calls() < n {
            assert!(n > 10, "a backup takes more calls than {n}");
            return;
        }
    }
}

#[test]
fn killed_at_every_store_call() {
    at_every_call(
        |n| Rule::from(n, Fault::Dead),
        |n, _, rig| {
            // The dead run's lease is that of a process which is no more: remove it as its lapse would.
            let lease: Key = "shop/lease.json".parse().unwrap();
            rig.store.delete(&lease).unwrap();
            let next = back_up(&rig.vault(), 3, &changed());
            let next = next.unwrap_or_else(|error| panic!("after call {n}: {error}"));
            assert_restores(&rig.vault(), &next.head, &changed());
        },
    );
}

#[test]
fn one_failed_call_is_a_failure_or_no_harm() {
    at_every_call(|n| Rule::nth(n, Fault::Fail), |_, _, _| {});
}

#[test]
fn one_lost_answer_is_a_failure_or_no_harm() {
    at_every_call(|n| Rule::nth(n, Fault::LostAnswer), |_, _, _| {});
}

#[test]
fn a_full_store_is_said_to_be_full() {
    let rig = Rig::new();
    let store = faulty(&rig.store, Rule::from(1, Fault::Full).key("packs"));
    let error = back_up(&rig.vault_over(store), 1, &content()).unwrap_err();
    assert!(error.to_string().contains("no space left"), "{error}");
    assert!(rig.vault().heads(None).unwrap().heads.is_empty());
}
