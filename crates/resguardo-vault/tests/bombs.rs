//! Objects that are small and become enormous, or that are enormous: refused at the format's limits, before
//! any memory is filled.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test: writes files and starts tools directly"
)]

mod forge;
mod rig;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use forge::{CONTENT, Forgery, assert_found, pack_of, put, refused, restored};
use resguardo_model::{CancelToken, FindingKind, NoProgress};
use resguardo_store::{
    Capabilities, Condition, Key, MemoryStore, ObjectInfo, Store, StoreError, Version,
};
use resguardo_vault::{Depth, PruneOptions, Selection, Vault, VaultError};
use rig::{Files, Rig, back_up, backup_id, noise};

#[test]
fn a_frame_that_is_a_bomb() {
    // A gigabyte of zeros in some tens of kilobytes.
    let mut bomb = zstd::Encoder::new(Vec::new(), 1).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..1024 {
        std::io::Write::write_all(&mut bomb, &zeros).unwrap();
    }
    let bomb = bomb.finish().unwrap();
    for (said, kind) in [
        (16, FindingKind::PackUnreadable),
        (4 << 20, FindingKind::PackUnreadable),
        (1 << 30, FindingKind::PackDamaged),
        (u32::MAX, FindingKind::PackDamaged),
    ] {
        let rig = Rig::new();
        let mut forgery = Forgery::of(&rig, 1, CONTENT);
        forgery.packs = vec![pack_of(&[(bomb.clone(), said)])];
        forgery.put(&rig);
        let finding = match restored(&rig) {
            Err(VaultError::Damaged(finding)) => finding,
            other => panic!("{said}: {other:?}"),
        };
        assert_eq!(finding.kind, kind, "{said}: {finding:?}");
        assert_found(&rig, Depth::Bytes, kind);
    }
}

#[test]
fn a_manifest_that_is_a_bomb() {
    let rig = Rig::new();
    let mut forgery = Forgery::of(&rig, 1, CONTENT);
    // JSON allows any space between its words; each line is within its own limit.
    let blank = format!("{{\"extents\":[{}]}}", " ".repeat(24 << 20));
    for _ in 0..3 {
        forgery.lines.insert(1, blank.clone());
    }
    forgery.put(&rig);
    let finding = refused(&rig);
    assert!(
        finding.message.contains("decodes to more than"),
        "{finding:?}"
    );
}

#[test]
fn a_line_of_a_manifest_beyond_its_limit() {
    let rig = Rig::new();
    let mut forgery = Forgery::of(&rig, 1, CONTENT);
    forgery.lines[1] = " ".repeat(64 << 20);
    // Enough that does not compress, so that not all of it together is the bomb.
    forgery.header.note = data_encoding::HEXLOWER.encode(&noise(1, 1 << 20));
    forgery.put(&rig);
    let finding = refused(&rig);
    assert!(finding.message.contains("too long"), "{finding:?}");
}

/// A store that counts the bytes of its largest answer.
struct Measured {
    inner: Arc<MemoryStore>,
    largest: AtomicU64,
}

impl Measured {
    fn seen(&self, bytes: Bytes) -> Bytes {
        self.largest.fetch_max(bytes.len() as u64, Ordering::SeqCst);
        bytes
    }
}

impl Store for Measured {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn put(&self, key: &Key, body: Bytes, when: Condition) -> Result<Option<Version>, StoreError> {
        self.inner.put(key, body, when)
    }

    fn get(&self, key: &Key) -> Result<Bytes, StoreError> {
        self.inner.get(key).map(|bytes| self.seen(bytes))
    }

    fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.inner
            .get_range(key, range)
            .map(|bytes| self.seen(bytes))
    }

    fn stat(&self, key: &Key) -> Result<ObjectInfo, StoreError> {
        self.inner.stat(key)
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        self.inner.list(prefix)
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.inner.delete(key)
    }
}

fn measured(rig: &Rig) -> Arc<Measured> {
    Arc::new(Measured {
        inner: rig.store.clone(),
        largest: AtomicU64::new(0),
    })
}

