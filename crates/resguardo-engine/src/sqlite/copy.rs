//! A private, byte-identical copy of a database with a rollback journal, made in short steps between
//! which its writers commit.
//!
//! Each step is a read transaction of a few milliseconds. `PRAGMA data_version` says at its beginning
//! whether anybody has committed since the last step; then the copy begins anew, as SQLite's own
//! backup does. Unlike that one, it leaves the header as it is. A writer that commits all the time
//! would make it begin anew for ever: the last attempt is one single transaction, and writers wait.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::Connection;

use super::capture::begin;
use super::failure::of_sqlite;
use super::open::Found;
use super::pages::{self, Shape};
use crate::durable;
use crate::folder::PrivateFolder;
use crate::port::{CaptureRequest, EngineError, Run};
use crate::system::of_system;

/// Bytes that one step copies.
const STEP_BYTES: u64 = 4 << 20;
/// Attempts in steps before writers are made to wait.
const ATTEMPTS: u32 = 5;

/// A copy that is removed with this value.
pub(super) struct Copy {
    /// Where it lies, in a folder that only this user may enter.
    pub(super) path: PathBuf,
    /// When the data was that of the copy.
    pub(super) taken_at: Timestamp,
    /// Writers had to wait for it.
    pub(super) locked: bool,
    _folder: PrivateFolder,
}

/// Copies what `source` is connected to into a new folder in `scratch`.
///
/// # Errors
/// Named as in the port; [`EngineError::Full`] if `scratch` has no space.
pub(super) fn make(
    scratch: &Path,
    source: &Connection,
    found: &Found,
    request: &CaptureRequest,
    run: Run<'_>,
) -> Result<Copy, EngineError> {
    let folder = private_folder(scratch)?;
    let path = folder.file("copy.sqlite");
    let file = durable::create_private(&path)
        .map_err(|error| of_system("making a private copy in", scratch, error))?;
    let mut attempt = Attempt {
        source,
        found,
        request,
        run,
        file,
        path: &path,
    };
    for _ in 0..ATTEMPTS {
        let taken_at = run.clock.now();
        if attempt.in_steps(STEP_BYTES)? {
            return Ok(Copy {
                path,
                taken_at,
                locked: false,
                _folder: folder,
            });
        }
    }
    run.progress.note(&format!(
        "{} is written to all the time: its writers wait while it is copied (journal_mode=WAL would \
         spare them that)",
        found.path.display()
    ));
    let taken_at = run.clock.now();
    // One step of any size is one transaction: nobody can commit in between.
    let copied = attempt.in_steps(u64::MAX)?;
    assert!(copied, "nobody commits within a read transaction");
    Ok(Copy {
        path,
        taken_at,
        locked: true,
        _folder: folder,
    })
}

/// A new folder in `scratch`, which is made if need be.
pub(super) fn private_folder(scratch: &Path) -> Result<PrivateFolder, EngineError> {
    let failed = |error| of_system("making a private folder in", scratch, error);
    std::fs::DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(scratch)
        .map_err(failed)?;
    PrivateFolder::new(scratch, "resguardo-sqlite-").map_err(failed)
}

struct Attempt<'a> {
    source: &'a Connection,
    found: &'a Found,
    request: &'a CaptureRequest,
    run: Run<'a>,
    file: File,
    path: &'a Path,
}

impl Attempt<'_> {
    /// Copies all pages in steps of about `step_bytes`; false if somebody committed between two.
    fn in_steps(&mut self, step_bytes: u64) -> Result<bool, EngineError> {
        self.rewind()?;
        let mut seen: Option<(i64, Shape, Found)> = None;
        let mut done = 0;
        loop {
            begin(self.source, self.found, self.request, self.run)?;
            let step = self.step(&mut seen, done, step_bytes);
            self.source
                .execute_batch("rollback")
                .map_err(|error| self.failed(error))?;
            match step? {
                Step::Disturbed => return Ok(false),
                Step::Complete => return Ok(true),
                Step::Until(page) => done = page,
            }
            if let Some((_, shape, _)) = &seen {
                let bytes = done * u64::from(shape.page_bytes);
                self.run.progress.bytes(bytes, Some(shape.bytes()));
            }
        }
    }

    /// Copies the pages after `done`, inside a transaction that the caller holds.
    fn step(
        &mut self,
        seen: &mut Option<(i64, Shape, Found)>,
        done: u64,
        step_bytes: u64,
    ) -> Result<Step, EngineError> {
        let version = self
            .source
            .pragma_query_value(None, "data_version", |row| row.get::<_, i64>(0))
            .map_err(|error| self.failed(error))?;
        let (shape, found) = match seen {
            Some((first, _, _)) if *first != version => return Ok(Step::Disturbed),
            Some((_, shape, found)) => (*shape, &*found),
            None => {
                let shape = Shape::of(self.source).map_err(|error| self.failed(error))?;
                let (_, _, found) = seen.insert((version, shape, self.found.again()?));
                (shape, &*found)
            }
        };
        let step_end = shape
            .pages
            .min(done.saturating_add((step_bytes / u64::from(shape.page_bytes)).max(1)));
        let mut block = Vec::new();
        let mut at = done;
        while at < step_end {
            self.run.cancel.check()?;
            let block_end = step_end.min(at + BLOCK_PAGES);
            block.clear();
            pages::range(
                self.source,
                &self.found.path,
                shape,
                at + 1,
                block_end,
                &mut block,
            )?;
            self.file
                .write_all(&block)
                .map_err(|error| of_system("copying into", self.path, error))?;
            at = block_end;
        }
        if at < shape.pages {
            return Ok(Step::Until(at));
        }
        found.unchanged(shape.bytes())?;
        Ok(Step::Complete)
    }

    fn rewind(&mut self) -> Result<(), EngineError> {
        self.file
            .set_len(0)
            .and_then(|()| self.file.rewind())
            .map_err(|error| of_system("copying into", self.path, error))
    }

    fn failed(&self, error: rusqlite::Error) -> EngineError {
        of_sqlite("reading", &self.found.path, error)
    }
}

/// Pages that are read and written at once.
const BLOCK_PAGES: u64 = 256;

enum Step {
    /// Everything up to this page is copied.
    Until(u64),
    /// All pages are copied, and nobody has committed.
    Complete,
    /// Somebody has committed since the first step.
    Disturbed,
}
