//! Opens a dump that lies somewhere as a backup: an export of ours, or what a cron job of somebody else wrote
//! with `pg_dump`. It is read to its end before anything is done with it: an archive by `pg_restore` itself, a
//! plain dump up to the last line that pg_dump writes. Whatever lies beside it and names its hash is compared.
//!
//! What it never does: take a dump for whole because its beginning is.

mod beside;
mod format;
mod script;
mod tar;

use std::fs::File;
use std::io::{self, Cursor, Read, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use resguardo_model::{CancelToken, EngineKind, FilePath, Sha256Digest, SourceFacts};
use sha2::Digest as _;

pub(super) use self::format::{Format, unpacked};
use self::script::Scanner;
pub(super) use self::script::Script;
use super::Surroundings;
use super::inventory::INVENTORY;
use super::restore::archive::{command, of_process, said};
use super::tools::Tools;
use crate::durable;
use crate::meta::{Beside, Meta};
use crate::port::{BackupFile, BackupReader, EngineError, ReadError, Run, SILENCE_TIMEOUT};
use crate::process::{self, NoLog, StreamError};
use crate::proven::Proven;
use crate::system::of_system;

const BLOCK_BYTES: usize = 1 << 20;
/// Longest list of an archive's contents.
const LIST_BYTES_MAX: usize = 1 << 30;
/// What a file is expected to be.
const POSTGRES_DUMP: &str = "a dump of PostgreSQL's";
/// Any `pg_restore` from this major on is looked for.
const OLDEST_MAJOR: u32 = 14;

/// Opens `path`.
///
/// # Errors
/// [`EngineError::UnknownFormat`], [`EngineError::HashMismatch`], or what is wrong with it.
pub(super) fn open_file(
    around: &Surroundings,
    path: &Path,
    run: Run<'_>,
) -> Result<ForeignBackup, EngineError> {
    path.metadata()
        .map_err(|error| of_system("opening", path, error))?;
    if !format::is_known(path) {
        return Err(unknown(path));
    }
    let format = format::of(path).map_err(|error| of_system("reading", path, error))?;
    let format =
        format.ok_or_else(|| not_a_dump(path, "its beginning is that of something else"))?;
    let files = files(path, run.cancel)?;
    let beside = beside::read(path)?;
    compare_hash(path, &files, &beside, run)?;
    let dump = Dump::read(around, path, format, run)?;
    dump.refuse()?;
    let meta = beside.into_iter().find_map(|one| one.meta);
    let meta = meta.filter(|meta| meta.facts.engine == EngineKind::Postgres);
    Ok(ForeignBackup {
        path: path.to_owned(),
        taken_at: meta.as_ref().map(|meta| meta.taken_at).or(dump.created),
        meta,
        files,
    })
}

/// What a dump is and holds.
pub(super) struct Dump {
    pub(super) path: PathBuf,
    pub(super) format: Format,
    pub(super) script: Script,
    /// When it was made, where it tells.
    created: Option<Timestamp>,
}

impl Dump {
    /// Reads it to its end. An archive is read by the `pg_restore` that can.
    ///
    /// # Errors
    /// [`EngineError::Corrupt`] if that fails.
    pub(super) fn read(
        around: &Surroundings,
        path: &Path,
        format: Format,
        run: Run<'_>,
    ) -> Result<Self, EngineError> {
        let (script, created) = match format {
            Format::Plain(packing) => {
                let text =
                    unpacked(path, packing).map_err(|error| of_system("opening", path, error))?;
                (plain(path, text, run.cancel)?, None)
            }
            Format::Custom | Format::Tar | Format::Folder => {
                if format == Format::Tar {
                    refuse_short_tar(path)?;
                }
                let tools = newest(around)?;
                let created = created_at(&list(&tools, path, run)?);
                (printed(&tools, path, &["--file=-"], run)?, created)
            }
        };
        Ok(Self {
            path: path.to_owned(),
            format,
            script,
            created,
        })
    }

    /// Of a file that [`open_file`] has read before and that has the same digest now: an archive is not
    /// unpacked again for its rows.
    ///
    /// # Errors
    /// If it changed meanwhile, or cannot be read.
    pub(super) fn again(
        around: &Surroundings,
        path: &Path,
        backup: &dyn BackupReader,
        run: Run<'_>,
    ) -> Result<Self, EngineError> {
        for (before, now) in backup.files().iter().zip(files(path, run.cancel)?) {
            if now.sha256 != before.sha256 {
                return Err(ReadError::DigestMismatch {
                    path: before.path.to_string(),
                    expected: before.sha256,
                    actual: now.sha256,
                }
                .into());
            }
        }
        let format = format::of(path).map_err(|error| of_system("reading", path, error))?;
        let format = format.ok_or_else(|| unknown(path))?;
        if !format.is_archive() {
            return Self::read(around, path, format, run);
        }
        let tools = newest(around)?;
        let words = ["--file=-", "--section=pre-data", "--section=post-data"];
        let mut script = printed(&tools, path, &words, run)?;
        let list = list(&tools, path, run)?;
        script.tables = list.matches(" TABLE DATA ").count() as u64;
        Ok(Self {
            path: path.to_owned(),
            format,
            script,
            created: None,
        })
    }

    /// Refuses what is no dump of one whole database.
    fn refuse(&self) -> Result<(), EngineError> {
        let script = &self.script;
        let path = &self.path;
        if script.is_cluster {
            return Err(EngineError::Unsupported {
                place: path.display().to_string(),
                why: "it is a dump of a whole cluster, by pg_dumpall".to_owned(),
                next: "dump one database with pg_dump, or run it with psql by hand".to_owned(),
            });
        }
        if !script.is_dump {
            return Err(not_a_dump(path, "it does not begin as pg_dump's do"));
        }
        if !script.is_complete {
            return Err(EngineError::Corrupt {
                place: path.display().to_string(),
                why: format!(
                    "it is cut short, or somebody wrote into it: after {} bytes of SQL pg_dump's last line is missing",
                    script.bytes
                ),
            });
        }
        if script.connects > 1 {
            return Err(EngineError::Unsupported {
                place: path.display().to_string(),
                why: "it connects to several databases".to_owned(),
                next: "run it with psql by hand".to_owned(),
            });
        }
        Ok(())
    }

    /// The major of the server that it is of, where it tells.
    pub(super) fn server_major(&self) -> Option<u32> {
        major(self.script.server_version.as_deref()?)
    }

    /// The major of the program that wrote it, where it tells.
    pub(super) fn dumped_by(&self) -> Option<u32> {
        major(self.script.pg_dump.as_deref()?)
    }
}

fn major(version: &str) -> Option<u32> {
    let digits = version.split(|letter: char| !letter.is_ascii_digit());
    digits.into_iter().next()?.parse().ok()
}

/// The newest `pg_restore`: it reads the archives of all older ones.
fn newest(around: &Surroundings) -> Result<Tools, EngineError> {
    let mut found = Tools::clients(OLDEST_MAJOR, &around.tool_folders)?;
    while let Ok(newer) = Tools::clients(found.major() + 1, &around.tool_folders) {
        found = newer;
    }
    Ok(found)
}

fn unknown(path: &Path) -> EngineError {
    EngineError::UnknownFormat {
        file: path.display().to_string(),
        known: format::KNOWN,
    }
}

fn not_a_dump(path: &Path, why: &str) -> EngineError {
    EngineError::NotThatKind {
        place: path.display().to_string(),
        expected: POSTGRES_DUMP,
        why: why.to_owned(),
    }
}

/// Reads a plain dump to its end.
fn plain(path: &Path, mut text: impl Read, cancel: &CancelToken) -> Result<Script, EngineError> {
    let mut scanner = Scanner::default();
    let mut block = vec![0; BLOCK_BYTES];
    let mut bytes = 0;
    loop {
        cancel.check()?;
        match text.read(&mut block) {
            Ok(0) => return Ok(scanner.finish()),
            Ok(read) => {
                bytes += read;
                scanner.push(&block[..read]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                return Err(EngineError::Corrupt {
                    place: path.display().to_string(),
                    why: format!("it cannot be unpacked after {bytes} bytes: {error}"),
                });
            }
        }
    }
}

/// What `pg_restore` prints of an archive, read past.
fn printed(
    tools: &Tools,
    path: &Path,
    words: &[&str],
    run: Run<'_>,
) -> Result<Script, EngineError> {
    let place = path.display().to_string();
    let mut scanner = Scanner::default();
    let mut words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
    words.push(absolute(path)?);
    let command = command(&tools.program("pg_restore"), words, Path::new("/"));
    let ended = process::read_from::<io::Error>(
        &command,
        SILENCE_TIMEOUT,
        run.cancel,
        &NoLog,
        &mut |block| {
            scanner.push(block);
            Ok(())
        },
    );
    let ended = ended.map_err(|error| match error {
        StreamError::Process(error) => of_process(&place, error),
        StreamError::Data(error) => of_system("reading", path, error),
    })?;
    if ended.status.success() {
        return Ok(scanner.finish());
    }
    Err(EngineError::Corrupt {
        place,
        why: format!("pg_restore: {}", said(&ended)),
    })
}

fn refuse_short_tar(path: &Path) -> Result<(), EngineError> {
    let fault = File::open(path).and_then(|mut file| tar::fault(&mut file));
    match fault.map_err(|error| of_system("reading", path, error))? {
        None => Ok(()),
        Some(why) => Err(EngineError::Corrupt {
            place: path.display().to_string(),
            why,
        }),
    }
}

/// The list of what is in an archive; times in it are on the clock of whoever made it.
fn list(tools: &Tools, path: &Path, run: Run<'_>) -> Result<String, EngineError> {
    let words = vec!["--list".to_owned(), absolute(path)?];
    let command = command(&tools.program("pg_restore"), words, Path::new("/"))
        .with_variables([("TZ".to_owned(), "UTC".to_owned())]);
    let mut list = Vec::new();
    let place = path.display().to_string();
    let take = &mut |block: &[u8]| {
        if list.len() + block.len() > LIST_BYTES_MAX {
            return Err(io::Error::other("its list of contents is too long"));
        }
        list.extend_from_slice(block);
        Ok(())
    };
    let ended = process::read_from(&command, SILENCE_TIMEOUT, run.cancel, &NoLog, take);
    let ended = ended.map_err(|error| match error {
        StreamError::Process(error) => of_process(&place, error),
        StreamError::Data(error) => of_system("reading", path, error),
    })?;
    if !ended.status.success() {
        return Err(EngineError::Corrupt {
            place,
            why: format!("pg_restore --list: {}", said(&ended)),
        });
    }
    Ok(String::from_utf8_lossy(&list).into_owned())
}

/// `; Archive created at 2026-11-22 12:04:12 UTC`.
fn created_at(list: &str) -> Option<Timestamp> {
    let line = list.lines().take(20).find_map(|line| {
        let (_, time) = line.split_once("Archive created at ")?;
        time.strip_suffix(" UTC")
    })?;
    let (date, time) = line.split_once(' ')?;
    format!("{date}T{time}Z").parse().ok()
}

fn absolute(path: &Path) -> Result<String, EngineError> {
    let path = std::path::absolute(path).map_err(|error| of_system("finding", path, error))?;
    Ok(path.display().to_string())
}

/// The file, or those in the folder, with their digests.
fn files(path: &Path, cancel: &CancelToken) -> Result<Vec<BackupFile>, EngineError> {
    let mut paths = Vec::new();
    if path.is_dir() {
        let entries = std::fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = entries.map_err(|error| of_system("reading", path, error))?;
        paths.extend(entries.iter().map(std::fs::DirEntry::path));
        paths.retain(|path| path.is_file());
        paths.sort();
    } else {
        paths.push(path.to_owned());
    }
    let file = |file: &PathBuf| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let opened = File::open(file).map_err(|error| of_system("opening", file, error))?;
        let (bytes, sha256) = digest(opened, file, cancel)?;
        Ok(BackupFile {
            path: name.parse().unwrap_or_else(|_| fallback()),
            bytes,
            sha256,
        })
    };
    paths.iter().map(file).collect()
}

/// A name for a file whose own is none inside a backup.
fn fallback() -> FilePath {
    "database.dump".parse().expect("the name is a path")
}

fn digest(
    mut source: File,
    path: &Path,
    cancel: &CancelToken,
) -> Result<(u64, Sha256Digest), EngineError> {
    let mut hasher = sha2::Sha256::new();
    let mut bytes = 0;
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        cancel.check()?;
        let read = source
            .read(&mut block)
            .map_err(|error| of_system("reading", path, error))?;
        if read == 0 {
            return Ok((bytes, Sha256Digest::from(hasher)));
        }
        hasher.update(&block[..read]);
        bytes += read as u64;
    }
}

