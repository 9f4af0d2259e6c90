//! Damaged vaults: each kind of damage has its own finding, and names the backups that it hits.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test: writes files and starts tools directly"
)]

mod rig;

use bytes::Bytes;
use resguardo_model::{BackupId, CancelToken, Finding, FindingKind, NoProgress};
use resguardo_store::{Condition, Key, Store};
use resguardo_vault::{Depth, Selection, Vault, VaultError};
use rig::{Files, Rig, assert_restores, back_up, backup_id, change_page, pages, run_id, source};

/// Three backups; the second and third share packs with the first.
struct Three {
    rig: Rig,
    content: Vec<Files>,
    packs: Vec<Vec<String>>,
}

impl Three {
    fn new() -> Self {
        let rig = Rig::new();
        let mut files = Files::from([("db.pages".to_owned(), pages(1, 300))]);
        let (mut content, mut packs) = (Vec::new(), Vec::new());
        for number in 1..=3 {
            change_page(files.get_mut("db.pages").unwrap(), 7, number);
            let done = back_up(&rig.vault(), number, &files).unwrap();
            content.push(files.clone());
            let key = |pack: &resguardo_model::ObjectRef| format!("shop/packs/{}.age", pack.sha256);
            packs.push(done.head.head.packs.iter().map(key).collect());
        }
        Self {
            rig,
            content,
            packs,
        }
    }

    fn get(&self, key: &str) -> Vec<u8> {
        self.rig.store.get(&self.key(key)).unwrap().to_vec()
    }

    fn put(&self, key: &str, bytes: Vec<u8>) {
        self.rig
            .store
            .put(&self.key(key), Bytes::from(bytes), Condition::Always)
            .unwrap();
    }

    fn delete(&self, key: &str) {
        self.rig.store.delete(&self.key(key)).unwrap();
    }

    fn key(&self, key: &str) -> Key {
        key.parse().unwrap()
    }

    fn head(&self, number: u64) -> String {
        format!("shop/snapshots/{}.head.json", backup_id(number))
    }

    fn manifest(&self, number: u64) -> String {
        format!("shop/snapshots/{}.manifest.age", backup_id(number))
    }

    /// The pack that only backup `number` brought.
    fn own_pack(&self, number: usize) -> String {
        let before = if number > 1 {
            &self.packs[number - 2][..]
        } else {
            &[]
        };
        self.packs[number - 1]
            .iter()
            .find(|pack| !before.contains(pack))
            .unwrap()
            .clone()
    }

    fn verify(&self, depth: Depth) -> (Vec<Finding>, Vec<BackupId>) {
        let vault = self.rig.vault();
        let found = vault
            .verify(&Selection::All, depth, &CancelToken::new(), &NoProgress)
            .unwrap();
        (found.findings, found.whole)
    }

    #[track_caller]
    fn expect(&self, depth: Depth, kind: FindingKind, hit: &[u64], whole: &[u64]) {
        let ids = |numbers: &[u64]| {
            numbers
                .iter()
                .map(|number| backup_id(*number))
                .collect::<Vec<_>>()
        };
        let (findings, found_whole) = self.verify(depth);
        let of_kind: Vec<_> = findings
            .iter()
            .filter(|finding| finding.kind == kind)
            .collect();
        let [finding] = of_kind[..] else {
            panic!("expected one {kind:?} in {findings:#?}")
        };
        assert_eq!(finding.backups_hit, ids(hit), "{findings:#?}");
        assert_eq!(found_whole, ids(whole), "{findings:#?}");
    }
}

#[test]
fn a_sound_vault_has_no_findings_at_any_depth() {
    let three = Three::new();
    for depth in [Depth::Heads, Depth::Structure, Depth::Bytes] {
        let (findings, whole) = three.verify(depth);
        assert_eq!((findings, whole.len()), (vec![], 3));
    }
}

