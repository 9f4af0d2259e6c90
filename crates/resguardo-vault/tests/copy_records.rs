//! The records beside the backups at a copy: good ones stay, and none keeps more away than it should.

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
use resguardo_store::wrap::{Faulty, Operation};
use resguardo_store::{Condition, MemoryStore, Store};
use resguardo_vault::{Depth, PinDraft, PruneOptions, Selection, SyncRequest, Vault, WriteKey};
use rig::copies::{
    bundle_signed_anew, changed, content, cut, filled, flip, give_to_bea, key, objects,
    opened_alone, place, sync, sync_with,
};
use rig::{back_up, backup_id, run_id, source};

#[test]
fn a_pin_that_was_set_again_reaches_the_copy() {
    let rig = filled();
    let copy = MemoryStore::new();
    let vault = rig.vault();
    let until = |day: &str| PinDraft {
        source: source(),
        backup: backup_id(1),
        reason: "audit".to_owned(),
        until: Some(format!("2027-01-{day}T00:00:00Z").parse().unwrap()),
        operator: "ana".to_owned(),
        host: "host".to_owned(),
    };
    for day in ["10", "20"] {
        rig.clock.advance(jiff::SignedDuration::from_secs(1));
        vault.put_pin(&until(day)).unwrap();
        sync(&vault, &place(copy.clone())).unwrap();
        assert_eq!(objects(&copy), objects(&rig.store), "{day}");
    }
}

#[test]
fn no_record_keeps_newer_backups_away() {
    let rig = filled();
    let copy = MemoryStore::new();
    let vault = rig.vault();
    sync(&vault, &place(copy.clone())).unwrap();
    let third = back_up(&vault, 3, &content()).unwrap();
    // Somebody with a write key prunes it elsewhere, and puts the record of it into the copy.
    let elsewhere = Arc::new(rig.store.fork());
    let forked = rig.vault_over(elsewhere.clone());
    let lease = forked
        .acquire_lease(&source(), run_id(30), "host", std::process::id())
        .unwrap();
    let doomed = [third.head.head.backup];
    let cancel = CancelToken::new();
    forked
        .prune(
            &lease,
            &doomed,
            &PruneOptions::default(),
            &cancel,
            &NoProgress,
        )
        .unwrap();
    let record = elsewhere.list("shop/prunes").unwrap()[0].key.clone();
    let bytes = elsewhere.get(&record).unwrap();
    copy.put(&record, bytes, Condition::Always).unwrap();
    let done = sync(&vault, &place(copy.clone())).unwrap();
    let sent: Vec<_> = done.sent.iter().map(|one| one.backup.backup).collect();
    assert_eq!(sent, doomed);
    assert_eq!(done.compared.missing, []);
}

#[test]
fn records_that_are_good_at_the_copy_are_never_overwritten() {
    let rig = filled();
    let copy = MemoryStore::new();
    let vault = rig.vault();
    let pin = |day: &str| PinDraft {
        source: source(),
        backup: backup_id(1),
        reason: "audit".to_owned(),
        until: Some(format!("2027-01-{day}T00:00:00Z").parse().unwrap()),
        operator: "ana".to_owned(),
        host: "host".to_owned(),
    };
    vault.put_pin(&pin("10")).unwrap();
    let pinned = key(&format!("shop/pins/{}.json", backup_id(1)));
    let old_pin = rig.store.get(&pinned).unwrap();
    rig.clock.advance(jiff::SignedDuration::from_secs(60));
    vault.put_pin(&pin("20")).unwrap();
    let (_, bundle) = give_to_bea(&rig);
    sync(&vault, &place(copy.clone())).unwrap();
    let good = objects(&copy);
    assert_eq!(good, objects(&rig.store));
    // Everything that somebody with the vault's credentials may do to them.
    let receipt = rig.store.list("shop/receipts").unwrap()[0].key.clone();
    for mend in [false, true] {
        flip(&rig.store, &receipt);
        cut(&rig.store, &bundle);
        rig.store
            .put(&pinned, old_pin.clone(), Condition::Always)
            .unwrap();
        let cancel = CancelToken::new();
        let done = sync_with(&vault, &place(copy.clone()), mend, &cancel).unwrap();
        assert_eq!(objects(&copy), good, "mend: {mend}");
        assert_eq!(done.records, 0);
        let kinds: BTreeSet<_> = done.findings.iter().map(|finding| finding.kind).collect();
        let mut wanted =
            BTreeSet::from([FindingKind::HeadersMalformed, FindingKind::RecordDiffers]);
        if mend {
            wanted.insert(FindingKind::ReceiptForged);
        }
        assert_eq!(kinds, wanted, "mend: {mend}");
        flip(&rig.store, &receipt);
        for key in [&bundle, &pinned] {
            let body = copy.get(key).unwrap();
            rig.store.put(key, body, Condition::Always).unwrap();
        }
    }
    cut(&rig.store, &receipt);
    let done = sync(&vault, &place(copy.clone())).unwrap();
    assert_eq!(done.findings[0].kind, FindingKind::ReceiptForged);
    assert_eq!(objects(&copy), good);
}

