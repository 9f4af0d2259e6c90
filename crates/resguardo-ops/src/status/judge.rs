//! What the facts of a source mean. Pure: it is told the time.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use resguardo_model::receipt::Verb;
use resguardo_model::{BackupId, Concern, Measure, Standing, Verdict};

use super::{
    BackupFact, CopyStanding, DrillFact, Facts, LastBackup, LastDrill, Proven, SourceStatus,
    Timing, Watched, alarm, forecast,
};
use crate::catalog::{RunRow, RunState};

/// How far the clock of whoever took a backup may be ahead of ours.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_mins(5);
/// From this share of a target on it is about to be passed.
const NEAR: f64 = 0.8;
/// Of what is due, how late it may be: a quarter of the time until it is due again, within these.
const GRACE_BACKUP: (i64, i64) = (15, 2 * 60);
const GRACE_DRILL: (i64, i64) = (60, 24 * 60);
/// How long it may take to send a backup to the copies.
const GRACE_COPY: SignedDuration = SignedDuration::from_hours(6);

/// How a source stands.
pub(crate) fn judge(
    watched: &Watched,
    facts: &Facts,
    runs: &[RunRow],
    open: u64,
    now: Timestamp,
) -> SourceStatus {
    let mut concerns = Vec::new();
    let run_of = |verb| runs.iter().find(|run| run.verb == verb);
    let newest = restorable(facts, now);
    let timing = watched.backup.unwrap_or_default();
    let late = backup_lateness(facts, run_of(Verb::Backup), timing, now);
    concerns.extend(late);
    let rpo = rpo(watched, newest, late, now, &mut concerns);
    let backup_failed = run_of(Verb::Backup).is_some_and(|run| {
        has_failed(run)
            && facts
                .backups
                .iter()
                .all(|one| one.finished_at < run.started_at)
    });
    concerns.extend(backup_failed.then_some(Concern::BackupFailed));
    let rto = rto(watched, facts, &mut concerns);
    let forecast = rto
        .target_seconds
        .and_then(|target| forecast::of(&facts.drills, target, now));
    let is_soon =
        forecast.is_some_and(|forecast| forecast.crosses_at.duration_since(now) <= forecast::SOON);
    if is_soon && rto.standing == Standing::Ok {
        concerns.push(Concern::RtoForecast);
    }
    let proven = facts
        .drills
        .iter()
        .rfind(|one| one.verdict == Verdict::Passed);
    drills(watched, facts, run_of(Verb::Drill), now, &mut concerns);
    let copies = copies(watched, facts, now);
    if copies.iter().any(|copy| copy.is_late) {
        concerns.push(Concern::CopyBehind);
    }
    if !facts.findings.is_empty() || facts.verified.is_some() {
        concerns.push(Concern::Findings);
    }
    let standing = standing(&concerns, rpo, backup_failed);
    concerns.sort_by_key(|concern| (std::cmp::Reverse(concern.standing()), *concern));
    let status = SourceStatus {
        source: watched.source.clone(),
        engine: watched.engine,
        environment: watched.environment.clone(),
        standing,
        rpo,
        restorable_at: newest.map(|backup| backup.taken_at),
        rto,
        proven: proven.map(as_proven),
        last_drill: facts.drills.last().map(as_last_drill),
        last_backup: facts.backups.last().map(as_last_backup),
        last_run: runs
            .iter()
            .max_by_key(|run| (run.started_at, run.run))
            .cloned(),
        backups: facts.backups.len() as u64,
        untrusted: facts.untrusted,
        raw_bytes: facts.backups.last().map_or(0, |one| one.raw_bytes),
        stored_bytes: facts.stored_bytes,
        copies,
        next_backup: timing.next,
        next_drill: watched.drill.and_then(|timing| timing.next),
        overdue: overdue(&concerns),
        exceptions: open,
        forecast,
        alarms: Vec::new(),
        undecided: alarm::undecided(watched, runs),
        concerns,
    };
    let alarms = alarm::alarms(watched, facts, runs, &status);
    SourceStatus { alarms, ..status }
}

fn standing(concerns: &[Concern], rpo: Measure, backup_failed: bool) -> Standing {
    let worst = concerns.iter().map(|concern| concern.standing()).max();
    // It was to be made good by a backup, and that one failed.
    if backup_failed && share(rpo).is_some_and(|share| share > NEAR) {
        return Standing::Breached;
    }
    worst.unwrap_or_default()
}

fn overdue(concerns: &[Concern]) -> Vec<Verb> {
    let mut verbs = Vec::new();
    if concerns.contains(&Concern::BackupOverdue) {
        verbs.push(Verb::Backup);
    }
    if concerns.contains(&Concern::DrillOverdue) {
        verbs.push(Verb::Drill);
    }
    verbs
}

