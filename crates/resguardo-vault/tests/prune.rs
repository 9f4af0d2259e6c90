//! Pruning: what goes, when, what stays whatever happens, and how a missing head is explained.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test: writes files and starts tools directly"
)]

mod rig;

use std::sync::Arc;

use jiff::SignedDuration;
use resguardo_model::{CancelToken, FindingKind, NoProgress};
use resguardo_store::wrap::faulty::{Fault, Rule};
use resguardo_store::wrap::{Faulty, Operation};
use resguardo_store::{Key, Store};
use resguardo_vault::{KeptBecause, PruneOptions, Space, VaultError};
use rig::pruning::{Pruning, prune_with};
use rig::{Rig, back_up, backup_id, run_id, source};

#[test]
fn what_no_head_names_goes_after_the_grace_and_not_before() {
    let all = Pruning::with(4);
    let heads = all.heads();
    let frees = Space::freed_by(&heads, &[backup_id(2), backup_id(3)]);
    assert!(frees > 0);
    let first = all.prune(&[2, 3]);
    assert_eq!(first.removed, [backup_id(2), backup_id(3)]);
    assert_eq!(first.kept, []);
    assert_eq!((first.buried.bytes, first.waiting.bytes), (frees, frees));
    assert_eq!(first.deleted.objects, 0);
    all.assert_holds(&[1, 4]);

    all.hours_pass(23);
    let second = all.prune(&[]);
    assert_eq!((second.buried.objects, second.deleted.objects), (0, 0));
    assert_eq!(second.waiting_until, first.waiting_until);
    all.hours_pass(2);
    let third = all.prune(&[]);
    assert_eq!((third.deleted.bytes, third.waiting.bytes), (frees, 0));
    assert_eq!(third.waiting_until, None);
    all.assert_holds(&[1, 4]);
    all.assert_nothing_dead();
}

#[test]
fn at_the_begin_in_the_middle_at_the_end_and_again() {
    let mut all = Pruning::with(6);
    for doomed in [&[1][..], &[3, 4], &[6], &[2]] {
        all.prune(doomed);
        assert_eq!(all.kinds(), [], "after {doomed:?}");
    }
    all.assert_holds(&[5]);
    let record = all.only_record();
    // The newest was pruned: the next one follows it all the same.
    all.back_up(7);
    let newest = all.heads().pop().unwrap();
    assert_eq!(newest.head.sequence, 7);
    all.assert_holds(&[5, 7]);
    assert_eq!(all.only_record(), record);
    // Whoever looks for the first time sees the same.
    all.rig.lose_cache();
    all.assert_holds(&[5, 7]);
    all.prune(&[5, 7]);
    all.assert_holds(&[]);
    all.back_up(8);
    assert_eq!(all.heads()[0].head.sequence, 8);
    all.assert_holds(&[8]);
    all.hours_pass(25);
    all.prune(&[]);
    all.assert_holds(&[8]);
    all.assert_nothing_dead();
}

#[test]
fn what_a_run_that_died_left_behind_goes_too() {
    let mut all = Pruning::with(1);
    let store = all.rig.store.clone() as Arc<dyn Store>;
    let store = Arc::new(
        Faulty::new(store).with(
            Rule::from(1, Fault::Dead)
                .key(".head.json")
                .on(Operation::Put),
        ),
    );
    let files = all.change(2);
    back_up(&all.vault_over(store), 2, &files).unwrap_err();
    let left = all.prune(&[]).buried;
    assert!(
        left.objects >= 3,
        "a pack, an index object, a manifest: {left:?}"
    );
    all.hours_pass(25);
    assert_eq!(all.prune(&[]).deleted, left);
    all.assert_holds(&[1]);
    all.assert_nothing_dead();
}

