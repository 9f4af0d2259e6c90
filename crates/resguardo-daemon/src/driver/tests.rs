//! The driver against simulated weeks, with no thread and no clock of its own.

#![allow(clippy::unwrap_used, reason = "test")]

use std::collections::BTreeMap;

use jiff::ToSpan as _;
use jiff::tz::TimeZone;
use proptest::prelude::*;

mod year;

use super::slot::BACK_OFF_MINUTES;
use super::*;
use crate::agenda::{Limits, Plan};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

const BEGIN: &str = "2026-11-01T00:00:00Z";

fn standing(source: &str, task: Task, schedule: &str) -> Standing {
    Standing {
        job: Job {
            subject: Subject::Source(source.parse().unwrap()),
            task,
            plan: Some(Plan {
                schedule: schedule.parse().unwrap(),
                zone: TimeZone::UTC,
                windows: Vec::new(),
                jitter: None,
            }),
            limits: Limits::default(),
        },
        state: JobState::new(at(BEGIN)),
    }
}

fn names(driver: &Driver, begun: &[JobNumber]) -> Vec<String> {
    let name = |number: &JobNumber| driver.standing(*number).job.name();
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
    assert_eq!(names(&driver, &begun), ["backup of b", "backup of a"]);
    assert!(driver.begin(now).is_empty());
    driver.end(begun[0], Ended::Done, now);
    let third = driver.begin(now);
    assert_eq!(names(&driver, &third), ["backup of c"], "a is still at it");
    driver.end(begun[1], Ended::Done, now);
    let fourth = driver.begin(now);
    assert_eq!(names(&driver, &fourth), ["drill of a"]);
    driver.end(third[0], Ended::Done, now);
    driver.end(fourth[0], Ended::Done, now);
    assert!(driver.begin(now).is_empty() && !driver.is_busy());
    assert_eq!(driver.wakes(), Some(at("2026-11-02T01:00:00Z")));
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
        assert_eq!(driver.wakes(), Some(now + minutes.minutes()));
        assert!(driver.begin(now + (minutes - 1).minutes()).is_empty());
        now += minutes.minutes();
    }
    let begun = driver.begin(now);
    driver.end(begun[0], Ended::Transient("no route".to_owned()), now);
    assert_eq!(driver.wakes(), Some(at("2026-11-02T02:00:00Z")));
    now = at("2026-11-02T02:00:00Z");
    let begun = driver.begin(now);
    driver.end(begun[0], Ended::Failed("no such table".to_owned()), now);
    assert_eq!(driver.wakes(), Some(at("2026-11-03T02:00:00Z")));
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
    assert_eq!(driver.wakes(), Some(at("2026-11-01T00:20:00Z")));
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
    assert_eq!(driver.wakes(), Some(now + 1.minutes()));
    assert_eq!(driver.begin(now + 1.minutes()), [number]);
}

#[test]
fn a_clock_that_ran_ahead_silences_nothing() {
    let mut ahead = standing("a", Task::Backup, "daily 02:00");
    ahead.state.handled = at("2036-11-22T02:00:00Z");
    ahead.state.retry_at = Some(at("2036-11-22T02:15:00Z"));
    let mut driver = Driver::new(vec![ahead], 1, at(BEGIN));
    let now = at("2026-11-22T09:00:00Z");
    let job = only(&mut driver, now);
    assert_eq!(
        driver.standing(job).state.handled,
        now,
        "what was to be tried again is, now"
    );
    driver.end(job, Ended::Done, now);
    assert!(driver.begin(now).is_empty());
    assert_eq!(driver.wakes(), Some(at("2026-11-23T02:00:00Z")));
    assert_eq!(only(&mut driver, at("2026-11-23T02:00:00Z")), job);
}

fn only(driver: &mut Driver, now: Timestamp) -> JobNumber {
    let begun = driver.begin(now);
    assert_eq!(begun.len(), 1, "{now}");
    begun[0]
}

#[test]
fn a_locked_source_is_asked_again_soon_and_is_no_failure() {
    let jobs = vec![standing("a", Task::Backup, "daily 02:00")];
    let mut driver = Driver::new(jobs, 2, at(BEGIN));
    let mut now = at("2026-11-01T02:00:00Z");
    // For as long as it takes: a first backup by hand may take hours.
    for count in 1..100_u32 {
        let job = only(&mut driver, now);
        let standing = driver.end(job, Ended::Locked("held by ana".to_owned()), now);
        assert_eq!(standing.state.locked, count);
        assert_eq!(standing.state.failures, 0);
        assert_eq!(standing.state.last.unwrap().outcome, Outcome::Locked);
        assert_eq!(driver.wakes(), Some(now + 1.minutes()));
        now += 1.minutes();
    }
    let job = only(&mut driver, now);
    let standing = driver.end(job, Ended::Done, now);
    assert_eq!((standing.state.locked, standing.state.retry_at), (0, None));
    assert_eq!(driver.wakes(), Some(at("2026-11-02T02:00:00Z")));
}

