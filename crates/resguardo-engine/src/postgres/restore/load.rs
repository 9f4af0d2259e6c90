//! Loads rows: one stream of a table's files, read ahead while the server takes what came before.
//!
//! Each table is one transaction, which ends well only if as many rows came as were backed up and every file
//! had its digest.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use resguardo_model::Progress;

use crate::port::{BackupReader, EngineError, ReadError};
use crate::postgres::inventory::{RowsFile, Table};
use crate::postgres::name;
use crate::postgres::session::{Row, Session};

/// Bytes that are read at once.
const BLOCK_BYTES: usize = 256 << 10;
/// Blocks that are read ahead.
const BLOCKS_MAX: usize = 8;

/// How a table is to be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Into<'a> {
    /// This restore made it: it is emptied in the same transaction, so that its rows can be frozen.
    New,
    /// Its rows are added to what may be there.
    Existing,
    /// The same through the table that it is a part of, in quotes: its rows may belong into other parts here.
    Whole(&'a str),
}

/// Tables whose rows belong elsewhere after a restore, by schema and name, with the tables that know where:
/// parts by a hash of an enum, whose labels have other numbers now.
pub(super) struct Parts(BTreeMap<(String, String), String>);

impl Parts {
    /// Looks for such tables among those that are there.
    ///
    /// # Errors
    /// If they cannot be asked for.
    pub(super) fn find(session: &Session) -> Result<Self, EngineError> {
        let rows = session.rows(
            "select n.nspname, c.relname, pg_catalog.pg_partition_root(c.oid)::pg_catalog.regclass \
             from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
             where c.relispartition and c.relkind = 'r' and exists (select \
               from pg_catalog.pg_partition_ancestors(c.oid) a(relid) \
               join pg_catalog.pg_partitioned_table p on p.partrelid = a.relid \
               cross join lateral pg_catalog.unnest(p.partclass::pg_catalog.oid[]) k(opclass) \
               join pg_catalog.pg_opclass o on o.oid = k.opclass \
               join pg_catalog.pg_opfamily f on f.oid = o.opcfamily \
               where p.partstrat = 'h' and f.opfname = 'enum_ops')",
        )?;
        let part = |row: &Row| {
            let name = (row.text(0).to_owned(), row.text(1).to_owned());
            (name, row.text(2).to_owned())
        };
        Ok(Self(rows.iter().map(part).collect()))
    }

    /// How to load `table`, if else it would be loaded `otherwise`.
    pub(super) fn way<'a>(&'a self, table: &Table, otherwise: Into<'a>) -> Into<'a> {
        let name = (table.schema.clone(), table.name.clone());
        self.0
            .get(&name)
            .map_or(otherwise, |whole| Into::Whole(whole))
    }
}

/// How far a restore is.
pub(super) struct Meter<'a> {
    done: AtomicU64,
    total: u64,
    progress: &'a dyn Progress,
}

impl<'a> Meter<'a> {
    pub(super) fn new(total: u64, progress: &'a dyn Progress) -> Self {
        Self {
            done: AtomicU64::new(0),
            total,
            progress,
        }
    }

    /// Bytes that came.
    pub(super) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, bytes: usize) {
        let done = self.done.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        self.progress.bytes(done, Some(self.total));
    }
}

/// Loads the rows of `table` that are in `files`: all of them, or a part that another session completes.
///
/// # Errors
/// Any; nothing of these rows is there then, if it is [`Into::New`].
pub(super) fn table(
    session: &Session,
    backup: &dyn BackupReader,
    table: &Table,
    files: &[RowsFile],
    encoding: &str,
    into: Into<'_>,
    meter: &Meter<'_>,
) -> Result<(), EngineError> {
    let quoted = table.quoted();
    if into == Into::New {
        session.batch(&format!("begin; truncate only {quoted}"))?;
    }
    let copied = copy(session, backup, table, files, encoding, into, meter);
    match (copied, into) {
        (Ok(()), Into::New) => session.batch("commit"),
        (Ok(()), Into::Existing | Into::Whole(_)) => Ok(()),
        (Err(error), _) => {
            if into == Into::New {
                // The connection may be gone; the server then does the same.
                let _ = session.batch("rollback");
            }
            Err(error)
        }
    }
}

