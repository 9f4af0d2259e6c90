//! The manifest of a snapshot: its files, where their bytes lie, and what is known of the data.
//! `docs/format.md`, "Manifests".

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::facts::SourceFacts;
use crate::head::ObjectRef;
use crate::{BackupId, FilePath, Reason, Sha256Digest, SourceName, VaultId};

/// The first line of a manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ManifestHeader {
    /// Version of the manifest's format: 1.
    pub format: u32,
    /// The vault it belongs to.
    pub vault: VaultId,
    /// The source it belongs to.
    pub source: SourceName,
    /// The backup it describes.
    pub backup: BackupId,
    /// Why it was taken.
    pub reason: Reason,
    /// A free word of whoever took it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// The instant whose data it holds.
    pub taken_at: Timestamp,
    /// The machine that took it.
    pub host: String,
    /// The user that took it.
    pub operator: String,
    /// Resguardo's version.
    pub resguardo: String,
    /// What the engine knows of the data.
    pub facts: SourceFacts,
    /// The packs that extents refer to by their position here.
    pub packs: Vec<ObjectRef>,
}

/// How a file was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// Pages of one size, compared position by position with the backup before.
    Pages {
        /// Size of a page in bytes.
        page_bytes: u32,
    },
    /// A stream, cut by its content (FastCDC).
    Stream,
}

/// A run of a file's bytes that lie together in one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Extent {
    /// Where it begins in the file.
    pub file_offset: u64,
    /// Its length in bytes.
    pub length: u64,
    /// Position of the pack in the manifest's list.
    pub pack: u32,
    /// Position of the frame in the pack.
    pub frame: u32,
    /// Where it begins in the decoded frame.
    pub frame_offset: u32,
}

/// One file of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Its path inside the backup.
    pub path: FilePath,
    /// How it was cut.
    pub kind: FileKind,
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of the whole file.
    pub sha256: Sha256Digest,
    /// Its extents in the order of the file, without gap or overlap.
    pub extents: Vec<Extent>,
}

/// A whole manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Its first line.
    pub header: ManifestHeader,
    /// Its files in the order of their paths.
    pub files: Vec<FileEntry>,
}

impl Manifest {
    /// The file at `path`.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&FileEntry> {
        let found = self
            .files
            .binary_search_by(|file| file.path.as_str().cmp(path));
        Some(&self.files[found.ok()?])
    }

    /// Size of all files together, in bytes.
    #[must_use]
    pub fn raw_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }
}
