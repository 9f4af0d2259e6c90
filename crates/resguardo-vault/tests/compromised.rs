//! A host that was taken over: the attacker has its write key, its chunk key, and credentials of the store,
//! and everybody trusts that writer. What he tries fails, or is found. `docs/threat-model.md` names each test.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test: writes files and starts tools directly"
)]

mod forge;
mod rig;

use std::collections::BTreeMap;
use std::io::Read as _;

use forge::{Forgery, newest, put, put_head, seal, second_host};
use jiff::Timestamp;
use resguardo_model::head::IndexRef;
use resguardo_model::receipt::{Predicate, RUN_TYPE, Subject, Verb};
use resguardo_model::{CancelToken, FindingKind, NoProgress, ObjectRef};
use resguardo_store::{Condition, Key, Store};
use resguardo_vault::{
    Access, Depth, Identities, ReceiptDraft, Selection, Settings, StoredHead, Vault, VaultError,
    WriteKey,
};
use rig::{Files, Rig, assert_restores, back_up, backup_id, change_page, pages, run_id, source};

/// A vault with three backups of an honest host, and the key of a second host that was taken over.
struct Taken {
    rig: Rig,
    stolen: String,
    content: Files,
}

impl Taken {
    fn over() -> Self {
        let mut rig = Rig::new();
        let stolen = second_host(&mut rig);
        let mut content = Files::from([("db.pages".to_owned(), pages(1, 300))]);
        for number in 1..=3 {
            change_page(content.get_mut("db.pages").unwrap(), 7, number);
            back_up(&rig.vault(), number, &content).unwrap();
        }
        Self {
            rig,
            stolen,
            content,
        }
    }

    /// The vault as the attacker opens it, in a cache of his own.
    fn vault_of_the_thief(&self, cache: &tempfile::TempDir) -> Vault {
        let access = Access {
            write_key: Some(WriteKey::from_json(&self.stolen).unwrap()),
            ..Access::default()
        };
        let settings = Settings {
            cache: cache.path().to_owned(),
            ..self.rig.settings()
        };
        Vault::open(self.rig.store.clone(), access, settings).unwrap()
    }

    fn heads(&self) -> Vec<StoredHead> {
        self.rig.vault().heads(None).unwrap().heads
    }

    /// Kinds of what a verification on the honest host finds.
    fn found(&self, depth: Depth) -> Vec<FindingKind> {
        found_in(&self.rig.vault(), depth)
    }

    /// As an auditor finds it: trusts both writers, and remembers nothing.
    fn found_elsewhere(&self, depth: Depth) -> Vec<FindingKind> {
        let cache = tempfile::tempdir().unwrap();
        let settings = Settings {
            cache: cache.path().to_owned(),
            ..self.rig.settings()
        };
        let mut access = self.rig.access(false, true);
        access
            .trusted_writers
            .push(WriteKey::from_json(&self.stolen).unwrap().writer());
        found_in(
            &Vault::open(self.rig.store.clone(), access, settings).unwrap(),
            depth,
        )
    }

    fn delete(&self, key: &str) {
        self.rig.store.delete(&key.parse().unwrap()).unwrap();
    }
}

fn found_in(vault: &Vault, depth: Depth) -> Vec<FindingKind> {
    let found = vault
        .verify(&Selection::All, depth, &CancelToken::new(), &NoProgress)
        .unwrap();
    found.findings.iter().map(|finding| finding.kind).collect()
}

#[test]
fn history_stays_closed() {
    let taken = Taken::over();
    let cache = tempfile::tempdir().unwrap();
    // His own backup first: not even that can he read back.
    let vault = taken.vault_of_the_thief(&cache);
    back_up(&vault, 4, &taken.content).unwrap();
    for head in taken.heads() {
        assert!(matches!(
            vault.open_snapshot(&head),
            Err(VaultError::NoIdentity { .. })
        ));
    }
    // Nor with the only identity in his key's file, put where an identity belongs, or by `age -d`.
    let key: serde_json::Value = serde_json::from_str(&taken.stolen).unwrap();
    let index_identity = key["index_identity"].as_str().unwrap();
    let access = Access {
        identities: Some(Identities::parse(index_identity.as_bytes(), None).unwrap()),
        trusted_writers: vec![taken.heads()[0].head.writer],
        ..Access::default()
    };
    let vault = Vault::open(taken.rig.store.clone(), access, taken.rig.settings()).unwrap();
    assert!(matches!(
        vault.open_snapshot(&taken.heads()[0]),
        Err(VaultError::WrongIdentity { .. })
    ));
    let identity: age::x25519::Identity = index_identity.parse().unwrap();
    let mut opened = Vec::new();
    for info in taken.rig.store.list("shop").unwrap() {
        let bytes = taken.rig.store.get(&info.key).unwrap();
        let opens = age::Decryptor::new(&bytes[..])
            .is_ok_and(|sealed| sealed.decrypt(std::iter::once(&identity as _)).is_ok());
        if opens {
            opened.push(info.key.to_string());
        }
    }
    let own = format!("shop/index/{}-0.age", backup_id(4));
    assert_eq!(
        opened,
        [own],
        "the index of his own backup, which he needs to deduplicate"
    );
}

