//! A prune that is stopped at every store call in turn loses nothing alive, and the next ones leave nothing dead.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test: writes files and starts tools directly"
)]

mod rig;

use std::sync::Arc;

use resguardo_model::Clock;
use resguardo_store::Store;
use resguardo_store::wrap::Faulty;
use resguardo_store::wrap::faulty::{Fault, Rule};
use resguardo_vault::{PruneOptions, Vault};
use rig::pruning::{Pruning, prune_with};

/// Of backups 1 to 6: 4 has been pruned, and what only it needed is ripe to go; 2 and 5 are to go now.
fn ripe() -> Pruning {
    let mut all = Pruning::with(5);
    all.prune(&[4]);
    all.hours_pass(25);
    all.back_up(6);
    all
}

/// Prunes over a store that goes wrong at call `n`, until it takes fewer calls than that.
fn at_every_call(rule: impl Fn(u64) -> Rule) {
    let ripe = ripe();
    let begin = ripe.store_clock.now();
    for n in 1.. {
        ripe.store_clock.set(begin);
        let all = ripe.forked();
        let inner = all.rig.store.clone() as Arc<dyn Store>;
        let store = Arc::new(Faulty::new(inner).with(rule(n)));
        let opened = Vault::open(
            store.clone(),
            all.rig.access(true, true),
            all.rig.settings(),
        );
        let outcome = opened.and_then(|vault| prune_with(&vault, &[2, 5], PruneOptions::default()));
        // Whatever became of it: all that is left is whole, and no alarm is raised.
        let left: Vec<u64> = (1..=6)
            .filter(|number| {
                let id = rig::backup_id(*number);
                all.heads().iter().any(|stored| stored.head.backup == id)
            })
            .collect();
        assert!([1, 3, 6].iter().all(|kept| left.contains(kept)), "call {n}");
        assert_eq!(all.verify(), [], "call {n}");
        if let Ok(outcome) = outcome {
            assert_eq!(left.len() + outcome.removed.len(), 5, "call {n}");
        }
        all.drop_lease();
        all.prune(&[2, 5]);
        all.hours_pass(25);
        all.prune(&[]);
        all.hours_pass(25);
        let last = all.prune(&[]);
        assert_eq!(
            (last.buried.objects, last.waiting.objects),
            (0, 0),
            "call {n}"
        );
        all.assert_holds(&[1, 3, 6]);
        all.assert_nothing_dead();
        if store.calls() < n {
            assert!(n > 20, "a prune takes more calls than {n}");
            return;
        }
    }
}

#[test]
fn killed_at_every_store_call() {
    at_every_call(|n| Rule::from(n, Fault::Dead));
}

#[test]
fn one_failed_call_is_a_failure_or_no_harm() {
    at_every_call(|n| Rule::nth(n, Fault::Fail));
}

#[test]
fn one_lost_answer_is_a_failure_or_no_harm() {
    at_every_call(|n| Rule::nth(n, Fault::LostAnswer));
}

#[test]
fn a_store_that_fills_up_in_the_midst_is_pruned_later() {
    at_every_call(|n| Rule::from(n, Fault::Full));
}