#[test]
fn what_is_asked_for_runs_at_once_and_changes_no_schedule() {
    let mut jobs = vec![
        standing("a", Task::Backup, "daily 02:00"),
        standing("a", Task::Drill, "daily 03:00"),
    ];
    jobs[1].job.plan = None;
    let mut driver = Driver::new(jobs, 2, at(BEGIN));
    let now = at("2026-11-01T01:00:00Z");
    let subject = Subject::Source("a".parse().unwrap());
    let nobody = Subject::Source("b".parse().unwrap());
    assert_eq!(
        driver.poke(&nobody, Task::Drill, Asked::by("ana"), now),
        None
    );
    let drill = driver.poke(&subject, Task::Drill, Asked::by("ana"), now);
    assert_eq!(
        driver.poke(&subject, Task::Drill, Asked::by("eva"), now),
        drill
    );
    let backup = driver.poke(&subject, Task::Backup, Asked::by("ana"), now);
    assert_eq!(driver.begin(now), [backup.unwrap()], "one thing at a time");
    assert_eq!(driver.asked(backup.unwrap()), Some(&Asked::by("ana")));
    assert_eq!(
        driver.poke(&subject, Task::Backup, Asked::by("eva"), now),
        backup
    );
    driver.end(backup.unwrap(), Ended::Done, now);
    assert_eq!(driver.begin(now), [drill.unwrap()]);
    let standing = driver.end(drill.unwrap(), Ended::Transient("no route".to_owned()), now);
    assert_eq!(standing.state.retry_at, None, "whoever asked sees it");
    assert_eq!(driver.wakes(), Some(at("2026-11-01T02:00:00Z")));
    assert!(driver.begin(now).is_empty());
    assert_eq!(driver.begin(at("2026-11-01T02:00:00Z")), [backup.unwrap()]);
}

#[test]
fn what_is_asked_for_waits_for_a_lock_as_it_was_asked_for() {
    let mut jobs = vec![standing("a", Task::Drill, "daily 03:00")];
    jobs[0].job.plan = None;
    let mut driver = Driver::new(jobs, 2, at(BEGIN));
    let mut now = at("2026-11-01T01:00:00Z");
    let subject = Subject::Source("a".parse().unwrap());
    let asked = Asked {
        keep: true,
        ..Asked::by("ana")
    };
    driver.poke(&subject, Task::Drill, asked.clone(), now);
    let job = only(&mut driver, now);
    driver.end(job, Ended::Locked(String::new()), now);
    assert!(driver.begin(now).is_empty());
    assert_eq!(driver.wakes(), Some(now + 1.minutes()));
    now += 1.minutes();
    assert_eq!(only(&mut driver, now), job);
    assert_eq!(driver.asked(job), Some(&asked));
}

#[test]
fn what_was_asked_for_and_died_is_not_done_again() {
    let mut jobs = vec![standing("a", Task::Drill, "daily 03:00")];
    jobs[0].job.plan = None;
    let mut driver = Driver::new(jobs, 2, at(BEGIN));
    let now = at("2026-11-01T01:00:00Z");
    let subject = Subject::Source("a".parse().unwrap());
    driver.poke(&subject, Task::Drill, Asked::by("ana"), now);
    let job = only(&mut driver, now);
    let remembered = driver.standing(job).clone();
    let driver = Driver::new(vec![remembered], 2, now);
    assert_eq!(driver.wakes(), None);
    let (_, standing) = driver.standings().next().unwrap();
    assert_eq!(standing.state.last.as_ref().unwrap().outcome, Outcome::Died);
}

#[test]
fn a_drill_is_not_passed_over_for_ever() {
    let jobs = vec![
        standing("a", Task::Backup, "every 10m"),
        standing("a", Task::Drill, "daily 00:10"),
    ];
    let mut driver = Driver::new(jobs, 2, at(BEGIN));
    let mut now = at("2026-11-01T00:10:00Z");
    let mut begun = Vec::new();
    for _ in 0..3 {
        let job = only(&mut driver, now);
        begun.extend(names(&driver, &[job]));
        now += 15.minutes();
        driver.end(job, Ended::Done, now);
    }
    assert_eq!(begun, ["backup of a", "drill of a", "backup of a"]);
}

