//! The first failure of a backup, shared by all of its threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::VaultError;

#[derive(Default)]
pub(super) struct Failure {
    is_set: AtomicBool,
    first: Mutex<Option<VaultError>>,
}

impl Failure {
    /// Remembers an error, if it is the first.
    pub(super) fn set(&self, error: VaultError) {
        if !self.is_set.swap(true, Ordering::SeqCst) {
            *self.first.lock().expect("nothing panics under this lock") = Some(error);
        }
    }

    pub(super) fn is_set(&self) -> bool {
        self.is_set.load(Ordering::SeqCst)
    }

    /// The first error goes to the first who asks; others are told that there was one.
    pub(super) fn check(&self) -> Result<(), VaultError> {
        if !self.is_set() {
            return Ok(());
        }
        let first = self
            .first
            .lock()
            .expect("nothing panics under this lock")
            .take();
        Err(first.unwrap_or(VaultError::AlreadyFailed))
    }
}
