//! Views made of what the use cases tell.

use std::collections::BTreeMap;

use jiff::Timestamp;
use resguardo_model::{Measure, Sha256Digest, SourceName, Standing};
use resguardo_ops::access::Access;
use resguardo_ops::audit::Entry;
use resguardo_ops::catalog::{RunRow, RunState};
use resguardo_ops::drill::DrillDone;
use resguardo_ops::exception::Exception;
use resguardo_ops::list::{Listed, ListedBackup};
use resguardo_ops::prune::PruneDone;
use resguardo_ops::series::{Series, Year};
use resguardo_ops::show::ShowDone;
use resguardo_ops::status::{CopyStanding, SourceStatus};
use resguardo_ops::users::{Token, User};
use resguardo_ops::{OpsError, described};

use super::Visit;
use crate::feed;
use crate::web::Say;
use crate::web::view::{self, Pages};

/// What the page of a run that goes on is called.
pub(super) fn running_id(run: &feed::Running) -> String {
    run.run.map_or_else(|| first_id(run), |id| id.to_string())
}

/// What it is called before it is in the catalog.
pub(super) fn first_id(run: &feed::Running) -> String {
    format!("now-{}", run.key)
}

/// A run that goes on.
pub(super) fn running(run: &feed::Running) -> view::Running {
    view::Running {
        id: running_id(run),
        verb: run.task.word().to_owned(),
        source: run
            .subject
            .source()
            .map_or_else(String::new, ToString::to_string),
        began_at: run.began_at,
        by: run.asked_by.clone().unwrap_or_default(),
        phases: run.phases.iter().cloned().collect(),
        bytes: run.bytes,
        total: run.total,
        lines: run
            .lines
            .iter()
            .map(|line| view::LogLine {
                at: line.at,
                text: line.text.clone(),
            })
            .collect(),
        lines_dropped: run.lines.front().map_or(0, |first| first.number),
    }
}

/// A run that goes on and is not in the catalog yet.
pub(super) fn run_of_live(run: &feed::Running) -> view::Run {
    view::Run {
        id: running_id(run),
        verb: run.task.word().to_owned(),
        source: run
            .subject
            .source()
            .map_or_else(String::new, ToString::to_string),
        backup: String::new(),
        state: RunState::Running,
        started_at: run.began_at,
        finished_at: None,
        host: String::new(),
        operator: run.asked_by.clone().unwrap_or_default(),
        message: String::new(),
        receipt: false,
    }
}

/// A run of the catalog.
pub(super) fn run(row: &RunRow) -> view::Run {
    view::Run {
        id: row.run.to_string(),
        verb: row.verb.word().to_owned(),
        source: row
            .source
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
        backup: row.backup.map_or_else(String::new, |id| id.to_string()),
        state: row.state,
        started_at: row.started_at,
        finished_at: row.finished_at,
        host: row.host.clone(),
        operator: row.operator.clone(),
        message: row.message.clone(),
        receipt: row.receipt.is_some(),
    }
}

/// What the page of a source is made of.
pub(super) struct SourceParts<'a> {
    pub(super) status: &'a SourceStatus,
    pub(super) open: &'a [Exception],
    pub(super) listed: &'a Listed,
    pub(super) series: &'a Series,
    pub(super) year: &'a Year,
    pub(super) running: Option<view::Running>,
    pub(super) pages: Pages,
}

/// One source.
pub(super) fn source(parts: SourceParts<'_>, visit: &Visit) -> view::SourcePage {
    let SourceParts {
        status,
        open,
        listed,
        series,
        year,
        running,
        pages,
    } = parts;
    let mut newest: Vec<&ListedBackup> = listed.backups.iter().collect();
    newest.sort_by_key(|backup| std::cmp::Reverse((backup.taken_at, backup.id)));
    let lines = newest.get(pages.range()).unwrap_or_default();
    let last_id = status.last_backup.as_ref().map(|last| last.id);
    let last = newest.iter().find(|backup| Some(backup.id) == last_id);
    view::SourcePage {
        row: view::Row::from(status),
        last_backup: last.map(|backup| line(backup)),
        last_backup_seconds: status.last_backup.as_ref().map(|last| last.seconds),
        proven_by: status
            .proven
            .as_ref()
            .map(|proven| run_of_key(&proven.receipt)),
        last_drill: status.last_drill.as_ref().map(|last| view::DrillPoint {
            at: last.at,
            verdict: last.verdict,
            rto_seconds: last.rto_seconds,
            receipt: Some(run_of_key(&last.receipt)),
        }),
        next_backup: status.next_backup,
        backups: status.backups,
        raw_bytes: newest.first().map_or(0, |backup| backup.raw_bytes),
        stored_bytes: status.stored_bytes,
        running,
        exceptions: open.iter().map(view::Exception::from).collect(),
        year: year.days.iter().map(day).collect(),
        until: visit.say.day_of(visit.say.now),
        sizes: series
            .backups
            .iter()
            .map(|point| view::SizePoint {
                at: point.taken_at,
                raw_bytes: point.raw_bytes,
                stored_bytes: point.stored_bytes,
            })
            .collect(),
        drills: series
            .drills
            .iter()
            .map(|point| view::DrillPoint {
                at: point.at,
                verdict: point.verdict,
                rto_seconds: point.rto_seconds,
                receipt: None,
            })
            .collect(),
        forecast: status.forecast.map(view::Forecast::from),
        lines: lines.iter().map(|backup| line(backup)).collect(),
        pages,
    }
}

