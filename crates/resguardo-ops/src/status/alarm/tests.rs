//! Which facts of a source wake somebody, and which do not.

#![allow(clippy::unwrap_used, reason = "test")]

use std::collections::BTreeSet;

use resguardo_model::{ExceptionKind, Objectives};

use super::*;
use crate::status::facts::VerifyFact;
use crate::status::judge::judge;
use crate::status::made::*;

fn kinds(watched: &Watched, facts: &Facts, runs: &[RunRow]) -> Vec<ExceptionKind> {
    let status = judge(watched, facts, runs, 0, now());
    status.alarms.iter().map(What::kind).collect()
}

#[test]
fn what_is_as_it_has_to_be_wakes_nobody() {
    assert_eq!(kinds(&watched(), &good(), &[]), []);
    let mut facts = good();
    facts.backups = vec![backup(20 * HOUR)];
    assert_eq!(kinds(&watched(), &facts, &[]), []);
}

#[test]
fn a_source_that_is_new_wakes_nobody() {
    assert_eq!(kinds(&watched(), &Facts::default(), &[]), []);
    // One that had backups, and has none any more.
    let facts = Facts {
        backups: Vec::new(),
        ..good()
    };
    assert_eq!(kinds(&watched(), &facts, &[]), [ExceptionKind::RpoBreached]);
}

#[test]
fn a_drill_that_failed_or_could_not_be_made_is_one_alarm() {
    for verdict in [Verdict::Failed, Verdict::Error] {
        let nothing_promised = Watched {
            objectives: Objectives::default(),
            ..watched()
        };
        let mut facts = good();
        let newest = *facts.backups.last().unwrap();
        facts.drills.push(drill(60, newest, verdict));
        // Its run has failed as well.
        let mut run = run(Verb::Drill, RunState::Failed, 60);
        run.receipt = Some("shop/receipts/60.json".to_owned());
        assert_eq!(
            kinds(&nothing_promised, &facts, &[run]),
            [ExceptionKind::DrillFailed],
            "{verdict:?}"
        );
    }
}

#[test]
fn what_was_only_slow_is_an_alarm_about_the_rto() {
    let mut facts = good();
    let newest = *facts.backups.last().unwrap();
    facts.drills.push(crate::status::DrillFact {
        failed: vec!["RTO".to_owned()],
        rto_seconds: Some(5.0 * 3600.0),
        ..drill(60, newest, Verdict::Failed)
    });
    assert_eq!(kinds(&watched(), &facts, &[]), [ExceptionKind::RtoBreached]);
}

#[test]
fn runs_that_failed_are_alarms_until_they_are_made_good() {
    let failed =
        |verb, seconds| kinds(&watched(), &good(), &[run(verb, RunState::Failed, seconds)]);
    let is_alarm = [ExceptionKind::RunFailed];
    assert_eq!(failed(Verb::Backup, 60), is_alarm);
    // A backup of an hour ago made it good.
    assert_eq!(failed(Verb::Backup, 2 * HOUR), []);
    assert_eq!(failed(Verb::Prune, 60), is_alarm);
    assert_eq!(failed(Verb::Copy, 60), is_alarm);
    assert_eq!(failed(Verb::Verify, 60), is_alarm);
    // It had no receipt, so that no drill tells of it.
    assert_eq!(failed(Verb::Drill, 60), is_alarm);
    assert_eq!(failed(Verb::Drill, 2 * HOUR), []);
    // Whoever restores sees how it ends.
    assert_eq!(failed(Verb::Restore, 60), []);
    let died = [run(Verb::Backup, RunState::Died, 60)];
    assert_eq!(kinds(&watched(), &good(), &died), is_alarm);
    let stopped = [run(Verb::Backup, RunState::Interrupted, 60)];
    assert_eq!(kinds(&watched(), &good(), &stopped), []);
}

