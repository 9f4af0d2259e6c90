//! Captures a live database from one snapshot, as one page file that is named like the database.
//!
//! **Write-ahead log.** A read transaction sees one snapshot and blocks no writer: checkpoints cannot
//! pass its mark. Its pages go straight into the sink, without any copy. The rows are counted at the
//! same time on a second connection, but only if it provably sees the same snapshot (`Twins`).
//!
//! **Rollback journal.** A read transaction keeps writers from committing, and a sink may be slow. A
//! small database is read into memory, a larger one copied in short steps (see `copy`); only then the
//! sink gets it.
//!
//! Never writes to the source. Whatever goes wrong, the caller drops the sink and no backup exists.

use std::path::Path;

use jiff::Timestamp;
use resguardo_model::{FileKind, FilePath, SourceFacts};
use rusqlite::Connection;

use super::copy;
use super::failure::{of_sqlite, place};
use super::open::{self, Found};
use super::pages::{self, Shape};
use super::watch::Watch;
use super::{facts, integrity, location};
use crate::port::{CaptureRequest, CaptureSink, Captured, EngineError, Run};

/// Largest rollback-journal database that is read into memory under one short read lock.
const IN_MEMORY_BYTES_MAX: u64 = 16 << 20;
/// Databases with fewer pages than this are counted after their pages: a thread is not worth it.
const TWIN_PAGES_MIN: u64 = 2_000;
/// Attempts to begin both transactions between two commits of the writers.
const TWIN_ATTEMPTS: u32 = 50;

/// Captures the database of `request` into `sink`; `scratch` is where a private copy may be made.
///
/// # Errors
/// Named as in the port.
pub(super) fn capture(
    scratch: &Path,
    request: &CaptureRequest,
    sink: &dyn CaptureSink,
    run: Run<'_>,
) -> Result<Captured, EngineError> {
    let named = location::path_of(&request.location)?;
    let found = Found::at(&named)?;
    let source = Source {
        file: file_path(&named),
        request,
        run,
        found: &found,
        first: open::reading(&found.path, request.lock_timeout, run.cancel)?,
    };
    source.begin(&source.first)?;
    let header = facts::header(&source.first, &found.path)?;
    if header.wal {
        source.end(&source.first)?;
        source.take_log(sink)
    } else {
        source.take_rollback(scratch, sink)
    }
}

/// The name of the page file: the database's own, without what a path in a backup cannot hold.
fn file_path(path: &Path) -> FilePath {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let clean: String = name
        .chars()
        .map(|c| if c.is_control() || c == '\\' { '_' } else { c })
        .collect();
    clean
        .parse()
        .or_else(|_| "database.sqlite".parse())
        .expect("the fallback is a path")
}

/// The source of one capture.
struct Source<'a> {
    file: FilePath,
    request: &'a CaptureRequest,
    run: Run<'a>,
    found: &'a Found,
    first: Connection,
}

