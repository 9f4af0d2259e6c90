//! The frozen vault of format 1: written once, readable for ever.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use resguardo_model::{CancelToken, NoProgress, Sha256Digest, SystemClock};
use resguardo_store::FolderStore;
use resguardo_vault::{Access, Depth, Identities, Selection, Settings, Vault};

fn frozen() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frozen/format-1")
}

fn open(cache: &Path) -> Vault {
    let identity = std::fs::read(frozen().join("identity.txt")).expect("it is in the repository");
    let identities = Identities::parse(&identity, None).expect("an identity");
    let access = Access {
        identities: Some(identities),
        ..Access::default()
    };
    let store = FolderStore::open(frozen().join("vault")).expect("it is in the repository");
    let settings = Settings {
        clock: Arc::new(SystemClock),
        cache: cache.to_owned(),
        threads: 2,
        compression_level: 3,
        prune_grace: resguardo_vault::PRUNE_GRACE,
    };
    Vault::open(Arc::new(store), access, settings).expect("format 1 stays readable")
}

#[test]
fn format_1_is_whole_at_every_depth() {
    let cache = tempfile::tempdir().expect("a folder");
    let found = open(cache.path())
        .verify(
            &Selection::All,
            Depth::Bytes,
            &CancelToken::new(),
            &NoProgress,
        )
        .expect("verified");
    assert_eq!(found.findings, []);
    assert_eq!(found.whole.len(), 2);
}

#[test]
fn format_1_restores_what_was_backed_up() {
    let cache = tempfile::tempdir().expect("a folder");
    let vault = open(cache.path());
    let heads = vault.heads(None).expect("heads").heads;
    // sha256sum of the database when each backup was taken.
    let digests = [
        "04d8fde26d1118d05b00f1ed312e36ca3976e9c0ae7426f789787e85cefb8c4c",
        "e36274babac02a72a8e0cfdc218265433527a0480373a250a4fd423d067a6a23",
    ];
    assert_eq!(heads.len(), digests.len());
    for (head, digest) in heads.iter().zip(digests) {
        let out = cache.path().join(head.head.backup.to_string());
        let wanted = [("shop.sqlite".parse().expect("a path"), out.clone())];
        let snapshot = vault.open_snapshot(head).expect("a manifest");
        snapshot
            .write_files(&wanted, false, &CancelToken::new(), &NoProgress)
            .expect("restored");
        let restored = std::fs::read(out).expect("a file");
        assert_eq!(Sha256Digest::of(&restored).to_string(), digest);
    }
}

#[test]
fn format_1_receipts_hold() {
    let cache = tempfile::tempdir().expect("a folder");
    let receipts = open(cache.path()).receipts(None).expect("receipts");
    assert_eq!(receipts.findings, []);
    assert_eq!(receipts.receipts.len(), 3);
}
