//! The driver: which run begins now, and what becomes of one that ended. A machine of states, told the time;
//! threads and waiting are [`crate::run`]'s.
//!
//! A run is written down *before* it begins, by the time of its schedule: stopped anywhere, a later start
//! knows that it was begun. What died, and what failed for a reason that may go away by itself, is tried again after a
//! while, at most until its schedule names the next time. What failed for good waits for that. A source that somebody
//! else works on is no failure: it is asked again soon.
//!
//! What somebody asks for is done out of turn, changes no schedule, and is not tried again by itself.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::agenda::{Job, Subject, Task};
use crate::poke::Asked;
use slot::Slot;
pub use state::{Ended, JobState, LastRun, Outcome, Standing};

mod slot;
mod state;

/// Which job, for the time that a driver lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobNumber(usize);

/// Decides what begins.
#[derive(Debug)]
pub struct Driver {
    all: BTreeMap<JobNumber, Slot>,
    last_number: usize,
    runs_max: usize,
}

impl Driver {
    /// With jobs as they were remembered. Those that were running then have died.
    #[must_use]
    pub fn new(jobs: Vec<Standing>, runs_max: usize, now: Timestamp) -> Self {
        let mut driver = Self {
            all: BTreeMap::new(),
            last_number: 0,
            runs_max: runs_max.max(1),
        };
        for standing in jobs {
            driver.add(standing, now);
        }
        driver
    }

    /// With one more job, as it was remembered. One that was running then has died.
    pub fn add(&mut self, standing: Standing, now: Timestamp) -> JobNumber {
        self.last_number += 1;
        let number = JobNumber(self.last_number);
        let mut slot = Slot::of(standing);
        if slot.is_running() {
            let why = "its process ended without a word".to_owned();
            slot.close(Outcome::Died, why, now, true);
        }
        self.all.insert(number, slot);
        number
    }

    /// Takes `jobs` for all that there are from now on. Those that are new are the answer: how they stand is
    /// not known here. What runs goes on, also of a job that is gone.
    pub fn replace(&mut self, jobs: Vec<Job>, now: Timestamp) -> Vec<Job> {
        let mut unseen: BTreeSet<JobNumber> = self.all.keys().copied().collect();
        let mut new = Vec::new();
        for job in jobs {
            match self.find(&job.subject, job.task) {
                Some(number) => {
                    unseen.remove(&number);
                    self.slot(number).replace(job, now);
                }
                None => new.push(job),
            }
        }
        for number in unseen {
            let slot = &self.all[&number];
            if slot.is_running() && !slot.is_elsewhere {
                self.slot(number).dropped = true;
            } else {
                self.all.remove(&number);
            }
        }
        new
    }

    /// The number of a job; `None`: there is no such job.
    #[must_use]
    pub fn find(&self, subject: &Subject, task: Task) -> Option<JobNumber> {
        let is_it = |slot: &Slot| {
            let job = &slot.standing.job;
            job.subject == *subject && job.task == task
        };
        let found = self.all.iter().find(|(_, slot)| is_it(slot));
        found.map(|(number, _)| *number)
    }

    fn slot(&mut self, number: JobNumber) -> &mut Slot {
        self.all
            .get_mut(&number)
            .expect("a number is given out by this driver, and kept while its run lasts")
    }

    /// Every job and how it stands.
    pub fn standings(&self) -> impl Iterator<Item = (JobNumber, &Standing)> {
        let all = self.all.iter();
        all.map(|(number, slot)| (*number, &slot.standing))
    }

    /// One of them.
    ///
    /// # Panics
    /// If the number is another driver's, or its job is gone.
    #[must_use]
    pub fn standing(&self, job: JobNumber) -> &Standing {
        &self.all[&job].standing
    }

    /// What a run was asked to be that has not ended; `None`: it is the schedule's.
    #[must_use]
    pub fn asked(&self, job: JobNumber) -> Option<&Asked> {
        self.all.get(&job)?.running_for.as_ref()
    }

    /// What a job that waits was asked to be, if somebody asked.
    #[must_use]
    pub fn awaited(&self, job: JobNumber) -> Option<&Asked> {
        let (_, asked) = self.all.get(&job)?.asked.as_ref()?;
        Some(asked)
    }

    /// Somebody asks for a run. `None`: there is no such job. What is asked for while it runs, or waits
    /// already, is not done twice.
    pub fn poke(
        &mut self,
        subject: &Subject,
        task: Task,
        asked: Asked,
        now: Timestamp,
    ) -> Option<JobNumber> {
        let number = self.find(subject, task)?;
        let slot = self.slot(number);
        if slot.dropped {
            return None;
        }
        if !slot.is_running() && slot.asked.is_none() {
            slot.asked = Some((now, asked));
        }
        Some(number)
    }

    /// Whether a job runs.
    #[must_use]
    pub fn is_running(&self, job: JobNumber) -> bool {
        self.all.get(&job).is_some_and(Slot::is_running)
    }

    /// Which runs begin now. Each counts as running from here on, and is to be written down before it is begun.
    pub fn begin(&mut self, now: Timestamp) -> Vec<JobNumber> {
        self.begin_only(now, |_| true)
    }

