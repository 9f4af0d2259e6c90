//! Copies: every backup arrives byte for byte; damage does not; nothing is deleted.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test: a rig that fails ends the test"
)]

mod rig;

use std::collections::BTreeSet;
use std::sync::Arc;

use resguardo_model::{CancelToken, FindingKind, NoProgress};
use resguardo_store::wrap::faulty::{Fault, Rule};
use resguardo_store::wrap::{Call, Faulty, Operation, Record};
use resguardo_store::{Condition, Key, MemoryStore, Store};
use resguardo_vault::{
    Access, Depth, PruneOptions, Selection, Settings, SyncRequest, Vault, VaultError, WriteKey,
};
use rig::copies::{
    a_pack, assert_whole, changed, content, cut, draft, filled, flip, key, objects, opened_alone,
    place, sync, sync_with,
};
use rig::{assert_restores, back_up, backup_id, run_id, source};

#[test]
fn a_copy_has_the_same_objects_and_restores() {
    let rig = filled();
    let copy = MemoryStore::new();
    let done = sync(&rig.vault(), &place(copy.clone())).unwrap();
    assert_eq!(objects(&copy), objects(&rig.store));
    assert_eq!(copy.stat(&key("shop/lease.json")).ok(), None);
    assert_whole(&rig, &copy);
    let sent: Vec<_> = done.sent.iter().map(|one| one.backup.backup).collect();
    assert_eq!(sent, [backup_id(1), backup_id(2)]);
    assert!(done.sent.iter().all(|one| one.etag.is_some()));
    assert_eq!((done.records, done.findings.len()), (1, 0));
    assert_eq!(done.compared.held.len(), 2);
    assert_eq!(done.compared.missing, []);
    let three = ["vault.json", "README.txt", "read_vault.py"];
    let sizes: u64 = objects(&copy)
        .iter()
        .filter(|(key, _)| !three.contains(&key.as_str()))
        .map(|(_, body)| body.len() as u64)
        .sum();
    assert_eq!(done.bytes, sizes);
    let again = sync(&rig.vault(), &place(copy)).unwrap();
    assert_eq!((again.objects, again.records, again.bytes), (0, 0, 0));
}

#[test]
fn damage_at_the_primary_is_never_copied() {
    type Damage = fn(&MemoryStore, &Key);
    let damages: [(Damage, FindingKind); 3] = [
        (flip, FindingKind::PackDamaged),
        (cut, FindingKind::PackTruncated),
        (
            |store, key| store.delete(key).unwrap(),
            FindingKind::PackMissing,
        ),
    ];
    for (damage, kind) in damages {
        let rig = filled();
        let pack = a_pack(&rig.store);
        damage(&rig.store, &pack);
        let copy = MemoryStore::new();
        let done = sync(&rig.vault(), &place(copy.clone())).unwrap();
        assert_eq!(done.findings.len(), 1, "{:?}", done.findings);
        assert_eq!(done.findings[0].kind, kind);
        assert_eq!(done.findings[0].object, pack.to_string());
        assert!(copy.stat(&pack).is_err(), "{kind:?}");
        // A backup that needs it is not there; it is named.
        let missing: Vec<_> = done.compared.missing.iter().map(|one| one.backup).collect();
        assert_eq!(missing, done.findings[0].backups_hit);
        assert!(!missing.is_empty());
        for backup in missing {
            assert!(
                copy.stat(&key(&format!("shop/snapshots/{backup}.head.json")))
                    .is_err()
            );
        }
    }
}

/// Objects of both backups at the copy, as a run leaves them that was stopped before the first head.
fn stopped_before_a_head(rig: &rig::Rig) -> MemoryStore {
    let copy = MemoryStore::new();
    sync(&rig.vault(), &place(copy.clone())).unwrap();
    for info in copy.list("shop/snapshots").unwrap() {
        if info.key.as_str().ends_with(".head.json") {
            copy.delete(&info.key).unwrap();
        }
    }
    copy
}

#[test]
fn what_a_stopped_run_left_and_rotted_is_sent_again_before_a_head_names_it() {
    let rig = filled();
    let copy = stopped_before_a_head(&rig);
    let rotted = a_pack(&copy);
    flip(&copy, &rotted);
    let done = sync(&rig.vault(), &place(copy.clone())).unwrap();
    assert_eq!(done.mended, [rotted.to_string()]);
    assert_eq!(done.sent.len(), 2);
    assert_eq!(objects(&copy), objects(&rig.store));
    assert_whole(&rig, &copy);
}