/// Of what was promised, the share that is used up.
fn share(measure: Measure) -> Option<f64> {
    let (seconds, target) = (measure.seconds?, measure.target_seconds?);
    Some(seconds / as_seconds(target))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "targets are far below 2^52 seconds"
)]
fn as_seconds(target: u64) -> f64 {
    target as f64
}

fn has_failed(run: &RunRow) -> bool {
    matches!(run.state, RunState::Failed | RunState::Died)
}

/// The newest backup that could be restored, as far as anybody knows.
pub(super) fn restorable(facts: &Facts, now: Timestamp) -> Option<&BackupFact> {
    let mut last: BTreeMap<BackupId, &DrillFact> = BTreeMap::new();
    for drill in &facts.drills {
        last.insert(drill.backup, drill);
    }
    let is_bad = |backup: &BackupFact| {
        let drill = last.get(&backup.id);
        drill.is_some_and(|drill| drill.verdict == Verdict::Failed && !drill.came_back())
    };
    let is_future = |backup: &BackupFact| backup.taken_at.duration_since(now) > CLOCK_SLACK;
    let mut newest_first = facts.backups.iter().rev();
    newest_first.find(|backup| !is_future(backup) && !is_bad(backup))
}

/// The age of what could be restored. A backup that is due may take a while until it is there: as long as it
/// is not overdue, an age a little beyond the target is only about to be a breach, and one that the
/// next backup will make good in time is none at all.
fn rpo(
    watched: &Watched,
    newest: Option<&BackupFact>,
    late: Option<Concern>,
    now: Timestamp,
    concerns: &mut Vec<Concern>,
) -> Measure {
    let target_seconds = watched.objectives.rpo.map(|rpo| rpo.seconds());
    let age = newest.map(|backup| now.duration_since(backup.taken_at).as_secs_f64().max(0.0));
    let standing = match (age, newest, target_seconds) {
        (Some(age), Some(newest), Some(target)) => {
            let next = watched.backup.and_then(|timing| timing.next);
            let is_planned = watched.backup.is_some() && late != Some(Concern::BackupOverdue);
            let slack = slack(target);
            if age > as_seconds(target) {
                if is_planned && age <= as_seconds(target.saturating_add(slack)) {
                    Standing::AtRisk
                } else {
                    Standing::Breached
                }
            } else if age <= as_seconds(target) * NEAR {
                Standing::Ok
            } else {
                let in_time = next.is_some_and(|next| {
                    let then = next.duration_since(newest.taken_at).as_secs_f64();
                    then <= as_seconds(target.saturating_add(slack))
                });
                if is_planned && in_time {
                    Standing::Ok
                } else {
                    Standing::AtRisk
                }
            }
        }
        (_, _, None) if age.is_some() => Standing::Ok,
        (_, _, None) => Standing::NeverProven,
        _ => Standing::Breached,
    };
    if age.is_none() {
        concerns.push(Concern::NoBackup);
    }
    match standing {
        Standing::Breached => concerns.push(Concern::RpoPassed),
        Standing::AtRisk => concerns.push(Concern::RpoNear),
        Standing::Ok | Standing::NeverProven => {}
    }
    Measure {
        seconds: age,
        target_seconds,
        standing,
    }
}

/// How much longer than the target it may take until the backup that is due is there.
fn slack(target: u64) -> u64 {
    const SLACK_MAX: u64 = 2 * 3600;
    (target / 8).min(SLACK_MAX)
}

/// How long the last drill took whose data came back.
fn rto(watched: &Watched, facts: &Facts, concerns: &mut Vec<Concern>) -> Measure {
    let target_seconds = watched.objectives.rto.map(|rto| rto.seconds());
    let measured = facts.drills.iter().rev();
    let seconds = measured
        .filter(|drill| drill.came_back())
        .find_map(|drill| drill.rto_seconds);
    let measure = Measure {
        seconds,
        target_seconds,
        standing: Standing::Ok,
    };
    let standing = match share(measure) {
        Some(share) if share > 1.0 => Standing::Breached,
        Some(share) if share > NEAR => Standing::AtRisk,
        None if seconds.is_none() => Standing::NeverProven,
        _ => Standing::Ok,
    };
    match standing {
        Standing::Breached => concerns.push(Concern::RtoPassed),
        Standing::AtRisk => concerns.push(Concern::RtoNear),
        Standing::Ok | Standing::NeverProven => {}
    }
    Measure {
        standing,
        ..measure
    }
}

