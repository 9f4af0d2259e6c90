//! Captures a database: its structure by `pg_dump`, its rows by parallel `COPY`, all from one exported
//! snapshot.
//!
//! Order: the tables are listed, and refused if one cannot be read. One session locks them against being
//! dropped or rewritten (`ACCESS SHARE`, which lets everybody read and write) and then, in the same
//! transaction, takes and exports the snapshot. The tables are listed again as it shows them; if one came
//! meanwhile, all is begun anew: nothing in the snapshot is ever unlocked, so no `TRUNCATE` or rewrite, which
//! obey no snapshot, can empty a table between the two. `pg_dump` is started and takes locks of its own;
//! then rows are read, each reader in a transaction with that snapshot. The inventory is written last, when
//! every row has been counted; the session that holds locks and snapshot is asked whether it still does.
//!
//! Whoever asks for an exclusive lock meanwhile waits for us, and whoever asks after him for any lock waits
//! for him. `pg_dump` that meets such a one is ended before anything is written, and everything taken again
//! once he is through; a reader leaves the table to the session that has its lock already.
//!
//! INVARIANT: whatever is in the snapshot is in the backup, or named in `left_out`, or the capture fails
//! (`a_table_that_cannot_be_read_fails_the_backup_by_name`,
//! `tables_that_come_go_and_are_emptied_meanwhile_do_not_spoil_a_backup`).

mod facts;
mod first;
mod globals;
mod integrity;
mod lock;
mod rows;
mod schema;
mod script;
mod snapshot;
mod source;
mod start;

use std::num::NonZero;
use std::time::Duration;

use resguardo_model::{CancelToken, FileKind, FilePath};

use super::Surroundings;
use super::catalog;
use super::inventory::{self, Inventory, LargeObjects};
use super::session::Session;
use crate::port::{CaptureRequest, CaptureSink, Captured, EngineError, Run};
use first::First;
pub(super) use source::{Opened, Source, require_known_major};
use start::Start;
pub(super) use start::application_name as dump_name;

/// Streams that are read at once, if nobody says otherwise and there are as many processors.
const JOBS_MAX: usize = 4;
/// How often locks are taken again for `pg_dump` to get its own.
const ATTEMPTS_MAX: usize = 5;
/// How often whoever waits for all others looks around.
const TICK: Duration = Duration::from_millis(20);

/// What else is to be dumped in the snapshot, while all of it is read: by a program that connects as
/// [`dump_name`] says, and is ended by the token. It is begun anew whenever the snapshot is taken again.
pub(super) type Also<'a> = &'a (dyn Fn(&Opened, &CancelToken) -> Result<(), EngineError> + Sync);

/// One attempt at a capture.
struct Capture<'a> {
    source: &'a Source<'a>,
    opened: &'a Opened,
    sink: &'a dyn CaptureSink,
    also: Option<Also<'a>>,
    /// Ends what works in parallel, when the caller cancels or one of them fails.
    stop: CancelToken,
}

/// What works in parallel has brought.
struct Parts {
    schema: schema::Schema,
    rows: Vec<rows::Read>,
    objects: Option<LargeObjects>,
}

/// Captures the database of `request` into `sink`.
///
/// # Errors
/// Any; no file of the sink is then to be believed.
pub(super) fn capture(
    around: &Surroundings,
    request: &CaptureRequest,
    sink: &dyn CaptureSink,
    run: Run<'_>,
) -> Result<Captured, EngineError> {
    capture_with(&Source::new(around, request, run)?, sink, None)
}

/// The same, while something else is dumped in the snapshot.
///
/// # Errors
/// As [`capture`].
pub(super) fn capture_with(
    source: &Source<'_>,
    sink: &dyn CaptureSink,
    also: Option<Also<'_>>,
) -> Result<Captured, EngineError> {
    let mut opened = source.open()?;
    let mut in_the_way = String::new();
    for _ in 0..ATTEMPTS_MAX {
        let capture = Capture {
            source,
            opened: &opened,
            sink,
            also,
            stop: CancelToken::new(),
        };
        if let Some(captured) = capture.capture()? {
            opened.release()?;
            return Ok(captured);
        }
        if let Some(named) = opened.in_the_way() {
            in_the_way = format!("{named}; ");
        }
        opened.take_again(source)?;
    }
    Err(EngineError::Busy {
        place: source.settings().describe(),
        held: format!(
            "{in_the_way}others asked for exclusive locks on its tables in each of {ATTEMPTS_MAX} attempts"
        ),
    })
}

/// Streams that are read at once.
pub(super) fn jobs(asked: Option<usize>) -> usize {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    asked.unwrap_or_else(|| processors.min(JOBS_MAX)).max(1)
}

