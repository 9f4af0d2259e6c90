//! A year of many jobs against a naive model: somebody who looks at the clock on the wall each minute.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "test: how many schedules is said by its environment, and told"
)]

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

/// Kinds of schedules; each is there in every zone.
const KINDS: usize = 11;

/// A schedule, and the minutes of a clock on the wall that it names.
struct Kind {
    text: String,
    /// It follows the passing of time instead of the wall.
    as_time_passes: bool,
    names: Box<dyn Fn(DateTime) -> bool>,
}

fn is_at(at: DateTime, (hour, minute): (i8, i8)) -> bool {
    (at.hour(), at.minute()) == (hour, minute)
}

fn is_last_of_month(at: DateTime) -> bool {
    at.date().days_in_month() == at.day()
}

fn is_weekend(at: DateTime) -> bool {
    matches!(at.weekday(), Weekday::Saturday | Weekday::Sunday)
}

/// A schedule of each kind; `turn` moves it to another time.
fn kind(number: usize, turn: usize) -> Kind {
    let moved = |hour: usize, minute: usize| {
        let minutes = (hour * 60 + minute + turn * 185) % (24 * 60);
        (
            i8::try_from(minutes / 60).unwrap(),
            i8::try_from(minutes % 60).unwrap(),
        )
    };
    let say = |(hour, minute): (i8, i8)| format!("{hour:02}:{minute:02}");
    let pick = |all: &[i8]| all[turn % all.len()];
    let is_sunday = |at: DateTime| at.weekday() == Weekday::Sunday;
    let daily = |time: (i8, i8)| (format!("daily {}", say(time)), time);
    let (text, names): (String, Box<dyn Fn(DateTime) -> bool>) = match number {
        0 | 1 => {
            let (text, time) = daily(if number == 0 {
                moved(2, 30)
            } else {
                moved(0, 0)
            });
            (text, Box::new(move |at| is_at(at, time)))
        }
        2 => {
            let (_, minute) = moved(0, 30);
            let names =
                move |at: DateTime| matches!(at.hour(), 1 | 2 | 14) && at.minute() == minute;
            (format!("{minute} 1,2,14 * * *"), Box::new(names))
        }
        3 => {
            let hours = pick(&[6, 2, 3, 4, 8, 12]);
            let names = move |at: DateTime| at.hour() % hours == 0 && at.minute() == 0;
            (format!("every {hours}h"), Box::new(names))
        }
        4 => {
            let time = moved(2, 0);
            let names = move |at| is_sunday(at) && is_at(at, time);
            (format!("weekly sunday {}", say(time)), Box::new(names))
        }
        5 => {
            let time = moved(20, 30);
            let names = move |at| !is_weekend(at) && is_at(at, time);
            (format!("weekdays {}", say(time)), Box::new(names))
        }
        6 => {
            let (time, day) = (moved(4, 0), pick(&[1, 7, 15, 28]));
            let names = move |at: DateTime| at.day() == day && is_at(at, time);
            (format!("monthly {day} {}", say(time)), Box::new(names))
        }
        7 => {
            let time = moved(2, 15);
            let names = move |at: DateTime| is_sunday(at) && at.day() <= 7 && is_at(at, time);
            (
                format!("monthly first sunday {}", say(time)),
                Box::new(names),
            )
        }
        8 => {
            let time = moved(23, 0);
            let names = move |at| is_last_of_month(at) && is_at(at, time);
            (format!("monthly last {}", say(time)), Box::new(names))
        }
        9 => {
            let (time, day) = (moved(2, 10), pick(&[25, 4, 5, 24]));
            let is_day = move |at: DateTime| (at.month(), at.day()) == (10, day);
            let names = move |at| is_day(at) && is_at(at, time);
            (format!("yearly 10-{day:02} {}", say(time)), Box::new(names))
        }
        _ => {
            let (_, minute) = moved(0, 15);
            let names = move |at: DateTime| at.minute() == minute;
            (format!("{minute} * * * *"), Box::new(names))
        }
    };
    Kind {
        text,
        as_time_passes: number == KINDS - 1,
        names,
    }
}

/// How many: a few with all other tests, as many as one likes by `cargo xtask torture --schedules`.
fn jobs() -> usize {
    let said = std::env::var("RESGUARDO_TEST_SCHEDULES");
    said.map_or(JOBS, |number| number.parse().unwrap())
}

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
fn naive(year: &[Minute], kind: &Kind) -> Vec<Timestamp> {
    let is_named = |minute: &&Minute| match kind.as_time_passes {
        true => (kind.names)(minute.shows),
        false => minute.new.iter().any(|new| (kind.names)(*new)),
    };
    year.iter()
        .filter(is_named)
        .map(|minute| minute.at)
        .collect()
}

#[test]
fn schedules_of_a_year_agree_with_a_naive_model() {
    let zones = ZONES.map(|name| TimeZone::get(name).unwrap());
    let years = zones.each_ref().map(year);
    let jobs: Vec<(&TimeZone, &[Minute], Kind)> = (0..jobs())
        .map(|number| {
            let zone = number % ZONES.len();
            let turn = number / ZONES.len();
            let kind = kind(turn % KINDS, turn / KINDS);
            (&zones[zone], &*years[zone], kind)
        })
        .collect();
    let standings = jobs.iter().enumerate().map(|(number, (zone, _, kind))| {
        let mut one = standing(&format!("s{number}"), Task::Backup, &kind.text);
        one.job.plan.as_mut().unwrap().zone = (*zone).clone();
        one
    });
    let begin = at(BEGIN);
    let end = begin + MINUTES.minutes();
    let mut driver = Driver::new(standings.collect(), jobs.len(), begin);
    let numbers: Vec<JobNumber> = driver.standings().map(|(number, _)| number).collect();
    let mut run: BTreeMap<JobNumber, Vec<Timestamp>> = BTreeMap::new();
    while let Some(now) = driver.wakes().filter(|now| *now <= end) {
        for job in driver.begin(now) {
            run.entry(job).or_default().push(now);
            driver.end(job, Ended::Done, now);
        }
    }
    let mut runs = 0;
    for ((zone, year, kind), number) in jobs.iter().zip(&numbers) {
        let expected = naive(year, kind);
        let found = run.get(number).map(Vec::as_slice).unwrap_or_default();
        let (text, name) = (&kind.text, zone.iana_name().unwrap());
        assert!(!expected.is_empty(), "{text} in {name} names nothing");
        assert!(
            found == expected,
            "{text} in {name}: {found:?}, and not {expected:?}"
        );
        runs += found.len();
    }
    assert_eq!(runs, run.values().map(Vec::len).sum::<usize>());
    println!(
        "{} schedules, {runs} runs, all as the model has them",
        jobs.len()
    );
}
