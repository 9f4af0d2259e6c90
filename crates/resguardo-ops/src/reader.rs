//! What an engine reads from while it restores: a snapshot of the vault behind the engine's port.

use std::io::Read;
use std::path::PathBuf;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use resguardo_engine::port::{BackupFile, BackupReader, ReadError, Run};
use resguardo_model::{FilePath, SourceFacts};
use resguardo_vault::{Snapshot, StoredHead, VaultError};

use crate::context::moment;

/// A snapshot, and the zone of whoever is told of it.
pub(crate) struct SnapshotReader(pub(crate) Snapshot, pub(crate) TimeZone);

/// A backup in words.
pub(crate) fn describe(stored: &StoredHead, zone: &TimeZone) -> String {
    let head = &stored.head;
    let at = moment(head.taken_at, zone);
    format!("{} {} of {at}", head.source, head.backup)
}

fn read_error(error: VaultError) -> ReadError {
    match error {
        VaultError::NoSuchFile(path) => ReadError::NoSuchFile(path),
        VaultError::DigestMismatch {
            path,
            expected,
            actual,
        } => ReadError::DigestMismatch {
            path,
            expected,
            actual,
        },
        VaultError::File { path, source, .. } => ReadError::Write { path, source },
        VaultError::Cancelled(cancelled) => ReadError::Cancelled(cancelled),
        other => ReadError::Source(Box::new(other)),
    }
}

impl BackupReader for SnapshotReader {
    fn describe(&self) -> String {
        describe(self.0.head(), &self.1)
    }

    fn facts(&self) -> Option<&SourceFacts> {
        Some(&self.0.manifest().header.facts)
    }

    fn taken_at(&self) -> Option<Timestamp> {
        Some(self.0.head().head.taken_at)
    }

    fn files(&self) -> Vec<BackupFile> {
        let files = self.0.manifest().files.iter();
        files
            .map(|file| BackupFile {
                path: file.path.clone(),
                bytes: file.size,
                sha256: file.sha256,
            })
            .collect()
    }

    fn write_files(
        &self,
        wanted: &[(FilePath, PathBuf)],
        durable: bool,
        run: Run<'_>,
    ) -> Result<(), ReadError> {
        self.0
            .write_files(wanted, durable, run.cancel, run.progress)
            .map_err(read_error)
    }

    fn open_stream<'a>(&'a self, path: &FilePath) -> Result<Box<dyn Read + Send + 'a>, ReadError> {
        self.0.open_stream(path).map_err(read_error)
    }
}
