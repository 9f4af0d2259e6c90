//! Captures a database into a file that plain `pg_restore` or `psql` reads, by `pg_dump` itself, and writes
//! `X.dump.meta.json` beside `X.dump`: its hash, and what a drill of it compares, counted and digested in the
//! snapshot that was dumped, by other sessions and meanwhile.
//!
//! Write order: both files are written and flushed in a private folder beside; then the meta file gets its
//! name, then the dump, then the folder is flushed. Whoever sees the dump finds its hash beside it. Nothing
//! is ever overwritten; on an error nothing is left behind.

mod format;
mod outlet;
mod tallied;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use resguardo_model::{CancelToken, NoProgress};

use super::Surroundings;
use super::capture::{self, Opened, Source};
use super::tool;
use crate::durable;
use crate::exported;
use crate::folder::PrivateFolder;
use crate::meta::Meta;
use crate::port::{CaptureRequest, EngineError, FileDigest, Run};
use crate::process::{self, Command, NoLog, StreamError};
use crate::system::of_system;
use format::{Compression, Format};
use outlet::Outlet;
use tallied::Tallied;

/// Exports the database of `request` to `out`; returns the paths written, the dump first.
///
/// # Errors
/// [`EngineError::UnknownFormat`], [`EngineError::Occupied`] if a file has the name, or why the database
/// could not be dumped.
pub(super) fn export(
    around: &Surroundings,
    request: &CaptureRequest,
    out: &Path,
    run: Run<'_>,
) -> Result<Vec<PathBuf>, EngineError> {
    let format = Format::of(out).ok_or_else(|| EngineError::UnknownFormat {
        file: out.display().to_string(),
        known: format::KNOWN,
    })?;
    let beside = beside(out);
    exported::refuse_taken([out, &beside])?;
    let folder = private_folder(out)?;
    let draft = folder.file("dump");
    let meta = write(around, request, format, (&draft, out), run)?;
    exported::publish(&folder, &draft, (out, &beside), &meta, run)?;
    Ok(vec![out.to_owned(), beside])
}

/// Where it lies for a dump: `shop.dump.meta.json`, so that dumps of several formats can lie together.
fn beside(dump: &Path) -> PathBuf {
    let mut name = dump.file_name().unwrap_or_default().to_owned();
    name.push(".meta.json");
    dump.with_file_name(name)
}

fn private_folder(out: &Path) -> Result<PrivateFolder, EngineError> {
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    let short: String = name.chars().take(40).collect();
    let parent = durable::folder_of(out);
    PrivateFolder::new(parent, &format!(".{short}.resguardo-")).map_err(|error| {
        match error.kind() {
            io::ErrorKind::NotFound => EngineError::Missing {
                place: format!("the folder {}", parent.display()),
            },
            _ => of_system("making a private folder in", parent, error),
        }
    })
}

/// Runs `pg_dump` into the draft of `out`, makes sure that what it wrote is whole, and tallies what is in it.
fn write(
    around: &Surroundings,
    request: &CaptureRequest,
    format: Format,
    (draft, out): (&Path, &Path),
    run: Run<'_>,
) -> Result<Meta, EngineError> {
    // How far it is, the dump tells.
    let tallying = Run {
        progress: &NoProgress,
        ..run
    };
    let source = Source::new(around, request, tallying)?;
    let tallied = Tallied::default();
    let written = Mutex::new(None);
    let dump = |opened: &Opened, stop: &CancelToken| {
        let dumping = Dumping {
            source: &source,
            opened,
            draft,
            run: Run {
                cancel: stop,
                ..run
            },
        };
        let digest = dumping.all(format)?;
        *written.lock().expect("no holder of it panics") = Some(digest);
        Ok(())
    };
    let captured = capture::capture_with(&source, &tallied, Some(&dump))?;
    let written = written.into_inner().expect("no holder of it panics");
    let written = written.expect("a capture that succeeds has waited for the dump beside it");
    Ok(Meta {
        inventory: Some(tallied.inventory().map_err(|error| EngineError::Other {
            operation: "reading back the inventory of",
            place: source.settings().describe(),
            source: Box::new(error),
        })?),
        ..Meta::of(out, written, captured)
    })
}