#[test]
fn a_replaced_snapshot_is_found_by_the_one_after_it() {
    let taken = Taken::over();
    let mut forgery = Forgery::of(&taken.rig, 2, b"false rows");
    let second = taken.heads()[1].head.clone();
    (forgery.head.sequence, forgery.head.previous) = (second.sequence, second.previous);
    forgery.put_signed(&taken.rig, &taken.stolen);
    assert_eq!(
        taken.found_elsewhere(Depth::Heads),
        [FindingKind::HeadChanged]
    );
    // The others are what they were.
    assert_restores(&taken.rig.vault(), &taken.heads()[2], &taken.content);
}

#[test]
fn a_replaced_newest_snapshot_is_found_by_the_host_that_took_it() {
    let taken = Taken::over();
    let mut forgery = Forgery::of(&taken.rig, 3, b"false rows");
    let third = taken.heads()[2].head.clone();
    (forgery.head.sequence, forgery.head.previous) = (third.sequence, third.previous);
    forgery.put_signed(&taken.rig, &taken.stolen);
    assert_eq!(taken.found(Depth::Heads), [FindingKind::HeadRolledBack]);
    // An auditor who remembers nothing sees a second writer, and no more: a lie of a trusted writer.
    assert_eq!(taken.found_elsewhere(Depth::Heads), []);
    assert_ne!(taken.heads()[2].head.writer, taken.heads()[1].head.writer);
}

#[test]
fn a_deleted_snapshot_is_found_by_the_one_after_it() {
    let taken = Taken::over();
    taken.delete(&format!("shop/snapshots/{}.head.json", backup_id(2)));
    assert_eq!(
        taken.found_elsewhere(Depth::Heads),
        [FindingKind::HeadMissing]
    );
}

#[test]
fn a_deleted_newest_snapshot_is_found_by_the_host_that_took_it() {
    let taken = Taken::over();
    taken.delete(&format!("shop/snapshots/{}.head.json", backup_id(3)));
    assert_eq!(taken.found(Depth::Heads), [FindingKind::HeadRolledBack]);
    assert_eq!(
        taken.found_elsewhere(Depth::Heads),
        [],
        "from the vault alone nobody can tell it from an older one"
    );
}

#[test]
fn replaced_bytes_are_found_and_never_restored() {
    let taken = Taken::over();
    let pack = taken.heads()[0].head.packs[0].clone();
    let key = format!("shop/packs/{}.age", pack.sha256);
    let forged = seal(&forge::recipient_of(&taken.rig), &forge::pack(&[b"false"]));
    put(&taken.rig, &key, forged);
    assert_eq!(
        taken.found_elsewhere(Depth::Heads),
        [FindingKind::PackTruncated]
    );
    // Of the same size even.
    let same_size = vec![7; usize::try_from(pack.bytes).unwrap()];
    put(&taken.rig, &key, same_size);
    assert_eq!(
        taken.found_elsewhere(Depth::Bytes),
        [FindingKind::PackDamaged]
    );
    let vault = taken.rig.vault();
    let snapshot = vault.open_snapshot(&taken.heads()[2]).unwrap();
    let read = snapshot
        .open_stream(&"db.pages".parse().unwrap())
        .unwrap()
        .read_to_end(&mut Vec::new());
    assert!(read.is_err());
}

#[test]
fn another_sources_deduplication_is_not_poisoned() {
    let taken = Taken::over();
    let victim = taken.heads()[2].clone();
    // The best he can do: a head in the victim's folder whose index claims every page of the victim's, by
    // the victim's own index objects, for packs of his.
    let mut forgery = Forgery::of(&taken.rig, 4, b"false rows");
    forgery.head.index = victim.head.index.clone();
    forgery.put_signed(&taken.rig, &taken.stolen);
    let poisoned = newest(&taken.rig.vault()).unwrap();
    for lose_cache in [false, true] {
        if lose_cache {
            taken.rig.lose_cache();
        }
        let number = if lose_cache { 6 } else { 5 };
        let done = back_up(&taken.rig.vault(), number, &taken.content).unwrap();
        assert_eq!(done.new_raw_bytes, 0, "compared with its own last backup");
        for pack in &poisoned.head.packs {
            assert!(!done.head.head.packs.contains(pack));
        }
        assert_restores(&taken.rig.vault(), &done.head, &taken.content);
    }
}

