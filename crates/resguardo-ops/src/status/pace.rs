//! How often a vault is listed: whoever looks each minute must not spend the minute on it.
//!
//! A vault that lists at once is listed each time. One that takes long rests for a hundred times as long, ten
//! minutes at most; meanwhile the catalog tells, which knows at once what this machine writes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use resguardo_model::{Finding, VaultId};

/// What takes no longer than this is no burden.
const AT_ONCE: Duration = Duration::from_millis(200);
const REST_FACTOR: u32 = 100;
const REST_MAX: Duration = Duration::from_secs(600);

/// When vaults were listed last, for as long as the process lives.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<HashMap<VaultId, Listing>>);

#[derive(Clone, Debug)]
struct Listing {
    ended: Instant,
    took: Duration,
    findings: Vec<Finding>,
}

impl Pace {
    /// What was wrong with the vault when it was listed last, if it need not be listed again now.
    pub(crate) fn rests(&self, vault: VaultId) -> Option<Vec<Finding>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = all.get(&vault)?;
        (last.ended.elapsed() < rest(last.took)).then(|| last.findings.clone())
    }

    /// It was listed.
    pub(crate) fn listed(&self, vault: VaultId, took: Duration, findings: &[Finding]) {
        let listing = Listing {
            ended: Instant::now(),
            took,
            findings: findings.to_vec(),
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(vault, listing);
    }
}

/// How long a vault is left alone whose list took so long.
fn rest(took: Duration) -> Duration {
    if took <= AT_ONCE {
        return Duration::ZERO;
    }
    took.saturating_mul(REST_FACTOR).min(REST_MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use super::*;

    #[test]
    fn a_long_list_is_not_asked_for_each_minute() {
        for (milliseconds, seconds) in [(0, 0), (200, 0), (900, 90), (5000, 500), (60_000, 600)] {
            let took = Duration::from_millis(milliseconds);
            assert_eq!(rest(took), Duration::from_secs(seconds), "{milliseconds}");
        }
        assert_eq!(rest(Duration::MAX), REST_MAX);
    }

    #[test]
    fn each_vault_rests_by_itself() {
        let pace = Pace::default();
        let (one, other): (VaultId, VaultId) = (
            "01jd8kq2v3m4n5p6q7r8s9t0vw".parse().unwrap(),
            "01jd8kq2v3m4n5p6q7r8s9t0vx".parse().unwrap(),
        );
        assert_eq!(pace.rests(one), None);
        pace.listed(one, Duration::from_secs(5), &[]);
        assert_eq!(pace.rests(one), Some(Vec::new()));
        assert_eq!(pace.rests(other), None);
        pace.listed(one, Duration::from_millis(5), &[]);
        assert_eq!(pace.rests(one), None);
    }
}
