//! When the jobs of a source were due last, and are next, and which are being tried again: what its standing is
//! judged by.

use jiff::{SignedDuration, Timestamp};
use resguardo_ops::status::{Timing, Watched};

use crate::agenda::{Job, Subject, Task};
use crate::driver::JobState;
use crate::run::Memory;

/// How far back a schedule is looked for its last time, one after the other: most come often.
const BACK_HOURS: [i64; 6] = [2, 26, 8 * 24, 32 * 24, 367 * 24, 9 * 366 * 24];

/// A try that is so late is none: nobody is there who would make it. A run that goes on for longer is still one,
/// by its line in the catalog; where none says so, whoever began it has not ended it, and may be gone.
const GIVEN_UP_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// When a job was due last and is next. What its schedule named before the job was known was never due.
#[must_use]
pub fn of(job: &Job, state: Option<&JobState>, now: Timestamp) -> Timing {
    let mut windows = BACK_HOURS.into_iter();
    let last = windows.find_map(|hours| {
        let begin = now.checked_sub(SignedDuration::from_hours(hours)).ok()?;
        job.due(begin, now)
    });
    let known = |due: Timestamp| state.is_none_or(|state| due >= state.handled);
    Timing {
        last_due: last
            .filter(|due| known(due.scheduled))
            .map(|due| due.begins),
        next: job
            .next(last.map_or(now, |due| due.scheduled))
            .map(|due| due.begins),
    }
}

/// Tells of watched sources when they are due, by the jobs that there are. What is remembered of a job and
/// cannot be read now is as if nothing were.
pub fn fill(watched: &mut [Watched], jobs: &[Job], memory: &dyn Memory, now: Timestamp) {
    for one in watched {
        let timing = |task: Task| {
            let is_of_source = |job: &&Job| job.subject.source() == Some(&one.source);
            let mut scheduled = jobs.iter().filter(|job| job.plan.is_some());
            let job = scheduled.find(|job| job.task == task && is_of_source(job))?;
            let state = memory.state(&job.subject, task).ok().flatten();
            Some(of(job, state.as_ref(), now))
        };
        let (backup, drill) = (timing(Task::Backup), timing(Task::Drill));
        let subject = Subject::Source(one.source.clone());
        let retried = |task: Task| {
            let state = memory.state(&subject, task).ok().flatten()?;
            Some((task.verb()?, retried_since(&state, now)?))
        };
        let retried = Task::OF_SOURCES.into_iter().filter_map(retried).collect();
        (one.backup, one.drill, one.retried) = (backup, drill, retried);
    }
}

/// Since when a job is being done or tried again for a time of its schedule: what failed since then is not
/// given up. `None`: it is not, or whoever was to try it again has not for long.
fn retried_since(state: &JobState, now: Timestamp) -> Option<Timestamp> {
    let waits = |at: Timestamp| now.duration_since(at) <= GIVEN_UP_AFTER;
    let runs = state.running_since.is_some_and(waits) && !state.out_of_turn;
    (runs || state.retry_at.is_some_and(waits)).then_some(state.handled)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use jiff::tz::TimeZone;

    use super::*;
    use crate::agenda::{Limits, Plan};

    fn job(schedule: &str) -> Job {
        Job {
            subject: Subject::Source("shop".parse().unwrap()),
            task: Task::Drill,
            plan: Some(Plan {
                schedule: schedule.parse().unwrap(),
                zone: TimeZone::get("America/Bogota").unwrap(),
                windows: Vec::new(),
                jitter: None,
            }),
            limits: Limits::default(),
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_last_time_is_found_however_seldom_it_comes() {
        let now = at("2026-11-22T12:00:00Z");
        for (schedule, last, next) in [
            ("every 15m", "2026-11-22T12:00:00Z", "2026-11-22T12:15:00Z"),
            (
                "daily 02:00",
                "2026-11-22T07:00:00Z",
                "2026-11-23T07:00:00Z",
            ),
            (
                "monthly 1 04:00",
                "2026-11-01T09:00:00Z",
                "2026-12-01T09:00:00Z",
            ),
            (
                "yearly 01-15 04:00",
                "2026-01-15T09:00:00Z",
                "2027-01-15T09:00:00Z",
            ),
            ("0 4 29 2 *", "2024-02-29T09:00:00Z", "2028-02-29T09:00:00Z"),
        ] {
            let timing = of(&job(schedule), None, now);
            assert_eq!(timing.last_due, Some(at(last)), "{schedule}");
            assert_eq!(timing.next, Some(at(next)), "{schedule}");
        }
    }

    #[test]
    fn what_is_tried_again_is_so_since_its_schedule_named_it() {
        let now = at("2026-11-22T12:00:00Z");
        let handled = at("2026-11-22T07:00:00Z");
        let new = JobState::new(handled);
        assert_eq!(retried_since(&new, now), None);
        let waits = |retry: &str| JobState {
            retry_at: Some(at(retry)),
            ..new.clone()
        };
        assert_eq!(
            retried_since(&waits("2026-11-22T12:05:00Z"), now),
            Some(handled)
        );
        // Nobody has made that try.
        assert_eq!(retried_since(&waits("2026-11-22T10:59:00Z"), now), None);
        let runs = |out_of_turn| JobState {
            running_since: Some(now),
            out_of_turn,
            ..new.clone()
        };
        assert_eq!(retried_since(&runs(false), now), Some(handled));
        // Whoever began it was killed, and nothing of it runs.
        let stale = JobState {
            running_since: Some(at("2026-11-22T10:59:00Z")),
            ..new.clone()
        };
        assert_eq!(retried_since(&stale, now), None);
        // Whoever asked for it sees how it ends: it is not tried again.
        assert_eq!(retried_since(&runs(true), now), None);
    }

    #[test]
    fn what_came_before_the_job_was_known_was_never_due() {
        let now = at("2026-11-22T12:00:00Z");
        let job = job("monthly 1 04:00");
        let new = JobState::new(at("2026-11-20T10:00:00Z"));
        let timing = of(&job, Some(&new), now);
        assert_eq!(timing.last_due, None);
        assert_eq!(timing.next, Some(at("2026-12-01T09:00:00Z")));
        // One that was begun then, and one that was not begun because nothing ran.
        for handled in ["2026-11-01T09:00:00Z", "2026-10-01T09:00:00Z"] {
            let state = JobState::new(at(handled));
            assert_eq!(
                of(&job, Some(&state), now).last_due,
                Some(at("2026-11-01T09:00:00Z"))
            );
        }
    }
}
