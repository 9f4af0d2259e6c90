//! What can go wrong with a vault. Each error names the object or place.

use std::path::PathBuf;

use jiff::Timestamp;
use resguardo_model::{Cancelled, FilePath, Finding, Sha256Digest, SourceName};
use resguardo_store::StoreError;

use crate::keys::KeyError;

/// An error of the vault.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The store's own.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key's own.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// There is no `vault.json`.
    #[error("{place} holds no vault")]
    NotAVault {
        /// The store.
        place: String,
    },
    /// There is one already.
    #[error("{place} holds a vault already: {vault}")]
    AlreadyAVault {
        /// The store.
        place: String,
        /// Its id.
        vault: resguardo_model::VaultId,
    },
    /// A copy has to hold this vault, and holds another.
    #[error("{place} is no copy of vault {ours}: it holds vault {theirs}")]
    OtherVault {
        /// The copy's store.
        place: String,
        /// The vault that it holds.
        theirs: resguardo_model::VaultId,
        /// The vault that is copied.
        ours: resguardo_model::VaultId,
    },
    /// A copy is begun in an empty place only.
    #[error("{place} holds no vault and is not empty: there is {object}")]
    NotEmpty {
        /// The store.
        place: String,
        /// One of the objects in it.
        object: String,
    },
    /// Backups and receipts are signed into the primary alone.
    #[error("{place} is a copy, and the vault itself is not at hand")]
    OnlyACopy {
        /// The copy's store.
        place: String,
    },
    /// A copy's store failed, not the vault's own.
    #[error("using the copy {place}")]
    AtCopy {
        /// The copy's store.
        place: String,
        /// Its error.
        #[source]
        source: StoreError,
    },
    /// A copy acknowledged an object, and does not list it, or with another size.
    #[error("copy {place} took {object} and does not have it")]
    NotKept {
        /// The copy's store.
        place: String,
        /// The object.
        object: String,
    },
    /// It was written by a newer Resguardo.
    #[error("{object} has format {format}, this version of Resguardo reads format 1")]
    NewerFormat {
        /// The object.
        object: String,
        /// Its format.
        format: u32,
    },
    /// `vault.json` is not what this host pinned: somebody may want backups encrypted to himself.
    #[error("vault.json differs from this host's write key: {what}")]
    ConfigChanged {
        /// What differs, with both sides.
        what: String,
    },
    /// Writing needs a write key.
    #[error("there is no write key for this vault here")]
    NoWriteKey,
    /// The write key that a run began with may have been replaced since, and what is there now cannot be read.
    #[error("the write key cannot be read again")]
    WriteKeyUnread {
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The writer was rotated while a backup was taken: nobody would believe its head.
    #[error(
        "this machine signs as {now} by now, and the backup of {source_name} was begun as {began}; nothing was committed"
    )]
    WriterReplaced {
        /// The source.
        source_name: SourceName,
        /// Who began it.
        began: resguardo_model::WriterId,
        /// Who signs now.
        now: resguardo_model::WriterId,
    },
    /// Reading needs an identity.
    #[error("there is no identity here that could open {object}")]
    NoIdentity {
        /// The object.
        object: String,
    },
    /// The identities that are here do not open the object.
    #[error("{object} is not encrypted to the identity that is here")]
    WrongIdentity {
        /// The object.
        object: String,
    },
    /// Another run holds the source.
    #[error("{source_name} is locked by run {run} (process {pid} on {host}) since {acquired_at}")]
    Locked {
        /// The source.
        source_name: SourceName,
        /// The run.
        run: String,
        /// Its machine.
        host: String,
        /// Its process there.
        pid: u32,
        /// Since when.
        acquired_at: Timestamp,
    },
    /// The lease lapsed or was taken over; nothing was committed.
    #[error("the lease on {0} was lost; nothing was committed")]
    LeaseLost(SourceName),
    /// The backup took longer than dead objects wait: what it refers to may be deleted already.
    #[error(
        "the backup of {source_name} took longer than {grace:#}, the grace of pruned objects; nothing was committed"
    )]
    RanTooLong {
        /// The source.
        source_name: SourceName,
        /// The grace.
        grace: jiff::SignedDuration,
    },
    /// These credentials may not delete.
    #[error("{place} lets nobody delete with these credentials; nothing was pruned")]
    MayNotDelete {
        /// The store.
        place: String,
        /// Its own words.
        #[source]
        source: StoreError,
    },
    /// A backup that was signed by nobody who is trusted here.
    #[error("backup {backup} is signed by {writer}, which is not trusted here")]
    UntrustedWriter {
        /// The backup.
        backup: resguardo_model::BackupId,
        /// Who signed it.
        writer: resguardo_model::WriterId,
    },
    /// A backup that a writer signed that was retired here, and that was not there then.
    #[error("backup {backup} is signed by {writer}, which was retired here before it was seen")]
    RetiredWriter {
        /// The backup.
        backup: resguardo_model::BackupId,
        /// Who signed it.
        writer: resguardo_model::WriterId,
    },
    /// Stored data is not what was stored.
    #[error("{}", .0.message)]
    Damaged(Box<Finding>),
    /// The backup holds no such file.
    #[error("the backup holds no file {0}")]
    NoSuchFile(FilePath),
    /// A file was opened twice in one backup.
    #[error("{0} was opened twice in one backup")]
    OpenedTwice(FilePath),
    /// A page file's length is no multiple of its page size.
    #[error("{path} has {bytes} bytes, which is no multiple of its page size {page_bytes}")]
    BrokenPage {
        /// The file.
        path: FilePath,
        /// Its length.
        bytes: u64,
        /// Its page size.
        page_bytes: u32,
    },
    /// A page size that no page file can have.
    #[error("{path}: pages of {page_bytes} bytes (a power of two from 512 to 65536 is needed)")]
    PageSize {
        /// The file.
        path: FilePath,
        /// The size asked for.
        page_bytes: u32,
    },
    /// A file was left before its end, so nothing may be committed.
    #[error("{0} was not written to its end; nothing was committed")]
    Unfinished(String),
    /// Another thread of this backup failed first; its error was reported there.
    #[error("the backup has already failed")]
    AlreadyFailed,
    /// A restored file is not what was backed up.
    #[error("{path}: SHA-256 is {actual}, {expected} was backed up")]
    DigestMismatch {
        /// The file.
        path: String,
        /// What the manifest says.
        expected: Sha256Digest,
        /// What was read back.
        actual: Sha256Digest,
    },
    /// A destination of a restore, or a file of the cache, could not be used.
    #[error("{operation} {}", path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// The path.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// Encrypting failed.
    #[error("sealing {object}")]
    Seal {
        /// The object.
        object: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The source has outgrown the format; nothing was committed.
    #[error(
        "{object} would have {bytes} bytes, the format allows {bytes_max}; nothing was committed"
    )]
    TooLarge {
        /// The object.
        object: String,
        /// Its size.
        bytes: u64,
        /// What readers accept.
        bytes_max: u64,
    },
    /// No head or receipt can follow the last one.
    #[error("{object} has the last number that there is: nothing can follow it")]
    NoNumberLeft {
        /// The head or receipt.
        object: String,
    },
    /// Stopped by the caller.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl VaultError {
    /// What the store's own words say to do next, if it is the store's error and they say anything.
    #[must_use]
    pub fn advice(&self) -> Option<String> {
        match self {
            Self::Store(error) => resguardo_store::advice(error),
            _ => None,
        }
    }

    /// Whether trying again at once is pointless.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Store(error) => error.is_permanent(),
            Self::AtCopy { source, .. } => source.is_permanent(),
            Self::Locked { .. } | Self::LeaseLost(_) => false,
            _ => true,
        }
    }

    pub(crate) fn file(
        operation: &'static str,
        path: &std::path::Path,
        source: std::io::Error,
    ) -> Self {
        Self::File {
            operation,
            path: path.to_owned(),
            source,
        }
    }
}