#[test]
fn only_the_stores_clock_counts() {
    let all = Pruning::with(3);
    all.prune(&[2]);
    all.rig.clock.advance(SignedDuration::from_hours(24 * 365));
    assert_eq!(
        all.prune(&[]).deleted.objects,
        0,
        "this machine's clock ran ahead"
    );
    all.store_clock.advance(SignedDuration::from_hours(-48));
    assert_eq!(
        all.prune(&[]).deleted.objects,
        0,
        "the store's clock was set back"
    );
    all.hours_pass(47);
    assert_eq!(all.prune(&[]).deleted.objects, 0);
    all.hours_pass(26);
    assert!(all.prune(&[]).deleted.objects > 0);
    all.assert_nothing_dead();
}

#[test]
fn a_source_that_is_held_is_not_pruned_and_two_prunes_exclude_each_other() {
    let all = Pruning::with(2);
    let vault = all.rig.vault();
    let lease = vault
        .acquire_lease(&source(), run_id(800), "another", std::process::id())
        .unwrap();
    let error = prune_with(&vault, &[1], PruneOptions::default()).unwrap_err();
    assert!(matches!(error, VaultError::Locked { .. }), "{error}");
    drop(lease);
    all.prune(&[1]);
    all.assert_holds(&[2]);
}

#[test]
fn a_prune_that_lost_its_lease_stops() {
    let all = Pruning::with(2);
    let vault = all.rig.vault();
    let lease = vault
        .acquire_lease(&source(), run_id(800), "host", std::process::id())
        .unwrap();
    all.store_clock.advance(SignedDuration::from_mins(16));
    let taken = vault.acquire_lease(&source(), run_id(801), "another", std::process::id());
    let doomed = [backup_id(1)];
    let options = PruneOptions::default();
    let error = vault
        .prune(&lease, &doomed, &options, &CancelToken::new(), &NoProgress)
        .unwrap_err();
    assert!(matches!(error, VaultError::LeaseLost(_)), "{error}");
    drop(taken);
    all.assert_holds(&[1, 2]);
}

#[test]
fn a_cancelled_prune_stops_before_it_begins() {
    let all = Pruning::with(2);
    let vault = all.rig.vault();
    let lease = vault
        .acquire_lease(&source(), run_id(800), "host", std::process::id())
        .unwrap();
    let cancel = CancelToken::new();
    cancel.cancel();
    let options = PruneOptions::default();
    let error = vault
        .prune(&lease, &[backup_id(1)], &options, &cancel, &NoProgress)
        .unwrap_err();
    assert!(matches!(error, VaultError::Cancelled(_)), "{error}");
    drop(lease);
    all.assert_holds(&[1, 2]);
}

#[test]
fn without_leave_to_delete_nothing_is_changed() {
    let all = Pruning::with(3);
    let before = all.keys("shop");
    let store = all.rig.store.clone() as Arc<dyn Store>;
    let rule = Rule::from(1, Fault::Denied).on(Operation::Delete);
    let vault = all.vault_over(Arc::new(Faulty::new(store).with(rule)));
    let error = prune_with(&vault, &[1], PruneOptions::default()).unwrap_err();
    assert!(matches!(error, VaultError::MayNotDelete { .. }), "{error}");
    all.drop_lease();
    assert_eq!(all.keys("shop"), before);
    all.assert_holds(&[1, 2, 3]);
}

#[test]
fn a_head_that_the_store_refuses_to_delete_stays_alive() {
    let mut all = Pruning::with(3);
    let store = all.rig.store.clone() as Arc<dyn Store>;
    let rule = Rule::from(1, Fault::Denied)
        .on(Operation::Delete)
        .key(&format!("{}.head", backup_id(2)));
    let vault = all.vault_over(Arc::new(Faulty::new(store).with(rule)));
    let done = prune_with(&vault, &[1, 2], PruneOptions::default()).unwrap();
    assert_eq!(done.removed, [backup_id(1)]);
    assert_eq!(done.kept, [(backup_id(2), KeptBecause::Refused(None))]);
    all.hours_pass(25);
    all.prune(&[]);
    all.assert_holds(&[2, 3]);
    // It is alive, so its loss by another hand is an alarm again once a prune has gone by.
    all.prune(&[3]);
    all.back_up(4);
    all.assert_holds(&[2, 4]);
    let key: Key = format!("shop/snapshots/{}.head.json", backup_id(2))
        .parse()
        .unwrap();
    all.rig.store.delete(&key).unwrap();
    assert_eq!(all.kinds(), [FindingKind::HeadMissing]);
}

