//! Opens a database to read it, with a named error for everything that can be in the way, and tells
//! whether it is still the same file at the end.
//!
//! A connection of ours never writes: `query_only` is on. It is opened for writing all the same where
//! the write-ahead log is empty, so that SQLite removes the side files it made when we are the last to
//! close, and can roll back what a crashed writer left. Where the log holds commits it is opened
//! read-only, so that our closing moves nothing into the database. Whoever closes tries for the exclusive
//! lock, to clean up if he is the last, and for that moment refuses whoever connects: where a log is
//! there already, we leave that to those who use it. On a read-only mount, where SQLite
//! cannot make its `-shm` file, `immutable` is used, but only if the log is empty; `unchanged` then
//! refuses whatever was read if anybody wrote meanwhile.
//!
//! INVARIANT: the main file is never opened beside SQLite while it may be in use, because closing it
//! would drop SQLite's locks of this whole process. Even its header is read through SQLite
//! (`source_errors::an_open_connection_keeps_its_locks_while_its_database_is_captured`).

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use resguardo_model::CancelToken;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::failure::{self, of_sqlite, place};
use crate::port::EngineError;
use crate::system::of_system;

/// How long SQLite itself waits for a lock before we look whether to go on waiting.
const PATIENCE: Duration = Duration::from_millis(50);
/// Pages that a connection keeps: few, because each is read once.
const CACHE_PAGES: u32 = 16;

/// A database file at the moment it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Its path without links.
    pub(super) path: PathBuf,
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    wal_bytes: u64,
}

impl Found {
    /// Looks at the file without opening it.
    ///
    /// # Errors
    /// If there is no file, it is a folder, it may not be read, or it is empty.
    pub(super) fn at(path: &Path) -> Result<Self, EngineError> {
        let path = path
            .canonicalize()
            .map_err(|error| of_system("opening", path, error))?;
        let metadata = path
            .metadata()
            .map_err(|error| of_system("opening", &path, error))?;
        let refused = |why: &str| EngineError::NotThatKind {
            place: place(&path),
            expected: failure::SQLITE_DATABASE,
            why: why.to_owned(),
        };
        if !metadata.is_file() {
            return Err(refused("it is a folder or a device"));
        }
        rustix::fs::access(&path, rustix::fs::Access::READ_OK)
            .map_err(|error| of_system("opening", &path, error.into()))?;
        let wal_bytes = wal_bytes(&path);
        if metadata.len() == 0 && wal_bytes == 0 {
            return Err(refused("the file is empty; nothing was ever stored in it"));
        }
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            wal_bytes,
            path,
        })
    }

    /// Looks again, for a file whose transaction has begun by now: what it was a moment ago, before
    /// writers were kept off, does not matter.
    ///
    /// # Errors
    /// [`EngineError::Replaced`] if the path leads to another file.
    pub(super) fn again(&self) -> Result<Self, EngineError> {
        let replaced = || EngineError::Replaced {
            place: place(&self.path),
        };
        let now = self.path.metadata().map_err(|_| replaced())?;
        if (now.dev(), now.ino()) != (self.device, self.inode) {
            return Err(replaced());
        }
        Ok(Self {
            path: self.path.clone(),
            device: self.device,
            inode: self.inode,
            bytes: now.len(),
            modified: (now.mtime(), now.mtime_nsec()),
            wal_bytes: wal_bytes(&self.path),
        })
    }

    /// Whether the path still leads to the same, untorn file after `read_bytes` of it were read. Only
    /// checkpoints may have written to it: they neither cut off what our transaction sees, nor can
    /// there have been one if the log was empty all the time.
    ///
    /// # Errors
    /// [`EngineError::Replaced`].
    pub(super) fn unchanged(&self, read_bytes: u64) -> Result<(), EngineError> {
        let now = self.again()?;
        let cut_short = now.bytes < self.bytes.min(read_bytes);
        let log_unused = self.wal_bytes == 0 && now.wal_bytes == 0;
        if cut_short || log_unused && now.modified != self.modified {
            return Err(EngineError::Replaced {
                place: place(&self.path),
            });
        }
        Ok(())
    }
}

/// The path of a side file: `-wal`, `-shm` or `-journal` behind the database's own.
pub(super) fn side_file(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    PathBuf::from(name)
}

/// Bytes in the write-ahead log beside the database; none if there is no log.
pub(super) fn wal_bytes(path: &Path) -> u64 {
    side_file(path, "-wal")
        .metadata()
        .ok()
        .filter(std::fs::Metadata::is_file)
        .map_or(0, |metadata| metadata.len())
}

/// How a connection was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    ReadWrite,
    ReadOnly,
    Immutable,
}

