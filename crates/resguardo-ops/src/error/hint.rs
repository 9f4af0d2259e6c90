//! The next command after an error of an engine or of the vault.

use resguardo_engine::port::{EngineError, ReadError};
use resguardo_model::SourceName;
use resguardo_vault::VaultError;

use super::kind::vault_error_in;
use crate::catalog::shared::SharedError;

/// What a server is asked for when it does not know the password.
const LOGGING_IN: &str = "logging in to";

/// What to do where the catalog cannot be written for want of space.
pub(super) const FULL_HINT: &str = "free space on the disk where this machine keeps its state: the folder of RESGUARDO_HOME, or ~/.local/state/resguardo without it";

/// What to do where another process keeps the catalog to itself.
pub(super) const BUSY_HINT: &str = "another process has been writing to it for too long: `resguardo catalog runs` shows what runs; try again when it has ended";

pub(super) fn some(hint: &str) -> Option<String> {
    (!hint.is_empty()).then(|| hint.to_owned())
}

/// What to do where a copy is not in its place.
#[must_use]
pub fn hint_of_absent(name: &str) -> String {
    format!(
        "is the disk mounted, and the place the right one? `resguardo copy sync {name}` begins it anew"
    )
}

pub(super) fn engine_hint(error: &EngineError) -> Option<String> {
    if let Some(cause) = vault_error_in(error) {
        return vault_hint(cause);
    }
    some(match error {
        EngineError::ToolMissing { package, .. } => {
            return Some(format!(
                "install {package}, then run the same command again"
            ));
        }
        EngineError::Unsupported { next, .. } => next,
        EngineError::Denied { operation, .. } if *operation == LOGGING_IN => {
            "put user and password right: in the source's url, PGPASSWORD or ~/.pgpass"
        }
        EngineError::Missing { .. }
        | EngineError::Denied { .. }
        | EngineError::Unreachable { .. }
        | EngineError::NotThatKind { .. } => "see what is wrong with `resguardo doctor`",
        EngineError::Busy { .. } => {
            "let whoever holds the lock finish, or raise lock_timeout of the source"
        }
        EngineError::Replaced { .. } | EngineError::Timeout { .. } => "run the same command again",
        EngineError::Corrupt { .. } => {
            "restore the last good backup: `resguardo list` shows which were proven"
        }
        EngineError::HashMismatch { .. } | EngineError::Read(ReadError::DigestMismatch { .. }) => {
            "the data is damaged: take another backup, see `resguardo list`"
        }
        EngineError::Full { .. } => "make space there, then run the same command again",
        EngineError::Occupied { .. } => "to replace it, add --clean",
        EngineError::NoSuchTable { .. } => "see the tables with `resguardo show`",
        _ => return None,
    })
}

/// What to do about the shared catalog.
pub(super) fn shared_hint(error: &SharedError) -> Option<String> {
    let source = match error {
        SharedError::Newer { .. } => {
            return some("update Resguardo on this machine: a newer one serves from there");
        }
        SharedError::Gone { .. } | SharedError::Odd { .. } => {
            return some(
                "if nothing else is in that database, drop its schema resguardo and start `resguardo serve` again: the vault holds everything else",
            );
        }
        SharedError::Database { source, .. } => source,
    };
    some(match source {
        EngineError::Denied { operation, .. } if *operation == LOGGING_IN => {
            "put user and password right: in url of [catalog], PGPASSWORD or ~/.pgpass"
        }
        EngineError::Denied { .. } => {
            "give the role a schema of its own there: CREATE SCHEMA resguardo AUTHORIZATION its_name"
        }
        EngineError::Missing { .. } => {
            "make it there: CREATE DATABASE, owned by the role of the url"
        }
        EngineError::Unreachable { .. } | EngineError::Timeout { .. } => {
            "is its server up, and can this machine reach it? `resguardo doctor` asks it, too"
        }
        EngineError::Sql { .. } => "is it a primary, and not a standby, which takes no writes?",
        other => return engine_hint(other),
    })
}

/// What to do where the target of a restore is in the way.
pub(super) fn target_hint(error: &EngineError, limits_of: Option<&SourceName>) -> Option<String> {
    match error {
        EngineError::Missing { place } if place.contains("://") => some("make it, or add --create"),
        EngineError::Missing { .. } => some("make that folder, or add --create"),
        EngineError::Denied { operation, .. } if *operation == LOGGING_IN => {
            some("put user and password right: in --to, PGPASSWORD or ~/.pgpass")
        }
        EngineError::Denied { place, .. } if place.contains("://") => some(
            "restore as a role that may, or leave owners and grants out with --no-owner --no-acl",
        ),
        EngineError::Sql { message, .. } if message.contains("role ") => {
            some("make the role, or leave owners and grants out with --no-owner --no-acl")
        }
        EngineError::Unreachable { place, .. } if place.contains("://") => {
            some("see that the server of --to runs, and that its host and port are right")
        }
        EngineError::TargetTouched { source, .. } => match source.downcast_ref() {
            Some(cause) if vault_error_in(error).is_none() => target_hint(cause, limits_of),
            _ => engine_hint(error),
        },
        EngineError::Denied { .. } => {
            some("restore to a place where this user may write, or run as one who may")
        }
        EngineError::NotThatKind { .. } => some("name the database with --to"),
        EngineError::Busy { .. } => Some(match limits_of {
            Some(source) => format!(
                "let whoever holds the lock finish, or raise lock_timeout of the source {source}"
            ),
            None => "let whoever holds the lock finish, then run the same command again".to_owned(),
        }),
        other => engine_hint(other),
    }
}