#[test]
fn what_a_head_at_the_copy_names_is_not_read_again() {
    let rig = filled();
    let copy = stopped_before_a_head(&rig);
    let read = || {
        let (observed, reads) = Record::journal(copy.clone());
        sync(&rig.vault(), &place(observed)).unwrap();
        let gets = reads.keys(Operation::Get);
        gets.iter().filter(|key| key.ends_with(".age")).count()
    };
    let there = objects(&copy);
    let named = there.keys().filter(|key| key.ends_with(".age"));
    assert_eq!(read(), named.count(), "what was left is read once");
    assert_eq!(read(), 0, "a head names all of it");
}

#[test]
fn a_damaged_manifest_stays_and_a_damaged_index_stops_nothing() {
    let rig = filled();
    let manifest = key(&format!("shop/snapshots/{}.manifest.age", backup_id(2)));
    flip(&rig.store, &manifest);
    let index = rig.store.list("shop/index").unwrap()[0].key.clone();
    flip(&rig.store, &index);
    let copy = MemoryStore::new();
    let done = sync(&rig.vault(), &place(copy.clone())).unwrap();
    let kinds: BTreeSet<_> = done.findings.iter().map(|finding| finding.kind).collect();
    let wanted = [FindingKind::ManifestDamaged, FindingKind::IndexDamaged];
    assert_eq!(kinds, BTreeSet::from(wanted));
    assert_eq!(done.sent.len(), 1);
    assert_eq!(done.sent[0].backup.backup, backup_id(1));
    assert!(copy.stat(&manifest).is_err() && copy.stat(&index).is_err());
}

#[test]
fn what_the_copy_already_has_needs_no_whole_primary() {
    let rig = filled();
    let copy = MemoryStore::new();
    sync(&rig.vault(), &place(copy.clone())).unwrap();
    flip(&rig.store, &a_pack(&rig.store));
    let done = sync(&rig.vault(), &place(copy.clone())).unwrap();
    assert_eq!(done.findings, []);
    assert_whole(&rig, &copy);
}

#[test]
fn damage_at_the_copy_is_found_and_mended_and_nothing_else_is_sent() {
    let rig = filled();
    let copy = MemoryStore::new();
    sync(&rig.vault(), &place(copy.clone())).unwrap();
    // One that the first backup needs: of the second no more can be read without its head.
    let first = rig.vault().heads(None).unwrap().heads.remove(0);
    let pack = key(&format!("shop/packs/{}.age", first.head.packs[0].sha256));
    let manifest = key(&format!("shop/snapshots/{}.manifest.age", backup_id(1)));
    let head = key(&format!("shop/snapshots/{}.head.json", backup_id(2)));
    let receipt = copy.list("shop/receipts").unwrap()[0].key.clone();
    for damaged in [&pack, &manifest, &head, &receipt] {
        flip(&copy, damaged);
    }
    let verify = || {
        opened_alone(&rig, &copy)
            .verify(
                &Selection::All,
                Depth::Digests,
                &CancelToken::new(),
                &NoProgress,
            )
            .unwrap()
    };
    let found = verify();
    let objects_found: BTreeSet<_> = found
        .findings
        .iter()
        .map(|finding| finding.object.clone())
        .collect();
    for damaged in [&pack, &manifest, &head, &receipt] {
        assert!(
            objects_found.contains(damaged.as_str()),
            "{damaged}: {found:?}"
        );
    }
    // Sizes do not tell; heads are read.
    let quick = sync(&rig.vault(), &place(copy.clone())).unwrap();
    assert_eq!((quick.objects, quick.records), (1, 0));
    assert_eq!(quick.mended, [head.as_str()]);
    flip(&copy, &head);
    let done = sync_with(
        &rig.vault(),
        &place(copy.clone()),
        true,
        &CancelToken::new(),
    )
    .unwrap();
    assert_eq!(done.mended.len(), 3);
    assert_eq!((done.objects, done.records, done.sent.len()), (3, 1, 0));
    assert_eq!(verify().findings, []);
    assert_eq!(objects(&copy), objects(&rig.store));
    // A backup that lacks what it needs is no backup, though its head is there.
    copy.delete(&pack).unwrap();
    assert!(!verify().findings.is_empty());
    let at_copy = rig.vault().copy_at(&place(copy.clone())).unwrap();
    let compared = rig.vault().compare(&at_copy, &source()).unwrap();
    let missing: Vec<_> = compared.missing.iter().map(|one| one.backup).collect();
    assert!(missing.contains(&backup_id(1)), "{compared:?}");
    assert_eq!(compared.held.len() + missing.len(), 2);
    sync(&rig.vault(), &place(copy.clone())).unwrap();
    assert_eq!(objects(&copy), objects(&rig.store));
    // Sizes tell without reading.
    cut(&copy, &pack);
    cut(&copy, &head);
    assert!(!verify().findings.is_empty());
    sync(&rig.vault(), &place(copy.clone())).unwrap();
    assert_eq!(objects(&copy), objects(&rig.store));
}

