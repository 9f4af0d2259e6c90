//! A writer whose key was stolen, and what its thief can still make anybody believe.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test: a rig that fails ends the test"
)]

mod rig;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use resguardo_model::receipt::{Predicate, RUN_TYPE, Subject, Verb};
use resguardo_model::{CancelToken, FindingKind, NoProgress, Sha256Digest};
use resguardo_vault::{
    Access, Depth, Heads, ReceiptDraft, Selection, StoredReceipt, Vault, VaultError, WriteKey,
};
use rig::{Files, Rig, assert_restores, back_up, change_page, pages, run_id, source};

/// Host A, whose key is stolen, took two backups; host B, which believed A, retires it.
struct Theft {
    rig: Rig,
    content: Vec<Files>,
    b: WriteKey,
}

fn content(number: u64) -> Files {
    let mut files = Files::from([("db.pages".to_owned(), pages(1, 100))]);
    change_page(files.get_mut("db.pages").unwrap(), 7, number);
    files
}

impl Theft {
    fn new() -> Self {
        let rig = Rig::new();
        let content = vec![content(1), content(2)];
        for (number, files) in (1..).zip(&content) {
            back_up(&rig.vault(), number, files).unwrap();
            receipt(&rig.vault(), number);
        }
        let a = WriteKey::from_json(&rig.write_key).unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let mut b = WriteKey::generate(a.vault(), a.recipients().to_vec(), now).unwrap();
        b.trust(a.writer()).unwrap();
        Self { rig, content, b }
    }

    fn a(&self) -> WriteKey {
        WriteKey::from_json(&self.rig.write_key).unwrap()
    }

    /// The vault as host B sees it.
    fn as_b(&self) -> Vault {
        let access = Access {
            write_key: Some(self.b.clone()),
            trusted_writers: Vec::new(),
            ..self.rig.access(false, true)
        };
        Vault::open(self.rig.store.clone(), access, self.rig.settings()).unwrap()
    }

    fn retire_a(&mut self, before: Option<Timestamp>) {
        let a = self.a().writer();
        let known = self.as_b().signed_by(a, before).unwrap();
        self.b
            .retire_writer(a, known, Timestamp::UNIX_EPOCH)
            .unwrap();
    }
}

fn receipt(vault: &Vault, number: u64) -> StoredReceipt {
    vault.put_receipt(draft(vault, number)).unwrap()
}

fn draft(vault: &Vault, number: u64) -> ReceiptDraft {
    let predicate = Predicate {
        format: 1,
        run: run_id(number),
        verb: Verb::Drill,
        vault: vault.id(),
        source: source(),
        outcome: "passed".to_owned(),
        started_at: Timestamp::UNIX_EPOCH,
        finished_at: Timestamp::UNIX_EPOCH,
        host: "a".to_owned(),
        operator: "ana".to_owned(),
        tools: BTreeMap::new(),
        details: BTreeMap::new(),
        writer: vault.writer().unwrap(),
        sequence: 0,
        previous: None,
        result: None,
        configuration: Vec::new(),
        passed_tests: Vec::new(),
        failed_tests: Vec::new(),
    };
    ReceiptDraft {
        subject: vec![Subject::new("vault.json", Sha256Digest::of(b""))],
        predicate_type: RUN_TYPE.to_owned(),
        predicate,
    }
}

fn trusted(heads: &Heads) -> Vec<bool> {
    heads.heads.iter().map(|stored| stored.trusted).collect()
}

#[test]
fn a_backup_that_the_thief_dates_back_is_refused_by_name() {
    let mut theft = Theft::new();
    theft.retire_a(None);
    // The rig dates every backup to 1970.
    back_up(&theft.rig.vault(), 3, &content(3)).unwrap();
    let vault = theft.as_b();
    let heads = vault.heads(None).unwrap();
    assert_eq!(trusted(&heads), [true, true, false]);
    let kinds: Vec<_> = heads.findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [FindingKind::WriterRetired]);
    assert!(
        heads.findings[0].message.contains("retired"),
        "{:?}",
        heads.findings
    );
    for (stored, files) in heads.heads.iter().zip(&theft.content) {
        assert_restores(&vault, stored, files);
    }
    assert!(matches!(
        vault.open_snapshot(&heads.heads[2]),
        Err(VaultError::RetiredWriter { .. })
    ));
    let all = Selection::All;
    let found = vault
        .verify(&all, Depth::Bytes, &CancelToken::new(), &NoProgress)
        .unwrap();
    assert_eq!(found.whole.len(), 2);
}

