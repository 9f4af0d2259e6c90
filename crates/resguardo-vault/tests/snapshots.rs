//! Backups go in, come out the same, and cost little the second time.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test: writes files and starts tools directly"
)]

mod rig;

use std::sync::Arc;

use proptest::prelude::*;
use resguardo_model::{CancelToken, FileKind};
use resguardo_store::MemoryStore;
use resguardo_store::wrap::{Fault, Faulty, Operation, Rule};
use resguardo_vault::{Access, Depth, Identities, Selection, Vault, VaultError};
use rig::{
    Files, Rig, assert_restores, back_up, backup_id, change_page, noise, pages, run_id, source,
};

fn files(entries: &[(&str, Vec<u8>)]) -> Files {
    entries
        .iter()
        .map(|(path, content)| ((*path).to_owned(), content.clone()))
        .collect()
}

fn assert_clean(vault: &Vault, depth: Depth) {
    let found = vault
        .verify(
            &Selection::All,
            depth,
            &CancelToken::new(),
            &resguardo_model::NoProgress,
        )
        .unwrap();
    assert_eq!(found.findings, []);
}

#[test]
fn what_goes_in_comes_out() {
    let rig = Rig::new();
    let vault = rig.vault();
    let content = files(&[
        ("big.pages", pages(1, 900)),
        ("base/1/small.pages", pages(2, 3)),
        ("empty.pages", vec![]),
        ("table.copy", noise(3, 3_000_000)),
        ("empty.copy", vec![]),
        ("one-byte", vec![7]),
    ]);
    let done = back_up(&vault, 1, &content).unwrap();
    assert_eq!(
        done.raw_bytes,
        content.values().map(|c| c.len() as u64).sum::<u64>()
    );
    assert_eq!(done.head.head.sequence, 1);
    assert_restores(&vault, &done.head, &content);
    assert_clean(&vault, Depth::Bytes);
}

#[test]
fn a_second_backup_stores_what_changed() {
    let rig = Rig::new();
    let vault = rig.vault();
    let mut content = files(&[("db.pages", pages(1, 2000)), ("log", noise(9, 2_000_000))]);
    let first = back_up(&vault, 1, &content).unwrap();
    let before = content.clone();
    let db = content.get_mut("db.pages").unwrap();
    for page in [0, 5, 6, 255, 256, 1024, 1999] {
        change_page(db, page, 1000 + page as u64);
    }
    db.extend(pages(77, 2));
    content.get_mut("log").unwrap().extend(noise(10, 10_000));
    let second = back_up(&vault, 2, &content).unwrap();

    assert!(
        second.new_raw_bytes < 9 * 4096 + 60_000,
        "{} new bytes",
        second.new_raw_bytes
    );
    assert_eq!(second.head.head.previous, Some(first.head.sha256));
    assert_restores(&vault, &first.head, &before);
    assert_restores(&vault, &second.head, &content);

    let third = back_up(&vault, 3, &content).unwrap();
    assert_eq!((third.new_raw_bytes, third.packs_written), (0, 0));
    assert_restores(&vault, &third.head, &content);
    assert_clean(&vault, Depth::Bytes);
}

#[test]
fn a_safety_backup_of_another_file_costs_the_next_backup_nothing() {
    let rig = Rig::new();
    let vault = rig.vault();
    let content = files(&[("shop.pages", pages(1, 600))]);
    back_up(&vault, 1, &content).unwrap();
    let lease = vault
        .acquire_lease(&source(), run_id(2), "host", std::process::id())
        .unwrap();
    let writer = vault
        .begin_snapshot(lease, backup_id(2), &CancelToken::new())
        .unwrap();
    let kind = FileKind::Pages { page_bytes: 4096 };
    let mut file = writer
        .open_file(&"other.pages".parse().unwrap(), kind)
        .unwrap();
    file.write(&pages(7, 50)).unwrap();
    file.finish().unwrap();
    let reason = resguardo_model::Reason::safety();
    writer
        .commit(resguardo_vault::Description {
            reason,
            ..rig::description()
        })
        .unwrap();
    let third = back_up(&vault, 3, &content).unwrap();
    assert_eq!((third.new_raw_bytes, third.notes), (0, vec![]));
}