#[test]
fn a_flipped_bit_in_a_pack() {
    let three = Three::new();
    let pack = three.own_pack(2);
    let mut bytes = three.get(&pack);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    three.put(&pack, bytes);
    three.expect(Depth::Bytes, FindingKind::PackDamaged, &[2], &[1, 3]);

    let vault = three.rig.vault();
    let heads = vault.heads(None).unwrap().heads;
    let folder = tempfile::tempdir().unwrap();
    let wanted = [("db.pages".parse().unwrap(), folder.path().join("db"))];
    let restore = |number: usize| {
        let snapshot = vault.open_snapshot(&heads[number - 1]).unwrap();
        let _ = std::fs::remove_file(&wanted[0].1);
        snapshot.write_files(&wanted, false, &CancelToken::new(), &NoProgress)
    };
    assert!(
        matches!(restore(2), Err(VaultError::Damaged(finding)) if finding.backups_hit == [backup_id(2)])
    );
    restore(3).unwrap();
}

#[test]
fn a_flipped_bit_in_the_header_of_a_pack_is_no_wrong_identity() {
    let three = Three::new();
    let pack = three.own_pack(2);
    let mut bytes = three.get(&pack);
    let stanza = bytes
        .windows(7)
        .position(|part| part == b"X25519 ")
        .unwrap()
        + 10;
    bytes[stanza] = if bytes[stanza] == b'A' { b'B' } else { b'A' };
    three.put(&pack, bytes);
    three.expect(Depth::Structure, FindingKind::PackDamaged, &[2], &[1, 3]);
    three.expect(Depth::Bytes, FindingKind::PackDamaged, &[2], &[1, 3]);
}

#[test]
fn what_a_damaged_pack_held_is_stored_again_once_it_was_found() {
    for by_restore in [false, true] {
        let three = Three::new();
        let vault = three.rig.vault();
        let pack = three.own_pack(1);
        let mut bytes = three.get(&pack);
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        three.put(&pack, bytes);
        if by_restore {
            let head = &vault.heads(None).unwrap().heads[2];
            let out = three.rig.cache.path().join("out");
            let wanted = [("db.pages".parse().unwrap(), out)];
            let snapshot = vault.open_snapshot(head).unwrap();
            snapshot
                .write_files(&wanted, false, &CancelToken::new(), &NoProgress)
                .unwrap_err();
        } else {
            three.expect(Depth::Bytes, FindingKind::PackDamaged, &[1, 2, 3], &[]);
        }
        let healed = back_up(&vault, 4, &three.content[2]).unwrap();
        assert!(
            healed
                .notes
                .iter()
                .any(|note| note.contains("stored again")),
            "{:?}",
            healed.notes
        );
        assert_restores(&vault, &healed.head, &three.content[2]);
    }
}

#[test]
fn two_heads_of_one_number() {
    let three = Three::new();
    let vault = three.rig.vault();
    let head = vault.heads(None).unwrap().heads.remove(2).head;
    let lease = vault
        .acquire_lease(&source(), rig::run_id(9), "host", 1)
        .unwrap();
    three.delete(&three.head(3));
    let writer = vault
        .begin_snapshot(lease, backup_id(9), &CancelToken::new())
        .unwrap();
    assert!(
        writer
            .notes()
            .iter()
            .any(|note| note.contains("rolled back"))
    );
    let forked = writer.commit(rig::description()).unwrap().head.head;
    assert_eq!(forked.sequence, head.sequence);
    // The alarm lasts, also when later backups have come.
    three.expect(Depth::Heads, FindingKind::HeadRolledBack, &[3], &[1, 2, 9]);
}

#[test]
fn a_head_that_fills_the_memory_is_not_read() {
    let three = Three::new();
    three.put(&three.head(2), vec![b' '; (64 << 20) + 1]);
    three.expect(Depth::Heads, FindingKind::HeadMalformed, &[2], &[1, 3]);
}

#[test]
fn a_missing_pack() {
    let three = Three::new();
    three.delete(&three.own_pack(3));
    three.expect(Depth::Heads, FindingKind::PackMissing, &[3], &[1, 2]);
}

