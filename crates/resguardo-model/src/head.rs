//! The head of a snapshot: plain, signed, written last. `docs/format.md`, "Heads".

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{BackupId, EngineKind, Reason, Sha256Digest, SourceName, VaultId, WriterId};

/// An object of the vault that a head vouches for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectRef {
    /// SHA-256 of the object as it is stored.
    pub sha256: Sha256Digest,
    /// Its size as it is stored, in bytes.
    pub bytes: u64,
}

/// An index object that is needed to rebuild the page map of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexRef {
    /// Its name below `<source>/index/`, without the ending.
    pub name: String,
    /// SHA-256 of the object as it is stored.
    pub sha256: Sha256Digest,
    /// Its size as it is stored, in bytes.
    pub bytes: u64,
}

/// What can be known of a backup without any key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Version of the head's format: 1.
    pub format: u32,
    /// The vault it belongs to.
    pub vault: VaultId,
    /// The source it belongs to.
    pub source: SourceName,
    /// Its own id; the object's name must be the same.
    pub backup: BackupId,
    /// The kind of source.
    pub engine: EngineKind,
    /// Why it was taken.
    pub reason: Reason,
    /// The instant whose data it holds.
    pub taken_at: Timestamp,
    /// When the run began.
    pub started_at: Timestamp,
    /// When everything but this head was stored.
    pub finished_at: Timestamp,
    /// Size of the data that it restores, in bytes.
    pub raw_bytes: u64,
    /// Bytes that this backup added to the vault, without this head.
    pub stored_bytes: u64,
    /// Whoever signed it.
    pub writer: WriterId,
    /// One more than the head before it; the first is 1.
    pub sequence: u64,
    /// SHA-256 of the object of the source's head before it.
    pub previous: Option<Sha256Digest>,
    /// The manifest.
    pub manifest: ObjectRef,
    /// The index objects that rebuild this snapshot's page map, oldest first; empty if the next
    /// backup has to be a whole one.
    pub index: Vec<IndexRef>,
    /// Every pack that the snapshot needs, in the order of the manifest's pack numbers.
    pub packs: Vec<ObjectRef>,
}