#[test]
fn the_only_file_grows_by_more_than_a_block() {
    let rig = Rig::new();
    let vault = rig.vault();
    for (number, count) in [(1, 3), (2, 700), (3, 256), (4, 0), (5, 300)] {
        let content = files(&[("db.pages", pages(1, count))]);
        let done = back_up(&vault, number, &content).unwrap();
        assert_restores(&vault, &done.head, &content);
    }
}

#[test]
fn a_lost_cache_is_rebuilt_from_index_objects() {
    let rig = Rig::new();
    let vault = rig.vault();
    let mut content = files(&[("db.pages", pages(1, 1500)), ("log", noise(9, 500_000))]);
    back_up(&vault, 1, &content).unwrap();
    for round in 2..20 {
        let db = content.get_mut("db.pages").unwrap();
        change_page(db, usize::try_from(round).unwrap() * 7, 50 + round);
        if round == 9 {
            db.truncate(1200 * rig::PAGE);
        }
        if round % 4 == 0 {
            rig.lose_cache();
        }
        let done = back_up(&vault, round, &content).unwrap();
        assert!(
            done.new_raw_bytes <= 2 * 4096,
            "round {round}: {} new bytes",
            done.new_raw_bytes
        );
        let rebuilt = done.notes.iter().any(|note| note.contains("rebuilt"));
        assert_eq!(rebuilt, round % 4 == 0, "round {round}: {:?}", done.notes);
        assert!(
            done.head.head.index.len() <= 17,
            "the index is written whole again in time"
        );
        assert_restores(&vault, &done.head, &content);
    }
    assert_clean(&vault, Depth::Structure);
}

#[test]
fn without_cache_and_index_a_whole_backup_is_taken_and_said_so() {
    use resguardo_store::Store as _;
    let rig = Rig::new();
    let vault = rig.vault();
    let content = files(&[("db.pages", pages(1, 600))]);
    back_up(&vault, 1, &content).unwrap();
    rig.lose_cache();
    for info in rig.store.list("shop/index").unwrap() {
        rig.store.delete(&info.key).unwrap();
    }
    let done = back_up(&vault, 2, &content).unwrap();
    assert_eq!(done.new_raw_bytes, 600 * 4096);
    assert!(
        done.notes.iter().any(|note| note.contains("whole")),
        "{:?}",
        done.notes
    );
    assert_restores(&vault, &done.head, &content);
}

#[test]
fn a_damaged_map_is_not_believed() {
    let rig = Rig::new();
    let vault = rig.vault();
    let mut content = files(&[("db.pages", pages(1, 600))]);
    back_up(&vault, 1, &content).unwrap();
    let folder = rig.cache.path().join(vault.id().to_string()).join("shop");
    let is_map = |path: &std::path::PathBuf| path.extension().is_some_and(|e| e == "map");
    let map = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(is_map)
        .unwrap();
    let mut bytes = std::fs::read(&map).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(&map, bytes).unwrap();
    change_page(content.get_mut("db.pages").unwrap(), 3, 9);
    let done = back_up(&vault, 2, &content).unwrap();
    assert!(
        done.notes.iter().any(|note| note.contains("rebuilt")),
        "{:?}",
        done.notes
    );
    assert_eq!(done.new_raw_bytes, 4096);
    assert_restores(&vault, &done.head, &content);
}

#[test]
fn a_file_of_which_little_is_alive_is_stored_afresh() {
    let rig = Rig::new();
    let vault = rig.vault();
    let mut content = files(&[("db.pages", pages(1, 1024))]);
    back_up(&vault, 1, &content).unwrap();
    let mut whole_again = 0;
    for round in 2..12 {
        let db = content.get_mut("db.pages").unwrap();
        // Another quarter of the pages each time, without a pattern.
        let is_drawn = |page: &usize| noise(round * 4096 + *page as u64, 8)[5] < 64;
        for page in (0..1024).filter(is_drawn) {
            change_page(db, page, round * 10_000 + page as u64);
        }
        let done = back_up(&vault, round, &content).unwrap();
        let snapshot = vault.open_snapshot(&done.head).unwrap();
        let frames: std::collections::HashSet<_> = snapshot.manifest().files[0]
            .extents
            .iter()
            .map(|e| (e.pack, e.frame))
            .collect();
        // The rule is asked when a backup begins: one backup's changes may come on top of twice the file.
        assert!(
            frames.len() <= 4 * 2 + 4,
            "round {round}: {} frames of 1 MiB hold 4 MiB",
            frames.len()
        );
        if done.new_raw_bytes == 1024 * 4096 {
            whole_again += 1;
        }
        assert_restores(&vault, &done.head, &content);
    }
    assert!(whole_again > 0);
}

