//! A catalog for whose file the disk has no room: it is in memory until there is.
//!
//! What it tells of runs and jobs moves with it. The rest is a cache of the vault, and filled again.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

/// How long until it is tried again.
const AGAIN: Duration = Duration::from_secs(20);

/// Where a catalog belongs that is in memory; of any other, nothing.
#[derive(Default)]
pub(super) struct Homeless(Mutex<Option<Waiting>>);

struct Waiting {
    path: PathBuf,
    tried_at: Instant,
}

impl Homeless {
    pub(super) fn waiting_for(path: &Path) -> Self {
        Self(Mutex::new(Some(Waiting {
            path: path.to_owned(),
            tried_at: Instant::now(),
        })))
    }

    /// The catalog in its place, with what `in_memory` tells of runs and jobs; `None`: there is no room, or it is
    /// there already.
    pub(super) fn settle(&self, in_memory: &Connection) -> Option<Connection> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = slot.as_mut()?;
        if waiting.tried_at.elapsed() < AGAIN {
            return None;
        }
        waiting.tried_at = Instant::now();
        let path = waiting.path.clone();
        let at_home = super::connect(&path).ok()?;
        move_to(in_memory, &path).ok()?;
        *slot = None;
        Some(at_home)
    }
}

fn move_to(in_memory: &Connection, path: &Path) -> rusqlite::Result<()> {
    in_memory.execute(
        "attach database ?1 as home",
        params![path.to_string_lossy()],
    )?;
    let moved = in_memory.execute_batch(
        "begin;
         insert or ignore into home.runs select * from main.runs;
         insert or replace into home.jobs select * from main.jobs;
         commit;",
    );
    if moved.is_err() && !in_memory.is_autocommit() {
        in_memory.execute_batch("rollback")?;
    }
    in_memory.execute_batch("detach database home")?;
    moved
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use jiff::Timestamp;

    use super::*;
    use crate::catalog::Catalog;

    #[test]
    fn what_was_done_meanwhile_moves_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog.db");
        let old = Catalog::open(&path).unwrap();
        old.put_job(None, "sweep", "old", Timestamp::UNIX_EPOCH)
            .unwrap();
        let memory = Catalog::in_memory().unwrap();
        memory
            .put_job(None, "sweep", "new", Timestamp::UNIX_EPOCH)
            .unwrap();
        move_to(&memory.lock(), &path).unwrap();
        assert_eq!(old.job(None, "sweep").unwrap().as_deref(), Some("new"));
        // Nothing of it is left open.
        move_to(&memory.lock(), &path).unwrap();
    }

    #[test]
    fn it_is_not_tried_at_every_step() {
        let folder = tempfile::tempdir().unwrap();
        let homeless = Homeless::waiting_for(&folder.path().join("catalog.db"));
        let memory = Catalog::in_memory().unwrap();
        assert!(homeless.settle(&memory.lock()).is_none());
        let long_ago = Instant::now().checked_sub(2 * AGAIN).unwrap();
        homeless.0.lock().unwrap().as_mut().unwrap().tried_at = long_ago;
        assert!(homeless.settle(&memory.lock()).is_some());
        assert!(homeless.settle(&memory.lock()).is_none());
    }
}
