//! What runs do at present, for whoever shows it: phases, bytes and the last lines of each, in memory alone.
//!
//! A run tells it through [`resguardo_model::Progress`]; readers take a snapshot, or wait for the next change.
//! Bounded: so many lines of a run, each so long; of what programs print, so many a second; of what ended, so many
//! runs with so many lines each.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use resguardo_model::{Clock, Progress, RunId};
use secrecy::SecretString;
use serde::Serialize;

use crate::agenda::{Job, Subject, Task};
use crate::notify::Redactor;
use crate::web::plain;

/// Lines that are kept of a run; the oldest goes first.
pub const LINES_MAX: usize = 500;
/// Phases that are kept of a run; the oldest goes first.
const PHASES_MAX: usize = 64;
/// Runs that ended and are still known; the oldest goes first.
const ENDED_MAX: usize = 32;
/// Lines that are kept of a run that ended.
const ENDED_LINES_MAX: usize = 200;
/// Characters of a line.
const LINE_CHARACTERS_MAX: usize = 2000;
/// Lines of a program that are taken in a second: nobody reads more.
const SAID_A_SECOND_MAX: u32 = 100;

/// A line that a run said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// When.
    pub at: Timestamp,
    /// Which of the run's lines it is, from 0: those that were dropped count.
    pub number: u64,
    /// What.
    pub text: String,
}

/// A run that has not ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Running {
    /// Its number, for as long as the daemon lives.
    pub key: u64,
    /// Its run in the catalog, once there is one.
    pub run: Option<RunId>,
    /// To whom.
    pub subject: Subject,
    /// What is done.
    pub task: Task,
    /// Who asked for it; `None`: its schedule.
    pub asked_by: Option<String>,
    /// When it began.
    pub began_at: Timestamp,
    /// What it does now; empty before it said so.
    pub phase: String,
    /// When that began.
    pub phase_began_at: Timestamp,
    /// Every phase until now with when it began, the newest last.
    pub phases: VecDeque<(String, Timestamp)>,
    /// Bytes of the phase that are through.
    pub bytes: u64,
    /// Of so many, where that is known.
    pub total: Option<u64>,
    /// Why it was told to stop, if it was.
    pub stopping: Option<String>,
    /// Its last lines, the oldest first; at most [`LINES_MAX`].
    pub lines: VecDeque<Line>,
}

/// All runs that have not ended.
pub struct Feed {
    state: Mutex<State>,
    changed: Condvar,
    clock: Arc<dyn Clock>,
    secrets: Box<dyn Fn() -> Vec<SecretString> + Send + Sync>,
}

#[derive(Default)]
struct State {
    /// Counts every change.
    version: u64,
    last_key: u64,
    running: Vec<Running>,
    /// The newest last.
    ended: VecDeque<Running>,
}