#[test]
fn a_lost_pack_heals_with_the_next_backup() {
    use resguardo_store::Store as _;
    let rig = Rig::new();
    let vault = rig.vault();
    let content = files(&[("db.pages", pages(1, 300)), ("log", noise(2, 400_000))]);
    let first = back_up(&vault, 1, &content).unwrap();
    let pack = format!("shop/packs/{}.age", first.head.head.packs[0].sha256)
        .parse()
        .unwrap();
    rig.store.delete(&pack).unwrap();
    let second = back_up(&vault, 2, &content).unwrap();
    assert!(
        second
            .notes
            .iter()
            .any(|note| note.contains("stored again")),
        "{:?}",
        second.notes
    );
    assert_restores(&vault, &second.head, &content);
    let found = vault
        .verify(
            &Selection::All,
            Depth::Heads,
            &CancelToken::new(),
            &resguardo_model::NoProgress,
        )
        .unwrap();
    assert_eq!(found.whole, [backup_id(2)]);
}

#[test]
fn a_write_only_host_backs_up_and_deduplicates_but_cannot_read() {
    let rig = Rig::new();
    let writer = Vault::open(rig.store.clone(), rig.access(true, false), rig.settings()).unwrap();
    let mut content = files(&[("db.pages", pages(1, 600))]);
    back_up(&writer, 1, &content).unwrap();
    rig.lose_cache();
    change_page(content.get_mut("db.pages").unwrap(), 17, 4);
    let second = back_up(&writer, 2, &content).unwrap();
    assert_eq!(second.new_raw_bytes, 4096, "also after its cache was lost");
    assert!(matches!(
        writer.open_snapshot(&second.head),
        Err(VaultError::NoIdentity { .. })
    ));
    assert_clean(&writer, Depth::Heads);

    // Not with the key of its own index objects either, put in the place of an identity.
    let json: serde_json::Value = serde_json::from_str(&rig.write_key).unwrap();
    let index_identity = json["index_identity"].as_str().unwrap();
    let identities = Some(Identities::parse(index_identity.as_bytes(), None).unwrap());
    let access = Access {
        identities,
        ..rig.access(true, false)
    };
    let vault = Vault::open(rig.store.clone(), access, rig.settings()).unwrap();
    assert!(matches!(
        vault.open_snapshot(&second.head),
        Err(VaultError::WrongIdentity { .. })
    ));

    assert_restores(&rig.vault(), &second.head, &content);
}

#[test]
fn several_recipients_can_each_read() {
    use resguardo_vault::{WriteKey, generate_identity};
    let clock = resguardo_testkit::FakeClock::at("2026-11-22T02:00:00Z");
    let mut rig = Rig::new();
    rig.store = std::sync::Arc::new(resguardo_store::MemoryStore::new());
    let (one, r1) = generate_identity(jiff::Timestamp::UNIX_EPOCH);
    let (two, r2) = generate_identity(jiff::Timestamp::UNIX_EPOCH);
    let config = Vault::create(&*rig.store, vec![r1.clone(), r2.clone()], &clock).unwrap();
    let key = WriteKey::generate(config.vault, vec![r1, r2], jiff::Timestamp::UNIX_EPOCH).unwrap();
    rig.write_key = key.to_json().to_string();
    let content = files(&[("db.pages", pages(1, 10))]);
    for (number, identity) in [(1, one), (2, two)] {
        rig.identity = identity.to_string();
        let done = back_up(&rig.vault(), number, &content).unwrap();
        assert_restores(&rig.vault(), &done.head, &content);
    }
    let (stranger, _) = generate_identity(jiff::Timestamp::UNIX_EPOCH);
    rig.identity = stranger.to_string();
    let vault = rig.vault();
    let heads = vault.heads(None).unwrap().heads;
    assert!(matches!(
        vault.open_snapshot(&heads[0]),
        Err(VaultError::WrongIdentity { .. })
    ));
}

