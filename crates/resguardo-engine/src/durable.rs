//! The few durable file operations that a restore and an export need. What is renamed was written and
//! flushed before; the folder is flushed after. No other module of the engine renames or creates files.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};

/// Creates a new file that only its owner may read. It must not exist.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place of this engine that creates files; callers flush with `flush`"
)]
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Flushes a file that somebody else has written.
pub(crate) fn flush(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Flushes the folder that `path` lies in, so that names made or removed in it survive.
pub(crate) fn flush_folder_of(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

/// The folder that `path` lies in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Renames over what is there; the caller flushes the folder.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place of this engine that renames; callers flush the folder"
)]
pub(crate) fn replace(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)
}

/// Renames to a name that must be free; the caller flushes the folder. Where the file system cannot
/// rename like that, a second name is made and the first removed, which refuses as well.
pub(crate) fn rename_to_free(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            keep_second_name(from, to)?;
            std::fs::remove_file(from)
        }
        other => other.map_err(io::Error::from),
    }
}

/// Gives the file a second name, which must be free; the caller flushes the folder.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place of this engine that links; callers flush the folder"
)]
pub(crate) fn keep_second_name(file: &Path, second: &Path) -> io::Result<()> {
    std::fs::hard_link(file, second)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "test: files of its own")]
    use super::*;

    #[test]
    fn a_taken_name_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::write(&a, "new").unwrap();
        std::fs::write(&b, "old").unwrap();
        let error = rename_to_free(&a, &b).expect_err("taken");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&b).unwrap(), "old");
        assert_eq!(std::fs::read_to_string(&a).unwrap(), "new");
    }

    #[test]
    fn a_private_file_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let file = create_private(&path).unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(create_private(&path).is_err());
    }
}
