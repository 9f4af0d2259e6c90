//! Each standing of a source, and each edge between two.

#![allow(clippy::unwrap_used, reason = "test")]

use jiff::ToSpan as _;
use proptest::prelude::*;
use resguardo_model::Objectives;

use super::*;
use crate::copy::Behind;
use crate::status::WatchedCopy;
use crate::status::made::*;

fn look(watched: &Watched, facts: &Facts, runs: &[RunRow]) -> SourceStatus {
    judge(watched, facts, runs, 0, now())
}

#[test]
fn young_and_proven_is_ok() {
    let status = look(&watched(), &good(), &[]);
    assert_eq!(status.standing, Standing::Ok);
    assert_eq!(status.concerns, []);
    assert_eq!(status.rpo.seconds, Some(3600.0));
    assert_eq!(status.rpo.target_seconds, Some(86_400));
    assert_eq!(status.rto.seconds, Some(3600.0));
    let proven = status.proven.unwrap();
    assert_eq!((proven.at, proven.backup), (ago(600), id(ago(HOUR))));
    assert_eq!(status.last_backup.unwrap().seconds, 600.0);
}

#[test]
fn without_backups_nothing_is_ok() {
    let status = look(&watched(), &Facts::default(), &[]);
    assert_eq!(status.standing, Standing::Breached);
    assert_eq!(
        status.concerns,
        [Concern::RpoPassed, Concern::NoBackup, Concern::NeverProven]
    );
    assert_eq!(status.rpo.seconds, None);
    assert_eq!(status.rto.standing, Standing::NeverProven);
    let nothing_promised = Watched {
        objectives: Objectives::default(),
        ..watched()
    };
    let status = look(&nothing_promised, &Facts::default(), &[]);
    assert_eq!(status.standing, Standing::NeverProven);
    assert_eq!(status.rpo.standing, Standing::NeverProven);
}

#[test]
fn backups_without_a_drill_are_never_proven() {
    let facts = Facts {
        drills: Vec::new(),
        ..good()
    };
    let status = look(&watched(), &facts, &[]);
    assert_eq!(status.standing, Standing::NeverProven);
    assert_eq!(status.rpo.standing, Standing::Ok);
    assert_eq!(status.rto.standing, Standing::NeverProven);
    assert_eq!(status.proven, None);
}

#[test]
fn never_proven_is_told_only_where_nothing_is_breached() {
    let facts = Facts {
        backups: vec![backup(3 * DAY)],
        ..Facts::default()
    };
    let status = look(&watched(), &facts, &[]);
    assert_eq!(status.standing, Standing::Breached);
    assert_eq!(status.concerns, [Concern::RpoPassed, Concern::NeverProven]);
}

#[test]
fn strangers_backups_are_counted_and_nothing_else() {
    let facts = Facts {
        untrusted: 3,
        ..Facts::default()
    };
    let status = look(&watched(), &facts, &[]);
    assert_eq!((status.backups, status.untrusted), (0, 3));
    assert_eq!(status.standing, Standing::Breached);
}

#[test]
fn a_backup_of_the_future_tells_no_age() {
    let mut facts = good();
    facts.backups.push(backup(-2 * DAY));
    let status = look(&watched(), &facts, &[]);
    assert_eq!(status.rpo.seconds, Some(3600.0));
    facts.backups = vec![backup(-2 * DAY)];
    let status = look(&watched(), &facts, &[]);
    assert_eq!(status.rpo.seconds, None);
    assert_eq!(status.standing, Standing::Breached);
    // Two clocks never agree to the second.
    facts.backups = vec![backup(-60)];
    let status = look(&watched(), &facts, &[]);
    assert_eq!(status.rpo.seconds, Some(0.0));
}

