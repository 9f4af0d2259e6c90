//! The rows of all tables into the sink: several tables, and several ranges of a large one, at once.

use std::sync::atomic::{AtomicU64, Ordering};

use resguardo_model::{FileKind, FilePath};

use super::{Capture, file_path, first::First, snapshot};
use crate::port::{CaptureSink, EngineError, FileSink};
use crate::postgres::catalog::Relation;
use crate::postgres::digest::Tally;
use crate::postgres::inventory::{RowsFile, Table};
use crate::postgres::rows::{self, Range, Shape};
use crate::postgres::session::Session;
use crate::postgres::work::{self, Job};

/// Bytes that are handed to the sink at once.
const BLOCK_BYTES: usize = 256 << 10;
/// Parts that are read in one transaction. It keeps a lock on each of their tables; many transactions need
/// little room in the server's table of locks.
const PARTS_PER_TRANSACTION: u32 = 100;
/// Characters of a table's name that its folder shows.
const SHOWN_CHARACTERS_MAX: usize = 100;

/// A table that is to be read.
pub(super) struct Planned {
    pub(super) table: Table,
    shape: Shape,
}

/// A table that was read.
#[derive(Default)]
pub(super) struct Read {
    pub(super) tally: Tally,
    pub(super) files: Vec<RowsFile>,
}

/// One range of one table.
struct Part {
    table: usize,
    number: usize,
    range: Option<Range>,
    bytes: u64,
}

impl Planned {
    pub(super) fn new(relation: &Relation, shape: Shape) -> Self {
        Self {
            table: Table {
                oid: relation.oid,
                schema: relation.schema.clone(),
                name: relation.name.clone(),
                columns: relation.columns.clone(),
                condition: relation.condition.clone(),
                rows: 0,
                digest: String::new(),
                bytes: shape.bytes,
                files: Vec::new(),
            },
            // What a condition selects is little, and found by itself.
            shape: if relation.condition.is_empty() {
                shape
            } else {
                Shape::default()
            },
        }
    }
}

/// Reads them all.
///
/// # Errors
/// The first of any.
pub(super) fn read(
    capture: &Capture<'_>,
    snapshot: &str,
    tables: &[Planned],
) -> Result<Vec<Read>, EngineError> {
    let mut parts = Vec::new();
    for (table, planned) in tables.iter().enumerate() {
        for (number, sized) in planned.shape.ranges().into_iter().enumerate() {
            let part = Part {
                table,
                number,
                range: sized.range,
                bytes: sized.bytes,
            };
            parts.push((Job { bytes: sized.bytes }, part));
        }
    }
    let total: u64 = parts.iter().map(|(job, _)| job.bytes).sum();
    let done = AtomicU64::new(0);
    let first = First::new(&capture.source.stop);
    let connect = || {
        let session = Session::connect(
            &capture.source.settings,
            capture.source.limits(),
            &capture.source.stop,
        )?;
        session.batch(rows::READING)?;
        snapshot::enter(&session, snapshot)?;
        Ok((session, 0))
    };
    let answers = work::in_parallel(
        parts,
        super::jobs(capture.source.request.jobs),
        || first.pass(connect()),
        &|(session, parts): &mut (Session, u32), part: Part| {
            let planned = &tables[part.table];
            *parts += 1;
            if parts.is_multiple_of(PARTS_PER_TRANSACTION) {
                first.pass(session.batch("commit"))?;
                first.pass(snapshot::enter(session, snapshot))?;
            }
            let read = first.pass(read_part(capture.sink, session, &planned.table, &part))?;
            let done = done.fetch_add(part.bytes, Ordering::Relaxed) + part.bytes;
            capture.source.run.progress.bytes(done, Some(total));
            Ok((part.table, part.number, read))
        },
    );
    first.into_result()?;
    let mut answers = answers?;
    answers.sort_by_key(|(table, number, _)| (*table, *number));
    let mut reads: Vec<Read> = tables.iter().map(|_| Read::default()).collect();
    for (table, _, (tally, file)) in answers {
        reads[table].tally.merge(tally);
        reads[table].files.extend(file);
    }
    Ok(reads)
}

/// Reads one range into a file, which is opened with its first row.
fn read_part(
    sink: &dyn CaptureSink,
    session: &Session,
    table: &Table,
    part: &Part,
) -> Result<(Tally, Option<RowsFile>), EngineError> {
    let mut tally = Tally::default();
    let mut outlet = Outlet {
        sink,
        path: path(table, part.number),
        block: Vec::new(),
        file: None,
    };
    let sql = rows::copy_out(table, session.encoding(), part.range);
    session.copy_out(&sql, &mut |row| {
        tally.add(row);
        outlet.write(row)
    })?;
    let file = outlet.finish()?.map(|path| RowsFile {
        path,
        rows: tally.rows,
        bytes: tally.bytes,
    });
    Ok((tally, file))
}

/// A file that is opened when there is something to write.
struct Outlet<'a> {
    sink: &'a dyn CaptureSink,
    path: FilePath,
    block: Vec<u8>,
    file: Option<Box<dyn FileSink + 'a>>,
}

impl Outlet<'_> {
    fn write(&mut self, row: &[u8]) -> Result<(), EngineError> {
        self.block.extend_from_slice(row);
        if self.block.len() >= BLOCK_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), EngineError> {
        if self.file.is_none() {
            self.file = Some(self.sink.open_file(&self.path, FileKind::Stream)?);
        }
        if let Some(file) = &mut self.file {
            file.write(&self.block)?;
        }
        self.block.clear();
        self.block.shrink_to(2 * BLOCK_BYTES);
        Ok(())
    }

    /// The path, if there was a row.
    fn finish(mut self) -> Result<Option<FilePath>, EngineError> {
        if !self.block.is_empty() {
            self.flush()?;
        }
        match self.file {
            Some(file) => {
                file.finish()?;
                Ok(Some(self.path))
            }
            None => Ok(None),
        }
    }
}

/// `rows/public.orders.16412/000003.copy`; the oid tells tables apart whose names look the same.
fn path(table: &Table, number: usize) -> FilePath {
    let shown: String = table
        .shown()
        .chars()
        .take(SHOWN_CHARACTERS_MAX)
        .map(|letter| {
            if letter.is_alphanumeric() || matches!(letter, '.' | '_' | '-') {
                letter
            } else {
                '_'
            }
        })
        .collect();
    file_path(&format!("rows/{shown}.{}/{number:06}.copy", table.oid))
}
