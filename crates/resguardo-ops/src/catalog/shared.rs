//! What several machines share, in the schema `resguardo` of a PostgreSQL database: who runs which job, how each
//! stands, which messages go out, and the runs of all. The vault stays the truth of backups and receipts, and each
//! machine's own catalog the cache of both.
//!
//! Every change is one statement, so that nothing of it hangs on a connection: a pooler may give each statement another
//! one, and who is cut off between two of them leaves nothing half done. The server's clock counts.
//!
//! INVARIANT: a source is held by one claim at a time, and each claim's number is larger than that of every one before
//! (the contract of queues in `resguardo-daemon`: `the_one_in_postgres`).

use std::time::Duration;

use jiff::Timestamp;
use resguardo_engine::port::EngineError;
pub use resguardo_engine::port::Location;
pub use resguardo_engine::postgres::LibpqEnvironment;
use resguardo_engine::postgres::database::{Database, TextRow, literal};
use resguardo_model::VaultId;

mod jobs;
mod runs;
mod schema;
mod telling;
#[cfg(test)]
mod tests;

pub use jobs::{Held, Hold, SharedJob, SharedLook};
pub use runs::{Exchange, ExchangeError};
pub use telling::Turn;

/// What can go wrong with the shared catalog.
#[derive(Debug, thiserror::Error)]
pub enum SharedError {
    /// It was brought to a version that this one does not know.
    #[error(
        "the shared catalog at {place} has version {version}, this version of Resguardo knows {known}"
    )]
    Newer {
        /// The database.
        place: String,
        /// Its version.
        version: i64,
        /// The newest version known.
        known: i64,
    },
    /// Its tables are not there.
    #[error("the shared catalog at {place} is gone: its tables are not there")]
    Gone {
        /// The database.
        place: String,
    },
    /// It holds what nobody wrote.
    #[error("the shared catalog at {place} holds {what} that makes no sense")]
    Odd {
        /// The database.
        place: String,
        /// What.
        what: &'static str,
    },
    /// The server or the connection refused.
    #[error("{operation} the shared catalog")]
    Database {
        /// What was tried.
        operation: &'static str,
        /// Its answer.
        #[source]
        source: EngineError,
    },
}

impl SharedError {
    fn at(operation: &'static str) -> impl Fn(EngineError) -> Self {
        move |source| Self::Database { operation, source }
    }
}

impl From<EngineError> for SharedError {
    fn from(source: EngineError) -> Self {
        Self::at("asking")(source)
    }
}

/// The shared catalog, as one process sees it for one vault.
#[derive(Debug)]
pub struct SharedCatalog {
    database: Database,
    vault: String,
    host: String,
    /// No other process, and no other life of this one, is called so.
    process: String,
    lease: Duration,
}

impl SharedCatalog {
    /// The one at `location`. Nothing is asked of it yet. `host` is this machine's name; who claims something there
    /// and is silent for `lease` may be taken for dead.
    ///
    /// # Errors
    /// [`SharedError::Database`] if it is no URL of PostgreSQL's, or the system gives no random numbers.
    pub fn at(
        location: &Location,
        environment: &LibpqEnvironment,
        vault: VaultId,
        host: &str,
        lease: Duration,
    ) -> Result<Self, SharedError> {
        let database = Database::at(location, environment).map_err(SharedError::at("opening"))?;
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| {
            SharedError::at("opening")(EngineError::Other {
                operation: "naming this process in",
                place: database.describe(),
                source: error.to_string().into(),
            })
        })?;
        Ok(Self {
            process: format!("{:016x}", u64::from_le_bytes(random)),
            vault: vault.to_string(),
            host: host.to_owned(),
            database,
            lease,
        })
    }

    /// Makes its tables, or brings them to the newest version. One at a time does, of all machines.
    ///
    /// # Errors
    /// [`SharedError::Newer`], [`SharedError::Database`].
    pub fn prepare(&self) -> Result<(), SharedError> {
        schema::migrate(&self.database)
    }

    /// Its version and the server's clock; `None`: its tables are not there yet. Nothing is changed.
    ///
    /// # Errors
    /// [`SharedError::Newer`], [`SharedError::Database`].
    pub fn version(&self) -> Result<Option<i64>, SharedError> {
        schema::version(&self.database)
    }

    /// Where it is, without a password.
    #[must_use]
    pub fn describe(&self) -> String {
        self.database.describe()
    }

    /// How long a holder may be silent.
    #[must_use]
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// The vault, as a text of SQL.
    fn vault(&self) -> String {
        literal(&self.vault)
    }

    /// When a lease that is given now runs out, in SQL.
    fn until(&self) -> String {
        let lease = self.lease.as_millis();
        format!("clock_timestamp() + interval '{lease} milliseconds'")
    }

    fn odd(&self, what: &'static str) -> SharedError {
        SharedError::Odd {
            place: self.describe(),
            what,
        }
    }
}

/// A column that is never NULL.
fn text(row: &TextRow, column: usize) -> &str {
    optional(row, column).unwrap_or_default()
}

fn optional(row: &TextRow, column: usize) -> Option<&str> {
    row.get(column)?.as_deref()
}

fn moment(row: &TextRow, column: usize) -> Option<Timestamp> {
    let milliseconds = text(row, column).parse().ok()?;
    Timestamp::from_millisecond(milliseconds).ok()
}
