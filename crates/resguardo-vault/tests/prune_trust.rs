//! Pruning: whom it believes. Records, pins and tombstones of others, heads that are hidden or gone.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test: writes files and starts tools directly"
)]

mod rig;

use std::sync::Arc;

use jiff::SignedDuration;
use resguardo_model::FindingKind;
use resguardo_store::wrap::{Call, Fault, Faulty, Operation, Record, Rule};
use resguardo_store::{Condition, Key, Store};
use resguardo_vault::{Access, KeptBecause, PinDraft, PruneOptions, Vault, WriteKey};
use rig::pruning::{Pruning, prune_with};
use rig::{back_up, backup_id, source};

#[test]
fn a_forged_record_explains_nothing() {
    let all = Pruning::with(4);
    all.prune(&[2]);
    let record = all.only_record();
    let text = String::from_utf8(all.get(&record)).unwrap();
    let forged = text.replace("\"last\":2", "\"last\":3");
    assert_ne!(text, forged);
    all.put(&record, forged.into_bytes());
    let key: Key = format!("shop/snapshots/{}.head.json", backup_id(3))
        .parse()
        .unwrap();
    all.rig.store.delete(&key).unwrap();
    assert_eq!(
        all.kinds(),
        [FindingKind::HeadMissing, FindingKind::PruneRecordForged]
    );
}

#[test]
fn a_record_that_is_gone_leaves_the_hole_unexplained_and_nothing_is_swept() {
    let all = Pruning::with(4);
    all.prune(&[2]);
    let record: Key = all.only_record().parse().unwrap();
    all.rig.store.delete(&record).unwrap();
    assert_eq!(all.kinds(), [FindingKind::HeadMissing]);
    all.hours_pass(25);
    let done = all.prune(&[3]);
    assert_eq!(done.removed, [backup_id(3)]);
    assert_eq!(done.deleted.objects + done.buried.objects, 0);
    let [alarm] = &done.unswept[..] else {
        panic!("one alarm in {done:?}")
    };
    assert_eq!(alarm.kind, FindingKind::HeadMissing);
    // A person who knows that it is lost may say so.
    let accept = PruneOptions {
        accept_missing_heads: true,
    };
    let done = prune_with(&all.rig.vault(), &[], accept).unwrap();
    assert_eq!(done.unswept, []);
    assert!(done.deleted.objects > 0);
    all.hours_pass(25);
    all.prune(&[]);
    all.assert_holds(&[1, 4]);
    all.assert_nothing_dead();
}

#[test]
fn while_a_head_cannot_be_read_nothing_is_called_dead() {
    let all = Pruning::with(3);
    let head = format!("shop/snapshots/{}.head.json", backup_id(2));
    let whole = all.get(&head);
    let mut damaged = whole.clone();
    let length = damaged.len();
    damaged[length - 20] ^= 1;
    all.put(&head, damaged);
    for _ in 0..2 {
        let done = all.prune(&[]);
        assert!(done.unswept.iter().any(|finding| matches!(
            finding.kind,
            FindingKind::HeadForged | FindingKind::HeadMalformed
        )));
        assert_eq!((done.buried.objects, done.deleted.objects), (0, 0));
        all.hours_pass(25);
    }
    all.put(&head, whole);
    all.assert_holds(&[1, 2, 3]);
}

#[test]
fn a_record_of_an_untrusted_writer_explains_nothing() {
    let all = Pruning::with(3);
    let ours = WriteKey::from_json(&all.rig.write_key).unwrap();
    let mut stranger = WriteKey::generate(
        ours.vault(),
        ours.recipients().to_vec(),
        jiff::Timestamp::UNIX_EPOCH,
    )
    .unwrap();
    stranger.trust(ours.writer()).unwrap();
    let access = Access {
        write_key: Some(stranger),
        ..Access::default()
    };
    let theirs = Vault::open(all.rig.store.clone(), access, all.rig.settings()).unwrap();
    prune_with(&theirs, &[2], PruneOptions::default()).unwrap();
    assert_eq!(
        all.kinds(),
        [FindingKind::HeadMissing, FindingKind::WriterUnknown]
    );
    // And its own backups are not ours to judge: they stay, and what they need stays.
    let mut all = all;
    let files = all.change(9);
    back_up(&theirs, 9, &files).unwrap();
    let done = prune_with(
        &all.rig.vault(),
        &[1, 9],
        PruneOptions {
            accept_missing_heads: true,
        },
    )
    .unwrap();
    assert_eq!(done.kept, [(backup_id(9), KeptBecause::UntrustedWriter)]);
    all.hours_pass(25);
    all.prune(&[]);
    let strangers = theirs.heads(None).unwrap();
    let ninth = strangers
        .heads
        .iter()
        .find(|head| head.head.backup == backup_id(9));
    let needed = &ninth.unwrap().head.packs;
    let there = all.keys("shop/packs");
    assert!(
        needed
            .iter()
            .all(|pack| there.contains(&format!("shop/packs/{}.age", pack.sha256)))
    );
}

