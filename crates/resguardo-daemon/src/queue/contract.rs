//! What every queue does. The one in memory and the one in PostgreSQL pass the same.

#![allow(clippy::unwrap_used, reason = "test")]

use super::memory::MemoryQueue;
use super::*;

const BEGIN: &str = "2026-11-22T02:00:00Z";

/// Two processes at one queue, and how to let a lease run out.
pub(super) struct Pair<'a> {
    pub(super) one: &'a dyn Queue,
    pub(super) other: &'a dyn Queue,
    pub(super) run_out: &'a dyn Fn(),
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn new() -> JobState {
    JobState::new(at(BEGIN))
}

fn running() -> JobState {
    JobState {
        running_since: Some(at(BEGIN)),
        ..new()
    }
}

fn failed(failures: u32) -> JobState {
    JobState { failures, ..new() }
}

fn source(name: &str) -> SourceName {
    name.parse().unwrap()
}

fn known(queue: &dyn Queue, name: &str, task: Task) -> Known {
    let seen = queue.look().unwrap();
    let mut jobs = seen.jobs.into_iter();
    let is_it = |known: &Known| known.source == source(name) && known.task == task;
    jobs.find(is_it).unwrap()
}

fn claim(queue: &dyn Queue, name: &str, task: Task) -> Option<Ticket> {
    let revision = known(queue, name, task).revision;
    queue
        .claim(&source(name), task, revision, &running())
        .unwrap()
}

/// Everything, each on sources of its own.
pub(super) fn holds(pair: &Pair<'_>) {
    what_is_known_stays_as_it_is(pair);
    a_source_is_held_by_one(pair);
    who_saw_something_else_is_refused(pair);
    who_lost_a_source_writes_nothing_of_it(pair);
    who_is_late_and_was_not_missed_holds_on(pair);
    what_is_held_without_a_claim_is_let_go(pair);
    texts_come_back_as_they_are(pair);
}

fn introduce(pair: &Pair<'_>, name: &str, tasks: &[Task]) {
    for task in tasks {
        pair.one.introduce(&source(name), *task, &new()).unwrap();
    }
}

fn what_is_known_stays_as_it_is(pair: &Pair<'_>) {
    introduce(pair, "known", &[Task::Backup]);
    let first = known(pair.other, "known", Task::Backup);
    assert_eq!((&first.state, &first.runner), (&new(), &None));
    let state = failed(7);
    pair.other
        .introduce(&source("known"), Task::Backup, &state)
        .unwrap();
    assert_eq!(known(pair.one, "known", Task::Backup), first);
    let seen = pair.one.look().unwrap();
    assert!(seen.jobs.iter().all(|known| known.task != Task::Drill));
    assert_eq!(
        pair.one
            .claim(&source("nobody"), Task::Backup, 1, &running())
            .unwrap(),
        None
    );
}

fn a_source_is_held_by_one(pair: &Pair<'_>) {
    introduce(pair, "held", &[Task::Backup, Task::Drill]);
    introduce(pair, "free", &[Task::Backup]);
    let ticket = claim(pair.one, "held", Task::Backup).unwrap();
    for task in [Task::Backup, Task::Drill] {
        assert_eq!(claim(pair.other, "held", task), None, "{task:?}");
        assert_eq!(claim(pair.one, "held", task), None, "{task:?}");
    }
    let other = claim(pair.other, "free", Task::Backup).unwrap();
    let seen = known(pair.other, "held", Task::Backup);
    assert_eq!(seen.state, running());
    let runner = seen.runner.unwrap();
    assert!(runner.is_heard && !runner.is_us);
    let own = known(pair.one, "held", Task::Backup).runner.unwrap();
    assert!(own.is_heard && own.is_us);
    assert_eq!(known(pair.one, "held", Task::Drill).runner, None);
    // It runs: nobody else says how it stands.
    let drill = known(pair.other, "held", Task::Drill).revision;
    let put = |task, revision| {
        pair.other
            .put(&source("held"), task, revision, &failed(1))
            .unwrap()
    };
    assert!(!put(Task::Backup, seen.revision));
    assert!(!put(Task::Drill, drill));
    assert!(pair.one.keep(&ticket, &failed(1)).unwrap());
    assert!(known(pair.other, "held", Task::Backup).runner.is_some());
    assert!(pair.one.end(&ticket, &failed(2)).unwrap());
    let ended = known(pair.other, "held", Task::Backup);
    assert_eq!((ended.state, ended.runner), (failed(2), None));
    assert!(!pair.one.end(&ticket, &failed(3)).unwrap(), "it ends once");
    let next = claim(pair.other, "held", Task::Drill).unwrap();
    assert!(next.fence > ticket.fence);
    assert!(pair.other.end(&next, &new()).unwrap());
    assert!(pair.other.end(&other, &new()).unwrap());
}

