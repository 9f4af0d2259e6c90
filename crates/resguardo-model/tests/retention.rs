//! Retention against a model that is written as its definition, over years of random schedules; and the
//! policies of five real runbooks.

#![allow(
    clippy::unwrap_used,
    reason = "test: a failure here is the failure of the test"
)]

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use resguardo_model::duration::Span;
use resguardo_model::retention::{Candidate, Pinned, Policy, SAFETY_KEPT, Tier, plan};
use resguardo_model::{BackupId, Reason};

/// Zones with no, whole, half and odd offsets; one whose day is set back after it began; one that skipped
/// a day; one whose clocks change at midnight.
const ZONES: [&str; 8] = [
    "UTC",
    "America/Bogota",
    "Europe/Madrid",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Pacific/Apia",
    "America/Sao_Paulo",
];
const REASONS: [&str; 4] = ["daily", "manual", "pre-migration", "safety"];
const DAY: i64 = 86_400;

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

fn backup(number: u64, taken_at: Timestamp) -> Candidate {
    Candidate {
        id: BackupId(u128::from(number).into()),
        taken_at,
        sequence: number,
        reason: "daily".parse().unwrap(),
        trusted: true,
        proven: false,
        failed_since: false,
        pin: None,
    }
}

fn kept(policy: &Policy, backups: &[Candidate], now: Timestamp) -> BTreeSet<BackupId> {
    let plan = plan(policy, backups, now);
    assert_eq!(plan.decisions.len(), backups.len());
    for decision in &plan.decisions {
        assert!(!decision.why().is_empty(), "{decision:?}");
    }
    plan.kept().map(|decision| decision.id).collect()
}

// ---- the definition -------------------------------------------------------------------------------

/// What the plan must say of one backup, by counting instead of by sorting.
struct Definition<'a> {
    policy: &'a Policy,
    all: &'a [Candidate],
    now: Timestamp,
    /// Of each backup that counts: itself and the names of its units.
    counting: Vec<(&'a Candidate, BTreeMap<Tier, Unit>)>,
}

/// Sorts by time. The offset tells a repeated hour apart, and the later one has the smaller.
type Unit = (String, i32);

fn units(at: Timestamp, zone: &TimeZone) -> BTreeMap<Tier, Unit> {
    let at = at.to_zoned(zone.clone());
    let named = |tier, format: &str| (tier, (at.strftime(format).to_string(), 0));
    let hour = at.strftime("%Y-%m-%d %H").to_string();
    BTreeMap::from([
        (Tier::Hourly, (hour, -at.offset().seconds())),
        named(Tier::Daily, "%Y-%m-%d"),
        named(Tier::Weekly, "%G-%V"),
        named(Tier::Monthly, "%Y-%m"),
        named(Tier::Yearly, "%Y"),
    ])
}

impl<'a> Definition<'a> {
    fn new(policy: &'a Policy, all: &'a [Candidate], now: Timestamp) -> Self {
        let counting = all
            .iter()
            .filter(|one| one.trusted && one.taken_at <= now && one.reason.as_str() != "safety")
            .map(|one| (one, units(one.taken_at, &policy.zone)))
            .collect();
        Self {
            policy,
            all,
            now,
            counting,
        }
    }

    fn is_newer(one: &Candidate, other: &Candidate) -> bool {
        (one.taken_at, one.sequence) > (other.taken_at, other.sequence)
    }

    fn newer_than(&self, one: &Candidate) -> usize {
        let newer = |(other, _): &&(&Candidate, _)| Self::is_newer(other, one);
        self.counting.iter().filter(newer).count()
    }

    fn has_grown(&self, one: &Candidate, span: Span) -> bool {
        let span = i128::from(span.seconds()) * 1_000_000_000;
        self.counting.iter().any(|(other, _)| {
            let age = other.taken_at.as_nanosecond() - one.taken_at.as_nanosecond();
            age >= span && age >= 0
        })
    }