#[test]
fn a_bundle_that_a_thief_put_at_a_copy_is_found_and_replaced_and_goes_nowhere() {
    let rig = filled();
    let (bea, bundle) = give_to_bea(&rig);
    let (copy, vault) = (MemoryStore::new(), rig.vault());
    sync(&vault, &place(copy.clone())).unwrap();
    let good = rig.store.get(&bundle).unwrap();
    let text = String::from_utf8(good.to_vec()).unwrap();
    let first = text.find("\"header\":\"").unwrap() + 40;
    let changed = format!("{}{}{}", &text[..first], "AAAA", &text[first + 4..]);
    let key = Vault::read_config(&*rig.store).unwrap();
    let own = WriteKey::generate(key.vault, vec![bea.clone()], jiff::Timestamp::UNIX_EPOCH);
    let signed_by_himself = bundle_signed_anew(&changed, &own.unwrap().to_json());
    let wrong = [
        (changed, FindingKind::HeadersMalformed),
        (signed_by_himself, FindingKind::WriterUnknown),
    ];
    for (forged, kind) in wrong {
        assert_eq!(forged.len(), text.len());
        copy.put(&bundle, forged.into(), Condition::Always).unwrap();
        let (all, cancel) = (Selection::All, CancelToken::new());
        let alone = opened_alone(&rig, &copy);
        let found = alone
            .verify(&all, Depth::Heads, &cancel, &NoProgress)
            .unwrap();
        let kinds: Vec<_> = found.findings.iter().map(|finding| finding.kind).collect();
        assert_eq!(kinds, [kind]);
        // Nothing that is made of this copy gets it.
        let fresh = MemoryStore::new();
        sync(&alone, &place(fresh.clone())).unwrap();
        assert!(fresh.stat(&bundle).is_err());
        // The vault has a good one.
        let done = sync_with(&vault, &place(copy.clone()), true, &cancel).unwrap();
        assert_eq!((done.records, done.findings), (1, Vec::new()));
        assert_eq!(copy.get(&bundle).unwrap(), good);
    }
}

#[test]
fn leaving_backups_out_deletes_nothing_and_accepts_no_other_hole() {
    let rig = filled();
    let copy = MemoryStore::new();
    let vault = rig.vault();
    for n in [3, 4, 5] {
        let content = if n == 4 { changed() } else { content() };
        back_up(&vault, n, &content).unwrap();
    }
    sync(&vault, &place(copy.clone())).unwrap();
    let head = |n| key(&format!("shop/snapshots/{}.head.json", backup_id(n)));
    // Somebody took the first and the third away from the copy; the vault has lost the first as well.
    for n in [1, 3] {
        copy.delete(&head(n)).unwrap();
    }
    rig.store.delete(&head(1)).unwrap();
    let before = objects(&copy);
    // Its credentials may not delete anything but the lease.
    let rules = [
        "packs",
        "snapshots",
        "prunes",
        "trial",
        "tombstones",
        "index",
    ];
    let store = rules.iter().fold(Faulty::new(copy.clone()), |store, key| {
        store.with(Rule::from(1, Fault::Denied).on(Operation::Delete).key(key))
    });
    let (source, unwanted) = (source(), BTreeSet::from([backup_id(3)]));
    let request = SyncRequest {
        source: &source,
        run: run_id(1001),
        host: "host",
        pid: std::process::id(),
        mend: false,
        unwanted: &unwanted,
    };
    let opened = vault.begin_copy(&place(store)).unwrap();
    for run in ["first", "second"] {
        let done = vault
            .sync(&opened, &request, &CancelToken::new(), &NoProgress)
            .unwrap();
        assert_eq!(
            (done.sent.len(), &done.compared.missing[..]),
            (0, &[][..]),
            "{run}"
        );
        let left_out = done.unwanted.len() + done.compared.pruned.len();
        assert_eq!(left_out, 1, "{run}");
    }
    let after = objects(&copy);
    let new: Vec<_> = after
        .keys()
        .filter(|key| !before.contains_key(*key))
        .collect();
    assert_eq!(new.len(), 1, "{new:?}");
    assert!(new[0].starts_with("shop/prunes/"), "{new:?}");
    assert!(before.keys().all(|key| after.contains_key(key)));
    // The hole of the first is still told; that of the third is explained.
    let kinds: Vec<_> = opened
        .heads(None)
        .unwrap()
        .findings
        .iter()
        .map(|finding| finding.kind)
        .collect();
    assert_eq!(kinds, [FindingKind::HeadMissing]);
}