#[test]
fn a_drill_that_failed_after_one_that_passed_breaches() {
    let mut facts = good();
    let newest = *facts.backups.last().unwrap();
    facts.drills.push(drill(60, newest, Verdict::Failed));
    let status = look(&watched(), &facts, &[]);
    assert_eq!(status.standing, Standing::Breached);
    // What cannot be restored has no age: the backup before it has.
    assert_eq!(status.rpo.seconds, Some(90_000.0));
    assert_eq!(status.concerns, [Concern::RpoPassed, Concern::DrillFailed]);
    assert_eq!(status.proven.unwrap().at, ago(600));
    assert_eq!(status.last_drill.unwrap().verdict, Verdict::Failed);
}

#[test]
fn a_drill_that_could_not_be_carried_out_proves_nothing_and_breaches_nothing() {
    let mut facts = good();
    let newest = *facts.backups.last().unwrap();
    facts.drills.push(drill(60, newest, Verdict::Error));
    let status = look(&watched(), &facts, &[]);
    assert_eq!(status.standing, Standing::AtRisk);
    assert_eq!(status.concerns, [Concern::DrillError]);
    assert_eq!(status.rpo.seconds, Some(3600.0));
}

#[test]
fn a_drill_that_was_only_slow_brought_the_data_back() {
    let mut facts = good();
    let newest = *facts.backups.last().unwrap();
    facts.drills.push(DrillFact {
        failed: vec!["RTO".to_owned()],
        rto_seconds: Some(5.0 * 3600.0),
        ..drill(60, newest, Verdict::Failed)
    });
    let status = look(&watched(), &facts, &[]);
    assert_eq!(status.rpo.standing, Standing::Ok);
    assert_eq!(status.rto.standing, Standing::Breached);
    assert_eq!(status.rto.seconds, Some(18_000.0));
    assert_eq!(status.concerns, [Concern::RtoPassed]);
}

#[test]
fn what_was_proven_stays_proven_when_its_backup_is_pruned() {
    let mut facts = good();
    facts.drills = vec![drill(600, backup(90 * DAY), Verdict::Passed)];
    let status = look(&watched(), &facts, &[]);
    assert_eq!(status.standing, Standing::Ok);
    let proven = status.proven.unwrap();
    assert_eq!(proven.backup_taken_at, Some(ago(90 * DAY)));
}

#[test]
fn rto_is_judged_by_shares_of_its_target() {
    for (seconds, standing) in [
        (4.0 * 3600.0 * 0.8, Standing::Ok),
        (4.0 * 3600.0 * 0.8 + 1.0, Standing::AtRisk),
        (4.0 * 3600.0, Standing::AtRisk),
        (4.0 * 3600.0 + 0.5, Standing::Breached),
    ] {
        let mut facts = good();
        facts.drills[0].rto_seconds = Some(seconds);
        let status = look(&watched(), &facts, &[]);
        assert_eq!(status.rto.standing, standing, "{seconds}");
        assert_eq!(status.standing, standing, "{seconds}");
    }
}

#[test]
fn without_a_schedule_an_age_is_judged_by_shares_of_its_target() {
    for (age, standing) in [
        (19 * HOUR, Standing::Ok),
        (20 * HOUR, Standing::AtRisk),
        (DAY, Standing::AtRisk),
        (DAY + 1, Standing::Breached),
    ] {
        let mut facts = good();
        facts.backups = vec![backup(age)];
        let status = look(&watched(), &facts, &[]);
        assert_eq!(status.rpo.standing, standing, "{age}");
    }
}

#[test]
fn a_daily_backup_keeps_an_rpo_of_a_day_without_alarm() {
    // (age of the newest, last due, standing)
    for (age, last_due, standing) in [
        (20 * HOUR, 20 * HOUR, Standing::Ok),
        (DAY - 60, DAY - 60, Standing::Ok),
        // It is due, and being taken.
        (DAY + 600, 600, Standing::AtRisk),
        // It is overdue.
        (DAY + 3 * HOUR, 3 * HOUR, Standing::Breached),
    ] {
        let watched = Watched {
            backup: daily(last_due),
            ..watched()
        };
        let mut facts = good();
        facts.backups = vec![backup(10 * DAY), backup(age)];
        let status = look(&watched, &facts, &[]);
        assert_eq!(status.rpo.standing, standing, "{age}");
    }
    // A schedule that is too sparse for its promise.
    let sparse = Watched {
        backup: Some(Timing {
            last_due: Some(ago(20 * HOUR)),
            next: Some(ago(20 * HOUR - 7 * DAY)),
        }),
        ..watched()
    };
    let mut facts = good();
    facts.backups = vec![backup(20 * HOUR)];
    let status = look(&sparse, &facts, &[]);
    assert_eq!(status.rpo.standing, Standing::AtRisk);
}