#[test]
fn a_missing_pack_that_all_need() {
    let three = Three::new();
    let shared = three.packs[0]
        .iter()
        .find(|pack| three.packs[2].contains(pack))
        .unwrap();
    three.delete(shared);
    three.expect(Depth::Heads, FindingKind::PackMissing, &[1, 2, 3], &[]);
}

#[test]
fn a_truncated_pack() {
    let three = Three::new();
    let pack = three.own_pack(2);
    let mut bytes = three.get(&pack);
    bytes.pop();
    three.put(&pack, bytes);
    three.expect(Depth::Heads, FindingKind::PackTruncated, &[2], &[1, 3]);
}

#[test]
fn swapped_packs() {
    let three = Three::new();
    let (a, b) = (three.own_pack(2), three.own_pack(3));
    let (bytes_a, bytes_b) = (three.get(&a), three.get(&b));
    three.put(&a, bytes_b);
    three.put(&b, bytes_a);
    let (findings, whole) = three.verify(Depth::Bytes);
    // age pads its headers at random, so that their sizes may tell before their content does.
    let told = [FindingKind::PackDamaged, FindingKind::PackTruncated];
    assert!(
        findings.iter().all(|finding| told.contains(&finding.kind)),
        "{findings:#?}"
    );
    assert_eq!((findings.len(), whole), (2, vec![backup_id(1)]));
}

#[test]
fn a_forged_head() {
    let three = Three::new();
    let head = String::from_utf8(three.get(&three.head(2))).unwrap();
    let forged = head.replace("\"reason\":\"manual\"", "\"reason\":\"weekly\"");
    assert_ne!(forged, head);
    three.put(&three.head(2), forged.into_bytes());
    three.expect(Depth::Heads, FindingKind::HeadForged, &[2], &[1, 3]);
}

#[test]
fn a_head_that_is_no_head() {
    let three = Three::new();
    three.put(&three.head(2), b"{}".to_vec());
    three.expect(Depth::Heads, FindingKind::HeadMalformed, &[2], &[1, 3]);
}

#[test]
fn an_old_head_replayed_in_a_newer_ones_place() {
    let three = Three::new();
    three.put(&three.head(3), three.get(&three.head(1)));
    three.expect(Depth::Heads, FindingKind::HeadReplayed, &[3], &[1, 2]);
}

#[test]
fn a_vault_rolled_back_by_removing_its_newest_head() {
    let three = Three::new();
    three.delete(&three.head(3));
    three.expect(Depth::Heads, FindingKind::HeadRolledBack, &[3], &[1, 2]);
}

#[test]
fn a_head_removed_from_the_middle() {
    let three = Three::new();
    three.delete(&three.head(2));
    three.expect(Depth::Heads, FindingKind::HeadMissing, &[], &[1, 3]);
}

#[test]
fn a_head_of_a_stranger() {
    use resguardo_vault::WriteKey;
    let three = Three::new();
    let own = WriteKey::from_json(&three.rig.write_key).unwrap();
    let stranger = WriteKey::generate(
        own.vault(),
        own.recipients().to_vec(),
        jiff::Timestamp::UNIX_EPOCH,
    )
    .unwrap();
    let access = resguardo_vault::Access {
        write_key: Some(stranger),
        ..three.rig.access(false, true)
    };
    let vault = Vault::open(three.rig.store.clone(), access, three.rig.settings()).unwrap();
    back_up(&vault, 4, &three.content[0]).unwrap();
    let (findings, whole) = three.verify(Depth::Bytes);
    assert!(
        findings
            .iter()
            .any(|f| f.kind == FindingKind::WriterUnknown && f.backups_hit == [backup_id(4)])
    );
    assert!(
        !whole.contains(&backup_id(4)),
        "what is not trusted is not called whole"
    );
}

