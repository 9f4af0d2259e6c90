//! Ends long statements: a thread that interrupts a connection when its caller cancels or its time is
//! up. SQLite forgets an interrupt that meets no running statement, so it is repeated until the watch
//! is dropped.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use resguardo_model::CancelToken;
use rusqlite::{Connection, ErrorCode};

use super::failure;
use crate::port::EngineError;

/// How often it is asked whether to stop. A person who presses Ctrl-C does not notice it.
const INTERVAL: Duration = Duration::from_millis(20);

/// Interrupts its connection while it lives.
pub(super) struct Watch {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    timed_out: Arc<AtomicBool>,
    timeout: Option<Duration>,
}

impl Watch {
    /// Watches over `connection` until it is dropped.
    pub(super) fn over(
        connection: &Connection,
        cancel: &CancelToken,
        timeout: Option<Duration>,
    ) -> Self {
        let handle = connection.get_interrupt_handle();
        let cancel = cancel.clone();
        let timed_out = Arc::new(AtomicBool::new(false));
        let late = Arc::clone(&timed_out);
        let (stop, stopped) = sync_channel::<()>(0);
        let begun = Instant::now();
        let thread = std::thread::spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(INTERVAL) {
                if timeout.is_some_and(|limit| begun.elapsed() >= limit) {
                    late.store(true, Ordering::SeqCst);
                }
                if late.load(Ordering::SeqCst) || cancel.is_cancelled() {
                    handle.interrupt();
                }
            }
        });
        Self {
            stop: Some(stop),
            thread: Some(thread),
            timed_out,
            timeout,
        }
    }

    /// Names an error of a watched statement; an interrupt is a timeout or the caller's wish.
    pub(super) fn name(
        &self,
        operation: &'static str,
        path: &Path,
        error: rusqlite::Error,
    ) -> EngineError {
        self.timeout_of(operation, &error)
            .unwrap_or_else(|| failure::of_sqlite(operation, path, error))
    }

    /// The timeout, if that is what ended the statement.
    pub(super) fn timeout_of(&self, what: &str, error: &rusqlite::Error) -> Option<EngineError> {
        let interrupted = failure::code(error) == Some(ErrorCode::OperationInterrupted);
        if !interrupted || !self.timed_out.load(Ordering::SeqCst) {
            return None;
        }
        Some(EngineError::Timeout {
            what: what.to_owned(),
            seconds: self.timeout.map_or(0, |limit| limit.as_secs()),
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It holds nothing that a panic could leave broken.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDLESS: &str =
        "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) from n";

    fn ask(connection: &Connection) -> rusqlite::Error {
        connection
            .query_row(ENDLESS, [], |row| row.get::<_, i64>(0))
            .expect_err("it never ends")
    }

    #[test]
    fn a_cancelled_statement_ends_as_cancelled() {
        let connection = Connection::open_in_memory().unwrap();
        let cancel = CancelToken::new();
        let watch = Watch::over(&connection, &cancel, None);
        let (begun, beginning) = sync_channel::<()>(0);
        let canceller = cancel.clone();
        let thread = std::thread::spawn(move || {
            beginning.recv().unwrap();
            canceller.cancel();
        });
        begun.send(()).unwrap();
        let error = watch.name("counting", Path::new("x"), ask(&connection));
        thread.join().unwrap();
        assert!(matches!(error, EngineError::Cancelled(_)), "{error}");
    }

    #[test]
    fn a_statement_that_takes_too_long_is_a_timeout() {
        let connection = Connection::open_in_memory().unwrap();
        let limit = Duration::from_millis(30);
        let watch = Watch::over(&connection, &CancelToken::new(), Some(limit));
        let error = watch.name("counting", Path::new("x"), ask(&connection));
        assert!(matches!(error, EngineError::Timeout { .. }), "{error}");
    }
}
