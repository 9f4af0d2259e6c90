//! The checks that every drill runs on a restored database: is it, byte by byte and row by row, what
//! was backed up? The digest comes first, before any connection could touch the file.

use std::io::Read as _;
use std::path::Path;

use jiff::Timestamp;
use resguardo_model::{
    CheckOutcome, CheckResult, Clock, Sha256Digest, SourceFacts, TableFacts, counted,
};
use rusqlite::Connection;
use sha2::Digest as _;

use super::header::{HEADER_BYTES, Header};
use super::restore::{LOCK_TIMEOUT, only_file};
use super::watch::Watch;
use super::{facts, integrity, open};
use crate::port::{Allowed, BackupReader, EngineError, Run};
use crate::system::of_system;

const DIGEST: &str = "file digest";
const SIZE: &str = "page count";
const ROWS: &str = "row counts";
const SCHEMA: &str = "schema";
const INTEGRITY: &str = "integrity_check";
const FOREIGN_KEYS: &str = "foreign_key_check";

/// Tables that a failed check names.
const NAMED_MAX: usize = 8;

/// A check that asks a connection.
type Ask = fn(&Asked<'_>) -> Result<CheckResult, EngineError>;

/// Runs all of them on the file at `path`. The structure takes longest by far, so that it is checked
/// while the others run.
pub(super) fn all(
    path: &Path,
    backup: &dyn BackupReader,
    allowed: Allowed,
    run: Run<'_>,
) -> Vec<CheckResult> {
    let mut results = of_file(path, backup, run);
    let facts = backup.facts();
    let ask = |checks: &[(&str, Ask)]| asked(path, facts, allowed, run, checks);
    let (others, mut structure) = std::thread::scope(|scope| {
        let structure = scope.spawn(|| ask(&[(INTEGRITY, structure)]));
        let others: [(&str, Ask); 3] =
            [(ROWS, rows), (SCHEMA, schema), (FOREIGN_KEYS, foreign_keys)];
        let others = ask(&others);
        let structure = structure.join();
        (
            others,
            structure.unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
        )
    });
    results.extend(others);
    let last = results.len() - 1;
    results.splice(last..last, structure.drain(..));
    results
}

/// Runs `checks` one after the other on a connection of their own.
fn asked(
    path: &Path,
    facts: Option<&SourceFacts>,
    allowed: Allowed,
    run: Run<'_>,
    checks: &[(&str, Ask)],
) -> Vec<CheckResult> {
    let opened = open::reading(path, LOCK_TIMEOUT, run.cancel);
    let mut results = Vec::new();
    for (name, check) in checks {
        let stopwatch = Stopwatch::new(run.clock);
        let result = match &opened {
            Ok(connection) => run
                .cancel
                .check()
                .map_err(EngineError::from)
                .and_then(|()| {
                    check(&Asked {
                        connection,
                        path,
                        facts,
                        allowed,
                        run,
                    })
                }),
            Err(error) => {
                results.push(CheckResult::error(name, "", error.in_full()));
                continue;
            }
        };
        let result = result.unwrap_or_else(|error| CheckResult::error(name, "", error.in_full()));
        results.push(stopwatch.stop(result));
    }
    results
}

/// Digest and size, read from the file itself.
fn of_file(path: &Path, backup: &dyn BackupReader, run: Run<'_>) -> Vec<CheckResult> {
    let file = match only_file(backup) {
        Ok(file) => file,
        Err(error) => {
            return vec![
                CheckResult::error(DIGEST, "", error.to_string()),
                CheckResult::error(SIZE, "", error.to_string()),
            ];
        }
    };
    let expected_digest = file.sha256.to_string();
    let expected_size = backup.facts().map_or_else(
        || format!("{} bytes", file.bytes),
        |facts| {
            let detail = |name| {
                facts
                    .details
                    .get(name)
                    .map_or(0, |v| v.as_u64().unwrap_or(0))
            };
            pages_in_words(detail("page_count"), detail("page_size"), file.bytes)
        },
    );
    let stopwatch = Stopwatch::new(run.clock);
    let read = match Read::all_of(path, run) {
        Ok(read) => read,
        Err(error) => {
            return vec![
                CheckResult::error(DIGEST, expected_digest, error.in_full()),
                CheckResult::error(SIZE, expected_size, error.in_full()),
            ];
        }
    };
    let log_bytes = open::wal_bytes(path);
    let actual_digest = if log_bytes == 0 {
        read.sha256.to_string()
    } else {
        format!(
            "{}, and {log_bytes} bytes of changes in its -wal",
            read.sha256
        )
    };
    let actual_size = match (backup.facts(), &read.header) {
        (None, _) => format!("{} bytes", read.bytes),
        (Some(_), Some(header)) => {
            let page_bytes = u64::from(header.page_bytes);
            pages_in_words(read.bytes / page_bytes, page_bytes, read.bytes)
        }
        (Some(_), None) => format!("no header, {} bytes", read.bytes),
    };
    vec![
        stopwatch.stop(CheckResult::compare(DIGEST, expected_digest, actual_digest)),
        CheckResult::compare(SIZE, expected_size, actual_size),
    ]
}

fn pages_in_words(pages: u64, page_bytes: u64, bytes: u64) -> String {
    format!("{pages} pages of {page_bytes} bytes, {bytes} bytes")
}

/// A file that was read from its beginning to its end.
struct Read {
    bytes: u64,
    sha256: Sha256Digest,
    header: Option<Header>,
}

impl Read {
    fn all_of(path: &Path, run: Run<'_>) -> Result<Self, EngineError> {
        let failed = |error| of_system("reading", path, error);
        let mut file = std::fs::File::open(path).map_err(failed)?;
        let mut hasher = sha2::Sha256::new();
        let mut block = vec![0; 1 << 20];
        let (mut bytes, mut start) = (0, Vec::new());
        loop {
            run.cancel.check()?;
            let length = file.read(&mut block).map_err(failed)?;
            if length == 0 {
                break;
            }
            let missing = HEADER_BYTES.saturating_sub(start.len());
            start.extend_from_slice(&block[..length.min(missing)]);
            hasher.update(&block[..length]);
            bytes += length as u64;
        }
        Ok(Self {
            bytes,
            sha256: hasher.into(),
            header: Header::parse(&start).ok(),
        })
    }
}

/// What the checks by connection are given.
struct Asked<'a> {
    connection: &'a Connection,
    path: &'a Path,
    facts: Option<&'a SourceFacts>,
    allowed: Allowed,
    run: Run<'a>,
}

