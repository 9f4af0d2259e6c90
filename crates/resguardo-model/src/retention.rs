//! Retention: which of a source's backups are kept, which may go, and every reason for it.
//!
//! Pure: what there is, and a policy, become a [`Plan`]. Nothing here deletes.
//!
//! - Only backups that stand are known here. A run that failed left none, so that it neither counts nor
//!   pushes a good backup out.
//! - A backup counts for each tier that it serves. Of each calendar unit (hour, day, ISO week, month,
//!   year of the policy's zone) that has a backup, the newest serves; `daily = 14` means the newest 14
//!   days that have one.
//! - Ages are measured against the newest backup that is not of the future, never against the clock
//!   alone: while no backup is taken, or if the clock ran ahead, nothing grows old.
//!
//! INVARIANT: the last proven backup and the last `keep_successful` ones are kept, whatever the policy
//! says (`tests/retention.rs`, `the_floor_stands`).
//! INVARIANT: time that passes without a backup deletes nothing (`waiting_deletes_nothing`).
//! INVARIANT: pruning often leaves the same as pruning once (`often_or_once`).

mod bucket;
mod plan;
mod why;

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;

pub use bucket::{Bucket, Tier};
pub use plan::{Decision, Plan, keep_everything, plan};
pub use why::{Deleted, Kept};

use crate::duration::Span;
use crate::{BackupId, Reason};

/// How many of the newest backups are never deleted, unless a policy says otherwise.
pub const KEEP_SUCCESSFUL: u32 = 2;
/// How long safety backups are kept, unless a policy says otherwise.
pub const SAFETY_KEPT: Span = Span::from_seconds(30 * 86_400);

/// What is kept of one source.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// So many of the newest.
    pub last: Option<u32>,
    /// The newest of each of so many units; none and 0 are the same.
    pub tiers: BTreeMap<Tier, u32>,
    /// Everything that is younger.
    pub within: Option<Span>,
    /// Backups of these reasons while they are younger.
    pub by_reason: BTreeMap<Reason, Span>,
    /// So many of the newest are never deleted, whatever else is said.
    pub keep_successful: u32,
    /// Where hours, days, weeks, months and years begin.
    pub zone: TimeZone,
}

impl Policy {
    /// A policy that keeps nothing but what is never deleted.
    #[must_use]
    pub fn floor(zone: TimeZone) -> Self {
        Self {
            last: None,
            tiers: BTreeMap::new(),
            within: None,
            by_reason: BTreeMap::new(),
            keep_successful: KEEP_SUCCESSFUL,
            zone,
        }
    }

    /// With so many units of a tier.
    #[must_use]
    pub fn with(mut self, tier: Tier, count: u32) -> Self {
        self.tiers.insert(tier, count);
        self
    }

    /// Whether an ordinary backup is kept for no other cause than being among the newest
    /// `keep_successful`, or the last proven one.
    #[must_use]
    pub fn keeps_only_the_floor(&self) -> bool {
        let counts = self.tiers.values().chain(&self.last);
        counts.copied().all(|count| count == 0)
            && self.within.is_none_or(|within| within.seconds() == 0)
    }
}

impl fmt::Display for Policy {
    /// `daily 14, weekly 8, pre-migration 90d`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.last.iter().map(|count| format!("last {count}"));
        let tiers = self.tiers.iter().filter(|(_, count)| **count > 0);
        let tiers = tiers.map(|(tier, count)| format!("{tier} {count}"));
        let within = self.within.iter().map(|within| format!("within {within}"));
        let reasons = self.by_reason.iter();
        let reasons = reasons.map(|(reason, span)| format!("{reason} {span}"));
        let all: Vec<String> = last.chain(tiers).chain(within).chain(reasons).collect();
        if all.is_empty() {
            return f.write_str("minimum");
        }
        f.write_str(&all.join(", "))
    }
}

/// A backup that stands: its head is there, and its signature is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its id.
    pub id: BackupId,
    /// The instant whose data it holds.
    pub taken_at: Timestamp,
    /// Its number in the source's chain; tells which is newer of two of the same instant.
    pub sequence: u64,
    /// Why it was taken.
    pub reason: Reason,
    /// Whether its writer is trusted here. One of a stranger is left alone, and counts for nothing.
    pub trusted: bool,
    /// Whether a drill of it passed.
    pub proven: bool,
    /// Whether its last drill found it wanting.
    pub failed_since: bool,
    /// Somebody asked that it be kept.
    pub pin: Option<Pinned>,
}

/// Somebody asked that a backup be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// Why.
    pub reason: String,
    /// The first instant at which it holds no more; `None`: for ever.
    pub until: Option<Timestamp>,
}

impl Candidate {
    /// Whether it is one of the ordinary backups, which tiers and the floor are about.
    fn is_ordinary(&self) -> bool {
        self.trusted && self.reason != Reason::safety()
    }

    /// The order in which backups follow one another.
    fn age_order(&self) -> (Timestamp, u64, BackupId) {
        (self.taken_at, self.sequence, self.id)
    }
}