#[test]
fn a_backup_that_is_due_is_late_and_then_overdue() {
    let of = |last_due: i64, runs: &[RunRow]| {
        let watched = Watched {
            objectives: Objectives::default(),
            backup: daily(last_due),
            ..watched()
        };
        let mut facts = good();
        facts.backups = vec![backup(10 * DAY), backup(last_due + DAY)];
        look(&watched, &facts, runs)
    };
    assert_eq!(of(HOUR, &[]).concerns, [Concern::BackupLate]);
    let overdue = of(3 * HOUR, &[]);
    assert_eq!(overdue.concerns, [Concern::BackupOverdue]);
    assert_eq!(overdue.overdue, [Verb::Backup]);
    assert_eq!(overdue.standing, Standing::Breached);
    // A long one is not late while it runs.
    let running = run(Verb::Backup, RunState::Running, 3 * HOUR);
    assert_eq!(of(3 * HOUR, &[running]).concerns, []);
    let before = run(Verb::Backup, RunState::Running, 4 * HOUR);
    assert_eq!(of(3 * HOUR, &[before]).overdue, [Verb::Backup]);
}

#[test]
fn what_was_due_before_the_first_backup_is_not_overdue() {
    let watched = Watched {
        backup: daily(5 * HOUR),
        drill: daily(5 * HOUR),
        ..watched()
    };
    let facts = Facts {
        backups: vec![backup(HOUR)],
        ..Facts::default()
    };
    let status = look(&watched, &facts, &[]);
    assert_eq!(status.concerns, [Concern::NeverProven]);
}

#[test]
fn a_drill_that_is_due_is_late_and_then_overdue() {
    for (last_due, concern) in [(DAY, Concern::DrillLate), (DAY + 60, Concern::DrillOverdue)] {
        let watched = Watched {
            drill: Some(Timing {
                last_due: Some(ago(last_due)),
                next: Some(ago(last_due - 30 * DAY)),
            }),
            ..watched()
        };
        let mut facts = good();
        facts.backups.insert(0, backup(90 * DAY));
        facts.drills = vec![drill(31 * DAY, facts.backups[0], Verdict::Passed)];
        let status = look(&watched, &facts, &[]);
        assert_eq!(status.concerns, [concern]);
    }
}

#[test]
fn a_backup_that_failed_puts_at_risk_and_near_the_target_breaches() {
    let failed = [run(Verb::Backup, RunState::Failed, 60)];
    let status = look(&watched(), &good(), &failed);
    assert_eq!(status.standing, Standing::AtRisk);
    assert_eq!(status.concerns, [Concern::BackupFailed]);
    let mut facts = good();
    facts.backups = vec![backup(20 * HOUR)];
    let status = look(&watched(), &facts, &failed);
    assert_eq!(status.standing, Standing::Breached);
    // One that was made good since is forgiven.
    let before = [run(Verb::Backup, RunState::Died, 2 * HOUR)];
    assert_eq!(look(&watched(), &good(), &before).concerns, []);
    let stopped = [run(Verb::Backup, RunState::Interrupted, 60)];
    assert_eq!(look(&watched(), &good(), &stopped).concerns, []);
}

