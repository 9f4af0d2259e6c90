//! One job among those of a driver: whether it waits, since when, and what becomes of it when its run ends.

use jiff::{SignedDuration, Timestamp};

use super::state::{JobState, LastRun, Outcome, Standing};
use crate::agenda::{self, Due, Job};
use crate::poke::Asked;

/// How long after a failure it is tried again: after the first, the second, ...
pub(super) const BACK_OFF_MINUTES: [i64; 6] = [1, 5, 15, 30, 60, 60];

/// How long until a source is asked again that somebody else works on.
const LOCKED_AGAIN: SignedDuration = SignedDuration::from_mins(1);

/// A job, and when the time after the one that was handled begins: to look it up takes long.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) standing: Standing,
    pub(super) next: Option<Due>,
    /// Somebody asked for it, and it has not begun; it may from then on.
    pub(super) asked: Option<(Timestamp, Asked)>,
    /// What the run that has not ended was asked to be.
    pub(super) running_for: Option<Asked>,
    /// A backup went first although it had waited longer: the next does not.
    pub(super) passed_over: bool,
    /// Its run was told to stop and does not; nobody waits for it.
    pub(super) hangs: bool,
    /// It is not configured any more, and goes when its run has ended.
    pub(super) dropped: bool,
    /// Another machine runs it.
    pub(super) is_elsewhere: bool,
    /// How it stood before its run began, while that may be taken back.
    before: Option<JobState>,
    /// It does not begin before: it was taken back.
    not_before: Option<Timestamp>,
}