#[test]
fn a_poisoned_index_object_is_not_used() {
    let taken = Taken::over();
    let victim = taken.heads()[2].clone();
    taken.rig.lose_cache();
    // The victim's own index object replaced, sealed so that the victim can open it.
    let IndexRef { name, .. } = victim.head.index.last().unwrap();
    let key: serde_json::Value = serde_json::from_str(&taken.rig.write_key).unwrap();
    let own: age::x25519::Identity = key["index_identity"].as_str().unwrap().parse().unwrap();
    let empty = [&b"RSGIDX1\nE"[..], &0_u64.to_le_bytes()].concat();
    let sealed = seal(&own.to_public(), &zstd::encode_all(&empty[..], 1).unwrap());
    put(&taken.rig, &format!("shop/index/{name}.age"), sealed);
    let done = back_up(&taken.rig.vault(), 4, &taken.content).unwrap();
    assert!(done.notes.iter().any(|note| note.contains("whole")));
    assert_restores(&taken.rig.vault(), &done.head, &taken.content);
    assert!(
        taken
            .found_elsewhere(Depth::Heads)
            .contains(&FindingKind::IndexDamaged)
    );
}

#[test]
fn a_prune_in_his_name_is_believed() {
    let taken = Taken::over();
    let cache = tempfile::tempdir().unwrap();
    let thief = taken.vault_of_the_thief(&cache);
    let lease = thief
        .acquire_lease(&source(), run_id(9), "evil", std::process::id())
        .unwrap();
    let options = resguardo_vault::PruneOptions::default();
    let doomed = [backup_id(1), backup_id(2)];
    thief
        .prune(&lease, &doomed, &options, &CancelToken::new(), &NoProgress)
        .unwrap();
    drop(lease);
    // Whoever may delete and has a trusted key may prune: no finding, and what is left is whole. The record
    // is signed, so that it says who it was.
    assert_eq!(taken.found(Depth::Bytes), []);
    assert_eq!(taken.heads().len(), 1);
    let records = taken.rig.store.list("shop/prunes").unwrap();
    let record = taken.rig.store.get(&records[0].key).unwrap();
    let writer = thief.writer().unwrap().to_string();
    assert!(
        String::from_utf8(record.to_vec())
            .unwrap()
            .contains(&writer)
    );
}

#[test]
fn heads_rolled_back_and_replayed_are_found() {
    let taken = Taken::over();
    let (first, third) = (taken.heads()[0].clone(), taken.heads()[2].clone());
    let bytes = taken
        .rig
        .store
        .get(&first.key.parse::<Key>().unwrap())
        .unwrap();
    let at: Key = third.key.parse().unwrap();
    taken.rig.store.put(&at, bytes, Condition::Always).unwrap();
    let found = taken.found(Depth::Heads);
    assert_eq!(
        found,
        [FindingKind::HeadReplayed, FindingKind::HeadRolledBack]
    );
    assert_eq!(
        taken.found_elsewhere(Depth::Heads),
        [FindingKind::HeadReplayed]
    );
    // The same head under its own number, signed by him: two of one number.
    let forked = Taken::over();
    let mut head = forked.heads()[2].head.clone();
    head.backup = backup_id(9);
    put_head(&forked.rig, &head, &forked.stolen);
    assert!(
        forked
            .found_elsewhere(Depth::Heads)
            .contains(&FindingKind::HeadForked)
    );
}