impl Source<'_> {
    fn failed(&self, error: rusqlite::Error) -> EngineError {
        of_sqlite("reading", &self.found.path, error)
    }

    /// Begins a read transaction and makes it see a snapshot.
    fn begin(&self, connection: &Connection) -> Result<(), EngineError> {
        begin(connection, self.found, self.request, self.run)
    }

    fn end(&self, connection: &Connection) -> Result<(), EngineError> {
        connection
            .execute_batch("rollback")
            .map_err(|error| self.failed(error))
    }

    /// Captures a database with a write-ahead log. No transaction is open on entry.
    fn take_log(&self, sink: &dyn CaptureSink) -> Result<Captured, EngineError> {
        let path = &self.found.path;
        let second = self.twin()?;
        let taken_at = self.run.clock.now();
        let found = self.found.again()?;
        let shape = Shape::of(&self.first).map_err(|error| self.failed(error))?;
        self.check_integrity(&self.first)?;
        let mut facts = match second {
            None => {
                self.feed(&self.first, path, shape, sink)?;
                gather(&self.first, path, self.run)?
            }
            Some(second) => std::thread::scope(|scope| {
                let stop = second.get_interrupt_handle();
                let run = self.run;
                let counter = scope.spawn(move || gather(&second, path, run));
                let fed = self.feed(&self.first, path, shape, sink);
                while fed.is_err() && !counter.is_finished() {
                    stop.interrupt();
                    std::thread::sleep(std::time::Duration::from_millis(2));
                }
                let counted = counter
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                fed.and(counted)
            })?,
        };
        facts
            .details
            .extend(self.details(&self.first, path, shape)?);
        found.unchanged(shape.bytes())?;
        Ok(captured(taken_at, facts, "read transaction"))
    }

    /// Begins the transaction of the first connection, and that of a second one which sees the same
    /// snapshot. `PRAGMA data_version` of a connection changes if anybody else has committed since it
    /// was last asked. It is asked before the first transaction begins and inside the second one: if
    /// it is the same, nothing was committed in between, and both see the same.
    fn twin(&self) -> Result<Option<Connection>, EngineError> {
        let second = open::reading(&self.found.path, self.request.lock_timeout, self.run.cancel)?;
        let version = || {
            second
                .pragma_query_value(None, "data_version", |row| row.get::<_, i64>(0))
                .map_err(|error| self.failed(error))
        };
        for _ in 0..TWIN_ATTEMPTS {
            let before = version()?;
            self.begin(&self.first)?;
            let shape = Shape::of(&self.first).map_err(|error| self.failed(error))?;
            if shape.pages < TWIN_PAGES_MIN {
                return Ok(None);
            }
            self.begin(&second)?;
            if version()? == before {
                return Ok(Some(second));
            }
            self.end(&second)?;
            self.end(&self.first)?;
        }
        self.begin(&self.first)?;
        Ok(None)
    }

    /// Captures a database with a rollback journal. A transaction is open on entry.
    fn take_rollback(
        &self,
        scratch: &Path,
        sink: &dyn CaptureSink,
    ) -> Result<Captured, EngineError> {
        let shape = Shape::of(&self.first).map_err(|error| self.failed(error))?;
        if shape.bytes() > IN_MEMORY_BYTES_MAX {
            self.end(&self.first)?;
            return self.take_copy(scratch, sink);
        }
        let path = &self.found.path;
        let taken_at = self.run.clock.now();
        let found = self.found.again()?;
        self.check_integrity(&self.first)?;
        let mut image = Vec::new();
        pages::range(&self.first, path, shape, 1, shape.pages, &mut image)?;
        let mut facts = gather(&self.first, path, self.run)?;
        facts
            .details
            .extend(self.details(&self.first, path, shape)?);
        found.unchanged(shape.bytes())?;
        self.end(&self.first)?;
        let mut file = sink.open_file(&self.file, kind(shape))?;
        for block in image.chunks(1 << 20) {
            self.run.cancel.check()?;
            file.write(block)?;
        }
        file.finish()?;
        self.run.progress.bytes(shape.bytes(), Some(shape.bytes()));
        Ok(captured(taken_at, facts, "in memory"))
    }

    /// Captures a private copy. No transaction is open on entry.
    fn take_copy(&self, scratch: &Path, sink: &dyn CaptureSink) -> Result<Captured, EngineError> {
        let copy = copy::make(scratch, &self.first, self.found, self.request, self.run)?;
        let image = open::image(&copy.path)?;
        let shape = Shape::of(&image).map_err(|error| self.failed(error))?;
        self.check_integrity(&image)?;
        let mut facts = gather(&image, &copy.path, self.run)?;
        facts
            .details
            .extend(self.details(&image, &copy.path, shape)?);
        self.feed(&image, &copy.path, shape, sink)?;
        let how = if copy.locked {
            "private copy under a lock"
        } else {
            "private copy"
        };
        Ok(captured(copy.taken_at, facts, how))
    }

    fn feed(
        &self,
        connection: &Connection,
        path: &Path,
        shape: Shape,
        sink: &dyn CaptureSink,
    ) -> Result<(), EngineError> {
        let mut file = sink.open_file(&self.file, kind(shape))?;
        pages::stream(connection, path, shape, self.run, &mut |block| {
            Ok(file.write(block)?)
        })?;
        file.finish()?;
        Ok(())
    }

    fn details(
        &self,
        connection: &Connection,
        path: &Path,
        shape: Shape,
    ) -> Result<std::collections::BTreeMap<String, serde_json::Value>, EngineError> {
        let header = facts::header(connection, path)?;
        facts::details(connection, &header, shape.pages).map_err(|error| self.failed(error))
    }

    /// Checks the snapshot that `connection` sees, if it was asked for.
    fn check_integrity(&self, connection: &Connection) -> Result<(), EngineError> {
        if !self.request.check_integrity {
            return Ok(());
        }
        let watch = Watch::over(connection, self.run.cancel, None);
        let named = |error| watch.name("checking", &self.found.path, error);
        let corrupt = |why| EngineError::Corrupt {
            place: place(&self.found.path),
            why,
        };
        let lines = integrity::structure(connection).map_err(named)?;
        if !lines.is_empty() {
            return Err(corrupt(lines.join("; ")));
        }
        let orphans = integrity::orphans(connection).map_err(named)?;
        if orphans.len() as u64 > self.request.allowed.orphans {
            return Err(corrupt(integrity::describe(&orphans)));
        }
        Ok(())
    }
}

/// Begins a read transaction and makes it see a snapshot, waiting for locks.
pub(super) fn begin(
    connection: &Connection,
    found: &Found,
    request: &CaptureRequest,
    run: Run<'_>,
) -> Result<(), EngineError> {
    let timeout = request.lock_timeout;
    open::patiently(timeout, run.cancel, &found.path, "reading", || {
        connection.execute_batch("begin")?;
        connection
            .query_row("select count(*) from sqlite_schema", [], |_| Ok(()))
            .inspect_err(|_| {
                // The first error is the one to tell.
                let _ = connection.execute_batch("rollback");
            })
    })?
    .map_err(|error| of_sqlite("reading", &found.path, error))
}

fn gather(connection: &Connection, path: &Path, run: Run<'_>) -> Result<SourceFacts, EngineError> {
    let watch = Watch::over(connection, run.cancel, None);
    facts::gather(connection).map_err(|error| watch.name("counting the rows of", path, error))
}

fn kind(shape: Shape) -> FileKind {
    FileKind::Pages {
        page_bytes: shape.page_bytes,
    }
}

fn captured(taken_at: Timestamp, mut facts: SourceFacts, how: &str) -> Captured {
    facts.details.insert("capture".to_owned(), how.into());
    Captured {
        taken_at,
        facts,
        tools: vec![("sqlite".to_owned(), rusqlite::version().to_owned())],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_like_its_database() {
        for (path, name) in [
            ("/var/lib/shop.sqlite", "shop.sqlite"),
            ("a b\\ñ\n.db", "a b_ñ_.db"),
            ("/", "database.sqlite"),
        ] {
            assert_eq!(file_path(Path::new(path)).as_str(), name);
        }
    }
}