#[test]
fn a_run_that_hangs_keeps_its_source_and_not_its_room() {
    let jobs = vec![
        standing("a", Task::Backup, "daily 02:00"),
        standing("a", Task::Drill, "daily 02:30"),
        standing("b", Task::Backup, "daily 02:30"),
    ];
    let mut driver = Driver::new(jobs, 1, at(BEGIN));
    let hangs = only(&mut driver, at("2026-11-01T02:00:00Z"));
    let now = at("2026-11-01T03:00:00Z");
    assert!(driver.begin(now).is_empty());
    driver.gives_up_on(hangs, "it hangs".to_owned(), now);
    let last = driver.standing(hangs).state.last.clone().unwrap();
    assert_eq!(
        (last.outcome, last.message.as_str()),
        (Outcome::Failed, "it hangs")
    );
    let begun = driver.begin(now);
    assert_eq!(names(&driver, &begun), ["backup of b"]);
    driver.end(begun[0], Ended::Done, now);
    assert!(driver.begin(now).is_empty(), "nothing else is done to a");
    driver.end(hangs, Ended::Interrupted, now);
    let begun = driver.begin(now);
    assert_eq!(names(&driver, &begun), ["drill of a"]);
}

fn job(source: &str, task: Task, schedule: &str) -> Job {
    standing(source, task, schedule).job
}

#[test]
fn other_jobs_take_the_place_of_those_there_were() {
    let jobs = vec![
        standing("goes", Task::Backup, "daily 02:00"),
        standing("runs", Task::Backup, "daily 02:00"),
        standing("stays", Task::Backup, "daily 06:00"),
        standing("moves", Task::Backup, "daily 05:00"),
    ];
    let mut driver = Driver::new(jobs, 1, at(BEGIN));
    let now = at("2026-11-01T02:00:00Z");
    let goes = only(&mut driver, now);
    driver.end(goes, Ended::Done, now);
    let runs = only(&mut driver, now);
    let now = at("2026-11-01T05:30:00Z");
    let new = driver.replace(
        vec![
            job("stays", Task::Backup, "daily 06:00"),
            job("moves", Task::Backup, "daily 04:00"),
            job("comes", Task::Backup, "daily 04:00"),
        ],
        now,
    );
    assert_eq!(new.len(), 1);
    for job in new {
        let state = JobState::new(now);
        driver.add(Standing { job, state }, now);
    }
    assert!(
        driver.begin(now).is_empty(),
        "one at a time, and that one goes on"
    );
    let runs_subject = driver.standing(runs).job.subject.clone();
    assert_eq!(
        driver.poke(&runs_subject, Task::Backup, Asked::by("ana"), now),
        None
    );
    let standing = driver.end(runs, Ended::Done, now);
    assert_eq!(standing.state.last.unwrap().outcome, Outcome::Succeeded);
    assert_eq!(driver.standings().count(), 3);
    // The old time was waiting when the schedule was changed; the new one lay behind.
    let moves = only(&mut driver, now);
    assert_eq!(names(&driver, &[moves]), ["backup of moves"]);
    driver.end(moves, Ended::Done, now);
    assert!(driver.begin(now).is_empty());
    assert_eq!(driver.wakes(), Some(at("2026-11-01T06:00:00Z")));
}

#[test]
fn other_hours_of_quiet_leave_a_schedule_as_it_is() {
    let mut driver = Driver::new(
        vec![standing("a", Task::Backup, "daily 02:00")],
        1,
        at(BEGIN),
    );
    let now = at("2026-11-01T09:00:00Z");
    let mut quiet = job("a", Task::Backup, "daily 02:00");
    quiet.plan.as_mut().unwrap().windows = vec!["08:00-20:00".parse().unwrap()];
    assert!(driver.replace(vec![quiet], now).is_empty());
    assert_eq!(
        driver.begin(now).len(),
        1,
        "what was missed has begun to be due before these hours"
    );
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
            let busy: Vec<&Subject> = ends.keys().map(|job| &driver.standing(*job).job.subject).collect();
            prop_assert!(busy.len() <= month.runs_max);
            prop_assert_eq!(busy.iter().collect::<BTreeSet<_>>().len(), busy.len());
            // Nobody who could run waits: whoever is due is held by its source, or by the limit.
            for (_, standing) in driver.standings() {
                let Standing { job, state } = standing;
                if state.running_since.is_none() && job.due(state.handled, now).is_some() {
                    prop_assert!(busy.contains(&&job.subject) || busy.len() == month.runs_max);
                }
            }
            // Whatever happens next; nothing lies between.
            let next = driver.wakes().into_iter()
                .chain(ends.values().map(|(at, _)| *at))
                .chain(kill.map(|(at, _)| at))
                .filter(|at| *at > now)
                .min();
            now = next.unwrap_or(end);
        }
    }
}
