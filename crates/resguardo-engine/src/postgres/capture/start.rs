//! Waits until `pg_dump` has its locks; each of them, where a second one works beside.

use std::time::{Duration, Instant};

use super::{Capture, TICK};
use crate::port::EngineError;
use crate::postgres::name;

/// How long a dump that waits for a lock is watched: we hold all that it wants, so it stands behind
/// somebody who wants more, and he behind us.
const LOCKED_OUT: Duration = Duration::from_millis(500);
/// How long a dump may take to connect.
const UNSEEN_MAX: Duration = Duration::from_secs(20);

/// How it went.
#[derive(Clone, Copy)]
pub(super) enum Start {
    /// It has its locks, or needs none any more.
    Ready,
    /// It stands behind somebody who waits for us.
    LockedOut,
}

/// The name under which the dumps connect that need locks.
pub(in crate::postgres) fn application_name(snapshot: &str) -> String {
    format!("resguardo pg_dump {snapshot}")
}

/// Waits for them; `over` tells how many have ended.
///
/// # Errors
/// If the server cannot be asked.
pub(super) fn wait(capture: &Capture<'_>, over: &dyn Fn() -> usize) -> Result<Start, EngineError> {
    if capture.opened.snapshot.relations.is_empty() {
        return Ok(Start::Ready);
    }
    let question = format!(
        "select coalesce(a.wait_event_type = 'Lock', false), \
           a.query !~ '^LOCK' and exists (select from pg_locks l where l.pid = a.pid and l.granted \
             and l.locktype = 'relation' and l.relation >= 16384) \
         from pg_stat_activity a where a.application_name = {}",
        name::literal(&application_name(&capture.opened.snapshot.id))
    );
    let dumps = 1 + usize::from(capture.also.is_some());
    let begun = Instant::now();
    let mut waiting: Option<Instant> = None;
    loop {
        let over = over();
        if over == dumps || capture.stop.is_cancelled() || capture.source.run.cancel.is_cancelled()
        {
            return Ok(Start::Ready);
        }
        let seen = capture.opened.observer.rows(&question)?;
        // One that has ended since is counted by the next look.
        let ready = seen.iter().filter(|dump| dump.is_true(1)).count();
        if over + ready >= dumps {
            return Ok(Start::Ready);
        }
        if over + seen.len() < dumps && begun.elapsed() >= UNSEEN_MAX {
            return Ok(Start::Ready);
        }
        if seen.iter().any(|dump| dump.is_true(0)) {
            let since = *waiting.get_or_insert_with(Instant::now);
            if since.elapsed() >= LOCKED_OUT {
                return Ok(Start::LockedOut);
            }
        } else {
            waiting = None;
        }
        std::thread::sleep(TICK);
    }
}