#[test]
fn plain_objects_that_fill_the_memory_are_not_read() {
    let rig = Rig::new();
    Forgery::of(&rig, 1, CONTENT).put(&rig);
    let swollen = || vec![b' '; (64 << 20) + 1];
    put(&rig, "shop/lease.json", swollen());
    put(
        &rig,
        &format!("shop/receipts/{}.json", rig::run_id(1)),
        swollen(),
    );
    put(
        &rig,
        &format!("shop/snapshots/{}.head.json", backup_id(2)),
        swollen(),
    );
    let store = measured(&rig);
    let vault = Vault::open(store.clone(), rig.access(true, true), rig.settings()).unwrap();
    let found = vault
        .verify(
            &Selection::All,
            Depth::Bytes,
            &CancelToken::new(),
            &NoProgress,
        )
        .unwrap();
    let kinds: Vec<_> = found.findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(
        kinds,
        [FindingKind::HeadMalformed, FindingKind::ReceiptForged]
    );
    let locked = back_up(&vault, 3, &Files::new()).unwrap_err();
    assert!(locked.to_string().contains("lease.json"), "{locked}");
    let largest = store.largest.load(Ordering::SeqCst);
    assert!(largest < 1 << 20, "{largest} bytes were read at once");

    put(&rig, "vault.json", swollen());
    let store = measured(&rig);
    let opened = Vault::open(store.clone(), rig.access(true, true), rig.settings());
    assert!(opened.is_err_and(|error| error.to_string().contains("vault.json")));
    assert_eq!(store.largest.load(Ordering::SeqCst), 0);
}

#[test]
fn records_that_fill_the_memory_are_not_read() {
    let rig = Rig::new();
    Forgery::of(&rig, 1, CONTENT).put(&rig);
    let record = rig::run_id(7);
    let swollen = |bytes: usize| vec![b' '; bytes + 1];
    let backup = backup_id(1);
    put(
        &rig,
        &format!("shop/prunes/{record}.json"),
        swollen(64 << 20),
    );
    put(
        &rig,
        &format!("shop/tombstones/{record}.json"),
        swollen(64 << 20),
    );
    put(
        &rig,
        &format!("shop/headers/{record}.jsonl"),
        swollen(64 << 20),
    );
    put(&rig, &format!("shop/pins/{backup}.json"), swollen(1 << 20));
    let store = measured(&rig);
    let vault = Vault::open(store.clone(), rig.access(true, true), rig.settings()).unwrap();
    let records = vault.prune_records(&rig::source()).unwrap();
    let kinds = |findings: &[resguardo_model::Finding]| -> Vec<FindingKind> {
        findings.iter().map(|finding| finding.kind).collect()
    };
    assert_eq!(kinds(&records.findings), [FindingKind::PruneRecordForged]);
    assert!(
        records.findings[0].message.contains("too large"),
        "{:?}",
        records.findings
    );
    let pins = vault.pins(None).unwrap();
    assert_eq!(kinds(&pins.findings), [FindingKind::PinForged]);
    assert!(
        pins.findings[0].message.contains("too large"),
        "{:?}",
        pins.findings
    );
    assert_eq!(
        pins.pins.len(),
        1,
        "whatever cannot be read keeps its backup"
    );
    let found = vault
        .verify(
            &Selection::All,
            Depth::Bytes,
            &CancelToken::new(),
            &NoProgress,
        )
        .unwrap();
    for kind in [FindingKind::PruneRecordForged, FindingKind::PinForged] {
        assert!(
            kinds(&found.findings).contains(&kind),
            "{:?}",
            found.findings
        );
    }
    // A prune reads tombstones, and the bundles of what it deletes.
    let lease = vault
        .acquire_lease(&rig::source(), rig::run_id(8), "host", 1)
        .unwrap();
    vault
        .prune(
            &lease,
            &[],
            &PruneOptions::default(),
            &CancelToken::new(),
            &NoProgress,
        )
        .unwrap();
    let largest = store.largest.load(Ordering::SeqCst);
    assert!(largest < 1 << 20, "{largest} bytes were read at once");
}
