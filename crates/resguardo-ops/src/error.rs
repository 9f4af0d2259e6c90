//! What can go wrong with a use case: one kind each, which is the exit code, and the next command.

use std::path::PathBuf;

use resguardo_engine::port::EngineError;
use resguardo_model::{Cancelled, EngineKind, SourceName};
use resguardo_vault::VaultError;

use crate::catalog::CatalogError;
use crate::catalog::shared::SharedError;

mod hint;
mod kind;
mod stopped;

pub use hint::hint_of_absent;
use hint::{
    BUSY_HINT, FULL_HINT, RETIRED_HINT, engine_hint, shared_hint, some, target_hint, vault_hint,
};
use kind::{engine_kind, vault_error_in, vault_kind};
pub use stopped::Stopped;

/// The kinds of error; each is one exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Something that the user can put right: a name, a key, a path (1).
    User,
    /// The command line or config makes no sense (2).
    Usage,
    /// Data is bad, or a check failed (3).
    Findings,
    /// A source or target cannot be reached, read or written (4).
    Unreachable,
    /// The vault cannot be reached, read or written (5).
    Vault,
    /// Somebody else holds a lock (6).
    Locked,
    /// Refused for the safety of data (7).
    Refused,
    /// Stopped by a signal (130).
    Interrupted,
}

