//! Looks at a source for `doctor`: can it be read, and how will it be captured?

use std::time::Duration;

use resguardo_model::size::ByteSize;
use resguardo_model::{CancelToken, Diagnosis, Severity, counted};

use super::failure::of_sqlite;
use super::open::{self, Found};
use super::pages::Shape;
use super::{facts, location};
use crate::port::{EngineError, Location};

/// Longest wait for a lock: somebody watches.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// What is found at `location`.
pub(super) fn probe(subject: &str, location: &Location) -> Vec<Diagnosis> {
    vec![match look(location) {
        Ok(message) => Diagnosis::ok(subject, message),
        Err(error) => {
            let severity = match error {
                EngineError::Busy { .. } => Severity::Warning,
                _ => Severity::Problem,
            };
            let next = next_step(&error, location);
            Diagnosis::not_ok(severity, subject, words(&error), next)
        }
    }]
}

/// Whether it is a database that is damaged.
pub(super) fn is_damaged(location: &Location) -> bool {
    matches!(look(location), Err(EngineError::Corrupt { .. }))
}

fn look(location: &Location) -> Result<String, EngineError> {
    let found = Found::at(&location::path_of(location)?)?;
    let connection = open::reading(&found.path, LOCK_TIMEOUT, &CancelToken::new())?;
    let failed = |error| of_sqlite("looking at", &found.path, error);
    let shape = Shape::of(&connection).map_err(failed)?;
    let header = facts::header(&connection, &found.path)?;
    let tables = facts::table_names(&connection).map_err(failed)?.len() as u64;
    let how = if header.wal {
        "write-ahead log: its writers never wait for a backup"
    } else {
        "rollback journal: backups are made of a private copy"
    };
    Ok(format!(
        "SQLite {} reads {}: {}, {}, {how}",
        rusqlite::version(),
        found.path.display(),
        counted(tables, "table"),
        ByteSize(shape.bytes())
    ))
}

fn words(error: &EngineError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

fn next_step(error: &EngineError, location: &Location) -> String {
    match error {
        EngineError::Missing { .. } => {
            "correct the source's url in resguardo.toml, or start the application once".to_owned()
        }
        EngineError::Denied { .. } => {
            format!("run as a user that may read it: ls -l {location}")
        }
        EngineError::Busy { .. } => "try again when its lock is released".to_owned(),
        EngineError::NotThatKind { .. } => {
            "point the source's url in resguardo.toml at the database file".to_owned()
        }
        EngineError::Corrupt { .. } => {
            "restore the last proven backup: resguardo list, then resguardo restore".to_owned()
        }
        _ => String::new(),
    }
}
