//! Reading a snapshot back: pack by pack into files, or as a stream.
//!
//! Nothing is believed: the manifest is the one its signed head names, each frame carries a checksum,
//! each age chunk is authenticated, and a file is compared with its SHA-256 before anybody is told that it
//! is restored.

mod kept;
mod pack_source;
mod scatter;
mod stream;

use std::io::{self, BufReader, Read};
use std::path::PathBuf;

use resguardo_model::{
    CancelToken, FileEntry, FilePath, FindingKind, Manifest, Progress, Sha256Digest,
};

use crate::bounded::Decoded;
use crate::error::VaultError;
use crate::headers;
use crate::heads::StoredHead;
use crate::layout;
use crate::manifest::{self, ManifestError};
use crate::seal;
use crate::vault::Vault;

use self::kept::KeptFrames;
pub(crate) use self::pack_source::{OpenedPack, fetch_whole};
pub(crate) use self::scatter::PACKS_OPEN_MAX;

/// A snapshot that is open for reading.
pub struct Snapshot {
    vault: Vault,
    head: StoredHead,
    manifest: Manifest,
    kept: KeptFrames,
}

impl Snapshot {
    pub(crate) fn open(vault: Vault, head: &StoredHead) -> Result<Self, VaultError> {
        let manifest = read_manifest(&vault, head)?;
        Ok(Self {
            vault,
            head: head.clone(),
            manifest,
            kept: KeptFrames::default(),
        })
    }

    /// Its head.
    #[must_use]
    pub fn head(&self) -> &StoredHead {
        &self.head
    }

    /// Its manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn file(&self, path: &FilePath) -> Result<&FileEntry, VaultError> {
        self.manifest
            .file(path.as_str())
            .ok_or_else(|| VaultError::NoSuchFile(path.clone()))
    }

    /// Writes files to new paths, each compared with its digest; `durable` asks for an fsync of each.
    ///
    /// On an error the paths may hold parts of files; the caller removes them.
    ///
    /// # Errors
    /// [`VaultError::Damaged`] naming the object, [`VaultError::DigestMismatch`],
    /// [`VaultError::File`] for a path that cannot be written.
    pub fn write_files(
        &self,
        wanted: &[(FilePath, PathBuf)],
        durable: bool,
        cancel: &CancelToken,
        progress: &dyn Progress,
    ) -> Result<(), VaultError> {
        let entries = wanted
            .iter()
            .map(|(path, to)| Ok((self.file(path)?, to.as_path())));
        let entries = entries.collect::<Result<Vec<_>, VaultError>>()?;
        scatter::write_files(&self.vault, self, &entries, durable, cancel, progress)
    }

    /// Reads one file from its beginning; its digest is checked at the end, as an error of `read`.
    ///
    /// # Errors
    /// [`VaultError::NoSuchFile`].
    pub fn open_stream<'a>(
        &'a self,
        path: &FilePath,
    ) -> Result<Box<dyn Read + Send + 'a>, VaultError> {
        Ok(Box::new(stream::FileStream::new(self, self.file(path)?)))
    }

    /// Opens one frame of the first pack and one of the last: the oldest and the newest seal that the backup
    /// depends on. Answers how many bytes they decode to; none where the backup holds no data.
    ///
    /// # Errors
    /// [`VaultError::Damaged`] naming the pack; the store's own.
    pub fn try_frames(&self) -> Result<u64, VaultError> {
        let head = &self.head.head;
        let first = head.packs.first();
        let last = head.packs.last().filter(|_| head.packs.len() > 1);
        let mut bytes = 0;
        for pack in first.into_iter().chain(last) {
            let mut opened = OpenedPack::fetch(&self.vault, &head.source, pack, 1)?;
            bytes += opened.decode(0)?.len() as u64;
        }
        Ok(bytes)
    }

    pub(crate) fn vault(&self) -> &Vault {
        &self.vault
    }
}

/// Size of a sealed manifest or index object beyond which a reader refuses it.
pub(crate) const SEALED_BYTES_MAX: u64 = 1 << 30;

/// Fetches, opens and parses the manifest that a head names.
fn read_manifest(vault: &Vault, stored: &StoredHead) -> Result<Manifest, VaultError> {
    let head = &stored.head;
    let key = layout::manifest(&head.source, head.backup);
    let with_backup = |error| scatter::name_backup(error, head.backup);
    let damaged = |kind, what: &dyn std::fmt::Display| with_backup(seal::damaged(&key, kind, what));
    vault.identities(&key)?;
    if head.manifest.bytes > SEALED_BYTES_MAX {
        return Err(damaged(
            FindingKind::ManifestMalformed,
            &"it is beyond the format's size",
        ));
    }
    let bytes = match vault.store().get_range(&key, 0..head.manifest.bytes) {
        Ok(bytes) => bytes,
        Err(resguardo_store::StoreError::OutOfRange { bytes, .. }) => {
            let what = format!("it is cut off at {bytes} bytes");
            return Err(damaged(FindingKind::ManifestDamaged, &what));
        }
        Err(resguardo_store::StoreError::NotFound { .. }) => {
            return Err(damaged(
                FindingKind::ManifestMissing,
                &"it is not in the vault",
            ));
        }
        Err(other) => return Err(other.into()),
    };
    if Sha256Digest::of(&bytes) != head.manifest.sha256 {
        return Err(damaged(
            FindingKind::ManifestDamaged,
            &"its bytes are not those that its head names",
        ));
    }
    let place = (&head.source, &key, &head.manifest.sha256);
    let opened = headers::open(vault, place, FindingKind::ManifestDamaged, || {
        io::Cursor::new(&bytes[..])
    })
    .map_err(with_backup)?;
    let lines =
        seal::decompress(opened).map_err(|error| damaged(FindingKind::ManifestDamaged, &error))?;
    let lines = Decoded::new(lines, head.manifest.bytes);
    let manifest = match manifest::parse(BufReader::new(lines)) {
        Ok(manifest) => manifest,
        Err(ManifestError::NewerFormat(format)) => {
            return Err(VaultError::NewerFormat {
                object: key.to_string(),
                format,
            });
        }
        Err(other) => return Err(damaged(FindingKind::ManifestMalformed, &Chain(&other))),
    };
    let header = &manifest.header;
    let belongs =
        (header.vault, &header.source, header.backup) == (head.vault, &head.source, head.backup);
    if !belongs || header.packs != head.packs {
        return Err(damaged(
            FindingKind::ManifestMalformed,
            &"it does not match its head",
        ));
    }
    Ok(manifest)
}

/// An error with its causes on one line, for findings.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