fn who_saw_something_else_is_refused(pair: &Pair<'_>) {
    introduce(pair, "seen", &[Task::Backup]);
    let before = known(pair.other, "seen", Task::Backup).revision;
    let ticket = claim(pair.one, "seen", Task::Backup).unwrap();
    assert!(pair.one.end(&ticket, &failed(1)).unwrap());
    // The same time of a schedule, named by who has not heard that it was run.
    let late = pair
        .other
        .claim(&source("seen"), Task::Backup, before, &running());
    assert_eq!(late.unwrap(), None);
    let put = pair
        .other
        .put(&source("seen"), Task::Backup, before, &failed(9));
    assert!(!put.unwrap());
    let now = known(pair.other, "seen", Task::Backup);
    assert_eq!((now.state, now.runner), (failed(1), None));
    let put = pair
        .other
        .put(&source("seen"), Task::Backup, now.revision, &failed(3));
    assert!(put.unwrap());
    assert_eq!(known(pair.one, "seen", Task::Backup).state, failed(3));
}

fn who_lost_a_source_writes_nothing_of_it(pair: &Pair<'_>) {
    introduce(pair, "lost", &[Task::Backup, Task::Drill]);
    let frozen = claim(pair.one, "lost", Task::Backup).unwrap();
    (pair.run_out)();
    let silent = known(pair.other, "lost", Task::Backup);
    assert!(!silent.runner.unwrap().is_heard);
    // Its end is told before anybody begins anew.
    assert_eq!(claim(pair.other, "lost", Task::Backup), None);
    assert_eq!(claim(pair.other, "lost", Task::Drill), None);
    let bury = || {
        let revision = silent.revision;
        pair.other
            .put(&source("lost"), Task::Backup, revision, &failed(1))
            .unwrap()
    };
    assert!(bury());
    assert!(!bury(), "one of them does");
    // Nobody has claimed it since, and it is lost all the same.
    assert_eq!(pair.one.renew(&[&frozen]).unwrap(), [false]);
    assert!(!pair.one.end(&frozen, &failed(8)).unwrap());
    let next = claim(pair.other, "lost", Task::Backup).unwrap();
    assert!(!pair.one.keep(&frozen, &failed(8)).unwrap());
    assert!(!pair.one.end(&frozen, &failed(8)).unwrap());
    assert_eq!(pair.one.renew(&[&frozen]).unwrap(), [false]);
    assert_eq!(pair.other.renew(&[&next]).unwrap(), [true]);
    assert!(pair.other.end(&next, &failed(2)).unwrap());
    assert_eq!(known(pair.one, "lost", Task::Backup).state, failed(2));
}

fn who_is_late_and_was_not_missed_holds_on(pair: &Pair<'_>) {
    introduce(pair, "late", &[Task::Backup]);
    introduce(pair, "slow", &[Task::Drill]);
    let late = claim(pair.one, "late", Task::Backup).unwrap();
    let slow = claim(pair.one, "slow", Task::Drill).unwrap();
    (pair.run_out)();
    assert_eq!(pair.one.renew(&[&late]).unwrap(), [true]);
    let runner = |name, task| known(pair.other, name, task).runner.unwrap();
    assert!(runner("late", Task::Backup).is_heard);
    assert!(!runner("slow", Task::Drill).is_heard);
    // What it says at its end counts, too.
    assert!(pair.one.end(&slow, &failed(1)).unwrap());
    assert_eq!(pair.one.renew(&[&late, &slow]).unwrap(), [true, false]);
    assert_eq!(pair.one.renew(&[]).unwrap(), [true; 0]);
    assert!(pair.one.end(&late, &new()).unwrap());
}

fn what_is_held_without_a_claim_is_let_go(pair: &Pair<'_>) {
    introduce(pair, "stray", &[Task::Backup]);
    // The answer to a claim was lost on its way.
    let lost = claim(pair.one, "stray", Task::Backup).unwrap();
    let seen = known(pair.one, "stray", Task::Backup);
    let put = |queue: &dyn Queue| {
        queue
            .put(&source("stray"), Task::Backup, seen.revision, &failed(1))
            .unwrap()
    };
    assert!(!put(pair.other));
    assert!(put(pair.one));
    assert_eq!(pair.one.renew(&[&lost]).unwrap(), [false]);
    assert!(claim(pair.other, "stray", Task::Backup).is_some());
}

fn texts_come_back_as_they_are(pair: &Pair<'_>) {
    introduce(pair, "texts", &[Task::Verify]);
    let message = "it's \"odd\": \\ $1 %s {} \u{1b} ñ 日 \n; drop table jobs --".to_owned();
    let state = JobState {
        last: Some(crate::driver::LastRun {
            began_at: at(BEGIN),
            ended_at: at("2026-11-22T02:00:01.123456789Z"),
            outcome: crate::driver::Outcome::Failed,
            message,
        }),
        ..new()
    };
    let revision = known(pair.one, "texts", Task::Verify).revision;
    let put = pair
        .one
        .put(&source("texts"), Task::Verify, revision, &state);
    assert!(put.unwrap());
    assert_eq!(known(pair.other, "texts", Task::Verify).state, state);
}

#[test]
fn the_one_in_memory() {
    let one = MemoryQueue::new(at(BEGIN), "one", Duration::from_secs(60));
    let other = one.of("other");
    holds(&Pair {
        one: &one,
        other: &other,
        run_out: &|| one.pass(Duration::from_secs(60)),
    });
}
