//! How rows are read: by `COPY`, a large table in ranges of its pages.
//!
//! A range is 2^k pages of the heap, so that its boundaries stay where they are while the table grows, and
//! so that its text is some ten MiB: a file of that size is cut into the smallest pieces, and what did not
//! change since yesterday is found again.

use std::collections::HashMap;

use super::inventory::Table;
use super::name;
use super::session::{Row, Session};
use crate::port::EngineError;

/// Bytes of the table, with TOAST, that one range holds at most.
const RANGE_BYTES_MAX: u64 = 12 << 20;
/// Ranges that a table is read in at most.
const RANGES_MAX: u64 = 4096;

/// What a session is told before it reads ranges: a range of pages is never found by reading the whole
/// table, and rows come in the order in which they lie.
pub(super) const READING: &str = "set enable_seqscan = off; set enable_indexscan = off; \
    set enable_bitmapscan = off; set enable_tidscan = on; set max_parallel_workers_per_gather = 0";

/// Columns that [`Shape::of`] reads, of `c`, a relation, and `a`, its access method. Asking for them waits
/// for locks.
pub(super) const SHAPE: &str = "case when a.amname = 'heap' then \
    pg_relation_size(c.oid) / current_setting('block_size')::int8 else 0 end, pg_table_size(c.oid)";

/// Pages of a heap, from the first to before the last; to the end if there is no last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    from: u64,
    to: Option<u64>,
}

/// A range with its share of the table's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SizedRange {
    /// `None` for the whole table.
    pub(super) range: Option<Range>,
    /// How much work it is, in bytes.
    pub(super) bytes: u64,
}

/// How a table lies on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// Pages of its heap; 0 if it is no heap, and is then read as a whole.
    pub(super) pages: u64,
    /// Its size in bytes, with TOAST, without indexes.
    pub(super) bytes: u64,
}

impl Shape {
    /// Of an answer with the columns [`SHAPE`] from this one on.
    pub(super) fn of(row: &Row, column: usize) -> Self {
        Self {
            pages: row.number(column),
            bytes: row.number(column + 1),
        }
    }

    /// The ranges in which it is read.
    pub(super) fn ranges(self) -> Vec<SizedRange> {
        let whole = SizedRange {
            range: None,
            bytes: self.bytes,
        };
        if self.pages < 2 || self.bytes <= RANGE_BYTES_MAX {
            return vec![whole];
        }
        let per_page = (self.bytes / self.pages).max(1);
        let mut step = 1;
        while step * 2 * per_page <= RANGE_BYTES_MAX || self.pages / step >= RANGES_MAX {
            step *= 2;
        }
        if step >= self.pages {
            return vec![whole];
        }
        let starts: Vec<u64> = (0..self.pages).step_by(step as usize).collect();
        let range = |(position, from): (usize, &u64)| SizedRange {
            range: Some(Range {
                from: *from,
                to: starts.get(position + 1).copied(),
            }),
            bytes: per_page * step.min(self.pages - from),
        };
        starts.iter().enumerate().map(range).collect()
    }
}

/// The statement that reads a table, or a range of it, as text in `encoding`.
pub(super) fn copy_out(table: &Table, encoding: &str, range: Option<Range>) -> String {
    let encoding = name::literal(encoding);
    let quoted = table.quoted();
    let columns = table.column_list();
    let what = match range {
        // A table of no columns has no list.
        None if table.condition.is_empty() && table.columns.is_empty() => quoted,
        None if table.condition.is_empty() => format!("{quoted} ({columns})"),
        None => format!("(select {columns} from only {quoted} {})", table.condition),
        Some(Range { from, to }) => {
            let end = to.map(|to| format!(" and ctid < '({to},0)'::pg_catalog.tid"));
            let end = end.unwrap_or_default();
            format!(
                "(select {columns} from only {quoted} where ctid >= '({from},0)'::pg_catalog.tid{end})"
            )
        }
    };
    format!("copy {what} to stdout (encoding {encoding})")
}

/// The shapes of all tables of this database that hold rows, by schema and name.
///
/// # Errors
/// If they cannot be asked for.
pub(super) fn shapes(session: &Session) -> Result<HashMap<(String, String), Shape>, EngineError> {
    let found = session.rows(&format!(
        "select n.nspname, c.relname, {SHAPE} from pg_class c \
           join pg_namespace n on n.oid = c.relnamespace left join pg_am a on a.oid = c.relam \
         where c.relkind = 'r' and c.relpersistence <> 't' and n.nspname !~ '^pg_toast'"
    ))?;
    let shape = |row: &Row| {
        let key = (row.text(0).to_owned(), row.text(1).to_owned());
        (key, Shape::of(row, 2))
    };
    Ok(found.iter().map(shape).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: u64 = 8192;

    fn shape(pages: u64) -> Shape {
        Shape {
            pages,
            bytes: pages * PAGE,
        }
    }

    #[test]
    fn ranges_cover_a_table_without_gap_and_the_last_is_open() {
        for pages in [1, 2, 1535, 1537, 5000, 100_000, 30_000_000] {
            let ranges = shape(pages).ranges();
            assert!(ranges.len() as u64 <= RANGES_MAX);
            let [.., last] = &ranges[..] else {
                panic!("no range");
            };
            assert_eq!(last.range.and_then(|range| range.to), None);
            let mut at = 0;
            for range in &ranges[..ranges.len() - 1] {
                let range = range.range.unwrap();
                assert_eq!(range.from, at);
                at = range.to.unwrap();
            }
            assert_eq!(last.range.map_or(0, |range| range.from), at);
        }
    }

    #[test]
    fn boundaries_stay_while_a_table_grows() {
        let before = shape(100_000).ranges();
        let after = shape(101_000).ranges();
        assert_eq!(before[..before.len() - 1], after[..before.len() - 1]);
    }

    #[test]
    fn a_range_of_long_values_has_fewer_pages() {
        let long = Shape {
            pages: 1000,
            bytes: 1000 * 1_000_000,
        };
        assert_eq!(long.ranges()[0].range.unwrap().to, Some(8));
        assert_eq!(Shape::default().ranges().len(), 1);
    }
}
