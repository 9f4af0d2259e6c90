//! Runs what the driver begins, each run in a thread of its own, until it is told to stop.
//!
//! Written down in this order: that a run begins, before it does; how it ended, after it did. A memory that
//! cannot be written is told to whoever watches, and keeps nothing from running: a backup is worth more than a
//! line about it.
//!
//! One thread decides. Everybody else talks to it through a [`Handle`]: ends of runs, pokes, another set of jobs.

mod ledger;
mod running;
mod shared;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use resguardo_model::{CancelToken, Clock, Progress, RunId};

use crate::agenda::{Job, Subject, Task};
use crate::driver::{Driver, Ended, JobNumber, JobState, Standing};
use crate::feed::{Feed, Reporter};
use crate::poke::{Answer, Asked, Poke};
use crate::queue::Queue;
use ledger::Ledger;
use running::{Order, Running};
use shared::Shared;

/// Longest wait before the clock is looked at again, which may be set, or have gone on while the machine slept, and
/// before whoever watches is told that all is well.
pub const LOOK: Duration = Duration::from_secs(5);
/// The same while runs go on, which have limits.
const LOOK_AT_RUNS: Duration = Duration::from_millis(500);

/// Shortest wait where work is shared.
const BREATH: Duration = Duration::from_millis(50);

/// Does what is due.
pub trait Work: Send + Sync {
    /// Does one thing to one source, until it is done or cancelled.
    fn run(&self, subject: &Subject, task: Task, run: &Run) -> Ended;

    /// Is told of a run that failed and tells nothing itself: it could not be begun, or does not end. `newest` is
    /// what it began last in the catalog.
    fn failed(&self, _subject: &Subject, _task: Task, _newest: Option<RunId>, _why: &str) {}
}

/// Why a run failed that panicked.
pub(crate) const PANICKED: &str = "a fault of Resguardo's: it panicked";

/// What a run is given.
pub struct Run {
    /// Raised when it is to stop.
    pub cancel: CancelToken,
    /// Whoever watches.
    pub progress: Arc<dyn Progress>,
    /// How somebody wants it, if it is not the schedule's.
    pub asked: Option<Asked>,
}

/// Remembers how jobs stand, beyond the end of the process.
pub trait Memory: Send + Sync {
    /// How a job stands; `None` if it is new.
    ///
    /// # Errors
    /// Why that cannot be told, in a line.
    fn state(&self, subject: &Subject, task: Task) -> Result<Option<JobState>, String>;

    /// Remembers how a job stands.
    ///
    /// # Errors
    /// Why it cannot be kept, in a line.
    fn keep(&self, subject: &Subject, task: Task, state: &JobState) -> Result<(), String>;
}

/// Is told what happens. Nothing that it does may take long.
pub trait Watch: Send + Sync {
    /// It waits for what comes next: everything is as it has to be.
    fn waits(&self, until: Option<Timestamp>);
    /// A run begins.
    fn begins(&self, job: &Job);
    /// A run ended.
    fn ended(&self, standing: &Standing);
    /// Another machine has begun or ended something.
    fn others(&self) {}
    /// Something that a person should know.
    fn note(&self, line: &str);
    /// No run is begun any more.
    fn stops(&self, running: usize);
}

/// Time that passes, whatever the clock is set to.
pub trait Stopwatch: Send + Sync {
    /// Since a moment that is always the same.
    fn elapsed(&self) -> Duration;
}

/// The machine's own.
#[derive(Clone, Copy, Debug)]
pub struct Monotonic(Instant);

impl Monotonic {
    /// One that begins now.
    #[must_use]
    pub fn new() -> Self {
        Self(Instant::now())
    }
}

impl Default for Monotonic {
    fn default() -> Self {
        Self::new()
    }
}

impl Stopwatch for Monotonic {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// How to run.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Runs at once, at most.
    pub runs_max: usize,
    /// How long runs are given to end themselves when they are told to stop.
    pub grace: Duration,
    /// Longest wait before the clock is looked at again: [`LOOK`].
    pub look: Duration,
}

