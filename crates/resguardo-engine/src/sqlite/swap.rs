//! Puts a finished database file in the place of another, or of none. Write order:
//!
//! 1. The image is complete, checked and flushed, in a private folder beside the target (the caller).
//! 2. It gets the mode and owner of the file that it replaces.
//! 3. The old database is taken: its exclusive lock is held until the end, so that nobody begins to
//!    write to it. What a crashed writer left is rolled back, its write-ahead log is moved into it.
//! 4. Its side files are removed. SQLite would replay a `-wal` or `-journal` of the old database into
//!    the new one, which destroys it.
//! 5. The folder is flushed; the image is renamed over the old file; the folder is flushed again.
//!
//! A crash before 5 leaves the old database whole, after it the new one. If the old file is no database
//! that can be opened, 3 and 4 keep it instead, with its side files, under a name beside it.
//!
//! INVARIANT: at no point do a new main file and an old side file lie together
//! (`swap::a_crash_with_a_stale_log_leaves_the_old_or_the_new`, and the others in `tests/sqlite/swap.rs`).

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use resguardo_model::CancelToken;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode};

use super::failure::{self, of_sqlite, place};
use super::open::{self, side_file};
use crate::durable;
use crate::port::EngineError;
use crate::system::of_system;

/// What SQLite keeps beside a database.
const SIDE_FILES: [&str; 3] = ["-wal", "-shm", "-journal"];

/// The points between which a crash must be survived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The old database is locked and whole in its main file, or kept under another name.
    Taken,
    /// Nothing lies beside it any more.
    Alone,
    /// The image has its name.
    Renamed,
    /// And will keep it through a loss of power.
    Flushed,
}

/// One swap.
pub(super) struct Swap<'a> {
    /// The finished image, on the same file system as the target.
    pub(super) image: &'a Path,
    /// The target without links.
    pub(super) target: &'a Path,
    /// Flush the folder.
    pub(super) durable: bool,
    /// Longest wait for the old database's lock.
    pub(super) lock_timeout: Duration,
}