#[test]
fn a_damaged_object_that_nobody_may_replace_is_named() {
    let rig = filled();
    let copy = MemoryStore::new();
    sync(&rig.vault(), &place(copy.clone())).unwrap();
    let pack = a_pack(&copy);
    flip(&copy, &pack);
    let rule = Rule::from(1, Fault::Denied).on(Operation::Put).key("packs");
    let store = Faulty::new(copy.clone()).with(rule);
    let done = sync_with(&rig.vault(), &place(store), true, &CancelToken::new()).unwrap();
    assert_eq!(done.mended, [""; 0]);
    let kept: Vec<_> = done
        .kept
        .iter()
        .map(|(object, _)| object.as_str())
        .collect();
    assert_eq!(kept, [pack.as_str()]);
    // A lock against deletion hinders nothing: the store keeps both versions.
    copy.lock_until("packs", "2099-01-01T00:00:00Z".parse().unwrap());
    let done = sync_with(&rig.vault(), &place(copy), true, &CancelToken::new()).unwrap();
    assert_eq!((done.mended.len(), done.kept.len()), (1, 0));
}

#[test]
fn a_copy_that_may_not_be_written_is_an_error_that_names_it() {
    let rig = filled();
    let store = Faulty::new(MemoryStore::new())
        .with(Rule::from(1, Fault::Denied).on(Operation::Put).key("packs"));
    let error = sync(&rig.vault(), &place(store)).unwrap_err();
    assert!(matches!(error, VaultError::AtCopy { .. }), "{error:?}");
}

#[test]
fn another_vault_and_strange_places_are_refused() {
    let (rig, other) = (filled(), filled());
    let before = objects(&other.store);
    let error = sync(&rig.vault(), &place(other.store.clone())).unwrap_err();
    assert!(matches!(error, VaultError::OtherVault { .. }), "{error:?}");
    assert_eq!(objects(&other.store), before);
    let strange = MemoryStore::new();
    strange
        .put(&key("photos/1.jpg"), "jpeg".into(), Condition::Always)
        .unwrap();
    let error = sync(&rig.vault(), &place(strange.clone())).unwrap_err();
    assert!(matches!(error, VaultError::NotEmpty { .. }), "{error:?}");
    assert_eq!(objects(&strange).len(), 1);
    let broken = MemoryStore::new();
    broken
        .put(&key("vault.json"), "{".into(), Condition::Always)
        .unwrap();
    let error = sync(&rig.vault(), &place(broken)).unwrap_err();
    assert!(matches!(error, VaultError::NotAVault { .. }), "{error:?}");
}

#[test]
fn a_deletion_does_not_follow() {
    let rig = filled();
    let copy = MemoryStore::new();
    sync(&rig.vault(), &place(copy.clone())).unwrap();
    let before = objects(&copy);
    for info in rig.store.list("shop").unwrap() {
        let is_first = info.key.as_str().contains(&backup_id(1).to_string());
        if is_first || info.key.as_str().contains("receipts") {
            rig.store.delete(&info.key).unwrap();
        }
    }
    let done = sync(&rig.vault(), &place(copy.clone())).unwrap();
    assert_eq!(objects(&copy), before);
    assert_eq!(done.compared.only_there, [backup_id(1)]);
}

#[test]
fn of_two_at_once_one_is_refused() {
    let rig = filled();
    let copy = MemoryStore::new();
    let vault = rig.vault();
    let opened = vault.begin_copy(&place(copy.clone())).unwrap();
    let lease = opened
        .acquire_lease(&source(), run_id(7), "host", std::process::id())
        .unwrap();
    let error = sync(&vault, &place(copy.clone())).unwrap_err();
    assert!(matches!(error, VaultError::Locked { .. }), "{error:?}");
    drop(lease);
    sync(&vault, &place(copy)).unwrap();
}

