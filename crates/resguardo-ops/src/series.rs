//! How a source stood over time: its backups and drills as points, and a year of days.
//!
//! Read from the catalog alone, which a look brings up to date: whoever leafs through pages asks no vault.

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _};
use resguardo_model::{SourceName, Verdict};
use serde::Serialize;

use crate::context::Context;
use crate::error::OpsError;
use crate::status::{Facts, known_of};

/// The days of a year.
const DAYS: usize = 366;

/// The backups and drills of a source, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Series {
    /// Backups of trusted writers that are there.
    pub backups: Vec<BackupPoint>,
    /// Drills, also of backups that are gone.
    pub drills: Vec<DrillPoint>,
}

/// A backup as a point.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BackupPoint {
    /// The instant whose data it holds.
    pub taken_at: Timestamp,
    /// Size of the data that it restores, in bytes.
    pub raw_bytes: u64,
    /// Bytes that it added to the vault.
    pub stored_bytes: u64,
    /// How long it took.
    pub seconds: f64,
}

/// A drill as a point.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct DrillPoint {
    /// When it ended.
    pub at: Timestamp,
    /// The instant whose data was drilled.
    pub taken_at: Option<Timestamp>,
    /// How it ended.
    pub verdict: Verdict,
    /// From the start of the restore to the end of the checks, if it got that far.
    pub rto_seconds: Option<f64>,
    /// Age of the data when it began.
    pub rpo_seconds: Option<f64>,
}

/// A year of a source.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Year {
    /// One entry a day, of the context's time zone, oldest first; the last is the day that was asked for.
    pub days: Vec<Day>,
}

/// A day of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Day {
    /// The date.
    pub date: Date,
    /// Backups whose data are of that day, and that are there.
    pub backups: u32,
    /// Drills that passed.
    pub drills_passed: u32,
    /// Drills that failed.
    pub drills_failed: u32,
    /// Drills that could not be carried out: they say nothing of the backup.
    pub drills_error: u32,
    /// Backups that failed or died, as far as the catalog knows.
    pub backups_failed: u32,
    /// Size of what the day's last backup restores, in bytes.
    pub raw_bytes: u64,
    /// Bytes that the day's backups added to the vault.
    pub stored_bytes: u64,
}

/// The backups and drills of a source.
///
/// # Errors
/// [`OpsError::NoVault`], [`OpsError::Catalog`].
pub fn series(ctx: &Context, source: &SourceName) -> Result<Series, OpsError> {
    let facts = known_of(ctx, source)?;
    let backups = facts.backups.iter().map(|one| BackupPoint {
        taken_at: one.taken_at,
        raw_bytes: one.raw_bytes,
        stored_bytes: one.stored_bytes,
        seconds: one.seconds(),
    });
    let drills = facts.drills.iter().map(|one| DrillPoint {
        at: one.at,
        taken_at: one.taken_at,
        verdict: one.verdict,
        rto_seconds: one.rto_seconds,
        rpo_seconds: one.rpo_seconds,
    });
    Ok(Series {
        backups: backups.collect(),
        drills: drills.collect(),
    })
}

/// The year of a source that ends with the day of `until`.
///
/// # Errors
/// [`OpsError::NoVault`], [`OpsError::Catalog`].
pub fn year(ctx: &Context, source: &SourceName, until: Timestamp) -> Result<Year, OpsError> {
    let facts = known_of(ctx, source)?;
    let last = until.to_zoned(ctx.zone.clone()).date();
    let mut days = empty(last);
    let since = days.first().map_or(last, |day| day.date);
    let begin = since
        .to_zoned(ctx.zone.clone())
        .map_or(until, |zoned| zoned.timestamp());
    let failed = ctx.catalog.failed_backups(source, begin)?;
    fill(&mut days, &facts, &failed, |at| {
        at.to_zoned(ctx.zone.clone()).date()
    });
    Ok(Year { days })
}

fn empty(last: Date) -> Vec<Day> {
    let back = (0..DAYS).rev();
    back.filter_map(|days| {
        let days = i64::try_from(days).unwrap_or(0);
        Some(Day {
            date: last.checked_sub(days.days()).ok()?,
            backups: 0,
            drills_passed: 0,
            drills_failed: 0,
            drills_error: 0,
            backups_failed: 0,
            raw_bytes: 0,
            stored_bytes: 0,
        })
    })
    .collect()
}

/// Pure: what happened, by days.
fn fill(days: &mut [Day], facts: &Facts, failed: &[Timestamp], date: impl Fn(Timestamp) -> Date) {
    let mut on = |at: Timestamp, change: &dyn Fn(&mut Day)| {
        let wanted = date(at);
        if let Ok(found) = days.binary_search_by(|day| day.date.cmp(&wanted)) {
            change(&mut days[found]);
        }
    };
    for backup in &facts.backups {
        on(backup.taken_at, &|day| {
            day.backups += 1;
            day.raw_bytes = backup.raw_bytes;
            day.stored_bytes += backup.stored_bytes;
        });
    }
    for drill in &facts.drills {
        on(drill.at, &|day| match drill.verdict {
            Verdict::Passed => day.drills_passed += 1,
            Verdict::Failed => day.drills_failed += 1,
            Verdict::Error => day.drills_error += 1,
        });
    }
    for at in failed {
        on(*at, &|day| day.backups_failed += 1);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use jiff::tz::TimeZone;

    use super::*;
    use crate::status::made::{DAY, HOUR, ago, backup, drill, good, now};

    fn dated(zone: &TimeZone, facts: &Facts, failed: &[Timestamp]) -> Vec<Day> {
        let mut days = empty(now().to_zoned(zone.clone()).date());
        fill(&mut days, facts, failed, |at| {
            at.to_zoned(zone.clone()).date()
        });
        days
    }

    #[test]
    fn a_year_has_each_of_its_days_once() {
        let days = dated(&TimeZone::UTC, &good(), &[]);
        assert_eq!(days.len(), 366);
        assert!(days.windows(2).all(|two| two[0].date < two[1].date));
        let [.., yesterday, today] = &days[..] else {
            panic!("no days");
        };
        assert_eq!((today.backups, today.drills_passed), (1, 1));
        assert_eq!((yesterday.backups, yesterday.drills_passed), (1, 0));
        assert_eq!((today.raw_bytes, today.stored_bytes), (1000, 10));
    }

    #[test]
    fn days_are_those_of_the_zone() {
        // Noon of the 22nd in UTC; an evening earlier it was the 21st in Bogota and the 22nd in Tokyo.
        let facts = Facts {
            backups: vec![backup(11 * HOUR)],
            ..Facts::default()
        };
        for (zone, backups_today) in [("America/Bogota", 0), ("Asia/Tokyo", 1)] {
            let days = dated(&TimeZone::get(zone).unwrap(), &facts, &[]);
            assert_eq!(days.last().unwrap().backups, backups_today, "{zone}");
        }
    }

    #[test]
    fn what_failed_is_counted_and_what_is_older_is_not() {
        let mut facts = good();
        let newest = *facts.backups.last().unwrap();
        facts.backups.insert(0, backup(400 * DAY));
        facts.drills.push(drill(60, newest, Verdict::Failed));
        facts.drills.push(drill(30, newest, Verdict::Error));
        let days = dated(&TimeZone::UTC, &facts, &[ago(60), ago(400 * DAY)]);
        let today = days.last().unwrap();
        assert_eq!((today.drills_failed, today.drills_error), (1, 1));
        assert_eq!(today.backups_failed, 1);
        let all: u32 = days.iter().map(|day| day.backups).sum();
        assert_eq!(all, 2);
    }
}
