//! What `serve` says: a line for everything that happens, with its time, and a word to whoever manages the process.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use resguardo_daemon::{Job, Outcome, Standing, Task, Watch};
use resguardo_model::{Clock, Progress};

use super::service_manager::ServiceManager;
use crate::render::{Output, counted, time};

/// Where it says it, and in which zone.
pub(super) struct Log {
    pub(super) out: Output,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) manager: ServiceManager,
    zone: Mutex<TimeZone>,
    /// What was said last of what it waits for.
    told: Mutex<Option<Timestamp>>,
}

impl Log {
    pub(super) fn new(
        out: Output,
        clock: Arc<dyn Clock>,
        manager: ServiceManager,
        zone: TimeZone,
    ) -> Self {
        Self {
            out,
            clock,
            manager,
            zone: Mutex::new(zone),
            told: Mutex::new(None),
        }
    }

    /// From now on times are said in that zone.
    pub(super) fn set_zone(&self, zone: TimeZone) {
        *self.zone.lock().unwrap_or_else(PoisonError::into_inner) = zone;
    }

    fn zone(&self) -> TimeZone {
        let zone = self.zone.lock().unwrap_or_else(PoisonError::into_inner);
        zone.clone()
    }

    pub(super) fn line(&self, text: &str) {
        let now = self.clock.now().to_zoned(self.zone());
        self.out
            .error_line(&format!("{} {text}", now.strftime("%Y-%m-%dT%H:%M:%S%:z")));
    }

    fn moment(&self, at: Timestamp) -> String {
        time::moment(at, &self.zone())
    }

    /// It was told to read its config again, and has done what it could.
    pub(super) fn is_reloaded(&self) {
        let told = *self.told.lock().unwrap_or_else(PoisonError::into_inner);
        self.say_ready(told);
    }

    fn say_ready(&self, next: Option<Timestamp>) {
        self.manager.is_ready(&match next {
            Some(at) => format!("next: {}", self.moment(at)),
            None => "nothing is due by schedule".to_owned(),
        });
    }
}

impl Watch for Log {
    fn waits(&self, until: Option<Timestamp>) {
        self.manager.is_alive();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if until.is_some() && *told != until {
            *told = until;
            drop(told);
            self.say_ready(until);
        }
    }

    fn begins(&self, job: &Job) {
        // That there is nothing to sweep is no news each hour.
        if job.task != Task::Sweep {
            self.line(&format!("{} begins", job.name()));
        }
    }

    fn ended(&self, standing: &Standing) {
        let (job, state) = (&standing.job, &standing.state);
        let Some(last) = &state.last else { return };
        let how = match last.outcome {
            Outcome::Succeeded if job.task == Task::Sweep => return,
            Outcome::Succeeded => {
                let took = last.ended_at.duration_since(last.began_at);
                format!("done in {}", time::length(took.as_secs_f64()))
            }
            Outcome::Failed => format!("failed: {}", last.message),
            // Once is enough: it is asked again every minute.
            Outcome::Locked if state.locked > 1 => return,
            Outcome::Locked => format!("waits: {}", last.message),
            Outcome::Interrupted | Outcome::Died => last.message.clone(),
        };
        let again = state
            .retry_at
            .map(|at| format!("; again at {}", self.moment(at)));
        let again = again.unwrap_or_default();
        self.line(&format!("{}: {how}{again}", job.name()));
    }

    fn note(&self, line: &str) {
        self.line(line);
    }

    fn stops(&self, running: usize) {
        self.manager.stops();
        let of = counted(running as u64, "run", "runs");
        self.line(&format!("stopping; {of} to end"));
    }
}

/// The notes of work that is no run.
pub(super) struct Notes(pub(super) Arc<Log>);

impl Progress for Notes {
    fn phase(&self, _name: &str) {}

    fn bytes(&self, _done: u64, _total: Option<u64>) {}

    fn note(&self, text: &str) {
        self.0.line(text);
    }
}
