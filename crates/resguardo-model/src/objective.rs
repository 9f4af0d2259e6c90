//! Objectives for RPO and RTO, and the verdict of a drill.

use serde::{Deserialize, Serialize};

use crate::check::{CheckOutcome, CheckResult};
use crate::duration::Span;

/// What an environment promises. An objective that is not set is not measured against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objectives {
    /// Most data, in time, that may be lost: the age of the backup at the moment of the drill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo: Option<Span>,
    /// Longest time from the start of a restore until its checks have passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rto: Option<Span>,
}

/// How a drill ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every check passed (or was skipped for a given reason) and each objective was met.
    Passed,
    /// A check failed or an objective was missed.
    Failed,
    /// A check or a phase could not run; nothing is proven.
    Error,
}

impl Verdict {
    /// The verdict over all checks: an error weighs more than a failure, and no check at all that
    /// passed proves nothing.
    #[must_use]
    pub fn of(checks: &[CheckResult]) -> Self {
        let any = |outcome| checks.iter().any(|check| check.outcome == outcome);
        if any(CheckOutcome::Error) || !any(CheckOutcome::Passed) && !any(CheckOutcome::Failed) {
            Self::Error
        } else if any(CheckOutcome::Failed) {
            Self::Failed
        } else {
            Self::Passed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(outcome: CheckOutcome) -> CheckResult {
        CheckResult::new("a check", outcome, "1", "1")
    }

    #[test]
    fn only_passed_checks_prove() {
        use CheckOutcome::{Error, Failed, Passed, Skipped};
        for (outcomes, verdict) in [
            (vec![], Verdict::Error),
            (vec![Skipped], Verdict::Error),
            (vec![Passed, Skipped], Verdict::Passed),
            (vec![Passed, Failed], Verdict::Failed),
            (vec![Failed], Verdict::Failed),
            (vec![Passed, Failed, Error], Verdict::Error),
        ] {
            let checks: Vec<_> = outcomes.iter().copied().map(check).collect();
            assert_eq!(Verdict::of(&checks), verdict, "{outcomes:?}");
        }
    }
}
