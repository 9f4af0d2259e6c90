//! How scheduled jobs stand, as whoever runs them wrote it down. The catalog does not look into it.

use jiff::Timestamp;
use resguardo_model::SourceName;
use rusqlite::{OptionalExtension as _, params};

use super::{Catalog, CatalogError};

impl Catalog {
    /// What was written down of a job of a source, or of one that is about none; `None` if nothing was.
    ///
    /// # Errors
    /// [`CatalogError::Sqlite`].
    pub fn job(
        &self,
        source: Option<&SourceName>,
        task: &str,
    ) -> Result<Option<String>, CatalogError> {
        self.lock()
            .prepare_cached("select state from jobs where source = ?1 and task = ?2")
            .and_then(|mut statement| {
                statement
                    .query_row([word(source), task], |row| row.get(0))
                    .optional()
            })
            .map_err(CatalogError::sqlite("reading a job of"))
    }

    /// Whether anything was ever written down of a job.
    ///
    /// # Errors
    /// [`CatalogError::Sqlite`].
    pub fn has_jobs(&self) -> Result<bool, CatalogError> {
        self.lock()
            .query_row("select exists (select 1 from jobs)", [], |row| row.get(0))
            .map_err(CatalogError::sqlite("reading the jobs of"))
    }

    /// Writes down how a job stands.
    ///
    /// # Errors
    /// [`CatalogError::Sqlite`].
    pub fn put_job(
        &self,
        source: Option<&SourceName>,
        task: &str,
        state: &str,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        self.lock()
            .prepare_cached(
                "insert or replace into jobs (source, task, state, at) values (?1, ?2, ?3, ?4)",
            )
            .and_then(|mut statement| {
                statement.execute(params![word(source), task, state, now.to_string()])
            })
            .map(|_| ())
            .map_err(CatalogError::sqlite("writing a job to"))
    }
}

/// No source is called so.
fn word(source: Option<&SourceName>) -> &str {
    source.map_or("", SourceName::as_str)
}
