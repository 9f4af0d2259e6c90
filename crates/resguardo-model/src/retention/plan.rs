//! From backups and a policy to a decision on each.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::bucket::{Bucket, Tier};
use super::why::{Deleted, Kept};
use super::{Candidate, Policy, SAFETY_KEPT};
use crate::duration::Span;
use crate::{BackupId, Reason};

/// What becomes of each backup of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// One for each backup, the oldest first.
    pub decisions: Vec<Decision>,
    /// The instant against which ages were measured; `None` if nothing grows old.
    pub reference: Option<Timestamp>,
}

/// What becomes of one backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The backup.
    pub id: BackupId,
    /// The instant whose data it holds.
    pub taken_at: Timestamp,
    /// Everything that keeps it. Empty: it goes.
    pub kept: Vec<Kept>,
    /// What the policy says, and does not keep it.
    pub not_kept: Vec<Deleted>,
}

impl Decision {
    /// Whether it stays.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        !self.kept.is_empty()
    }

    /// Every cause in one line: of keeping it, if it is kept, else of letting it go.
    #[must_use]
    pub fn why(&self) -> String {
        self.causes().join("; ")
    }

    /// Every cause: of keeping it, if it is kept, else of letting it go.
    #[must_use]
    pub fn causes(&self) -> Vec<String> {
        if self.is_kept() {
            self.kept.iter().map(ToString::to_string).collect()
        } else {
            self.not_kept.iter().map(ToString::to_string).collect()
        }
    }
}

impl Plan {
    /// The backups that stay.
    pub fn kept(&self) -> impl Iterator<Item = &Decision> {
        self.decisions.iter().filter(|decision| decision.is_kept())
    }

    /// The backups that go.
    pub fn deleted(&self) -> impl Iterator<Item = &Decision> {
        self.decisions.iter().filter(|decision| !decision.is_kept())
    }
}

/// The plan where no policy is set: everything stays.
#[must_use]
pub fn keep_everything(candidates: &[Candidate]) -> Plan {
    let decisions = in_order(candidates).into_iter().map(|one| Decision {
        id: one.id,
        taken_at: one.taken_at,
        kept: vec![Kept::NoPolicy],
        not_kept: Vec::new(),
    });
    Plan {
        decisions: decisions.collect(),
        reference: None,
    }
}

/// Decides on every backup of one source. `now` only tells which of them are of the future: those are
/// kept and serve nothing.
#[must_use]
pub fn plan(policy: &Policy, candidates: &[Candidate], now: Timestamp) -> Plan {
    let all = in_order(candidates);
    let ordinary: Vec<&Candidate> = all
        .iter()
        .copied()
        .filter(|one| one.is_ordinary() && one.taken_at <= now)
        .collect();
    let ground = Ground {
        policy,
        now,
        reference: ordinary.last().map(|newest| newest.taken_at),
        tiers: servants(policy, &ordinary),
        last: newest(&ordinary, policy.last.unwrap_or(0)),
        successful: newest(&ordinary, policy.keep_successful),
        proven: last_proven(&all, now),
    };
    Plan {
        decisions: all.iter().map(|one| ground.decide(one)).collect(),
        reference: ground.reference,
    }
}

fn in_order(candidates: &[Candidate]) -> Vec<&Candidate> {
    let mut all: Vec<&Candidate> = candidates.iter().collect();
    all.sort_by_key(|one| one.age_order());
    all
}

fn newest(ordinary: &[&Candidate], count: u32) -> BTreeSet<BackupId> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let ids = ordinary.iter().rev().take(count);
    ids.map(|one| one.id).collect()
}

/// The newest that was proven; and the newest that was proven and has not failed since, so that a good
/// one does not go because a newer one turned bad. A safety backup is one only where there is no other.
fn last_proven(all: &[&Candidate], now: Timestamp) -> BTreeSet<BackupId> {
    let mut chosen = BTreeSet::new();
    for sound in [false, true] {
        let fits = |one: &&&Candidate| {
            let good = one.proven && !(sound && one.failed_since);
            one.trusted && one.taken_at <= now && good
        };
        let past = || all.iter().rev().filter(fits);
        let ordinary = past().find(|one| one.is_ordinary());
        chosen.extend(ordinary.or_else(|| past().next()).map(|one| one.id));
    }
    chosen
}

/// A tier of the policy: the newest backup of each unit, and the first of the units that are kept.
struct Served {
    count: u32,
    newest: BTreeMap<Bucket, BackupId>,
    oldest_kept: Option<Bucket>,
}

