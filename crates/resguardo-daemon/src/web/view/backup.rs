//! One backup.

use jiff::Timestamp;

use super::BackupLine;

/// A backup.
#[derive(Clone, Debug, PartialEq)]
pub struct BackupPage {
    /// Its line in lists.
    pub line: BackupLine,
    /// Its engine.
    pub engine: String,
    /// When it was committed.
    pub finished_at: Timestamp,
    /// Whoever signed it.
    pub writer: String,
    /// The note that was kept with it; may be empty.
    pub note: String,
    /// The commit of the application; may be empty.
    pub commit: String,
    /// The newest migration of the data; may be empty.
    pub migration: String,
    /// The database's name on its server; may be empty.
    pub database: String,
    /// SHA-256 of its head.
    pub head_sha256: String,
    /// The vault and the copies, and whether it lies there.
    pub places: Vec<CopyOfBackup>,
    /// Who asked that it be kept.
    pub pin: Option<Pin>,
    /// The store's lock on it.
    pub lock: Option<Lock>,
    /// What deleting it alone would free, in bytes.
    pub frees_bytes: u64,
    /// What lies in it; or why that cannot be told.
    pub files: Result<Vec<BackupFile>, String>,
    /// Facts that the engine told, as names and values.
    pub facts: Vec<(String, String)>,
    /// Receipts that speak of it, the newest first.
    pub receipts: Vec<Receipt>,
}

/// A place where a backup may lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyOfBackup {
    /// What it is called; empty for the vault itself.
    pub name: String,
    /// Where it is, without secrets.
    pub place: String,
    /// It lies there.
    pub here: bool,
}

/// What keeps a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Who asked.
    pub by: String,
    /// Why; may be empty.
    pub note: String,
    /// Until when; `None`: until somebody takes it away.
    pub until: Option<Timestamp>,
}

/// A lock of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Until when; `None`: until somebody lifts it.
    pub until: Option<Timestamp>,
    /// Its kind, as the store calls it.
    pub mode: Option<String>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupFile {
    /// Its path inside the backup.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// SHA-256 of the whole file.
    pub sha256: String,
}

/// A receipt in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The run; the receipt's name.
    pub run: String,
    /// What was done: `backup`, `drill`, ...
    pub verb: String,
    /// How it ended: `succeeded`, `failed`, `interrupted`, or a drill's verdict.
    pub outcome: String,
    /// When it ended.
    pub at: Timestamp,
    /// Whether this host trusts whoever signed it.
    pub trusted: bool,
}
