//! One drill, while it runs or after it.

use jiff::Timestamp;
use resguardo_model::{CheckOutcome, Measure, Verdict};

use super::Running;

/// A drill that ended.
#[derive(Clone, Debug, PartialEq)]
pub struct DrillPage {
    /// The run; its receipt's name.
    pub run: String,
    /// How it ended.
    pub verdict: Verdict,
    /// The source; may be empty, of a file.
    pub source: String,
    /// The environment; may be empty.
    pub environment: String,
    /// The engine.
    pub engine: String,
    /// The backup; may be empty, of a file.
    pub backup: String,
    /// The instant whose data was drilled.
    pub taken_at: Option<Timestamp>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// The restore with its checks, against what was promised.
    pub rto: Measure,
    /// Age of the backup when the drill began, against what was promised.
    pub rpo: Measure,
    /// Its phases in their order.
    pub phases: Vec<Phase>,
    /// Its checks in their order.
    pub checks: Vec<Check>,
    /// Where the sandbox was kept, if it was.
    pub kept_at: Option<String>,
    /// The receipt's key in the vault; `None`: there is none.
    pub receipt: Option<String>,
    /// SHA-256 of the receipt.
    pub receipt_sha256: Option<String>,
    /// Whether this host trusts whoever signed it.
    pub trusted: bool,
    /// The machine.
    pub host: String,
    /// The user.
    pub operator: String,
    /// Names and versions of what took part.
    pub tools: Vec<(String, String)>,
    /// What a person should know.
    pub notes: Vec<String>,
    /// The drill's own last lines, where they are still known.
    pub log: Option<Running>,
}

/// A phase.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// Its word: `select`, `restore`, ...
    pub name: String,
    /// Its length in seconds.
    pub seconds: f64,
}

/// A check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// How it ended.
    pub outcome: CheckOutcome,
    /// What was expected.
    pub expected: String,
    /// What was found.
    pub actual: String,
    /// Error text, standard error of a command, or the reason for skipping; may be empty.
    pub detail: String,
    /// How long it took, in milliseconds.
    pub milliseconds: u64,
}