fn servants(policy: &Policy, ordinary: &[&Candidate]) -> BTreeMap<Tier, Served> {
    let tiers = policy.tiers.iter().filter(|(_, count)| **count > 0);
    let served = tiers.map(|(tier, count)| {
        // The oldest come first, so that of each unit the newest is the last to be put in.
        let newest: BTreeMap<Bucket, BackupId> = ordinary
            .iter()
            .map(|one| (bucket(policy, *tier, one), one.id))
            .collect();
        let places = usize::try_from(*count).unwrap_or(usize::MAX);
        let oldest_kept = newest.keys().rev().take(places).next_back().copied();
        let served = Served {
            count: *count,
            newest,
            oldest_kept,
        };
        (*tier, served)
    });
    served.collect()
}

fn bucket(policy: &Policy, tier: Tier, one: &Candidate) -> Bucket {
    tier.bucket(&one.taken_at.to_zoned(policy.zone.clone()))
}

/// Everything that a decision rests on.
struct Ground<'a> {
    policy: &'a Policy,
    now: Timestamp,
    reference: Option<Timestamp>,
    tiers: BTreeMap<Tier, Served>,
    last: BTreeSet<BackupId>,
    successful: BTreeSet<BackupId>,
    proven: BTreeSet<BackupId>,
}

impl Ground<'_> {
    fn decide(&self, one: &Candidate) -> Decision {
        let mut kept = Vec::new();
        let mut not_kept = Vec::new();
        if !one.trusted {
            kept.push(Kept::Untrusted);
        } else if one.taken_at > self.now {
            kept.push(Kept::Future);
        } else {
            if one.is_ordinary() {
                self.ordinary(one, &mut kept, &mut not_kept);
            }
            self.by_age(one, &mut kept, &mut not_kept);
            if self.proven.contains(&one.id) {
                kept.push(Kept::LastProven);
            }
            if self.successful.contains(&one.id) {
                kept.push(Kept::Successful(self.policy.keep_successful));
            }
        }
        if let Some(pin) = &one.pin
            && pin.until.is_none_or(|until| self.pins(until))
        {
            kept.push(Kept::pinned(&pin.reason, pin.until, &self.policy.zone));
        }
        if kept.is_empty() && not_kept.is_empty() {
            not_kept.push(Deleted::NothingKept);
        }
        Decision {
            id: one.id,
            taken_at: one.taken_at,
            kept,
            not_kept,
        }
    }

    /// Pins end as everything grows old: by the backups that followed.
    fn pins(&self, until: Timestamp) -> bool {
        self.reference.is_none_or(|reference| reference < until)
    }

    fn ordinary(&self, one: &Candidate, kept: &mut Vec<Kept>, not_kept: &mut Vec<Deleted>) {
        for (tier, served) in &self.tiers {
            let bucket = bucket(self.policy, *tier, one);
            if served.oldest_kept.is_some_and(|oldest| bucket < oldest) {
                not_kept.push(Deleted::Beyond {
                    bucket,
                    count: served.count,
                });
                continue;
            }
            match served.newest.get(&bucket) {
                Some(by) if *by != one.id => not_kept.push(Deleted::Served { bucket, by: *by }),
                _ => kept.push(Kept::Serves(bucket)),
            }
        }
        match self.policy.last {
            Some(count) if self.last.contains(&one.id) => kept.push(Kept::Last(count)),
            Some(count) if count > 0 => not_kept.push(Deleted::NotLast(count)),
            _ => {}
        }
    }

    fn by_age(&self, one: &Candidate, kept: &mut Vec<Kept>, not_kept: &mut Vec<Deleted>) {
        if let Some(within) = self.policy.within {
            if self.is_younger(one, within) {
                kept.push(Kept::Within(within));
            } else {
                not_kept.push(Deleted::Older(within));
            }
        }
        let said = self.policy.by_reason.get(&one.reason).copied();
        let is_safety = one.reason == Reason::safety();
        // What is said of everything holds for safety backups as well; only silence has a default.
        let default = (is_safety && self.policy.within.is_none()).then_some(SAFETY_KEPT);
        if let Some(span) = said.or(default) {
            let reason = one.reason.clone();
            if self.is_younger(one, span) {
                kept.push(Kept::OfReason(reason, span));
            } else {
                not_kept.push(Deleted::OfReasonOlder(reason, span));
            }
        }
    }

    fn is_younger(&self, one: &Candidate, span: Span) -> bool {
        let Some(reference) = self.reference else {
            return true;
        };
        let age = reference.duration_since(one.taken_at);
        // What is newer than the newest ordinary backup has no age yet.
        let seconds = u64::try_from(age.as_secs()).unwrap_or(0);
        age.is_negative() || seconds < span.seconds()
    }
}
