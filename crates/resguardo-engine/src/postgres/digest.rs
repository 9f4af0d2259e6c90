//! Rows counted and digested as their `COPY` text streams past, and read back the same way.
//!
//! The digest of a table is the sum modulo 2^128 of XXH3-128 of each row's text, without its newline. A sum
//! does not depend on the order of the rows, so several ranges of a table are digested at once and added,
//! and a restored table, whose rows lie elsewhere, has the same digest. Rows that occur twice count twice.
//! It tells of rows lost, doubled or changed on the way; it does not withstand somebody who forges rows to
//! fit, which is what the vault's signatures are for.

use std::fmt;

use twox_hash::XxHash3_128;

use super::inventory::Table;
use super::rows::{self, Range, Shape};
use super::session::{Limits, Session};
use super::settings::Settings;
use super::work::{self, Job};
use crate::port::EngineError;
use resguardo_model::CancelToken;

/// Digest of rows in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RowsDigest(u128);

impl RowsDigest {
    fn add(&mut self, row: &[u8]) {
        self.0 = self.0.wrapping_add(XxHash3_128::oneshot(row));
    }
}

impl RowsDigest {
    /// The digest that was printed; `None` if the text is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("xxh3sum:")?;
        u128::from_str_radix(digits, 16).ok().map(Self)
    }
}

impl fmt::Display for RowsDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "xxh3sum:{:032x}", self.0)
    }
}

/// Rows, counted, measured and digested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// How many.
    pub(super) rows: u64,
    /// Their text with newlines, in bytes.
    pub(super) bytes: u64,
    /// Their digest.
    pub(super) digest: RowsDigest,
}

impl Tally {
    /// Counts a row as [`Session::copy_out`] hands it out: with its newline.
    pub(super) fn add(&mut self, row: &[u8]) {
        self.rows += 1;
        self.bytes += row.len() as u64;
        self.digest.add(row.strip_suffix(b"\n").unwrap_or(row));
    }

    /// Adds the rows of another part of the same table.
    pub(super) fn merge(&mut self, other: Self) {
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.digest.0 = self.digest.0.wrapping_add(other.digest.0);
    }
}

/// Counts and digests one table, or a range of it.
///
/// # Errors
/// Whatever reading it meets.
pub(super) fn read_table(
    session: &Session,
    table: &Table,
    encoding: &str,
    range: Option<Range>,
) -> Result<Tally, EngineError> {
    let mut tally = Tally::default();
    let sql = rows::copy_out(table, encoding, range);
    session.copy_out(&sql, &mut |row| {
        tally.add(row);
        Ok(())
    })?;
    Ok(tally)
}

/// Counts and digests tables by name, columns and condition in the database of `settings`, `jobs` ranges
/// at once, the largest first. One answer for each table, in their order; a table that is not there or
/// cannot be read is that table's error. `encoding` is that of the rows in the backup.
///
/// # Errors
/// If the server cannot be asked at all, or the caller cancels.
pub(super) fn read_tables(
    settings: &Settings,
    limits: Limits,
    tables: &[Table],
    encoding: &str,
    jobs: usize,
    cancel: &CancelToken,
) -> Result<Vec<Result<Tally, EngineError>>, EngineError> {
    let session = Session::connect(settings, limits, cancel)?;
    let shapes = shapes(&session, tables)?;
    drop(session);
    let mut ranges: Vec<(Job, usize, Option<Range>)> = Vec::new();
    for (position, shape) in shapes.iter().enumerate() {
        for range in shape.ranges() {
            let job = Job { bytes: range.bytes };
            ranges.push((job, position, range.range));
        }
    }
    let mut tallies: Vec<Result<Tally, EngineError>> =
        tables.iter().map(|_| Ok(Tally::default())).collect();
    let connect = || {
        let session = Session::connect(settings, limits, cancel)?;
        session.batch(rows::READING)?;
        Ok(session)
    };
    let items = ranges
        .into_iter()
        .map(|(job, position, range)| (job, (position, range)))
        .collect();
    let answers = work::in_parallel(items, jobs, connect, &|session: &mut Session, item| {
        let (position, range) = item;
        let read = read_table(session, &tables[position], encoding, range);
        match read {
            Err(EngineError::Cancelled(cancelled)) => Err(cancelled.into()),
            Err(error @ EngineError::Unreachable { .. }) => Err(error),
            other => Ok((position, other)),
        }
    })?;
    for (position, answer) in answers {
        match (&mut tallies[position], answer) {
            (Ok(tally), Ok(part)) => tally.merge(part),
            (whole @ Ok(_), Err(error)) => *whole = Err(error),
            (Err(_), _) => {}
        }
    }
    Ok(tallies)
}

/// The shapes of tables as they lie in this database, found by name; none of a table that is not there.
fn shapes(session: &Session, tables: &[Table]) -> Result<Vec<Shape>, EngineError> {
    let found = rows::shapes(session)?;
    let shape = |table: &Table| {
        let key = (table.schema.clone(), table.name.clone());
        found.get(&key).copied().unwrap_or_default()
    };
    let shape = |table: &Table| {
        if table.condition.is_empty() {
            shape(table)
        } else {
            Shape::default()
        }
    };
    Ok(tables.iter().map(shape).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(rows: &[&[u8]]) -> Tally {
        let mut tally = Tally::default();
        for row in rows {
            tally.add(row);
        }
        tally
    }

    #[test]
    fn neither_order_nor_parts_matter() {
        let whole = tally(&[b"1\ta\n", b"2\tb\n", b"3\t\\N\n"]);
        assert_eq!(whole, tally(&[b"3\t\\N\n", b"1\ta\n", b"2\tb\n"]));
        let mut parts = tally(&[b"2\tb\n"]);
        parts.merge(tally(&[b"3\t\\N\n", b"1\ta\n"]));
        assert_eq!(whole, parts);
        assert_eq!((whole.rows, whole.bytes), (3, 13));
    }

    #[test]
    fn a_row_that_is_lost_doubled_or_changed_is_seen() {
        let digest = |rows: &[&[u8]]| tally(rows).digest;
        let right = digest(&[b"1\ta\n", b"2\tb\n"]);
        for wrong in [
            digest(&[b"1\ta\n"]),
            digest(&[b"1\ta\n", b"1\ta\n"]),
            digest(&[b"1\ta\n", b"2\tb\n", b"2\tb\n"]),
            digest(&[b"1\tb\n", b"2\ta\n"]),
        ] {
            assert_ne!(right, wrong);
        }
    }

    #[test]
    fn it_is_printed_in_full_and_is_that_of_the_format() {
        assert_eq!(
            RowsDigest::default().to_string(),
            "xxh3sum:00000000000000000000000000000000"
        );
        let some = tally(&[b"a\n"]).digest;
        assert_eq!(RowsDigest::parse(&some.to_string()), Some(some));
        assert_eq!(RowsDigest::parse("sha256:00"), None);
        // XXH3-128 of nothing, as xxhsum -H2 prints it: a table of no columns has such rows.
        assert_eq!(
            tally(&[b"\n"]).digest.to_string(),
            "xxh3sum:99aa06d3014798d86001c324468d497f"
        );
    }
}
