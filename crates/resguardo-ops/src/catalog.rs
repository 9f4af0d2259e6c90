//! The catalog: a cache of the vault's heads and receipts, and the history of runs, in one SQLite file.
//!
//! It never decides anything that the vault can tell: whoever loses it loses the history of runs that
//! left no receipt, and nothing else. A catalog that is damaged is moved aside and begun anew; one of
//! a newer version of Resguardo is refused by name.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use resguardo_model::receipt::Verb;
use resguardo_model::{BackupId, RunId, SourceName, VaultId};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Row, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use resguardo_engine::process::ProcessMark;

use crate::status::{Pace, Seen};

mod audit;
mod cache;
mod exceptions;
mod homeless;
mod jobs;
mod open;
pub mod outbox;
mod rebuild;
mod runs;
mod schema;
pub mod shared;
mod users;

pub(crate) use cache::CachedReceipt;
use homeless::Homeless;
use open::{connect, is_damage, migrated, move_aside};
pub use rebuild::{Rebuilt, rebuild};
pub use runs::{RunFilter, RunsPage};
pub(crate) use users::{SessionRow, TokenRow, UserRow};

/// How long a write waits for another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(20);

/// What can go wrong with the catalog.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// It was made by a newer version.
    #[error("{} has version {version}, this version of Resguardo knows {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: i64,
        /// The newest version known.
        known: i64,
    },
    /// It could not be moved aside.
    #[error("moving the damaged {} aside", path.display())]
    MoveAside {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// It could not be kept from others.
    #[error("keeping {} from other users", path.display())]
    Private {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// SQLite refused.
    #[error("{operation} the catalog")]
    Sqlite {
        /// What was tried.
        operation: &'static str,
        /// Its answer.
        #[source]
        source: rusqlite::Error,
    },
}

impl CatalogError {
    fn sqlite(operation: &'static str) -> impl Fn(rusqlite::Error) -> Self {
        move |source| Self::Sqlite { operation, source }
    }

    /// The disk that it lies on is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let Self::Sqlite { source, .. } = self else {
            return false;
        };
        let code = source.sqlite_error().map(|error| error.extended_code);
        source.sqlite_error_code() == Some(ErrorCode::DiskFull)
            || code == Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE)
    }

    /// Another process wrote to it for longer than anybody waits.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        let Self::Sqlite { source, .. } = self else {
            return false;
        };
        source.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
    }
}

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// It has not ended yet.
    Running,
    /// It did what it was to do; of a drill: it passed.
    Succeeded,
    /// It did not; of a drill: a check did not pass, of a verification: something is wrong.
    Failed,
    /// It was stopped by a signal, or found that another run works on its source.
    Interrupted,
    /// Its process ended without a word.
    Died,
}

impl RunState {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Interrupted,
        Self::Died,
    ];

    /// The word that is stored and printed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Died => "died",
        }
    }

    /// The state of a word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// One run of a verb.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRow {
    /// Its id.
    pub run: RunId,
    /// The vault, if it had to do with one.
    pub vault: Option<VaultId>,
    /// What was to be done.
    pub verb: Verb,
    /// The source, where it is known.
    pub source: Option<SourceName>,
    /// The backup that it made, restored or drilled.
    pub backup: Option<BackupId>,
    /// How it stands.
    pub state: RunState,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// The machine.
    pub host: String,
    /// The user.
    pub operator: String,
    /// Its process on that machine.
    pub process: Option<ProcessMark>,
    /// The error, or a drill's verdict.
    pub message: String,
    /// Key of its receipt in the vault.
    pub receipt: Option<String>,
    /// The source whose data it changes or vouches for: a restore into it from its first change on, unless
    /// it left everything as it was; a backup that was taken in spite of such a restore.
    pub changes: Option<SourceName>,
}

/// The catalog. Clones share it.
#[derive(Clone)]
pub struct Catalog {
    connection: Arc<Mutex<Connection>>,
    /// Where it belongs, as long as there is no room for it there.
    homeless: Arc<Homeless>,
    notes: Arc<Vec<String>>,
    /// When the vaults that it is a cache of were listed last.
    pace: Arc<Pace>,
    /// What was read of their heads.
    seen: Arc<Seen>,
}