#[test]
fn a_replaced_snapshot_does_not_reach_the_copies() {
    use resguardo_store::MemoryStore;
    use resguardo_vault::{CopyPlace, SyncRequest};
    for mend in [false, true] {
        let taken = Taken::over();
        let copy = std::sync::Arc::new(MemoryStore::new());
        let place = CopyPlace::new("offsite", copy.clone());
        let sync = |number| {
            let vault = taken.rig.vault();
            let at_copy = vault.begin_copy(&place).unwrap();
            let request = SyncRequest {
                source: &source(),
                run: run_id(number),
                host: "host",
                pid: std::process::id(),
                mend,
                unwanted: &std::collections::BTreeSet::new(),
            };
            vault
                .sync(&at_copy, &request, &CancelToken::new(), &NoProgress)
                .unwrap()
        };
        assert_eq!(sync(31).sent.len(), 3);
        let key: Key = taken.heads()[1].key.parse().unwrap();
        let before = copy.get(&key).unwrap();
        let mut forgery = Forgery::of(&taken.rig, 2, b"false rows");
        let second = taken.heads()[1].head.clone();
        (forgery.head.sequence, forgery.head.previous) = (second.sequence, second.previous);
        forgery.put_signed(&taken.rig, &taken.stolen);
        let synced = sync(32);
        assert_eq!(copy.get(&key).unwrap(), before, "mend: {mend}");
        let kinds: Vec<_> = synced.findings.iter().map(|finding| finding.kind).collect();
        assert!(kinds.contains(&FindingKind::HeadChanged), "{kinds:?}");
    }
}

#[test]
fn a_chain_written_anew_is_found_where_the_old_one_is_remembered() {
    let taken = Taken::over();
    // All of history under his own signature, the second backup left out.
    let mut before: Option<StoredHead> = None;
    for (sequence, old) in [(1, 0_usize), (2, 2)] {
        let mut head = taken.heads()[old].head.clone();
        head.sequence = sequence;
        head.previous = before.as_ref().map(|head| head.sha256);
        put_head(&taken.rig, &head, &taken.stolen);
        before = taken
            .heads()
            .into_iter()
            .find(|stored| stored.head.backup == head.backup);
    }
    taken.delete(&format!("shop/snapshots/{}.head.json", backup_id(2)));
    assert_eq!(taken.found_elsewhere(Depth::Heads), []);
    assert_eq!(taken.found(Depth::Heads), [FindingKind::HeadRolledBack]);
}

#[test]
fn backups_in_an_untrusted_name_count_for_nothing() {
    let taken = Taken::over();
    let own = WriteKey::from_json(&taken.stolen).unwrap();
    let fresh = WriteKey::generate(
        own.vault(),
        own.recipients().to_vec(),
        Timestamp::UNIX_EPOCH,
    );
    let fresh = fresh.unwrap().to_json().to_string();
    Forgery::of(&taken.rig, 4, b"false rows").put_signed(&taken.rig, &fresh);
    assert_eq!(
        taken.found_elsewhere(Depth::Bytes),
        [FindingKind::WriterUnknown]
    );
    let vault = taken.rig.vault();
    let false_head = newest(&vault).unwrap();
    assert!(matches!(
        vault.open_snapshot(&false_head),
        Err(VaultError::UntrustedWriter { .. })
    ));
    // It is no predecessor either.
    let done = back_up(&vault, 5, &taken.content).unwrap();
    assert_eq!(done.head.head.sequence, 4);
}

#[test]
fn a_recipient_of_his_own_stops_backups() {
    let taken = Taken::over();
    let config = taken.rig.vault().config().clone();
    let thief = age::x25519::Identity::generate().to_public().to_string();
    let json = serde_json::json!({
        "format": 1, "vault": config.vault, "created_at": config.created_at,
        "recipients": [config.recipients[0].clone(), thief],
    });
    put(&taken.rig, "vault.json", json.to_string().into_bytes());
    let opened = Vault::open(
        taken.rig.store.clone(),
        taken.rig.access(true, true),
        taken.rig.settings(),
    );
    assert!(matches!(
        opened.err(),
        Some(VaultError::ConfigChanged { .. })
    ));
}

/// A receipt of a drill that ended so.
fn drill(vault: &Vault, number: u64, outcome: &str) -> ReceiptDraft {
    let predicate = Predicate {
        format: 1,
        run: run_id(number),
        verb: Verb::Drill,
        vault: vault.id(),
        source: source(),
        outcome: outcome.to_owned(),
        started_at: Timestamp::UNIX_EPOCH,
        finished_at: Timestamp::UNIX_EPOCH,
        host: "host".to_owned(),
        operator: "ana".to_owned(),
        tools: BTreeMap::new(),
        details: BTreeMap::new(),
        writer: vault.writer().unwrap(),
        sequence: 1,
        previous: None,
        result: None,
        configuration: vec![],
        passed_tests: vec![],
        failed_tests: vec![],
    };
    let ObjectRef { sha256, .. } = forge::object_of(b"a head");
    ReceiptDraft {
        subject: vec![Subject::new("shop/snapshots/x.head.json", sha256)],
        predicate_type: RUN_TYPE.to_owned(),
        predicate,
    }
}

fn receipts_found(vault: &Vault) -> Vec<FindingKind> {
    let receipts = vault.receipts(None).unwrap();
    receipts
        .findings
        .iter()
        .map(|finding| finding.kind)
        .collect()
}

