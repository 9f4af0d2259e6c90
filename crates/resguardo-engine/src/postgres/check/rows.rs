//! Every table's rows, counted and digested.

use resguardo_model::CheckResult;
use tokio_postgres::error::SqlState;

use super::differ::{self, ABSENT, Named};
use super::{Asked, LIMITS, in_full, milliseconds, unknown};
use crate::port::EngineError;
use crate::postgres::capture::jobs;
use crate::postgres::catalog;
use crate::postgres::digest::{self, Tally};
use crate::postgres::failure::is_sql_state;
use crate::postgres::inventory::{Inventory, Table};

pub(super) const COUNTS: &str = "row counts";
const DIGESTS: &str = "row digests";

/// Both checks; one reading serves them.
pub(super) fn check(asked: &Asked<'_>) -> Vec<CheckResult> {
    let Some(inventory) = asked.inventory else {
        return vec![unknown(COUNTS), unknown(DIGESTS)];
    };
    let begun = asked.run.clock.now();
    let read = digest::read_tables(
        asked.settings,
        LIMITS,
        &inventory.tables,
        &inventory.encoding,
        jobs(None),
        asked.run.cancel,
    );
    let rows: u64 = inventory.tables.iter().map(|table| table.rows).sum();
    let summary = format!(
        "{}, {rows} rows",
        differ::count(inventory.tables.len(), "table")
    );
    let (read, strangers) = match read.and_then(|read| Ok((read, strangers(asked, inventory)?))) {
        Ok(both) => both,
        Err(error) => {
            let failed = |name| CheckResult::error(name, summary.as_str(), in_full(&error));
            return vec![failed(COUNTS), failed(DIGESTS)];
        }
    };
    let both = inventory.tables.iter().zip(&read);
    let mut results = vec![
        compare(COUNTS, &summary, both.clone(), |table, tally| {
            let actual = tally.map(|tally| tally.rows.to_string());
            (table.rows.to_string(), actual)
        }),
        compare(DIGESTS, &summary, both, |table, tally| {
            let actual = tally.map(|tally| tally.digest.to_string());
            (table.digest.clone(), actual)
        }),
    ];
    if !strangers.is_empty() {
        let words = strangers.join(", ");
        let told = format!("tables that the backup does not have: {words}");
        for result in &mut results[..1] {
            *result = CheckResult::new(
                COUNTS,
                resguardo_model::CheckOutcome::Failed,
                result.expected.as_str(),
                format!("{}; {told}", result.actual),
            );
        }
    }
    for result in &mut results {
        result.milliseconds = milliseconds(asked.run.clock, begun);
    }
    results
}

/// Compares one value of every table. One that could not be read makes the check an error, but for one that
/// is not there or lacks a column.
fn compare<'a>(
    name: &str,
    summary: &str,
    tables: impl Iterator<Item = (&'a Table, &'a Result<Tally, EngineError>)>,
    values: impl Fn(&Table, Option<&Tally>) -> (String, Option<String>),
) -> CheckResult {
    let (mut expected, mut actual) = (Named::new(), Named::new());
    let mut unread = Vec::new();
    for (table, read) in tables {
        let (wanted, found) = values(table, read.as_ref().ok());
        let found = match read {
            Ok(_) => found.unwrap_or_default(),
            Err(error) if is_sql_state(error, &SqlState::UNDEFINED_TABLE) => ABSENT.to_owned(),
            Err(error) if is_sql_state(error, &SqlState::UNDEFINED_COLUMN) => {
                "lacks a column".to_owned()
            }
            Err(error) => {
                unread.push(format!("{}: {}", table.shown(), in_full(error)));
                continue;
            }
        };
        expected.insert(table.shown(), wanted);
        actual.insert(table.shown(), found);
    }
    if unread.is_empty() {
        return differ::compare(name, summary, &expected, &actual);
    }
    unread.truncate(8);
    CheckResult::error(name, summary, unread.join("; "))
}

/// Tables that are there and not in the backup.
fn strangers(asked: &Asked<'_>, inventory: &Inventory) -> Result<Vec<String>, EngineError> {
    let there = catalog::relations(&asked.session()?)?;
    let known: std::collections::HashSet<(&str, &str)> = inventory
        .tables
        .iter()
        .map(|table| (table.schema.as_str(), table.name.as_str()))
        .collect();
    let new = there
        .iter()
        .filter(|relation| !relation.is_partitioned)
        .filter(|relation| !known.contains(&(relation.schema.as_str(), relation.name.as_str())))
        .map(|relation| relation.quoted());
    Ok(new.collect())
}
