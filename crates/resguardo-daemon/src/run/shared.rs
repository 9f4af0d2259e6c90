//! Work that is shared with other daemons by a [`Queue`].
//!
//! Written down in this order: the source is claimed before its run begins, and let go with the run's end. A queue that
//! cannot be reached keeps nothing from going on, and everything from beginning; what ended meanwhile is written down
//! once it can be.
//!
//! Whoever was silent for longer than a lease may have lost what he runs: he hears it at his next word, and stops it;
//! what has become of it is by then another's to say. Nobody is said to have died by one who has not heard the queue
//! himself for a lease's time without a break: it may have been the queue that was silent.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use resguardo_model::SourceName;

use super::{Around, Daemon};
use crate::agenda::{Job, Subject, Task};
use crate::driver::{JobNumber, JobState, Standing};
use crate::queue::{Known, Queue, Runner, Seen, Ticket};

/// How long until a job is looked at again that somebody else was about to write of.
const AGAIN: SignedDuration = SignedDuration::from_secs(1);
/// How often it is looked at what others do, at least.
const LOOK_MAX: Duration = Duration::from_secs(5);
/// Clocks that differ by less are the same.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_secs(2);
/// Clocks that differ by more are told of.
const CLOCK_ODD: SignedDuration = SignedDuration::from_mins(1);

/// What is said of an end that was lost.
const NOT_WRITTEN: &str = "it ended here, and that is not written down";

pub(super) struct Shared<'a> {
    queue: &'a dyn Queue,
    /// The revision of each job as it is known here.
    revisions: BTreeMap<(SourceName, Task), i64>,
    /// Jobs that were made known by this process.
    introduced: BTreeSet<(SourceName, Task)>,
    /// Claims of runs that go on.
    tickets: BTreeMap<JobNumber, Ticket>,
    /// Ends that could not be written yet.
    ended: Vec<(Ticket, JobState)>,
    /// When the queue was asked last, by the stopwatch; `None`: it is to be asked at once.
    asked_at: Option<Duration>,
    /// Since when it has answered every time.
    steady_since: Option<Duration>,
    /// It was said that it does not.
    is_told: bool,
    /// How far its clock is ahead of ours.
    ahead: SignedDuration,
    is_clock_told: bool,
}

impl<'a> Shared<'a> {
    pub(super) fn of(around: &'a Around) -> Option<Self> {
        Some(Self {
            queue: around.queue.as_deref()?,
            revisions: BTreeMap::new(),
            introduced: BTreeSet::new(),
            tickets: BTreeMap::new(),
            ended: Vec::new(),
            asked_at: None,
            steady_since: None,
            is_told: false,
            ahead: SignedDuration::ZERO,
            is_clock_told: false,
        })
    }

    /// Whether a job may begin at all: what is about this machine always may.
    pub(super) fn may_begin(&self, job: &Job) -> bool {
        self.steady_since.is_some() || job.subject.source().is_none()
    }

    /// How often the queue is asked.
    fn every(&self) -> Duration {
        (self.queue.lease() / 4).min(LOOK_MAX)
    }

    /// Tries again what could not be written; answers what ended for others meanwhile.
    fn write_ends(&mut self) -> Result<Vec<Ticket>, String> {
        let mut lost = Vec::new();
        while let Some((ticket, state)) = self.ended.first() {
            if !self.queue.end(ticket, state)? {
                lost.push(ticket.clone());
            }
            self.ended.remove(0);
        }
        Ok(lost)
    }

    /// Runs that are somebody else's by now.
    fn renew(&mut self) -> Result<Vec<JobNumber>, String> {
        if self.tickets.is_empty() {
            return Ok(Vec::new());
        }
        let tickets: Vec<&Ticket> = self.tickets.values().collect();
        let held = self.queue.renew(&tickets)?;
        let numbers: Vec<JobNumber> = self.tickets.keys().copied().collect();
        let lost = numbers.into_iter().zip(held).filter(|(_, held)| !held);
        let lost: Vec<JobNumber> = lost.map(|(number, _)| number).collect();
        for number in &lost {
            self.tickets.remove(number);
        }
        Ok(lost)
    }