impl Capture<'_> {
    /// All of it; `None`, and not a byte written, if `pg_dump` could not get its locks.
    fn capture(&self) -> Result<Option<Captured>, EngineError> {
        let (holder, tools) = (&self.opened.holder, &self.opened.tools);
        let snapshot = &self.opened.snapshot;
        let tables = tables(holder, &snapshot.relations)?;
        let parts = self
            .work(&tables)
            .map_err(|error| self.opened.because(error))?;
        let Some(parts) = parts else {
            return Ok(None);
        };
        let mut inventory = facts::inventory(holder, tables, tools)?;
        for (table, read) in inventory.tables.iter_mut().zip(parts.rows) {
            table.rows = read.tally.rows;
            table.digest = read.tally.digest.to_string();
            table.files = read.files;
        }
        inventory.large_objects = parts.objects;
        self.write_small_files(holder, &inventory)?;
        Ok(Some(Captured {
            taken_at: snapshot.taken_at,
            facts: facts::facts(holder, &inventory, parts.schema)?,
            tools: vec![("pg_dump".to_owned(), tools.version().to_owned())],
        }))
    }

    /// Structure, rows and large objects at the same time; the latter two from the moment on at which `pg_dump`
    /// has its locks: until then nothing is written that could not be begun anew.
    fn work(&self, tables: &[rows::Planned]) -> Result<Option<Parts>, EngineError> {
        let first = First::new(&self.stop);
        let has_objects = catalog::large_object_count(&self.opened.holder)? > 0;
        let parts = std::thread::scope(|scope| {
            let schema = scope.spawn(|| first.note(schema::dump(self)));
            let also = scope.spawn(|| match self.also {
                Some(also) => first.note(also(self.opened, &self.stop)),
                None => Some(()),
            });
            let start = start::wait(self, &|| {
                usize::from(schema.is_finished())
                    + usize::from(self.also.is_some() && also.is_finished())
            });
            let start = first.note(start);
            if let Some(Start::LockedOut) = start {
                self.stop.cancel();
            }
            let is_ready = matches!(start, Some(Start::Ready));
            let noted = &first;
            let objects = scope.spawn(move || match (is_ready, has_objects) {
                (true, true) => noted.note(schema::large_objects(self)),
                (true, false) => Some(None),
                (false, _) => None,
            });
            let rows = scope.spawn(move || match is_ready {
                true => noted.note(rows::read(self, tables)),
                false => None,
            });
            while !(schema.is_finished()
                && also.is_finished()
                && objects.is_finished()
                && rows.is_finished())
            {
                if self.source.run.cancel.is_cancelled() {
                    self.stop.cancel();
                }
                std::thread::sleep(TICK);
            }
            let schema = joined(schema).zip(joined(also)).map(|(schema, ())| schema);
            let parts = (schema, joined(rows), joined(objects));
            match start {
                Some(Start::LockedOut) => None,
                _ => Some(parts),
            }
        });
        self.source.run.cancel.check()?;
        let Some((schema, rows, objects)) = parts else {
            return Ok(None);
        };
        first.into_result()?;
        match (schema, rows, objects) {
            (Some(schema), Some(rows), Some(objects)) => Ok(Some(Parts {
                schema,
                rows,
                objects,
            })),
            // Whoever has no answer has told why, above.
            _ => Err(resguardo_model::Cancelled.into()),
        }
    }

    fn write_small_files(
        &self,
        session: &Session,
        inventory: &Inventory,
    ) -> Result<(), EngineError> {
        let globals = globals::script(session)?;
        self.write(inventory::GLOBALS, globals.as_bytes())?;
        let script = script::of(inventory);
        self.write(inventory::ROWS, script.as_bytes())?;
        let mut json =
            serde_json::to_vec_pretty(inventory).map_err(|error| EngineError::Other {
                operation: "writing the inventory of",
                place: self.source.settings.describe(),
                source: Box::new(error),
            })?;
        json.push(b'\n');
        self.write(inventory::INVENTORY, &json)
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), EngineError> {
        let mut file = self.sink.open_file(&file_path(path), FileKind::Stream)?;
        file.write(bytes)?;
        file.finish()?;
        Ok(())
    }
}

fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The tables whose rows are to be read, with sizes and nothing counted yet.
fn tables(
    session: &Session,
    relations: &[catalog::Relation],
) -> Result<Vec<rows::Planned>, EngineError> {
    let in_recovery = session.in_recovery();
    let relations = relations.iter();
    let relations: Vec<_> = relations
        .filter(|relation| has_rows(relation, in_recovery))
        .collect();
    let oids: Vec<u32> = relations.iter().map(|relation| relation.oid).collect();
    let sizes = catalog::sizes(session, &oids)?;
    let planned = |relation: &&catalog::Relation| {
        let shape = sizes.get(&relation.oid).copied().unwrap_or_default();
        rows::Planned::new(relation, shape)
    };
    Ok(relations.iter().map(planned).collect())
}

/// Whether a table has rows of its own that can be read: a partitioned one has none, and a standby none of one
/// that is unlogged.
pub(super) fn has_rows(relation: &catalog::Relation, in_recovery: bool) -> bool {
    !(relation.is_partitioned || relation.is_unlogged && in_recovery)
}

/// A path of ours, which is always one.
fn file_path(path: &str) -> FilePath {
    path.parse()
        .expect("the engine's own names have neither control characters nor empty parts")
}
