//! What runs, with threads, and a clock and a stopwatch that the tests move.

#![allow(clippy::unwrap_used, reason = "test")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex};

use jiff::ToSpan as _;
use jiff::tz::TimeZone;
use resguardo_model::SourceName;

mod several;

use super::*;
use crate::agenda::{Limits, Plan};
use crate::driver::Outcome;

/// A time that only tests move.
#[derive(Default)]
struct Hands(Mutex<(Timestamp, Duration)>);

impl Hands {
    fn set(&self, now: Timestamp) {
        self.0.lock().unwrap().0 = now;
    }

    fn pass(&self, time: Duration) {
        let mut hands = self.0.lock().unwrap();
        hands.0 += jiff::SignedDuration::try_from(time).unwrap();
        hands.1 += time;
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap().0
    }
}

impl Stopwatch for Hands {
    fn elapsed(&self) -> Duration {
        self.0.lock().unwrap().1
    }
}

#[derive(Default)]
struct Remembered {
    all: Mutex<BTreeMap<(Subject, Task), JobState>>,
    is_locked: AtomicBool,
}

impl Memory for Remembered {
    fn state(&self, subject: &Subject, task: Task) -> Result<Option<JobState>, String> {
        let all = self.all.lock().unwrap();
        Ok(all.get(&(subject.clone(), task)).cloned())
    }

    fn keep(&self, subject: &Subject, task: Task, state: &JobState) -> Result<(), String> {
        if self.is_locked.load(Ordering::SeqCst) {
            return Err("database is locked".to_owned());
        }
        let mut all = self.all.lock().unwrap();
        all.insert((subject.clone(), task), state.clone());
        Ok(())
    }
}

/// What was said, and a bell at each line.
#[derive(Default)]
struct Lines(Mutex<Vec<String>>, Condvar);

impl Lines {
    fn add(&self, line: String) {
        self.0.lock().unwrap().push(line);
        self.1.notify_all();
    }

    fn count(&self, text: &str) -> usize {
        let lines = self.0.lock().unwrap();
        lines.iter().filter(|line| line.contains(text)).count()
    }

    /// Waits until it was said so often.
    fn wait(&self, text: &str, count: usize) {
        let lines = self.0.lock().unwrap();
        let is_missing = |lines: &mut Vec<String>| {
            lines.iter().filter(|line| line.contains(text)).count() < count
        };
        let minute = Duration::from_secs(60);
        let (lines, timeout) = self
            .1
            .wait_timeout_while(lines, minute, is_missing)
            .unwrap();
        assert!(!timeout.timed_out(), "{count} times {text:?} in {lines:?}");
    }
}

impl Watch for Lines {
    fn waits(&self, _until: Option<Timestamp>) {}

    fn begins(&self, job: &Job) {
        self.add(format!("{} begins", job.name()));
    }

    fn ended(&self, standing: &Standing) {
        let last = standing.state.last.as_ref().unwrap();
        let (name, outcome) = (standing.job.name(), last.outcome);
        self.add(format!("{name} {outcome:?} {}", last.message));
    }

    fn note(&self, line: &str) {
        self.add(line.to_owned());
    }

    fn stops(&self, running: usize) {
        self.add(format!("stops with {running}"));
    }
}

/// Ends as the name of the source says.
struct Odd {
    released: Arc<(Mutex<bool>, Condvar)>,
    lines: Arc<Lines>,
}

impl Work for Odd {
    fn run(&self, subject: &Subject, _task: Task, run: &Run) -> Ended {
        match subject.source().unwrap().as_str() {
            "panics" => panic!("odd"),
            // Until it is told to stop.
            "waits" => {
                while !run.cancel.is_cancelled() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Ended::Interrupted
            }
            // Until it is released, whatever it is told.
            "hangs" => {
                let (lock, bell) = &*self.released;
                let released = lock.lock().unwrap();
                drop(bell.wait_while(released, |released| !*released).unwrap());
                Ended::Interrupted
            }
            "says" => {
                run.progress.phase("capture");
                run.progress.note("a word");
                Ended::Done
            }
            _ => Ended::Done,
        }
    }