/// What is around the daemon.
#[derive(Clone)]
pub struct Around {
    /// Who does the work.
    pub work: Arc<dyn Work>,
    /// What is remembered here.
    pub memory: Arc<dyn Memory>,
    /// Where it is agreed with other daemons who does what; `None`: there are none.
    pub queue: Option<Arc<dyn Queue>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The time that passes: for limits.
    pub stopwatch: Arc<dyn Stopwatch>,
    /// Who watches.
    pub watch: Arc<dyn Watch>,
    /// What runs show of themselves.
    pub feed: Arc<Feed>,
    /// Raised when all is to stop.
    pub stop: CancelToken,
}

enum Event {
    Ended(JobNumber, Ended),
    Poke(Poke, SyncSender<Answer>),
    Replace(Vec<Job>, SyncSender<()>),
    Look,
}

/// Talks to a daemon that runs. Clones talk to the same.
#[derive(Clone)]
pub struct Handle(Sender<Event>);

/// Where a daemon hears what its handles say.
pub struct Inbox {
    sender: Sender<Event>,
    receiver: Receiver<Event>,
}

/// A handle, and what [`run`] is given so that it hears it.
#[must_use]
pub fn channel() -> (Handle, Inbox) {
    let (sender, receiver) = mpsc::channel();
    (Handle(sender.clone()), Inbox { sender, receiver })
}

impl Handle {
    /// Asks for a run now, and waits for the answer, not for the run.
    #[must_use]
    pub fn poke(&self, poke: Poke) -> Answer {
        let (sender, answer) = mpsc::sync_channel(1);
        let sent = self.0.send(Event::Poke(poke, sender)).ok();
        sent.and_then(|()| answer.recv().ok())
            .unwrap_or(Answer::Stopping)
    }

    /// From now on these are all jobs that there are; waits until they are. What runs goes on. Tells whether
    /// the daemon was still there to be told.
    pub fn replace(&self, jobs: Vec<Job>) -> bool {
        let (sender, taken) = mpsc::sync_channel(1);
        let sent = self.0.send(Event::Replace(jobs, sender)).is_ok();
        sent && taken.recv().is_ok()
    }

    /// Something happened that it looks at by itself, like the order to stop: it looks at once. Whoever raises
    /// [`Around::stop`] does this, too, or waits for [`LOOK`].
    pub fn look(&self) {
        // Whoever is gone needs not look.
        let _ = self.0.send(Event::Look);
    }
}

/// Runs `jobs` by their schedules until it is told to stop. Tells whether everything had ended by then.
///
/// # Errors
/// Why nothing is known of the jobs, in a line; nothing was begun.
pub fn run(
    jobs: Vec<Job>,
    inbox: Inbox,
    around: &Around,
    settings: Settings,
) -> Result<bool, String> {
    let now = around.clock.now();
    let mut daemon = Daemon {
        around,
        settings,
        driver: Driver::new(Vec::new(), settings.runs_max, now),
        ledger: Ledger::new(around),
        shared: Shared::of(around),
        running: BTreeMap::new(),
        inbox,
    };
    let remembered: Vec<Standing> = jobs
        .into_iter()
        .map(|job| daemon.ledger.remembered(job, now))
        .collect::<Result<_, String>>()?;
    for standing in remembered {
        daemon.add(standing, now);
    }
    daemon.share_now()?;
    while !around.stop.is_cancelled() {
        daemon.begin();
        daemon.watch_over();
        daemon.wait();
    }
    Ok(daemon.stop())
}

struct Daemon<'a> {
    around: &'a Around,
    settings: Settings,
    driver: Driver,
    ledger: Ledger<'a>,
    shared: Option<Shared<'a>>,
    running: BTreeMap<JobNumber, Running>,
    inbox: Inbox,
}

