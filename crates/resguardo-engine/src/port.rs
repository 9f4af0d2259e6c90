//! The engine port: how a source is captured, and how a target is filled, asked and checked.
//!
//! Written for SQLite and PostgreSQL alike. A capture writes *files* into a sink: page files, whose
//! pages keep their position from backup to backup, and streams. Several threads may write several
//! files at once. What is restored lies in a [`Target`]; a drill's sandbox is a target that is closed
//! and removed afterwards.

mod error;
mod location;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process::{GroupLog, User};
use jiff::Timestamp;
use resguardo_model::{
    CancelToken, Cancelled, CheckResult, Clock, Diagnosis, EngineKind, FileKind, FilePath,
    Progress, Sha256Digest, SourceFacts,
};

pub use error::EngineError;
pub use location::Location;

/// A cause from outside the engine.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What every piece of long work is given.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// Asked at least once per block of data and once per second.
    pub cancel: &'a CancelToken,
    /// Whoever watches.
    pub progress: &'a dyn Progress,
    /// The time.
    pub clock: &'a dyn Clock,
}

/// Takes the files of one backup.
pub trait CaptureSink: Sync {
    /// Opens a file of the backup for writing from its beginning to its end. Each path at most once.
    ///
    /// # Errors
    /// If the path was opened before, or the backup has already failed.
    fn open_file(
        &self,
        path: &FilePath,
        kind: FileKind,
    ) -> Result<Box<dyn FileSink + '_>, SinkError>;
}

/// Takes the bytes of one file.
///
/// A file that is dropped without [`FileSink::finish`] fails the whole backup: an engine cannot leave
/// half a file behind by returning early.
pub trait FileSink: Send {
    /// Appends bytes; any length. A page file's total must be a multiple of its page size.
    ///
    /// # Errors
    /// If the backup has failed meanwhile; there is no point in going on.
    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError>;

    /// Ends the file and tells what was written.
    ///
    /// # Errors
    /// As `write`.
    fn finish(self: Box<Self>) -> Result<FileDigest, SinkError>;
}

/// Size and digest of a file as it went into a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileDigest {
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of all of them.
    pub sha256: Sha256Digest,
}

/// The sink could not take the data; the cause is the vault's.
#[derive(Debug, thiserror::Error)]
#[error("storing the backup")]
pub struct SinkError(#[source] pub BoxError);

/// What is asked of a capture.
#[derive(Clone, Debug)]
pub struct CaptureRequest {
    /// The source.
    pub location: Location,
    /// Check the source's integrity in the snapshot, before its data is taken.
    pub check_integrity: bool,
    /// Faults that its check lets be.
    pub allowed: Allowed,
    /// Longest wait for a lock that somebody else holds.
    pub lock_timeout: Duration,
    /// Longest silence of a connection or tool from which data should flow.
    pub silence_timeout: Duration,
    /// Streams that are read at once; the engine's own number if `None`.
    pub jobs: Option<usize>,
}

impl CaptureRequest {
    /// A request with nothing but defaults: no check of integrity, 30 s for locks, five minutes of silence.
    #[must_use]
    pub fn new(location: Location) -> Self {
        Self {
            location,
            check_integrity: false,
            allowed: Allowed::default(),
            lock_timeout: Duration::from_secs(30),
            silence_timeout: SILENCE_TIMEOUT,
            jobs: None,
        }
    }
}

/// Longest silence where nothing else is configured.
pub const SILENCE_TIMEOUT: Duration = Duration::from_secs(300);

/// What a capture tells when all its files are finished.
#[derive(Clone, Debug)]
pub struct Captured {
    /// The instant of the snapshot.
    pub taken_at: Timestamp,
    /// What is known of the data in that snapshot.
    pub facts: SourceFacts,
    /// Names and versions of libraries and tools that took part.
    pub tools: Vec<(String, String)>,
}

/// A file that a backup holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupFile {
    /// Its path inside the backup.
    pub path: FilePath,
    /// Its size in bytes.
    pub bytes: u64,
    /// SHA-256 of the whole file.
    pub sha256: Sha256Digest,
}