/// One run of `pg_dump`.
struct Dumping<'a> {
    source: &'a Source<'a>,
    opened: &'a Opened,
    draft: &'a Path,
    run: Run<'a>,
}

impl Dumping<'_> {
    /// The whole dump. One of an earlier snapshot, which did not come to its end, goes.
    fn all(&self, format: Format) -> Result<FileDigest, EngineError> {
        match std::fs::remove_file(self.draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(self.failed(error));
            }
            _ => {}
        }
        match format {
            Format::Custom => self.archive("custom"),
            Format::Tar => self.archive("tar"),
            Format::Plain(compression) => self.plain(compression),
        }
    }

    fn command(&self, words: &[String]) -> Command {
        let lock_timeout = self.source.lock_timeout().as_millis();
        let snapshot = &self.opened.snapshot.id;
        let own = [
            "--no-password".to_owned(),
            format!("--snapshot={snapshot}"),
            format!("--lock-wait-timeout={lock_timeout}"),
        ];
        // A standby does not have what unlogged tables hold; as in a backup, the rest is taken.
        let unlogged = self
            .opened
            .holder
            .in_recovery()
            .then(|| "--no-unlogged-table-data".to_owned());
        let words = own.iter().chain(words).cloned().chain(unlogged);
        tool::command(&self.opened.tools, "pg_dump", words, self.source.settings())
            .with_variables([("PGAPPNAME".to_owned(), capture::dump_name(snapshot))])
    }

    fn failed(&self, error: io::Error) -> EngineError {
        of_system("writing", self.draft, error)
    }

    /// Lets it write the file itself: it goes back to note where each table begins, without which
    /// `pg_restore` cannot restore several at once.
    fn archive(&self, format: &str) -> Result<FileDigest, EngineError> {
        let place = self.source.settings().describe();
        let silence = self.source.silence();
        drop(durable::create_private(self.draft).map_err(|error| self.failed(error))?);
        let words = [
            format!("--format={format}"),
            format!("--file={}", self.draft.display()),
        ];
        let size = || self.draft.metadata().map_or(0, |metadata| metadata.len());
        let command = self.command(&words);
        let ended = process::run_watched(&command, silence, self.run.cancel, &NoLog, &mut || {
            let bytes = size();
            self.run.progress.bytes(bytes, None);
            bytes
        });
        let ended = ended.map_err(StreamError::from);
        tool::ended("dumping", &place, "pg_dump", ended)
            .map_err(|error| self.for_want_of_room(error))?;
        let words = ["--list".to_owned(), self.draft.display().to_string()];
        let list = Command::program(self.opened.tools.program("pg_restore"), words, "/");
        let listed = process::run(&list, silence, self.run.cancel, &NoLog);
        let listed = listed.map_err(StreamError::from);
        tool::ended("reading back the dump of", &place, "pg_restore", listed)?;
        outlet::flush_and_hash(self.draft, self.run)
    }

    /// The failure of a program that writes itself is the disk's where that is full: the program tells it in
    /// words alone, and in any language.
    fn for_want_of_room(&self, error: EngineError) -> EngineError {
        let is_its_own = matches!(error, EngineError::Other { .. });
        match outlet::refuse_without_room(self.draft) {
            Err(full) if is_its_own && is_full(&full) => self.failed(full),
            _ => error,
        }
    }

    /// Takes what it prints, compresses it, and looks for the end.
    fn plain(&self, compression: Compression) -> Result<FileDigest, EngineError> {
        let place = self.source.settings().describe();
        let command = self.command(&["--format=plain".to_owned()]);
        let mut outlet =
            Outlet::create(self.draft, compression).map_err(|error| self.failed(error))?;
        let silence = self.source.silence();
        let cancel = self.run.cancel;
        let ended = process::read_from(&command, silence, cancel, &NoLog, &mut |block| {
            outlet
                .write_all(block)
                .map_err(|error| self.failed(error))?;
            self.run.progress.bytes(outlet.taken_bytes(), None);
            Ok(())
        });
        tool::ended("dumping", &place, "pg_dump", ended)?;
        if !outlet.is_whole() {
            return Err(EngineError::Other {
                operation: "dumping",
                place,
                source: "the dump lacks its end".into(),
            });
        }
        outlet.finish().map_err(|error| self.failed(error))
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
