//! Private folders for images on their way: only this user may enter them, they are removed when they
//! are dropped, and what a crash left is removed by the next one that is made in the same place.
//!
//! Each holds a file `lock` that its process keeps locked: the system releases it when the process
//! ends, however it ends. A folder whose lock can be taken belongs to nobody any more.

use std::fs::File;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::durable;

const LOCK: &str = "lock";

/// A folder that is removed with this value.
pub(crate) struct PrivateFolder {
    // Dropped first: what is removed is still locked.
    folder: TempDir,
    _lock: File,
}

impl PrivateFolder {
    /// Makes one in `parent`, whose name begins with `prefix`, and removes those of crashed processes.
    pub(crate) fn new(parent: &Path, prefix: &str) -> io::Result<Self> {
        sweep(parent, prefix);
        // From its creation on: whoever looks in meanwhile, or after a crash, must not see an image.
        let only_ours = std::fs::Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new()
            .prefix(prefix)
            .permissions(only_ours)
            .tempdir_in(parent)?;
        let draft = folder.path().join("lock.new");
        let lock = durable::create_private(&draft)?;
        match lock.lock() {
            // Where nothing can be locked, nothing is swept either.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
            other => other?,
        }
        // Under this name only once it is locked: before, it would look forsaken.
        durable::replace(&draft, &folder.path().join(LOCK))?;
        Ok(Self {
            folder,
            _lock: lock,
        })
    }

    /// The path of a file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Removes what crashed processes left. What cannot be looked at or removed stays: it is not worth
/// failing for.
fn sweep(parent: &Path, prefix: &str) {
    let Ok(entries) = parent.read_dir() else {
        return;
    };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(prefix) {
            continue;
        }
        // One without a lock file is being made just now.
        let Ok(lock) = File::open(entry.path().join(LOCK)) else {
            continue;
        };
        if lock.try_lock().is_ok() {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "test: files of its own")]
    use super::*;

    #[test]
    fn only_its_owner_may_enter_it() {
        let parent = tempfile::tempdir().unwrap();
        let folder = PrivateFolder::new(parent.path(), "a-").unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(folder.folder.path()), 0o700);
        assert_eq!(mode(&folder.file(LOCK)), 0o600);
    }

    #[test]
    fn what_a_crash_left_is_removed_and_what_is_in_use_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let crashed = parent.path().join("a-crashed");
        let unrelated = parent.path().join("b-unrelated");
        for folder in [&crashed, &unrelated] {
            std::fs::create_dir(folder).unwrap();
            std::fs::write(folder.join(LOCK), "").unwrap();
            std::fs::write(folder.join("image.sqlite"), "rows").unwrap();
        }
        let used = PrivateFolder::new(parent.path(), "a-").unwrap();
        std::fs::write(used.file("image.sqlite"), "rows").unwrap();
        let other = PrivateFolder::new(parent.path(), "a-").unwrap();
        assert!(!crashed.exists());
        assert!(unrelated.exists());
        assert!(used.file("image.sqlite").exists());
        drop((used, other));
        assert_eq!(parent.path().read_dir().unwrap().count(), 1);
    }
}
