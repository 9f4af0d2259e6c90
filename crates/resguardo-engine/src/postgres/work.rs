//! Work in parallel over one kind of session: the largest item first, each worker with a session of its own,
//! and the first error ends all.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::port::EngineError;

/// How much work an item is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    /// In bytes.
    pub(super) bytes: u64,
}

/// Handles every item, `workers` at once, and returns the answers in no particular order. `connect` is asked
/// once for each worker. Once one fails, no further item is begun, and its error is returned.
///
/// # Errors
/// The first of a worker or of `connect`.
pub(super) fn in_parallel<S, I: Send, A: Send>(
    items: Vec<(Job, I)>,
    workers: usize,
    connect: impl Fn() -> Result<S, EngineError> + Sync,
    handle: &(dyn Fn(&mut S, I) -> Result<A, EngineError> + Sync),
) -> Result<Vec<A>, EngineError> {
    let workers = workers.clamp(1, items.len().max(1));
    let mut items = items;
    items.sort_by_key(|(job, _)| std::cmp::Reverse(job.bytes));
    let items: VecDeque<I> = items.into_iter().map(|(_, item)| item).collect();
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let items = Mutex::new(items);
    let has_failed = AtomicBool::new(false);
    let worker = || {
        let mut session = connect()?;
        let mut answers = Vec::new();
        while !has_failed.load(Ordering::Relaxed) {
            let item = items
                .lock()
                .expect("nothing panics under this lock")
                .pop_front();
            let Some(item) = item else {
                break;
            };
            answers.push(handle(&mut session, item)?);
        }
        Ok(answers)
    };
    let watched = || {
        let result = worker();
        if result.is_err() {
            has_failed.store(true, Ordering::Relaxed);
        }
        result
    };
    let results: Vec<Result<Vec<A>, EngineError>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(watched)).collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    });
    let mut answers = Vec::new();
    for result in results {
        answers.extend(result?);
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(count: u64) -> Vec<(Job, u64)> {
        (0..count).map(|item| (Job { bytes: item }, item)).collect()
    }

    #[test]
    fn every_item_is_handled_and_the_largest_first() {
        let order = Mutex::new(Vec::new());
        let answers = in_parallel(items(10), 1, || Ok(()), &|(), item| {
            order.lock().unwrap().push(item);
            Ok(item)
        });
        assert_eq!(answers.unwrap().iter().sum::<u64>(), 45);
        assert!(order.into_inner().unwrap().is_sorted_by(|a, b| a > b));
        let parallel = in_parallel(items(100), 4, || Ok(()), &|(), item| Ok(item));
        assert_eq!(parallel.unwrap().iter().sum::<u64>(), 4950);
    }

    #[test]
    fn the_first_error_ends_all() {
        let failed = in_parallel(items(100), 2, || Ok(()), &|(), item| {
            if item == 99 {
                return Err(EngineError::Missing {
                    place: "it".to_owned(),
                });
            }
            Ok(item)
        });
        assert!(matches!(failed, Err(EngineError::Missing { .. })));
    }
}
