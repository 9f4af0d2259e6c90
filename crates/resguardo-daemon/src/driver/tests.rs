//! The driver against simulated weeks, with no thread and no clock of its own.

#![allow(clippy::unwrap_used, reason = "test")]

use std::collections::BTreeMap;

use jiff::ToSpan as _;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::agenda::Plan;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

const BEGIN: &str = "2026-11-01T00:00:00Z";

fn standing(source: &str, task: Task, schedule: &str) -> Standing {
    Standing {
        job: Job {
            source: source.parse().unwrap(),
            task,
            plan: Plan {
                schedule: schedule.parse().unwrap(),
                zone: TimeZone::UTC,
                windows: Vec::new(),
                jitter: None,
            },
        },
        state: JobState::new(at(BEGIN)),
    }
}

fn names(driver: &Driver, begun: &[JobNumber]) -> Vec<String> {
    let name = |number: &JobNumber| {
        let job = &driver.standing(*number).job;
        format!("{} {}", job.task.word(), job.source)
    };
    begun.iter().map(name).collect()
}

#[test]
fn one_run_at_a_time_for_a_source_and_a_few_in_all() {
    let jobs = vec![
        standing("a", Task::Drill, "daily 01:30"),
        standing("a", Task::Backup, "daily 02:00"),
        standing("b", Task::Backup, "daily 01:00"),
        standing("c", Task::Backup, "daily 02:00"),
    ];
    let mut driver = Driver::new(jobs, 2, at(BEGIN));
    assert!(driver.begin(at("2026-11-01T00:30:00Z")).is_empty());
    let now = at("2026-11-01T02:00:00Z");
    let begun = driver.begin(now);
    assert_eq!(names(&driver, &begun), ["backup b", "backup a"]);
    assert!(driver.begin(now).is_empty());
    driver.end(begun[0], Ended::Done, now);
    let third = driver.begin(now);
    assert_eq!(names(&driver, &third), ["backup c"], "a is still at it");
    driver.end(begun[1], Ended::Done, now);
    let fourth = driver.begin(now);
    assert_eq!(names(&driver, &fourth), ["drill a"]);
    driver.end(third[0], Ended::Done, now);
    driver.end(fourth[0], Ended::Done, now);
    assert!(driver.begin(now).is_empty() && !driver.is_busy());
    assert_eq!(driver.wakes(now), Some(at("2026-11-02T01:00:00Z")));
}

#[test]
fn what_may_go_away_is_tried_again_and_what_may_not_waits() {
    let mut driver = Driver::new(
        vec![standing("a", Task::Backup, "daily 02:00")],
        2,
        at(BEGIN),
    );
    let mut now = at("2026-11-01T02:00:00Z");
    for minutes in BACK_OFF_MINUTES {
        let begun = driver.begin(now);
        assert_eq!(begun.len(), 1, "{now}");
        driver.end(begun[0], Ended::Transient("no route".to_owned()), now);
        assert_eq!(driver.wakes(now), Some(now + minutes.minutes()));
        assert!(driver.begin(now + (minutes - 1).minutes()).is_empty());
        now += minutes.minutes();
    }
    let begun = driver.begin(now);
    driver.end(begun[0], Ended::Transient("no route".to_owned()), now);
    assert_eq!(driver.wakes(now), Some(at("2026-11-02T02:00:00Z")));
    now = at("2026-11-02T02:00:00Z");
    let begun = driver.begin(now);
    driver.end(begun[0], Ended::Failed("no such table".to_owned()), now);
    assert_eq!(driver.wakes(now), Some(at("2026-11-03T02:00:00Z")));
    let last = driver.standing(begun[0]).state.last.clone().unwrap();
    assert_eq!(
        (last.outcome, last.message.as_str()),
        (Outcome::Failed, "no such table")
    );
}

#[test]
fn trying_again_never_reaches_into_the_next_time() {
    let mut driver = Driver::new(vec![standing("a", Task::Backup, "every 10m")], 2, at(BEGIN));
    let mut now = at("2026-11-01T00:10:00Z");
    let begun = driver.begin(now);
    driver.end(begun[0], Ended::Transient(String::new()), now);
    now += 1.minutes();
    let begun = driver.begin(now);
    driver.end(begun[0], Ended::Transient(String::new()), now + 8.minutes());
    assert_eq!(driver.standing(begun[0]).state.retry_at, None);
    assert_eq!(
        driver.wakes(now + 8.minutes()),
        Some(at("2026-11-01T00:20:00Z"))
    );
}

