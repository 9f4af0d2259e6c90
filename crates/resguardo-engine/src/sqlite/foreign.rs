//! Opens a database file that lies somewhere, plain or gzipped, as a backup: an export of ours, or what
//! a script of somebody else wrote. Whatever lies beside it and names its hash is compared first.

use std::fs::File;
use std::io::{self, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use jiff::Timestamp;
use resguardo_model::{CancelToken, FilePath, Sha256Digest, SourceFacts};
use sha2::Digest as _;

use super::copy::private_folder;
use super::failure::{self, other, place};
use super::header::{HEADER_BYTES, Header, HeaderError};
use super::names::{self, KNOWN, Names};
use super::open::wal_bytes;
use crate::durable;
use crate::folder::PrivateFolder;
use crate::meta::Beside;
use crate::port::{BackupFile, BackupReader, EngineError, ReadError, Run};
use crate::proven::Proven;
use crate::system::of_system;

const BLOCK_BYTES: usize = 1 << 20;

/// Opens `file`; what is compressed is unpacked into a private folder in `scratch`.
///
/// # Errors
/// [`EngineError::UnknownFormat`], [`EngineError::HashMismatch`], or what is wrong with it.
pub(super) fn open_file(
    scratch: &Path,
    file: &Path,
    run: Run<'_>,
) -> Result<FileBackup, EngineError> {
    if let Err(error) = file.metadata() {
        return Err(of_system("opening", file, error));
    }
    let names = Names::of(file).ok_or_else(|| EngineError::UnknownFormat {
        file: place(file),
        known: KNOWN,
    })?;
    let beside = names::beside(file, &names)?;
    compare_hash(file, &beside, run)?;
    let (path, unpacked) = if names.gzip {
        let folder = private_folder(scratch)?;
        let path = folder.file("unpacked.sqlite");
        unpack(file, &path, run)?;
        (path, Some(folder))
    } else {
        refuse_live(file)?;
        (file.to_owned(), None)
    };
    let mut image = Image::default();
    let source = File::open(&path).map_err(|error| of_system("opening", &path, error))?;
    each_block(source, run.cancel, |block| {
        image.take(block);
        Ok(())
    })
    .map_err(|error| error.named("reading", file))?;
    image.is_whole(file)?;
    let sha256 = Sha256Digest::from(image.hasher);
    let meta = beside
        .into_iter()
        .find_map(|one| one.meta.map(|meta| (one.path, meta)));
    if let Some((beside, meta)) = &meta
        && let Some(database) = meta.database
        && database.sha256 != sha256
    {
        return Err(EngineError::HashMismatch {
            file: names.database,
            actual: sha256,
            beside: place(beside),
            expected: database.sha256.to_string(),
        });
    }
    Ok(FileBackup {
        description: place(file),
        taken_at: meta.as_ref().map(|(_, meta)| meta.taken_at),
        facts: meta.map(|(_, meta)| meta.facts),
        file: BackupFile {
            path: file_path(&names.database),
            bytes: image.bytes,
            sha256,
        },
        path,
        _unpacked: unpacked,
    })
}

fn file_path(name: &str) -> FilePath {
    name.parse()
        .or_else(|_| "database.sqlite".parse())
        .expect("the fallback is a path")
}

/// A database in use has commits that its main file lacks.
fn refuse_live(file: &Path) -> Result<(), EngineError> {
    if wal_bytes(file) == 0 {
        return Ok(());
    }
    let why = "a -wal file with changes lies beside it: it is a database in use, so take a backup of \
               it and restore that";
    Err(other("opening as a backup", file, why))
}

fn compare_hash(file: &Path, beside: &[Beside], run: Run<'_>) -> Result<(), EngineError> {
    for one in beside.iter().filter(|one| one.sha256.is_none()) {
        run.progress
            .note(&format!("{} names no sha256", one.path.display()));
    }
    let named: Vec<_> = beside
        .iter()
        .filter_map(|one| one.sha256.as_ref().map(|hash| (&one.path, hash)))
        .collect();
    if named.is_empty() {
        run.progress.note(&format!(
            "no hash lies beside {}: it cannot be told whether it is what was written",
            file.display()
        ));
        return Ok(());
    }
    let source = File::open(file).map_err(|error| of_system("opening", file, error))?;
    let mut hasher = sha2::Sha256::new();
    each_block(source, run.cancel, |block| {
        hasher.update(block);
        Ok(())
    })
    .map_err(|error| error.named("reading", file))?;
    let actual = Sha256Digest::from(hasher);
    match named.iter().find(|(_, hash)| **hash != actual.to_string()) {
        None => Ok(()),
        Some((path, hash)) => Err(EngineError::HashMismatch {
            file: place(file),
            actual,
            beside: place(path),
            expected: (*hash).clone(),
        }),
    }
}

fn unpack(file: &Path, to: &Path, run: Run<'_>) -> Result<(), EngineError> {
    let source = File::open(file).map_err(|error| of_system("opening", file, error))?;
    let mut target =
        durable::create_private(to).map_err(|error| of_system("unpacking to", to, error))?;
    let mut bytes = 0u64;
    let source = MultiGzDecoder::new(BufReader::with_capacity(BLOCK_BYTES, source));
    let unpacked = each_block(source, run.cancel, |block| {
        bytes += block.len() as u64;
        target.write_all(block)
    });
    unpacked.map_err(|error| match error {
        BlockError::Read(error) => {
            let why = match error.kind() {
                io::ErrorKind::UnexpectedEof => {
                    format!("its gzip data ends early, after {bytes} bytes")
                }
                _ => format!("its gzip data is damaged after {bytes} bytes: {error}"),
            };
            EngineError::Corrupt {
                place: place(file),
                why,
            }
        }
        BlockError::Write(error) => of_system("unpacking to", to, error),
        error @ BlockError::Cancelled(_) => error.named("unpacking", file),
    })
}

/// What ended a loop over blocks.
enum BlockError {
    Read(io::Error),
    Write(io::Error),
    Cancelled(resguardo_model::Cancelled),
}

impl BlockError {
    fn named(self, operation: &'static str, path: &Path) -> EngineError {
        match self {
            Self::Read(error) | Self::Write(error) => of_system(operation, path, error),
            Self::Cancelled(cancelled) => cancelled.into(),
        }
    }
}

/// Gives every block of `source` to `take`.
fn each_block(
    mut source: impl Read,
    cancel: &CancelToken,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), BlockError> {
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        cancel.check().map_err(BlockError::Cancelled)?;
        match source.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(length) => take(&block[..length]).map_err(BlockError::Write)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(BlockError::Read(error)),
        }
    }
}