#[test]
fn the_chain_goes_on_from_the_last_backup_that_is_believed() {
    let mut theft = Theft::new();
    theft.retire_a(None);
    back_up(&theft.rig.vault(), 3, &content(3)).unwrap();
    let done = back_up(&theft.as_b(), 4, &content(4)).unwrap();
    let heads = theft.as_b().heads(None).unwrap();
    let second = &heads.heads[1];
    assert_eq!(done.head.head.previous, Some(second.sha256));
    assert_eq!(done.head.head.sequence, 3);
    // The thief's head has the same number, and is no fork: it is not believed at all.
    let kinds: BTreeSet<_> = heads.findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, BTreeSet::from([FindingKind::WriterRetired]));
    assert_restores(&theft.as_b(), &done.head, &content(4));
}

#[test]
fn receipts_are_believed_up_to_the_retirement() {
    let mut theft = Theft::new();
    theft.retire_a(None);
    let false_proof = receipt(&theft.rig.vault(), 9);
    let receipts = theft.as_b().receipts(None).unwrap();
    let believed: Vec<bool> = receipts.receipts.iter().map(|one| one.trusted).collect();
    assert_eq!(believed, [true, true, false]);
    let found: Vec<_> = receipts
        .findings
        .iter()
        .map(|one| (one.kind, one.object.as_str()))
        .collect();
    assert_eq!(
        found,
        [(FindingKind::WriterRetired, false_proof.key.as_str())]
    );
}

#[test]
fn what_the_thief_did_before_he_was_noticed_can_be_left_out_by_the_stores_clock() {
    let mut theft = Theft::new();
    let listed = |theft: &Theft| {
        let store = theft.rig.vault();
        let listed = store.store().list("shop").unwrap();
        listed.iter().map(|info| info.modified_at).max().unwrap()
    };
    let stolen = listed(&theft) + SignedDuration::from_nanos(1);
    while Timestamp::now() <= stolen {
        std::thread::yield_now();
    }
    back_up(&theft.rig.vault(), 3, &content(3)).unwrap();
    let all = theft.as_b().signed_by(theft.a().writer(), None).unwrap();
    assert_eq!(all.len(), 5, "three heads and two receipts");
    theft.retire_a(Some(stolen));
    assert_eq!(
        trusted(&theft.as_b().heads(None).unwrap()),
        [true, true, false]
    );
}

#[test]
fn trust_given_again_is_whole_again() {
    let mut theft = Theft::new();
    theft.retire_a(None);
    back_up(&theft.rig.vault(), 3, &content(3)).unwrap();
    let a = theft.a().writer();
    theft.b.trust(a).unwrap_err();
    theft.b.trust_again(a).unwrap();
    let heads = theft.as_b().heads(None).unwrap();
    assert_eq!(trusted(&heads), [true; 3]);
    assert!(heads.findings.is_empty());
}

#[test]
fn a_host_that_rotates_its_own_key_keeps_its_history_and_starts_afresh() {
    let mut theft = Theft::new();
    let a = theft.a();
    let known = theft.rig.vault().signed_by(a.writer(), None).unwrap();
    let next = a.successor(known, Timestamp::UNIX_EPOCH).unwrap();
    theft.rig.write_key = next.to_json().to_string();
    let access = Access {
        trusted_writers: Vec::new(),
        ..theft.rig.access(true, true)
    };
    let vault = Vault::open(theft.rig.store.clone(), access, theft.rig.settings()).unwrap();
    assert_eq!(trusted(&vault.heads(None).unwrap()), [true, true]);
    let done = back_up(&vault, 3, &content(3)).unwrap();
    assert_eq!(done.head.head.sequence, 3);
    assert_restores(&vault, &done.head, &content(3));
    assert!(vault.heads(None).unwrap().findings.is_empty());
    let packs = |stored: &resguardo_vault::StoredHead| -> BTreeSet<_> {
        stored.head.packs.iter().map(|pack| pack.sha256).collect()
    };
    let before = &vault.heads(None).unwrap().heads[1];
    assert!(packs(before).is_disjoint(&packs(&done.head)));
}