    /// The same among the jobs that may.
    pub fn begin_only(&mut self, now: Timestamp, may: impl Fn(&Job) -> bool) -> Vec<JobNumber> {
        for slot in self.all.values_mut() {
            slot.put_right(now);
        }
        let running = || self.all.values().filter(|slot| slot.is_running());
        let subject = |slot: &Slot| slot.standing.job.subject.clone();
        let mut busy: BTreeSet<Subject> = running().map(subject).collect();
        let counts = |slot: &&Slot| !slot.hangs && !slot.is_elsewhere;
        let mut count = running().filter(counts).count();
        let mut begun = Vec::new();
        for number in self.ready(now) {
            if count >= self.runs_max {
                break;
            }
            let slot = self.slot(number);
            if !may(&slot.standing.job) {
                continue;
            }
            if !busy.insert(slot.standing.job.subject.clone()) {
                continue;
            }
            slot.begin(now);
            count += 1;
            begun.push(number);
        }
        self.remember_passed_over(&begun, now);
        begun
    }

    /// Jobs that wait to be begun, in the order in which they do.
    fn ready(&self, now: Timestamp) -> Vec<JobNumber> {
        let mut ready: Vec<(Timestamp, Task, JobNumber)> = Vec::new();
        for (number, slot) in &self.all {
            let since = slot.ready_since(now);
            ready.extend(since.map(|since| (since, slot.standing.job.task, *number)));
        }
        // A backup first: what is drilled is the newest. But not for ever.
        let backups = ready.iter().filter(|(_, task, _)| *task == Task::Backup);
        let backed_up: BTreeSet<&Subject> = backups
            .map(|(_, _, number)| &self.all[number].standing.job.subject)
            .collect();
        ready.retain(|(_, task, number)| {
            let slot = &self.all[number];
            *task == Task::Backup
                || slot.passed_over
                || !backed_up.contains(&slot.standing.job.subject)
        });
        // Who has waited longest.
        ready.sort();
        ready.into_iter().map(|(_, _, number)| number).collect()
    }

    fn remember_passed_over(&mut self, begun: &[JobNumber], now: Timestamp) {
        let backups = begun.iter().map(|number| &self.all[number].standing.job);
        let backups = backups.filter(|job| job.task == Task::Backup);
        let subjects: BTreeSet<Subject> = backups.map(|job| job.subject.clone()).collect();
        for slot in self.all.values_mut() {
            if subjects.contains(&slot.standing.job.subject) && slot.ready_since(now).is_some() {
                slot.passed_over = true;
            }
        }
    }

    /// A run that was to begin does not: its job stands as it did before, and is not tried again before `until`.
    ///
    /// # Panics
    /// If the number is another driver's.
    pub fn take_back(&mut self, job: JobNumber, until: Timestamp) {
        self.slot(job).take_back(until);
        if self.slot(job).dropped {
            self.all.remove(&job);
        }
    }

    /// A job that does not run here stands as others wrote it down, who run it or not. What somebody asked for here
    /// stays asked for.
    ///
    /// # Panics
    /// If the number is another driver's.
    pub fn adopt(&mut self, job: JobNumber, state: JobState, is_elsewhere: bool) {
        let slot = self.slot(job);
        slot.stands(state);
        slot.is_elsewhere = is_elsewhere;
    }

    /// What others ran ended without a word; how its job would stand if that is written down. It is then to be
    /// adopted.
    ///
    /// # Panics
    /// If the number is another driver's, or the job runs nowhere.
    #[must_use]
    pub fn died(&self, job: JobNumber, state: JobState, why: String, now: Timestamp) -> JobState {
        assert!(state.running_since.is_some(), "it runs");
        let job = self.all[&job].standing.job.clone();
        let mut slot = Slot::of(Standing { job, state });
        slot.close(Outcome::Died, why, now, true);
        slot.standing.state
    }

    /// A run does not heed that it was told to stop: nobody waits for it any more, but its source stays busy
    /// until it ends after all. What is known of it is that it failed.
    ///
    /// # Panics
    /// If the number is another driver's.
    pub fn gives_up_on(&mut self, job: JobNumber, why: String, now: Timestamp) {
        let slot = self.slot(job);
        slot.hangs = true;
        let state = &mut slot.standing.state;
        state.last = Some(LastRun {
            began_at: state.running_since.unwrap_or(now),
            ended_at: now,
            outcome: Outcome::Failed,
            message: why,
        });
    }

    /// Takes down how a run ended; how its job stands now.
    ///
    /// # Panics
    /// If the number is another driver's.
    pub fn end(&mut self, job: JobNumber, ended: Ended, now: Timestamp) -> Standing {
        let slot = self.slot(job);
        match ended {
            Ended::Done => slot.close(Outcome::Succeeded, String::new(), now, false),
            Ended::Transient(why) => slot.close(Outcome::Failed, why, now, true),
            Ended::Failed(why) => slot.close(Outcome::Failed, why, now, false),
            Ended::Locked(why) => slot.close(Outcome::Locked, why, now, true),
            // Whoever starts us again finds it waiting.
            Ended::Interrupted => {
                slot.close(
                    Outcome::Interrupted,
                    "it was told to stop".to_owned(),
                    now,
                    true,
                );
            }
        }
        let standing = slot.standing.clone();
        if slot.dropped {
            self.all.remove(&job);
        }
        standing
    }

    /// When [`Driver::begin`] has to be asked again, if no run ends before.
    #[must_use]
    pub fn wakes(&self) -> Option<Timestamp> {
        let waiting = self.all.values().filter(|slot| !slot.is_running());
        waiting.filter_map(Slot::wakes_for_anything).min()
    }

    /// Whether a run has not ended.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.all.values().any(Slot::is_running)
    }
}

#[cfg(test)]
mod tests;
