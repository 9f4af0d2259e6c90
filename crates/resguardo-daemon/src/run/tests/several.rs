//! Several daemons at one queue, in threads, each with a clock and a stopwatch of its own.

#![allow(clippy::unwrap_used, reason = "test")]

use super::*;
use crate::queue::memory::MemoryQueue;

const LEASE: Duration = Duration::from_secs(60);

/// A daemon and its view of the queue.
struct Machine {
    world: World,
    queue: Arc<MemoryQueue>,
}

impl Machine {
    /// Its clock is ahead of the queue's by so many hours.
    fn new(queue: MemoryQueue, jobs: Vec<Job>, hours: i64) -> Self {
        let queue = Arc::new(queue);
        let now: Timestamp = BEGIN.parse().unwrap();
        let now = now + hours.hours();
        let view = Arc::clone(&queue) as Arc<dyn Queue>;
        Self {
            world: World::sharing(jobs, Arc::default(), Some(view), now),
            queue,
        }
    }

    fn set_away(&self, is_away: bool) {
        self.queue.is_away.store(is_away, Ordering::SeqCst);
    }

    fn lines(&self) -> &Lines {
        &self.world.lines
    }
}

/// Time passes for all, in steps in which each of them asks the queue.
fn pass(machines: &[&Machine], time: Duration) {
    let mut left = time;
    while !left.is_zero() {
        let step = left.min(Duration::from_secs(5));
        left -= step;
        machines[0].queue.pass(step);
        machines
            .iter()
            .for_each(|machine| machine.world.hands.pass(step));
        machines.iter().for_each(|machine| machine.world.looks());
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn waits() -> Vec<Job> {
    vec![job("waits", Some("daily 02:00"))]
}

/// Two machines, of which the first runs what the second has not.
fn at_work() -> (Machine, Machine) {
    let queue = MemoryQueue::new(BEGIN.parse().unwrap(), "one", LEASE);
    let other = queue.of("other");
    let one = Machine::new(queue, waits(), 0);
    let other = Machine::new(other, waits(), 0);
    assert_eq!(one.world.handle.poke(poke("waits")), Answer::Begun);
    pass(&[&one, &other], seconds(10));
    assert_eq!(other.world.handle.poke(poke("waits")), Answer::Running);
    (one, other)
}

#[test]
fn each_time_is_run_once_whatever_their_clocks_say() {
    let queue = MemoryQueue::new(BEGIN.parse().unwrap(), "a", LEASE);
    let names = ["done", "says"];
    let jobs = || names.map(|name| job(name, Some("hourly"))).to_vec();
    let (second, third) = (queue.of("b"), queue.of("c"));
    let machines = [
        Machine::new(queue, jobs(), 0),
        Machine::new(second, jobs(), 3),
        Machine::new(third, jobs(), -5),
    ];
    let all = machines.each_ref();
    let count = |text: &str| -> usize {
        let counts = machines.iter().map(|machine| machine.lines().count(text));
        counts.sum()
    };
    let until = |second: u64| {
        let elapsed = machines[0].world.hands.elapsed();
        pass(&all, seconds(second).saturating_sub(elapsed));
    };
    for hour in 1..=12 {
        let second = 3600 * u64::try_from(hour).unwrap();
        until(second - 60);
        for name in names {
            assert_eq!(count(&format!("of {name} begins")), hour - 1);
        }
        until(second);
        for name in names {
            while count(&format!("of {name} Succeeded")) < hour {
                std::thread::yield_now();
            }
        }
        // Nobody does it again, after however many looks.
        until(second + 300);
        for name in names {
            assert_eq!(count(&format!("of {name} begins")), hour, "{name}");
        }
    }
    assert_eq!(count("which counts for schedules"), 2);
    for machine in machines {
        assert!(machine.world.stop());
    }
}

#[test]
fn what_is_not_heard_of_has_died_and_is_taken_over() {
    let (one, other) = at_work();
    one.set_away(true);
    pass(&[&one, &other], seconds(55));
    assert_eq!(other.lines().count("Died"), 0);
    pass(&[&one, &other], seconds(15));
    let died = "backup of waits Died one, which ran it, was not heard of for 60 s";
    assert_eq!(other.lines().count(died), 1);
    // What the one runs goes on, as far as it knows; nothing of it begins.
    assert_eq!(one.lines().count("the shared catalog cannot be used"), 1);
    assert_eq!(one.lines().count("told to stop"), 0);
    pass(&[&one, &other], seconds(65));
    assert_eq!(
        other.lines().count("of waits begins"),
        0,
        "a poke is not tried again"
    );
    assert_eq!(other.world.handle.poke(poke("waits")), Answer::Begun);
    one.set_away(false);
    pass(&[&one, &other], seconds(5));
    let lost = "another one has taken it over";
    assert_eq!(
        one.lines().count(&format!(
            "it is told to stop: this machine was not heard of for too long, and {lost}"
        )),
        1
    );
    assert_eq!(one.lines().count("answers again"), 1);
    // Its end is nobody's business any more.
    one.world.handle.look();
    pass(&[&one, &other], seconds(10));
    assert_eq!(one.lines().count("of waits Interrupted"), 0);
    assert!(one.world.stop());
    let (lines, queue) = (Arc::clone(&other.world.lines), Arc::clone(&other.queue));
    let seen = queue.look().unwrap();
    assert!(seen.jobs[0].runner.as_ref().unwrap().is_us);
    assert!(other.world.stop());
    assert_eq!(lines.count("of waits Interrupted"), 1);
    assert_eq!(queue.look().unwrap().jobs[0].runner, None);
}

#[test]
fn what_was_scheduled_is_tried_again_by_another() {
    let queue = MemoryQueue::new(BEGIN.parse().unwrap(), "one", LEASE);
    let other = queue.of("other");
    let one = Machine::new(queue, waits(), 0);
    let other = Machine::new(other, waits(), 0);
    pass(&[&one], seconds(2 * 3600));
    one.lines().wait("of waits begins", 1);
    one.set_away(true);
    pass(&[&other], seconds(70));
    assert_eq!(other.lines().count("of waits Died"), 1);
    pass(&[&other], seconds(65));
    other.lines().wait("of waits begins", 1);
    assert!(one.world.stop());
    assert!(other.world.stop());
}

#[test]
fn nobody_is_buried_by_who_was_deaf_himself() {
    let (one, other) = at_work();
    // The server is gone for longer than a lease.
    one.set_away(true);
    other.set_away(true);
    pass(&[&one, &other], seconds(300));
    assert_eq!(one.world.handle.poke(poke("waits")), Answer::Running);
    other.set_away(false);
    pass(&[&one, &other], seconds(30));
    assert_eq!(other.lines().count("Died"), 0);
    one.set_away(false);
    pass(&[&one, &other], seconds(300));
    assert_eq!(other.lines().count("Died"), 0);
    assert_eq!(one.lines().count("told to stop"), 0);
    assert!(one.world.stop());
    assert!(other.world.stop());
}

#[test]
fn an_end_that_could_not_be_told_is_told_later() {
    let queue = MemoryQueue::new(BEGIN.parse().unwrap(), "one", LEASE);
    let view = queue.of("looks");
    let one = Machine::new(queue, vec![job("hangs", None)], 0);
    assert_eq!(one.world.handle.poke(poke("hangs")), Answer::Begun);
    one.set_away(true);
    one.world.release();
    one.lines().wait("of hangs Interrupted", 1);
    // Nothing begins, and what is asked for waits.
    assert_eq!(one.world.handle.poke(poke("hangs")), Answer::Waits);
    pass(&[&one], seconds(30));
    assert!(view.look().unwrap().jobs[0].runner.is_some());
    assert_eq!(one.lines().count("of hangs begins"), 1);
    one.set_away(false);
    one.lines().wait("answers again", 0);
    pass(&[&one], seconds(10));
    one.lines().wait("of hangs Interrupted", 2);
    pass(&[&one], seconds(5));
    assert!(one.world.stop());
    assert_eq!(view.look().unwrap().jobs[0].runner, None);
}

#[test]
fn an_end_that_could_not_be_told_any_more_is_told_by_the_next_life() {
    let queue = MemoryQueue::new(BEGIN.parse().unwrap(), "one", LEASE);
    let (view, next) = (queue.of("looks"), queue.of("one, later"));
    let jobs = || vec![job("hangs", None)];
    let one = Machine::new(queue, jobs(), 0);
    assert_eq!(one.world.handle.poke(poke("hangs")), Answer::Begun);
    one.set_away(true);
    one.world.release();
    one.lines().wait("of hangs Interrupted", 1);
    let memory = Arc::clone(&one.world.memory);
    assert!(one.world.stop());
    assert!(view.look().unwrap().jobs[0].runner.is_some());
    view.pass(seconds(70));
    let now: Timestamp = BEGIN.parse().unwrap();
    let queue = Arc::new(next);
    let again = World::sharing(
        jobs(),
        memory,
        Some(Arc::clone(&queue) as Arc<dyn Queue>),
        now + 70.seconds(),
    );
    let known = view.look().unwrap().jobs.remove(0);
    assert_eq!(known.runner, None);
    assert_eq!(known.state.running_since, None);
    assert_eq!(known.state.last.unwrap().outcome, Outcome::Interrupted);
    assert_eq!(again.lines.count("Died"), 0);
    assert!(again.stop());
}

#[test]
fn without_its_queue_nothing_is_begun() {
    let queue = MemoryQueue::new(BEGIN.parse().unwrap(), "one", LEASE);
    queue.is_away.store(true, Ordering::SeqCst);
    let hands = Arc::new(Hands::default());
    let (_handle, inbox) = channel();
    let around = Around {
        work: Arc::new(Odd {
            released: Arc::default(),
            lines: Arc::default(),
        }),
        memory: Arc::new(Remembered::default()),
        queue: Some(Arc::new(queue)),
        clock: Arc::clone(&hands) as Arc<dyn Clock>,
        stopwatch: Arc::clone(&hands) as Arc<dyn Stopwatch>,
        watch: Arc::new(Lines::default()),
        feed: Arc::new(Feed::new(Arc::clone(&hands) as Arc<dyn Clock>)),
        stop: CancelToken::new(),
    };
    let settings = Settings {
        runs_max: 2,
        grace: LEASE,
        look: LEASE,
    };
    let why = run(waits(), inbox, &around, settings).unwrap_err();
    assert_eq!(why, "the queue cannot be reached");
}