#[test]
fn pinned_backups_stay_also_by_a_pin_that_cannot_be_believed() {
    let all = Pruning::with(4);
    let vault = all.rig.vault();
    let pin = |number, until| {
        vault
            .put_pin(&PinDraft {
                source: source(),
                backup: backup_id(number),
                reason: "contract".to_owned(),
                until,
                operator: "ana".to_owned(),
                host: "host".to_owned(),
            })
            .unwrap()
    };
    let now = jiff::Timestamp::from_second(1_795_312_800).unwrap();
    all.rig.clock.set(now);
    pin(1, None);
    let forever = pin(2, Some(now + SignedDuration::from_hours(1)));
    let pins = vault.pins(None).unwrap();
    assert_eq!((pins.pins.len(), pins.findings.len()), (2, 0));
    assert_eq!(pins.pins[1], forever);
    all.put(&format!("shop/pins/{}.json", backup_id(3)), b"{}".to_vec());
    let forged = vault.pins(Some(&source())).unwrap();
    assert_eq!(forged.findings[0].kind, FindingKind::PinForged);
    assert!(!forged.pins[2].trusted);

    let pinned = |number| (backup_id(number), KeptBecause::Pinned);
    assert_eq!(
        all.prune(&[1, 2, 3]).kept,
        [pinned(1), pinned(2), pinned(3)]
    );
    all.rig.clock.advance(SignedDuration::from_hours(2));
    assert_eq!(all.prune(&[1, 2, 3]).removed, [backup_id(2)]);
    assert!(vault.remove_pin(&source(), backup_id(1)).unwrap());
    assert!(!vault.remove_pin(&source(), backup_id(1)).unwrap());
    assert_eq!(all.prune(&[1]).removed, [backup_id(1)]);
}

#[test]
fn a_tombstone_that_names_what_is_alive_deletes_nothing_and_goes() {
    let all = Pruning::with(3);
    let pack = all.keys("shop/packs").into_iter().next().unwrap();
    let objects = format!(
        r#"{{"format":1,"source":"shop","run":"{0}","objects":[{{"key":"{pack}","bytes":1}},{{"key":"vault.json","bytes":1}},{{"key":"shop/snapshots/{0}.head.json","bytes":1}}]}}"#,
        backup_id(2)
    );
    all.put(
        &format!("shop/tombstones/{}.json", backup_id(7)),
        objects.into_bytes(),
    );
    all.put(
        &format!("shop/tombstones/{}.json", backup_id(8)),
        b"not json".to_vec(),
    );
    all.hours_pass(25);
    let done = all.prune(&[]);
    assert_eq!((done.deleted.objects, done.waiting.objects), (0, 0));
    all.assert_holds(&[1, 2, 3]);
    all.assert_nothing_dead();
}

#[test]
fn records_are_carried_on_by_one_of_bounded_size() {
    let mut all = Pruning::with(2);
    for number in 3..40 {
        all.back_up(number);
        all.prune(&[number - 1]);
        assert_eq!(
            all.only_record().len(),
            "shop/prunes/".len() + 26 + ".json".len()
        );
    }
    let record = all.get(&all.only_record());
    assert!(record.len() < 1500, "{}", String::from_utf8_lossy(&record));
    all.assert_holds(&[1, 39]);
    // The host that wrote a head long ago learns from the record that it was pruned.
    all.rig.lose_cache();
    all.assert_holds(&[1, 39]);
}