/// Reads one backup: a snapshot of a vault, or a foreign file.
pub trait BackupReader: Sync {
    /// The backup in words: `shop 01jd8kq2v3… of 2026-11-22 02:00`, or a file's name.
    fn describe(&self) -> String;

    /// What was known of the data when it was taken; a foreign file may know nothing.
    fn facts(&self) -> Option<&SourceFacts>;

    /// The instant whose data it holds, where the backup itself tells it.
    fn taken_at(&self) -> Option<Timestamp> {
        None
    }

    /// Where it lies, if it is a file or folder that somebody else's tools read.
    fn path(&self) -> Option<&Path> {
        None
    }

    /// The files that it holds.
    fn files(&self) -> Vec<BackupFile>;

    /// Writes files to new paths, in parallel where it can. Each is compared with its digest before
    /// this returns; on an error the paths may hold parts of files, which the caller removes.
    /// `durable` asks for an fsync of each (a sandbox does not need it).
    ///
    /// # Errors
    /// If the backup lacks a file, a stored byte is damaged, or a path cannot be written.
    fn write_files(
        &self,
        wanted: &[(FilePath, PathBuf)],
        durable: bool,
        run: Run<'_>,
    ) -> Result<(), ReadError>;

    /// Reads a file from its beginning; the digest is checked at its end, as an error of `read`.
    ///
    /// # Errors
    /// If the backup lacks the file.
    fn open_stream<'a>(&'a self, path: &FilePath) -> Result<Box<dyn Read + Send + 'a>, ReadError>;
}