impl Catalog {
    /// Opens the catalog at `path`, making it if there is none. One that is damaged is moved aside
    /// (`catalog.db.damaged`), which [`Catalog::notes`] then tells. Its folder must exist.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn open(path: &Path) -> Result<Self, CatalogError> {
        match Self::open_whole(path) {
            Err(CatalogError::Sqlite { source, .. }) if is_damage(&source) => {
                let aside = move_aside(path)?;
                let mut catalog = Self::open_whole(path)?;
                catalog.notes = Arc::new(vec![format!(
                    "the catalog was damaged and was begun anew; the old one is {}; `resguardo catalog rebuild` fills it from the vault",
                    aside.display()
                )]);
                Ok(catalog)
            }
            other => other,
        }
    }

    /// As [`Catalog::open`]; where the disk has no room for it, one in memory, which [`Catalog::notes`] tells. It
    /// moves to its place as soon as there is room.
    ///
    /// # Errors
    /// [`CatalogError`], but for a full disk.
    pub fn open_or_in_memory(path: &Path) -> Result<Self, CatalogError> {
        match Self::open(path) {
            Err(error) if error.is_full() => {
                let mut catalog = Self::in_memory()?;
                catalog.homeless = Arc::new(Homeless::waiting_for(path));
                catalog.notes = Arc::new(vec![format!(
                    "the catalog {} cannot be opened, for its disk is full: what is written down of runs is gone with this process, unless there is room before it ends",
                    path.display()
                )]);
                Ok(catalog)
            }
            other => other,
        }
    }

    /// A catalog that is gone with the process.
    ///
    /// # Errors
    /// [`CatalogError::Sqlite`].
    pub fn in_memory() -> Result<Self, CatalogError> {
        let opened = Connection::open_in_memory().map_err(CatalogError::sqlite("opening"))?;
        Ok(Self::of(migrated(opened, Path::new(":memory:"))?))
    }

    fn open_whole(path: &Path) -> Result<Self, CatalogError> {
        Ok(Self::of(connect(path)?))
    }

    fn of(connection: Connection) -> Self {
        Self {
            connection: Arc::new(Mutex::new(connection)),
            homeless: Arc::default(),
            notes: Arc::default(),
            pace: Arc::default(),
            seen: Arc::default(),
        }
    }

    /// What a person should know of how it was opened.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The newest runs, newest first.
    ///
    /// # Errors
    /// [`CatalogError::Sqlite`].
    pub fn runs(&self, runs_max: u32) -> Result<Vec<RunRow>, CatalogError> {
        self.select_runs("order by started_at desc, run desc limit ?1", runs_max)
    }

    /// Runs of which nobody has said that they ended.
    pub(crate) fn running(&self) -> Result<Vec<RunRow>, CatalogError> {
        self.select_runs(
            "where state = 'running' order by started_at, run limit ?1",
            u32::MAX,
        )
    }

    /// The newest run of each verb of a source, as far as runs of that verb are of a single source.
    pub(crate) fn last_runs(&self, source: &SourceName) -> Result<Vec<RunRow>, CatalogError> {
        const VERBS: [Verb; 6] = [
            Verb::Backup,
            Verb::Drill,
            Verb::Verify,
            Verb::Restore,
            Verb::Prune,
            Verb::Copy,
        ];
        let failed = CatalogError::sqlite("reading the runs of");
        let connection = self.lock();
        let sql = format!(
            "select {} from runs where source = ?1 and verb = ?2 order by started_at desc, run desc limit 1",
            schema::RUN_COLUMNS
        );
        let mut statement = connection.prepare_cached(&sql).map_err(&failed)?;
        let mut runs = Vec::new();
        for verb in VERBS {
            let found = statement
                .query_row([source.as_str(), &to_json(&verb)], run_row)
                .optional()
                .map_err(&failed)?;
            runs.extend(found);
        }
        Ok(runs)
    }

    /// When backups of a source began that failed or died, since then.
    pub(crate) fn failed_backups(
        &self,
        source: &SourceName,
        since: Timestamp,
    ) -> Result<Vec<Timestamp>, CatalogError> {
        let failed = CatalogError::sqlite("reading the runs of");
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(
                "select started_at from runs where source = ?1 and verb = ?2 and started_at >= ?3
                 and state in ('failed', 'died') order by started_at",
            )
            .map_err(&failed)?;
        let since = since.to_string();
        let rows = statement
            .query_map([source.as_str(), &to_json(&Verb::Backup), &since], |row| {
                parsed(row, 0)
            })
            .map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(&failed)
    }

    fn select_runs(&self, clause: &str, limit: u32) -> Result<Vec<RunRow>, CatalogError> {
        let failed = CatalogError::sqlite("reading the runs of");
        let connection = self.lock();
        let sql = format!("select {} from runs {clause}", schema::RUN_COLUMNS);
        let mut statement = connection.prepare_cached(&sql).map_err(&failed)?;
        let rows = statement.query_map([limit], run_row).map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(&failed)
    }

    /// How a run stands; `None`: nobody knows it.
    pub(crate) fn run_state(&self, run: &RunRow) -> Result<Option<RunState>, CatalogError> {
        let state: Option<String> = self
            .lock()
            .prepare_cached("select state from runs where run = ?1")
            .and_then(|mut statement| {
                statement
                    .query_row([run.run.to_string()], |row| row.get(0))
                    .optional()
            })
            .map_err(CatalogError::sqlite("reading the runs of"))?;
        Ok(state.as_deref().and_then(RunState::parse))
    }

    /// Writes a run down, or what has become of it.
    pub(crate) fn put_run(&self, row: &RunRow) -> Result<(), CatalogError> {
        put_run(&self.lock(), row).map_err(CatalogError::sqlite("writing a run to"))
    }

    /// Writes down runs that are not known yet; returns how many there were.
    pub(crate) fn add_runs<'a>(
        &self,
        rows: impl Iterator<Item = &'a RunRow>,
    ) -> Result<u64, CatalogError> {
        self.in_transaction("writing runs to", |connection| {
            let mut added = 0;
            for row in rows {
                let known = connection
                    .prepare_cached("select 1 from runs where run = ?1")?
                    .query_row([row.run.to_string()], |_| Ok(()))
                    .optional()?;
                if known.is_none() {
                    put_run(connection, row)?;
                    added += 1;
                }
            }
            Ok(added)
        })
    }

    fn in_transaction<T>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, CatalogError> {
        self.in_one(TransactionBehavior::Deferred, operation, work)
    }

    /// The same, with nobody else writing from the beginning: for whoever writes what hangs on what it reads.
    fn in_immediate<T>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, CatalogError> {
        self.in_one(TransactionBehavior::Immediate, operation, work)
    }

    fn in_one<T>(
        &self,
        behavior: TransactionBehavior,
        operation: &'static str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, CatalogError> {
        let failed = CatalogError::sqlite(operation);
        let mut connection = self.lock();
        let transaction = connection
            .transaction_with_behavior(behavior)
            .map_err(&failed)?;
        let answer = work(&transaction).map_err(&failed)?;
        transaction.commit().map_err(&failed)?;
        Ok(answer)
    }

    pub(crate) fn pace(&self) -> &Pace {
        &self.pace
    }

    pub(super) fn seen(&self) -> &Seen {
        &self.seen
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        let mut connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(at_home) = self.homeless.settle(&connection) {
            *connection = at_home;
            self.seen.forget();
        }
        connection
    }
}