impl Swap<'_> {
    /// Does it; `after` is told of every step. Returns what a person should know.
    ///
    /// # Errors
    /// The target is as it was, unless the error is [`EngineError::TargetTouched`].
    pub(super) fn run(
        &self,
        cancel: &CancelToken,
        after: &dyn Fn(Step),
    ) -> Result<Vec<String>, EngineError> {
        let mut notes = Vec::new();
        let Ok(old) = self.target.symlink_metadata() else {
            return self.fill_free_place(after);
        };
        self.dress(&old, &mut notes)?;
        if self.durable {
            durable::flush(self.image).map_err(|error| of_system("flushing", self.image, error))?;
        }
        let taken = self.take(cancel)?;
        let mut kept = Kept::default();
        if let Err(why) = &taken {
            notes.push(self.keep_aside(why, &mut kept)?);
        }
        after(Step::Taken);
        if taken.is_ok() {
            for ending in SIDE_FILES {
                remove_if_there(&side_file(self.target, ending))?;
            }
        }
        self.flush_folder()?;
        after(Step::Alone);
        if let Err(error) = durable::replace(self.image, self.target) {
            kept.put_back();
            return Err(of_system("replacing", self.target, error));
        }
        after(Step::Renamed);
        self.flush_after()?;
        after(Step::Flushed);
        if old.nlink() > 1 + u64::from(taken.is_err()) {
            notes.push("other names of the old file still lead to the old database".to_owned());
        }
        if taken.is_ok() {
            notes.push(format!(
                "an application that had {} open must be restarted: it still holds the old file",
                self.target.display()
            ));
        }
        // The lock is given back only now.
        drop(taken);
        Ok(notes)
    }

    /// Nothing has the target's name; but side files of a database that is gone may lie there.
    fn fill_free_place(&self, after: &dyn Fn(Step)) -> Result<Vec<String>, EngineError> {
        let mut notes = Vec::new();
        let mut kept = Kept::default();
        let aside = self.aside();
        kept.move_side_files(self.target, &aside)?;
        if !kept.moved.is_empty() {
            notes.push(format!(
                "side files of a database that is gone were moved to {}-*",
                aside.display()
            ));
        }
        after(Step::Taken);
        self.flush_folder()?;
        after(Step::Alone);
        if let Err(error) = durable::rename_to_free(self.image, self.target) {
            kept.put_back();
            return Err(match error.kind() {
                std::io::ErrorKind::AlreadyExists => EngineError::Replaced {
                    place: place(self.target),
                },
                _ => of_system("naming", self.target, error),
            });
        }
        after(Step::Renamed);
        self.flush_after()?;
        after(Step::Flushed);
        Ok(notes)
    }

    /// Gives the image the old file's mode and, where we may, its owner.
    fn dress(&self, old: &std::fs::Metadata, notes: &mut Vec<String>) -> Result<(), EngineError> {
        let new = self
            .image
            .metadata()
            .map_err(|error| of_system("reading", self.image, error))?;
        if (new.uid(), new.gid()) != (old.uid(), old.gid())
            && std::os::unix::fs::chown(self.image, Some(old.uid()), Some(old.gid())).is_err()
        {
            notes.push(format!(
                "the old file belonged to user {} and group {}; the new one does not",
                old.uid(),
                old.gid()
            ));
        }
        let mode = std::fs::Permissions::from_mode(old.mode() & 0o777);
        std::fs::set_permissions(self.image, mode)
            .map_err(|error| of_system("setting the mode of", self.image, error))
    }

    /// Takes the old database for ourselves and moves all of it into its main file. The inner error
    /// says why it is no database that this can be done with.
    fn take(&self, cancel: &CancelToken) -> Result<Result<Connection, String>, EngineError> {
        let taken = open::patiently(self.lock_timeout, cancel, self.target, "locking", || {
            take_exclusively(self.target)
        })?;
        match taken {
            Ok(connection) => Ok(Ok(connection)),
            Err(error) => match failure::code(&error) {
                Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt | ErrorCode::Unknown) => {
                    Ok(Err(error.to_string()))
                }
                _ => Err(of_sqlite("locking", self.target, error)),
            },
        }
    }

    /// Keeps a file that cannot be opened, and what lies beside it, under another name.
    fn keep_aside(&self, why: &str, kept: &mut Kept) -> Result<String, EngineError> {
        let aside = self.aside();
        durable::keep_second_name(self.target, &aside)
            .map_err(|error| of_system("keeping what was in", self.target, error))?;
        kept.second_name = Some(aside.clone());
        kept.move_side_files(self.target, &aside)?;
        Ok(format!(
            "what was there is no whole database ({why}); it is kept as {}",
            aside.display()
        ))
    }

    /// A free name beside the target.
    fn aside(&self) -> PathBuf {
        (1..)
            .map(|number| side_file(self.target, &format!(".resguardo-old-{number}")))
            .find(|path| path.symlink_metadata().is_err())
            .expect("numbers do not end")
    }

    fn flush_folder(&self) -> Result<(), EngineError> {
        if !self.durable {
            return Ok(());
        }
        durable::flush_folder_of(self.target)
            .map_err(|error| of_system("flushing the folder of", self.target, error))
    }

    fn flush_after(&self) -> Result<(), EngineError> {
        self.flush_folder()
            .map_err(|error| EngineError::TargetTouched {
                place: place(self.target),
                state: "it holds the restored database, but a loss of power may bring the old one \
                        back"
                    .to_owned(),
                source: Box::new(error),
            })
    }
}

/// Opens the database, locks everybody else out, and leaves nothing of it in a side file.
fn take_exclusively(path: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = open::writing(path, Duration::ZERO)?;
    // Before the first read, so that a write-ahead log is opened without shared memory: that needs,
    // and keeps, the exclusive lock of the file.
    connection.pragma_update(None, "locking_mode", "exclusive")?;
    // Closing must remove no log: of what is no database, it may be all that is left.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.execute_batch("begin exclusive; commit")?;
    let busy = connection.query_row("pragma wal_checkpoint(truncate)", [], |row| {
        row.get::<_, i64>(0)
    })?;
    if busy != 0 {
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
            None,
        ));
    }
    Ok(connection)
}

fn remove_if_there(path: &Path) -> Result<(), EngineError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(of_system("removing", path, error))
        }
        _ => Ok(()),
    }
}

/// What was renamed, so that it can be put back.
#[derive(Default)]
struct Kept {
    second_name: Option<PathBuf>,
    moved: Vec<(PathBuf, PathBuf)>,
}

impl Kept {
    fn move_side_files(&mut self, target: &Path, aside: &Path) -> Result<(), EngineError> {
        for ending in SIDE_FILES {
            let (from, to) = (side_file(target, ending), side_file(aside, ending));
            match durable::rename_to_free(&from, &to) {
                Ok(()) => self.moved.push((from, to)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    self.put_back();
                    return Err(of_system("keeping", &from, error));
                }
            }
        }
        Ok(())
    }

    /// Undoes it as far as that goes; the error that led here is the one to tell.
    fn put_back(&mut self) {
        for (from, to) in self.moved.drain(..) {
            let _ = durable::rename_to_free(&to, &from);
        }
        if let Some(second) = self.second_name.take() {
            let _ = std::fs::remove_file(second);
        }
    }
}
