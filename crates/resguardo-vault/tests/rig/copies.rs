//! Two vaults of one content: the vault of the rig, and a copy of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use resguardo_model::receipt::{Predicate, RUN_TYPE, Subject, Verb};
use resguardo_model::{CancelToken, NoProgress, Sha256Digest};
use resguardo_store::{Condition, Key, MemoryStore, Store};
use resguardo_vault::{
    CopyPlace, Depth, ReceiptDraft, Selection, SyncRequest, Synced, Vault, VaultError, WriteKey,
};

use super::{Files, Rig, assert_restores, back_up, change_page, noise, pages, run_id, source};

pub(crate) fn content() -> Files {
    Files::from([
        ("db.pages".to_owned(), pages(1, 300)),
        ("table.copy".to_owned(), noise(2, 200_000)),
    ])
}

pub(crate) fn changed() -> Files {
    let mut files = content();
    change_page(files.get_mut("db.pages").unwrap(), 3, 77);
    files
        .get_mut("table.copy")
        .unwrap()
        .extend(noise(5, 50_000));
    files
}

/// Two backups and a receipt.
pub(crate) fn filled() -> Rig {
    let rig = Rig::new();
    back_up(&rig.vault(), 1, &content()).unwrap();
    back_up(&rig.vault(), 2, &changed()).unwrap();
    rig.vault().put_receipt(draft(&rig, 3)).unwrap();
    rig
}

pub(crate) fn draft(rig: &Rig, run: u64) -> ReceiptDraft {
    let key = WriteKey::from_json(&rig.write_key).unwrap();
    ReceiptDraft {
        subject: vec![Subject::new("x", Sha256Digest::of(b"x"))],
        predicate_type: RUN_TYPE.to_owned(),
        predicate: Predicate {
            format: 1,
            run: run_id(run),
            verb: Verb::Verify,
            vault: key.vault(),
            source: source(),
            outcome: "succeeded".to_owned(),
            started_at: jiff::Timestamp::UNIX_EPOCH,
            finished_at: jiff::Timestamp::UNIX_EPOCH,
            host: "host".to_owned(),
            operator: "ana".to_owned(),
            tools: BTreeMap::new(),
            details: BTreeMap::new(),
            writer: key.writer(),
            sequence: 0,
            previous: None,
            result: None,
            configuration: vec![],
            passed_tests: vec![],
            failed_tests: vec![],
        },
    }
}

/// A second recipient to whom the old backups of the rig are given; the bundle that does it.
pub(crate) fn give_to_bea(rig: &Rig) -> (String, Key) {
    let (_, bea) = resguardo_vault::generate_identity(jiff::Timestamp::UNIX_EPOCH);
    let recipients = std::slice::from_ref(&bea);
    let cancel = CancelToken::new();
    rig.vault()
        .give_old_backups(&source(), recipients, &cancel, &NoProgress)
        .unwrap();
    let bundle = rig.store.list("shop/headers").unwrap()[0].key.clone();
    (bea, bundle)
}

/// The lines of a bundle, signed by the writer of a write key: what somebody does who has it.
pub(crate) fn bundle_signed_anew(bundle: &str, write_key: &str) -> String {
    use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
    use ed25519_dalek::Signer as _;
    let key: serde_json::Value = serde_json::from_str(write_key).unwrap();
    let secret = key["writer_secret"].as_str().unwrap().as_bytes();
    let secret = HEXLOWER_PERMISSIVE.decode(secret).unwrap();
    let secret = ed25519_dalek::SigningKey::from_bytes(&secret.try_into().unwrap());
    let at = bundle.find("ed25519:").unwrap();
    let old = bundle[at..].split('"').next().unwrap();
    let writer = WriteKey::from_json(write_key).unwrap().writer().to_string();
    let (lines, end) = bundle.trim_end().rsplit_once('\n').unwrap();
    let lines = format!("{}\n", lines.replace(old, &writer));
    let signature = secret.sign(format!("resguardo-headers-v1\n{lines}").as_bytes());
    let signature = HEXLOWER.encode(&signature.to_bytes());
    let (end, _) = end.split_once(",\"signature\"").unwrap();
    format!("{lines}{end},\"signature\":\"{signature}\"}}\n")
}

pub(crate) fn place(store: impl Store + 'static) -> CopyPlace {
    CopyPlace::new("offsite", Arc::new(store))
}

pub(crate) fn sync_with(
    vault: &Vault,
    place: &CopyPlace,
    mend: bool,
    cancel: &CancelToken,
) -> Result<Synced, VaultError> {
    let source = source();
    let unwanted = BTreeSet::new();
    let request = SyncRequest {
        source: &source,
        run: run_id(1000),
        host: "host",
        pid: std::process::id(),
        mend,
        unwanted: &unwanted,
    };
    let copy = vault.begin_copy(place)?;
    vault.sync(&copy, &request, cancel, &NoProgress)
}

pub(crate) fn sync(vault: &Vault, place: &CopyPlace) -> Result<Synced, VaultError> {
    sync_with(vault, place, false, &CancelToken::new())
}

/// Every object but leases.
pub(crate) fn objects(store: &MemoryStore) -> BTreeMap<String, Bytes> {
    let listed = store.list("").unwrap();
    listed
        .into_iter()
        .filter(|info| !info.key.as_str().ends_with("lease.json"))
        .map(|info| (info.key.to_string(), store.get(&info.key).unwrap()))
        .collect()
}

pub(crate) fn key(text: &str) -> Key {
    text.parse().unwrap()
}

pub(crate) fn a_pack(store: &MemoryStore) -> Key {
    store.list("shop/packs").unwrap()[0].key.clone()
}

pub(crate) fn flip(store: &MemoryStore, key: &Key) {
    let mut bytes = store.get(key).unwrap().to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    store.put(key, bytes.into(), Condition::Always).unwrap();
}

pub(crate) fn cut(store: &MemoryStore, key: &Key) {
    let bytes = store.get(key).unwrap();
    let half = bytes.slice(..bytes.len() / 2);
    store.put(key, half, Condition::Always).unwrap();
}

/// The copy alone, with the keys of the rig, opened as one whose vault is lost.
pub(crate) fn opened_alone(rig: &Rig, copy: &MemoryStore) -> Vault {
    Vault::open_copy(
        Arc::new(copy.clone()),
        rig.access(true, true),
        rig.settings(),
    )
    .unwrap()
}

pub(crate) fn assert_whole(rig: &Rig, copy: &MemoryStore) {
    let vault = opened_alone(rig, copy);
    let found = vault
        .verify(
            &Selection::All,
            Depth::Digests,
            &CancelToken::new(),
            &NoProgress,
        )
        .unwrap();
    assert_eq!(found.findings, []);
    let heads = vault.heads(None).unwrap().heads;
    assert_eq!(heads.len(), 2);
    assert_restores(&vault, &heads[0], &content());
    assert_restores(&vault, &heads[1], &changed());
}