#[test]
fn a_missing_manifest_and_a_damaged_one() {
    let three = Three::new();
    three.delete(&three.manifest(1));
    three.expect(Depth::Heads, FindingKind::ManifestMissing, &[1], &[2, 3]);

    let three = Three::new();
    let mut bytes = three.get(&three.manifest(2));
    *bytes.last_mut().unwrap() ^= 1;
    three.put(&three.manifest(2), bytes);
    three.expect(
        Depth::Structure,
        FindingKind::ManifestDamaged,
        &[2],
        &[1, 3],
    );
}

#[test]
fn a_manifest_of_another_backup_in_its_place() {
    let three = Three::new();
    three.put(&three.manifest(2), three.get(&three.manifest(1)));
    let (findings, whole) = three.verify(Depth::Structure);
    assert!(
        findings
            .iter()
            .all(|f| f.kind == FindingKind::ManifestDamaged && f.backups_hit == [backup_id(2)])
    );
    assert_eq!(whole, [backup_id(1), backup_id(3)]);
}

#[test]
fn a_lost_index_object_hits_no_backup() {
    let three = Three::new();
    let index = three.rig.store.list("shop/index").unwrap();
    three.delete(index[0].key.as_str());
    three.expect(Depth::Heads, FindingKind::IndexMissing, &[], &[1, 2, 3]);
}

#[test]
fn a_changed_recipient_is_an_alarm_and_nothing_is_written() {
    let three = Three::new();
    let (_, thief) = resguardo_vault::generate_identity(jiff::Timestamp::UNIX_EPOCH);
    let json = String::from_utf8(three.get("vault.json")).unwrap();
    let own = three.rig.vault().config().recipients[0].clone();
    let before = three.rig.store.list("").unwrap().len();
    let open = three.rig.vault();
    three.put("vault.json", json.replace(&own, &thief).into_bytes());
    let error = back_up(&open, 4, &three.content[0]).unwrap_err();
    assert!(
        matches!(&error, VaultError::ConfigChanged { what } if what.contains(&thief)),
        "{error}"
    );
    let opened = Vault::open(
        three.rig.store.clone(),
        three.rig.access(true, true),
        three.rig.settings(),
    );
    assert!(matches!(
        opened.err(),
        Some(VaultError::ConfigChanged { .. })
    ));
    assert_eq!(three.rig.store.list("").unwrap().len(), before);
}

#[test]
fn newer_formats_are_refused_by_name() {
    let three = Three::new();
    let json = String::from_utf8(three.get("vault.json")).unwrap();
    three.put(
        "vault.json",
        json.replace("\"format\": 1", "\"format\": 2").into_bytes(),
    );
    let opened = Vault::open(
        three.rig.store.clone(),
        three.rig.access(true, true),
        three.rig.settings(),
    );
    let error = opened.err().unwrap();
    assert_eq!(
        error.to_string(),
        "vault.json has format 2, this version of Resguardo reads format 1"
    );
}

#[test]
fn a_source_whose_lease_is_held_is_locked_and_says_by_whom() {
    let rig = Rig::new();
    let vault = rig.vault();
    let held = vault
        .acquire_lease(&source(), rig::run_id(1), "db1", 4242)
        .unwrap();
    let error = vault
        .acquire_lease(&source(), rig::run_id(2), "db2", 7)
        .unwrap_err();
    assert!(
        matches!(&error, VaultError::Locked { host, pid: 4242, .. } if host == "db1"),
        "{error}"
    );
    drop(held);
    drop(
        vault
            .acquire_lease(&source(), rig::run_id(3), "db2", 7)
            .unwrap(),
    );

    // A process of this host that is gone holds nothing.
    let mut child = std::process::Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    let dead = vault
        .acquire_lease(&source(), rig::run_id(4), "db2", child.id())
        .unwrap();
    std::mem::forget(dead);
    let taken = vault
        .acquire_lease(&source(), rig::run_id(5), "db2", 7)
        .unwrap();
    drop(taken);
    assert!(rig.store.get(&"shop/lease.json".parse().unwrap()).is_err());
}

