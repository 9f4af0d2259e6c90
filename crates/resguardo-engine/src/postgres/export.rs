//! Captures a database into a file that plain `pg_restore` or `psql` reads, by `pg_dump` itself, and writes
//! `X.dump.meta.json` beside `X.dump`.
//!
//! Write order: both files are written and flushed in a private folder beside; then the meta file gets its
//! name, then the dump, then the folder is flushed. Whoever sees the dump finds its hash beside it. Nothing
//! is ever overwritten; on an error nothing is left behind.

mod format;
mod outlet;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::Surroundings;
use super::capture::{Opened, Source};
use super::meta::Meta;
use super::tool;
use crate::durable;
use crate::folder::PrivateFolder;
use crate::port::{CaptureRequest, EngineError, FileDigest, Run};
use crate::process::{self, Command, NoLog, StreamError};
use crate::system::of_system;
use format::{Compression, Format};
use outlet::Outlet;

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
    let beside = Meta::path_of(out);
    for path in [out, &beside] {
        if path.symlink_metadata().is_ok() {
            return Err(taken(path));
        }
    }
    let folder = private_folder(out)?;
    let source = Source::new(around, request, run)?;
    let opened = source.open()?;
    // From here on the locks and the snapshot are those of pg_dump, which has but one session.
    opened.release()?;
    let draft = folder.file("dump");
    let written =
        write(&source, &opened, format, &draft, run).map_err(|error| opened.because(error))?;
    let meta = meta(&opened, out, written, run)?;
    let meta_draft = folder.file("meta");
    write_meta(&meta_draft, &meta).map_err(|error| of_system("writing", &beside, error))?;
    run.cancel.check()?;
    name(&meta_draft, &beside)?;
    if let Err(error) = name(&draft, out) {
        // A meta file without its dump would only mislead.
        let _ = std::fs::remove_file(&beside);
        return Err(error);
    }
    durable::flush_folder_of(out)
        .map_err(|error| of_system("flushing the folder of", out, error))?;
    Ok(vec![out.to_owned(), beside])
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

fn taken(path: &Path) -> EngineError {
    EngineError::Occupied {
        place: path.display().to_string(),
        contents: "a file of that name is there, and an export overwrites nothing".to_owned(),
    }
}

fn name(draft: &Path, path: &Path) -> Result<(), EngineError> {
    durable::rename_to_free(draft, path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => taken(path),
        _ => of_system("naming", path, error),
    })
}

/// Runs `pg_dump` into `draft`, and makes sure that what it wrote is whole.
fn write(
    source: &Source<'_>,
    opened: &Opened,
    format: Format,
    draft: &Path,
    run: Run<'_>,
) -> Result<FileDigest, EngineError> {
    let dumping = Dumping {
        source,
        opened,
        draft,
        run,
    };
    match format {
        Format::Custom => dumping.archive("custom"),
        Format::Tar => dumping.archive("tar"),
        Format::Plain(compression) => dumping.plain(compression),
    }
}

/// One run of `pg_dump`.
struct Dumping<'a> {
    source: &'a Source<'a>,
    opened: &'a Opened,
    draft: &'a Path,
    run: Run<'a>,
}

impl Dumping<'_> {
    fn command(&self, words: &[String]) -> Command {
        let lock_timeout = self.source.lock_timeout().as_millis();
        let own = [
            "--no-password".to_owned(),
            format!("--lock-wait-timeout={lock_timeout}"),
        ];
        let words = own.iter().chain(words).cloned();
        tool::command(&self.opened.tools, "pg_dump", words, self.source.settings())
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
        tool::ended("dumping", &place, "pg_dump", ended)?;
        let words = ["--list".to_owned(), self.draft.display().to_string()];
        let list = Command::program(self.opened.tools.program("pg_restore"), words, "/");
        let listed = process::run(&list, silence, self.run.cancel, &NoLog);
        let listed = listed.map_err(StreamError::from);
        tool::ended("reading back the dump of", &place, "pg_restore", listed)?;
        outlet::flush_and_hash(self.draft, self.run)
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

fn meta(
    opened: &Opened,
    out: &Path,
    written: FileDigest,
    run: Run<'_>,
) -> Result<Meta, EngineError> {
    run.cancel.check()?;
    let database = super::catalog::database(&opened.holder)?;
    Ok(Meta {
        format: super::meta::FORMAT,
        engine: resguardo_model::EngineKind::Postgres,
        file: out
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        sha256: written.sha256,
        bytes: written.bytes,
        database: database.name,
        server_version: opened.holder.version().to_string(),
        encoding: database.encoding,
        taken_at: opened.snapshot.taken_at,
        pg_dump: opened.tools.version().to_owned(),
        resguardo: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

fn write_meta(path: &Path, meta: &Meta) -> io::Result<()> {
    let mut file = durable::create_private(path)?;
    serde_json::to_writer_pretty(&mut file, meta)?;
    file.write_all(b"\n")?;
    file.sync_all()
}
