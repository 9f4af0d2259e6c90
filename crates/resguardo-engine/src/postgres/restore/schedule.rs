//! Runs tasks side by side: each when what it waits for is done, the one with the longest way behind it
//! first, and never two at once that would wait for each other's lock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use resguardo_model::CancelToken;

use crate::port::EngineError;

/// How often whoever waits looks at whether the caller has cancelled.
const TICK: Duration = Duration::from_millis(100);

/// One piece of work.
#[derive(Debug)]
pub(super) struct Task<W> {
    /// What is to be done.
    pub(super) work: W,
    /// How long it takes, in any unit that is the same for all.
    pub(super) cost: u64,
    /// Positions of the tasks that must be done before, each once. A circle would never end.
    pub(super) after: Vec<usize>,
    /// Tables that it reads or changes.
    pub(super) tables: Vec<u32>,
    /// Whether nobody else may use these tables meanwhile.
    pub(super) exclusive: bool,
}

struct State {
    /// How many tasks each one still waits for.
    open: Vec<usize>,
    /// Tasks that have not begun and wait for others.
    waiting: usize,
    /// Tasks that may begin, the most urgent last.
    ready: BTreeSet<(u64, usize)>,
    /// Tables in use: how many share them; `u32::MAX` where one has it alone.
    used: BTreeMap<u32, u32>,
    error: Option<EngineError>,
}

/// What all workers look at.
struct Board<'a, W> {
    tasks: &'a [Task<W>],
    /// Cost of each task and of the longest chain of others that wait for it.
    urgency: Vec<u64>,
    /// The tasks that wait for each.
    followers: Vec<Vec<usize>>,
    state: Mutex<State>,
    changed: Condvar,
}