#[test]
fn what_is_tried_again_wakes_nobody_until_it_is_given_up() {
    let watched = |retried: &[(Verb, i64)]| Watched {
        retried: retried
            .iter()
            .map(|(verb, since)| (*verb, ago(*since)))
            .collect(),
        ..watched()
    };
    let of = |retried: &[(Verb, i64)], state| {
        let failed = run(Verb::Backup, state, 60);
        let status = judge(&watched(retried), &good(), &[failed], 0, now());
        let kinds: Vec<_> = status.alarms.iter().map(What::kind).collect();
        (kinds, status.undecided)
    };
    let is_alarm = (vec![ExceptionKind::RunFailed], vec![]);
    let is_open = (vec![], vec![Verb::Backup]);
    for state in [RunState::Failed, RunState::Died] {
        assert_eq!(of(&[(Verb::Backup, HOUR)], state), is_open);
        // Another thing is tried again, or it failed before that began.
        assert_eq!(of(&[(Verb::Drill, HOUR)], state), is_alarm);
        assert_eq!(of(&[(Verb::Backup, 30)], state), is_alarm);
        assert_eq!(of(&[], state), is_alarm);
    }
    // What runs, or waits for another run, has not made anything good.
    assert_eq!(of(&[], RunState::Running), is_open);
    assert_eq!(of(&[], RunState::Interrupted), is_open);
    assert_eq!(of(&[], RunState::Succeeded), (vec![], vec![]));
}

#[test]
fn of_several_runs_the_newest_is_told() {
    let runs = [
        run(Verb::Prune, RunState::Failed, 60),
        run(Verb::Copy, RunState::Failed, 30),
    ];
    let status = judge(&watched(), &good(), &runs, 0, now());
    let [What::RunFailed { verb, message, .. }] = &status.alarms[..] else {
        panic!("{:?}", status.alarms);
    };
    assert_eq!((*verb, message.as_str()), (Verb::Copy, "no route to host"));
}

#[test]
fn what_is_overdue_is_an_alarm_and_what_is_late_is_none() {
    let promised_nothing = |backup_due| Watched {
        objectives: Objectives::default(),
        backup: daily(backup_due),
        ..watched()
    };
    let of = |due: i64| {
        let mut facts = good();
        facts.backups = vec![backup(10 * DAY), backup(due + DAY)];
        kinds(&promised_nothing(due), &facts, &[])
    };
    assert_eq!(of(HOUR), []);
    assert_eq!(of(3 * HOUR), [ExceptionKind::BackupOverdue]);
}

fn verified(seconds_ago: i64, findings: u64, hit: Option<i64>) -> VerifyFact {
    VerifyFact {
        source: "shop".parse().unwrap(),
        run: run(Verb::Verify, RunState::Failed, seconds_ago).run,
        at: ago(seconds_ago),
        findings,
        message: "a pack is damaged".to_owned(),
        hit: hit.map(|seconds| backup(seconds).id).into_iter().collect(),
        depth: 3,
        whole_source: true,
    }
}

#[test]
fn what_a_verification_found_stands_until_one_as_deep_finds_nothing() {
    use crate::status::facts::standing_finding;

    let backups = [backup(HOUR)];
    let found = verified(2 * DAY, 1, Some(HOUR));
    let stands = |later: Vec<VerifyFact>, backups: &[_]| {
        let mut all = later;
        all.push(found.clone());
        standing_finding(all, backups)
    };
    assert_eq!(stands(Vec::new(), &backups), Some(found.clone()));
    assert_eq!(stands(vec![verified(DAY, 0, None)], &backups), None);
    let shallow = VerifyFact {
        depth: 0,
        ..verified(DAY, 0, None)
    };
    assert_eq!(stands(vec![shallow], &backups), Some(found.clone()));
    let of_one_backup = VerifyFact {
        whole_source: false,
        ..verified(DAY, 0, None)
    };
    assert_eq!(stands(vec![of_one_backup], &backups), Some(found.clone()));
    let before = verified(3 * DAY, 0, None);
    assert_eq!(stands(vec![before], &backups), Some(found.clone()));
    // What it hit is gone.
    assert_eq!(stands(Vec::new(), &[backup(60)]), None);
    let hits_nothing = VerifyFact {
        hit: BTreeSet::new(),
        ..found.clone()
    };
    assert_eq!(
        standing_finding(vec![hits_nothing.clone()], &[]),
        Some(hits_nothing)
    );
}

#[test]
fn what_is_wrong_in_the_vault_is_told_by_whoever_looked_deeper() {
    let facts = Facts {
        findings: vec!["a head is gone".to_owned()],
        ..good()
    };
    let status = judge(&watched(), &facts, &[], 0, now());
    let [What::VerifyFindings { run: None, .. }] = &status.alarms[..] else {
        panic!("{:?}", status.alarms);
    };
    let facts = Facts {
        verified: Some(verified(60, 2, None)),
        ..facts
    };
    let status = judge(&watched(), &facts, &[], 0, now());
    let [
        What::VerifyFindings {
            message, findings, ..
        },
    ] = &status.alarms[..]
    else {
        panic!("{:?}", status.alarms);
    };
    assert_eq!((*findings, message.as_str()), (2, "a pack is damaged"));
}