#[test]
fn cancelled_and_run_again() {
    let rig = filled();
    let copy = MemoryStore::new();
    let cancel = CancelToken::new();
    let raised = cancel.clone();
    let store = Record::new(copy.clone(), move |call: Call| {
        if call.operation == Operation::Put && call.key.contains("packs") {
            raised.cancel();
        }
    });
    let error = sync_with(&rig.vault(), &place(store), false, &cancel).unwrap_err();
    assert!(matches!(error, VaultError::Cancelled(_)), "{error:?}");
    assert_eq!(copy.stat(&key("shop/lease.json")).ok(), None);
    assert_eq!(copy.list("shop/snapshots").unwrap(), []);
    sync(&rig.vault(), &place(copy.clone())).unwrap();
    assert_whole(&rig, &copy);
}

#[test]
fn nothing_is_signed_into_a_copy() {
    let rig = filled();
    let copy = MemoryStore::new();
    sync(&rig.vault(), &place(copy.clone())).unwrap();
    let before = objects(&copy);
    let alone = opened_alone(&rig, &copy);
    let error = back_up(&alone, 9, &content()).unwrap_err();
    assert!(matches!(error, VaultError::OnlyACopy { .. }), "{error:?}");
    let error = alone.put_receipt(draft(&rig, 9)).unwrap_err();
    assert!(matches!(error, VaultError::OnlyACopy { .. }), "{error:?}");
    assert_eq!(objects(&copy), before);
    let with_primary = rig.vault().copy_at(&place(copy.clone())).unwrap();
    let stored = with_primary.put_receipt(draft(&rig, 9)).unwrap();
    assert_eq!(objects(&copy), before);
    assert!(rig.store.stat(&key(&stored.key)).is_ok());
}

#[test]
fn a_strangers_backup_and_a_forged_receipt_stay_where_they_are() {
    let rig = filled();
    let ours = WriteKey::from_json(&rig.write_key).unwrap();
    let stranger = WriteKey::generate(
        ours.vault(),
        ours.recipients().to_vec(),
        jiff::Timestamp::UNIX_EPOCH,
    )
    .unwrap();
    let access = Access {
        write_key: Some(stranger),
        ..Access::default()
    };
    let another_machine = tempfile::tempdir().unwrap();
    let settings = Settings {
        cache: another_machine.path().to_owned(),
        ..rig.settings()
    };
    let theirs = Vault::open(rig.store.clone(), access, settings).unwrap();
    back_up(&theirs, 50, &content()).unwrap();
    let receipt = rig.store.list("shop/receipts").unwrap()[0].key.clone();
    flip(&rig.store, &receipt);
    let copy = MemoryStore::new();
    let done = sync(&rig.vault(), &place(copy.clone())).unwrap();
    assert_eq!(done.sent.len(), 2);
    let kinds: BTreeSet<_> = done.findings.iter().map(|finding| finding.kind).collect();
    let wanted = [FindingKind::WriterUnknown, FindingKind::ReceiptForged];
    assert_eq!(kinds, BTreeSet::from(wanted));
    assert!(copy.stat(&receipt).is_err());
    let head = key(&format!("shop/snapshots/{}.head.json", backup_id(50)));
    assert!(copy.stat(&head).is_err());
}

#[test]
fn a_lost_vault_is_made_again_from_its_copy() {
    let rig = filled();
    let copy = MemoryStore::new();
    sync(&rig.vault(), &place(copy.clone())).unwrap();
    let alone = opened_alone(&rig, &copy);
    let fresh = MemoryStore::new();
    sync(&alone, &place(fresh.clone())).unwrap();
    assert_eq!(objects(&fresh), objects(&copy));
    // It is a vault like any other: the next backup goes on where the last one ended.
    let vault = rig.vault_over(Arc::new(fresh));
    let next = back_up(&vault, 4, &changed()).unwrap();
    assert_eq!(next.head.head.sequence, 3);
    assert_eq!(vault.heads(None).unwrap().findings, []);
}

#[test]
fn a_new_recipient_reaches_the_copy() {
    let rig = filled();
    let copy = MemoryStore::new();
    sync(&rig.vault(), &place(copy.clone())).unwrap();
    // An older vault.json of this vault: the copy was made before something in it changed.
    let json = String::from_utf8(copy.get(&key("vault.json")).unwrap().to_vec()).unwrap();
    let older = json.replace("2026-11-22", "2026-11-21");
    assert_ne!(older, json);
    copy.put(&key("vault.json"), older.into(), Condition::Always)
        .unwrap();
    sync(&rig.vault(), &place(copy.clone())).unwrap();
    assert_eq!(copy.get(&key("vault.json")).unwrap(), json);
}