    fn failed(&self, subject: &Subject, _task: Task, _newest: Option<RunId>, why: &str) {
        let source = subject.source().unwrap();
        self.lines
            .add(format!("of {source} is written down: {why}"));
    }
}

fn job(source: &str, schedule: Option<&str>) -> Job {
    Job {
        subject: Subject::Source(source.parse().unwrap()),
        task: Task::Backup,
        plan: schedule.map(|schedule| Plan {
            schedule: schedule.parse().unwrap(),
            zone: TimeZone::UTC,
            windows: Vec::new(),
            jitter: None,
        }),
        limits: Limits::default(),
    }
}

fn subject(source: &str) -> Subject {
    Subject::Source(source.parse::<SourceName>().unwrap())
}

fn poke(source: &str) -> Poke {
    Poke {
        subject: subject(source),
        task: Task::Backup,
        asked: Asked::by("ana"),
    }
}

/// A daemon in a thread, and all that is around it.
struct World {
    hands: Arc<Hands>,
    memory: Arc<Remembered>,
    lines: Arc<Lines>,
    released: Arc<(Mutex<bool>, Condvar)>,
    around: Around,
    handle: Handle,
    thread: std::thread::JoinHandle<Result<bool, String>>,
}

const BEGIN: &str = "2026-11-01T00:00:00Z";

impl World {
    fn with(jobs: Vec<Job>) -> Self {
        Self::remembering(jobs, Arc::default(), BEGIN.parse().unwrap())
    }

    fn remembering(jobs: Vec<Job>, memory: Arc<Remembered>, now: Timestamp) -> Self {
        Self::sharing(jobs, memory, None, now)
    }

    fn sharing(
        jobs: Vec<Job>,
        memory: Arc<Remembered>,
        queue: Option<Arc<dyn Queue>>,
        now: Timestamp,
    ) -> Self {
        Self::looking(jobs, memory, queue, now, Duration::from_millis(1))
    }

    fn looking(
        jobs: Vec<Job>,
        memory: Arc<Remembered>,
        queue: Option<Arc<dyn Queue>>,
        now: Timestamp,
        look: Duration,
    ) -> Self {
        let hands = Arc::new(Hands::default());
        hands.set(now);
        let lines = Arc::new(Lines::default());
        let released = Arc::new((Mutex::new(false), Condvar::new()));
        let around = Around {
            work: Arc::new(Odd {
                released: Arc::clone(&released),
                lines: Arc::clone(&lines),
            }),
            memory: Arc::clone(&memory) as Arc<dyn Memory>,
            queue,
            clock: Arc::clone(&hands) as Arc<dyn Clock>,
            stopwatch: Arc::clone(&hands) as Arc<dyn Stopwatch>,
            watch: Arc::clone(&lines) as Arc<dyn Watch>,
            feed: Arc::new(Feed::new(Arc::clone(&hands) as Arc<dyn Clock>)),
            stop: CancelToken::new(),
        };
        let settings = Settings {
            runs_max: 2,
            grace: Duration::from_secs(60),
            look,
        };
        let (handle, inbox) = channel();
        let its = around.clone();
        let thread = std::thread::spawn(move || run(jobs, inbox, &its, settings));
        // It answers once it has begun, and knows its jobs since that time.
        assert_eq!(handle.poke(poke("nobody")), Answer::NotConfigured);
        Self {
            hands,
            memory,
            lines,
            released,
            around,
            handle,
            thread,
        }
    }

    fn state(&self, source: &str) -> JobState {
        let state = self.memory.state(&subject(source), Task::Backup).unwrap();
        state.unwrap()
    }

    /// Between two answers it has looked what is to begin.
    fn looks(&self) {
        for _ in 0..2 {
            assert_eq!(self.handle.poke(poke("nobody")), Answer::NotConfigured);
        }
    }

    fn release(&self) {
        *self.released.0.lock().unwrap() = true;
        self.released.1.notify_all();
    }

    fn stop(self) -> bool {
        self.around.stop.cancel();
        self.handle.look();
        self.thread.join().unwrap().unwrap()
    }
}

