//! Every cause for which a backup is kept, or is not, in words.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::bucket::{Bucket, Tier};
use crate::duration::Span;
use crate::{BackupId, Reason};

/// Why a backup is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// There is no policy.
    NoPolicy,
    /// It is the newest of this unit.
    Serves(Bucket),
    /// It is one of the policy's `last`.
    Last(u32),
    /// It is younger than the policy's `within`.
    Within(Span),
    /// Backups of its reason are kept so long.
    OfReason(Reason, Span),
    /// Of all whose drill passed it is the newest.
    LastProven,
    /// It is one of the newest so many, which are never deleted.
    Successful(u32),
    /// Somebody asked for it.
    Pinned {
        /// Why.
        reason: String,
        /// The last day, in the policy's zone; `None`: for ever.
        until: Option<jiff::civil::Date>,
    },
    /// Its time is still to come: its clock was wrong, or ours is.
    Future,
    /// Its writer is not trusted here, so that it is not ours to judge.
    Untrusted,
}

impl Kept {
    pub(super) fn pinned(reason: &str, until: Option<Timestamp>, zone: &TimeZone) -> Self {
        // The first instant that is not covered any more is midnight, most often.
        let last = |end: Timestamp| {
            let moment = jiff::SignedDuration::from_nanos(1);
            let last = end.checked_sub(moment).unwrap_or(end);
            last.to_zoned(zone.clone()).date()
        };
        Self::Pinned {
            reason: reason.to_owned(),
            until: until.map(last),
        }
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPolicy => f.write_str("no retention is set"),
            Self::Serves(bucket) => bucket.fmt(f),
            Self::Last(count) => write!(f, "last {count}"),
            Self::Within(span) => write!(f, "within {span}"),
            Self::OfReason(reason, span) => write!(f, "{reason} kept {span}"),
            Self::LastProven => f.write_str("the last proven backup"),
            Self::Successful(1) => f.write_str("the last backup"),
            Self::Successful(count) => write!(f, "one of the last {count} backups"),
            Self::Pinned {
                reason,
                until: Some(until),
            } => write!(f, "pinned until {until}: {reason}"),
            Self::Pinned {
                reason,
                until: None,
            } => write!(f, "pinned: {reason}"),
            Self::Future => f.write_str("taken at a time that is still to come"),
            Self::Untrusted => f.write_str("its writer is not trusted here"),
        }
    }
}

/// Why something in a policy does not keep a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// The newest of this unit is another one.
    Served {
        /// The unit.
        bucket: Bucket,
        /// The newest of it.
        by: BackupId,
    },
    /// There are so many newer units that have a backup.
    Beyond {
        /// The unit.
        bucket: Bucket,
        /// How many are kept.
        count: u32,
    },
    /// There are so many newer backups.
    NotLast(u32),
    /// It is not younger than the policy's `within`.
    Older(Span),
    /// Backups of its reason are kept so long, and it is older.
    OfReasonOlder(Reason, Span),
    /// The policy keeps nothing.
    NothingKept,
}

impl fmt::Display for Deleted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Served { bucket, by } => write!(f, "{bucket} is kept by {by}"),
            Self::Beyond { bucket, count } => {
                write!(f, "{bucket} is beyond the newest {}", units(bucket, *count))
            }
            Self::NotLast(count) => write!(f, "not of the last {count}"),
            Self::Older(span) => write!(f, "older than {span}"),
            Self::OfReasonOlder(reason, span) => write!(f, "{reason} kept {span}, it is older"),
            Self::NothingKept => f.write_str("the policy keeps none but the last"),
        }
    }
}

fn units(bucket: &Bucket, count: u32) -> String {
    let unit = match bucket.tier() {
        Tier::Hourly => "hour",
        Tier::Daily => "day",
        Tier::Weekly => "week",
        Tier::Monthly => "month",
        Tier::Yearly => "year",
    };
    match count {
        1 => unit.to_owned(),
        _ => format!("{count} {unit}s"),
    }
}
