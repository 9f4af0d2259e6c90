//! Where objects lie in a vault. `docs/format.md`, "Objects".

use resguardo_model::{BackupId, RecordId, RunId, Sha256Digest, SourceName};
use resguardo_store::Key;

pub(crate) const VAULT: &str = "vault.json";
pub(crate) const README: &str = "README.txt";
pub(crate) const READER: &str = "read_vault.py";

/// Builds a key from parts that are valid by their types.
pub(crate) fn key(text: &str) -> Key {
    text.parse()
        .expect("source names, ids and digests hold only characters of keys")
}

pub(crate) fn packs(source: &SourceName) -> String {
    format!("{source}/packs")
}

pub(crate) fn pack(source: &SourceName, sha256: &Sha256Digest) -> Key {
    key(&format!("{source}/packs/{sha256}.age"))
}

/// The digest that a pack's key promises.
pub(crate) fn pack_digest(key: &Key) -> Option<Sha256Digest> {
    key.as_str()
        .rsplit('/')
        .next()?
        .strip_suffix(".age")?
        .parse()
        .ok()
}

pub(crate) fn index(source: &SourceName, name: &str) -> Option<Key> {
    format!("{source}/index/{name}.age").parse().ok()
}

pub(crate) fn manifest(source: &SourceName, backup: BackupId) -> Key {
    key(&format!("{source}/snapshots/{backup}.manifest.age"))
}

pub(crate) fn snapshots(source: &SourceName) -> String {
    format!("{source}/snapshots")
}

pub(crate) const HEAD_ENDING: &str = ".head.json";

pub(crate) fn head(source: &SourceName, backup: BackupId) -> Key {
    key(&format!("{source}/snapshots/{backup}{HEAD_ENDING}"))
}

/// The source and backup whose head belongs under `key`; `None` if it is no head's place.
pub(crate) fn head_place(key: &Key) -> Option<(SourceName, Option<BackupId>)> {
    let mut parts = key.as_str().split('/');
    let (source, folder, name) = (parts.next()?, parts.next()?, parts.next()?);
    if folder != "snapshots" || parts.next().is_some() {
        return None;
    }
    Some((
        source.parse().ok()?,
        name.strip_suffix(HEAD_ENDING)?.parse().ok(),
    ))
}

pub(crate) fn receipts(source: &SourceName) -> String {
    format!("{source}/receipts")
}

pub(crate) fn receipt(source: &SourceName, run: RunId) -> Key {
    key(&format!("{source}/receipts/{run}.json"))
}

/// The source whose receipt lies under `key`.
pub(crate) fn receipt_place(key: &Key) -> Option<SourceName> {
    let mut parts = key.as_str().split('/');
    let (source, folder, name) = (parts.next()?, parts.next()?, parts.next()?);
    let fits = folder == "receipts" && parts.next().is_none() && name.ends_with(".json");
    if fits { source.parse().ok() } else { None }
}

pub(crate) fn headers(source: &SourceName) -> String {
    format!("{source}/headers")
}

pub(crate) fn header_bundle(source: &SourceName, ulid: ulid::Ulid) -> Key {
    let name = ulid.to_string().to_lowercase();
    key(&format!("{source}/headers/{name}.jsonl"))
}

/// Whether `key` is the place of a bundle of further headers.
pub(crate) fn is_header_bundle(key: &Key) -> bool {
    let parts: Vec<&str> = key.as_str().split('/').collect();
    matches!(parts[..], [_, "headers", _])
}

/// Where the part `number` of a record is kept that another one took the place of: below `replaced/` of its source,
/// by its folder, its name and its digest.
pub(crate) fn replaced(record: &Key, sha256: &Sha256Digest, number: usize) -> Key {
    let (source, rest) = record
        .as_str()
        .split_once('/')
        .expect("records lie in a folder of their source");
    key(&format!("{source}/replaced/{rest}/{sha256}-{number}"))
}

/// Whether what lies under `key` is signed: heads, receipts, records of prunes, pins, bundles of further headers.
pub(crate) fn may_be_signed(key: &Key) -> bool {
    let parts: Vec<&str> = key.as_str().split('/').collect();
    match parts[..] {
        [_, "snapshots", name] => name.ends_with(HEAD_ENDING),
        [_, "receipts" | "prunes" | "pins", name] => name.ends_with(".json"),
        [_, "headers", name] => name.ends_with(".jsonl"),
        _ => false,
    }
}

pub(crate) fn lease(source: &SourceName) -> Key {
    key(&format!("{source}/lease.json"))
}

/// The source whose lease lies under `key`.
pub(crate) fn lease_place(key: &Key) -> Option<SourceName> {
    key.as_str().strip_suffix("/lease.json")?.parse().ok()
}

/// Folders of a source whose objects are kept by themselves, not by a head: signed each, and copied as they
/// are. Receipts are the last, because they speak of the others.
pub(crate) const SIGNED_FOLDERS: [&str; 4] = ["headers", "pins", "prunes", "receipts"];

pub(crate) fn prunes(source: &SourceName) -> String {
    format!("{source}/prunes")
}

pub(crate) fn prune(source: &SourceName, record: RecordId) -> Key {
    key(&format!("{source}/prunes/{record}.json"))
}

/// The source and record that belong under `key`; `None` if it is no prune record's place.
pub(crate) fn prune_place(key: &Key) -> Option<(SourceName, RecordId)> {
    named_json(key, "prunes")
}

pub(crate) fn tombstones(source: &SourceName) -> String {
    format!("{source}/tombstones")
}

pub(crate) fn tombstone(source: &SourceName, record: RecordId) -> Key {
    key(&format!("{source}/tombstones/{record}.json"))
}

/// As [`prune_place`], for a tombstone.
pub(crate) fn tombstone_place(key: &Key) -> Option<(SourceName, RecordId)> {
    named_json(key, "tombstones")
}

pub(crate) fn pins(source: &SourceName) -> String {
    format!("{source}/pins")
}

pub(crate) fn pin(source: &SourceName, backup: BackupId) -> Key {
    key(&format!("{source}/pins/{backup}.json"))
}

/// As [`prune_place`], for a pin.
pub(crate) fn pin_place(key: &Key) -> Option<(SourceName, BackupId)> {
    named_json(key, "pins")
}

fn named_json<Id: std::str::FromStr>(key: &Key, wanted: &str) -> Option<(SourceName, Id)> {
    let mut parts = key.as_str().split('/');
    let (source, folder, name) = (parts.next()?, parts.next()?, parts.next()?);
    if folder != wanted || parts.next().is_some() {
        return None;
    }
    Some((
        source.parse().ok()?,
        name.strip_suffix(".json")?.parse().ok()?,
    ))
}

/// Whether `key` is the place of an object that only heads keep alive: a pack, an index object, a manifest.
pub(crate) fn is_kept_by_heads(key: &Key) -> bool {
    let parts: Vec<&str> = key.as_str().split('/').collect();
    let [_, folder, name] = parts[..] else {
        return false;
    };
    match folder {
        "packs" => pack_digest(key).is_some(),
        "index" => name
            .strip_suffix(".age")
            .and_then(|name| name.split_once('-'))
            .is_some_and(|(backup, number)| {
                backup.parse::<BackupId>().is_ok() && number.parse::<u32>().is_ok()
            }),
        "snapshots" => name
            .strip_suffix(".manifest.age")
            .is_some_and(|backup| backup.parse::<BackupId>().is_ok()),
        _ => false,
    }
}