fn compare_hash(
    path: &Path,
    files: &[BackupFile],
    beside: &[Beside],
    run: Run<'_>,
) -> Result<(), EngineError> {
    let [file] = files else {
        return Ok(());
    };
    let mut named = beside
        .iter()
        .filter_map(|one| Some((&one.path, one.sha256.as_ref()?)));
    let Some(first) = named.next() else {
        run.progress.note(&format!(
            "no hash lies beside {}: it cannot be told whether it is what was written",
            path.display()
        ));
        return Ok(());
    };
    let actual = file.sha256.to_string();
    let other = std::iter::once(first)
        .chain(named)
        .find(|(_, hash)| **hash != actual);
    match other {
        None => Ok(()),
        Some((beside, hash)) => Err(EngineError::HashMismatch {
            file: path.display().to_string(),
            actual: file.sha256,
            beside: beside.display().to_string(),
            expected: hash.clone(),
        }),
    }
}

/// A dump as a backup.
pub(super) struct ForeignBackup {
    path: PathBuf,
    /// What an export of ours says of itself.
    meta: Option<Meta>,
    taken_at: Option<Timestamp>,
    files: Vec<BackupFile>,
}

impl ForeignBackup {
    fn open(&self, path: &FilePath) -> Result<Proven<File>, ReadError> {
        let file = self.files.iter().find(|file| file.path == *path);
        let file = file.ok_or_else(|| ReadError::NoSuchFile(path.clone()))?;
        let real = if self.path.is_dir() {
            self.path.join(path.to_string())
        } else {
            self.path.clone()
        };
        let opened = File::open(real).map_err(|error| ReadError::Source(Box::new(error)))?;
        Ok(Proven::new(opened, file))
    }
}

