//! Runs, looked up: one, or a page of many.

use resguardo_model::{RunId, SourceName, VaultId};
use rusqlite::{OptionalExtension as _, params};

use super::{Catalog, CatalogError, RunRow, RunState, run_row, schema};

/// Which runs are looked for.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// Only those of a source.
    pub source: Option<SourceName>,
    /// Only those that stand so.
    pub state: Option<RunState>,
}

/// Some of many runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunsPage {
    /// The newest first.
    pub runs: Vec<RunRow>,
    /// How many there are in all.
    pub in_all: u64,
}

impl Catalog {
    /// One run.
    ///
    /// # Errors
    /// [`CatalogError::Sqlite`].
    pub fn run(&self, run: RunId) -> Result<Option<RunRow>, CatalogError> {
        let sql = format!("select {} from runs where run = ?1", schema::RUN_COLUMNS);
        let connection = self.lock();
        let found = connection
            .prepare_cached(&sql)
            .and_then(|mut statement| statement.query_row([run.to_string()], run_row).optional());
        found.map_err(CatalogError::sqlite("reading the runs of"))
    }

    /// Runs, the newest first, without the first `skipped` of them.
    ///
    /// # Errors
    /// [`CatalogError::Sqlite`].
    pub fn runs_page(
        &self,
        filter: &RunFilter,
        skipped: u32,
        runs_max: u32,
    ) -> Result<RunsPage, CatalogError> {
        let failed = CatalogError::sqlite("reading the runs of");
        let source = filter.source.as_ref().map(SourceName::as_str);
        let state = filter.state.map(RunState::as_str);
        let clause = "where (?1 is null or source = ?1) and (?2 is null or state = ?2)";
        let connection = self.lock();
        let sql = format!("select count(*) from runs {clause}");
        let in_all: i64 = connection
            .prepare_cached(&sql)
            .and_then(|mut statement| statement.query_row(params![source, state], |row| row.get(0)))
            .map_err(&failed)?;
        let sql = format!(
            "select {} from runs {clause} order by started_at desc, run desc limit ?3 offset ?4",
            schema::RUN_COLUMNS
        );
        let mut statement = connection.prepare_cached(&sql).map_err(&failed)?;
        let rows = statement
            .query_map(params![source, state, runs_max, skipped], run_row)
            .map_err(&failed)?;
        Ok(RunsPage {
            runs: rows.collect::<Result<_, _>>().map_err(&failed)?,
            in_all: u64::try_from(in_all).unwrap_or_default(),
        })
    }

    /// The key of the receipt of a run, as far as it was seen.
    pub(crate) fn receipt_of(
        &self,
        vault: VaultId,
        run: RunId,
    ) -> Result<Option<String>, CatalogError> {
        let sql = "select receipt from runs where run = ?1 and receipt is not null and vault = ?2 \
                   union all \
                   select key from receipts where vault = ?2 and key like '%/receipts/' || ?1 || '.json' \
                   limit 1";
        let connection = self.lock();
        let found = connection.prepare_cached(sql).and_then(|mut statement| {
            let values = [run.to_string(), vault.to_string()];
            statement.query_row(values, |row| row.get(0)).optional()
        });
        found.map_err(CatalogError::sqlite("reading the receipts of"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use resguardo_model::receipt::Verb;

    use super::*;

    fn row(number: u32, source: &str, state: RunState) -> RunRow {
        RunRow {
            run: RunId(ulid::Ulid::from_parts(u64::from(number), 0)),
            vault: None,
            verb: Verb::Backup,
            source: Some(source.parse().unwrap()),
            backup: None,
            state,
            started_at: jiff::Timestamp::from_second(i64::from(number)).unwrap(),
            finished_at: None,
            host: "host".to_owned(),
            operator: "ana".to_owned(),
            process: None,
            message: String::new(),
            receipt: None,
            changes: None,
        }
    }

    #[test]
    fn pages_are_filtered_counted_and_in_order() {
        let catalog = Catalog::in_memory().unwrap();
        for number in 0..30 {
            let source = if number % 3 == 0 { "blog" } else { "shop" };
            let state = if number == 7 {
                RunState::Failed
            } else {
                RunState::Succeeded
            };
            catalog.put_run(&row(number, source, state)).unwrap();
        }
        let all = catalog.runs_page(&RunFilter::default(), 10, 5).unwrap();
        assert_eq!(all.in_all, 30);
        let seconds: Vec<i64> = all
            .runs
            .iter()
            .map(|run| run.started_at.as_second())
            .collect();
        assert_eq!(seconds, [19, 18, 17, 16, 15]);
        let filter = RunFilter {
            source: Some("shop".parse().unwrap()),
            state: Some(RunState::Failed),
        };
        let failed = catalog.runs_page(&filter, 0, 50).unwrap();
        assert_eq!((failed.in_all, failed.runs.len()), (1, 1));
        assert_eq!(
            catalog.run(failed.runs[0].run).unwrap(),
            Some(failed.runs[0].clone())
        );
        assert_eq!(catalog.runs_page(&filter, 50, 50).unwrap().runs, []);
    }
}