#[test]
fn who_lost_his_lease_does_not_commit() {
    let rig = Rig::new();
    let vault = rig.vault();
    let lease = vault
        .acquire_lease(&source(), rig::run_id(1), "db1", 4242)
        .unwrap();
    let writer = vault
        .begin_snapshot(lease, backup_id(1), &CancelToken::new())
        .unwrap();
    let mut file = writer
        .open_file(&"log".parse().unwrap(), resguardo_model::FileKind::Stream)
        .unwrap();
    file.write(b"rows").unwrap();
    file.finish().unwrap();
    let lease: Key = "shop/lease.json".parse().unwrap();
    rig.store
        .put(&lease, Bytes::from_static(b"{}"), Condition::Always)
        .unwrap();
    assert!(matches!(
        writer.commit(rig::description()),
        Err(VaultError::LeaseLost(_))
    ));
    assert!(vault.heads(None).unwrap().heads.is_empty());
    assert!(
        rig.store.get(&lease).is_ok(),
        "another's lease is left alone"
    );
}

#[test]
fn earlier_backups_restore_beside_damaged_ones() {
    let three = Three::new();
    three.delete(&three.own_pack(3));
    three.delete(&three.manifest(2));
    let vault = three.rig.vault();
    let heads = vault.heads(None).unwrap().heads;
    assert_restores(&vault, &heads[0], &three.content[0]);
}

#[test]
fn a_store_that_cannot_be_reached_is_no_damage() {
    use resguardo_store::wrap::{Fault, Faulty, Operation, Rule};
    let three = Three::new();
    let store = || Faulty::new(three.rig.store.clone());
    let calls = |depth| {
        let all = std::sync::Arc::new(store());
        let vault = three.rig.vault_over(all.clone());
        let before = all.calls();
        let found = vault.verify(&Selection::All, depth, &CancelToken::new(), &NoProgress);
        assert_eq!(found.unwrap().findings, []);
        all.calls() - before
    };
    for depth in [Depth::Structure, Depth::Bytes] {
        for nth in 1..=calls(depth) {
            let rule = Rule::nth(nth, Fault::Fail)
                .on(Operation::GetRange)
                .key("shop");
            let vault = three
                .rig
                .vault_over(std::sync::Arc::new(store().with(rule)));
            let found = vault.verify(&Selection::All, depth, &CancelToken::new(), &NoProgress);
            if let Ok(found) = found {
                assert_eq!(found.findings, [], "{depth:?}, read {nth}");
            }
        }
    }
    let healed = back_up(&three.rig.vault(), 4, &three.content[2]).unwrap();
    assert_eq!(healed.new_raw_bytes, 0, "no pack is distrusted");
}

#[test]
fn a_cache_that_cannot_be_written_damages_no_index_and_makes_no_whole_backup() {
    let rig = Rig::new();
    let files = Files::from([("db.pages".to_owned(), pages(1, 300))]);
    back_up(&rig.vault(), 1, &files).unwrap();
    rig.lose_cache();
    // As of a disk that is full: the table of the rebuild cannot be made.
    let folder = rig.cache.path().join(rig.vault().id().to_string());
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("shop"), b"no folder").unwrap();
    let vault = rig.vault();
    let lease = vault.acquire_lease(&source(), run_id(2), "host", std::process::id());
    let begun = vault.begin_snapshot(lease.unwrap(), backup_id(2), &CancelToken::new());
    match begun.map(|writer| writer.notes().to_vec()) {
        Err(VaultError::File { operation, .. }) => {
            assert_eq!(operation, "rebuilding the page map in");
        }
        other => panic!("{other:?}"),
    }
    std::fs::remove_file(folder.join("shop")).unwrap();
    let done = back_up(&rig.vault(), 2, &files).unwrap();
    assert_eq!(done.new_raw_bytes, 0, "{:?}", done.notes);
}