fn put_run(connection: &Connection, row: &RunRow) -> rusqlite::Result<()> {
    let sql = format!(
        "insert or replace into runs ({}) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        schema::RUN_COLUMNS
    );
    connection.prepare_cached(&sql)?.execute(params![
        row.run.to_string(),
        row.vault.map(|vault| vault.to_string()),
        to_json(&row.verb),
        row.source.as_ref().map(SourceName::as_str),
        row.backup.map(|backup| backup.to_string()),
        row.state.as_str(),
        row.started_at.to_string(),
        row.finished_at.map(|at| at.to_string()),
        row.host,
        row.operator,
        row.process.as_ref().map(|process| process.pid),
        row.process.as_ref().map(|process| &process.started),
        row.message,
        row.receipt,
        row.changes.as_ref().map(SourceName::as_str),
    ])?;
    Ok(())
}

fn run_row(row: &Row<'_>) -> rusqlite::Result<RunRow> {
    let pid: Option<u32> = row.get(10)?;
    let started: Option<String> = row.get(11)?;
    let state: String = row.get(5)?;
    Ok(RunRow {
        run: parsed(row, 0)?,
        vault: optional(row, 1)?,
        verb: from_json(row, 2)?,
        source: optional(row, 3)?,
        backup: optional(row, 4)?,
        state: RunState::parse(&state).ok_or(rusqlite::Error::InvalidQuery)?,
        started_at: parsed(row, 6)?,
        finished_at: optional(row, 7)?,
        host: row.get(8)?,
        operator: row.get(9)?,
        process: pid.map(|pid| ProcessMark {
            pid,
            started: started.unwrap_or_default(),
        }),
        message: row.get(12)?,
        receipt: row.get(13)?,
        changes: optional(row, 14)?,
    })
}

fn converted<T, E: std::error::Error + Send + Sync + 'static>(
    column: usize,
    value: Result<T, E>,
) -> rusqlite::Result<T> {
    value.map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(
            column,
            rusqlite::types::Type::Text,
            Box::new(error),
        )
    })
}

fn parsed<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text: String = row.get(column)?;
    converted(column, text.parse())
}

fn optional<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text: Option<String> = row.get(column)?;
    text.map(|text| converted(column, text.parse())).transpose()
}

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("model types have string keys only")
}

fn from_json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    converted(column, serde_json::from_str(&text))
}
