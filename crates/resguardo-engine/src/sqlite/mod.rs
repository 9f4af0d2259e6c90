//! The engine for SQLite databases: a file, captured page by page through SQLite itself, restored byte
//! by byte. The restored file being identical is the proof; rows, schema and integrity are compared all
//! the same, because they say *what* is wrong.
//!
//! What it never does: write to a source, open a live file beside SQLite, or touch a target before the
//! image that goes there is proven.

mod capture;
mod check;
mod copy;
mod export;
mod facts;
mod failure;
mod foreign;
mod header;
mod integrity;
mod location;
mod names;
mod only;
mod open;
mod pages;
mod probe;
mod query;
mod restore;
mod swap;
mod target;
mod watch;

use std::path::{Path, PathBuf};

use resguardo_model::{Diagnosis, EngineKind, SourceFacts};

use crate::port::{
    BackupReader, CaptureRequest, CaptureSink, Captured, Engine, EngineError, Location,
    RestoreOptions, Restored, Run, SandboxSite, Target,
};
pub(crate) use header::page_bytes;
pub use swap::Step;
use target::FileTarget;

/// Name of the database in a sandbox.
const SANDBOX_FILE: &str = "restored.sqlite";

/// The engine. `scratch` is a private folder for copies of rollback-journal databases and for what is
/// unpacked; it is made when it is needed. What a crash leaves in it, in folders whose names begin with
/// `resguardo-sqlite-`, is removed when it is used next.
#[derive(Clone, Debug)]
pub struct SqliteEngine {
    scratch: PathBuf,
}

impl SqliteEngine {
    /// An engine that puts its private copies into `scratch`.
    pub fn new(scratch: impl Into<PathBuf>) -> Self {
        Self {
            scratch: scratch.into(),
        }
    }
}

impl Engine for SqliteEngine {
    fn kind(&self) -> EngineKind {
        EngineKind::Sqlite
    }

    fn probe(&self, subject: &str, location: &Location) -> Vec<Diagnosis> {
        probe::probe(subject, location)
    }

    fn is_damaged(&self, location: &Location) -> bool {
        probe::is_damaged(location)
    }

    fn capture(
        &self,
        request: &CaptureRequest,
        sink: &dyn CaptureSink,
        run: Run<'_>,
    ) -> Result<Captured, EngineError> {
        capture::capture(&self.scratch, request, sink, run)
    }

    fn export(
        &self,
        request: &CaptureRequest,
        out: &Path,
        run: Run<'_>,
    ) -> Result<Vec<PathBuf>, EngineError> {
        export::export(&self.scratch, request, out, run)
    }

    fn open_file(&self, file: &Path, run: Run<'_>) -> Result<Box<dyn BackupReader>, EngineError> {
        Ok(Box::new(foreign::open_file(&self.scratch, file, run)?))
    }

    fn open_target(&self, location: &Location) -> Result<Box<dyn Target>, EngineError> {
        Ok(Box::new(FileTarget::at(&location::path_of(location)?)?))
    }

    fn open_sandbox(
        &self,
        site: &dyn SandboxSite,
        _facts: Option<&SourceFacts>,
        _run: Run<'_>,
    ) -> Result<Box<dyn Target>, EngineError> {
        Ok(Box::new(FileTarget::at(&site.folder().join(SANDBOX_FILE))?))
    }
}

/// Restores `backup` to `target` as [`Target::restore`] with `clean` does, and tells `after` of every
/// step of the swap. For tests that stop the process between two of them.
///
/// # Errors
/// As [`Target::restore`].
pub fn restore_in_steps(
    backup: &dyn BackupReader,
    target: &Path,
    run: Run<'_>,
    after: &dyn Fn(Step),
) -> Result<Restored, EngineError> {
    let options = RestoreOptions {
        clean: true,
        durable: true,
        ..RestoreOptions::default()
    };
    restore::whole(backup, target, &options, run, after)
}
