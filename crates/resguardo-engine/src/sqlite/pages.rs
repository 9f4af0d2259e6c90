//! Reads the pages of a database through SQLite itself, inside a read transaction that the caller
//! holds. Never opens the file beside SQLite: closing it would drop SQLite's own locks on it.
//!
//! Measured on 703 MB in the page cache: 0.27 s with `pread`, 0.11 s with `mmap_size`. Mapped memory is
//! not used all the same: a file that is cut short while it is read, or a bad sector, would then end
//! the process by SIGBUS instead of being an error with a name. A small page cache is the faster one.

use std::path::Path;

use rusqlite::Connection;

use super::failure;
use crate::port::{EngineError, Run};

/// Bytes that go to the taker at once.
const BLOCK_BYTES: usize = 1 << 20;

/// Size of the database as the transaction sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Size of a page in bytes.
    pub(super) page_bytes: u32,
    /// Number of pages.
    pub(super) pages: u64,
}

impl Shape {
    /// Asks the connection; what it says holds as long as its transaction.
    pub(super) fn of(connection: &Connection) -> Result<Self, rusqlite::Error> {
        let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, u32>(0));
        Ok(Self {
            page_bytes: pragma("page_size")?,
            pages: u64::from(pragma("page_count")?),
        })
    }

    /// Size of the whole image in bytes.
    pub(super) fn bytes(self) -> u64 {
        self.pages * u64::from(self.page_bytes)
    }
}

/// Feeds every page in the order of the file to `take`, in blocks of about 1 MiB. The lock-byte page,
/// which SQLite never reads, comes as zeros.
///
/// # Errors
/// [`EngineError::Corrupt`] if SQLite gives fewer pages than it counted, what `take` says, or a
/// cancelled run.
pub(super) fn stream(
    connection: &Connection,
    path: &Path,
    shape: Shape,
    run: Run<'_>,
    take: &mut dyn FnMut(&[u8]) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    let failed = |error| failure::of_sqlite("reading the pages of", path, error);
    let mut statement = connection
        .prepare("select data from sqlite_dbpage order by pgno")
        .map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    let total = shape.bytes();
    let (mut done, mut pages) = (0, 0);
    let mut block = Vec::with_capacity(BLOCK_BYTES + shape.page_bytes as usize);
    while let Some(row) = rows.next().map_err(failed)? {
        push_page(row, shape, path, &mut block)?;
        pages += 1;
        if block.len() >= BLOCK_BYTES {
            run.cancel.check()?;
            take(&block)?;
            done += block.len() as u64;
            run.progress.bytes(done, Some(total));
            block.clear();
        }
    }
    if !block.is_empty() {
        take(&block)?;
    }
    run.cancel.check()?;
    if pages != shape.pages {
        return Err(EngineError::Corrupt {
            place: failure::place(path),
            why: format!("{pages} of {} pages could be read", shape.pages),
        });
    }
    run.progress.bytes(total, Some(total));
    Ok(())
}

/// Appends the pages `first` to `last` (counted from 1) to `block`.
///
/// # Errors
/// As [`stream`].
pub(super) fn range(
    connection: &Connection,
    path: &Path,
    shape: Shape,
    first: u64,
    last: u64,
    block: &mut Vec<u8>,
) -> Result<(), EngineError> {
    let failed = |error| failure::of_sqlite("reading the pages of", path, error);
    let mut statement = connection
        .prepare_cached("select data from sqlite_dbpage where pgno = ?1")
        .map_err(failed)?;
    for page in first..=last {
        let mut rows = statement.query([page.cast_signed()]).map_err(failed)?;
        match rows.next().map_err(failed)? {
            Some(row) => push_page(row, shape, path, block)?,
            None => {
                return Err(EngineError::Corrupt {
                    place: failure::place(path),
                    why: format!("page {page} of {} cannot be read", shape.pages),
                });
            }
        }
    }
    Ok(())
}

fn push_page(
    row: &rusqlite::Row<'_>,
    shape: Shape,
    path: &Path,
    block: &mut Vec<u8>,
) -> Result<(), EngineError> {
    let data = row
        .get_ref(0)
        .map_err(|error| failure::of_sqlite("reading the pages of", path, error))?;
    match data.as_blob() {
        Ok(page) if page.len() == shape.page_bytes as usize => {
            block.extend_from_slice(page);
            Ok(())
        }
        _ => Err(EngineError::Corrupt {
            place: failure::place(path),
            why: format!("a page is not {} bytes long", shape.page_bytes),
        }),
    }
}