#[test]
fn runs_end_however_they_end_and_are_remembered() {
    let names = ["done", "panics", "waits"];
    let world = World::with(names.map(|name| job(name, Some("hourly"))).to_vec());
    assert_eq!(world.handle.poke(poke("nobody")), Answer::NotConfigured);
    world.hands.pass(Duration::from_secs(3600));
    world
        .lines
        .wait("of panics Failed a fault of Resguardo's", 1);
    world.lines.wait("of waits begins", 1);
    world.lines.wait("of done Succeeded", 1);
    let (memory, lines) = (Arc::clone(&world.memory), Arc::clone(&world.lines));
    assert!(world.stop());
    assert_eq!(lines.count("stops with 1"), 1);
    let outcome = |name: &str| {
        let state = memory.state(&subject(name), Task::Backup).unwrap().unwrap();
        assert_eq!(state.running_since, None);
        assert!(state.handled > BEGIN.parse().unwrap());
        state.last.unwrap().outcome
    };
    assert_eq!(outcome("done"), Outcome::Succeeded);
    assert_eq!(outcome("panics"), Outcome::Failed);
    assert_eq!(outcome("waits"), Outcome::Interrupted);
}

#[test]
fn a_poke_is_answered_and_done_once() {
    let world = World::with(vec![job("waits", None), job("says", None)]);
    assert_eq!(world.handle.poke(poke("waits")), Answer::Begun);
    assert_eq!(world.handle.poke(poke("waits")), Answer::Running);
    let (_, running) = world.around.feed.running();
    assert_eq!(running.len(), 1);
    assert_eq!(running[0].asked_by.as_deref(), Some("ana"));
    assert_eq!(world.handle.poke(poke("says")), Answer::Begun);
    world.lines.wait("backup of says: a word", 1);
    world.lines.wait("backup of says Succeeded", 1);
    let other = Poke {
        task: Task::Drill,
        ..poke("says")
    };
    assert_eq!(world.handle.poke(other), Answer::NotConfigured);
    let handle = world.handle.clone();
    assert!(world.stop());
    assert_eq!(handle.poke(poke("says")), Answer::Stopping);
}

#[test]
fn of_two_who_ask_for_different_things_the_second_is_told() {
    let world = World::with(
        ["waits", "hangs", "done"]
            .map(|name| job(name, None))
            .to_vec(),
    );
    let kept = |source: &str| Poke {
        asked: Asked {
            keep: true,
            ..Asked::by("bea")
        },
        ..poke(source)
    };
    assert_eq!(world.handle.poke(poke("waits")), Answer::Begun);
    assert_eq!(world.handle.poke(kept("waits")), Answer::Other);
    assert_eq!(world.handle.poke(kept("hangs")), Answer::Begun);
    assert_eq!(world.handle.poke(kept("hangs")), Answer::Running);
    assert_eq!(world.handle.poke(kept("done")), Answer::Waits);
    assert_eq!(world.handle.poke(poke("done")), Answer::Other);
    assert_eq!(world.handle.poke(kept("done")), Answer::Waits);
    world.release();
    world.lines.wait("of done Succeeded", 1);
    assert!(world.stop());
}

#[test]
fn whatever_is_said_is_heard_while_it_waits_for_long() {
    let (begin, hour) = (BEGIN.parse().unwrap(), Duration::from_secs(3600));
    let world = World::looking(vec![job("done", None)], Arc::default(), None, begin, hour);
    assert_eq!(world.handle.poke(poke("done")), Answer::Begun);
    world.lines.wait("of done Succeeded", 1);
    assert!(world.handle.replace(vec![job("says", Some("hourly"))]));
    world.hands.pass(hour);
    world.handle.look();
    world.lines.wait("of says Succeeded", 1);
    assert!(world.stop());
}

