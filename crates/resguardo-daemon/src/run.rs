//! Runs what the driver begins, each run in a thread of its own, until it is told to stop.
//!
//! Written down in this order: that a run begins, before it does; how it ended, after it did. A memory that
//! cannot be written is told to whoever watches, and keeps nothing from running: a backup is worth more than a
//! line about it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use resguardo_model::{CancelToken, Clock, SourceName};

use crate::agenda::{Job, Task};
use crate::driver::{Driver, Ended, JobNumber, JobState, Standing};

/// Longest wait before the clock and the order to stop are looked at again: both may change at any time.
const LOOK: Duration = Duration::from_millis(500);

/// Does what is due.
pub trait Work: Send + Sync {
    /// Does one thing to one source, until it is done or cancelled.
    fn run(&self, source: &SourceName, task: Task, cancel: &CancelToken) -> Ended;
}

/// Remembers how jobs stand, beyond the end of the process.
pub trait Memory: Send + Sync {
    /// How a job stands; `None` if it is new.
    ///
    /// # Errors
    /// Why that cannot be told, in a line.
    fn state(&self, source: &SourceName, task: Task) -> Result<Option<JobState>, String>;

    /// Remembers how a job stands.
    ///
    /// # Errors
    /// Why it cannot be kept, in a line.
    fn keep(&self, source: &SourceName, task: Task, state: &JobState) -> Result<(), String>;
}

/// Is told what happens.
pub trait Watch: Send + Sync {
    /// It waits for what comes next: everything is as it has to be.
    fn waits(&self, until: Option<Timestamp>);
    /// A run begins.
    fn begins(&self, job: &Job);
    /// A run ended.
    fn ended(&self, standing: &Standing);
    /// Something that a person should know.
    fn note(&self, line: &str);
    /// No run is begun any more.
    fn stops(&self, running: usize);
}

/// How to run.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Runs at once, at most.
    pub runs_max: usize,
    /// How long runs are given to end themselves when all is to stop.
    pub grace: Duration,
}

/// What is around the daemon.
#[derive(Clone)]
pub struct Around {
    /// Who does the work.
    pub work: Arc<dyn Work>,
    /// What is remembered.
    pub memory: Arc<dyn Memory>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Who watches.
    pub watch: Arc<dyn Watch>,
    /// Raised when all is to stop.
    pub stop: CancelToken,
}

/// Runs `jobs` by their schedules until it is told to stop. Tells whether everything had ended by then.
///
/// # Errors
/// Why nothing is known of the jobs, in a line; nothing was begun.
pub fn run(jobs: Vec<Job>, around: &Around, settings: Settings) -> Result<bool, String> {
    let now = around.clock.now();
    let standings: Vec<Standing> = jobs
        .into_iter()
        .map(|job| {
            let state = around.memory.state(&job.source, job.task)?;
            let is_new = state.is_none();
            let state = state.unwrap_or_else(|| JobState::new(now));
            if is_new {
                around.memory.keep(&job.source, job.task, &state)?;
            }
            Ok(Standing { job, state })
        })
        .collect::<Result<_, String>>()?;
    let died: Vec<bool> = standings
        .iter()
        .map(|standing| standing.state.running_since.is_some())
        .collect();
    let driver = Driver::new(standings, settings.runs_max, now);
    let (sender, receiver) = mpsc::channel();
    let mut daemon = Daemon {
        around,
        driver,
        running: BTreeMap::new(),
        sender,
        receiver,
    };
    daemon.tell_died(&died);
    while !around.stop.is_cancelled() {
        daemon.begin();
        daemon.wait();
    }
    Ok(daemon.stop(settings.grace))
}

struct Daemon<'a> {
    around: &'a Around,
    driver: Driver,
    running: BTreeMap<JobNumber, CancelToken>,
    sender: Sender<(JobNumber, Ended)>,
    receiver: Receiver<(JobNumber, Ended)>,
}