    fn serves(&self, one: &Candidate) -> bool {
        let own = units(one.taken_at, &self.policy.zone);
        self.policy.tiers.iter().any(|(tier, count)| {
            let unit = &own[tier];
            let rival = self
                .counting
                .iter()
                .any(|(other, units)| units[tier] == *unit && Self::is_newer(other, one));
            let later: BTreeSet<&Unit> = self
                .counting
                .iter()
                .map(|(_, units)| &units[tier])
                .filter(|other| *other > unit)
                .collect();
            !rival && later.len() < *count as usize
        })
    }

    fn is_last_proven(&self, one: &Candidate) -> bool {
        let safety = |one: &Candidate| one.reason.as_str() == "safety";
        [false, true].into_iter().any(|sound| {
            let fits = |one: &Candidate| {
                let good = one.proven && !(sound && one.failed_since);
                one.trusted && one.taken_at <= self.now && good
            };
            let better = |other: &Candidate| {
                fits(other)
                    && (safety(one), safety(other)) != (false, true)
                    && ((safety(one) && !safety(other)) || Self::is_newer(other, one))
            };
            fits(one) && !self.all.iter().any(better)
        })
    }

    fn keeps(&self, one: &Candidate) -> bool {
        let policy = self.policy;
        if !one.trusted || one.taken_at > self.now {
            return true;
        }
        let pinned = one.pin.as_ref().is_some_and(|pin| {
            let over = |until| {
                self.counting
                    .iter()
                    .any(|(other, _)| other.taken_at >= until)
            };
            !pin.until.is_some_and(over)
        });
        let span = policy.by_reason.get(&one.reason).copied();
        let (ordinary, span) = match one.reason.as_str() {
            "safety" if policy.within.is_none() => (false, span.or(Some(SAFETY_KEPT))),
            "safety" => (false, span),
            _ => (true, span),
        };
        let newer = self.newer_than(one);
        let most = policy.keep_successful.max(policy.last.unwrap_or(0)) as usize;
        pinned
            || self.is_last_proven(one)
            || ordinary && (newer < most || self.serves(one))
            || span.is_some_and(|span| !self.has_grown(one, span))
            || policy.within.is_some_and(|span| !self.has_grown(one, span))
    }
}

// ---- random years ---------------------------------------------------------------------------------

fn instants() -> impl Strategy<Value = Timestamp> {
    // From 2006, when St. John's still changed its clocks a minute past midnight, to 2031.
    (1_136_000_000_i64..1_930_000_000).prop_map(|second| Timestamp::from_second(second).unwrap())
}

fn policies() -> impl Strategy<Value = Policy> {
    let spans = || (0_u64..800).prop_map(|hours| Span::from_seconds(hours * 3_600));
    (
        option::of(0_u32..10),
        proptest::collection::btree_map(proptest::sample::select(&Tier::ALL[..]), 0_u32..20, 0..=5),
        option::weighted(0.2, spans()),
        proptest::collection::btree_map(proptest::sample::select(&REASONS[..]), spans(), 0..=2),
        1_u32..4,
        proptest::sample::select(&ZONES[..]),
    )
        .prop_map(
            |(last, tiers, within, by_reason, keep_successful, name)| Policy {
                last,
                tiers,
                within,
                by_reason: by_reason
                    .into_iter()
                    .map(|(reason, span)| (reason.parse().unwrap(), span))
                    .collect(),
                keep_successful,
                zone: zone(name),
            },
        )
}