impl Feed {
    /// One in which nothing runs.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            clock,
            secrets: Box::new(Vec::new),
        }
    }

    /// One that shows of what programs print nothing that is secret when their run begins.
    #[must_use]
    pub fn hiding(self, secrets: impl Fn() -> Vec<SecretString> + Send + Sync + 'static) -> Self {
        Self {
            secrets: Box::new(secrets),
            ..self
        }
    }

    /// What takes secrets out of what programs print.
    pub(crate) fn redactor(&self) -> Redactor {
        Redactor::new((self.secrets)())
    }

    /// Every run, in the order in which they began, and which version of that it is.
    #[must_use]
    pub fn running(&self) -> (u64, Vec<Running>) {
        let state = self.lock();
        (state.version, state.running.clone())
    }

    /// What a run said that ended lately: the newest of which `is_it` holds. As it was when it ended.
    #[must_use]
    pub fn ended(&self, is_it: &dyn Fn(&Running) -> bool) -> Option<Running> {
        let state = self.lock();
        state.ended.iter().rev().find(|run| is_it(run)).cloned()
    }

    /// Waits until there is another version than `seen`, or so long; which one there is.
    #[must_use]
    pub fn wait(&self, seen: u64, longest: Duration) -> u64 {
        let state = self.lock();
        let waited = self
            .changed
            .wait_timeout_while(state, longest, |state| state.version == seen);
        waited.unwrap_or_else(PoisonError::into_inner).0.version
    }

    /// Ends every wait that goes on: there is another version now.
    pub fn wake(&self) {
        self.change(|_| ());
    }

    pub(crate) fn begin(&self, job: &Job, asked_by: Option<&str>) -> u64 {
        let now = self.clock.now();
        self.change(|state| {
            state.last_key += 1;
            state.running.push(Running {
                key: state.last_key,
                run: None,
                subject: job.subject.clone(),
                task: job.task,
                asked_by: asked_by.map(str::to_owned),
                began_at: now,
                phase: String::new(),
                phase_began_at: now,
                phases: VecDeque::new(),
                bytes: 0,
                total: None,
                stopping: None,
                lines: VecDeque::new(),
            });
            state.last_key
        })
    }

    pub(crate) fn end(&self, key: u64) {
        self.change(|state| {
            let Some(at) = state.running.iter().position(|run| run.key == key) else {
                return;
            };
            let mut run = state.running.remove(at);
            let surplus = run.lines.len().saturating_sub(ENDED_LINES_MAX);
            run.lines.drain(..surplus);
            if state.ended.len() == ENDED_MAX {
                state.ended.pop_front();
            }
            state.ended.push_back(run);
        });
    }

    /// What a run that has not ended began last in the catalog.
    pub(crate) fn run_of(&self, key: u64) -> Option<RunId> {
        let state = self.lock();
        state.running.iter().find(|run| run.key == key)?.run
    }

    pub(crate) fn stops(&self, key: u64, why: &str) {
        self.of(key, |run| run.stopping = Some(why.to_owned()));
    }

    fn of(&self, key: u64, change: impl FnOnce(&mut Running)) {
        self.change(|state| {
            if let Some(run) = state.running.iter_mut().find(|run| run.key == key) {
                change(run);
            }
        });
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let answer = change(&mut state);
        state.version += 1;
        self.changed.notify_all();
        answer
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one run tells: into the feed, to whoever takes its notes, and that it moves at all.
pub(crate) struct Reporter {
    pub(crate) feed: Arc<Feed>,
    pub(crate) key: u64,
    /// Counts whatever moved.
    pub(crate) moved: Arc<AtomicU64>,
    /// Bytes that were told last: the same again is no movement.
    pub(crate) bytes: AtomicU64,
    pub(crate) note: Box<dyn Fn(&str) + Send + Sync>,
    pub(crate) redactor: Redactor,
    pub(crate) flood: Mutex<Flood>,
}

/// How much a program printed in the second that goes on.
#[derive(Default)]
pub(crate) struct Flood {
    second: i64,
    taken: u32,
    left_out: u64,
}

impl Flood {
    /// Whether another line is taken, and how many were not before it.
    fn takes(&mut self, second: i64) -> Option<u64> {
        if second != self.second {
            self.second = second;
            self.taken = 0;
        }
        if self.taken >= SAID_A_SECOND_MAX {
            self.left_out += 1;
            return None;
        }
        self.taken += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

impl Reporter {
    fn line(&self, text: String) {
        let at = self.feed.clock.now();
        self.feed.of(self.key, |running| {
            let number = running.lines.back().map_or(0, |last| last.number + 1);
            if running.lines.len() >= LINES_MAX {
                running.lines.pop_front();
            }
            running.lines.push_back(Line { at, number, text });
        });
    }

    fn moves(&self) {
        self.moved.fetch_add(1, Ordering::Relaxed);
    }
}

impl Progress for Reporter {
    fn began(&self, run: RunId) {
        self.feed.of(self.key, |running| running.run = Some(run));
    }

    fn phase(&self, name: &str) {
        self.moves();
        self.bytes.store(0, Ordering::Relaxed);
        let now = self.feed.clock.now();
        self.feed.of(self.key, |running| {
            name.clone_into(&mut running.phase);
            running.phase_began_at = now;
            if running.phases.len() == PHASES_MAX {
                running.phases.pop_front();
            }
            running.phases.push_back((name.to_owned(), now));
            running.bytes = 0;
            running.total = None;
        });
    }

    fn bytes(&self, done: u64, total: Option<u64>) {
        if self.bytes.swap(done, Ordering::Relaxed) == done {
            return;
        }
        self.moves();
        self.feed.of(self.key, |running| {
            running.bytes = done;
            running.total = total;
        });
    }

    fn note(&self, line: &str) {
        self.moves();
        self.line(line.chars().take(LINE_CHARACTERS_MAX).collect());
        (self.note)(line);
    }

    fn said(&self, line: &str) {
        self.moves();
        let second = self.feed.clock.now().as_second();
        let mut flood = self.flood.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(left_out) = flood.takes(second) else {
            return;
        };
        drop(flood);
        if left_out > 0 {
            self.line(format!("({left_out} lines left out)"));
        }
        // A secret is one also with colours in it.
        let plain = plain::text(line);
        self.line(self.redactor.text(&plain, LINE_CHARACTERS_MAX));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use super::*;
    use crate::agenda::Limits;

    /// A clock that stands still.
    struct Still;

    impl Clock for Still {
        fn now(&self) -> Timestamp {
            "2026-11-22T10:00:00Z".parse().unwrap()
        }
    }

    fn reporter() -> (Arc<Feed>, Reporter) {
        let secrets = || vec![SecretString::from("s3cret-word".to_owned())];
        let feed = Arc::new(Feed::new(Arc::new(Still)).hiding(secrets));
        let job = Job {
            subject: Subject::Source("shop".parse().unwrap()),
            task: Task::Drill,
            plan: None,
            limits: Limits::default(),
        };
        let key = feed.begin(&job, Some("ana"));
        let reporter = Reporter {
            feed: Arc::clone(&feed),
            key,
            moved: Arc::default(),
            bytes: AtomicU64::new(0),
            note: Box::new(|line| {
                assert!(
                    !line.contains("s3cret"),
                    "what a program prints is for no log"
                );
            }),
            redactor: feed.redactor(),
            flood: Mutex::default(),
        };
        (feed, reporter)
    }

    #[test]
    fn lines_are_bounded_and_keep_their_numbers() {
        let (feed, reporter) = reporter();
        for number in 0..LINES_MAX + 3 {
            reporter.note(&format!("{number}{}", "x".repeat(2 * LINE_CHARACTERS_MAX)));
        }
        let (_, running) = feed.running();
        let lines = &running[0].lines;
        assert_eq!(lines.len(), LINES_MAX);
        assert_eq!(lines[0].number, 3);
        assert!(lines[0].text.starts_with("3x"));
        assert_eq!(lines[0].text.chars().count(), LINE_CHARACTERS_MAX);
    }

    #[test]
    fn what_programs_print_is_shown_without_secrets_and_so_much_of_it() {
        let (feed, mut reporter) = reporter();
        let lines = || {
            let (_, running) = feed.running();
            let texts = running[0].lines.iter().map(|line| line.text.clone());
            texts.collect::<Vec<String>>()
        };
        reporter.said("postgresql://ana:hunter2@db/shop");
        reporter.said("\u{1b}[31mtold s3cret-word\u{1b}[0m twice: s3cret-word");
        let long = "x".repeat(2 * LINE_CHARACTERS_MAX);
        reporter.said(&long);
        let told = lines();
        assert_eq!(told[0], "postgresql://ana:***@db/shop");
        assert!(told[1].contains("told *** twice: ***"), "{}", told[1]);
        assert!(!told.concat().contains('\u{1b}'));
        assert!(told[2].chars().count() <= LINE_CHARACTERS_MAX);
        for number in 0..1000 {
            reporter.said(&number.to_string());
        }
        let taken = usize::try_from(SAID_A_SECOND_MAX).unwrap();
        assert_eq!(lines().len(), taken);
        // The next second it goes on, and says what was left out.
        reporter.flood.get_mut().unwrap().second -= 1;
        reporter.said("at last");
        let told = lines();
        let left_out = 3 + 1000 - taken;
        assert_eq!(
            told[taken..],
            [format!("({left_out} lines left out)"), "at last".to_owned()]
        );
        // All of it is movement: a program that prints is not silent.
        assert_eq!(reporter.moved.load(Ordering::Relaxed), 1004);
    }

    #[test]
    fn only_what_is_new_is_movement() {
        let (feed, reporter) = reporter();
        reporter.phase("restore");
        reporter.bytes(10, Some(100));
        let moved = reporter.moved.load(Ordering::Relaxed);
        for _ in 0..5 {
            reporter.bytes(10, Some(100));
        }
        assert_eq!(reporter.moved.load(Ordering::Relaxed), moved);
        reporter.bytes(11, Some(100));
        assert_eq!(reporter.moved.load(Ordering::Relaxed), moved + 1);
        let (version, running) = feed.running();
        let run = &running[0];
        assert_eq!(
            (run.phase.as_str(), run.bytes, run.total),
            ("restore", 11, Some(100))
        );
        assert_eq!(feed.wait(version - 1, Duration::from_secs(60)), version);
        reporter.phase("check");
        for number in 0..=ENDED_LINES_MAX {
            reporter.note(&number.to_string());
        }
        feed.end(run.key);
        assert!(feed.running().1.is_empty());
        let ended = feed.ended(&|one| one.key == run.key).unwrap();
        let phases: Vec<&str> = ended.phases.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(phases, ["restore", "check"]);
        assert_eq!(ended.lines.len(), ENDED_LINES_MAX);
        assert_eq!(ended.lines[0].number, 1);
        assert_eq!(feed.ended(&|one| one.key == run.key + 1), None);
    }
}