impl Slot {
    pub(super) fn of(standing: Standing) -> Self {
        let next = standing.job.next(standing.state.handled);
        Self {
            standing,
            next,
            asked: None,
            running_for: None,
            passed_over: false,
            hangs: false,
            dropped: false,
            is_elsewhere: false,
            before: None,
            not_before: None,
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.standing.state.running_since.is_some()
    }

    /// What is to be run now.
    pub(super) fn due(&self, now: Timestamp) -> Option<Due> {
        let is_time = self.next.is_some_and(|next| next.begins <= now);
        let Standing { job, state } = &self.standing;
        is_time.then(|| job.due(state.handled, now)).flatten()
    }

    /// When that has to be asked again.
    pub(super) fn wakes(&self) -> Option<Timestamp> {
        self.next.map(|next| next.begins)
    }

    /// The same, for the schedule, a further try, and whoever asked.
    pub(super) fn wakes_for_anything(&self) -> Option<Timestamp> {
        let retry = self.standing.state.retry_at;
        let asked = self.asked.as_ref().map(|(at, _)| *at);
        let first = self.wakes().into_iter().chain(retry).chain(asked).min()?;
        Some(self.not_before.map_or(first, |at| first.max(at)))
    }

    /// Forgets what a clock said that was ahead then, and is put right: nothing waits until it has caught up.
    /// Whether it did.
    pub(super) fn put_right(&mut self, now: Timestamp) -> bool {
        let is_ahead = |at: &mut Timestamp| {
            let is_ahead = agenda::is_ahead(*at, now);
            if is_ahead {
                *at = now;
            }
            is_ahead
        };
        let state = &mut self.standing.state;
        let handled = is_ahead(&mut state.handled);
        if handled {
            self.next = self.standing.job.next(now);
        }
        let retry = state.retry_at.as_mut().is_some_and(is_ahead);
        let asked = self.asked.as_mut().is_some_and(|(at, _)| is_ahead(at));
        self.not_before = self.not_before.filter(|at| !agenda::is_ahead(*at, now));
        handled || retry || asked
    }

    /// Since when it waits to be begun.
    pub(super) fn ready_since(&self, now: Timestamp) -> Option<Timestamp> {
        if self.is_running() || self.dropped || self.not_before.is_some_and(|at| now < at) {
            return None;
        }
        let due = self.due(now).map(|due| due.begins);
        let retry = self.standing.state.retry_at.filter(|at| *at <= now);
        let asked = self.asked.as_ref().map(|(at, _)| *at);
        let asked = asked.filter(|at| *at <= now);
        due.into_iter().chain(retry).chain(asked).min()
    }

    pub(super) fn handle(&mut self, due: Due) {
        self.standing.state.handled = due.scheduled;
        self.next = self.standing.job.next(due.scheduled);
    }

    pub(super) fn begin(&mut self, now: Timestamp) {
        self.before = Some(self.standing.state.clone());
        self.not_before = None;
        let due = self.due(now);
        let retry = self.standing.state.retry_at;
        if let Some(due) = due {
            self.handle(due);
            self.standing.state.failures = 0;
        }
        self.running_for = self.asked.take().map(|(_, asked)| asked);
        self.passed_over = false;
        let state = &mut self.standing.state;
        state.out_of_turn = due.is_none() && retry.is_none();
        state.retry_at = None;
        state.running_since = Some(now);
    }

    /// As if its run had not begun; not tried again before `until`.
    pub(super) fn take_back(&mut self, until: Timestamp) {
        if let Some(before) = self.before.take() {
            self.stands(before);
        }
        self.asked = self.running_for.take().map(|asked| (until, asked));
        self.not_before = Some(until);
    }

    /// It stands as somebody else wrote it down.
    pub(super) fn stands(&mut self, state: JobState) {
        self.next = self.standing.job.next(state.handled);
        self.standing.state = state;
        self.is_elsewhere = false;
    }

    /// With the job as it is configured now. What another schedule named before is not made up for; what the
    /// old one named and has not begun is.
    pub(super) fn replace(&mut self, job: Job, now: Timestamp) {
        let times = |job: &Job| {
            let plan = job.plan.as_ref();
            plan.map(|plan| (plan.schedule.to_string(), plan.zone.clone()))
        };
        let is_another = times(&self.standing.job) != times(&job);
        let waits = self.due(now).is_some();
        self.standing.job = job;
        self.dropped = false;
        let state = &mut self.standing.state;
        if is_another {
            if waits {
                state.retry_at = Some(now);
            }
            state.handled = now;
        }
        self.next = self.standing.job.next(self.standing.state.handled);
    }

    /// Takes down how its run ended; it is tried again where that may help.
    pub(super) fn close(&mut self, outcome: Outcome, message: String, now: Timestamp, again: bool) {
        let next = self.wakes();
        self.hangs = false;
        self.is_elsewhere = false;
        self.before = None;
        let asked = self.running_for.take();
        let state = &mut self.standing.state;
        let began_at = state.running_since.take().unwrap_or(now);
        state.last = Some(LastRun {
            began_at,
            ended_at: now,
            outcome,
            message,
        });
        state.retry_at = None;
        if outcome == Outcome::Locked {
            state.locked = state.locked.saturating_add(1);
            let retry = now.checked_add(LOCKED_AGAIN).ok();
            match (retry, asked) {
                (Some(at), Some(asked)) => self.asked = Some((at, asked)),
                (retry, _) => state.retry_at = retry.filter(|at| is_before(*at, next)),
            }
            return;
        }
        state.locked = 0;
        if outcome == Outcome::Succeeded {
            state.failures = 0;
            return;
        }
        let tried = usize::try_from(state.failures).unwrap_or(usize::MAX);
        state.failures = state.failures.saturating_add(1);
        // Whoever asked for a run sees how it ended, and asks again if he likes.
        if again && !state.out_of_turn {
            let minutes = BACK_OFF_MINUTES.get(tried).copied();
            let wait = minutes.map(SignedDuration::from_mins);
            let retry = wait.and_then(|wait| now.checked_add(wait).ok());
            state.retry_at = retry.filter(|at| is_before(*at, next));
        }
    }
}

fn is_before(at: Timestamp, next: Option<Timestamp>) -> bool {
    next.is_none_or(|next| at < next)
}