/// The backup could not be read, or its files not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The backup does not hold the file.
    #[error("the backup holds no file {0}")]
    NoSuchFile(FilePath),
    /// What came out is not what went in.
    #[error("{path}: SHA-256 is {actual}, {expected} was backed up")]
    DigestMismatch {
        /// The file.
        path: String,
        /// The digest that the backup promises.
        expected: Sha256Digest,
        /// The digest of what was read.
        actual: Sha256Digest,
    },
    /// A destination could not be written.
    #[error("writing {}", path.display())]
    Write {
        /// The destination.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// Stopped by the caller.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The vault's or the file's own error.
    #[error("reading the backup")]
    Source(#[source] BoxError),
}

/// One kind of source. Stateless: the location is given with each call.
pub trait Engine: Send + Sync {
    /// Which kind.
    fn kind(&self) -> EngineKind;

    /// Looks at the source and at the tools it needs, without changing anything: for `doctor`, and
    /// before every backup. `subject` of each answer is the given one.
    fn probe(&self, subject: &str, location: &Location) -> Vec<Diagnosis>;

    /// Whether what lies at `location` is one of this kind and damaged, as far as a first look tells;
    /// asked where `probe` found a problem. False where that cannot be told.
    fn is_damaged(&self, location: &Location) -> bool {
        let _ = location;
        false
    }

    /// Captures the source into `sink` from one consistent snapshot. When this returns `Ok`, every
    /// file was finished.
    ///
    /// # Errors
    /// Any; the caller then drops the sink and no backup exists.
    fn capture(
        &self,
        request: &CaptureRequest,
        sink: &dyn CaptureSink,
        run: Run<'_>,
    ) -> Result<Captured, EngineError>;

    /// Captures the source into a standard file that opens without Resguardo; returns the paths
    /// written. Nothing is left behind on an error.
    ///
    /// # Errors
    /// [`EngineError::UnknownFormat`] if the ending of `out` names no format of this engine.
    fn export(
        &self,
        request: &CaptureRequest,
        out: &Path,
        run: Run<'_>,
    ) -> Result<Vec<PathBuf>, EngineError>;

    /// Opens a standard file that somebody else wrote, or [`Engine::export`], as a backup. Its hash is
    /// checked first where one lies beside it.
    ///
    /// # Errors
    /// [`EngineError::UnknownFormat`] if it is none of this engine's, or what is wrong with it.
    fn open_file(&self, file: &Path, run: Run<'_>) -> Result<Box<dyn BackupReader>, EngineError>;

    /// A target at `location`, which need not exist.
    ///
    /// # Errors
    /// If the location makes no sense for this engine.
    fn open_target(&self, location: &Location) -> Result<Box<dyn Target>, EngineError>;

    /// Whether both places are on one server, so that work on the one slows the other down. Where that
    /// cannot be told, because one of them cannot be reached: whether their addresses are the same.
    fn is_same_server(&self, one: &Location, other: &Location) -> bool {
        let _ = (one, other);
        false
    }

    /// A new, empty target at `site`, as like the source of `facts` as it can be.
    ///
    /// # Errors
    /// If a tool for it is missing.
    fn open_sandbox(
        &self,
        site: &dyn SandboxSite,
        facts: Option<&SourceFacts>,
        run: Run<'_>,
    ) -> Result<Box<dyn Target>, EngineError>;
}

/// The place of one drill's throwaway target. Whatever lies in its folders, and every process group that
/// is written down with it, is gone when the drill ends, and if this process dies, when the next begins.
pub trait SandboxSite: GroupLog {
    /// A name that no other sandbox has, of lower-case letters and digits.
    fn name(&self) -> String;

    /// A private folder.
    fn folder(&self) -> PathBuf;

    /// A folder that an unprivileged `user` owns and can reach: the private one where that is so already.
    ///
    /// # Errors
    /// If it cannot be made, or not be written down for its removal.
    fn folder_of(&self, user: User) -> std::io::Result<PathBuf>;

    /// The server on which the target is to be made, if not on a throwaway one of its own.
    fn server(&self) -> Option<Location> {
        None
    }
}

/// What lies at a target before a restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetState {
    /// Nothing is there.
    Missing,
    /// It is there and holds no data.
    Empty,
    /// It holds data.
    Occupied {
        /// The name that has to be typed to overwrite it: a file's or database's name.
        name: String,
        /// What is in it, for people: `38 tables, 9412 rows, 8.4 MB`.
        contents: String,
    },
}

/// What a comparison lets be: faults that the source is known to have, and that came back as they were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Rows whose parent is missing (SQLite, where an application does not have its foreign keys enforced).
    pub orphans: u64,
}

/// How a restore is to be done.
#[derive(Clone, Debug, Default)]
pub struct RestoreOptions {
    /// Replace what is there. Without it a target that is occupied is refused by the engine too.
    pub clean: bool,
    /// Only these tables; all of the backup if empty.
    pub only: Vec<String>,
    /// Make it survive a loss of power. A sandbox does not need it.
    pub durable: bool,
    /// Longest wait for a lock that somebody else holds on the target; the engine's own limit if `None`.
    pub lock_timeout: Option<Duration>,
    /// Make the target first where it is missing.
    pub create: bool,
    /// Structure, data, or both.
    pub part: RestorePart,
    /// Leave out who owns what: everything will be the restoring role's.
    pub no_owner: bool,
    /// Leave out grants.
    pub no_acl: bool,
    /// Streams that are written at once; the engine's own number if `None`.
    pub jobs: Option<usize>,
    /// Longest silence of a connection or tool from which data should flow; the default if `None`.
    pub silence_timeout: Option<Duration>,
}

/// Which part of a backup is restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RestorePart {
    /// All of it.
    #[default]
    All,
    /// Tables and all that belongs to them, without a row.
    Structure,
    /// Rows, sequences and large objects, into tables that are there already.
    Data,
}

/// What a restore did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Tables restored.
    pub tables: u64,
    /// Bytes written.
    pub bytes: u64,
    /// What a person should know: `3 triggers of other tables were left out`.
    pub notes: Vec<String>,
}