#[test]
fn a_listing_that_hides_the_newest_head_costs_nothing() {
    let all = Pruning::with(3);
    let head: Key = format!("shop/snapshots/{}.head.json", backup_id(3))
        .parse()
        .unwrap();
    let hidden = all.rig.store.get(&head).unwrap();
    // On a host that knows of no head, from a listing that is behind.
    all.rig.lose_cache();
    all.rig.store.delete(&head).unwrap();
    let done = all.prune(&[]);
    assert!(done.buried.objects > 0);
    all.rig.store.put(&head, hidden, Condition::Always).unwrap();
    all.hours_pass(25);
    assert_eq!(all.prune(&[]).deleted.objects, 0);
    all.assert_holds(&[1, 2, 3]);
    all.assert_nothing_dead();
}

#[test]
fn a_rollback_on_the_host_that_remembers_keeps_everything() {
    let all = Pruning::with(3);
    let head: Key = format!("shop/snapshots/{}.head.json", backup_id(3))
        .parse()
        .unwrap();
    all.rig.store.delete(&head).unwrap();
    let done = all.prune(&[1]);
    assert_eq!(done.unswept[0].kind, FindingKind::HeadRolledBack);
    assert_eq!((done.buried.objects, done.deleted.objects), (0, 0));
}
#[test]
fn a_head_that_is_gone_below_a_pruned_end_is_an_alarm() {
    let all = Pruning::with(4);
    all.prune(&[4]);
    // What is left follows without a gap, but for the record.
    let head: Key = format!("shop/snapshots/{}.head.json", backup_id(3))
        .parse()
        .unwrap();
    all.rig.store.delete(&head).unwrap();
    all.rig.lose_cache();
    assert_eq!(all.kinds(), [FindingKind::HeadMissing]);
    let done = all.prune(&[]);
    assert_eq!(done.unswept[0].kind, FindingKind::HeadMissing);
    let accept = PruneOptions {
        accept_missing_heads: true,
    };
    prune_with(&all.rig.vault(), &[], accept).unwrap();
    all.assert_holds(&[1, 2]);
}

#[test]
fn a_pin_that_comes_while_a_prune_is_at_work_keeps_its_backup() {
    let all = Pruning::with(4);
    let (rig, pinned) = (all.rig.sharing(), std::sync::Once::new());
    // After the prune chose and wrote its record, before it removes a head.
    let meanwhile = Record::new((*all.rig.store).clone(), move |call: Call| {
        if call.operation == Operation::Put && call.key.contains("/prunes/") {
            pinned.call_once(|| {
                rig.vault().put_pin(&pin_of(2)).unwrap();
            });
        }
    });
    let vault = all.vault_over(Arc::new(meanwhile));
    let done = prune_with(&vault, &[1, 2], PruneOptions::default()).unwrap();
    assert_eq!(done.removed, [backup_id(1)]);
    assert_eq!(done.kept, [(backup_id(2), KeptBecause::Pinned)]);
    all.assert_holds(&[2, 3, 4]);
    let vault = all.rig.vault();
    assert!(vault.head_stands(&source(), backup_id(2)).unwrap());
    assert!(!vault.head_stands(&source(), backup_id(1)).unwrap());
}

fn pin_of(number: u64) -> PinDraft {
    PinDraft {
        source: source(),
        backup: backup_id(number),
        reason: "contract".to_owned(),
        until: None,
        operator: "ana".to_owned(),
        host: "host".to_owned(),
    }
}

#[test]
fn a_pin_that_the_listing_lacks_keeps_its_backup() {
    let all = Pruning::with(4);
    all.rig.vault().put_pin(&pin_of(2)).unwrap();
    let stale = Rule::from(1, Fault::StaleList { youngest: 1 }).key("/pins");
    let behind = all.vault_over(Arc::new(Faulty::new((*all.rig.store).clone()).with(stale)));
    assert_eq!(behind.pins(Some(&source())).unwrap().pins, []);
    let done = prune_with(&behind, &[1, 2], PruneOptions::default()).unwrap();
    assert_eq!(done.removed, [backup_id(1)]);
    assert_eq!(done.kept, [(backup_id(2), KeptBecause::Pinned)]);
    all.assert_holds(&[2, 3, 4]);
}
