//! Backups that are frozen, or take too long, while prunes go by.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test: writes files and starts tools directly"
)]

mod rig;

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use resguardo_model::{CancelToken, FileKind};
use resguardo_store::Store;
use resguardo_store::wrap::faulty::{Fault, Rule};
use resguardo_store::wrap::{Faulty, Operation};
use resguardo_vault::{Committed, PruneOptions, VaultError};
use rig::pruning::{Pruning, prune_with};
use rig::{Files, back_up, backup_id, description, run_id, source};

/// Takes backup 9 over a store in which, right before the head is written, `meanwhile` happens.
fn frozen_at_its_head(
    all: &mut Pruning,
    meanwhile: impl Fn(&Pruning) + Send + Sync + 'static,
) -> Result<Committed, VaultError> {
    let files = all.change(9);
    all.contents.insert(9, files.clone());
    let store = all.rig.store.clone() as Arc<dyn Store>;
    let rule = Rule::nth(1, Fault::Slow(Duration::ZERO))
        .on(Operation::Put)
        .key(".head.json");
    let others = all.sharing();
    let store = Faulty::new(store)
        .with(rule)
        .with_sleeper(move |_| meanwhile(&others));
    back_up(&all.vault_over(Arc::new(store)), 9, &files)
}

#[test]
fn a_head_that_comes_to_stand_after_the_grace_is_taken_back() {
    let mut all = Pruning::with(3);
    let done = frozen_at_its_head(&mut all, |others| {
        others.store_clock.advance(SignedDuration::from_mins(20));
        assert!(
            others.prune(&[3]).buried.objects > 3,
            "its packs are named by no head"
        );
        others.hours_pass(25);
        assert!(others.prune(&[]).deleted.objects > 3);
    });
    let error = done.unwrap_err();
    assert!(matches!(error, VaultError::RanTooLong { .. }), "{error}");
    all.assert_holds(&[1, 2]);
    all.back_up(10);
    all.assert_holds(&[1, 2, 10]);
}

#[test]
fn a_head_that_comes_to_stand_within_the_grace_finds_its_packs() {
    let mut all = Pruning::with(3);
    let done = frozen_at_its_head(&mut all, |others| {
        others.store_clock.advance(SignedDuration::from_mins(20));
        // The one that it is compared with goes as well.
        others.prune(&[3]);
        others.hours_pass(23);
        others.prune(&[]);
    });
    done.unwrap();
    all.hours_pass(2);
    all.prune(&[]);
    all.assert_holds(&[1, 2, 9]);
    all.hours_pass(25);
    all.prune(&[]);
    all.assert_holds(&[1, 2, 9]);
    all.assert_nothing_dead();
}

#[test]
fn an_old_grave_of_what_it_refers_to_does_not_shorten_the_grace() {
    let mut all = Pruning::with(3);
    // What backup 3 needs was once taken for dead, on a host without memory.
    let head = format!("shop/snapshots/{}.head.json", backup_id(3));
    let key = head.parse().unwrap();
    let bytes = all.rig.store.get(&key).unwrap();
    all.rig.store.delete(&key).unwrap();
    all.rig.lose_cache();
    all.prune(&[]);
    all.rig
        .store
        .put(&key, bytes, resguardo_store::Condition::Always)
        .unwrap();
    all.hours_pass(20);
    let done = frozen_at_its_head(&mut all, |others| {
        others.store_clock.advance(SignedDuration::from_mins(20));
        others.prune(&[3]);
        others.hours_pass(10);
        assert_eq!(others.prune(&[]).deleted.objects, 0);
    });
    done.unwrap();
    all.assert_holds(&[1, 2, 9]);
}

/// Begins backup 9, lets `meanwhile` happen, and commits it.
fn frozen_while_it_reads(
    all: &mut Pruning,
    meanwhile: impl FnOnce(&Pruning),
) -> Result<Committed, VaultError> {
    let files: Files = all.change(9);
    let vault = all.rig.vault();
    let lease = vault.acquire_lease(&source(), run_id(9), "host", std::process::id())?;
    let writer = vault.begin_snapshot(lease, backup_id(9), &CancelToken::new())?;
    let mut file = writer.open_file(&"table.copy".parse().unwrap(), FileKind::Stream)?;
    file.write(&files["table.copy"])?;
    file.finish()?;
    meanwhile(all);
    writer.commit(description())
}

#[test]
fn a_backup_whose_lease_lapsed_cannot_commit_after_a_prune() {
    let mut all = Pruning::with(3);
    let done = frozen_while_it_reads(&mut all, |others| {
        others.store_clock.advance(SignedDuration::from_mins(20));
        others.prune(&[3]);
    });
    let error = done.unwrap_err();
    assert!(matches!(error, VaultError::LeaseLost(_)), "{error}");
    all.assert_holds(&[1, 2]);
    all.hours_pass(25);
    all.prune(&[]);
    all.hours_pass(25);
    all.prune(&[]);
    all.assert_nothing_dead();
}

#[test]
fn a_backup_that_ran_longer_than_the_grace_does_not_commit() {
    let mut all = Pruning::with(2);
    let done = frozen_while_it_reads(&mut all, |others| others.hours_pass(25));
    let error = done.unwrap_err();
    assert!(matches!(error, VaultError::RanTooLong { .. }), "{error}");
    assert!(error.to_string().contains("24h"), "{error}");
    all.assert_holds(&[1, 2]);
}

#[test]
fn a_prune_waits_for_no_backup_that_runs() {
    let mut all = Pruning::with(2);
    let done = frozen_while_it_reads(&mut all, |others| {
        let vault = others.rig.vault();
        let error = prune_with(&vault, &[1], PruneOptions::default()).unwrap_err();
        assert!(matches!(error, VaultError::Locked { .. }), "{error}");
    });
    done.unwrap();
}