fn day(day: &resguardo_ops::series::Day) -> view::Day {
    view::Day {
        date: day.date,
        backups: day.backups,
        passed: day.drills_passed,
        failed: day.drills_failed,
        errors: day.drills_error,
        failed_runs: day.backups_failed,
    }
}

/// The run of a receipt, by its key.
fn run_of_key(key: &str) -> String {
    let file = key.rsplit('/').next().unwrap_or(key);
    file.split('.').next().unwrap_or(file).to_owned()
}

fn line(backup: &ListedBackup) -> view::BackupLine {
    view::BackupLine {
        id: backup.id.to_string(),
        source: backup.source.to_string(),
        taken_at: backup.taken_at,
        reason: backup.reason.to_string(),
        raw_bytes: backup.raw_bytes,
        stored_bytes: backup.stored_bytes,
        proven_at: backup.proven_at,
        last_drill: backup.last_drill.map(|last| last.verdict),
        pinned: backup.pin.is_some(),
        copies: backup.copy_names.clone(),
        trusted: backup.trusted,
    }
}

/// One backup.
pub(super) fn backup(done: &ShowDone, copies: &[CopyStanding]) -> view::BackupPage {
    let backup = &done.backup;
    let vault = backup.copies.first().cloned().unwrap_or_default();
    let in_vault = view::CopyOfBackup {
        name: String::new(),
        place: vault,
        here: true,
    };
    let elsewhere = copies.iter().map(|copy| view::CopyOfBackup {
        name: copy.name.clone(),
        place: copy.place.clone(),
        here: backup.copy_names.contains(&copy.name) || backup.copies.contains(&copy.place),
    });
    let contents = done.contents.as_ref();
    view::BackupPage {
        line: line(backup),
        engine: backup.engine.to_string(),
        finished_at: backup.finished_at,
        writer: backup.writer.to_string(),
        note: backup.note.clone(),
        commit: backup.commit.clone(),
        migration: backup.migration.clone().unwrap_or_default(),
        database: backup.database.clone(),
        head_sha256: done.head.sha256.to_string(),
        places: std::iter::once(in_vault).chain(elsewhere).collect(),
        pin: backup.pin.as_ref().map(|pin| view::Pin {
            by: pin
                .made
                .as_ref()
                .map_or_else(String::new, |(_, by, _)| by.clone()),
            note: pin.reason.clone(),
            until: pin.until,
        }),
        lock: done.lock.map(|lock| view::Lock {
            until: lock.until,
            mode: lock.mode.map(ToOwned::to_owned),
        }),
        frees_bytes: backup.frees_bytes,
        files: contents.map_err(Clone::clone).map(|contents| {
            let files = contents.files.iter().map(|file| view::BackupFile {
                path: file.path.to_string(),
                bytes: file.bytes,
                sha256: file.sha256.to_string(),
            });
            files.collect()
        }),
        facts: contents.map_or_else(
            |_| Vec::new(),
            |contents| {
                let header = &contents.header;
                vec![
                    ("host".to_owned(), header.host.clone()),
                    ("operator".to_owned(), header.operator.clone()),
                    (
                        header.facts.engine.to_string(),
                        header.facts.server_version.clone(),
                    ),
                    ("resguardo".to_owned(), header.resguardo.clone()),
                ]
            },
        ),
        receipts: done
            .receipts
            .iter()
            .rev()
            .map(view::Receipt::from)
            .collect(),
    }
}