impl Asked<'_> {
    fn ask<T>(
        &self,
        operation: &'static str,
        question: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, EngineError> {
        let watch = Watch::over(self.connection, self.run.cancel, None);
        question(self.connection).map_err(|error| watch.name(operation, self.path, error))
    }
}

fn unknown(name: &str) -> CheckResult {
    let mut result = CheckResult::new(name, CheckOutcome::Skipped, "", "");
    result.detail = "the backup does not say what was in it: Resguardo did not make it".to_owned();
    result
}

fn rows(asked: &Asked<'_>) -> Result<CheckResult, EngineError> {
    let Some(facts) = asked.facts else {
        return Ok(unknown(ROWS));
    };
    let tables = asked.ask("counting the rows of", facts::count_tables)?;
    Ok(compare_rows(&facts.tables, &tables))
}

fn compare_rows(expected: &[TableFacts], actual: &[TableFacts]) -> CheckResult {
    let of = |tables: &[TableFacts], name: &str| {
        let table = tables.iter().find(|table| table.name == name);
        table.map_or("no such table".to_owned(), |table| table.rows.to_string())
    };
    let mut names: Vec<&str> = Vec::new();
    for table in expected.iter().chain(actual) {
        let name = table.name.as_str();
        if !names.contains(&name) && of(expected, name) != of(actual, name) {
            names.push(name);
        }
    }
    if names.is_empty() {
        let rows: u64 = actual.iter().map(|table| table.rows).sum();
        let tables = counted(actual.len() as u64, "table");
        let words = format!("{tables}, {}", counted(rows, "row"));
        return CheckResult::compare(ROWS, words.clone(), words);
    }
    let words = |tables: &[TableFacts]| {
        let shown = names.iter().take(NAMED_MAX);
        let shown: Vec<String> = shown
            .map(|name| format!("{name}: {}", of(tables, name)))
            .collect();
        shown.join(", ")
    };
    let mut result = CheckResult::new(ROWS, CheckOutcome::Failed, words(expected), words(actual));
    let tables = counted(expected.len() as u64, "table");
    result.detail = format!("{} of {tables} differ", names.len());
    result
}

