//! What is due, and what comes next. Pure: it is told the time, and what was done last.
//!
//! Invariants, which the tests hold it to over simulated years:
//!
//! - Each time of a schedule is run once at most, also when the clock is set back by up to two hours.
//! - What was missed while nothing ran is made up for once, not as often as it was missed.
//!
//! That a clock which was ahead and is put right silences no schedule is the driver's: it forgets what was run by such a
//! clock.

use std::fmt;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use resguardo_model::duration::Span;
use resguardo_model::receipt::Verb;
use resguardo_model::{Schedule, SourceName};
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::window::{self, Window};

/// How far behind the last run the clock may be before it is said to have been wrong then.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_hours(2);

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// A backup is taken, and sent to the copies.
    Backup,
    /// What copies lack is sent to them.
    Copy,
    /// What is stored is compared with what was promised.
    Verify,
    /// A backup is restored and checked.
    Drill,
    /// What the retention lets go of is deleted, in the vault and at its copies.
    Prune,
    /// A backup is restored to a new place beside its source: never by schedule.
    Restore,
    /// What runs that died left on this machine is removed.
    Sweep,
}

impl Task {
    /// All that are done to a source.
    pub const OF_SOURCES: [Self; 6] = [
        Self::Backup,
        Self::Copy,
        Self::Verify,
        Self::Drill,
        Self::Prune,
        Self::Restore,
    ];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Copy => "copy",
            Self::Verify => "verify",
            Self::Drill => "drill",
            Self::Prune => "prune",
            Self::Restore => "restore",
            Self::Sweep => "sweep",
        }
    }

    /// What its runs are called in the catalog; `None`: they do not stand there.
    #[must_use]
    pub fn verb(self) -> Option<Verb> {
        match self {
            Self::Backup => Some(Verb::Backup),
            Self::Copy => Some(Verb::Copy),
            Self::Verify => Some(Verb::Verify),
            Self::Drill => Some(Verb::Drill),
            Self::Prune => Some(Verb::Prune),
            Self::Restore => Some(Verb::Restore),
            Self::Sweep => None,
        }
    }
}

/// What something is done to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// This machine, and no source.
    Machine,
    /// A source: one thing at a time is done to it.
    Source(SourceName),
}

impl Subject {
    /// The source, if it is one.
    #[must_use]
    pub fn source(&self) -> Option<&SourceName> {
        match self {
            Self::Machine => None,
            Self::Source(name) => Some(name),
        }
    }
}

impl From<SourceName> for Subject {
    fn from(name: SourceName) -> Self {
        Self::Source(name)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Machine => f.write_str("this machine"),
            Self::Source(name) => name.fmt(f),
        }
    }
}

impl Serialize for Subject {
    /// The name, or null.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.source().serialize(serializer)
    }
}

/// When something is done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The schedule.
    pub schedule: Schedule,
    /// The zone of its clock, and of the windows'.
    pub zone: TimeZone,
    /// Nothing begins in these; it waits for their end.
    pub windows: Vec<Window>,
    /// It begins up to so much later, always equally much for one time of one source, so that not
    /// everything begins at once.
    pub jitter: Option<Span>,
}

/// How long a run may take. Nothing said: as long as it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// In all.
    pub deadline: Option<Span>,
    /// Without any progress.
    pub silence: Option<Span>,
}

/// Something that is done again and again, or when somebody asks for it.
#[derive(Clone, Debug)]
pub struct Job {
    /// To whom.
    pub subject: Subject,
    /// What is done.
    pub task: Task,
    /// When; `None`: only when somebody asks for it.
    pub plan: Option<Plan>,
    /// How long it may take.
    pub limits: Limits,
}

/// A time of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    /// The time that the schedule names; what was done is remembered by it.
    pub scheduled: Timestamp,
    /// When it begins: later by jitter and windows.
    pub begins: Timestamp,
}

impl Job {
    /// What it is, in words: `backup of shop`.
    #[must_use]
    pub fn name(&self) -> String {
        name_of(&self.subject, self.task)
    }

    /// The time that comes after `after`. `None`: never, as there is no schedule, or windows leave no room.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Due> {
        let plan = self.plan.as_ref()?;
        let scheduled = plan.schedule.after(after, &plan.zone)?;
        let begins = scheduled.checked_add(self.jitter(plan, scheduled)).ok()?;
        let begins = window::first_free(&plan.windows, begins, &plan.zone)?;
        Some(Due { scheduled, begins })
    }

    /// What is to be run now, if `last` is the newest time that was run, or since when the job is known.
    /// Of several that were missed it is the newest.
    #[must_use]
    pub fn due(&self, last: Timestamp, now: Timestamp) -> Option<Due> {
        let mut found = None;
        let mut due = self.next(last)?;
        while due.begins <= now {
            found = Some(due);
            due = match self.next(due.scheduled) {
                Some(due) => due,
                None => return found,
            };
        }
        found
    }

    fn jitter(&self, plan: &Plan, scheduled: Timestamp) -> SignedDuration {
        let Some(jitter) = plan.jitter else {
            return SignedDuration::ZERO;
        };
        let mut hash = Sha256::new();
        hash.update(self.subject.source().map_or("", SourceName::as_str));
        hash.update([0]);
        hash.update(self.task.word());
        hash.update(scheduled.as_second().to_le_bytes());
        let bytes = hash.finalize();
        let number = u64::from_le_bytes(bytes[..8].try_into().expect("a digest has 32 bytes"));
        let seconds = number % (jitter.seconds() + 1);
        SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(0))
    }
}

