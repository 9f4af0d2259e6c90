//! What `doctor` says: one line per thing looked at, with the command that mends it.

use serde::{Deserialize, Serialize};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// It works, but something will be missed one day.
    Warning,
    /// A backup, drill or restore will fail.
    Problem,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// What was looked at: `vault`, `source shop`, `clock`.
    pub subject: String,
    /// How it stands.
    pub severity: Severity,
    /// One sentence with what was found.
    pub message: String,
    /// The next command to run, or the sentence that names it; empty if all is well.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub next: String,
}

impl Diagnosis {
    /// All is well with `subject`.
    #[must_use]
    pub fn ok(subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            severity: Severity::Ok,
            message: message.into(),
            next: String::new(),
        }
    }

    /// Something is not well with `subject`; `next` names the next command.
    #[must_use]
    pub fn not_ok(
        severity: Severity,
        subject: impl Into<String>,
        message: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self {
            subject: subject.into(),
            severity,
            message: message.into(),
            next: next.into(),
        }
    }
}
