//! A lock among the processes of one machine, held as long as its value lives or its process does.

use std::fs::File;
use std::path::Path;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::durable::{DurableError, lock, open_lock_file};

/// A file that is locked.
#[derive(Debug)]
pub struct Exclusive {
    /// The kernel lets go of the lock with it.
    _file: File,
}

impl Exclusive {
    /// Locks the file at `path`, which is made if it is missing; `None` if somebody else holds it.
    ///
    /// # Errors
    /// [`DurableError::Failed`] if the file cannot be made or the file system knows no locks.
    pub fn take(path: &Path) -> Result<Option<Self>, DurableError> {
        let file = open_lock_file(path)?;
        match lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(DurableError::Failed {
                operation: "lock",
                path: path.to_owned(),
                source: error.into(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use super::*;

    #[test]
    fn one_holds_it_until_it_lets_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = Exclusive::take(&path).unwrap();
        assert!(first.is_some());
        assert!(Exclusive::take(&path).unwrap().is_none());
        drop(first);
        assert!(Exclusive::take(&path).unwrap().is_some());
    }
}