#[test]
fn a_failed_drill_cannot_be_changed_or_taken_out() {
    let taken = Taken::over();
    let vault = taken.rig.vault();
    let mut stored = Vec::new();
    for (number, outcome) in [(11, "passed"), (12, "failed"), (13, "passed")] {
        stored.push(vault.put_receipt(drill(&vault, number, outcome)).unwrap());
    }
    assert_eq!(receipts_found(&vault), []);
    let failed = stored[1].clone();
    let at: Key = failed.key.parse().unwrap();

    // Changed, with the signature that it had.
    let mut envelope: serde_json::Value = serde_json::from_slice(&failed.bytes).unwrap();
    let payload = serde_json::to_string(&failed.statement).unwrap();
    let passed = payload.replace("\"failed\"", "\"passed\"");
    assert_ne!(passed, payload);
    envelope["payload"] = base64(passed.as_bytes()).into();
    put(&taken.rig, at.as_str(), envelope.to_string().into_bytes());
    let found = receipts_found(&vault);
    assert!(found.contains(&FindingKind::ReceiptForged), "{found:?}");

    // Changed, and signed by the thief as himself: no part of the chain of the host that drilled.
    let cache = tempfile::tempdir().unwrap();
    let thief = taken.vault_of_the_thief(&cache);
    taken.rig.store.delete(&at).unwrap();
    thief.put_receipt(drill(&thief, 12, "passed")).unwrap();
    assert_eq!(receipts_found(&vault), [FindingKind::ReceiptMissing]);

    // Taken out.
    taken.rig.store.delete(&at).unwrap();
    assert_eq!(receipts_found(&vault), [FindingKind::ReceiptMissing]);
}

#[test]
fn a_false_receipt_is_his_word_alone() {
    let taken = Taken::over();
    let cache = tempfile::tempdir().unwrap();
    let thief = taken.vault_of_the_thief(&cache);
    let lie = thief.put_receipt(drill(&thief, 21, "passed")).unwrap();
    // It is his, and says so; nothing makes it that of the host that drills.
    let vault = taken.rig.vault();
    let receipts = vault.receipts(None).unwrap();
    assert_eq!(receipts.findings, []);
    assert_eq!(Some(lie.statement.predicate.writer), thief.writer());
    assert_ne!(vault.writer(), thief.writer());
    // In another's name he cannot sign.
    let mut predicate = lie.statement.clone();
    predicate.predicate.writer = vault.writer().unwrap();
    let payload = serde_json::to_vec(&predicate).unwrap();
    let kind = resguardo_model::receipt::PAYLOAD_TYPE;
    let message = [
        format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).as_bytes(),
        &payload,
    ]
    .concat();
    for keyid in [vault.writer().unwrap(), thief.writer().unwrap()] {
        let envelope = serde_json::json!({
            "payloadType": kind, "payload": base64(&payload),
            "signatures": [{"keyid": keyid, "sig": base64(&forge::sign(&taken.stolen, &message))}],
        });
        put(&taken.rig, &lie.key, envelope.to_string().into_bytes());
        assert_eq!(receipts_found(&vault), [FindingKind::ReceiptForged]);
    }
}

fn base64(bytes: &[u8]) -> String {
    data_encoding::BASE64.encode(bytes)
}

#[test]
fn a_lease_held_for_ever_stops_backups_and_is_named() {
    let taken = Taken::over();
    let cache = tempfile::tempdir().unwrap();
    let thief = taken.vault_of_the_thief(&cache);
    let held = thief
        .acquire_lease(&source(), run_id(9), "evil", 4242)
        .unwrap();
    let error = back_up(&taken.rig.vault(), 4, &taken.content).unwrap_err();
    assert!(
        matches!(&error, VaultError::Locked { host, .. } if host == "evil"),
        "{error}"
    );
    drop(held);
    assert_eq!(taken.found(Depth::Bytes), []);
}

/// What the threat model says that a test tries, a test tries.
#[test]
fn the_threat_model_names_tests_that_exist() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(folder.join("../../docs/threat-model.md")).unwrap();
    let named = page.split('`').skip(1).step_by(2);
    let mut seen = 0;
    for (file, test) in named.filter_map(|words| words.split_once("::")) {
        let text = std::fs::read_to_string(folder.join(format!("tests/{file}.rs"))).unwrap();
        assert!(text.contains(&format!("fn {test}()")), "{file}::{test}");
        seen += 1;
    }
    assert!(seen > 25, "{seen} tests are named");
}
