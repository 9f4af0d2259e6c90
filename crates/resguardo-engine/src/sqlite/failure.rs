//! Turns the errors of SQLite and of the system into the port's named ones. Looks at files only to
//! say what is in the way: who holds a lock, what a file that is no database begins with.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use resguardo_model::Cancelled;
use rusqlite::ErrorCode;

use super::header::describe_start;
use crate::port::{BoxError, EngineError};

/// What a source or target is expected to be.
pub(super) const SQLITE_DATABASE: &str = "a SQLite database";

/// The path as errors show it.
pub(super) fn place(path: &Path) -> String {
    path.display().to_string()
}

/// Anything that has no name of its own.
pub(super) fn other(
    operation: &'static str,
    path: &Path,
    source: impl Into<BoxError>,
) -> EngineError {
    EngineError::Other {
        operation,
        place: place(path),
        source: source.into(),
    }
}

/// The code of an error of SQLite, if it is one.
pub(super) fn code(error: &rusqlite::Error) -> Option<ErrorCode> {
    error.sqlite_error_code()
}

/// Whether a lock of somebody else was in the way.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        code(error),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

/// An error of SQLite while it worked on the database at `path`. An interrupted statement was
/// interrupted by the caller's cancellation; limits of time are told apart in `watch`.
pub(super) fn of_sqlite(
    operation: &'static str,
    path: &Path,
    error: rusqlite::Error,
) -> EngineError {
    let place = place(path);
    match code(&error) {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => EngineError::Busy {
            held: lock_holders(path),
            place,
        },
        Some(ErrorCode::NotADatabase) => EngineError::NotThatKind {
            why: start_of(path),
            place,
            expected: SQLITE_DATABASE,
        },
        Some(ErrorCode::DatabaseCorrupt) => EngineError::Corrupt {
            place,
            why: error.to_string(),
        },
        Some(ErrorCode::DiskFull) => EngineError::Full { operation, place },
        Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => EngineError::Denied {
            operation,
            place,
            why: "permission denied".to_owned(),
        },
        Some(ErrorCode::CannotOpen) if !path.exists() => EngineError::Missing { place },
        Some(ErrorCode::OperationInterrupted) => EngineError::Cancelled(Cancelled),
        _ => EngineError::Other {
            operation,
            place,
            source: Box::new(error),
        },
    }
}

/// What the file begins with. Closing a file drops this process' SQLite locks on it, so that this is
/// only asked of what SQLite refused as a database.
fn start_of(path: &Path) -> String {
    let mut start = Vec::new();
    match std::fs::File::open(path).and_then(|file| file.take(64).read_to_end(&mut start)) {
        Ok(_) if start.starts_with(b"SQLite format 3\0") => {
            "its header holds values that SQLite does not write".to_owned()
        }
        Ok(_) => describe_start(&start),
        Err(error) => error.to_string(),
    }
}

/// Who holds locks on the file or its shared memory, as far as the system tells: Linux lists every lock
/// in `/proc/locks`, with the process and the inode.
fn lock_holders(path: &Path) -> String {
    let unknown = || "another connection holds a lock".to_owned();
    let Ok(locks) = std::fs::read_to_string("/proc/locks") else {
        return unknown();
    };
    let mut shm = path.as_os_str().to_owned();
    shm.push("-shm");
    let inodes: Vec<u64> = [path, Path::new(&shm)]
        .iter()
        .filter_map(|path| path.metadata().ok().map(|metadata| metadata.ino()))
        .collect();
    let mut holders = Vec::new();
    for line in locks.lines() {
        let Some((kind, process)) = holder(line, &inodes) else {
            continue;
        };
        let name = std::fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
        let words = format!("process {process} ({}) holds a {kind} lock", name.trim());
        if !holders.contains(&words) && holders.len() < 3 {
            holders.push(words);
        }
    }
    if holders.is_empty() {
        unknown()
    } else {
        holders.join(", ")
    }
}

/// Kind and process of a line like `3: POSIX  ADVISORY  WRITE 1234 fe:01:5678 1073741825 1073741825`.
fn holder(line: &str, inodes: &[u64]) -> Option<(&'static str, u32)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [_, "POSIX", _, kind, process, file, ..] = fields.as_slice() else {
        return None;
    };
    let inode = file.rsplit(':').next()?.parse().ok()?;
    let kind = if *kind == "WRITE" { "write" } else { "read" };
    let process = process.parse().ok()?;
    inodes.contains(&inode).then_some((kind, process))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_locks_names_its_holder() {
        let line = "3: POSIX  ADVISORY  WRITE 1234 fe:01:5678 1073741825 1073741825";
        assert_eq!(holder(line, &[5678]), Some(("write", 1234)));
        assert_eq!(holder(line, &[1]), None);
        for odd in [
            "",
            "3: FLOCK  ADVISORY  WRITE 1 fe:01:5678 0 EOF",
            "1: -> POSIX ADVISORY READ 7 fe:01:5678 0 0",
            "3: POSIX ADVISORY WRITE x fe:01:5678 0 0",
        ] {
            assert_eq!(holder(odd, &[5678]), None, "{odd}");
        }
    }
}
