//! What somebody has to look at, of how a source stands. Pure.
//!
//! Less than what is told of a source: what is only about to be wrong wakes nobody, nor does a source that was
//! configured just now and has no backup yet.

use resguardo_model::receipt::Verb;
use resguardo_model::{Concern, Standing, Verdict, What};

use super::{Facts, SourceStatus, Watched};
use crate::catalog::{RunRow, RunState};

/// One of each kind at most.
pub(super) fn alarms(
    watched: &Watched,
    facts: &Facts,
    runs: &[RunRow],
    status: &SourceStatus,
) -> Vec<What> {
    let has = |concern| status.concerns.contains(&concern);
    let newest = facts.backups.last().map(|backup| backup.taken_at);
    let mut alarms = Vec::new();
    alarms.extend(
        drill_failed(facts).filter(|_| has(Concern::DrillFailed) || has(Concern::DrillError)),
    );
    let due = |timing: Option<super::Timing>| timing.and_then(|timing| timing.last_due);
    if let Some(due) = due(watched.drill).filter(|_| has(Concern::DrillOverdue)) {
        let proven_at = status.proven.as_ref().map(|proven| proven.at);
        alarms.push(What::DrillOverdue { due, proven_at });
    }
    alarms.extend(run_failed(facts, runs, &status.undecided));
    let was_used = newest.is_some() || !facts.drills.is_empty();
    if let Some(target_seconds) = status.rpo.target_seconds
        && status.rpo.standing == Standing::Breached
        && was_used
    {
        let newest = status.restorable_at;
        alarms.push(What::RpoBreached {
            newest,
            target_seconds,
        });
    }
    alarms.extend(rto_breached(facts, status));
    let behind = status.copies.iter().filter(|copy| copy.is_late);
    if has(Concern::CopyBehind) {
        alarms.push(What::CopyBehind {
            copies: behind.clone().map(|copy| copy.name.clone()).collect(),
            backups: behind.map(|copy| copy.behind).max().unwrap_or(0),
        });
    }
    alarms.extend(findings(facts));
    if let Some(due) = due(watched.backup).filter(|_| has(Concern::BackupOverdue)) {
        alarms.push(What::BackupOverdue { due, newest });
    }
    alarms
}

fn drill_failed(facts: &Facts) -> Option<What> {
    let last = facts.drills.last()?;
    (last.verdict != Verdict::Passed).then(|| What::DrillFailed {
        at: last.at,
        backup: last.backup,
        verdict: last.verdict,
        checks: last.failed.clone(),
        receipt: last.receipt.clone(),
    })
}

/// What is done or tried again at this moment, of the newest run of each verb: only when it has succeeded or
/// is given up is there a last word about it.
pub(super) fn undecided(watched: &Watched, runs: &[RunRow]) -> Vec<Verb> {
    let is_retried = |run: &RunRow| {
        let mut retried = watched.retried.iter();
        retried.any(|(verb, since)| *verb == run.verb && run.started_at >= *since)
    };
    let is_open = |run: &&RunRow| match run.state {
        RunState::Running | RunState::Interrupted => true,
        RunState::Failed | RunState::Died => is_retried(run),
        RunState::Succeeded => false,
    };
    runs.iter().filter(is_open).map(|run| run.verb).collect()
}

/// The newest run that failed, was given up and was not made good since, of those that run by themselves. A
/// drill that came to a verdict is told by it.
fn run_failed(facts: &Facts, runs: &[RunRow], undecided: &[Verb]) -> Option<What> {
    let is_told = |run: &RunRow| run.state == RunState::Failed && run.receipt.is_some();
    let counts = |run: &&RunRow| match run.verb {
        // A backup that another machine took since makes it good.
        Verb::Backup => facts
            .backups
            .iter()
            .all(|one| one.finished_at < run.started_at),
        Verb::Drill => !is_told(run) && facts.drills.iter().all(|one| one.at < run.started_at),
        Verb::Verify => !is_told(run),
        Verb::Prune | Verb::Copy => true,
        _ => false,
    };
    let failed = runs
        .iter()
        .filter(|run| matches!(run.state, RunState::Failed | RunState::Died))
        .filter(|run| !undecided.contains(&run.verb))
        .filter(counts)
        .max_by_key(|run| (run.started_at, run.run))?;
    Some(What::RunFailed {
        run: failed.run,
        verb: failed.verb,
        at: failed.finished_at.unwrap_or(failed.started_at),
        message: failed.message.clone(),
    })
}

fn rto_breached(facts: &Facts, status: &SourceStatus) -> Option<What> {
    if status.rto.standing != Standing::Breached {
        return None;
    }
    let measured = facts.drills.iter().rev();
    let drill = measured
        .filter(|drill| drill.came_back())
        .find(|drill| drill.rto_seconds.is_some())?;
    Some(What::RtoBreached {
        at: drill.at,
        seconds: drill.rto_seconds?,
        target_seconds: status.rto.target_seconds?,
        receipt: drill.receipt.clone(),
    })
}

fn findings(facts: &Facts) -> Option<What> {
    if let Some(found) = &facts.verified {
        return Some(What::VerifyFindings {
            run: Some(found.run),
            findings: found.findings,
            message: found.message.clone(),
        });
    }
    let first = facts.findings.first()?;
    Some(What::VerifyFindings {
        run: None,
        findings: facts.findings.len() as u64,
        message: first.clone(),
    })
}

#[cfg(test)]
mod tests;