/// Runs all tasks with `workers` threads. `connect` is asked once by each with the token that ends it: when
/// the caller cancels, and when another task has failed.
///
/// # Errors
/// The first error of a task; [`EngineError::Cancelled`] if the caller cancelled.
pub(super) fn run<W: Sync, S>(
    tasks: &[Task<W>],
    workers: usize,
    cancel: &CancelToken,
    connect: &(dyn Fn(&CancelToken) -> Result<S, EngineError> + Sync),
    perform: &(dyn Fn(&mut S, &W, &CancelToken) -> Result<(), EngineError> + Sync),
) -> Result<(), EngineError> {
    if tasks.is_empty() {
        return Ok(());
    }
    let board = Board::new(tasks);
    let stop = CancelToken::new();
    std::thread::scope(|scope| {
        let work = || {
            let worked = connect(&stop).and_then(|mut session| {
                board.work(&stop, &mut |work| perform(&mut session, work, &stop))
            });
            if let Err(error) = worked {
                board.fail(error);
                stop.cancel();
            }
        };
        let threads: Vec<_> = (0..workers.clamp(1, tasks.len()))
            .map(|_| scope.spawn(work))
            .collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            if cancel.is_cancelled() {
                stop.cancel();
            }
            board.wait();
        }
    });
    cancel.check()?;
    let state = board.state.into_inner();
    match state.unwrap_or_else(|_| unreachable_state()).error {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Nothing panics while it holds the state.
fn unreachable_state() -> State {
    unreachable!("a task does not run under the lock")
}

impl<'a, W> Board<'a, W> {
    fn new(tasks: &'a [Task<W>]) -> Self {
        let mut followers: Vec<Vec<usize>> = vec![Vec::new(); tasks.len()];
        for (index, task) in tasks.iter().enumerate() {
            for before in &task.after {
                followers[*before].push(index);
            }
        }
        let urgency = urgency(tasks, &followers);
        let open: Vec<_> = tasks.iter().map(|task| task.after.len()).collect();
        let first = (0..tasks.len()).filter(|index| open[*index] == 0);
        let ready: BTreeSet<_> = first.map(|index| (urgency[index], index)).collect();
        let state = State {
            waiting: tasks.len() - ready.len(),
            open,
            ready,
            used: BTreeMap::new(),
            error: None,
        };
        Self {
            tasks,
            urgency,
            followers,
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics under this lock")
    }

    fn wait(&self) {
        let state = self.lock();
        drop(self.changed.wait_timeout(state, TICK));
    }

    fn fail(&self, error: EngineError) {
        let mut state = self.lock();
        // The others end because of the first one.
        state.error.get_or_insert(error);
        drop(state);
        self.changed.notify_all();
    }

    /// Takes tasks until there are none left.
    fn work(
        &self,
        stop: &CancelToken,
        perform: &mut dyn FnMut(&W) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        loop {
            stop.check()?;
            let mut state = self.lock();
            let Some(index) = self.take(&mut state) else {
                let nothing_left = state.ready.is_empty() && state.waiting == 0;
                if nothing_left || state.error.is_some() {
                    return Ok(());
                }
                drop(self.changed.wait_timeout(state, TICK));
                continue;
            };
            drop(state);
            let performed = perform(&self.tasks[index].work);
            self.put_back(index, performed.is_ok());
            performed?;
        }
    }

    /// The most urgent task whose tables are free.
    fn take(&self, state: &mut State) -> Option<usize> {
        let is_free = |(_, index): &&(u64, usize)| {
            let task = &self.tasks[*index];
            task.tables.iter().all(|table| match state.used.get(table) {
                None => true,
                Some(users) => *users != u32::MAX && !task.exclusive,
            })
        };
        let found = *state.ready.iter().rev().find(is_free)?;
        state.ready.remove(&found);
        let task = &self.tasks[found.1];
        for table in &task.tables {
            let users = state.used.entry(*table).or_default();
            *users = if task.exclusive { u32::MAX } else { *users + 1 };
        }
        Some(found.1)
    }

    /// A task has ended.
    fn put_back(&self, index: usize, is_done: bool) {
        let mut state = self.lock();
        let task = &self.tasks[index];
        for table in &task.tables {
            let left = match state.used.get(table) {
                Some(users) if !task.exclusive && *users > 1 => Some(users - 1),
                _ => None,
            };
            match left {
                Some(users) => state.used.insert(*table, users),
                None => state.used.remove(table),
            };
        }
        if is_done {
            for next in &self.followers[index] {
                state.open[*next] -= 1;
                if state.open[*next] == 0 {
                    state.waiting -= 1;
                    state.ready.insert((self.urgency[*next], *next));
                }
            }
        }
        drop(state);
        self.changed.notify_all();
    }
}

/// Each task's cost with that of the longest chain that waits for it.
fn urgency<W>(tasks: &[Task<W>], followers: &[Vec<usize>]) -> Vec<u64> {
    let mut urgency: Vec<u64> = tasks.iter().map(|task| task.cost).collect();
    let mut open: Vec<usize> = followers.iter().map(Vec::len).collect();
    let mut done: Vec<usize> = (0..tasks.len()).filter(|index| open[*index] == 0).collect();
    while let Some(index) = done.pop() {
        let behind = followers[index].iter().map(|next| urgency[*next]).max();
        urgency[index] = tasks[index].cost.saturating_add(behind.unwrap_or(0));
        for before in &tasks[index].after {
            open[*before] -= 1;
            if open[*before] == 0 {
                done.push(*before);
            }
        }
    }
    urgency
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(work: usize, cost: u64, after: &[usize]) -> Task<usize> {
        Task {
            work,
            cost,
            after: after.to_vec(),
            tables: Vec::new(),
            exclusive: false,
        }
    }

    fn order(tasks: &[Task<usize>], workers: usize) -> Vec<usize> {
        let done = Mutex::new(Vec::new());
        let connect = |_: &CancelToken| Ok(());
        let perform = |(): &mut (), work: &usize, _: &CancelToken| {
            done.lock().unwrap().push(*work);
            Ok(())
        };
        run(tasks, workers, &CancelToken::new(), &connect, &perform).unwrap();
        done.into_inner().unwrap()
    }

    #[test]
    fn the_longest_way_first_and_nothing_before_what_it_needs() {
        let tasks = [
            task(0, 5, &[]),
            task(1, 1, &[]),
            task(2, 100, &[1]),
            task(3, 7, &[]),
            task(4, 1, &[0, 2]),
        ];
        assert_eq!(order(&tasks, 1), [1, 2, 3, 0, 4]);
        for workers in [2, 8] {
            let order = order(&tasks, workers);
            let at = |work: usize| order.iter().position(|other| *other == work).unwrap();
            assert!(at(1) < at(2) && at(2) < at(4) && at(0) < at(4), "{order:?}");
        }
    }

    #[test]
    fn whoever_wants_a_table_alone_gets_it_alone() {
        let mut tasks: Vec<_> = (0..40).map(|work| task(work, 1, &[])).collect();
        for (index, task) in tasks.iter_mut().enumerate() {
            task.tables = vec![1];
            task.exclusive = index % 3 == 0;
        }
        let users = Mutex::new((0i32, 0i32));
        let connect = |_: &CancelToken| Ok(());
        let perform = |(): &mut (), work: &usize, _: &CancelToken| {
            let alone = work.is_multiple_of(3);
            let enter = |by: i32| {
                let mut users = users.lock().unwrap();
                if alone {
                    users.0 += by;
                } else {
                    users.1 += by;
                }
                assert!(users.0 <= 1 && (users.0 == 0 || users.1 == 0), "{users:?}");
            };
            enter(1);
            std::thread::yield_now();
            enter(-1);
            Ok(())
        };
        run(&tasks, 8, &CancelToken::new(), &connect, &perform).unwrap();
    }

    #[test]
    fn the_first_error_ends_all_and_the_callers_wish_too() {
        let tasks: Vec<_> = (0..100).map(|work| task(work, 1, &[])).collect();
        let cancel = CancelToken::new();
        let connect = |_: &CancelToken| Ok(());
        let perform = |(): &mut (), work: &usize, stop: &CancelToken| {
            if *work == 50 {
                return Err(EngineError::Missing { place: "x".into() });
            }
            stop.check().map_err(EngineError::from)
        };
        let error = run(&tasks, 4, &cancel, &connect, &perform).unwrap_err();
        assert!(matches!(error, EngineError::Missing { .. }), "{error}");
        let wait = |(): &mut (), _: &usize, stop: &CancelToken| {
            cancel.cancel();
            while !stop.is_cancelled() {
                std::thread::yield_now();
            }
            Ok(stop.check()?)
        };
        let error = run(&tasks, 4, &cancel, &connect, &wait).unwrap_err();
        assert!(matches!(error, EngineError::Cancelled(_)), "{error}");
    }
}