/// What is done to whom, in words: `backup of shop`.
pub(crate) fn name_of(subject: &Subject, task: Task) -> String {
    match subject {
        Subject::Machine => task.word().to_owned(),
        Subject::Source(name) => format!("{} of {name}", task.word()),
    }
}

/// Whether a run is so far ahead that a clock told it that was wrong.
pub(crate) fn is_ahead(last: Timestamp, now: Timestamp) -> bool {
    last.duration_since(now) > CLOCK_SLACK
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use jiff::ToSpan as _;
    use proptest::prelude::*;

    use super::*;

    fn job(schedule: &str, zone: &str) -> Job {
        Job {
            subject: Subject::Source("shop".parse().unwrap()),
            task: Task::Backup,
            plan: Some(Plan {
                schedule: schedule.parse().unwrap(),
                zone: TimeZone::get(zone).unwrap(),
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
    fn what_was_missed_is_made_up_for_once() {
        let job = job("daily 02:00", "UTC");
        let last = at("2026-11-01T02:00:00Z");
        let due = job.due(last, at("2026-11-22T09:00:00Z")).unwrap();
        assert_eq!(due.scheduled, at("2026-11-22T02:00:00Z"));
        assert_eq!(job.due(due.scheduled, at("2026-11-22T09:00:00Z")), None);
        assert_eq!(
            job.next(due.scheduled).map(|next| next.begins),
            Some(at("2026-11-23T02:00:00Z"))
        );
    }

    #[test]
    fn a_clock_that_is_set_back_an_hour_runs_nothing_twice() {
        let job = job("daily 02:00", "UTC");
        let last = at("2026-11-22T02:00:00Z");
        assert_eq!(job.due(last, at("2026-11-22T01:30:00Z")), None);
        assert_eq!(job.due(last, at("2026-11-22T02:00:00Z")), None);
    }

    #[test]
    fn jitter_is_bounded_and_always_the_same() {
        let mut jittered = job("daily 02:00", "UTC");
        jittered.plan.as_mut().unwrap().jitter = Some("10m".parse().unwrap());
        let mut other = jittered.clone();
        other.subject = Subject::Source("blog".parse().unwrap());
        let (mut instant, mut differ) = (at("2026-01-01T00:00:00Z"), false);
        for _ in 0..100 {
            let due = jittered.next(instant).unwrap();
            assert_eq!(jittered.next(instant), Some(due));
            let late = due.begins.duration_since(due.scheduled);
            assert!(late >= SignedDuration::ZERO && late <= SignedDuration::from_mins(10));
            differ |= other.next(instant).unwrap() != due;
            instant = due.scheduled;
        }
        assert!(differ);
    }

    #[test]
    fn a_window_puts_it_off_and_drops_nothing() {
        let mut job = job("daily 12:00", "America/Bogota");
        job.plan.as_mut().unwrap().windows = vec!["08:00-20:00".parse().unwrap()];
        let due = job.next(at("2026-11-22T00:00:00Z")).unwrap();
        assert_eq!(due.scheduled, at("2026-11-22T17:00:00Z"));
        assert_eq!(due.begins, at("2026-11-23T01:00:00Z"));
        assert_eq!(
            job.due(at("2026-11-22T00:00:00Z"), at("2026-11-23T00:59:00Z")),
            None
        );
        assert_eq!(
            job.due(at("2026-11-22T00:00:00Z"), at("2026-11-23T01:00:00Z")),
            Some(due)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        /// Someone who looks at a list of all times, at odd moments, after stops of days, with a clock that
        /// is set back a little now and then.
        #[test]
        fn agrees_with_a_list_of_all_times(
            which in 0..6_usize,
            place in 0..4_usize,
            jitter in proptest::option::of(0..90_u64),
            steps in proptest::collection::vec((-60..4000_i64, any::<bool>()), 1..400),
        ) {
            let schedule = ["daily 02:30", "every 6h", "hourly :15", "weekly sunday 04:00", "30 2,14 * * *", "monthly last 23:00"][which];
            let mut job = job(schedule, ["UTC", "Europe/Madrid", "America/Santiago", "Australia/Lord_Howe"][place]);
            job.plan.as_mut().unwrap().jitter = jitter.map(|minutes| Span::from_seconds(minutes * 60));
            let begin = at("2026-01-01T00:00:00Z");
            let mut all = Vec::new();
            let mut next = job.next(begin);
            while let Some(due) = next.filter(|due| due.scheduled < begin + (24 * 1200).hours()) {
                all.push(due);
                next = job.next(due.scheduled);
            }
            let (mut now, mut last, mut newest) = (begin, begin, begin);
            let mut run = Vec::new();
            for (minutes, long) in steps {
                now = (now + (if long { minutes } else { minutes % 50 }).minutes()).max(newest - 60.minutes());
                newest = newest.max(now);
                // Jitter may let a later time begin before an earlier one: the list is read to the first that waits.
                let ready = all.iter().filter(|due| due.scheduled > last).take_while(|due| due.begins <= now);
                let expected = ready.last().copied();
                let due = job.due(last, now);
                prop_assert_eq!(due, expected);
                if let Some(due) = due {
                    prop_assert!(due.scheduled > last);
                    last = due.scheduled;
                    run.push(due.scheduled);
                }
            }
            let count = run.len();
            run.dedup();
            prop_assert_eq!(run.len(), count);
        }
    }
}