/// One drill.
pub(super) fn drill(
    done: &DrillDone,
    key: &str,
    sha256: Sha256Digest,
    trusted: bool,
) -> view::DrillPage {
    let measure = |seconds: Option<f64>, target: Option<u64>| Measure {
        seconds,
        target_seconds: target,
        standing: match (seconds, target) {
            #[expect(
                clippy::cast_precision_loss,
                reason = "targets are far below 2^52 seconds"
            )]
            (Some(seconds), Some(target)) if seconds > target as f64 => Standing::Breached,
            _ => Standing::Ok,
        },
    };
    let target = |span: Option<resguardo_model::duration::Span>| {
        span.map(resguardo_model::duration::Span::seconds)
    };
    view::DrillPage {
        run: done.run.to_string(),
        verdict: done.verdict,
        source: done
            .source
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
        environment: done.environment.clone().unwrap_or_default(),
        engine: done.engine.to_string(),
        backup: done.backup.map_or_else(String::new, |id| id.to_string()),
        taken_at: done.taken_at,
        started_at: done.started_at,
        finished_at: done.finished_at,
        rto: measure(done.rto_seconds, target(done.objectives.rto)),
        rpo: measure(done.rpo_seconds, target(done.objectives.rpo)),
        phases: done
            .phases
            .iter()
            .map(|phase| view::Phase {
                name: phase.name.clone(),
                seconds: phase.seconds,
            })
            .collect(),
        checks: done
            .checks
            .iter()
            .map(|check| view::Check {
                name: check.name.clone(),
                outcome: check.outcome,
                expected: check.expected.clone(),
                actual: check.actual.clone(),
                detail: check.detail.clone(),
                milliseconds: check.milliseconds,
            })
            .collect(),
        kept_at: done.kept_at.as_ref().map(|path| path.display().to_string()),
        receipt: Some(key.to_owned()),
        receipt_sha256: Some(sha256.to_string()),
        trusted,
        host: done.host.clone(),
        operator: done.operator.clone(),
        tools: done.tools.clone().into_iter().collect(),
        notes: done.notes.clone(),
        log: None,
    }
}

/// What a prune of a source would do.
pub(super) fn policy(
    source: &SourceName,
    environment: &str,
    done: Result<PruneDone, OpsError>,
    next: Option<Timestamp>,
    backups_max: usize,
) -> view::SourcePolicy {
    let mut view = view::SourcePolicy {
        source: source.to_string(),
        environment: environment.to_owned(),
        policy: None,
        backups: Vec::new(),
        kept: 0,
        deleted: 0,
        freed_bytes: 0,
        next,
        trouble: String::new(),
    };
    match done {
        Err(error) => view.trouble = described(&error),
        Ok(done) => {
            view.kept = done.backups.iter().filter(|backup| backup.kept).count() as u64;
            view.deleted = done.backups.len() as u64 - view.kept;
            view.freed_bytes = done.freed_bytes;
            let newest = done.backups.iter().rev().take(backups_max);
            view.backups = newest
                .map(|backup| view::PolicyBackup {
                    id: backup.id.to_string(),
                    taken_at: backup.taken_at,
                    reason: backup.reason.to_string(),
                    kept: backup.kept,
                    why: backup.why.clone(),
                    frees_bytes: backup.frees_bytes,
                })
                .collect();
            view.policy = done.policy;
        }
    }
    view
}

/// Who may do what.
pub(super) fn access(access: &Access, say: &Say) -> view::AccessPage {
    view::AccessPage {
        recipients: access.recipients.clone(),
        writers: access
            .writers
            .iter()
            .map(|seen| view::WriterSeen {
                id: seen.writer.to_string(),
                trusted: seen.trusted,
                retired: seen.retired,
                backups: seen.backups,
                receipts: seen.receipts,
                sources: seen.sources.iter().map(ToString::to_string).collect(),
                last_at: seen.last_at,
            })
            .collect(),
        own_writer: access.own_writer.map(|writer| writer.to_string()),
        can_read: access.can_read,
        store: access.store.clone(),
        review: access.last_review.as_ref().map(|review| view::Review {
            at: review.at,
            by: review.by.clone(),
            next: review.next,
            overdue: review.next.is_some_and(|next| next < say.day_of(say.now)),
        }),
        notes: access.notes.clone(),
        accounts: None,
        tokens: None,
        audit: None,
    }
}

/// A user.
pub(super) fn account(user: &User, logins: &BTreeMap<String, Timestamp>) -> view::Account {
    view::Account {
        name: user.name.to_string(),
        role: user.role,
        last_login: logins.get(user.name.as_str()).copied(),
    }
}

/// Something that was done.
pub(super) fn audit(entry: &Entry) -> view::AuditEntry {
    view::AuditEntry {
        at: entry.at,
        who: entry.who.clone(),
        origin: entry.origin.clone(),
        what: entry.what.clone(),
        object: entry.object.clone(),
        outcome: entry.outcome.clone(),
    }
}

/// A token.
pub(super) fn token(token: &Token) -> view::Token {
    view::Token {
        name: token.name.to_string(),
        scope: token.role.scope().to_owned(),
        expires: token.expires_at,
        last_used: token.used_at,
    }
}