#[test]
fn what_the_copy_pruned_is_not_sent_again_and_what_the_vault_pruned_stays() {
    let rig = filled();
    let copy = MemoryStore::new();
    let vault = rig.vault();
    sync(&vault, &place(copy.clone())).unwrap();
    let cancel = CancelToken::new();
    let opened = vault.copy_at(&place(copy.clone())).unwrap();
    let prune = |vault: &Vault, backup| {
        let lease = vault
            .acquire_lease(&source(), run_id(20), "host", std::process::id())
            .unwrap();
        let options = PruneOptions::default();
        vault
            .prune(&lease, &[backup], &options, &cancel, &NoProgress)
            .unwrap()
    };
    assert_eq!(prune(&opened, backup_id(1)).removed, [backup_id(1)]);
    let again = sync(&vault, &place(copy.clone())).unwrap();
    assert_eq!(again.sent, []);
    let pruned: Vec<_> = again.compared.pruned.iter().map(|one| one.backup).collect();
    assert_eq!(pruned, [backup_id(1)]);
    assert_eq!(opened.heads(None).unwrap().findings, []);
    // The other way round: the vault lets the second go, and a third is taken.
    back_up(&vault, 3, &content()).unwrap();
    assert_eq!(prune(&vault, backup_id(2)).removed, [backup_id(2)]);
    let third = sync(&vault, &place(copy.clone())).unwrap();
    assert_eq!(third.sent.len(), 1);
    assert_eq!(third.compared.only_there, [backup_id(2)]);
    let heads = opened.heads(None).unwrap();
    assert_eq!(heads.findings, []);
    assert_restores(&opened, &heads.heads[0], &changed());
    assert_restores(&opened, &heads.heads[1], &content());
}

#[test]
fn what_nobody_wants_there_is_not_sent_and_leaves_no_hole() {
    let rig = filled();
    let copy = MemoryStore::new();
    let vault = rig.vault();
    let source = source();
    let unwanted = BTreeSet::from([backup_id(1)]);
    let request = SyncRequest {
        source: &source,
        run: run_id(1000),
        host: "host",
        pid: std::process::id(),
        mend: false,
        unwanted: &unwanted,
    };
    let opened = vault.begin_copy(&place(copy.clone())).unwrap();
    let done = vault
        .sync(&opened, &request, &CancelToken::new(), &NoProgress)
        .unwrap();
    assert_eq!((done.sent.len(), done.unwanted.len()), (1, 1));
    assert_eq!(done.compared.missing, []);
    let heads = opened.heads(None).unwrap();
    assert_eq!(heads.findings, []);
    assert_restores(&opened, &heads.heads[0], &changed());
    // From now on it counts as pruned there.
    let again = sync(&vault, &place(copy)).unwrap();
    assert_eq!((again.sent.len(), again.compared.pruned.len()), (0, 1));
}

#[test]
fn a_changed_vault_json_is_not_carried_to_a_copy() {
    let rig = filled();
    let vault = rig.vault();
    let json = key("vault.json");
    let own = rig.store.get(&json).unwrap();
    let text = String::from_utf8(own.to_vec()).unwrap();
    let theirs = text.replace(
        "\"recipients\": [",
        "\"recipients\": [\n    \"age1theirs\",",
    );
    assert_ne!(theirs, text);
    rig.store
        .put(&json, theirs.into(), Condition::Always)
        .unwrap();
    let copy = MemoryStore::new();
    let error = sync(&vault, &place(copy.clone())).unwrap_err();
    assert!(
        matches!(error, VaultError::ConfigChanged { .. }),
        "{error:?}"
    );
    assert!(copy.stat(&json).is_err());
    rig.store
        .put(&json, own.clone(), Condition::Always)
        .unwrap();
    sync(&vault, &place(copy.clone())).unwrap();
    // Whoever has nothing pinned replaces no vault.json of a copy.
    let older = text.replace("2026-11-22", "2026-11-21");
    copy.put(&json, older.clone().into(), Condition::Always)
        .unwrap();
    let unpinned = Vault::open(rig.store.clone(), Access::default(), rig.settings()).unwrap();
    sync(&unpinned, &place(copy.clone())).unwrap();
    assert_eq!(copy.get(&json).unwrap(), older);
}
