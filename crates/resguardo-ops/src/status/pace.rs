//! How often a vault is listed: whoever looks each minute must not spend the minute on it.
//!
//! A vault that lists at once is listed each time. One that takes long rests for five hundred times as long, ten
//! minutes at most; meanwhile the catalog tells, which knows at once what this machine writes.

use std::collections::HashMap;
use std::hash::RandomState;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use resguardo_model::{Finding, VaultId};

use super::listing::Listed;

/// What takes no longer than this is no burden.
const AT_ONCE: Duration = Duration::from_millis(200);
const REST_FACTOR: u32 = 500;
const REST_MAX: SignedDuration = SignedDuration::from_mins(10);

/// When vaults were listed last, and what, for as long as the process lives.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    last: Mutex<HashMap<VaultId, Listing>>,
    stamps: RandomState,
}

#[derive(Clone, Debug)]
struct Listing {
    ended: Timestamp,
    took: Duration,
    listed: Arc<Listed>,
}

impl Pace {
    /// What was wrong with the vault when it was listed last, if it need not be listed again now. A clock that
    /// was set back since lengthens no rest.
    pub(crate) fn rests(&self, vault: VaultId, now: Timestamp) -> Option<Vec<Finding>> {
        let all = self.all();
        let last = all.get(&vault)?;
        let since = now.duration_since(last.ended);
        let rests = !since.is_negative() && since < rest(last.took);
        rests.then(|| last.listed.findings())
    }

    /// What was listed last; nothing, if it was not.
    pub(crate) fn last(&self, vault: VaultId) -> Option<Arc<Listed>> {
        self.all().get(&vault).map(|last| last.listed.clone())
    }

    /// By which all lists of this process are stamped: nobody can make two objects whose stamps are the same.
    pub(crate) fn stamps(&self) -> &RandomState {
        &self.stamps
    }

    /// It was listed, and what there was news of read.
    pub(crate) fn listed(&self, vault: VaultId, ended: Timestamp, took: Duration, listed: Listed) {
        let listing = Listing {
            ended,
            took,
            listed: Arc::new(listed),
        };
        self.all().insert(vault, listing);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<VaultId, Listing>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a vault is left alone whose list took so long.
fn rest(took: Duration) -> SignedDuration {
    if took <= AT_ONCE {
        return SignedDuration::ZERO;
    }
    let rest = took.saturating_mul(REST_FACTOR);
    SignedDuration::try_from(rest).map_or(REST_MAX, |rest| rest.min(REST_MAX))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use super::*;

    #[test]
    fn a_long_list_is_not_asked_for_each_minute() {
        for (milliseconds, seconds) in [(0, 0), (200, 0), (900, 450), (1000, 500), (60_000, 600)] {
            let took = Duration::from_millis(milliseconds);
            let expected = SignedDuration::from_secs(seconds);
            assert_eq!(rest(took), expected, "{milliseconds}");
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
        let at: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let later = |minutes| at + SignedDuration::from_mins(minutes);
        assert_eq!(pace.rests(one, at), None);
        assert!(pace.last(one).is_none());
        pace.listed(one, at, Duration::from_secs(5), Listed::default());
        assert_eq!(pace.rests(one, at), Some(Vec::new()));
        assert_eq!(pace.rests(one, later(9)), Some(Vec::new()));
        assert_eq!(pace.rests(one, later(10)), None);
        assert_eq!(pace.rests(one, later(-1)), None, "the clock was set back");
        assert_eq!(pace.rests(other, at), None);
        pace.listed(one, at, Duration::from_millis(5), Listed::default());
        assert_eq!(pace.rests(one, at), None);
    }
}
