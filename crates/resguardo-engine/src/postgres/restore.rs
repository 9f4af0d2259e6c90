//! Brings a backup into a database.

use super::target::DatabaseTarget;
use crate::port::{BackupReader, EngineError, RestoreOptions, Restored, Run};

/// Restores `backup` to `target`.
///
/// # Errors
/// The target is as it was, unless the error is [`EngineError::TargetTouched`].
pub(super) fn restore(
    target: &DatabaseTarget,
    _backup: &dyn BackupReader,
    _options: &RestoreOptions,
    _run: Run<'_>,
) -> Result<Restored, EngineError> {
    Err(super::not_yet(&crate::port::Location::new(
        target.settings.describe(),
    )))
}
