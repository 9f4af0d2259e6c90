//! One source: its year, its growth, its drills, its backups.

use jiff::Timestamp;
use jiff::civil::Date;
use resguardo_model::Verdict;

use super::{Exception, Row, Running};

/// A source.
#[derive(Clone, Debug, PartialEq)]
pub struct SourcePage {
    /// Its line of the overview.
    pub row: Row,
    /// The newest backup.
    pub last_backup: Option<BackupLine>,
    /// How long that took, in seconds.
    pub last_backup_seconds: Option<f64>,
    /// The receipt of the drill that proved it last.
    pub proven_by: Option<String>,
    /// The last drill, whatever became of it: when, whether it passed, its receipt.
    pub last_drill: Option<DrillPoint>,
    /// The next backup.
    pub next_backup: Option<Timestamp>,
    /// Its backups in all.
    pub backups: u64,
    /// What the newest restores to, in bytes.
    pub raw_bytes: u64,
    /// What they take in the vault, in bytes.
    pub stored_bytes: u64,
    /// What runs at this moment.
    pub running: Option<Running>,
    /// Open exceptions.
    pub exceptions: Vec<Exception>,
    /// The days of a year, the oldest first; days without anything may be left out.
    pub year: Vec<Day>,
    /// The last day of that year.
    pub until: Date,
    /// Sizes over time, the oldest first.
    pub sizes: Vec<SizePoint>,
    /// Drills, the oldest first.
    pub drills: Vec<DrillPoint>,
    /// Where the drills are going.
    pub forecast: Option<Forecast>,
    /// Backups of this page of the list, the newest first.
    pub lines: Vec<BackupLine>,
    /// Which page of how many.
    pub pages: Pages,
}

/// What happened on one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    /// The day.
    pub date: Date,
    /// Backups that were taken.
    pub backups: u32,
    /// Drills that passed.
    pub passed: u32,
    /// Drills that failed.
    pub failed: u32,
    /// Drills that could not be carried out.
    pub errors: u32,
    /// Other runs that failed.
    pub failed_runs: u32,
}

/// The size of one backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizePoint {
    /// When it was taken.
    pub at: Timestamp,
    /// What it restores to, in bytes.
    pub raw_bytes: u64,
    /// What it added to the vault, in bytes.
    pub stored_bytes: u64,
}

/// One drill.
#[derive(Clone, Debug, PartialEq)]
pub struct DrillPoint {
    /// When it ended.
    pub at: Timestamp,
    /// How it ended.
    pub verdict: Verdict,
    /// How long the restore took with its checks, in seconds.
    pub rto_seconds: Option<f64>,
    /// The run of its receipt.
    pub receipt: Option<String>,
}

/// When drills pass what was promised, if they grow as they did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    /// The likely moment.
    pub crosses_at: Timestamp,
    /// The earliest that fits what was seen.
    pub earliest: Timestamp,
    /// The latest; `None`: perhaps never.
    pub latest: Option<Timestamp>,
}

/// One backup in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct BackupLine {
    /// Its id.
    pub id: String,
    /// Its source.
    pub source: String,
    /// The instant whose data it holds.
    pub taken_at: Timestamp,
    /// Why it was taken.
    pub reason: String,
    /// What it restores to, in bytes.
    pub raw_bytes: u64,
    /// What it added to the vault, in bytes.
    pub stored_bytes: u64,
    /// When a drill of it last passed.
    pub proven_at: Option<Timestamp>,
    /// How the last drill of it ended.
    pub last_drill: Option<Verdict>,
    /// Somebody asked that it be kept.
    pub pinned: bool,
    /// The copies that hold it.
    pub copies: Vec<String>,
    /// Whether this host trusts whoever signed it.
    pub trusted: bool,
}

/// A page of a long list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pages {
    /// The page that is shown; the first is 1.
    pub page: u64,
    /// Lines on a page.
    pub size: u64,
    /// Lines in all.
    pub lines: u64,
}

impl Pages {
    /// The page of a list that somebody asked for, or the nearest that there is.
    #[must_use]
    pub fn of(asked: u64, size: u64, lines: u64) -> Self {
        let size = size.max(1);
        let last = lines.div_ceil(size).max(1);
        Self {
            page: asked.clamp(1, last),
            size,
            lines,
        }
    }

    /// How many pages there are; at least 1.
    #[must_use]
    pub fn count(self) -> u64 {
        self.lines.div_ceil(self.size).max(1)
    }

    /// The lines of this page, counted from 0.
    #[must_use]
    pub fn range(self) -> std::ops::Range<usize> {
        let as_place = |line: u64| usize::try_from(line).unwrap_or(usize::MAX);
        let first = (self.page - 1) * self.size;
        as_place(first)..as_place((first + self.size).min(self.lines))
    }
}

#[cfg(test)]
mod tests {
    use super::Pages;

    #[test]
    fn a_page_that_is_not_there_is_the_nearest() {
        let pages = Pages::of(3, 50, 5_000);
        assert_eq!(
            (pages.page, pages.count(), pages.range()),
            (3, 100, 100..150)
        );
        assert_eq!(Pages::of(u64::MAX, 50, 101).range(), 100..101);
        assert_eq!(Pages::of(0, 50, 101).range(), 0..50);
        assert_eq!(Pages::of(1, 0, 0).range(), 0..0);
        assert_eq!(Pages::of(7, 50, 0).count(), 1);
    }
}