#[test]
fn what_died_is_said_and_tried_again() {
    let mut driver = Driver::new(
        vec![standing("a", Task::Backup, "daily 02:00")],
        2,
        at(BEGIN),
    );
    driver.begin(at("2026-11-01T02:00:00Z"));
    let remembered: Vec<Standing> = driver
        .standings()
        .map(|(_, standing)| standing.clone())
        .collect();
    let now = at("2026-11-01T03:00:00Z");
    let mut driver = Driver::new(remembered, 2, now);
    let (number, standing) = driver.standings().next().unwrap();
    assert_eq!(standing.state.last.as_ref().unwrap().outcome, Outcome::Died);
    assert_eq!(driver.wakes(now), Some(now + 1.minutes()));
    assert_eq!(driver.begin(now + 1.minutes()), [number]);
}

/// A month in which runs take their time, fail and are killed with the whole process, at random.
#[derive(Clone, Debug)]
struct Month {
    jobs: Vec<(usize, usize)>,
    runs_max: usize,
    /// Of each run in turn: how many minutes it takes, and how it ends.
    runs: Vec<(i64, u8)>,
    /// Minutes from one kill to the next, and those that nothing runs afterwards.
    kills: Vec<(i64, i64)>,
}

fn month() -> impl Strategy<Value = Month> {
    (
        proptest::collection::vec((0..4_usize, 0..6_usize), 1..8),
        1..4_usize,
        proptest::collection::vec((0..90_i64, 0..10_u8), 1..40),
        proptest::collection::vec((1..6000_i64, 0..3000_i64), 0..6),
    )
        .prop_map(|(jobs, runs_max, runs, kills)| Month {
            jobs,
            runs_max,
            runs,
            kills,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_month_keeps_every_promise(month in month()) {
        let schedules = ["daily 02:30", "every 6h", "hourly :15", "weekly sunday 04:00", "30 2,14 * * *", "every 30m"];
        let mut seen = BTreeSet::new();
        let jobs: Vec<Standing> = month.jobs.iter()
            .filter(|job| seen.insert((job.0, job.1 % 2)))
            .map(|(source, schedule)| {
                let task = if schedule % 2 == 0 { Task::Backup } else { Task::Drill };
                standing(&format!("s{source}"), task, schedules[*schedule])
            })
            .collect();
        let begin = at(BEGIN);
        let mut driver = Driver::new(jobs, month.runs_max, begin);
        let mut ends: BTreeMap<JobNumber, (Timestamp, Ended)> = BTreeMap::new();
        let mut runs = month.runs.iter().cycle();
        let mut kills = month.kills.iter();
        let mut kill = kills.next().map(|(after, down)| (begin + after.minutes(), *down));
        let mut handled: BTreeMap<JobNumber, Timestamp> = BTreeMap::new();
        let mut now = begin;
        let end = begin + (28 * 24).hours();
        while now < end {
            if let Some((at, down)) = kill && at <= now {
                now += down.minutes();
                let remembered = driver.standings().map(|(_, standing)| standing.clone()).collect();
                driver = Driver::new(remembered, month.runs_max, now);
                ends.clear();
                kill = kills.next().map(|(after, down)| (now + after.minutes(), *down));
            }
            let over: Vec<JobNumber> = ends.iter().filter(|(_, (at, _))| *at <= now).map(|(job, _)| *job).collect();
            for job in over {
                let (_, ended) = ends.remove(&job).unwrap();
                driver.end(job, ended, now);
            }
            for job in driver.begin(now) {
                let standing = driver.standing(job);
                // A time is handled once, and later times later.
                let before = handled.insert(job, standing.state.handled);
                prop_assert!(before.is_none_or(|before| before <= standing.state.handled));
                prop_assert!(standing.state.handled <= now);
                let (minutes, how) = runs.next().unwrap();
                let ended = match how {
                    0 => Ended::Failed("for good".to_owned()),
                    1..3 => Ended::Transient("for now".to_owned()),
                    _ => Ended::Done,
                };
                ends.insert(job, (now + (*minutes).minutes(), ended));
            }
            let busy: Vec<&SourceName> = ends.keys().map(|job| &driver.standing(*job).job.source).collect();
            prop_assert!(busy.len() <= month.runs_max);
            prop_assert_eq!(busy.iter().collect::<BTreeSet<_>>().len(), busy.len());
            // Nobody who could run waits: whoever is due is held by its source, or by the limit.
            for (_, standing) in driver.standings() {
                let Standing { job, state } = standing;
                if state.running_since.is_none() && job.due(state.handled, now).is_some() {
                    prop_assert!(busy.contains(&&job.source) || busy.len() == month.runs_max);
                }
            }
            // Whatever happens next; nothing lies between.
            let next = driver.wakes(now).into_iter()
                .chain(ends.values().map(|(at, _)| *at))
                .chain(kill.map(|(at, _)| at))
                .filter(|at| *at > now)
                .min();
            now = next.unwrap_or(end);
        }
    }
}
