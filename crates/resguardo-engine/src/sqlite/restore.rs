//! Brings a whole backup to a path: into a private folder beside it, checked there, then swapped in
//! (`swap` has the write order). The target is not touched before the image is proven.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use super::failure::{SQLITE_DATABASE, of_sqlite, place};
use super::header::{HEADER_BYTES, Header};
use super::swap::{Step, Swap};
use super::{facts, open};
use crate::durable::folder_of;
use crate::folder::PrivateFolder;
use crate::port::{
    BackupFile, BackupReader, EngineError, ReadError, RestoreOptions, Restored, Run,
};
use crate::system::of_system;

/// Longest wait for the lock of a database that is to be replaced, where nobody says another.
pub(super) const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// An image in a folder of its own beside the target, removed with this value.
pub(super) struct Image {
    /// The image.
    pub(super) path: PathBuf,
    /// Its size in bytes.
    pub(super) bytes: u64,
    folder: PrivateFolder,
}

impl Image {
    /// Writes the backup's database beside `target`; its digest is compared, and SQLite must open it.
    ///
    /// # Errors
    /// Any; nothing is left behind.
    pub(super) fn of(
        backup: &dyn BackupReader,
        target: &Path,
        durable: bool,
        run: Run<'_>,
    ) -> Result<Self, EngineError> {
        let file = only_file(backup)?;
        let folder = folder_beside(target)?;
        let path = folder.file("image.sqlite");
        backup
            .write_files(&[(file.path, path.clone())], durable, run)
            .map_err(|error| match error {
                ReadError::Write { source, .. } => of_system("writing beside", target, source),
                other => other.into(),
            })?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))
            .map_err(|error| of_system("setting the mode of", &path, error))?;
        Ok(Self {
            path,
            bytes: file.bytes,
            folder,
        })
    }

    /// A name for a second file in the same folder.
    pub(super) fn sibling(&self, name: &str) -> PathBuf {
        self.folder.file(name)
    }

    /// Opens it and counts its tables; errors name the backup, not the image.
    ///
    /// # Errors
    /// If SQLite does not take it for a database.
    pub(super) fn open(&self, backup: &dyn BackupReader) -> Result<(Connection, u64), EngineError> {
        let renamed = |error| match error {
            EngineError::NotThatKind { expected, why, .. } => EngineError::NotThatKind {
                place: backup.describe(),
                expected,
                why,
            },
            EngineError::Corrupt { why, .. } => EngineError::Corrupt {
                place: backup.describe(),
                why,
            },
            other => other,
        };
        self.is_whole().map_err(renamed)?;
        let connection = open::image(&self.path).map_err(renamed)?;
        let tables = facts::table_names(&connection)
            .map_err(|error| renamed(of_sqlite("opening", &self.path, error)))?;
        Ok((connection, tables.len() as u64))
    }
}

impl Image {
    /// Whether it begins like a database and is as long as it says. SQLite would take an empty file for
    /// an empty database.
    fn is_whole(&self) -> Result<(), EngineError> {
        let mut start = Vec::new();
        std::fs::File::open(&self.path)
            .and_then(|file| file.take(HEADER_BYTES as u64).read_to_end(&mut start))
            .map_err(|error| of_system("reading", &self.path, error))?;
        let header = Header::parse(&start).map_err(|error| EngineError::NotThatKind {
            place: place(&self.path),
            expected: SQLITE_DATABASE,
            why: error.to_string(),
        })?;
        header.fits(self.bytes).map_err(|why| EngineError::Corrupt {
            place: place(&self.path),
            why,
        })
    }
}

/// The one file that a backup of a SQLite database holds.
pub(super) fn only_file(backup: &dyn BackupReader) -> Result<BackupFile, EngineError> {
    let mut files = backup.files();
    match files.len() {
        1 => Ok(files.remove(0)),
        other => Err(EngineError::NotThatKind {
            place: backup.describe(),
            expected: "a backup of a SQLite database",
            why: format!("it holds {other} files instead of one"),
        }),
    }
}

/// A private folder on the target's file system; its name says whose it is.
pub(super) fn folder_beside(target: &Path) -> Result<PrivateFolder, EngineError> {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let short: String = name.chars().take(40).collect();
    let parent = folder_of(target);
    PrivateFolder::new(parent, &format!(".{short}.resguardo-")).map_err(|error| {
        match error.kind() {
            std::io::ErrorKind::NotFound => EngineError::Missing {
                place: format!("the folder {}", place(parent)),
            },
            _ => of_system("making a private folder in", parent, error),
        }
    })
}

/// Restores all of `backup` to `target`, which the caller has found free or allowed to be replaced.
///
/// # Errors
/// The target is as it was, unless the error is [`EngineError::TargetTouched`].
pub(super) fn whole(
    backup: &dyn BackupReader,
    target: &Path,
    options: &RestoreOptions,
    run: Run<'_>,
    after: &dyn Fn(Step),
) -> Result<Restored, EngineError> {
    let image = Image::of(backup, target, options.durable, run)?;
    let (connection, tables) = image.open(backup)?;
    drop(connection);
    run.cancel.check()?;
    let notes = Swap {
        image: &image.path,
        target,
        durable: options.durable,
        lock_timeout: options.lock_timeout.unwrap_or(LOCK_TIMEOUT),
    }
    .run(run.cancel, after)?;
    Ok(Restored {
        tables,
        bytes: image.bytes,
        notes,
    })
}
