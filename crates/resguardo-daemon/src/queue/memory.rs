//! A queue in memory, with a clock that tests move, and that can be out of reach.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::*;

/// What several queues are views of.
#[derive(Default)]
pub(crate) struct Shelf {
    now: Timestamp,
    jobs: BTreeMap<(SourceName, Task), (JobState, i64)>,
    holds: BTreeMap<SourceName, Hold>,
}

#[derive(Default)]
struct Hold {
    fence: i64,
    by: Option<Holder>,
}

struct Holder {
    process: String,
    task: Task,
    until: Timestamp,
}

/// The view of one process.
pub(crate) struct MemoryQueue {
    shelf: Arc<Mutex<Shelf>>,
    process: String,
    lease: Duration,
    /// It cannot be reached.
    pub(crate) is_away: AtomicBool,
}

impl MemoryQueue {
    pub(crate) fn new(now: Timestamp, process: &str, lease: Duration) -> Self {
        let shelf = Shelf {
            now,
            ..Shelf::default()
        };
        Self {
            shelf: Arc::new(Mutex::new(shelf)),
            process: process.to_owned(),
            lease,
            is_away: AtomicBool::new(false),
        }
    }

    /// Of another process.
    pub(crate) fn of(&self, process: &str) -> Self {
        Self {
            shelf: Arc::clone(&self.shelf),
            process: process.to_owned(),
            lease: self.lease,
            is_away: AtomicBool::new(false),
        }
    }

    pub(crate) fn pass(&self, time: Duration) {
        let mut shelf = self.shelf.lock().unwrap();
        shelf.now += jiff::SignedDuration::try_from(time).unwrap();
    }

    fn shelf(&self) -> Result<MutexGuard<'_, Shelf>, String> {
        if self.is_away.load(Ordering::SeqCst) {
            return Err("the queue cannot be reached".to_owned());
        }
        Ok(self.shelf.lock().unwrap())
    }

    fn until(&self, shelf: &Shelf) -> Timestamp {
        shelf.now + jiff::SignedDuration::try_from(self.lease).unwrap()
    }

    fn holds(&self, shelf: &Shelf, ticket: &Ticket) -> bool {
        let hold = &shelf.holds[&ticket.source];
        hold.fence == ticket.fence
            && hold
                .by
                .as_ref()
                .is_some_and(|by| by.process == self.process)
    }
}

impl Queue for MemoryQueue {
    fn lease(&self) -> Duration {
        self.lease
    }

    fn look(&self) -> Result<Seen, String> {
        let shelf = self.shelf()?;
        let jobs = shelf
            .jobs
            .iter()
            .map(|((source, task), (state, revision))| {
                let by = shelf.holds[source].by.as_ref();
                Known {
                    source: source.clone(),
                    task: *task,
                    state: state.clone(),
                    revision: *revision,
                    runner: by.filter(|by| by.task == *task).map(|by| Runner {
                        host: by.process.clone(),
                        is_us: by.process == self.process,
                        is_heard: by.until > shelf.now,
                    }),
                }
            });
        Ok(Seen {
            now: shelf.now,
            jobs: jobs.collect(),
        })
    }

    fn introduce(&self, source: &SourceName, task: Task, state: &JobState) -> Result<(), String> {
        let mut shelf = self.shelf()?;
        shelf.holds.entry(source.clone()).or_default();
        let key = (source.clone(), task);
        shelf.jobs.entry(key).or_insert((state.clone(), 1));
        Ok(())
    }

    fn claim(
        &self,
        source: &SourceName,
        task: Task,
        revision: i64,
        state: &JobState,
    ) -> Result<Option<Ticket>, String> {
        let mut shelf = self.shelf()?;
        let until = self.until(&shelf);
        let is_free = shelf
            .holds
            .get(source)
            .is_some_and(|hold| hold.by.is_none());
        let job = shelf.jobs.get_mut(&(source.clone(), task));
        let Some(job) = job.filter(|job| is_free && job.1 == revision) else {
            return Ok(None);
        };
        *job = (state.clone(), revision + 1);
        let hold = shelf.holds.get_mut(source).unwrap();
        hold.fence += 1;
        hold.by = Some(Holder {
            process: self.process.clone(),
            task,
            until,
        });
        Ok(Some(Ticket {
            source: source.clone(),
            task,
            fence: hold.fence,
        }))
    }

    fn renew(&self, tickets: &[&Ticket]) -> Result<Vec<bool>, String> {
        let mut shelf = self.shelf()?;
        let until = self.until(&shelf);
        let renewed = tickets.iter().map(|ticket| {
            let holds = self.holds(&shelf, ticket);
            if holds {
                let hold = shelf.holds.get_mut(&ticket.source).unwrap();
                hold.by.as_mut().unwrap().until = until;
            }
            holds
        });
        Ok(renewed.collect())
    }

    fn keep(&self, ticket: &Ticket, state: &JobState) -> Result<bool, String> {
        let mut shelf = self.shelf()?;
        let holds = self.holds(&shelf, ticket);
        if holds {
            let key = (ticket.source.clone(), ticket.task);
            let job = shelf.jobs.get_mut(&key).unwrap();
            *job = (state.clone(), job.1 + 1);
        }
        Ok(holds)
    }

    fn end(&self, ticket: &Ticket, state: &JobState) -> Result<bool, String> {
        let held = self.keep(ticket, state)?;
        if held {
            self.shelf()?.holds.get_mut(&ticket.source).unwrap().by = None;
        }
        Ok(held)
    }

    fn put(
        &self,
        source: &SourceName,
        task: Task,
        revision: i64,
        state: &JobState,
    ) -> Result<bool, String> {
        let mut shelf = self.shelf()?;
        let now = shelf.now;
        let is_free = shelf.holds.get(source).is_some_and(|hold| match &hold.by {
            None => true,
            Some(by) => by.task == task && (by.process == self.process || by.until <= now),
        });
        let job = shelf.jobs.get_mut(&(source.clone(), task));
        let Some(job) = job.filter(|job| is_free && job.1 == revision) else {
            return Ok(false);
        };
        *job = (state.clone(), revision + 1);
        let hold = shelf.holds.get_mut(source).unwrap();
        hold.by = None;
        hold.fence += 1;
        Ok(true)
    }
}