#[test]
fn a_copy_that_is_behind_puts_at_risk() {
    let watched = Watched {
        copies: vec![
            WatchedCopy {
                name: "nas".to_owned(),
                place: "/nas".to_owned(),
            },
            WatchedCopy {
                name: "s3".to_owned(),
                place: "s3://b".to_owned(),
            },
        ],
        ..watched()
    };
    let mut facts = good();
    let behind = |backups, newest| Behind {
        source: "shop".parse().unwrap(),
        backups,
        of: 2,
        newest: Some(ago(newest)),
        synced_at: Some(ago(newest)),
    };
    facts.copies.insert("/nas".to_owned(), behind(0, HOUR));
    facts
        .copies
        .insert("s3://b".to_owned(), behind(1, DAY + HOUR));
    // It was taken an hour ago: it is on its way.
    let status = look(&watched, &facts, &[]);
    assert_eq!(status.concerns, []);
    let behind_by: Vec<_> = status.copies.iter().map(|copy| copy.behind).collect();
    assert_eq!(behind_by, [0, 1]);
    facts.copies.insert("s3://b".to_owned(), behind(2, 3 * DAY));
    let status = look(&watched, &facts, &[]);
    assert_eq!(status.standing, Standing::AtRisk);
    assert_eq!(status.concerns, [Concern::CopyBehind]);
    // The newest is there, and an older one is not.
    facts.copies.insert("s3://b".to_owned(), behind(1, HOUR));
    let status = look(&watched, &facts, &[]);
    assert_eq!(status.concerns, [Concern::CopyBehind]);
}

#[test]
fn what_is_wrong_in_the_vault_breaches() {
    let facts = Facts {
        findings: vec!["a head is gone".to_owned()],
        ..good()
    };
    let status = look(&watched(), &facts, &[]);
    assert_eq!(status.concerns, [Concern::Findings]);
    assert_eq!(status.standing, Standing::Breached);
}

#[test]
fn grace_is_a_quarter_of_the_period_within_bounds() {
    for (period, minutes) in [(900, 15), (4 * HOUR, 60), (DAY, 120), (30 * DAY, 120)] {
        let timing = Timing {
            last_due: Some(now()),
            next: Some(now() + period.seconds()),
        };
        assert_eq!(
            grace(timing, GRACE_BACKUP),
            SignedDuration::from_mins(minutes)
        );
    }
    let once = Timing {
        last_due: Some(now()),
        next: None,
    };
    assert_eq!(grace(once, GRACE_DRILL), SignedDuration::from_hours(24));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// While nothing else happens, time never makes a source stand better, and the standing is the
    /// worst of its concerns, or worse.
    #[test]
    fn nothing_gets_better_by_waiting(
        ages in proptest::collection::vec(-2 * DAY..40 * DAY, 0..6),
        drilled in proptest::collection::vec((0..6_usize, 0..3_usize, 0..40 * DAY), 0..4),
        hours in proptest::collection::vec(0..2000_i64, 1..12),
    ) {
        let mut backups: Vec<_> = ages.iter().map(|age| backup(*age)).filter(|one| one.taken_at <= now()).collect();
        backups.sort_by_key(|one| one.taken_at);
        let verdicts = [Verdict::Passed, Verdict::Failed, Verdict::Error];
        let mut drills: Vec<_> = drilled
            .iter()
            .filter_map(|(of, verdict, at)| Some(drill(*at, *backups.get(*of)?, verdicts[*verdict])))
            .collect();
        drills.sort_by_key(|one| one.at);
        let facts = Facts { backups, drills, ..Facts::default() };
        let mut hours = hours;
        hours.sort_unstable();
        let mut before = None;
        for hour in hours {
            let status = judge(&watched(), &facts, &[], 0, now() + hour.hours());
            let worst = status.concerns.iter().map(|one| one.standing()).max().unwrap_or_default();
            prop_assert!(status.standing >= worst);
            prop_assert_eq!(status.standing == Standing::Ok, status.concerns.is_empty());
            if let Some((standing, seconds)) = before {
                prop_assert!(status.standing >= standing);
                prop_assert!(status.rpo.seconds >= seconds);
            }
            before = Some((status.standing, status.rpo.seconds));
        }
    }
}
