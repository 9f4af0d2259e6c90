//! One source, and the lines of its backups.

use resguardo_ops::exception::Exception;
use resguardo_ops::list::{Listed, ListedBackup};
use resguardo_ops::series::{Series, Year};
use resguardo_ops::status::SourceStatus;

use super::super::Visit;
use crate::web::view::{self, Pages};

/// What the page of a source is made of.
pub(in super::super) struct SourceParts<'a> {
    pub(in super::super) status: &'a SourceStatus,
    pub(in super::super) open: &'a [Exception],
    pub(in super::super) listed: &'a Listed,
    pub(in super::super) series: &'a Series,
    pub(in super::super) year: &'a Year,
    pub(in super::super) running: Option<view::Running>,
    pub(in super::super) pages: Pages,
}

/// One source.
pub(in super::super) fn source(parts: SourceParts<'_>, visit: &Visit) -> view::SourcePage {
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

pub(super) fn line(backup: &ListedBackup) -> view::BackupLine {
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
