//! Where restored data comes from: a backup in the vault, or a standard file that anybody wrote.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use resguardo_engine::port::{BackupReader, Engine, EngineError};
use resguardo_model::{EngineKind, Finding, SourceName};
use resguardo_vault::StoredHead;

use crate::context::Context;
use crate::error::OpsError;
use crate::reader::{SnapshotReader, describe};
use crate::refer::{self, Reference};
use crate::source::SourceSpec;

/// What is to be restored or drilled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A backup in the vault.
    Backup(Reference),
    /// A file that some engine opens.
    File {
        /// The file.
        path: PathBuf,
        /// The source that it is a backup of; its engine opens it, and its checks and objectives
        /// apply. Without it every engine is asked, and only built-in checks are run.
        source: Option<SourceName>,
    },
}

/// An origin that was found, and not opened yet.
pub(crate) struct Selected<'a> {
    pub(crate) engine: Arc<dyn Engine>,
    /// The configured source that it is a backup of.
    pub(crate) spec: Option<&'a SourceSpec>,
    pub(crate) from: From,
    /// A file that was opened to find out whose it is.
    opened: RefCell<Option<Box<dyn BackupReader>>>,
    /// What is wrong with other backups of the source, one of which may be what was meant.
    findings: Vec<Finding>,
    /// Of whoever is told of it.
    zone: TimeZone,
}

/// An engine, and a file that it has opened.
type Asked = (Arc<dyn Engine>, Option<Box<dyn BackupReader>>);

pub(crate) enum From {
    Head(Box<StoredHead>),
    File(PathBuf),
}

/// Finds what is meant.
///
/// # Errors
/// If there is no such backup, file, source or engine.
pub(crate) fn select<'a>(
    ctx: &Context,
    origin: &Origin,
    sources: &'a [SourceSpec],
) -> Result<Selected<'a>, OpsError> {
    match origin {
        Origin::Backup(reference) => {
            let (stored, findings) = refer::resolve_with_findings(ctx, reference)?;
            Ok(Selected {
                zone: ctx.zone.clone(),
                engine: Arc::clone(ctx.engines.get(stored.head.engine)?),
                spec: sources.iter().find(|spec| spec.name == stored.head.source),
                from: From::Head(Box::new(stored)),
                opened: RefCell::default(),
                findings,
            })
        }
        Origin::File { path, source } => {
            let spec = match source {
                Some(name) => Some(spec_of(sources, name)?),
                None => None,
            };
            std::fs::metadata(path).map_err(|source| OpsError::Io {
                operation: "opening",
                path: path.clone(),
                source,
            })?;
            let (engine, opened) = match spec {
                Some(spec) => (Arc::clone(ctx.engines.get(spec.engine)?), None),
                None => engine_of_file(ctx, path)?,
            };
            Ok(Selected {
                zone: ctx.zone.clone(),
                engine,
                spec,
                from: From::File(path.clone()),
                opened: RefCell::new(opened),
                findings: Vec::new(),
            })
        }
    }
}

fn spec_of<'a>(sources: &'a [SourceSpec], name: &SourceName) -> Result<&'a SourceSpec, OpsError> {
    let names: Vec<_> = sources.iter().map(|spec| spec.name.as_str()).collect();
    sources
        .iter()
        .find(|spec| spec.name == *name)
        .ok_or_else(|| OpsError::NoSuchSource {
            name: name.to_string(),
            there_is: if names.is_empty() {
                "none is configured".to_owned()
            } else {
                format!("configured are {}", names.join(", "))
            },
        })
}

/// The engine that knows the file, and the file as it opened it: to read a dump once takes long enough. With one
/// engine in the build nobody has to be asked.
fn engine_of_file(ctx: &Context, path: &Path) -> Result<Asked, OpsError> {
    let engines: Vec<_> = ctx.engines.all().collect();
    if let [only] = engines.as_slice() {
        return Ok((Arc::clone(only), None));
    }
    let mut known = Vec::new();
    for engine in engines {
        match engine.open_file(path, ctx.run()) {
            Err(EngineError::UnknownFormat { known: endings, .. }) => {
                known.push(format!("{}: {endings}", engine.kind()));
            }
            Ok(opened) => return Ok((Arc::clone(engine), Some(opened))),
            // What else may be wrong with it is found out when it is opened to be read.
            Err(_) => return Ok((Arc::clone(engine), None)),
        }
    }
    Err(OpsError::UnknownFile {
        file: path.to_owned(),
        known: known.join("; "),
    })
}

impl Selected<'_> {
    pub(crate) fn describe(&self) -> String {
        match &self.from {
            From::Head(stored) => describe(stored, &self.zone),
            From::File(path) => path.display().to_string(),
        }
    }

    /// Tells whoever watches what is wrong with other backups of the source: the one that was chosen may
    /// not be the newest that was taken.
    pub(crate) fn tell_findings(&self, ctx: &Context) {
        for finding in &self.findings {
            ctx.progress.note(&finding.message);
        }
        if let (false, Some(stored)) = (self.findings.is_empty(), self.head()) {
            ctx.progress.note(&format!(
                "{} may not be the newest that was taken; `resguardo verify --all` says more",
                describe(stored, &self.zone)
            ));
        }
    }

    pub(crate) fn head(&self) -> Option<&StoredHead> {
        match &self.from {
            From::Head(stored) => Some(stored),
            From::File(_) => None,
        }
    }

    pub(crate) fn source(&self) -> Option<&SourceName> {
        match &self.from {
            From::Head(stored) => Some(&stored.head.source),
            From::File(_) => self.spec.map(|spec| &spec.name),
        }
    }

    pub(crate) fn taken_at(&self) -> Option<Timestamp> {
        self.head().map(|stored| stored.head.taken_at)
    }

    pub(crate) fn kind(&self) -> EngineKind {
        self.engine.kind()
    }

    /// Opens it for reading.
    ///
    /// # Errors
    /// If it is damaged, or there is no key for it.
    pub(crate) fn open(&self, ctx: &Context) -> Result<Box<dyn BackupReader>, OpsError> {
        let doing = || format!("opening {}", self.describe());
        match &self.from {
            From::Head(stored) => {
                let vault = ctx.vault()?;
                let snapshot = vault
                    .open_snapshot(stored)
                    .map_err(OpsError::vault(doing()))?;
                Ok(Box::new(SnapshotReader(snapshot, ctx.zone.clone())))
            }
            From::File(path) => match self.opened.take() {
                Some(opened) => Ok(opened),
                None => self
                    .engine
                    .open_file(path, ctx.run())
                    .map_err(OpsError::engine(doing())),
            },
        }
    }
}