    fn is_waiting(&self, source: &SourceName, task: Task) -> bool {
        let mut waiting = self.ended.iter();
        waiting.any(|(ticket, _)| ticket.source == *source && ticket.task == task)
    }

    fn is_steady(&self, elapsed: Duration) -> bool {
        let lease = self.queue.lease();
        self.steady_since
            .is_some_and(|since| elapsed.saturating_sub(since) >= lease)
    }

    /// Why the run of a job is over, whatever was written of it.
    fn is_over(&self, known: &Known, elapsed: Duration) -> Option<String> {
        match &known.runner {
            Some(Runner { is_us: true, .. }) => {
                Some("it was not begun: what the catalog said to its claim was lost".to_owned())
            }
            Some(runner) if !runner.is_heard && self.is_steady(elapsed) => Some(format!(
                "{}, which ran it, was not heard of for {} s",
                runner.host,
                self.queue.lease().as_secs()
            )),
            None if known.state.running_since.is_some() => {
                Some("its process ended without a word".to_owned())
            }
            Some(_) | None => None,
        }
    }
}

impl Daemon<'_> {
    /// The time; where work is shared, by the clock of the queue.
    pub(super) fn now(&self) -> Timestamp {
        let now = self.around.clock.now();
        let ahead = self.shared.as_ref().map(|shared| shared.ahead);
        ahead.map_or(now, |ahead| now.checked_add(ahead).unwrap_or(now))
    }

    /// Whether the queue answered when it was asked last.
    pub(super) fn is_reached(&self) -> bool {
        let shared = self.shared.as_ref();
        shared.is_some_and(|shared| shared.steady_since.is_some())
    }

    /// How long until the queue is to be asked again.
    pub(super) fn asks_in(&self) -> Option<Duration> {
        let shared = self.shared.as_ref()?;
        let elapsed = self.around.stopwatch.elapsed();
        let next = shared.asked_at.map(|at| at + shared.every());
        Some(next.map_or(Duration::ZERO, |next| next.saturating_sub(elapsed)))
    }

    /// Holds what runs, and looks what others did, if it is time for that.
    pub(super) fn share(&mut self) {
        // Twice: what is new is made known, and then seen.
        for _ in 0..2 {
            if self.asks_in() != Some(Duration::ZERO) {
                return;
            }
            self.ask();
        }
    }

    /// The same now; why it could not be done.
    pub(super) fn share_now(&mut self) -> Result<(), String> {
        let Some(shared) = &mut self.shared else {
            return Ok(());
        };
        shared.asked_at = None;
        self.ask();
        match &self.shared {
            Some(shared) if shared.steady_since.is_none() => shared.queue.look().map(|_| ()),
            _ => Ok(()),
        }
    }

    fn ask(&mut self) {
        let Some(shared) = &mut self.shared else {
            return;
        };
        let elapsed = self.around.stopwatch.elapsed();
        shared.asked_at = Some(elapsed);
        let heard = shared.write_ends().and_then(|late| {
            let lost = shared.renew()?;
            Ok((late, lost, shared.queue.look()?))
        });
        match heard {
            Ok((late, lost, seen)) => {
                self.is_heard(elapsed);
                for ticket in &late {
                    self.tell_lost(&ticket.source, ticket.task, NOT_WRITTEN);
                }
                self.lose(&lost);
                self.take_over(seen, elapsed);
            }
            Err(why) => self.is_silent(&why),
        }
    }

    fn is_heard(&mut self, elapsed: Duration) {
        let Some(shared) = &mut self.shared else {
            return;
        };
        if shared.steady_since.is_none() {
            shared.steady_since = Some(elapsed);
        }
        if std::mem::take(&mut shared.is_told) {
            self.around.watch.note("the shared catalog answers again");
        }
    }

    fn is_silent(&mut self, why: &str) {
        let Some(shared) = &mut self.shared else {
            return;
        };
        shared.steady_since = None;
        // It may have been waited for: then not at once again.
        shared.asked_at = Some(self.around.stopwatch.elapsed());
        if !std::mem::replace(&mut shared.is_told, true) {
            self.around.watch.note(&format!(
                "the shared catalog cannot be used: {why}; what runs goes on, and nothing begins until it can"
            ));
        }
    }

    /// A run ended that another machine has taken over.
    pub(super) fn lost(&self, standing: &Standing) {
        if let Some(source) = standing.job.subject.source() {
            self.tell_lost(source, standing.job.task, NOT_WRITTEN);
        }
    }

    fn tell_lost(&self, source: &SourceName, task: Task, what: &str) {
        let name = crate::agenda::name_of(&Subject::Source(source.clone()), task);
        self.around.watch.note(&format!(
            "{name}: {what}: this machine was not heard of for too long, and another one has taken it over"
        ));
    }

    /// Stops runs that are somebody else's by now.
    fn lose(&mut self, lost: &[JobNumber]) {
        for number in lost {
            let Some(running) = self.running.get_mut(number) else {
                continue;
            };
            running.is_lost = true;
            running.cancel.cancel();
            let (key, job) = (running.key, running.job.clone());
            self.around
                .feed
                .stops(key, "another machine has taken it over");
            if let Some(source) = job.subject.source() {
                self.tell_lost(source, job.task, "it is told to stop");
            }
        }
    }

    /// Takes in how everything stands, says of those who were not heard of any more that they died, and makes known
    /// what is not.
    fn take_over(&mut self, seen: Seen, elapsed: Duration) {
        self.set_clock(seen.now);
        let mut unknown: BTreeMap<(SourceName, Task), JobState> = BTreeMap::new();
        for (_, standing) in self.driver.standings() {
            if let Some(source) = standing.job.subject.source() {
                let key = (source.clone(), standing.job.task);
                unknown.insert(key, standing.state.clone());
            }
        }
        for known in seen.jobs {
            unknown.remove(&(known.source.clone(), known.task));
            if let Err(why) = self.take_in(known, elapsed) {
                return self.is_silent(&why);
            }
        }
        for ((source, task), state) in unknown {
            let Some(shared) = &mut self.shared else {
                return;
            };
            if let Err(why) = shared.queue.introduce(&source, task, &state) {
                return self.is_silent(&why);
            }
            // Once: what another version wrote of it may never be read here.
            if shared.introduced.insert((source, task)) {
                shared.asked_at = None;
            }
        }
    }

    fn take_in(&mut self, known: Known, elapsed: Duration) -> Result<(), String> {
        let subject = Subject::Source(known.source.clone());
        let number = self.driver.find(&subject, known.task);
        let Some(shared) = &mut self.shared else {
            return Ok(());
        };
        let Some(number) = number else {
            // What other machines do: for whoever looks here how everything stands.
            let key = (known.source, known.task);
            if shared.revisions.get(&key) != Some(&known.revision) {
                let kept = self.around.memory.keep(&subject, known.task, &known.state);
                if kept.is_ok() {
                    shared.revisions.insert(key, known.revision);
                    self.around.watch.others();
                }
            }
            return Ok(());
        };
        if self.running.contains_key(&number) || shared.is_waiting(&known.source, known.task) {
            return Ok(());
        }
        let key = (known.source.clone(), known.task);
        let here = &self.driver.standing(number).state;
        if ended_here(here, &known) {
            let held = known.runner.as_ref().is_some_and(|runner| runner.is_heard);
            if !held {
                shared.asked_at = None;
                shared
                    .queue
                    .put(&known.source, known.task, known.revision, here)?;
            }
            return Ok(());
        }
        if let Some(why) = shared.is_over(&known, elapsed) {
            let now = now_of(self.around, shared);
            let mut state = known.state.clone();
            // A claim that was never heard of has begun nothing.
            state.running_since.get_or_insert(now);
            let after = self.driver.died(number, state, why, now);
            shared.asked_at = None;
            let Known {
                source, revision, ..
            } = &known;
            if shared.queue.put(source, known.task, *revision, &after)? {
                self.driver.adopt(number, after, false);
                let standing = self.driver.standing(number);
                self.ledger.keep(standing);
                self.around.watch.ended(standing);
            }
            return Ok(());
        }
        let is_elsewhere = known.runner.is_some();
        if shared.revisions.insert(key, known.revision) != Some(known.revision) {
            self.driver.adopt(number, known.state, is_elsewhere);
            if self.ledger.keep_if_changed(self.driver.standing(number)) {
                self.around.watch.others();
            }
        }
        Ok(())
    }

    fn set_clock(&mut self, now: Timestamp) {
        let Some(shared) = &mut self.shared else {
            return;
        };
        let ahead = now.duration_since(self.around.clock.now());
        shared.ahead = if ahead.abs() < CLOCK_SLACK {
            SignedDuration::ZERO
        } else {
            ahead
        };
        let is_odd = ahead.abs() > CLOCK_ODD;
        if is_odd && !shared.is_clock_told {
            let how = if ahead.is_negative() {
                "ahead of"
            } else {
                "behind"
            };
            self.around.watch.note(&format!(
                "this machine's clock is {} s {how} the shared catalog's, which counts for schedules",
                ahead.abs().as_secs()
            ));
        }
        shared.is_clock_told = is_odd;
    }

    /// Claims what is about to begin; whether it may. What may not stands as before.
    pub(super) fn claims(&mut self, number: JobNumber) -> bool {
        let standing = self.driver.standing(number);
        let source = standing.job.subject.source().cloned();
        let (Some(source), Some(shared)) = (source, &mut self.shared) else {
            return true;
        };
        let key = (source, standing.job.task);
        let revision = shared.revisions.get(&key).copied();
        // Of several that are due the first may have found that it does not answer: nobody waits for that again.
        let revision = revision.filter(|_| shared.steady_since.is_some());
        let claimed = revision.map_or(Ok(None), |revision| {
            let (source, task) = &key;
            shared.queue.claim(source, *task, revision, &standing.state)
        });
        if let Ok(Some(ticket)) = claimed {
            shared.tickets.insert(number, ticket);
            return true;
        }
        shared.asked_at = None;
        let now = now_of(self.around, shared);
        self.driver
            .take_back(number, now.checked_add(AGAIN).unwrap_or(now));
        if let Err(why) = claimed {
            self.is_silent(&why);
        }
        false
    }

    /// Tells others how a run stands that goes on.
    pub(super) fn shares(&mut self, number: JobNumber) {
        let Some(shared) = &mut self.shared else {
            return;
        };
        let ticket = shared.tickets.get(&number);
        let state = &self.driver.standing(number).state;
        // One that is lost is heard of at the next renewal.
        if let Some(Err(why)) = ticket.map(|ticket| shared.queue.keep(ticket, state)) {
            self.is_silent(&why);
        }
    }

    /// Writes the end of a run for others; whether it is ours to say.
    pub(super) fn lets_go(&mut self, number: JobNumber, standing: &Standing) -> bool {
        let Some(shared) = &mut self.shared else {
            return true;
        };
        let Some(ticket) = shared.tickets.remove(&number) else {
            // It was lost while it ran; or never claimed, as what is about this machine is.
            return standing.job.subject.source().is_none();
        };
        shared.asked_at = None;
        match shared.queue.end(&ticket, &standing.state) {
            Ok(held) => held,
            Err(why) => {
                shared.ended.push((ticket, standing.state.clone()));
                self.is_silent(&why);
                true
            }
        }
    }

    /// What this machine was told of by its config, for others, where nobody runs it.
    pub(super) fn shares_change(&mut self, standing: &Standing) {
        let source = standing.job.subject.source();
        let (Some(source), Some(shared)) = (source, &mut self.shared) else {
            return;
        };
        let revision = shared.revisions.get(&(source.clone(), standing.job.task));
        let Some(revision) = revision.filter(|_| standing.state.running_since.is_none()) else {
            return;
        };
        shared.asked_at = None;
        let put = shared
            .queue
            .put(source, standing.job.task, *revision, &standing.state);
        if let Err(why) = put {
            self.is_silent(&why);
        }
    }
}

/// Whether a run that is written down as one that goes on is one of an earlier life of this process, which knew its
/// end and could not tell it any more.
fn ended_here(here: &JobState, known: &Known) -> bool {
    let last = here.last.as_ref().map(|last| last.began_at);
    here.running_since.is_none() && last.is_some() && last == known.state.running_since
}

fn now_of(around: &Around, shared: &Shared<'_>) -> Timestamp {
    let now = around.clock.now();
    now.checked_add(shared.ahead).unwrap_or(now)
}