/// A place that a backup is restored into, and that is asked afterwards.
pub trait Target: Send {
    /// The place, without secrets.
    fn describe(&self) -> String;

    /// What lies there now.
    ///
    /// # Errors
    /// If that cannot be found out; it is then never taken for empty.
    fn state(&self) -> Result<TargetState, EngineError>;

    /// Whether this target and the source at `location` are the same place.
    fn is_same_as(&self, location: &Location) -> bool;

    /// Restores a backup. Its digests are checked before the target is touched; on an error the
    /// target is as it was before, or the error says what state it is in.
    ///
    /// # Errors
    /// Any.
    fn restore(
        &self,
        backup: &dyn BackupReader,
        options: &RestoreOptions,
        run: Run<'_>,
    ) -> Result<Restored, EngineError>;

    /// Compares what lies there with what was known when the backup was taken. One result per check;
    /// one that could not run is an error, never passed. Faults of the source itself fail one beyond `allowed`.
    fn check(&self, backup: &dyn BackupReader, allowed: Allowed, run: Run<'_>) -> Vec<CheckResult>;

    /// Looks for damage in the structure of what lies there, however long that takes; nothing where there is
    /// no such check.
    fn check_deeply(&self, run: Run<'_>) -> Vec<CheckResult> {
        let _ = run;
        Vec::new()
    }

    /// Runs a script of statements (provisioning).
    ///
    /// # Errors
    /// [`EngineError::Sql`] with the statement's error.
    fn execute(&self, script: &str, timeout: Duration, run: Run<'_>) -> Result<(), EngineError>;

    /// Runs one query and returns at most `rows_max` rows as text (`None` for NULL). It cannot write.
    ///
    /// # Errors
    /// [`EngineError::Sql`]; [`EngineError::Timeout`] after `timeout`.
    fn query(
        &self,
        sql: &str,
        rows_max: usize,
        timeout: Duration,
        run: Run<'_>,
    ) -> Result<Rows, EngineError>;

    /// Closes the place to everybody but us, until [`Target::end_maintenance`]: others are shut out, and
    /// whoever is in is put out. What is closed stays closed if this process dies; beginning again is no
    /// error. On an error the place is as open as it was.
    ///
    /// # Errors
    /// If this user may not do that.
    fn begin_maintenance(&self, run: Run<'_>) -> Result<Maintenance, EngineError> {
        let _ = run;
        Ok(Maintenance::default())
    }

    /// Opens the place as far as it was open before [`Target::begin_maintenance`], by whichever process
    /// that was called.
    ///
    /// # Errors
    /// If it may still be closed.
    fn end_maintenance(&self, run: Run<'_>) -> Result<(), EngineError> {
        let _ = run;
        Ok(())
    }

    /// Variables for commands and applications that run against it: `DATABASE_URL`, ...
    fn environment(&self) -> Vec<(String, String)>;

    /// Variables of ours that could lead such a command elsewhere: it is run without them.
    fn foreign_variables(&self) -> Vec<String> {
        Vec::new()
    }

    /// Keeps what was made for a sandbox: [`Target::close`] will leave it. Returns where it is and how to look at
    /// it, where it is more than files in the site's folder.
    ///
    /// # Errors
    /// If it cannot be kept.
    fn keep(&mut self) -> Result<Option<String>, EngineError> {
        Ok(None)
    }

    /// Lets go of it: connections closed, servers stopped. The data stays where it is, but for a sandbox's
    /// outside of its site's folders that was not kept.
    ///
    /// # Errors
    /// If something of it may still be running.
    fn close(self: Box<Self>) -> Result<(), EngineError>;
}

/// How a place was closed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maintenance {
    /// What a person should know: whom it could not shut out.
    pub notes: Vec<String>,
    /// What opens it again where we cannot: a statement or command.
    pub reopen: String,
}

/// The answer to a query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Rows of columns as text.
    pub rows: Vec<Vec<Option<String>>>,
    /// There were more than were asked for.
    pub truncated: bool,
}