/// Opens the database to read it and makes sure that it is one. Waits for a lock up to `lock_timeout`.
///
/// # Errors
/// Named as in the port.
pub(super) fn reading(
    path: &Path,
    lock_timeout: Duration,
    cancel: &CancelToken,
) -> Result<Connection, EngineError> {
    let log_is_empty = wal_bytes(path) == 0;
    let mut ways = if log_is_empty {
        vec![Access::ReadWrite, Access::ReadOnly]
    } else {
        vec![Access::ReadOnly, Access::ReadWrite]
    };
    if log_is_empty && !side_file(path, "-journal").exists() {
        ways.push(Access::Immutable);
    }
    let mut first_refusal = None;
    for access in ways {
        let tried = patiently(lock_timeout, cancel, path, "opening", || {
            let connection = connect(path, access)?;
            connection.query_row("select count(*) from sqlite_schema", [], |_| Ok(()))?;
            Ok(connection)
        })?;
        match tried {
            Ok(connection) => return Ok(connection),
            Err(error) if wants_to_write(&error) => {
                first_refusal.get_or_insert(error);
            }
            Err(error) => return Err(of_sqlite("opening", path, error)),
        }
    }
    Err(match first_refusal {
        Some(error) if log_is_empty => of_sqlite("opening", path, error),
        _ => failure::other(
            "opening",
            path,
            "its -wal file holds commits, and its folder allows no -shm file to read them with: \
             copy the file and its -wal to a folder that can be written, and back that up",
        ),
    })
}

/// Opens a private image that nobody else can write to, without any side file.
///
/// # Errors
/// Named as in the port.
pub(super) fn image(path: &Path) -> Result<Connection, EngineError> {
    connect(path, Access::Immutable).map_err(|error| of_sqlite("opening", path, error))
}

/// Opens a database to write to it. It must exist.
///
/// # Errors
/// SQLite's own.
pub(super) fn writing(path: &Path, lock_timeout: Duration) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(lock_timeout)?;
    // As in SQLite's own shell; the library here is built with the opposite.
    connection.pragma_update(None, "foreign_keys", false)?;
    Ok(connection)
}

fn connect(path: &Path, access: Access) -> Result<Connection, rusqlite::Error> {
    let shared = OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let in_use = side_file(path, "-wal").exists();
    let connection = match access {
        Access::ReadWrite => {
            Connection::open_with_flags(path, shared | OpenFlags::SQLITE_OPEN_READ_WRITE)
        }
        Access::ReadOnly => {
            Connection::open_with_flags(path, shared | OpenFlags::SQLITE_OPEN_READ_ONLY)
        }
        Access::Immutable => Connection::open_with_flags(
            immutable_uri(path),
            shared | OpenFlags::SQLITE_OPEN_READ_ONLY,
        ),
    }?;
    connection.busy_timeout(PATIENCE)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, in_use)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cache_size", CACHE_PAGES)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    Ok(connection)
}

/// The URI by which SQLite opens a file that nobody writes to, without locks or side files.
pub(super) fn immutable_uri(path: &Path) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                uri.push(char::from(*byte));
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri.push_str("?mode=ro&immutable=1");
    uri
}

/// Whether SQLite refused because it could not write where reading needs it: a `-shm` file, or the
/// rollback of what a crashed writer left.
fn wants_to_write(error: &rusqlite::Error) -> bool {
    matches!(
        failure::code(error),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied)
    )
}

/// Tries again while another connection holds a lock, up to `lock_timeout`. SQLite's other errors are
/// the inner result.
///
/// # Errors
/// [`EngineError::Busy`] with who holds it, or a cancelled run.
pub(super) fn patiently<T>(
    lock_timeout: Duration,
    cancel: &CancelToken,
    path: &Path,
    operation: &'static str,
    mut attempt: impl FnMut() -> Result<T, rusqlite::Error>,
) -> Result<Result<T, rusqlite::Error>, EngineError> {
    let begun = Instant::now();
    loop {
        cancel.check()?;
        match attempt() {
            Err(error) if failure::is_busy(&error) => {
                if begun.elapsed() >= lock_timeout {
                    return Err(waited(of_sqlite(operation, path, error), lock_timeout));
                }
                std::thread::sleep(PATIENCE.min(lock_timeout / 10));
            }
            other => return Ok(other),
        }
    }
}

/// Says in a busy error for how long it was waited.
pub(super) fn waited(error: EngineError, lock_timeout: Duration) -> EngineError {
    match error {
        EngineError::Busy { place, held } => EngineError::Busy {
            place,
            held: format!("{held}; waited {:.1} s", lock_timeout.as_secs_f64()),
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_escapes_what_would_mean_something_else() {
        assert_eq!(
            immutable_uri(Path::new("/a b/ñ?#%.db")),
            "file:/a%20b/%C3%B1%3F%23%25.db?mode=ro&immutable=1"
        );
    }
}
