//! A vault in a folder, its keys in another: `write-key.json`, `identity.txt`, and a cache of page maps.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::{SignedDuration, Timestamp};
use resguardo_model::clock::SystemClock;
use resguardo_model::{Clock as _, EngineKind, Reason, Sha256Digest, SourceFacts};
use resguardo_store::durable::{self, Mode};
use resguardo_store::{FolderStore, Store};
use resguardo_vault::{
    Access, Description, Identities, Settings, Vault, WriteKey, generate_identity,
};
use ulid::Ulid;

use crate::Anything;

/// Threads for compressing, and files that are read at once: what the peer is given too.
pub(crate) const THREADS: usize = 2;
/// zstd, as the product's own default.
pub(crate) const LEVEL: i32 = 1;

pub(crate) fn make(vault: &Path, keys: &Path) -> Result<(), Anything> {
    let now = SystemClock.now();
    let (identity, recipient) = generate_identity(now);
    let store = FolderStore::create(vault)?;
    let config = Vault::create(&store, vec![recipient.clone()], &SystemClock)?;
    let key = WriteKey::generate(config.vault, vec![recipient], now)?;
    durable::create_folder(keys, Mode::PRIVATE_FOLDER)?;
    durable::write(
        &keys.join("write-key.json"),
        key.to_json().as_bytes(),
        Mode::PRIVATE,
    )?;
    durable::write(
        &keys.join("identity.txt"),
        identity.as_bytes(),
        Mode::PRIVATE,
    )?;
    Ok(())
}

pub(crate) fn open(vault: &Path, keys: &Path, compression_level: i32) -> Result<Vault, Anything> {
    open_with(vault, keys, compression_level, resguardo_vault::PRUNE_GRACE)
}

/// As [`open`]; dead objects wait only so long.
pub(crate) fn open_with(
    vault: &Path,
    keys: &Path,
    compression_level: i32,
    prune_grace: SignedDuration,
) -> Result<Vault, Anything> {
    let store: Arc<dyn Store> = Arc::new(FolderStore::open(vault)?);
    let key = WriteKey::from_json(&std::fs::read_to_string(keys.join("write-key.json"))?)?;
    let identities = Identities::parse(&std::fs::read(keys.join("identity.txt"))?, None)?;
    let access = Access {
        write_key: Some(key),
        identities: Some(identities),
        trusted_writers: Vec::new(),
    };
    let settings = Settings {
        clock: Arc::new(SystemClock),
        cache: keys.join("cache"),
        threads: THREADS,
        compression_level,
        prune_grace,
    };
    Ok(Vault::open(store, access, settings)?)
}

/// A new id: the time, and a number that no other id of this process has.
pub(crate) fn new_id() -> Ulid {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = SystemClock.now();
    let milliseconds = u64::try_from(now.as_millisecond()).unwrap_or(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let parted = u128::from(now.subsec_nanosecond().unsigned_abs()) << 48 | u128::from(count);
    Ulid::from_parts(milliseconds, parted)
}

/// The engine's name is the only one there is; the vault does not look at it.
pub(crate) fn description() -> Description {
    description_at(SystemClock.now())
}

/// As [`description`], of data of another instant.
pub(crate) fn description_at(taken_at: Timestamp) -> Description {
    let now = SystemClock.now();
    Description {
        engine: EngineKind::Sqlite,
        reason: Reason::manual(),
        note: String::new(),
        taken_at,
        started_at: now,
        host: "bench".to_owned(),
        operator: "bench".to_owned(),
        resguardo: env!("CARGO_PKG_VERSION").to_owned(),
        facts: SourceFacts {
            engine: EngineKind::Sqlite,
            server_version: "bench".to_owned(),
            schema_sha256: Sha256Digest::of(b""),
            tables: Vec::new(),
            details: std::collections::BTreeMap::new(),
        },
    }
}