impl Daemon<'_> {
    fn add(&mut self, mut standing: Standing, now: Timestamp) {
        // What runs elsewhere is remembered here as well: whether it died, the queue knows.
        if self.shared.is_some() && standing.job.subject.source().is_some() {
            standing.state.running_since = None;
        }
        let has_died = standing.state.running_since.is_some();
        let number = self.driver.add(standing, now);
        if has_died {
            let standing = self.driver.standing(number);
            self.ledger.keep(standing);
            self.around.watch.ended(standing);
        }
    }

    fn begin(&mut self) {
        self.share();
        let now = self.now();
        let shared = &self.shared;
        let may = |job: &Job| shared.as_ref().is_none_or(|shared| shared.may_begin(job));
        for number in self.driver.begin_only(now, may) {
            if !self.claims(number) {
                continue;
            }
            let standing = self.driver.standing(number).clone();
            self.ledger.keep(&standing);
            self.around.watch.begins(&standing.job);
            self.start(number, &standing.job);
        }
    }

    fn start(&mut self, number: JobNumber, job: &Job) {
        let asked = self.driver.asked(number).cloned();
        let by = asked.as_ref().map(|asked| asked.by.as_str());
        let running = Running {
            key: self.around.feed.begin(job, by),
            job: job.clone(),
            cancel: CancelToken::new(),
            began: self.around.stopwatch.elapsed(),
            moved: Arc::default(),
            seen: (0, self.around.stopwatch.elapsed()),
            order: None,
            is_lost: false,
        };
        let run = Run {
            cancel: running.cancel.clone(),
            progress: Arc::new(self.reporter(&running)),
            asked,
        };
        let name = format!("run-{}", running.key);
        self.running.insert(number, running);
        let (work, sender) = (Arc::clone(&self.around.work), self.inbox.sender.clone());
        let (subject, task) = (job.subject.clone(), job.task);
        let body = move || {
            let done = std::panic::AssertUnwindSafe(|| work.run(&subject, task, &run));
            let ended = std::panic::catch_unwind(done)
                .unwrap_or_else(|_| Ended::Failed(PANICKED.to_owned()));
            // Nobody listens any more once the grace is over.
            let _ = sender.send(Event::Ended(number, ended));
        };
        if let Err(error) = std::thread::Builder::new().name(name).spawn(body) {
            let why = format!("no thread for it: {error}");
            self.around.work.failed(&job.subject, job.task, None, &why);
            self.end(number, Ended::Transient(why));
        }
    }

    fn reporter(&self, running: &Running) -> Reporter {
        let (watch, about) = (Arc::clone(&self.around.watch), running.job.name());
        Reporter {
            feed: Arc::clone(&self.around.feed),
            key: running.key,
            moved: Arc::clone(&running.moved),
            bytes: AtomicU64::new(0),
            redactor: self.around.feed.redactor(),
            flood: Mutex::default(),
            note: Box::new(move |line| watch.note(&format!("{about}: {line}"))),
        }
    }

    /// Tells runs to stop that are beyond their limits, and gives up on those that do not heed it.
    fn watch_over(&mut self) {
        let elapsed = self.around.stopwatch.elapsed();
        let grace = self.settings.grace;
        let numbers: Vec<JobNumber> = self.running.keys().copied().collect();
        for number in numbers {
            let Some(running) = self.running.get_mut(&number) else {
                continue;
            };
            let name = running.job.name();
            match running.order_now(elapsed, grace) {
                Some(Order::Stop(why)) => {
                    self.around.feed.stops(running.key, &why);
                    let line = format!("{name}: {why}; it is told to stop");
                    self.around.watch.note(&line);
                }
                Some(Order::GiveUp(why)) => {
                    let why = format!(
                        "{why}, and does not stop; nothing else is done to its source until it ends"
                    );
                    let (subject, task) = (&running.job.subject, running.job.task);
                    let newest = self.around.feed.run_of(running.key);
                    self.around.work.failed(subject, task, newest, &why);
                    let now = self.now();
                    self.driver.gives_up_on(number, why, now);
                    let standing = self.driver.standing(number);
                    self.ledger.keep(standing);
                    self.around.watch.ended(standing);
                    self.shares(number);
                }
                None => {}
            }
        }
    }

    /// Waits for what is said, for the next time, or a moment.
    fn wait(&mut self) {
        self.ledger.catch_up();
        let now = self.now();
        let wakes = self.driver.wakes();
        self.around.watch.waits(wakes);
        let until = wakes.map(|at| at.duration_since(now).max(jiff::SignedDuration::ZERO));
        let longest = match self.running.is_empty() {
            true => self.settings.look,
            false => self.settings.look.min(LOOK_AT_RUNS),
        };
        let until = until.map_or(longest, jiff::SignedDuration::unsigned_abs);
        let until = match self.asks_in() {
            None => until,
            // What is due while nothing may begin is no reason to hurry.
            Some(asks) if !self.is_reached() => asks.max(BREATH),
            Some(asks) => until.min(asks).max(BREATH),
        };
        let receiver = &self.inbox.receiver;
        match receiver.recv_timeout(until.min(longest)) {
            // One at a time: between two of them it looks what is to begin.
            Ok(event) => self.hear(event),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Ended(number, ended) => self.end(number, ended),
            Event::Poke(poke, sender) => {
                // Whoever asked may have gone.
                let _ = sender.send(self.poke(poke));
            }
            Event::Replace(jobs, sender) => {
                self.replace(jobs);
                let _ = sender.send(());
            }
            Event::Look => {}
        }
    }

    fn poke(&mut self, poke: Poke) -> Answer {
        let now = self.now();
        let Poke {
            subject,
            task,
            asked,
        } = poke;
        let Some(number) = self.driver.poke(&subject, task, asked.clone(), now) else {
            return Answer::NotConfigured;
        };
        if self.driver.is_running(number) {
            return match asked.is_done_by(self.driver.asked(number)) {
                true => Answer::Running,
                false => Answer::Other,
            };
        }
        // Of two who ask, the first one is heard.
        let waiting = self.driver.awaited(number);
        if waiting.is_some_and(|waiting| !asked.is_done_by(Some(waiting))) {
            return Answer::Other;
        }
        self.begin();
        match self.running.contains_key(&number) {
            true => Answer::Begun,
            false => Answer::Waits,
        }
    }

    fn replace(&mut self, jobs: Vec<Job>) {
        let now = self.now();
        for job in self.driver.replace(jobs, now) {
            let new = Standing {
                job: job.clone(),
                state: JobState::new(now),
            };
            let standing = self.ledger.remembered(job, now).unwrap_or_else(|why| {
                let line = format!(
                    "{}: what was done before is not known: {why}",
                    new.job.name()
                );
                self.around.watch.note(&line);
                new
            });
            self.add(standing, now);
        }
        let standings = self.driver.standings();
        let changed: Vec<Standing> = standings
            .filter(|(_, standing)| self.ledger.keep_if_changed(standing))
            .map(|(_, standing)| standing.clone())
            .collect();
        for standing in changed {
            self.shares_change(&standing);
        }
    }

    fn end(&mut self, number: JobNumber, ended: Ended) {
        let running = self.running.remove(&number);
        let ended = match &running {
            Some(running) => {
                self.around.feed.end(running.key);
                running.explain(ended)
            }
            None => ended,
        };
        let standing = self.driver.end(number, ended, self.now());
        self.ledger.keep(&standing);
        if self.lets_go(number, &standing) {
            self.around.watch.ended(&standing);
        } else if running.is_none_or(|running| !running.is_lost) {
            self.lost(&standing);
        }
    }

    /// Tells all runs to stop and waits for them; whether all of them ended.
    fn stop(&mut self) -> bool {
        self.around.watch.stops(self.running.len());
        self.running
            .values()
            .for_each(|running| running.cancel.cancel());
        let begun = Instant::now();
        while !self.running.is_empty() {
            let Some(left) = self.settings.grace.checked_sub(begun.elapsed()) else {
                break;
            };
            let longest = self.asks_in().unwrap_or(left);
            match self.inbox.receiver.recv_timeout(left.min(longest)) {
                Ok(Event::Ended(number, ended)) => self.end(number, ended),
                Ok(Event::Poke(_, sender)) => {
                    let _ = sender.send(Answer::Stopping);
                }
                Ok(Event::Replace(..) | Event::Look) | Err(_) => {}
            }
            // What has not ended is still ours.
            self.share();
        }
        self.share();
        self.ledger.close();
        self.running.is_empty()
    }
}

#[cfg(test)]
mod tests;