/// What can go wrong with a use case.
#[derive(Debug, thiserror::Error)]
pub enum OpsError {
    /// The shared catalog could not be used.
    #[error(transparent)]
    Shared(#[from] SharedError),
    /// No vault is configured.
    #[error("no vault is configured")]
    NoVault,
    /// No engine of this build knows that kind of source.
    #[error("this build has no engine for {kind}")]
    NoEngine {
        /// The kind.
        kind: EngineKind,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    NoRandomness,
    /// The text names no backup in any of the ways there are.
    #[error("{text:?} names no backup: {why}")]
    NotAReference {
        /// The text.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// The vault holds no such backup.
    #[error("there is no backup {reference}; {there_is}")]
    NoSuchBackup {
        /// What was asked for.
        reference: String,
        /// What there is instead, in words.
        there_is: String,
    },
    /// The vault holds backups of the source, but none that a trusted writer signed.
    #[error("no backup of {source_name} is signed by a writer that is trusted here, only by {}", writers.join(", "))]
    OnlyUntrusted {
        /// The source.
        source_name: SourceName,
        /// Who signed its backups.
        writers: Vec<String>,
        /// One of them was retired here.
        retired: bool,
    },
    /// More than one backup is meant.
    #[error("{reference} could be any of {}", candidates.join(", "))]
    Ambiguous {
        /// What was asked for.
        reference: String,
        /// Those that it could be.
        candidates: Vec<String>,
    },
    /// Neither the config nor the vault knows the source.
    #[error("there is no source {name}; {there_is}")]
    NoSuchSource {
        /// What was asked for.
        name: String,
        /// What there is instead, in words.
        there_is: String,
    },
    /// No engine knows the file.
    #[error("{} is of no format that an engine knows ({known})", file.display())]
    UnknownFile {
        /// The file.
        file: PathBuf,
        /// What each engine knows: `sqlite: .db, .sqlite; postgres: .dump, .sql`.
        known: String,
    },
    /// The source is not as it has to be for a backup.
    #[error("source {source_name}: {problem}")]
    NotReady {
        /// The source.
        source_name: SourceName,
        /// What its probe found.
        problem: String,
        /// What is there is damaged, so that the problem is the data's and not the way to it.
        damaged: bool,
        /// The next command.
        next: String,
    },
    /// Refused, because data would be lost.
    #[error("{place} {why}")]
    Refused {
        /// The target.
        place: String,
        /// What is in it, and what is missing.
        why: String,
        /// The next command.
        next: String,
    },
    /// The safety backup could not be taken, so nothing was touched.
    #[error("{place} was not touched, because its safety backup could not be taken")]
    SafetyBackup {
        /// The target.
        place: String,
        /// Why.
        #[source]
        source: Box<OpsError>,
    },
    /// The target is one of another kind than the backup.
    #[error("{backup} is one of {engine}, and {place} is one of {to}")]
    OtherEngine {
        /// The backup or file.
        backup: String,
        /// Its kind.
        engine: EngineKind,
        /// The target.
        place: String,
        /// The target's kind.
        to: EngineKind,
    },
    /// The restore failed.
    #[error("restoring {backup} into {place}: {state}")]
    Restore {
        /// The backup or file.
        backup: String,
        /// The target.
        place: String,
        /// What state the target is in now.
        state: String,
        /// Why.
        #[source]
        source: Box<OpsError>,
    },
    /// What was to be done around a restore stopped.
    #[error(transparent)]
    Stopped(Box<Stopped>),
    /// An engine failed at the target of a restore.
    #[error("{operation}")]
    Target {
        /// What was being done, with its object: `looking at new.db`.
        operation: String,
        /// The configured source that the target is, if it is one: its limits hold.
        limits_of: Option<SourceName>,
        /// The engine's error.
        #[source]
        source: Box<EngineError>,
    },
    /// An engine failed.
    #[error("{operation}")]
    Engine {
        /// What was being done, with its object: `backing up shop`.
        operation: String,
        /// The engine's error.
        #[source]
        source: Box<EngineError>,
    },
    /// The vault failed.
    #[error("{operation}")]
    Vault {
        /// What was being done, with its object.
        operation: String,
        /// The vault's error.
        #[source]
        source: Box<VaultError>,
    },
    /// A copy that held backups is not there any more.
    #[error("the copy {name} is gone: {place} holds no vault, and held one before")]
    CopyGone {
        /// Its name.
        name: String,
        /// Where it was.
        place: String,
    },
    /// Where a copy should be, nothing is.
    #[error("there is no copy {name}: {place} holds no vault")]
    CopyAbsent {
        /// Its name.
        name: String,
        /// Where it should be.
        place: String,
    },
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A pin that makes no sense.
    #[error("{why}")]
    BadPin {
        /// What is wrong with it.
        why: String,
    },
    /// A note that makes no sense.
    #[error("{why}")]
    BadNote {
        /// What is wrong with it.
        why: String,
    },
    /// There is no such exception.
    #[error("there is no exception {name}")]
    NoSuchException {
        /// What was asked for.
        name: String,
    },
    /// More than one exception is meant.
    #[error("{name} could be any of {}", candidates.join(", "))]
    AmbiguousException {
        /// What was asked for.
        name: String,
        /// Those that it could be.
        candidates: Vec<String>,
    },
    /// There is no such receipt.
    #[error("there is no receipt {name}")]
    NoSuchReceipt {
        /// What was asked for.
        name: String,
    },
    /// More than one receipt is meant.
    #[error("{name} could be any of {}", candidates.join(", "))]
    AmbiguousReceipt {
        /// What was asked for.
        name: String,
        /// Those that it could be.
        candidates: Vec<String>,
    },
    /// What lies in the vault as that receipt is none that its writer signed.
    #[error("{message}")]
    BadReceipt {
        /// The key, and what is wrong with it.
        message: String,
    },
    /// A file or folder could not be read or written.
    #[error("{operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The path.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// Stopped by the caller.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl OpsError {
    pub(crate) fn engine(operation: impl Into<String>) -> impl FnOnce(EngineError) -> Self {
        let operation = operation.into();
        move |source| Self::Engine {
            operation,
            source: Box::new(source),
        }
    }

    pub(crate) fn target(
        operation: impl Into<String>,
        limits_of: Option<&SourceName>,
    ) -> impl FnOnce(EngineError) -> Self {
        let operation = operation.into();
        let limits_of = limits_of.cloned();
        move |source| Self::Target {
            operation,
            limits_of,
            source: Box::new(source),
        }
    }

    pub(crate) fn vault(operation: impl Into<String>) -> impl FnOnce(VaultError) -> Self {
        let operation = operation.into();
        move |source| Self::Vault {
            operation,
            source: Box::new(source),
        }
    }

    /// The kind, which is the exit code.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoVault
            | Self::NoEngine { .. }
            | Self::NoRandomness
            | Self::NoSuchBackup { .. }
            | Self::Ambiguous { .. }
            | Self::NoSuchSource { .. }
            | Self::UnknownFile { .. }
            | Self::Catalog(_)
            | Self::NoSuchReceipt { .. }
            | Self::AmbiguousReceipt { .. }
            | Self::NoSuchException { .. }
            | Self::AmbiguousException { .. }
            | Self::Io { .. } => ErrorKind::User,
            Self::Shared(SharedError::Database { source, .. }) => engine_kind(source),
            Self::Shared(_) => ErrorKind::User,
            Self::NotAReference { .. }
            | Self::OtherEngine { .. }
            | Self::BadPin { .. }
            | Self::BadNote { .. } => ErrorKind::Usage,
            Self::NotReady { damaged: true, .. } | Self::BadReceipt { .. } => ErrorKind::Findings,
            Self::NotReady { damaged: false, .. } => ErrorKind::Unreachable,
            Self::Refused { .. } | Self::OnlyUntrusted { .. } => ErrorKind::Refused,
            Self::SafetyBackup { source, .. } => match source.kind() {
                ErrorKind::Interrupted => ErrorKind::Interrupted,
                _ => ErrorKind::Refused,
            },
            Self::Restore { source, .. } => source.kind(),
            Self::Stopped(stopped) => stopped.kind(),
            Self::Engine { source, .. } | Self::Target { source, .. } => engine_kind(source),
            Self::Vault { source, .. } => vault_kind(source),
            Self::CopyGone { .. } | Self::CopyAbsent { .. } => ErrorKind::Vault,
            Self::Cancelled(_) => ErrorKind::Interrupted,
        }
    }

    /// Another run works on the source: nothing was begun, and nothing is wrong with it.
    pub(crate) fn is_of_another_run(&self) -> bool {
        let cause = match self {
            Self::Vault { source, .. } => Some(&**source),
            Self::Engine { source, .. } => vault_error_in(source),
            _ => None,
        };
        matches!(cause, Some(VaultError::Locked { .. }))
    }

    /// What a command said that failed: shown to whoever ran it, and kept nowhere.
    #[must_use]
    pub fn said(&self) -> Option<&str> {
        match self {
            Self::Stopped(stopped) if !stopped.said.is_empty() => Some(&stopped.said),
            _ => None,
        }
    }

    /// A sentence that names the next command to run.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Shared(error) => return shared_hint(error),
            Self::NoVault => "set one up with `resguardo init`, or name one with --vault URL",
            Self::NoEngine { .. } => "see `resguardo doctor` for the engines of this build",
            Self::NoRandomness => return None,
            Self::NotAReference { .. } => {
                "write an id or its beginning, latest, shop, shop:latest or shop@2026-11-20"
            }
            Self::NoSuchBackup { .. } | Self::Ambiguous { .. } => {
                "see all backups with `resguardo list`"
            }
            Self::OnlyUntrusted { retired: true, .. } => RETIRED_HINT,
            Self::OnlyUntrusted { .. } => {
                "if you know that writer, trust it with `resguardo init --trust ed25519:...` after comparing it with the recovery kit"
            }
            Self::NoSuchSource { .. } => "see the sources with `resguardo config show`",
            Self::UnknownFile { .. } => "give its name the ending of what it is",
            Self::NotReady { next, .. } | Self::Refused { next, .. } => return some(next),
            Self::SafetyBackup { source, .. } => {
                if source.kind() == ErrorKind::Interrupted {
                    return None;
                }
                "put that right, or give up the safety backup with --no-safety-backup"
            }
            Self::OtherEngine { engine, .. } => match engine {
                EngineKind::Postgres => {
                    "name a database: --to postgresql://USER@HOST:PORT/DATABASE"
                }
                EngineKind::Sqlite => "name a file: --to restored.db",
            },
            Self::Restore { source, .. } => return source.hint(),
            Self::Stopped(stopped) => return Some(stopped.hint()),
            Self::Target {
                limits_of, source, ..
            } => return target_hint(source, limits_of.as_ref()),
            Self::Engine { source, .. } => return engine_hint(source),
            Self::Vault { source, .. } => return vault_hint(source),
            Self::CopyGone { name, .. } => {
                return Some(format!(
                    "is the disk mounted, and the place the right one? `resguardo copy sync {name} --new` begins it anew"
                ));
            }
            Self::CopyAbsent { name, .. } => return Some(hint_of_absent(name)),
            Self::Catalog(error) if error.is_full() => FULL_HINT,
            Self::Catalog(error) if error.is_busy() => BUSY_HINT,
            Self::Catalog(_) => "make it anew from the vault with `resguardo catalog rebuild`",
            Self::NoSuchReceipt { .. } => {
                "see all receipts with `resguardo receipts list`; four characters of a run's id name one"
            }
            Self::AmbiguousReceipt { .. } => "see all receipts with `resguardo receipts list`",
            Self::NoSuchException { .. } | Self::AmbiguousException { .. } => {
                "see all exceptions with `resguardo exceptions --all`; four characters of an id name one"
            }
            Self::BadNote { .. } => {
                "like `resguardo exceptions resolve 01jd8kq2v3 --note \"disk replaced, drilled again\"`"
            }
            Self::BadReceipt { .. } => "see all that is wrong with `resguardo receipts verify`",
            Self::BadPin { .. } => {
                "like `resguardo pin shop@2026-11-20 --reason \"contract 7\" --until 2027-06-30`"
            }
            Self::Io { .. } | Self::Cancelled(_) => return None,
        };
        some(hint)
    }
}