fn copy(
    session: &Session,
    backup: &dyn BackupReader,
    table: &Table,
    files: &[RowsFile],
    encoding: &str,
    into: Into<'_>,
    meter: &Meter<'_>,
) -> Result<(), EngineError> {
    let columns = if table.columns.is_empty() {
        String::new()
    } else {
        format!(" ({})", table.column_list())
    };
    let freeze = if into == Into::New { "freeze, " } else { "" };
    let sql = format!(
        "copy {}{columns} from stdin ({freeze}encoding {})",
        match into {
            Into::Whole(whole) => whole.to_owned(),
            Into::New | Into::Existing => table.quoted(),
        },
        name::literal(encoding)
    );
    let rows = std::thread::scope(|scope| {
        let (sender, blocks) = sync_channel(BLOCKS_MAX);
        let reader = scope.spawn(move || read_files(backup, files, &sender));
        let mut source = Blocks {
            blocks,
            block: Vec::new(),
            at: 0,
            meter,
        };
        let copied = session.copy_in(&sql, &mut source);
        // A reader that waits to hand a block over would wait for ever.
        drop(source);
        match (copied, reader.join()) {
            (_, Ok(Err(error))) => Err(EngineError::Read(error)),
            (copied, Ok(Ok(()))) => copied,
            (_, Err(panic)) => std::panic::resume_unwind(panic),
        }
    })?;
    let expected: u64 = files.iter().map(|file| file.rows).sum();
    if rows == expected {
        return Ok(());
    }
    Err(EngineError::Corrupt {
        place: backup.describe(),
        why: format!(
            "{} has {expected} rows, and {rows} came back",
            table.shown()
        ),
    })
}

/// A block of rows; none at a failure, which the reader keeps.
type Block = Option<Vec<u8>>;

/// Reads the files one after the other until their end, or until nobody takes their blocks any more.
fn read_files(
    backup: &dyn BackupReader,
    files: &[RowsFile],
    sender: &SyncSender<Block>,
) -> Result<(), ReadError> {
    for file in files {
        let read = backup
            .open_stream(&file.path)
            .and_then(|mut stream| read_file(&mut stream, sender));
        match read {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => {
                // What came so far must not be taken for all.
                let _ = sender.send(None);
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Whether the blocks were taken to the end.
fn read_file(stream: &mut dyn Read, sender: &SyncSender<Block>) -> Result<bool, ReadError> {
    loop {
        let mut block = vec![0; BLOCK_BYTES];
        let mut filled = 0;
        while filled < BLOCK_BYTES {
            match stream.read(&mut block[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(read_error(error)),
            }
        }
        if filled == 0 {
            return Ok(true);
        }
        block.truncate(filled);
        if sender.send(Some(block)).is_err() {
            return Ok(false);
        }
    }
}

/// What a backup's stream says comes out of `read` as an error of the system; this unpacks it.
pub(in crate::postgres) fn read_error(error: io::Error) -> ReadError {
    match error.downcast::<ReadError>() {
        Ok(error) => error,
        Err(error) => ReadError::Source(Box::new(error)),
    }
}

/// The blocks as one stream.
struct Blocks<'a> {
    blocks: Receiver<Block>,
    block: Vec<u8>,
    at: usize,
    meter: &'a Meter<'a>,
}

impl Read for Blocks<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.block.len() {
            match self.blocks.recv() {
                Ok(Some(block)) => {
                    self.meter.add(block.len());
                    self.block = block;
                    self.at = 0;
                }
                Ok(None) => return Err(io::Error::other("the backup cannot be read")),
                Err(_) => return Ok(0),
            }
        }
        let length = buffer.len().min(self.block.len() - self.at);
        buffer[..length].copy_from_slice(&self.block[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bad;
    impl Read for Bad {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("damaged"))
        }
    }

    #[test]
    fn blocks_come_in_order_and_a_failure_is_no_end() {
        let (sender, blocks) = sync_channel(BLOCKS_MAX);
        let text = vec![b'x'; BLOCK_BYTES + 7];
        assert!(read_file(&mut &text[..], &sender).unwrap());
        let mut failing = (&b"tail"[..]).chain(Bad);
        assert!(read_file(&mut failing, &sender).is_err());
        sender.send(None).unwrap();
        drop(sender);
        let meter = Meter::new(1, &resguardo_model::NoProgress);
        let mut source = Blocks {
            blocks,
            block: Vec::new(),
            at: 0,
            meter: &meter,
        };
        let mut read = vec![0; text.len()];
        source.read_exact(&mut read).unwrap();
        assert_eq!(read, text);
        assert!(source.read(&mut [0; 10]).is_err());
        assert_eq!(meter.done(), text.len() as u64);
    }
}
