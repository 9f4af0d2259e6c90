//! Every table's rows, counted and digested.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use resguardo_model::{CheckOutcome, CheckResult, counted};
use tokio_postgres::error::SqlState;

use super::differ::{self, ABSENT, Named};
use super::{Asked, LIMITS, milliseconds, unknown};
use crate::port::EngineError;
use crate::postgres::capture::jobs;
use crate::postgres::catalog;
use crate::postgres::digest::{self, RowsDigest, Tally};
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
        "{}, {}",
        counted(inventory.tables.len() as u64, "table"),
        counted(rows, "row")
    );
    let (read, strangers) = match read.and_then(|read| Ok((read, strangers(asked, inventory)?))) {
        Ok(both) => both,
        Err(error) => {
            let failed = |name| CheckResult::error(name, summary.as_str(), error.in_full());
            return vec![failed(COUNTS), failed(DIGESTS)];
        }
    };
    let moved = match moved(asked, inventory, &read) {
        Ok(moved) => moved,
        Err(error) => return vec![CheckResult::error(COUNTS, summary, error.in_full())],
    };
    let both = inventory.tables.iter().zip(&read).enumerate();
    let both = both.filter(|(position, _)| !moved.contains(position));
    let both = both.map(|(_, both)| both);
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
                CheckOutcome::Failed,
                result.expected.as_str(),
                format!("{}; {told}", result.actual),
            );
        }
    }
    if !moved.is_empty() {
        let names: Vec<_> = moved
            .iter()
            .map(|position| inventory.tables[*position].shown())
            .collect();
        let told = format!(
            "rows lie in other hash partitions than at the source, all of them: {}",
            names.join(", ")
        );
        for result in &mut results {
            result.detail = [result.detail.as_str(), &told]
                .join("; ")
                .trim_start_matches("; ")
                .to_owned();
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
                unread.push(format!("{}: {}", table.shown(), error.in_full()));
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

/// Positions of hash partitions that hold other rows than at the source, while all partitions of their table
/// together hold the same: an enum's labels hash otherwise when the enum is made anew.
fn moved(
    asked: &Asked<'_>,
    inventory: &Inventory,
    read: &[Result<Tally, EngineError>],
) -> Result<BTreeSet<usize>, EngineError> {
    let known: Vec<Option<Tally>> = inventory.tables.iter().map(tally_of).collect();
    let differs = |position: usize| match (&known[position], &read[position]) {
        (Some(known), Ok(read)) => (known.rows, known.digest) != (read.rows, read.digest),
        _ => false,
    };
    let differing: BTreeSet<usize> = (0..read.len()).filter(|at| differs(*at)).collect();
    if differing.is_empty() {
        return Ok(differing);
    }
    let partitions = asked.session()?.rows(
        "select n.nspname, c.relname, pg_partition_root(c.oid)::oid from pg_class c \
           join pg_namespace n on n.oid = c.relnamespace \
         where c.relispartition and c.relkind = 'r' and exists (select from pg_partition_ancestors(c.oid) a(relid) \
           join pg_partitioned_table p on p.partrelid = a.relid where p.partstrat = 'h')",
    )?;
    let mut families: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for row in &partitions {
        let is_it = |table: &Table| table.schema == row.text(0) && table.name == row.text(1);
        if let Some(position) = inventory.tables.iter().position(is_it) {
            families.entry(row.number(2)).or_default().push(position);
        }
    }
    let mut moved = BTreeSet::new();
    for family in families.values() {
        if family.iter().any(|at| differing.contains(at))
            && is_whole(inventory, &known, read, family)
        {
            moved.extend(family.iter().filter(|at| differing.contains(*at)));
        }
    }
    Ok(moved)
}

/// Whether all of these tables together hold the rows that they held.
fn is_whole(
    inventory: &Inventory,
    known: &[Option<Tally>],
    read: &[Result<Tally, EngineError>],
    family: &[usize],
) -> bool {
    let (mut expected, mut actual) = (Tally::default(), Tally::default());
    for position in family {
        let (Some(known), Ok(read)) = (&known[*position], &read[*position]) else {
            return false;
        };
        // The text of a row is that of its table's columns.
        if inventory.tables[*position].columns != inventory.tables[family[0]].columns {
            return false;
        }
        expected.merge(*known);
        actual.merge(*read);
    }
    (expected.rows, expected.digest) == (actual.rows, actual.digest)
}

/// What the inventory knows of a table; `None` if its digest is none.
fn tally_of(table: &Table) -> Option<Tally> {
    Some(Tally {
        rows: table.rows,
        bytes: 0,
        digest: RowsDigest::parse(&table.digest)?,
    })
}

/// Tables that are there and not in the backup. One that was there and could not be read has come back empty.
fn strangers(asked: &Asked<'_>, inventory: &Inventory) -> Result<Vec<String>, EngineError> {
    let session = asked.session()?;
    let there = catalog::relations(&session)?;
    let known: HashSet<(&str, &str)> = inventory
        .tables
        .iter()
        .map(|table| (table.schema.as_str(), table.name.as_str()))
        .collect();
    let new = there
        .iter()
        .filter(|relation| !relation.is_partitioned)
        .filter(|relation| !known.contains(&(relation.schema.as_str(), relation.name.as_str())))
        .map(|relation| relation.quoted());
    let mut strangers = Vec::new();
    for table in new {
        let is_unread = inventory
            .unread
            .iter()
            .any(|unread| unread.quoted() == table);
        let is_known_and_empty = is_unread
            && session
                .rows(&format!("select from only {table} limit 1"))?
                .is_empty();
        if !is_known_and_empty {
            strangers.push(table);
        }
    }
    Ok(strangers)
}