fn schema(asked: &Asked<'_>) -> Result<CheckResult, EngineError> {
    let Some(facts) = asked.facts else {
        return Ok(unknown(SCHEMA));
    };
    let digest = asked.ask("reading the schema of", facts::schema_digest)?;
    let (expected, actual) = (facts.schema_sha256.to_string(), digest.to_string());
    Ok(CheckResult::compare(SCHEMA, expected, actual))
}

fn structure(asked: &Asked<'_>) -> Result<CheckResult, EngineError> {
    let lines = asked.ask("checking", integrity::structure)?;
    let actual = if lines.is_empty() {
        "ok".to_owned()
    } else {
        lines.join("; ")
    };
    Ok(CheckResult::compare(INTEGRITY, "ok", actual))
}

fn foreign_keys(asked: &Asked<'_>) -> Result<CheckResult, EngineError> {
    let orphans = asked.ask("checking the foreign keys of", integrity::orphans)?;
    let (found, allowed) = (orphans.len() as u64, asked.allowed.orphans);
    let words = |rows| format!("{} without their parent", counted(rows, "row"));
    let expected = match allowed {
        0 => words(0),
        some => format!("at most {}", words(some)),
    };
    let outcome = match found <= allowed {
        true => CheckOutcome::Passed,
        false => CheckOutcome::Failed,
    };
    let mut result = CheckResult::new(FOREIGN_KEYS, outcome, expected, words(found));
    result.detail = integrity::describe(&orphans);
    Ok(result)
}

/// Times one check.
struct Stopwatch<'a> {
    clock: &'a dyn Clock,
    begun: Timestamp,
}

impl<'a> Stopwatch<'a> {
    fn new(clock: &'a dyn Clock) -> Self {
        let begun = clock.now();
        Self { clock, begun }
    }

    fn stop(self, mut result: CheckResult) -> CheckResult {
        let taken = self.clock.now().duration_since(self.begun).as_millis();
        result.milliseconds = u64::try_from(taken).unwrap_or(0);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(counts: &[(&str, u64)]) -> Vec<TableFacts> {
        let table = |(name, rows): &(&str, u64)| TableFacts {
            name: (*name).to_owned(),
            rows: *rows,
            rows_digest: None,
        };
        counts.iter().map(table).collect()
    }

    #[test]
    fn tables_that_differ_are_named_with_both_counts() {
        let result = compare_rows(
            &tables(&[("customer", 7), ("gone", 1), ("orders", 120)]),
            &tables(&[("customer", 7), ("new", 0), ("orders", 119)]),
        );
        assert_eq!(result.outcome, CheckOutcome::Failed);
        assert_eq!(result.expected, "gone: 1, orders: 120, new: no such table");
        assert_eq!(result.actual, "gone: no such table, orders: 119, new: 0");
        assert_eq!(result.detail, "3 of 3 tables differ");
    }

    #[test]
    fn the_same_tables_pass() {
        let counts = tables(&[("customer", 7), ("orders", 120)]);
        let result = compare_rows(&counts, &counts);
        assert_eq!(result.outcome, CheckOutcome::Passed);
        assert_eq!(result.actual, "2 tables, 127 rows");
    }
}
