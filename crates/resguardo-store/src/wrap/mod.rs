//! Wrappers: each is a [`Store`](crate::Store) around another, and passes the same contract.

pub mod faulty;
pub mod record;
pub mod retry;
pub mod throttle;

use std::fmt;

pub use faulty::{Fault, Faulty, Rule};
pub use record::{Call, Journal, Record};
pub use retry::{Pacing, Retry, RetryPolicy, SystemPacing};
pub use throttle::{Bandwidth, BandwidthError, Throttle};

/// The calls of a store, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// `put`
    Put,
    /// `get`
    Get,
    /// `get_range`
    GetRange,
    /// `stat`
    Stat,
    /// `list`
    List,
    /// `delete`
    Delete,
    /// `retention`
    Retention,
}

impl Operation {
    /// The name as errors have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::GetRange => "get_range",
            Self::Stat => "stat",
            Self::List => "list",
            Self::Delete => "delete",
            Self::Retention => "retention",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
