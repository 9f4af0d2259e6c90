//! The thread that looks.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use resguardo_model::{CancelToken, Clock};

use super::Board;

/// How often it looks where nothing happens.
const EVERY: Duration = Duration::from_secs(60);

/// Looks how everything stands.
pub trait Look<S>: Send + Sync {
    /// What is seen now; or why nothing is, in a line.
    ///
    /// # Errors
    /// A line for people.
    fn look(&self) -> Result<S, String>;
}

/// Looks now and then, and when it is asked to.
pub struct Looker {
    asked: Arc<(Mutex<bool>, Condvar)>,
    /// Nothing comes of it until the thread ends.
    end: Mutex<Receiver<()>>,
}

impl Looker {
    /// Begins to look, until `stop` and [`Looker::end`].
    ///
    /// # Errors
    /// If there is no thread for it.
    pub fn start<S: Clone + Send + Sync + 'static>(
        board: Arc<Board<S>>,
        look: Arc<dyn Look<S>>,
        clock: Arc<dyn Clock>,
        stop: CancelToken,
    ) -> std::io::Result<Self> {
        let asked = Arc::new((Mutex::new(false), Condvar::new()));
        let ask = Arc::clone(&asked);
        let (alive, end) = channel();
        let work = move || {
            let _alive = alive;
            while !stop.is_cancelled() {
                let looked = std::panic::AssertUnwindSafe(|| look.look());
                let seen = std::panic::catch_unwind(looked).unwrap_or_else(|_| {
                    Err("a fault of Resguardo's: looking how things stand panicked".to_owned())
                });
                board.put(clock.now(), seen);
                wait(&ask, &stop);
            }
        };
        std::thread::Builder::new()
            .name("board".to_owned())
            .spawn(work)?;
        Ok(Self {
            asked,
            end: Mutex::new(end),
        })
    }

    /// Asks it to look soon: something has changed.
    pub fn poke(&self) {
        let (asked, changed) = &*self.asked;
        *asked.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_one();
    }

    /// Waits for its end, which `stop` brings, but not longer than `limit` for a look that does not end. Whether
    /// it ended.
    pub fn end(&self, limit: Duration) -> bool {
        self.poke();
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        end.recv_timeout(limit) != Err(RecvTimeoutError::Timeout)
    }
}

/// Whoever raises `stop` pokes as well.
fn wait(ask: &(Mutex<bool>, Condvar), stop: &CancelToken) {
    let (asked, changed) = ask;
    let is_asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
    let waited = changed.wait_timeout_while(is_asked, EVERY, |is_asked| {
        !*is_asked && !stop.is_cancelled()
    });
    *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::mpsc::Sender;

    use resguardo_model::SystemClock;

    use super::*;

    struct Counts(AtomicU64);

    impl Look<u64> for Counts {
        fn look(&self) -> Result<u64, String> {
            let before = self.0.fetch_add(1, Ordering::SeqCst);
            assert!(before != 1, "odd");
            Ok(before)
        }
    }

    fn until(board: &Board<u64>, is: impl Fn(&super::super::Snapshot<u64>) -> bool) {
        while !is(&board.snapshot()) {
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn it_looks_at_once_when_asked_and_after_a_panic() {
        let clock = Arc::new(SystemClock);
        let board = Board::new(clock.now());
        let stop = CancelToken::new();
        let look = Arc::new(Counts(AtomicU64::new(0)));
        let looker = Looker::start(Arc::clone(&board), look, clock, stop.clone()).unwrap();
        until(&board, |now| now.seen == Some(0));
        looker.poke();
        until(&board, |now| now.blind.is_some());
        looker.poke();
        until(&board, |now| now.seen == Some(2));
        assert_eq!(board.snapshot().blind, None);
        stop.cancel();
        assert!(looker.end(Duration::from_secs(60)));
    }

    /// A vault that does not answer; it tells that it was asked.
    struct Hangs(Mutex<Receiver<()>>, Sender<()>);

    impl Look<u64> for Hangs {
        fn look(&self) -> Result<u64, String> {
            self.1.send(()).unwrap();
            let _ = self.0.lock().unwrap().recv();
            Ok(0)
        }
    }

    #[test]
    fn a_look_that_does_not_end_is_not_waited_for() {
        let clock = Arc::new(SystemClock);
        let (answer, asked) = channel();
        let (begins, begun) = channel();
        let (board, stop) = (Board::new(clock.now()), CancelToken::new());
        let look = Arc::new(Hangs(Mutex::new(asked), begins));
        let looker = Looker::start(board, look, clock, stop.clone()).unwrap();
        begun.recv().unwrap();
        stop.cancel();
        assert!(!looker.end(Duration::from_millis(1)));
        drop(answer);
        assert!(looker.end(Duration::from_secs(60)));
    }
}
