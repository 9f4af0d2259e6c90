//! How a source stands against what its environment promises, and why.
//!
//! Nothing is assumed: without a target nothing is judged against one, and what no drill has proven is not
//! "ok", however young its backups are.

use serde::{Deserialize, Serialize};

/// How a source or an objective stands, from the best to the worst.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// As it has to be.
    #[default]
    Ok,
    /// It still holds, and is about not to.
    AtRisk,
    /// No drill ever passed: nobody knows.
    NeverProven,
    /// What was promised does not hold.
    Breached,
}

impl Standing {
    /// All of them, from the best to the worst.
    pub const ALL: [Self; 4] = [Self::Ok, Self::AtRisk, Self::NeverProven, Self::Breached];

    /// Its word, in JSON, in metrics and for people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::AtRisk => "at_risk",
            Self::NeverProven => "never_proven",
            Self::Breached => "breached",
        }
    }
}

/// An objective and what is measured of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// What was measured; `None` if there is nothing to measure.
    pub seconds: Option<f64>,
    /// What was promised; `None` if nothing was.
    pub target_seconds: Option<u64>,
    /// How the two stand.
    pub standing: Standing,
}

/// Why a source does not stand better than it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Concern {
    /// Nothing could be restored: there is no backup, or none of a writer that is trusted.
    NoBackup,
    /// What could be restored is older than the RPO.
    RpoPassed,
    /// What could be restored is about to be older than the RPO.
    RpoNear,
    /// A backup was not taken when it was due.
    BackupOverdue,
    /// A backup is due and not there yet.
    BackupLate,
    /// The last backup failed.
    BackupFailed,
    /// The restore takes longer than the RTO.
    RtoPassed,
    /// The restore takes almost as long as the RTO.
    RtoNear,
    /// At this growth it soon takes longer.
    RtoForecast,
    /// No drill ever passed.
    NeverProven,
    /// The last drill failed.
    DrillFailed,
    /// The last drill could not be carried out.
    DrillError,
    /// No drill was made when it was due.
    DrillOverdue,
    /// A drill is due and was not made yet.
    DrillLate,
    /// A copy lacks backups.
    CopyBehind,
    /// Something is wrong with the backups in the vault.
    Findings,
}

impl Concern {
    /// How a source stands of which this is true.
    #[must_use]
    pub fn standing(self) -> Standing {
        match self {
            Self::RpoPassed
            | Self::BackupOverdue
            | Self::RtoPassed
            | Self::DrillFailed
            | Self::DrillOverdue
            | Self::Findings => Standing::Breached,
            Self::NoBackup | Self::NeverProven => Standing::NeverProven,
            Self::RpoNear
            | Self::BackupLate
            | Self::BackupFailed
            | Self::RtoNear
            | Self::RtoForecast
            | Self::DrillError
            | Self::DrillLate
            | Self::CopyBehind => Standing::AtRisk,
        }
    }

    /// Its word in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::NoBackup => "no_backup",
            Self::RpoPassed => "rpo_passed",
            Self::RpoNear => "rpo_near",
            Self::BackupOverdue => "backup_overdue",
            Self::BackupLate => "backup_late",
            Self::BackupFailed => "backup_failed",
            Self::RtoPassed => "rto_passed",
            Self::RtoNear => "rto_near",
            Self::RtoForecast => "rto_forecast",
            Self::NeverProven => "never_proven",
            Self::DrillFailed => "drill_failed",
            Self::DrillError => "drill_error",
            Self::DrillOverdue => "drill_overdue",
            Self::DrillLate => "drill_late",
            Self::CopyBehind => "copy_behind",
            Self::Findings => "findings",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use super::*;

    #[test]
    fn worst_comes_last() {
        let mut all = Standing::ALL;
        all.reverse();
        all.sort();
        assert_eq!(all, Standing::ALL);
        assert_eq!(Standing::ALL.iter().max(), Some(&Standing::Breached));
    }

    #[test]
    fn words_are_those_of_json() {
        for standing in Standing::ALL {
            assert_eq!(serde_json::to_value(standing).unwrap(), standing.word());
        }
        for concern in [
            Concern::NoBackup,
            Concern::RpoPassed,
            Concern::RpoNear,
            Concern::BackupOverdue,
            Concern::BackupLate,
            Concern::BackupFailed,
            Concern::RtoPassed,
            Concern::RtoNear,
            Concern::RtoForecast,
            Concern::NeverProven,
            Concern::DrillFailed,
            Concern::DrillError,
            Concern::DrillOverdue,
            Concern::DrillLate,
            Concern::CopyBehind,
            Concern::Findings,
        ] {
            assert_eq!(serde_json::to_value(concern).unwrap(), concern.word());
        }
    }
}