/// What the drills tell, and whether one should have been made.
fn drills(
    watched: &Watched,
    facts: &Facts,
    run: Option<&RunRow>,
    now: Timestamp,
    concerns: &mut Vec<Concern>,
) {
    if !facts
        .drills
        .iter()
        .any(|one| one.verdict == Verdict::Passed)
    {
        concerns.push(Concern::NeverProven);
    }
    if let Some(last) = facts.drills.last() {
        match last.verdict {
            // What took too long is told by what it took.
            Verdict::Failed if !last.came_back() => concerns.push(Concern::DrillFailed),
            Verdict::Error => concerns.push(Concern::DrillError),
            Verdict::Failed | Verdict::Passed => {}
        }
    }
    let Some(timing) = watched.drill else { return };
    let done = facts.drills.iter().map(|one| one.at).max();
    // There was nothing to drill before the first backup.
    let began = facts.backups.iter().map(|one| one.finished_at).min();
    let lateness = lateness(timing, began, done, run, GRACE_DRILL, now);
    concerns.extend(lateness.map(|is_overdue| {
        if is_overdue {
            Concern::DrillOverdue
        } else {
            Concern::DrillLate
        }
    }));
}

fn backup_lateness(
    facts: &Facts,
    run: Option<&RunRow>,
    timing: Timing,
    now: Timestamp,
) -> Option<Concern> {
    // A source without any is no better or worse for its schedule.
    let began = facts.backups.iter().map(|one| one.started_at).min();
    let done = facts.backups.iter().map(|one| one.finished_at).max();
    lateness(timing, began, done, run, GRACE_BACKUP, now).map(|is_overdue| {
        if is_overdue {
            Concern::BackupOverdue
        } else {
            Concern::BackupLate
        }
    })
}

/// Whether what was due last was not done: `Some(true)` beyond its grace. What runs now is neither.
fn lateness(
    timing: Timing,
    began: Option<Timestamp>,
    done: Option<Timestamp>,
    run: Option<&RunRow>,
    grace_minutes: (i64, i64),
    now: Timestamp,
) -> Option<bool> {
    let due = timing.last_due.filter(|due| *due <= now)?;
    let is_running = run.is_some_and(|run| run.state == RunState::Running && run.started_at >= due);
    if began.is_none_or(|began| began > due) || done >= Some(due) || is_running {
        return None;
    }
    Some(now.duration_since(due) > grace(timing, grace_minutes))
}

/// How late it may be.
pub(super) fn grace(timing: Timing, (least, most): (i64, i64)) -> SignedDuration {
    let period = match (timing.last_due, timing.next) {
        (Some(last), Some(next)) => next.duration_since(last),
        _ => SignedDuration::MAX,
    };
    (period / 4).clamp(
        SignedDuration::from_mins(least),
        SignedDuration::from_mins(most),
    )
}

fn copies(watched: &Watched, facts: &Facts, now: Timestamp) -> Vec<CopyStanding> {
    let all = watched.copies.iter();
    all.map(|copy| {
        let known = facts.copies.get(&copy.place);
        let newest_there = known.and_then(|known| known.newest);
        let behind = known.map_or(0, |known| known.backups);
        // The oldest of those that were taken after what is there; else it is an older one that it lacks.
        let lacking = facts
            .backups
            .iter()
            .find(|backup| newest_there.is_none_or(|newest| backup.taken_at > newest));
        let is_old =
            lacking.is_none_or(|backup| now.duration_since(backup.finished_at) > GRACE_COPY);
        CopyStanding {
            name: copy.name.clone(),
            place: copy.place.clone(),
            behind,
            newest_there,
            synced_at: known.and_then(|known| known.synced_at),
            is_late: behind > 0 && is_old,
        }
    })
    .collect()
}

fn as_proven(drill: &DrillFact) -> Proven {
    Proven {
        at: drill.at,
        backup: drill.backup,
        backup_taken_at: drill.taken_at,
        rto_seconds: drill.rto_seconds,
        receipt: drill.receipt.clone(),
    }
}

fn as_last_drill(drill: &DrillFact) -> LastDrill {
    LastDrill {
        at: drill.at,
        verdict: drill.verdict,
        backup: drill.backup,
        rto_seconds: drill.rto_seconds,
        only_objectives: drill.only_objectives(),
        receipt: drill.receipt.clone(),
    }
}

fn as_last_backup(backup: &BackupFact) -> LastBackup {
    LastBackup {
        id: backup.id,
        taken_at: backup.taken_at,
        finished_at: backup.finished_at,
        raw_bytes: backup.raw_bytes,
        stored_bytes: backup.stored_bytes,
        seconds: backup.seconds(),
    }
}

#[cfg(test)]
mod tests;
