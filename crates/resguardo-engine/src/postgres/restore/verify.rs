//! Reads a backup to its end before anything makes room for it: a backup that is damaged costs nobody the
//! database that is there.
//!
//! The reader compares each file with its digest at the end; rows are counted too.

use std::io::Read;

use super::load::{Meter, read_error};
use crate::port::{BackupReader, EngineError, Run};
use crate::postgres::inventory::{Inventory, LARGE_OBJECTS, RowsFile, Table};
use crate::postgres::work::{Job, in_parallel};
use resguardo_model::FilePath;

/// Bytes that are read at once.
const BLOCK_BYTES: usize = 256 << 10;

/// Reads all rows and large objects of `backup`, `jobs` files at once.
///
/// # Errors
/// If a file is missing, damaged or does not hold what the inventory says; [`EngineError::Cancelled`].
pub(super) fn all(
    backup: &dyn BackupReader,
    inventory: &Inventory,
    jobs: usize,
    run: Run<'_>,
) -> Result<(), EngineError> {
    let of_table = |table: &'_ Table| table.files.iter().map(|file| file.bytes).sum::<u64>();
    let meter = Meter::new(inventory.tables.iter().map(of_table).sum(), run.progress);
    let files = inventory.tables.iter().flat_map(|table| {
        let job = |file: &RowsFile| Job { bytes: file.bytes };
        table
            .files
            .iter()
            .map(move |file| (job(file), (table, file)))
    });
    let read =
        |(): &mut (), (table, file): (&Table, &RowsFile)| rows(backup, table, file, &meter, run);
    run.progress.phase("verify");
    in_parallel(files.collect(), jobs, || Ok(()), &read)?;
    if inventory.large_objects.is_some() {
        large_objects(backup, run)?;
    }
    run.progress.phase("restore");
    Ok(())
}

/// Reads the large objects of `backup`.
///
/// # Errors
/// As [`all`].
pub(super) fn large_objects(backup: &dyn BackupReader, run: Run<'_>) -> Result<(), EngineError> {
    let path = LARGE_OBJECTS.parse().expect("the name is a path");
    read(backup, &path, run, &mut |_| {})
}

fn rows(
    backup: &dyn BackupReader,
    table: &Table,
    file: &RowsFile,
    meter: &Meter<'_>,
    run: Run<'_>,
) -> Result<(), EngineError> {
    let mut lines = 0;
    read(backup, &file.path, run, &mut |block| {
        lines += block.iter().filter(|byte| **byte == b'\n').count() as u64;
        meter.add(block.len());
    })?;
    if lines == file.rows {
        return Ok(());
    }
    Err(EngineError::Corrupt {
        place: backup.describe(),
        why: format!(
            "{} of {} holds {lines} rows and not {}",
            file.path,
            table.shown(),
            file.rows
        ),
    })
}

fn read(
    backup: &dyn BackupReader,
    path: &FilePath,
    run: Run<'_>,
    take: &mut dyn FnMut(&[u8]),
) -> Result<(), EngineError> {
    let mut stream = backup.open_stream(path)?;
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        run.cancel.check()?;
        match stream.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(read) => take(&block[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(read_error(error).into()),
        }
    }
}