#[test]
fn locks_are_respected_and_told() {
    let all = Pruning::with(3);
    let until = "2026-12-24T00:00:00Z".parse().unwrap();
    all.rig
        .store
        .lock_until(&format!("{}.head", backup_id(1)), until);
    all.rig.store.lock_until("shop/packs", until);
    let done = all.prune(&[1, 3]);
    assert_eq!(
        done.kept,
        [(backup_id(1), KeptBecause::Refused(Some(until)))]
    );
    assert_eq!(done.removed, [backup_id(3)]);
    all.hours_pass(25);
    let again = all.prune(&[]);
    assert!(again.refused.objects > 0 && again.refused == again.waiting);
    assert_eq!(again.refused_until, Some(until));
    all.assert_holds(&[1, 2]);
    all.store_clock.set(until);
    let done = all.prune(&[1]);
    assert_eq!(done.removed, [backup_id(1)]);
    assert!(done.deleted.objects > 0);
    all.hours_pass(25);
    all.prune(&[]);
    all.assert_holds(&[2]);
    all.assert_nothing_dead();
}

#[test]
fn an_object_that_was_put_again_waits_for_a_grace_of_its_own() {
    let all = Pruning::with(2);
    let buried = all.prune(&[1]).buried;
    all.hours_pass(20);
    let pack = format!("shop/snapshots/{}.manifest.age", backup_id(1));
    all.put(&pack, all.get(&pack));
    all.hours_pass(5);
    let done = all.prune(&[]);
    assert_eq!(done.deleted.objects, buried.objects - 1);
    assert!(all.keys("shop").contains(&pack));
    all.hours_pass(25);
    all.prune(&[]);
    all.assert_nothing_dead();
}

#[test]
fn what_lives_again_in_the_grace_is_given_a_new_one_when_it_dies() {
    let all = Pruning::with(3);
    let head = format!("shop/snapshots/{}.head.json", backup_id(2));
    let bytes = all.get(&head);
    all.prune(&[2]);
    all.hours_pass(20);
    // Somebody brings the head back, from an older version of the bucket.
    all.put(&head, bytes);
    all.assert_holds(&[1, 2, 3]);
    all.prune(&[2]);
    all.hours_pass(10);
    assert_eq!(
        all.prune(&[]).deleted.objects,
        0,
        "20 hours of another death do not count"
    );
    all.hours_pass(15);
    assert!(all.prune(&[]).deleted.objects > 0);
    all.assert_holds(&[1, 3]);
    all.assert_nothing_dead();
}

#[test]
fn nothing_dead_is_referred_to_again() {
    let rig = Rig::new();
    let one = rig::Files::from([("t.copy".to_owned(), rig::noise(1, 200_000))]);
    let two = rig::Files::from([("t.copy".to_owned(), rig::noise(2, 200_000))]);
    let first = back_up(&rig.vault(), 1, &one).unwrap();
    back_up(&rig.vault(), 2, &two).unwrap();
    prune_with(&rig.vault(), &[1], PruneOptions::default()).unwrap();
    // The map is made anew from index objects, which still know where the first one's pieces lie.
    rig.lose_cache();
    let third = back_up(&rig.vault(), 3, &one).unwrap();
    let dead = &first.head.head.packs;
    assert!(
        third
            .head
            .head
            .packs
            .iter()
            .all(|pack| !dead.contains(pack))
    );
    assert!(
        !third
            .notes
            .iter()
            .any(|note| note.contains("missing or damaged")),
        "{:?}",
        third.notes
    );
    rig::assert_restores(&rig.vault(), &third.head, &one);
}