impl BackupReader for ForeignBackup {
    fn describe(&self) -> String {
        self.path.display().to_string()
    }

    fn facts(&self) -> Option<&SourceFacts> {
        self.meta.as_ref().map(|meta| &meta.facts)
    }

    fn taken_at(&self) -> Option<Timestamp> {
        self.taken_at
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn files(&self) -> Vec<BackupFile> {
        self.files.clone()
    }

    fn write_files(
        &self,
        wanted: &[(FilePath, PathBuf)],
        durable: bool,
        run: Run<'_>,
    ) -> Result<(), ReadError> {
        for (path, destination) in wanted {
            let mut source = self.open(path)?;
            let failed = |source| ReadError::Write {
                path: destination.clone(),
                source,
            };
            let mut target = durable::create_private(destination).map_err(failed)?;
            let mut block = vec![0; BLOCK_BYTES];
            loop {
                run.cancel.check()?;
                let read = source.read(&mut block);
                let read = read.map_err(super::restore::load::read_error)?;
                if read == 0 {
                    break;
                }
                target.write_all(&block[..read]).map_err(failed)?;
            }
            if durable {
                target.sync_all().map_err(failed)?;
            }
        }
        Ok(())
    }

    fn open_stream<'a>(&'a self, path: &FilePath) -> Result<Box<dyn Read + Send + 'a>, ReadError> {
        let inventory = self.meta.as_ref().and_then(|meta| meta.inventory.as_ref());
        match inventory.filter(|_| path.as_str() == INVENTORY) {
            Some(inventory) => Ok(Box::new(Cursor::new(inventory.to_string()))),
            None => Ok(Box::new(self.open(path)?)),
        }
    }
}

/// What is wrong with the bytes of a tar archive, for the fuzz targets.
pub(crate) fn fault_of_tar(bytes: &[u8]) -> Option<String> {
    tar::fault(&mut io::Cursor::new(bytes)).unwrap_or_else(|error| Some(error.to_string()))
}

/// What is left out of a plain dump that comes in these blocks, for the fuzz targets.
pub(crate) fn cuts_of_dump<'a>(
    blocks: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<std::ops::Range<u64>> {
    let mut scanner = Scanner::default();
    blocks.into_iter().for_each(|block| scanner.push(block));
    scanner.finish().cuts(true, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_tells_when_it_was_made() {
        let list = ";\n; Archive created at 2026-11-22 12:04:12 UTC\n;     dbname: a\n";
        let expected: Timestamp = "2026-11-22T12:04:12Z".parse().unwrap();
        assert_eq!(created_at(list), Some(expected));
        assert_eq!(created_at("; Archive created at yesterday"), None);
        assert_eq!(major("9.6.24"), Some(9));
        assert_eq!(major("18beta1"), Some(18));
    }
}
