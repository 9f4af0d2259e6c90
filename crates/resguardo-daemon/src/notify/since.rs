//! Since when this machine tells of exceptions.
//!
//! One whose catalog is new finds in the vault what others opened, and told, long ago: it tells what changes after
//! its first look, and what that look itself opened.

use jiff::Timestamp;
use resguardo_ops::catalog::Catalog;
use resguardo_ops::exception::Exception;
use serde::{Deserialize, Serialize};

/// What it is called in the catalog, among the jobs that are about no source.
const NAME: &str = "notify";

/// The first look of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    /// When it began: what was opened before, others have told.
    began_at: Timestamp,
    /// When it ended: what it found changed of that, it found late.
    ended_at: Timestamp,
}

impl Since {
    /// Of a machine that has always looked.
    pub const EVER: Self = Self {
        began_at: Timestamp::MIN,
        ended_at: Timestamp::MIN,
    };

    /// A first look, from and until then.
    #[must_use]
    pub fn first(began_at: Timestamp, ended_at: Timestamp) -> Self {
        Self { began_at, ended_at }
    }

    /// Reads it back; `None`: it is still to come. A catalog that knows jobs has looked before this was kept.
    #[must_use]
    pub fn read(catalog: &Catalog) -> Option<Self> {
        match catalog.job(None, NAME) {
            Ok(Some(text)) => Some(serde_json::from_str(&text).unwrap_or(Self::EVER)),
            Ok(None) => catalog
                .has_jobs()
                .is_ok_and(|has_jobs| has_jobs)
                .then_some(Self::EVER),
            // Nobody hears twice what the outbox remembers.
            Err(_) => Some(Self::EVER),
        }
    }

    /// Keeps it. A catalog that cannot be written tells the next process once more what is open.
    pub fn keep(self, catalog: &Catalog) {
        let text = serde_json::to_string(&self).expect("times always serialise");
        let _ = catalog.put_job(None, NAME, &text, self.ended_at);
    }

    /// Whether it was open before this machine looked.
    #[must_use]
    pub fn is_old(self, exception: &Exception) -> bool {
        exception.opened_at < self.began_at
    }

    /// Since when changes of an exception are news here.
    pub(super) fn of(self, exception: &Exception) -> Timestamp {
        match self.is_old(exception) {
            true => self.ended_at,
            false => Timestamp::MIN,
        }
    }
}
