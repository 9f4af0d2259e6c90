//! A year of many jobs against a naive model: somebody who looks at the clock on the wall each minute.

use jiff::civil::{DateTime, Weekday};
use jiff::{Timestamp, ToSpan as _};

use super::*;

const JOBS: usize = 55;
const MINUTES: i64 = 365 * 24 * 60;
/// Zones with gaps and folds in different months and of different lengths, and one with none.
const ZONES: [&str; 5] = [
    "UTC",
    "Europe/Madrid",
    "America/Santiago",
    "Australia/Lord_Howe",
    "America/New_York",
];

/// Whether a schedule names a minute of a clock on the wall.
type Names = fn(DateTime) -> bool;

fn is_at(at: DateTime, hour: i8, minute: i8) -> bool {
    (at.hour(), at.minute()) == (hour, minute)
}

fn is_last_of_month(at: DateTime) -> bool {
    at.date().days_in_month() == at.day()
}

/// Each schedule, whether it follows the passing of time instead of the wall, and the minutes that it names.
const SCHEDULES: [(&str, bool, Names); 11] = [
    ("daily 02:30", false, |at| is_at(at, 2, 30)),
    ("daily 00:00", false, |at| is_at(at, 0, 0)),
    ("30 1,2,14 * * *", false, |at| {
        is_at(at, 1, 30) || is_at(at, 2, 30) || is_at(at, 14, 30)
    }),
    ("every 6h", false, |at| {
        at.hour() % 6 == 0 && at.minute() == 0
    }),
    ("weekly sunday 02:00", false, |at| {
        at.weekday() == Weekday::Sunday && is_at(at, 2, 0)
    }),
    ("weekdays 20:30", false, |at| {
        !matches!(at.weekday(), Weekday::Saturday | Weekday::Sunday) && is_at(at, 20, 30)
    }),
    ("monthly 1 04:00", false, |at| {
        at.day() == 1 && is_at(at, 4, 0)
    }),
    ("monthly first sunday 02:15", false, |at| {
        at.weekday() == Weekday::Sunday && at.day() <= 7 && is_at(at, 2, 15)
    }),
    ("monthly last 23:00", false, |at| {
        is_last_of_month(at) && is_at(at, 23, 0)
    }),
    ("yearly 10-25 02:10", false, |at| {
        (at.month(), at.day()) == (10, 25) && is_at(at, 2, 10)
    }),
    ("15 * * * *", true, |at| at.minute() == 15),
];

/// A minute: what the clock shows, and what it had not shown or skipped before.
struct Minute {
    at: Timestamp,
    shows: DateTime,
    new: Vec<DateTime>,
}

/// The year as a clock on the wall shows it. A minute that it skips is new when the gap ends, one that it shows
/// again is not.
fn year(zone: &TimeZone) -> Vec<Minute> {
    let begin = at(BEGIN);
    let mut seen = zone.to_datetime(begin);
    let minutes = (1..=MINUTES).map(|minute| {
        let at = begin + minute.minutes();
        let shows = zone.to_datetime(at);
        let mut new = Vec::new();
        while seen < shows {
            seen += 1.minutes();
            new.push(seen);
        }
        Minute { at, shows, new }
    });
    minutes.collect()
}

/// The minutes of the year in which a schedule is run.
fn naive(year: &[Minute], names: Names, as_time_passes: bool) -> Vec<Timestamp> {
    let is_named = |minute: &&Minute| match as_time_passes {
        true => names(minute.shows),
        false => minute.new.iter().any(|new| names(*new)),
    };
    year.iter()
        .filter(is_named)
        .map(|minute| minute.at)
        .collect()
}

#[test]
fn schedules_of_a_year_agree_with_a_naive_model() {
    let zones = ZONES.map(|name| TimeZone::get(name).unwrap());
    let kinds: Vec<(&TimeZone, &str, Vec<Timestamp>)> = zones
        .iter()
        .flat_map(|zone| {
            let year = year(zone);
            SCHEDULES.map(|(text, as_time_passes, names)| {
                (zone, text, naive(&year, names, as_time_passes))
            })
        })
        .collect();
    let jobs = (0..JOBS).map(|number| {
        let (zone, text, _) = &kinds[number % kinds.len()];
        let mut one = standing(&format!("s{number}"), Task::Backup, text);
        one.job.plan.as_mut().unwrap().zone = (*zone).clone();
        one
    });
    let begin = at(BEGIN);
    let end = begin + MINUTES.minutes();
    let mut driver = Driver::new(jobs.collect(), JOBS, begin);
    let numbers: Vec<JobNumber> = driver.standings().map(|(number, _)| number).collect();
    let mut run: BTreeMap<JobNumber, Vec<Timestamp>> = BTreeMap::new();
    while let Some(now) = driver.wakes().filter(|now| *now <= end) {
        for job in driver.begin(now) {
            run.entry(job).or_default().push(now);
            driver.end(job, Ended::Done, now);
        }
    }
    for (place, number) in numbers.iter().enumerate() {
        let (zone, text, expected) = &kinds[place % kinds.len()];
        let found = run.get(number).map(Vec::as_slice).unwrap_or_default();
        let name = zone.iana_name().unwrap();
        assert!(!expected.is_empty(), "{text} in {name} names nothing");
        assert!(
            found == expected,
            "{text} in {name}: {found:?}, and not {expected:?}"
        );
    }
}
