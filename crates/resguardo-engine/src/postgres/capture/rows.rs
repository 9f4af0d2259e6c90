//! The rows of all tables into the sink: several tables, and several ranges of a large one, at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use resguardo_model::{FileKind, FilePath};

use super::{Capture, file_path, first::First, snapshot};
use crate::port::{CaptureSink, EngineError, FileSink};
use crate::postgres::catalog::Relation;
use crate::postgres::digest::Tally;
use crate::postgres::inventory::{RowsFile, Table};
use crate::postgres::rows::{self, Range, Shape};
use crate::postgres::session::{Limits, Session};
use crate::postgres::work::{self, Job};

/// Bytes that are handed to the sink at once.
const BLOCK_BYTES: usize = 64 << 10;
/// Parts that are read in one transaction. It keeps a lock on each of their tables; many transactions need
/// little room in the server's table of locks.
const PARTS_PER_TRANSACTION: u32 = 100;
/// Longest wait of a reader for a lock: it is held by the session with the snapshot already, so whoever is in
/// the way waits for us.
const LOCK_TIMEOUT: Duration = Duration::from_millis(500);
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
pub(super) fn read(capture: &Capture<'_>, tables: &[Planned]) -> Result<Vec<Read>, EngineError> {
    let parts = parts(tables);
    let reading = Reading {
        capture,
        tables,
        total: parts.iter().map(|(job, _)| job.bytes).sum(),
        done: AtomicU64::new(0),
        left: Mutex::default(),
    };
    let first = First::new(&capture.stop);
    let answers = work::in_parallel(
        parts,
        super::jobs(capture.source.request.jobs),
        || first.pass(reading.connect()),
        &|reader: &mut Reader, part: Part| first.pass(reading.read(reader, part)),
    );
    first.into_result()?;
    let mut answers: Vec<Answer> = answers?.into_iter().flatten().collect();
    answers.extend(reading.read_left()?);
    answers.sort_by_key(|answer| (answer.table, answer.number));
    let mut reads: Vec<Read> = tables.iter().map(|_| Read::default()).collect();
    for answer in answers {
        let read = &mut reads[answer.table];
        read.tally.merge(answer.tally);
        read.files.extend(answer.file);
    }
    Ok(reads)
}

fn parts(tables: &[Planned]) -> Vec<(Job, Part)> {
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
    parts
}

/// A part that was read.
struct Answer {
    table: usize,
    number: usize,
    tally: Tally,
    file: Option<RowsFile>,
}

/// A session in the snapshot, and how many parts it has read.
struct Reader {
    session: Session,
    parts: u32,
}

/// What all readers share.
struct Reading<'a> {
    capture: &'a Capture<'a>,
    tables: &'a [Planned],
    total: u64,
    done: AtomicU64,
    /// Parts of tables that somebody wants for himself alone: he waits for the session that holds the locks,
    /// and readers would wait for him.
    left: Mutex<Vec<Part>>,
}

impl Reading<'_> {
    fn connect(&self) -> Result<Reader, EngineError> {
        let limits = Limits {
            lock: LOCK_TIMEOUT,
            ..self.capture.source.limits()
        };
        let session = Session::connect(&self.capture.source.settings, limits, &self.capture.stop)?;
        session.batch(rows::READING)?;
        snapshot::enter(&session, &self.capture.opened.snapshot.id)?;
        Ok(Reader { session, parts: 0 })
    }

    /// Reads a part, or leaves it.
    fn read(&self, reader: &mut Reader, part: Part) -> Result<Option<Answer>, EngineError> {
        let id = &self.capture.opened.snapshot.id;
        reader.parts += 1;
        if reader.parts.is_multiple_of(PARTS_PER_TRANSACTION) {
            reader.session.batch("commit")?;
            snapshot::enter(&reader.session, id)?;
        }
        let is_left = self.left().iter().any(|left| left.table == part.table);
        if is_left {
            self.left().push(part);
            return Ok(None);
        }
        match self.read_part(&reader.session, &part) {
            Err(Failure {
                error: EngineError::Busy { .. },
                has_written: false,
            }) => {
                self.left().push(part);
                reader.session.batch("rollback")?;
                snapshot::enter(&reader.session, id)?;
                Ok(None)
            }
            other => other.map(Some).map_err(|failure| failure.error),
        }
    }

    /// Reads what was left, in the session that has the locks.
    fn read_left(&self) -> Result<Vec<Answer>, EngineError> {
        let left = std::mem::take(&mut *self.left());
        let holder = &self.capture.opened.holder;
        if !left.is_empty() {
            holder.batch(rows::READING)?;
        }
        let mut answers = Vec::new();
        for part in left {
            self.capture.stop.check()?;
            let answer = self.read_part(holder, &part);
            answers.push(answer.map_err(|failure| failure.error)?);
        }
        Ok(answers)
    }

    fn read_part(&self, session: &Session, part: &Part) -> Result<Answer, Failure> {
        let table = &self.tables[part.table].table;
        let (tally, file) = read_part(self.capture.sink, session, table, part)?;
        let done = self.done.fetch_add(part.bytes, Ordering::Relaxed) + part.bytes;
        self.capture
            .source
            .run
            .progress
            .bytes(done, Some(self.total));
        Ok(Answer {
            table: part.table,
            number: part.number,
            tally,
            file,
        })
    }

    fn left(&self) -> MutexGuard<'_, Vec<Part>> {
        self.left.lock().expect("nothing panics under this lock")
    }
}

/// Why a part was not read.
struct Failure {
    error: EngineError,
    /// Its file was begun, and cannot be begun again.
    has_written: bool,
}

/// Reads one range into a file, which is opened with its first row.
fn read_part(
    sink: &dyn CaptureSink,
    session: &Session,
    table: &Table,
    part: &Part,
) -> Result<(Tally, Option<RowsFile>), Failure> {
    let mut tally = Tally::default();
    let mut outlet = Outlet {
        sink,
        path: path(table, part.number),
        block: Vec::new(),
        file: None,
    };
    let sql = rows::copy_out(table, session.encoding(), part.range);
    let copied = session.copy_out(&sql, &mut |row| {
        tally.add(row);
        outlet.write(row)
    });
    copied.map_err(|error| Failure {
        error,
        has_written: outlet.file.is_some(),
    })?;
    let finished = outlet.finish().map_err(|error| Failure {
        error,
        has_written: true,
    })?;
    let file = finished.map(|path| RowsFile {
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
