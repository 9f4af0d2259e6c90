//! Deleting objects: gone, or kept because the store refuses it.

use jiff::Timestamp;
use resguardo_model::RunId;
use resguardo_store::{Condition, Key, StoreError};

use crate::error::VaultError;
use crate::layout;
use crate::vault::Vault;

/// How a deletion ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deletion {
    /// The object is gone.
    Gone,
    /// The store refuses to delete it, until that time if it says so.
    Refused(Option<Timestamp>),
}

impl Vault {
    /// Deletes an object; a refusal by a lock or a permission is no error.
    pub(super) fn remove(&self, key: &Key) -> Result<Deletion, VaultError> {
        match self.store().delete(key) {
            Ok(()) => Ok(Deletion::Gone),
            Err(StoreError::Locked { until, .. }) => Ok(Deletion::Refused(until)),
            Err(StoreError::Denied { .. }) => Ok(Deletion::Refused(None)),
            Err(error) => Err(error.into()),
        }
    }

    /// Finds out whether anything may be deleted here at all, before anything is changed.
    pub(super) fn may_delete(&self, run: RunId) -> Result<(), VaultError> {
        let key = layout::key(&format!("_probe/delete-{run}"));
        self.store()
            .put(&key, bytes::Bytes::from_static(b"probe"), Condition::Always)?;
        match self.store().delete(&key) {
            // Where every new object is locked, each object tells for itself.
            Ok(()) | Err(StoreError::Locked { .. }) => Ok(()),
            Err(source @ StoreError::Denied { .. }) => Err(VaultError::MayNotDelete {
                place: self.store().describe(),
                source,
            }),
            Err(error) => Err(error.into()),
        }
    }
}