#[test]
fn a_poke_waits_for_room() {
    let names = ["waits", "hangs", "done"];
    let world = World::with(names.map(|name| job(name, None)).to_vec());
    assert_eq!(world.handle.poke(poke("waits")), Answer::Begun);
    assert_eq!(world.handle.poke(poke("hangs")), Answer::Begun);
    assert_eq!(world.handle.poke(poke("done")), Answer::Waits);
    assert_eq!(world.handle.poke(poke("done")), Answer::Waits);
    world.release();
    world.lines.wait("of done Succeeded", 1);
    assert_eq!(world.lines.count("of done begins"), 1);
    assert!(world.stop());
}

#[test]
fn a_run_beyond_its_deadline_fails_for_that_reason() {
    let mut late = job("waits", Some("hourly"));
    late.limits.deadline = Some("4h".parse().unwrap());
    let world = World::with(vec![late]);
    assert_eq!(world.handle.poke(poke("waits")), Answer::Begun);
    world.hands.pass(Duration::from_secs(4 * 3600 - 1));
    // Somebody sets the clock: that is no time that passed.
    world.hands.set("2026-11-09T00:00:00Z".parse().unwrap());
    world.handle.look();
    assert_eq!(world.handle.poke(poke("waits")), Answer::Running);
    world.hands.pass(Duration::from_secs(1));
    world.lines.wait(
        "of waits: it took longer than its deadline of 4h; it is told to stop",
        1,
    );
    world
        .lines
        .wait("of waits Failed it took longer than its deadline of 4h", 1);
    let state = world.state("waits");
    assert_eq!(state.last.unwrap().outcome, Outcome::Failed);
    assert_eq!(
        state.retry_at, None,
        "the next time of its schedule is soon enough"
    );
    assert!(world.stop());
}

#[test]
fn a_silent_run_is_ended_and_tried_again() {
    let mut silent = job("waits", Some("daily 02:00"));
    silent.limits.silence = Some("30m".parse().unwrap());
    let world = World::with(vec![silent]);
    world.hands.pass(Duration::from_secs(2 * 3600));
    world.lines.wait("of waits begins", 1);
    world.looks();
    world.hands.pass(Duration::from_secs(30 * 60));
    world
        .lines
        .wait("of waits Failed nothing of it moved for 30m", 1);
    let state = world.state("waits");
    assert_eq!(
        state.retry_at,
        Some("2026-11-01T02:31:00Z".parse().unwrap())
    );
    assert!(world.stop());
}

#[test]
fn a_run_that_does_not_heed_it_is_given_up_and_others_go_on() {
    let mut hangs = job("hangs", Some("hourly"));
    hangs.limits.silence = Some("30m".parse().unwrap());
    let mut other = job("hangs", None);
    other.task = Task::Drill;
    let jobs = vec![hangs, other, job("waits", None), job("done", None)];
    let world = World::with(jobs);
    assert_eq!(world.handle.poke(poke("hangs")), Answer::Begun);
    assert_eq!(world.handle.poke(poke("waits")), Answer::Begun);
    assert_eq!(world.handle.poke(poke("done")), Answer::Waits);
    world.hands.pass(Duration::from_secs(30 * 60));
    world.lines.wait("it is told to stop", 1);
    let (_, running) = world.around.feed.running();
    assert_eq!(
        running[0].stopping.as_deref(),
        Some("nothing of it moved for 30m")
    );
    world.hands.pass(Duration::from_secs(60));
    world.lines.wait(
        "of hangs Failed nothing of it moved for 30m, and does not stop",
        1,
    );
    let written = "of hangs is written down: nothing of it moved for 30m, and does not stop";
    assert_eq!(world.lines.count(written), 1);
    // Its room is free, its source is not.
    world.lines.wait("of done Succeeded", 1);
    let drill = Poke {
        task: Task::Drill,
        ..poke("hangs")
    };
    assert_eq!(world.handle.poke(drill), Answer::Waits);
    assert_eq!(world.lines.count("drill of hangs begins"), 0);
    world.release();
    world.lines.wait("drill of hangs begins", 1);
    assert!(world.stop());
}

