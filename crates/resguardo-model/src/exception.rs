//! What somebody has to look at: of what kind it is, and the facts of it. The words for people are made of
//! them where they are shown.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::receipt::Verb;
use crate::{BackupId, RunId, Verdict};

/// The kinds of exception; of a source one of each kind is open at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExceptionKind {
    /// A drill failed, or could not be carried out.
    DrillFailed,
    /// No drill was made when it was due.
    DrillOverdue,
    /// A run failed, or died.
    RunFailed,
    /// What could be restored is older than the RPO.
    RpoBreached,
    /// A restore takes longer than the RTO.
    RtoBreached,
    /// A copy lacks backups, and has for a while.
    CopyBehind,
    /// Something is wrong with what lies in the vault.
    VerifyFindings,
    /// No backup was taken when it was due.
    BackupOverdue,
}

impl ExceptionKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::DrillFailed,
        Self::DrillOverdue,
        Self::RunFailed,
        Self::RpoBreached,
        Self::RtoBreached,
        Self::CopyBehind,
        Self::VerifyFindings,
        Self::BackupOverdue,
    ];

    /// Its word, in JSON and in metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::DrillFailed => "drill_failed",
            Self::DrillOverdue => "drill_overdue",
            Self::RunFailed => "run_failed",
            Self::RpoBreached => "rpo_breached",
            Self::RtoBreached => "rto_breached",
            Self::CopyBehind => "copy_behind",
            Self::VerifyFindings => "verify_findings",
            Self::BackupOverdue => "backup_overdue",
        }
    }
}

/// The facts of an exception.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum What {
    /// A drill failed, or could not be carried out.
    DrillFailed {
        /// When it ended.
        at: Timestamp,
        /// The backup.
        backup: BackupId,
        /// How it ended.
        verdict: Verdict,
        /// The checks that did not pass.
        checks: Vec<String>,
        /// Key of its receipt in the vault.
        receipt: String,
    },
    /// No drill was made when it was due.
    DrillOverdue {
        /// When it was due.
        due: Timestamp,
        /// When the last one that passed ended.
        proven_at: Option<Timestamp>,
    },
    /// A run failed, or died.
    RunFailed {
        /// The run.
        run: RunId,
        /// What was to be done.
        verb: Verb,
        /// When it ended, or was found dead.
        at: Timestamp,
        /// Why; it may be that nobody knows.
        message: String,
    },
    /// What could be restored is older than the RPO.
    RpoBreached {
        /// The instant whose data the newest backup holds that could be restored.
        newest: Option<Timestamp>,
        /// The RPO, in seconds.
        target_seconds: u64,
    },
    /// A restore takes longer than the RTO.
    RtoBreached {
        /// When it was measured.
        at: Timestamp,
        /// How long it took, in seconds.
        seconds: f64,
        /// The RTO, in seconds.
        target_seconds: u64,
        /// Key of the drill's receipt in the vault.
        receipt: String,
    },
    /// A copy lacks backups, and has for a while.
    CopyBehind {
        /// The copies that do.
        copies: Vec<String>,
        /// The most that one of them lacks.
        backups: u64,
    },
    /// Something is wrong with what lies in the vault.
    VerifyFindings {
        /// The run that found it; `None`: seen in the vault's list.
        run: Option<RunId>,
        /// How much was found.
        findings: u64,
        /// What was found, or the first of it.
        message: String,
    },
    /// No backup was taken when it was due.
    BackupOverdue {
        /// When it was due.
        due: Timestamp,
        /// The instant whose data the newest backup holds.
        newest: Option<Timestamp>,
    },
}

impl What {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> ExceptionKind {
        match self {
            Self::DrillFailed { .. } => ExceptionKind::DrillFailed,
            Self::DrillOverdue { .. } => ExceptionKind::DrillOverdue,
            Self::RunFailed { .. } => ExceptionKind::RunFailed,
            Self::RpoBreached { .. } => ExceptionKind::RpoBreached,
            Self::RtoBreached { .. } => ExceptionKind::RtoBreached,
            Self::CopyBehind { .. } => ExceptionKind::CopyBehind,
            Self::VerifyFindings { .. } => ExceptionKind::VerifyFindings,
            Self::BackupOverdue { .. } => ExceptionKind::BackupOverdue,
        }
    }

    /// Which time it is: one that goes on stays the same, one that happens again is another.
    #[must_use]
    pub fn occurrence(&self) -> String {
        match self {
            Self::DrillFailed { receipt, .. } | Self::RtoBreached { receipt, .. } => {
                receipt.clone()
            }
            Self::DrillOverdue { due, .. } | Self::BackupOverdue { due, .. } => due.to_string(),
            Self::RunFailed { run, .. } => run.to_string(),
            Self::VerifyFindings { run, .. } => run.map_or_else(String::new, |run| run.to_string()),
            // They go on until they are good again.
            Self::RpoBreached { .. } | Self::CopyBehind { .. } => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use super::*;

    #[test]
    fn words_are_those_of_json() {
        for kind in ExceptionKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.word());
        }
        let what = What::CopyBehind {
            copies: vec!["nas".to_owned()],
            backups: 3,
        };
        let json = serde_json::to_value(&what).unwrap();
        assert_eq!(json["kind"], what.kind().word());
        assert_eq!(serde_json::from_value::<What>(json).unwrap(), what);
    }
}
