//! Runs: what ran, and what runs.

use jiff::Timestamp;
use resguardo_ops::catalog::RunState;

use super::Pages;

/// One run in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its id.
    pub id: String,
    /// What was to be done: `backup`, `drill`, ...
    pub verb: String,
    /// The source; may be empty.
    pub source: String,
    /// The backup that it made, restored or drilled; may be empty.
    pub backup: String,
    /// How it stands.
    pub state: RunState,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// The machine.
    pub host: String,
    /// The user.
    pub operator: String,
    /// The error, or a drill's verdict; may be empty.
    pub message: String,
    /// It left a receipt.
    pub receipt: bool,
}

/// A list of runs.
#[derive(Clone, Debug, PartialEq)]
pub struct RunsPage {
    /// What runs at this moment.
    pub running: Vec<Running>,
    /// Runs of this page, the newest first.
    pub runs: Vec<Run>,
    /// Only those of that source.
    pub source: Option<String>,
    /// Only those that stand so.
    pub state: Option<RunState>,
    /// The sources that can be chosen.
    pub sources: Vec<String>,
    /// Which page of how many.
    pub pages: Pages,
}

/// A run, while it runs or after it.
#[derive(Clone, Debug, PartialEq)]
pub struct RunPage {
    /// The run.
    pub run: Run,
    /// What it says at this moment, or said last.
    pub log: Option<Running>,
}

/// What a run says while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// What its page is called: the run's id, or what stands for it until that is known.
    pub id: String,
    /// What is done: `backup`, `drill`, ...
    pub verb: String,
    /// The source; empty if it is about none.
    pub source: String,
    /// When it began.
    pub began_at: Timestamp,
    /// Who asked for it; empty: the schedule did.
    pub by: String,
    /// The phases that it went through, and when each began; the last one runs.
    pub phases: Vec<(String, Timestamp)>,
    /// Bytes that the phase is through with.
    pub bytes: u64,
    /// Bytes that the phase will go through, where that is known.
    pub total: Option<u64>,
    /// Its last lines, the oldest first.
    pub lines: Vec<LogLine>,
    /// Older lines that are not kept.
    pub lines_dropped: u64,
}

/// A line of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When it was said.
    pub at: Timestamp,
    /// What was said.
    pub text: String,
}