impl Daemon<'_> {
    fn tell_died(&self, died: &[bool]) {
        let standings = self.driver.standings().zip(died);
        for ((_, standing), _) in standings.filter(|(_, died)| **died) {
            self.keep(standing);
            self.around.watch.ended(standing);
        }
    }

    fn keep(&self, standing: &Standing) {
        let Job { source, task, .. } = &standing.job;
        if let Err(why) = self.around.memory.keep(source, *task, &standing.state) {
            self.around.watch.note(&format!(
                "the {} of {source} cannot be written down: {why}",
                task.word()
            ));
        }
    }

    fn begin(&mut self) {
        for number in self.driver.begin(self.around.clock.now()) {
            let standing = self.driver.standing(number);
            self.keep(standing);
            self.around.watch.begins(&standing.job);
            let cancel = CancelToken::new();
            let (work, sender) = (Arc::clone(&self.around.work), self.sender.clone());
            let (source, task, token) = (
                standing.job.source.clone(),
                standing.job.task,
                cancel.clone(),
            );
            let run = move || {
                let done = std::panic::AssertUnwindSafe(|| work.run(&source, task, &token));
                let ended = std::panic::catch_unwind(done).unwrap_or_else(|_| {
                    Ended::Failed("a fault of Resguardo's: it panicked".to_owned())
                });
                // Nobody listens any more once the grace is over.
                let _ = sender.send((number, ended));
            };
            self.running.insert(number, cancel);
            let thread = std::thread::Builder::new().name(format!("run-{}", self.running.len()));
            if let Err(error) = thread.spawn(run) {
                self.end(
                    number,
                    Ended::Transient(format!("no thread for it: {error}")),
                );
            }
        }
    }

    /// Waits for the end of a run, for the next time, or a moment.
    fn wait(&mut self) {
        let now = self.around.clock.now();
        let wakes = self.driver.wakes(now);
        self.around.watch.waits(wakes);
        let until = wakes.map(|at| at.duration_since(now).unsigned_abs());
        match self.receiver.recv_timeout(until.unwrap_or(LOOK).min(LOOK)) {
            Ok((number, ended)) => self.end(number, ended),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
    }

    fn end(&mut self, number: JobNumber, ended: Ended) {
        self.running.remove(&number);
        self.driver.end(number, ended, self.around.clock.now());
        let standing = self.driver.standing(number);
        self.keep(standing);
        self.around.watch.ended(standing);
    }

    /// Tells all runs to stop and waits for them; whether all of them ended.
    fn stop(&mut self, grace: Duration) -> bool {
        self.around.watch.stops(self.running.len());
        self.running.values().for_each(CancelToken::cancel);
        let begun = Instant::now();
        while !self.running.is_empty() {
            let Some(left) = grace.checked_sub(begun.elapsed()) else {
                return false;
            };
            if let Ok((number, ended)) = self.receiver.recv_timeout(left.min(LOOK)) {
                self.end(number, ended);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use jiff::tz::TimeZone;
    use resguardo_model::SystemClock;

    use super::*;
    use crate::agenda::Plan;
    use crate::driver::Outcome;

    #[derive(Default)]
    struct Remembered(Mutex<BTreeMap<(SourceName, Task), JobState>>);

    impl Memory for Remembered {
        fn state(&self, source: &SourceName, task: Task) -> Result<Option<JobState>, String> {
            Ok(self.0.lock().unwrap().get(&(source.clone(), task)).cloned())
        }

        fn keep(&self, source: &SourceName, task: Task, state: &JobState) -> Result<(), String> {
            let mut all = self.0.lock().unwrap();
            all.insert((source.clone(), task), state.clone());
            Ok(())
        }
    }

    #[derive(Default)]
    struct Lines(Mutex<Vec<String>>);

    impl Lines {
        fn add(&self, line: String) {
            self.0.lock().unwrap().push(line);
        }
    }

    impl Watch for Lines {
        fn waits(&self, _until: Option<Timestamp>) {}

        fn begins(&self, job: &Job) {
            self.add(format!("{} begins", job.source));
        }

        fn ended(&self, standing: &Standing) {
            let last = standing.state.last.as_ref().unwrap();
            self.add(format!("{} {:?}", standing.job.source, last.outcome));
        }

        fn note(&self, line: &str) {
            self.add(line.to_owned());
        }

        fn stops(&self, running: usize) {
            self.add(format!("stops with {running}"));
        }
    }

    /// Ends by itself, panics, or waits until it is told to stop; the last one that is done stops all.
    struct Odd {
        stop: CancelToken,
        done: AtomicUsize,
    }

    impl Work for Odd {
        fn run(&self, source: &SourceName, _task: Task, cancel: &CancelToken) -> Ended {
            if self.done.fetch_add(1, Ordering::SeqCst) == 2 {
                self.stop.cancel();
            }
            match source.as_str() {
                "panics" => panic!("odd"),
                "waits" => {
                    while !cancel.is_cancelled() {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                    Ended::Interrupted
                }
                _ => Ended::Done,
            }
        }
    }

    fn job(source: &str) -> Job {
        Job {
            source: source.parse().unwrap(),
            task: Task::Backup,
            plan: Plan {
                schedule: "hourly".parse().unwrap(),
                zone: TimeZone::UTC,
                windows: Vec::new(),
                jitter: None,
            },
        }
    }

    #[test]
    fn runs_end_however_they_end_and_are_remembered() {
        let memory = Arc::new(Remembered::default());
        let long_ago: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let names = ["done", "panics", "waits"];
        for name in names {
            let state = JobState::new(long_ago);
            memory
                .keep(&name.parse().unwrap(), Task::Backup, &state)
                .unwrap();
        }
        let stop = CancelToken::new();
        let lines = Arc::new(Lines::default());
        let around = Around {
            work: Arc::new(Odd {
                stop: stop.clone(),
                done: AtomicUsize::new(0),
            }),
            memory: Arc::clone(&memory) as Arc<dyn Memory>,
            clock: Arc::new(SystemClock),
            watch: Arc::clone(&lines) as Arc<dyn Watch>,
            stop,
        };
        let settings = Settings {
            runs_max: 3,
            grace: Duration::from_secs(60),
        };
        let jobs = names.map(job).to_vec();
        assert_eq!(run(jobs, &around, settings), Ok(true));
        let outcome = |name: &str| {
            let state = memory
                .state(&name.parse().unwrap(), Task::Backup)
                .unwrap()
                .unwrap();
            assert_eq!(state.running_since, None);
            assert!(state.handled > long_ago);
            state.last.unwrap().outcome
        };
        assert_eq!(outcome("done"), Outcome::Succeeded);
        assert_eq!(outcome("panics"), Outcome::Failed);
        assert_eq!(outcome("waits"), Outcome::Interrupted);
        let lines = lines.0.lock().unwrap();
        assert!(
            lines.iter().any(|line| line.starts_with("stops with")),
            "{lines:?}"
        );
    }
}