/// What there is to know of a backup but its time: reason, trust, proven, failed, pinned until day.
type Traits = (&'static str, bool, bool, bool, Option<Option<i64>>);

fn traits() -> impl Strategy<Value = Traits> {
    (
        proptest::sample::select(&REASONS[..]),
        proptest::bool::weighted(0.95),
        proptest::bool::weighted(0.1),
        proptest::bool::weighted(0.3),
        option::weighted(0.05, option::of(0_i64..400)),
    )
}

/// Seconds to the next backup: minutes, a day more or less, weeks; or none at all.
fn gaps() -> impl Strategy<Value = i64> {
    prop_oneof![
        1 => Just(0),
        3 => 60_i64..20_000,
        6 => (DAY - 7_200)..(DAY + 7_200),
        1 => DAY..40 * DAY,
    ]
}

fn schedule(start: Timestamp, steps: &[(i64, Traits)]) -> Vec<Candidate> {
    let mut at = start;
    let backups = steps.iter().zip(1..).map(|((gap, traits), number)| {
        at += SignedDuration::from_secs(*gap);
        let (reason, trusted, proven, failed_since, pin) = *traits;
        Candidate {
            reason: reason.parse().unwrap(),
            trusted,
            proven: proven && trusted,
            failed_since,
            pin: pin.map(|days| Pinned {
                reason: "contract".to_owned(),
                until: days.map(|days| start + SignedDuration::from_secs(days * DAY)),
            }),
            ..backup(number, at)
        }
    });
    backups.collect()
}

/// Backups in order, one after the other.
fn orderly() -> impl Strategy<Value = Vec<Candidate>> {
    (instants(), vec((gaps(), traits()), 0..160)).prop_map(|(start, steps)| schedule(start, &steps))
}

/// Backups by clocks that were set forward and back.
fn disorderly() -> impl Strategy<Value = Vec<Candidate>> {
    let steps = prop_oneof![8 => gaps(), 1 => -90 * DAY..0, 1 => -7_200_i64..0];
    (instants(), vec((steps, traits()), 0..160)).prop_map(|(start, steps)| schedule(start, &steps))
}

fn newest_of(backups: &[Candidate]) -> Timestamp {
    let times = backups.iter().map(|one| one.taken_at);
    times.max().unwrap_or(Timestamp::UNIX_EPOCH)
}

proptest! {
    /// `before` puts the clock among the backups: some of them are of the future then.
    #[test]
    fn agrees_with_its_definition(
        policy in policies(),
        backups in disorderly(),
        before in -400_i64..60,
    ) {
        let now = newest_of(&backups) + SignedDuration::from_secs(before * DAY);
        let definition = Definition::new(&policy, &backups, now);
        let kept = kept(&policy, &backups, now);
        for one in &backups {
            prop_assert_eq!(kept.contains(&one.id), definition.keeps(one), "{:?}", one);
        }
    }

    #[test]
    fn the_floor_stands(policy in policies(), backups in disorderly(), after in 0_i64..4_000) {
        let now = newest_of(&backups) + SignedDuration::from_secs(after * DAY);
        let kept = kept(&policy, &backups, now);
        let mut ordinary: Vec<_> = backups
            .iter()
            .filter(|one| one.trusted && one.reason != Reason::safety())
            .collect();
        ordinary.sort_by_key(|one| (one.taken_at, one.sequence));
        for one in ordinary.iter().rev().take(policy.keep_successful as usize) {
            prop_assert!(kept.contains(&one.id));
        }
        if let Some(proven) = ordinary.iter().rev().find(|one| one.proven) {
            prop_assert!(kept.contains(&proven.id));
        }
        if let Some(sound) = ordinary.iter().rev().find(|one| one.proven && !one.failed_since) {
            prop_assert!(kept.contains(&sound.id));
        }
        let forever = |one: &&Candidate| one.pin.as_ref().is_some_and(|pin| pin.until.is_none());
        for one in backups.iter().filter(|one| !one.trusted || forever(one)) {
            prop_assert!(kept.contains(&one.id));
        }
    }

    /// A second prune at the same moment finds nothing to do.
    #[test]
    fn what_was_kept_stays(policy in policies(), backups in disorderly(), before in -400_i64..60) {
        let now = newest_of(&backups) + SignedDuration::from_secs(before * DAY);
        let first = kept(&policy, &backups, now);
        let left: Vec<_> = backups.into_iter().filter(|one| first.contains(&one.id)).collect();
        prop_assert_eq!(kept(&policy, &left, now), first);
    }

    #[test]
    fn waiting_deletes_nothing(policy in policies(), backups in disorderly(), days in 0_i64..10_000) {
        let now = newest_of(&backups);
        let later = now + SignedDuration::from_secs(days * DAY);
        prop_assert_eq!(kept(&policy, &backups, now), kept(&policy, &backups, later));
    }

    /// No backup goes today that would be wanted tomorrow.
    #[test]
    fn often_or_once(policy in policies(), backups in orderly()) {
        let mut left: Vec<Candidate> = Vec::new();
        for one in &backups {
            left.push(one.clone());
            let stay = kept(&policy, &left, one.taken_at);
            left.retain(|one| stay.contains(&one.id));
        }
        let often: BTreeSet<_> = left.iter().map(|one| one.id).collect();
        prop_assert_eq!(often, kept(&policy, &backups, newest_of(&backups)));
    }

    #[test]
    fn a_wider_policy_keeps_no_less(
        policy in policies(),
        backups in disorderly(),
        tier in proptest::sample::select(&Tier::ALL[..]),
        more in 1_u32..10,
    ) {
        let now = newest_of(&backups);
        let count = policy.tiers.get(&tier).copied().unwrap_or(0);
        let wider = policy.clone().with(tier, count + more);
        prop_assert!(kept(&policy, &backups, now).is_subset(&kept(&wider, &backups, now)));
    }
}

// ---- the runbooks ---------------------------------------------------------------------------------

/// A backup a day at 2:00 in Bogotá, and before each first of a month one before a migration at 15:00.
fn two_years(first: &str) -> Vec<Candidate> {
    let bogota = zone("America/Bogota");
    let mut day: jiff::civil::Date = first.parse().unwrap();
    let end: jiff::civil::Date = "2026-11-22".parse().unwrap();
    let mut backups = Vec::new();
    while day <= end {
        let at = |hour| {
            day.at(hour, 0, 0, 0)
                .to_zoned(bogota.clone())
                .unwrap()
                .timestamp()
        };
        let number = |backups: &Vec<Candidate>| backups.len() as u64 + 1;
        backups.push(backup(number(&backups), at(2)));
        if day.day() == day.days_in_month() {
            backups.push(Candidate {
                reason: "pre-migration".parse().unwrap(),
                ..backup(number(&backups), at(15))
            });
        }
        day = day.tomorrow().unwrap();
    }
    backups
}

/// Days, and before which reason, that a policy leaves of two years.
fn left_of(policy: &Policy, backups: &[Candidate]) -> Vec<String> {
    let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
    let plan = plan(policy, backups, now);
    let mut left: Vec<String> = plan
        .kept()
        .map(|decision| decision.taken_at.to_zoned(zone("America/Bogota")))
        .map(|at| at.strftime("%Y-%m-%d %Hh").to_string())
        .collect();
    left.reverse();
    left
}

fn bogota() -> Policy {
    Policy::floor(zone("America/Bogota"))
}

#[test]
fn fourteen_days_eight_weeks_twelve_months() {
    let policy = bogota()
        .with(Tier::Daily, 14)
        .with(Tier::Weekly, 8)
        .with(Tier::Monthly, 12);
    let left = left_of(&policy, &two_years("2024-11-23"));
    assert_eq!(
        left,
        [
            "2026-11-22 02h",
            "2026-11-21 02h",
            "2026-11-20 02h",
            "2026-11-19 02h",
            "2026-11-18 02h",
            "2026-11-17 02h",
            "2026-11-16 02h",
            "2026-11-15 02h",
            "2026-11-14 02h",
            "2026-11-13 02h",
            "2026-11-12 02h",
            "2026-11-11 02h",
            "2026-11-10 02h",
            "2026-11-09 02h", // 14 days; two of them are Sundays
            "2026-11-08 02h",
            "2026-11-01 02h", // 6 more Sundays
            "2026-10-31 15h", // October
            "2026-10-25 02h",
            "2026-10-18 02h",
            "2026-10-11 02h",
            "2026-10-04 02h",
            "2026-09-30 15h",
            "2026-08-31 15h",
            "2026-07-31 15h",
            "2026-06-30 15h",
            "2026-05-31 15h",
            "2026-04-30 15h",
            "2026-03-31 15h",
            "2026-02-28 15h",
            "2026-01-31 15h",
            "2025-12-31 15h",
        ]
    );
}

#[test]
fn seven_snapshots_and_two_months() {
    let policy = Policy {
        last: Some(7),
        ..bogota().with(Tier::Monthly, 2)
    };
    let left = left_of(&policy, &two_years("2024-11-23"));
    assert_eq!(left.len(), 8);
    assert_eq!(left[6..], ["2026-11-16 02h", "2026-10-31 15h"]);
}

#[test]
fn thirty_days_and_ninety_before_a_migration() {
    let policy = Policy {
        within: Some("30d".parse().unwrap()),
        by_reason: BTreeMap::from([("pre-migration".parse().unwrap(), "90d".parse().unwrap())]),
        ..bogota()
    };
    let left = left_of(&policy, &two_years("2024-11-23"));
    assert_eq!(left.len(), 30 + 1 + 2, "{left:?}");
    assert_eq!(
        left[29..],
        [
            "2026-10-25 02h",
            "2026-10-24 02h",
            "2026-09-30 15h",
            "2026-08-31 15h"
        ][..]
    );
}

#[test]
fn thirty_five_days_and_twelve_months() {
    let policy = bogota().with(Tier::Daily, 35).with(Tier::Monthly, 12);
    let left = left_of(&policy, &two_years("2024-11-23"));
    // October's is one of the 35 days.
    assert_eq!(left.len(), 35 + 10, "{left:?}");
    assert_eq!(left[34..36], ["2026-10-19 02h", "2026-09-30 15h"]);
    assert_eq!(left[44], "2025-12-31 15h");
}

#[test]
fn nothing_but_the_floor() {
    let mut backups = two_years("2024-11-23");
    backups[100].proven = true;
    assert!(bogota().keeps_only_the_floor());
    let left = left_of(&bogota(), &backups);
    assert_eq!(left.len(), 3);
    assert_eq!(left[..2], ["2026-11-22 02h", "2026-11-21 02h"]);
}

#[test]
fn every_cause_is_told() {
    let mut backups = two_years("2026-10-01");
    let count = backups.len();
    backups[3].pin = Some(Pinned {
        reason: "contract 7".to_owned(),
        until: Some("2027-01-02T05:00:00Z".parse().unwrap()),
    });
    backups[5].proven = true;
    backups[7].trusted = false;
    backups.push(backup(99, "2031-01-01T00:00:00Z".parse().unwrap()));
    let policy = bogota().with(Tier::Daily, 2).with(Tier::Monthly, 2);
    let plan = plan(&policy, &backups, "2026-11-22T12:00:00Z".parse().unwrap());
    let why: Vec<String> = plan
        .decisions
        .iter()
        .map(|decision| decision.why())
        .collect();
    let newest = backups[count - 1].id;
    assert_eq!(why[count], "taken at a time that is still to come");
    assert_eq!(
        why[count - 1],
        "daily 2026-11-22; monthly 2026-11; one of the last 2 backups"
    );
    assert_eq!(
        why[count - 2],
        "daily 2026-11-21; one of the last 2 backups"
    );
    assert_eq!(
        why[count - 3],
        format!(
            "daily 2026-11-20 is beyond the newest 2 days; monthly 2026-11 is kept by {newest}"
        )
    );
    assert_eq!(why[3], "pinned until 2027-01-01: contract 7");
    assert_eq!(why[5], "the last proven backup");
    assert_eq!(why[7], "its writer is not trusted here");
}
