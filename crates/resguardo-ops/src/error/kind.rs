//! Which kind an error of an engine or of the vault is.

use resguardo_engine::port::{EngineError, ReadError, SinkError};
use resguardo_vault::VaultError;

use super::ErrorKind;

/// The vault's error inside what an engine passes on.
pub(super) fn vault_error_in(error: &EngineError) -> Option<&VaultError> {
    let mut cause = match error {
        EngineError::Sink(SinkError(cause)) | EngineError::Read(ReadError::Source(cause)) => {
            Some(&**cause as &(dyn std::error::Error + 'static))
        }
        EngineError::TargetTouched { source, .. } => {
            Some(&**source as &(dyn std::error::Error + 'static))
        }
        _ => None,
    };
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

pub(super) fn engine_kind(error: &EngineError) -> ErrorKind {
    if let Some(cause) = vault_error_in(error) {
        return vault_kind(cause);
    }
    // What state the target is in is for people; why it failed is for scripts.
    if let EngineError::TargetTouched { source, .. } = error
        && let Some(cause) = source.downcast_ref::<EngineError>()
    {
        return match engine_kind(cause) {
            kind @ (ErrorKind::Interrupted | ErrorKind::Findings | ErrorKind::Locked) => kind,
            _ => ErrorKind::Unreachable,
        };
    }
    match error {
        EngineError::Missing { .. }
        | EngineError::Denied { .. }
        | EngineError::Unreachable { .. }
        | EngineError::Replaced { .. }
        | EngineError::Full { .. }
        | EngineError::Timeout { .. }
        | EngineError::TargetTouched { .. }
        | EngineError::Read(ReadError::Write { .. }) => ErrorKind::Unreachable,
        EngineError::Busy { .. } => ErrorKind::Locked,
        EngineError::Corrupt { .. }
        | EngineError::HashMismatch { .. }
        | EngineError::Read(ReadError::DigestMismatch { .. }) => ErrorKind::Findings,
        EngineError::Occupied { .. } => ErrorKind::Refused,
        EngineError::Cancelled(_) | EngineError::Read(ReadError::Cancelled(_)) => {
            ErrorKind::Interrupted
        }
        EngineError::NotThatKind { .. }
        | EngineError::UnknownFormat { .. }
        | EngineError::NoSuchTable { .. }
        | EngineError::ToolMissing { .. }
        | EngineError::Unsupported { .. }
        | EngineError::Sql { .. }
        | EngineError::Sink(_)
        | EngineError::Read(ReadError::NoSuchFile(_) | ReadError::Source(_))
        | EngineError::Other { .. } => ErrorKind::User,
    }
}

pub(super) fn vault_kind(error: &VaultError) -> ErrorKind {
    match error {
        VaultError::Key(_)
        | VaultError::NoWriteKey
        | VaultError::WriteKeyUnread { .. }
        | VaultError::NoIdentity { .. }
        | VaultError::WrongIdentity { .. }
        | VaultError::NoSuchFile(_) => ErrorKind::User,
        VaultError::Locked { .. }
        | VaultError::LeaseLost(_)
        | VaultError::WriterReplaced { .. } => ErrorKind::Locked,
        VaultError::UntrustedWriter { .. }
        | VaultError::RetiredWriter { .. }
        | VaultError::OtherVault { .. }
        | VaultError::NotEmpty { .. }
        | VaultError::OnlyACopy { .. } => ErrorKind::Refused,
        VaultError::Damaged(_) | VaultError::DigestMismatch { .. } => ErrorKind::Findings,
        VaultError::File { .. } => ErrorKind::Unreachable,
        VaultError::Cancelled(_) => ErrorKind::Interrupted,
        _ => ErrorKind::Vault,
    }
}