#[test]
fn an_unfinished_file_commits_nothing() {
    let rig = Rig::new();
    let vault = rig.vault();
    let lease = vault
        .acquire_lease(&source(), run_id(1), "host", std::process::id())
        .unwrap();
    let writer = vault
        .begin_snapshot(lease, backup_id(1), &CancelToken::new())
        .unwrap();
    let mut file = writer
        .open_file(&"short".parse().unwrap(), FileKind::Stream)
        .unwrap();
    file.write(b"half").unwrap();
    drop(file);
    assert!(
        matches!(writer.commit(rig::description()), Err(VaultError::Unfinished(path)) if path == "short")
    );
    assert_eq!(vault.heads(None).unwrap().heads, []);

    let lease = vault
        .acquire_lease(&source(), run_id(2), "host", std::process::id())
        .unwrap();
    let writer = vault
        .begin_snapshot(lease, backup_id(2), &CancelToken::new())
        .unwrap();
    let kind = FileKind::Pages { page_bytes: 4096 };
    let mut file = writer.open_file(&"a.pages".parse().unwrap(), kind).unwrap();
    file.write(&[0; 5000]).unwrap();
    assert!(matches!(
        file.finish(),
        Err(VaultError::BrokenPage { bytes: 5000, .. })
    ));
    assert!(writer.commit(rig::description()).is_err());
    assert!(matches!(vault.heads(None).unwrap().heads[..], []));
}

#[test]
fn a_lease_that_cannot_be_removed_is_let_go_of_all_the_same() {
    let rig = Rig::new();
    rig.store
        .lock_until("lease", "9999-01-01T00:00:00Z".parse().unwrap());
    let denied = Rule::from(1, Fault::Denied).on(Operation::Delete);
    let may_not_delete = Faulty::new(MemoryStore::clone(&rig.store)).with(denied);
    for vault in [rig.vault(), rig.vault_over(Arc::new(may_not_delete))] {
        for run in 1..=3 {
            let lease = vault
                .acquire_lease(&source(), run_id(run), "host", std::process::id())
                .unwrap();
            let second = vault.acquire_lease(&source(), run_id(9), "host", std::process::id());
            assert!(matches!(second, Err(VaultError::Locked { .. })), "{run}");
            drop(lease);
        }
    }
}

#[test]
fn a_cancelled_backup_commits_nothing_and_lets_go_of_its_lease() {
    let rig = Rig::new();
    let vault = rig.vault();
    let cancel = CancelToken::new();
    let lease = vault
        .acquire_lease(&source(), run_id(1), "host", std::process::id())
        .unwrap();
    let writer = vault.begin_snapshot(lease, backup_id(1), &cancel).unwrap();
    let mut file = writer
        .open_file(&"log".parse().unwrap(), FileKind::Stream)
        .unwrap();
    file.write(&noise(1, 5_000_000)).unwrap();
    cancel.cancel();
    assert!(matches!(file.write(b"more"), Err(VaultError::Cancelled(_))));
    drop(file);
    assert!(matches!(
        writer.commit(rig::description()),
        Err(VaultError::Cancelled(_))
    ));
    assert_eq!(vault.heads(None).unwrap().heads, []);
    back_up(&vault, 2, &files(&[("log", noise(1, 10))])).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    /// Against a naive model: whatever is changed, grown, cut, added and removed, every snapshot
    /// restores what was given to it.
    #[test]
    fn every_snapshot_restores_its_own_content(
        rounds in prop::collection::vec(
            (prop::collection::vec((0_usize..3, 0_usize..700, 0_u64..50), 0..40), any::<bool>(), 0_usize..3, 0_usize..700),
            1..5,
        ),
    ) {
        let rig = Rig::new();
        let vault = rig.vault();
        let mut content = Files::new();
        let mut taken = Vec::new();
        for (number, (changes, lose_cache, resized, size)) in rounds.into_iter().enumerate() {
            let file = content.entry(format!("f{resized}.pages")).or_default();
            file.resize(size * rig::PAGE, 0);
            for (name, page, seed) in changes {
                let room = (page + 1) * rig::PAGE;
                let file = content.get_mut(&format!("f{name}.pages"));
                if let Some(file) = file.filter(|file| file.len() >= room) {
                    change_page(file, page, seed);
                }
                let log = content.entry("log".to_owned()).or_default();
                log.extend(noise(seed, page * 13));
            }
            if lose_cache {
                rig.lose_cache();
            }
            let done = back_up(&vault, 1 + number as u64, &content).unwrap();
            taken.push((done.head, content.clone()));
        }
        for (head, content) in &taken {
            assert_restores(&vault, head, content);
        }
        assert_clean(&vault, Depth::Bytes);
    }
}
