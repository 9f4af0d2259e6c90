//! The engine for PostgreSQL databases, by their rows: one exported snapshot, the structure by `pg_dump`, the
//! rows by parallel `COPY`, each table counted and digested as it streams past.
//!
//! What it never does: write to a source; leave a table out without saying so; put a secret on a command
//! line; take the word of a tool's exit status alone.

mod capture;
mod catalog;
mod check;
mod contents;
pub mod database;
mod digest;
mod export;
mod failure;
mod foreign;
mod identity;
mod inventory;
mod maintenance;
mod name;
mod normal;
mod pooler;
mod privilege;
mod probe;
mod properties;
mod restore;
mod rows;
mod sandbox;
mod session;
mod settings;
mod statement;
mod target;
mod tls;
mod tool;
mod tools;
mod work;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use resguardo_model::{Diagnosis, EngineKind, SourceFacts};

use crate::port::{
    BackupReader, CaptureRequest, CaptureSink, Captured, Engine, EngineError, Location, Run,
    SandboxSite, Target,
};
use crate::process::User;
pub(crate) use foreign::{cuts_of_dump, fault_of_tar};
pub use settings::LibpqEnvironment;
use settings::Settings;
pub(crate) use settings::is_url;
use target::DatabaseTarget;

/// What the engine finds around it; the binary hands it down.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// A private folder for small files of running work; made when it is needed.
    pub scratch: PathBuf,
    /// What libpq would find.
    pub libpq: LibpqEnvironment,
    /// Folders in which the server's programs are looked for first: those of `PATH`.
    pub tool_folders: Vec<PathBuf>,
    /// Who runs throwaway servers, where we are root: they refuse root.
    pub server_user: Option<User>,
}

/// The engine.
#[derive(Clone, Debug)]
pub struct PostgresEngine {
    around: Arc<Surroundings>,
}

impl PostgresEngine {
    /// An engine with what it finds around it.
    #[must_use]
    pub fn new(around: Surroundings) -> Self {
        Self {
            around: Arc::new(around),
        }
    }
}

impl Engine for PostgresEngine {
    fn kind(&self) -> EngineKind {
        EngineKind::Postgres
    }

    fn probe(&self, subject: &str, location: &Location) -> Vec<Diagnosis> {
        probe::probe(&self.around, subject, location)
    }

    fn capture(
        &self,
        request: &CaptureRequest,
        sink: &dyn CaptureSink,
        run: Run<'_>,
    ) -> Result<Captured, EngineError> {
        capture::capture(&self.around, request, sink, run)
    }

    fn export(
        &self,
        request: &CaptureRequest,
        out: &Path,
        run: Run<'_>,
    ) -> Result<Vec<PathBuf>, EngineError> {
        export::export(&self.around, request, out, run)
    }

    fn open_file(&self, file: &Path, run: Run<'_>) -> Result<Box<dyn BackupReader>, EngineError> {
        Ok(Box::new(foreign::open_file(&self.around, file, run)?))
    }

    fn open_target(&self, location: &Location) -> Result<Box<dyn Target>, EngineError> {
        Ok(Box::new(DatabaseTarget::at(location, &self.around)?))
    }

    fn is_same_server(&self, one: &Location, other: &Location) -> bool {
        let resolve = |location| Settings::resolve(location, &self.around.libpq);
        match (resolve(one), resolve(other)) {
            (Ok(one), Ok(other)) => identity::is_same_server(&one, &other),
            _ => false,
        }
    }

    fn open_sandbox(
        &self,
        site: &dyn SandboxSite,
        facts: Option<&SourceFacts>,
        run: Run<'_>,
    ) -> Result<Box<dyn Target>, EngineError> {
        sandbox::open(site, facts, &self.around, run)
    }
}