#[test]
fn a_memory_that_is_locked_holds_nobody_up_and_is_written_later() {
    let world = World::with(vec![job("done", Some("every 10m"))]);
    world.memory.is_locked.store(true, Ordering::SeqCst);
    for count in 1..=3 {
        world.hands.pass(Duration::from_secs(600));
        world.lines.wait("of done Succeeded", count);
    }
    assert_eq!(
        world
            .lines
            .count("cannot be written down: database is locked"),
        1
    );
    assert_eq!(world.state("done").last, None);
    world.memory.is_locked.store(false, Ordering::SeqCst);
    world.hands.pass(Duration::from_secs(30));
    world.lines.wait("is written now", 1);
    assert_eq!(
        world.state("done").handled,
        "2026-11-01T00:30:00Z".parse().unwrap()
    );
    assert!(world.stop());
}

#[test]
fn jobs_are_replaced_while_they_run() {
    let world = World::with(vec![
        job("waits", Some("hourly")),
        job("done", Some("hourly")),
    ]);
    assert_eq!(world.handle.poke(poke("waits")), Answer::Begun);
    assert!(world.handle.replace(vec![job("says", Some("daily 02:00"))]));
    assert_eq!(world.handle.poke(poke("done")), Answer::NotConfigured);
    world.hands.pass(Duration::from_secs(2 * 3600));
    world.lines.wait("of says Succeeded", 1);
    assert_eq!(world.lines.count("of done"), 0);
    assert_eq!(world.lines.count("of waits Interrupted"), 0, "it goes on");
    let lines = Arc::clone(&world.lines);
    assert!(world.stop());
    assert_eq!(lines.count("of waits Interrupted"), 1);
}

#[test]
fn a_clock_that_is_set_runs_nothing_twice_and_silences_nothing() {
    let world = World::with(vec![job("done", Some("daily 02:00"))]);
    let set = |at: &str| {
        world.hands.set(at.parse().unwrap());
        world.looks();
    };
    set("2026-11-01T02:00:00Z");
    world.lines.wait("of done Succeeded", 1);
    // An hour back, and on again: that time was run.
    for at in [
        "2026-11-01T01:00:00Z",
        "2026-11-01T02:00:00Z",
        "2026-11-01T03:00:00Z",
    ] {
        set(at);
    }
    // A year ahead: once.
    set("2027-11-01T03:00:00Z");
    world.lines.wait("of done Succeeded", 2);
    // Put right: the next day is run.
    set("2026-11-01T04:00:00Z");
    assert_eq!(world.lines.count("of done begins"), 2);
    set("2026-11-02T02:00:00Z");
    world.lines.wait("of done Succeeded", 3);
    assert_eq!(world.lines.count("of done begins"), 3);
    assert!(world.stop());
}

/// Madrid goes forward on 29 March 2026 at 2:00 and back on 25 October at 3:00.
#[test]
fn a_day_of_23_hours_and_one_of_25_run_once_each() {
    let mut in_madrid = job("done", Some("daily 02:30"));
    in_madrid.plan.as_mut().unwrap().zone = TimeZone::get("Europe/Madrid").unwrap();
    let memory = Arc::new(Remembered::default());
    for (day, begins) in [("2026-03-28", "2026-03-29"), ("2026-10-24", "2026-10-25")] {
        let begin: Timestamp = format!("{day}T12:00:00Z").parse().unwrap();
        memory
            .keep(&subject("done"), Task::Backup, &JobState::new(begin))
            .unwrap();
        let world = World::remembering(vec![in_madrid.clone()], Arc::clone(&memory), begin);
        let mut count = 0;
        for minutes in (0..2 * 24 * 60).step_by(10) {
            let now = begin + i64::from(minutes).minutes();
            world.hands.set(now);
            world.looks();
            let begun = world.lines.count("of done begins");
            if begun > count {
                count = begun;
                world.lines.wait("of done Succeeded", count);
                let shown = TimeZone::get("Europe/Madrid").unwrap().to_datetime(now);
                let on_the_day = shown.date().to_string() == begins;
                assert!(!on_the_day || count == 1, "{shown}");
            }
        }
        assert_eq!(count, 2, "that day and the next");
        assert!(world.stop());
    }
}
