//! Checks: one verifiable statement each about restored data.

use serde::{Deserialize, Serialize};

/// How a check ended. Only `Passed` counts as proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckOutcome {
    /// It ran, and what it found is what was expected.
    Passed,
    /// It ran, and found something else.
    Failed,
    /// It does not apply here, for a reason that is given in `detail`.
    Skipped,
    /// It could not run. Never to be taken for passed.
    Error,
}

/// One check with what was expected and what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    /// Its name, from the config or built in (`file digest`, `row counts`, ...).
    pub name: String,
    /// How it ended.
    pub outcome: CheckOutcome,
    /// What was expected, in words or as a value.
    pub expected: String,
    /// What was found; empty where nothing could be found out.
    pub actual: String,
    /// Error text, standard error of a command, or the reason for skipping.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// How long it took, in milliseconds.
    #[serde(default)]
    pub milliseconds: u64,
}

impl CheckResult {
    /// `Passed` if the two texts are the same, else `Failed`.
    #[must_use]
    pub fn compare(name: &str, expected: impl Into<String>, actual: impl Into<String>) -> Self {
        let (expected, actual) = (expected.into(), actual.into());
        let outcome = if expected == actual {
            CheckOutcome::Passed
        } else {
            CheckOutcome::Failed
        };
        Self::new(name, outcome, expected, actual)
    }

    /// A result with its two sides.
    #[must_use]
    pub fn new(
        name: &str,
        outcome: CheckOutcome,
        expected: impl Into<String>,
        actual: impl Into<String>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            outcome,
            expected: expected.into(),
            actual: actual.into(),
            detail: String::new(),
            milliseconds: 0,
        }
    }

    /// A check that could not run, and why.
    #[must_use]
    pub fn error(name: &str, expected: impl Into<String>, why: impl Into<String>) -> Self {
        let mut result = Self::new(name, CheckOutcome::Error, expected, "");
        result.detail = why.into();
        result
    }
}