/// What to do about a backup that a retired writer signed later. Believing the writer is not among it.
pub(super) const RETIRED_HINT: &str = "restore an older backup (`resguardo list`): whoever has the key of a retired writer can sign with it, and `resguardo keys list` says when it was retired";

pub(super) fn vault_hint(error: &VaultError) -> Option<String> {
    some(match error {
        VaultError::NotAVault { .. } => "set it up with `resguardo init`",
        VaultError::AlreadyAVault { .. } => "join it with `resguardo init --vault URL`",
        VaultError::NewerFormat { .. } => "install a newer version of Resguardo",
        VaultError::ConfigChanged { .. } => {
            "if you changed the recipients on another host, compare them with its recovery kit and run the same `resguardo keys add` or `retire` here; if nobody did, somebody wants to read your backups: do not back up until you know who changed the vault"
        }
        VaultError::NoWriteKey => {
            "make a key for this host with `resguardo init --write-only --recipient age1...`"
        }
        VaultError::NoIdentity { .. } => "name the identity's file with --identity FILE",
        VaultError::WrongIdentity { .. } => {
            "name another identity with --identity FILE; the recovery kit says where it is kept, and `resguardo keys list` since when and until when each recipient reads"
        }
        VaultError::Key(_) => "see what is wrong with `resguardo doctor`",
        VaultError::UntrustedWriter { .. } => {
            "if you know that writer, trust it with `resguardo init --trust ed25519:...`"
        }
        VaultError::RetiredWriter { .. } => RETIRED_HINT,
        VaultError::Locked { .. } => {
            "wait for that run; if its machine is gone, the lease lapses by itself 15 minutes after its last renewal"
        }
        VaultError::LeaseLost(_) | VaultError::WriterReplaced { .. } => {
            "run the same command again"
        }
        VaultError::WriteKeyUnread { .. } => {
            "put the write key back where it was; see what is wrong with `resguardo doctor`"
        }
        VaultError::RanTooLong { .. } => {
            "set `prune_grace` longer than this backup takes, on every machine of the vault, and run it again"
        }
        VaultError::MayNotDelete { .. } => {
            "prune with credentials that may delete, from a machine that is not the one that takes the backups if you can"
        }
        VaultError::Damaged(_) | VaultError::DigestMismatch { .. } => {
            "see which backups are whole with `resguardo verify --all`"
        }
        VaultError::TooLarge { .. } => {
            "divide the source: each part of it can be a source of its own"
        }
        VaultError::NoNumberLeft { .. } => {
            "no run of yours wrote that: see `resguardo verify --all`, and remove the object once you know who did"
        }
        VaultError::OtherVault { .. } => {
            "is it the right disk? a copy lies in an empty place, or one that holds a copy of this vault; to read another vault, name it with --vault"
        }
        VaultError::NotEmpty { .. } => "name an empty folder or prefix for the copy",
        VaultError::OnlyACopy { .. } => {
            "make the vault again first, with `resguardo copy rebuild --from COPY`"
        }
        VaultError::AtCopy { .. } => {
            "put the way to the copy right, then send what it lacks with `resguardo copy sync`"
        }
        VaultError::NotKept { .. } => {
            "send it again with `resguardo copy sync`, then see what the copy holds with `resguardo copy verify`"
        }
        VaultError::Store(_) => {
            let advice = error.advice();
            return advice.or_else(|| some("see what is wrong with `resguardo doctor`"));
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_not_healed_by_making_the_catalog_anew() {
        use crate::OpsError;
        use crate::catalog::CatalogError;

        let of = |code| {
            let code = rusqlite::ffi::Error::new(code);
            let source = rusqlite::Error::SqliteFailure(code, None);
            let operation = "writing a run to";
            let error = OpsError::from(CatalogError::Sqlite { operation, source });
            error.hint().unwrap()
        };
        assert!(of(rusqlite::ffi::SQLITE_FULL).contains("free space"));
        assert!(of(rusqlite::ffi::SQLITE_IOERR_SHMSIZE).contains("free space"));
        assert!(of(rusqlite::ffi::SQLITE_BUSY).contains("another process"));
        assert!(of(rusqlite::ffi::SQLITE_CORRUPT).contains("catalog rebuild"));
    }

    #[test]
    fn what_is_wrong_with_a_target_is_told_of_the_target() {
        let place = || "postgresql://ana@db:5432/shop".to_owned();
        let denied = |operation| EngineError::Denied {
            operation,
            place: place(),
            why: "no".to_owned(),
        };
        let role = || EngineError::Sql {
            statement: String::new(),
            message: "role \"app\" does not exist".to_owned(),
            state: Some("42704".to_owned()),
        };
        for (error, word) in [
            (denied(LOGGING_IN), "--to, PGPASSWORD"),
            (denied("restoring"), "--no-owner --no-acl"),
            (role(), "--no-owner --no-acl"),
            (
                EngineError::Unreachable {
                    place: place(),
                    source: "connection refused".into(),
                },
                "the server of --to runs",
            ),
        ] {
            let hint = target_hint(&error, None).unwrap();
            assert!(hint.contains(word), "{hint}");
            assert!(!hint.contains("doctor"), "{hint}");
        }
        let hint = engine_hint(&denied(LOGGING_IN)).unwrap();
        assert!(hint.contains("the source's url"), "{hint}");
    }
}