/// A database as it is read past.
#[derive(Default)]
struct Image {
    bytes: u64,
    start: Vec<u8>,
    hasher: sha2::Sha256,
}

impl Image {
    fn take(&mut self, block: &[u8]) {
        let missing = HEADER_BYTES.saturating_sub(self.start.len());
        self.start
            .extend_from_slice(&block[..block.len().min(missing)]);
        self.hasher.update(block);
        self.bytes += block.len() as u64;
    }

    /// Whether it begins like a database and is as long as it says.
    fn is_whole(&self, file: &Path) -> Result<(), EngineError> {
        let header = Header::parse(&self.start).map_err(|error| EngineError::NotThatKind {
            place: place(file),
            expected: failure::SQLITE_DATABASE,
            why: match error {
                HeaderError::Short(0) => "it is empty".to_owned(),
                other => other.to_string(),
            },
        })?;
        header.fits(self.bytes).map_err(|why| EngineError::Corrupt {
            place: place(file),
            why,
        })
    }
}

/// A file as a backup.
pub(super) struct FileBackup {
    description: String,
    taken_at: Option<Timestamp>,
    facts: Option<SourceFacts>,
    file: BackupFile,
    path: PathBuf,
    _unpacked: Option<PrivateFolder>,
}

impl FileBackup {
    fn require(&self, path: &FilePath) -> Result<(), ReadError> {
        if *path == self.file.path {
            Ok(())
        } else {
            Err(ReadError::NoSuchFile(path.clone()))
        }
    }

    fn open(&self) -> Result<Proven<File>, ReadError> {
        let file = File::open(&self.path).map_err(|error| ReadError::Source(Box::new(error)))?;
        Ok(Proven::new(file, &self.file))
    }
}

impl BackupReader for FileBackup {
    fn describe(&self) -> String {
        self.description.clone()
    }

    fn facts(&self) -> Option<&SourceFacts> {
        self.facts.as_ref()
    }

    fn taken_at(&self) -> Option<Timestamp> {
        self.taken_at
    }

    fn files(&self) -> Vec<BackupFile> {
        vec![self.file.clone()]
    }

    fn write_files(
        &self,
        wanted: &[(FilePath, PathBuf)],
        durable: bool,
        run: Run<'_>,
    ) -> Result<(), ReadError> {
        for (path, destination) in wanted {
            self.require(path)?;
            let write_failed = |source| ReadError::Write {
                path: destination.clone(),
                source,
            };
            let mut target = durable::create_private(destination).map_err(write_failed)?;
            let mut done = 0;
            each_block(self.open()?, run.cancel, |block| {
                target.write_all(block)?;
                done += block.len() as u64;
                run.progress.bytes(done, Some(self.file.bytes));
                Ok(())
            })
            .map_err(|error| match error {
                BlockError::Read(error) => digest_mismatch(error),
                BlockError::Write(error) => write_failed(error),
                BlockError::Cancelled(cancelled) => cancelled.into(),
            })?;
            if durable {
                target.sync_all().map_err(write_failed)?;
            }
        }
        Ok(())
    }

    fn open_stream<'a>(&'a self, path: &FilePath) -> Result<Box<dyn Read + Send + 'a>, ReadError> {
        self.require(path)?;
        Ok(Box::new(self.open()?))
    }
}

/// A mismatch found by [`Proven`] comes out of `read` as an error of the system; this unpacks it.
fn digest_mismatch(error: io::Error) -> ReadError {
    match error.downcast::<ReadError>() {
        Ok(mismatch) => mismatch,
        Err(error) => ReadError::Source(Box::new(error)),
    }
}
