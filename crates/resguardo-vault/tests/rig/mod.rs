//! A vault in memory with its keys, and a source whose pages the test decides.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "test: a rig that fails ends the test")]

pub(crate) mod pruning;

pub(crate) mod copies;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use resguardo_model::{
    BackupId, CancelToken, EngineKind, FileKind, FilePath, NoProgress, Reason, RunId, Sha256Digest,
    SourceFacts, SourceName,
};
use resguardo_store::{MemoryStore, Store};
use resguardo_testkit::FakeClock;
use resguardo_vault::{
    Access, Committed, Description, Identities, Settings, StoredHead, Vault, VaultError, WriteKey,
    generate_identity,
};

pub(crate) const PAGE: usize = 4096;

/// The files of a source: path to content; a path that ends in `.pages` is a page file.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

pub(crate) struct Rig {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) identity: String,
    pub(crate) write_key: String,
    pub(crate) cache: tempfile::TempDir,
    pub(crate) clock: Arc<FakeClock>,
}

impl Rig {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(FakeClock::at("2026-11-22T02:00:00Z"));
        Self::over(MemoryStore::new(), clock)
    }

    /// A rig whose store has a clock of its own, which the test moves.
    pub(crate) fn with_store_clock(store_clock: &FakeClock) -> Self {
        let clock = Arc::new(FakeClock::at("2026-11-22T02:00:00Z"));
        Self::over(
            MemoryStore::with_clock(Arc::new(store_clock.clone())),
            clock,
        )
    }

    /// The same vault with a cache of its own.
    pub(crate) fn sharing(&self) -> Self {
        Self {
            store: self.store.clone(),
            identity: self.identity.clone(),
            write_key: self.write_key.clone(),
            cache: tempfile::tempdir().unwrap(),
            clock: self.clock.clone(),
        }
    }

    fn over(store: MemoryStore, clock: Arc<FakeClock>) -> Self {
        let store = Arc::new(store);
        let (identity, recipient) = generate_identity(Timestamp::UNIX_EPOCH);
        let config = Vault::create(&*store, vec![recipient.clone()], &*clock).unwrap();
        let key = WriteKey::generate(config.vault, vec![recipient], Timestamp::UNIX_EPOCH).unwrap();
        Self {
            store,
            identity: identity.to_string(),
            write_key: key.to_json().to_string(),
            cache: tempfile::tempdir().unwrap(),
            clock,
        }
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            clock: self.clock.clone(),
            cache: self.cache.path().to_owned(),
            threads: 3,
            compression_level: 1,
            prune_grace: resguardo_vault::PRUNE_GRACE,
        }
    }

    pub(crate) fn access(&self, write: bool, read: bool) -> Access {
        Access {
            write_key: write.then(|| WriteKey::from_json(&self.write_key).unwrap()),
            identities: read.then(|| Identities::parse(self.identity.as_bytes(), None).unwrap()),
            trusted_writers: vec![WriteKey::from_json(&self.write_key).unwrap().writer()],
        }
    }

    pub(crate) fn vault_over(&self, store: Arc<dyn Store>) -> Vault {
        Vault::open(store, self.access(true, true), self.settings()).unwrap()
    }

    pub(crate) fn vault(&self) -> Vault {
        self.vault_over(self.store.clone())
    }

    /// Forgets the local page maps.
    pub(crate) fn lose_cache(&self) {
        for entry in std::fs::read_dir(self.cache.path()).unwrap() {
            std::fs::remove_dir_all(entry.unwrap().path()).unwrap();
        }
    }
}

pub(crate) fn source() -> SourceName {
    "shop".parse().unwrap()
}

fn ulid(number: u64) -> ulid::Ulid {
    ulid::Ulid::from_parts(1_700_000_000_000 + number, u128::from(number))
}

pub(crate) fn run_id(number: u64) -> RunId {
    RunId(ulid(number))
}

pub(crate) fn backup_id(number: u64) -> BackupId {
    BackupId(ulid(number))
}

pub(crate) fn facts() -> SourceFacts {
    SourceFacts {
        engine: EngineKind::Sqlite,
        server_version: "3.50".to_owned(),
        schema_sha256: Sha256Digest::of(b"schema"),
        tables: vec![],
        details: BTreeMap::new(),
    }
}

pub(crate) fn description() -> Description {
    Description {
        engine: EngineKind::Sqlite,
        reason: Reason::manual(),
        note: String::new(),
        taken_at: Timestamp::UNIX_EPOCH,
        started_at: Timestamp::UNIX_EPOCH,
        host: "host".to_owned(),
        operator: "ana".to_owned(),
        resguardo: "0.1.0".to_owned(),
        facts: facts(),
    }
}

/// Takes a backup of `files`.
pub(crate) fn back_up(vault: &Vault, number: u64, files: &Files) -> Result<Committed, VaultError> {
    back_up_at(vault, number, files, Timestamp::UNIX_EPOCH)
}

/// As [`back_up`], with the time at which the backup began.
pub(crate) fn back_up_at(
    vault: &Vault,
    number: u64,
    files: &Files,
    started_at: Timestamp,
) -> Result<Committed, VaultError> {
    let lease = vault.acquire_lease(&source(), run_id(number), "host", std::process::id())?;
    let writer = vault.begin_snapshot(lease, backup_id(number), &CancelToken::new())?;
    for (path, content) in files {
        let page_bytes = u32::try_from(PAGE).unwrap();
        let kind = match path.ends_with(".pages") {
            true => FileKind::Pages { page_bytes },
            false => FileKind::Stream,
        };
        let mut file = writer.open_file(&path.parse().unwrap(), kind)?;
        for portion in content.chunks(300_007) {
            file.write(portion)?;
        }
        let (size, sha256) = file.finish()?;
        assert_eq!(
            (size, sha256),
            (content.len() as u64, Sha256Digest::of(content))
        );
    }
    writer.commit(Description {
        started_at,
        ..description()
    })
}

/// Restores all files of a backup, page by page and as streams, and compares.
pub(crate) fn assert_restores(vault: &Vault, head: &StoredHead, files: &Files) {
    let snapshot = vault.open_snapshot(head).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let wanted: Vec<(FilePath, PathBuf)> = files
        .keys()
        .enumerate()
        .map(|(number, path)| {
            (
                path.parse().unwrap(),
                folder.path().join(number.to_string()),
            )
        })
        .collect();
    snapshot
        .write_files(&wanted, false, &CancelToken::new(), &NoProgress)
        .unwrap();
    assert_eq!(snapshot.manifest().files.len(), files.len());
    for ((path, restored), content) in wanted.iter().zip(files.values()) {
        assert!(
            std::fs::read(restored).unwrap() == *content,
            "{path} written"
        );
        let mut streamed = Vec::new();
        snapshot
            .open_stream(path)
            .unwrap()
            .read_to_end(&mut streamed)
            .unwrap();
        assert!(streamed == *content, "{path} streamed");
    }
}

/// Bytes that do not compress and differ by seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

pub(crate) fn pages(seed: u64, count: usize) -> Vec<u8> {
    noise(seed, count * PAGE)
}

pub(crate) fn change_page(content: &mut [u8], page: usize, seed: u64) {
    content[page * PAGE..(page + 1) * PAGE].copy_from_slice(&noise(seed, PAGE));
}