#[test]
fn a_run_that_began_before_its_key_was_rotated_signs_with_the_new_one() {
    let theft = Theft::new();
    let old = theft.a();
    let now = Arc::new(Mutex::new(None));
    let asked = Arc::clone(&now);
    let begun = theft
        .rig
        .vault()
        .signing_by(Box::new(move || Ok(asked.lock().unwrap().clone())));
    let first = receipt(&begun, 50);
    assert_eq!(first.statement.predicate.writer, old.writer());
    let sources = BTreeSet::from([source()]);
    let held = begun.hold_receipts(&sources).unwrap();
    let waiting = std::thread::spawn({
        let begun = begun.clone();
        move || receipt(&begun, 51)
    });
    // Whatever it waits for, it does not sign what nobody would believe.
    let known = begun.signed_by(old.writer(), None).unwrap();
    let next = old.successor(known, Timestamp::UNIX_EPOCH).unwrap();
    *now.lock().unwrap() = Some(next.clone());
    drop(held);
    let second = waiting.join().unwrap();
    assert_eq!(second.statement.predicate.writer, next.writer());
    assert_eq!(second.statement.predicate.sequence, 1);
    let rotated = Access {
        write_key: Some(next),
        identities: None,
        trusted_writers: Vec::new(),
    };
    let rotated = Vault::open(theft.rig.store.clone(), rotated, theft.rig.settings()).unwrap();
    let receipts = rotated.receipts(None).unwrap();
    assert!(receipts.findings.is_empty(), "{:?}", receipts.findings);
    assert!(receipts.receipts.iter().all(|receipt| receipt.trusted));
    // A key of another vault is not the one that was rotated to: nothing is signed with a guess.
    let stranger = resguardo_vault::WriteKey::generate(
        resguardo_model::VaultId(ulid::Ulid::from_parts(1, 1)),
        old.recipients().to_vec(),
        Timestamp::UNIX_EPOCH,
    );
    *now.lock().unwrap() = Some(stranger.unwrap());
    let refused = begun.put_receipt(draft(&begun, 52)).unwrap_err();
    assert!(
        matches!(refused, VaultError::WriteKeyUnread { .. }),
        "{refused}"
    );
}

#[test]
fn a_key_that_cannot_be_read_again_signs_no_receipt_and_is_a_note_of_the_backup() {
    let rig = Rig::new();
    let unread = || Err("the disk is gone".into());
    let vault = rig.vault().signing_by(Box::new(unread));
    let refused = vault.put_receipt(draft(&vault, 50)).unwrap_err();
    let why = std::error::Error::source(&refused).unwrap().to_string();
    assert_eq!(why, "the disk is gone");
    let done = back_up(&vault, 1, &content(1)).unwrap();
    assert!(
        done.notes
            .iter()
            .any(|note| note.contains("the disk is gone")),
        "{:?}",
        done.notes
    );
}

#[test]
fn a_backup_whose_writer_was_rotated_while_it_ran_is_not_committed() {
    let rig = Rig::new();
    let old = WriteKey::from_json(&rig.write_key).unwrap();
    let next = old
        .successor(BTreeSet::new(), Timestamp::UNIX_EPOCH)
        .unwrap();
    let now = next.clone();
    let vault = rig
        .vault()
        .signing_by(Box::new(move || Ok(Some(now.clone()))));
    match back_up(&vault, 1, &content(1)).unwrap_err() {
        VaultError::WriterReplaced { began, now, .. } => {
            assert_eq!((began, now), (old.writer(), next.writer()));
        }
        other => panic!("{other}"),
    }
    assert_eq!(rig.vault().heads(None).unwrap().heads.len(), 0);
}

#[test]
fn sources_without_a_backup_are_seen_by_their_leases_and_receipts() {
    let rig = Rig::new();
    let vault = rig.vault();
    assert_eq!(vault.sources_at_work().unwrap(), BTreeSet::new());
    let shop = source();
    let lease = vault.acquire_lease(&shop, run_id(1), "host", std::process::id());
    assert_eq!(
        vault.sources_at_work().unwrap(),
        BTreeSet::from([shop.clone()])
    );
    drop(lease.unwrap());
    assert_eq!(vault.sources_at_work().unwrap(), BTreeSet::new());
    receipt(&vault, 2);
    assert_eq!(vault.sources_at_work().unwrap(), BTreeSet::from([shop]));
}
