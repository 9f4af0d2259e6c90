//! What a prune would do, and why.

use jiff::Timestamp;

/// The policy of each source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyPage {
    /// The sources.
    pub sources: Vec<SourcePolicy>,
}

/// The policy of one source, and what it would do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcePolicy {
    /// The source.
    pub source: String,
    /// The environment whose policy holds.
    pub environment: String,
    /// The policy in words; `None`: nothing is ever deleted.
    pub policy: Option<String>,
    /// Every backup, the newest first; a bounded number of them.
    pub backups: Vec<PolicyBackup>,
    /// How many backups would stay.
    pub kept: u64,
    /// How many would go.
    pub deleted: u64,
    /// What would be free afterwards, in bytes.
    pub freed_bytes: u64,
    /// The next prune of the schedule.
    pub next: Option<Timestamp>,
    /// Why it cannot be told; empty if it can.
    pub trouble: String,
}

/// What would become of one backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyBackup {
    /// Its id.
    pub id: String,
    /// The instant whose data it holds.
    pub taken_at: Timestamp,
    /// Why it was taken.
    pub reason: String,
    /// It stays.
    pub kept: bool,
    /// Every cause.
    pub why: Vec<String>,
    /// What deleting it alone would free, in bytes.
    pub frees_bytes: u64,
}
