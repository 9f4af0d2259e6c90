//! Captures a database: its structure by `pg_dump`, its rows by parallel `COPY`, all from one exported
//! snapshot.
//!
//! Order: the tables are listed, and refused if one cannot be read; they are locked against being dropped
//! or rewritten (`ACCESS SHARE`, which lets everybody read and write); then the snapshot is taken, and the
//! tables are listed again as it shows them. One that came meanwhile is locked too, and a new snapshot
//! taken: nothing in the snapshot is ever unlocked, so no `TRUNCATE` or rewrite, which obey no snapshot,
//! can empty a table between the two. Then `pg_dump` and the readers of rows work at the same time, each in
//! a transaction with that snapshot. The inventory is written last, when every row has been counted; the
//! sessions that hold the locks and the snapshot are asked once more whether they still do.
//!
//! INVARIANT: whatever is in the snapshot is in the backup, or named in `left_out`, or the capture fails
//! (`a_table_that_cannot_be_read_fails_the_backup_by_name`).

mod facts;
mod first;
mod globals;
mod lock;
mod rows;
mod schema;
mod script;
mod snapshot;

use std::num::NonZero;
use std::time::Duration;

use resguardo_model::{CancelToken, FileKind, FilePath};

use super::Surroundings;
use super::catalog;
use super::inventory::{self, Inventory};
use super::session::{Limits, Session};
use super::settings::Settings;
use super::tools::Tools;
use super::{pooler, privilege};
use crate::port::{CaptureRequest, CaptureSink, Captured, EngineError, Run};
use first::First;
use snapshot::Snapshot;

/// Streams that are read at once, if nobody says otherwise and there are as many processors.
const JOBS_MAX: usize = 4;
/// Oldest and newest major that are known to work.
pub(super) const MAJORS: std::ops::RangeInclusive<u32> = 14..=18;
/// How often whoever waits for all others looks around.
const TICK: Duration = Duration::from_millis(20);

/// A database that is to be read.
pub(super) struct Source<'a> {
    around: &'a Surroundings,
    request: &'a CaptureRequest,
    settings: Settings,
    run: Run<'a>,
    /// Ends what works in parallel, when the caller cancels or one of them fails.
    stop: CancelToken,
}

/// What every part of one capture is given.
struct Capture<'a> {
    source: Source<'a>,
    sink: &'a dyn CaptureSink,
}

/// A source whose tables are locked and whose snapshot stands, as long as this lives.
pub(super) struct Opened {
    locks: Session,
    /// In the transaction with the snapshot.
    pub(super) holder: Session,
    pub(super) tools: Tools,
    pub(super) snapshot: Snapshot,
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
    let source = Source::new(around, request, run)?;
    Capture { source, sink }.capture()
}

/// Fails unless the role of `session` may read everything.
pub(super) fn require_privileges(session: &Session) -> Result<(), EngineError> {
    let lacks = privilege::missing(session)?;
    let Some(first) = lacks.first() else {
        return Ok(());
    };
    let more = match lacks.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more that doctor names)"),
    };
    Err(EngineError::Denied {
        operation: "reading",
        place: format!("{} of {}", first.object, session.settings().describe()),
        why: format!("{}; {}{more}", first.why, first.grant),
    })
}

/// Fails unless the server is of a known major.
pub(super) fn require_known_major(session: &Session) -> Result<(), EngineError> {
    let major = session.version().major();
    if MAJORS.contains(&major) {
        return Ok(());
    }
    Err(EngineError::Unsupported {
        place: session.settings().describe(),
        why: format!("the server is PostgreSQL {}", session.version()),
        next: format!(
            "PostgreSQL {} to {} can be backed up",
            MAJORS.start(),
            MAJORS.end()
        ),
    })
}

/// Streams that are read at once.
pub(super) fn jobs(asked: Option<usize>) -> usize {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    asked.unwrap_or_else(|| processors.min(JOBS_MAX)).max(1)
}

impl<'a> Source<'a> {
    /// The source of `request`; nothing is asked yet.
    ///
    /// # Errors
    /// If its location makes no sense.
    pub(super) fn new(
        around: &'a Surroundings,
        request: &'a CaptureRequest,
        run: Run<'a>,
    ) -> Result<Self, EngineError> {
        Ok(Self {
            around,
            request,
            settings: Settings::resolve(&request.location, &around.libpq)?,
            run,
            stop: CancelToken::new(),
        })
    }

    /// Where it is.
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Longest silence of a tool.
    pub(super) fn silence(&self) -> Duration {
        self.request.silence_timeout
    }

    fn limits(&self) -> Limits {
        Limits {
            lock: self.request.lock_timeout,
            silence: Some(self.request.silence_timeout),
        }
    }

    /// Makes sure that all of it can be read, locks its tables and takes the snapshot.
    ///
    /// # Errors
    /// Whatever keeps a backup from beginning.
    pub(super) fn open(&self) -> Result<Opened, EngineError> {
        let (locks, holder) = pooler::two_sessions(&self.settings, self.limits(), self.run.cancel)?;
        require_known_major(&locks)?;
        let tools = Tools::clients(locks.version().major(), &self.around.tool_folders)?;
        require_privileges(&locks)?;
        let snapshot = snapshot::take(self, &locks, &holder)?;
        Ok(Opened {
            locks,
            holder,
            tools,
            snapshot,
        })
    }
}

impl Opened {
    /// Asks whether locks and snapshot were held to this moment, and lets go of both.
    ///
    /// # Errors
    /// If a session was cut.
    pub(super) fn close(self) -> Result<(), EngineError> {
        snapshot::confirm(&self.locks, &self.holder)
    }

    /// A tool's failure is the connection's where that is gone: the tool tells it in words alone.
    pub(super) fn because(&self, error: EngineError) -> EngineError {
        if !matches!(error, EngineError::Other { .. }) {
            return error;
        }
        match self.holder.batch("select 1") {
            Err(gone @ (EngineError::Unreachable { .. } | EngineError::Missing { .. })) => gone,
            _ => error,
        }
    }
}

impl Capture<'_> {
    fn capture(&self) -> Result<Captured, EngineError> {
        let opened = self.source.open()?;
        let (holder, tools) = (&opened.holder, &opened.tools);
        let snapshot = &opened.snapshot;
        let tables = tables(holder, &snapshot.relations)?;
        let (schema, rows, objects) = self
            .work(tools, &snapshot.id, holder.encoding(), &tables)
            .map_err(|error| opened.because(error))?;
        let mut inventory = facts::inventory(holder, tables, tools)?;
        for (table, read) in inventory.tables.iter_mut().zip(rows) {
            table.rows = read.tally.rows;
            table.digest = read.tally.digest.to_string();
            table.files = read.files;
        }
        inventory.large_objects = objects;
        self.write_small_files(holder, &inventory)?;
        let captured = Captured {
            taken_at: snapshot.taken_at,
            facts: facts::facts(holder, &inventory, schema)?,
            tools: vec![("pg_dump".to_owned(), tools.version().to_owned())],
        };
        opened.close()?;
        Ok(captured)
    }

    /// Structure, rows and large objects at the same time.
    #[expect(clippy::type_complexity, reason = "three answers of three threads")]
    fn work(
        &self,
        tools: &Tools,
        snapshot: &str,
        encoding: &str,
        tables: &[rows::Planned],
    ) -> Result<
        (
            schema::Schema,
            Vec<rows::Read>,
            Option<inventory::LargeObjects>,
        ),
        EngineError,
    > {
        let first = First::new(&self.source.stop);
        let (schema, rows, objects) = std::thread::scope(|scope| {
            let schema = scope.spawn(|| first.note(schema::dump(self, tools, snapshot, encoding)));
            let objects = scope.spawn(|| first.note(schema::large_objects(self, tools, snapshot)));
            let rows = scope.spawn(|| first.note(rows::read(self, snapshot, tables)));
            while !(schema.is_finished() && objects.is_finished() && rows.is_finished()) {
                if self.source.run.cancel.is_cancelled() {
                    self.source.stop.cancel();
                }
                std::thread::sleep(TICK);
            }
            (joined(schema), joined(rows), joined(objects))
        });
        self.source.run.cancel.check()?;
        first.into_result()?;
        match (schema, rows, objects) {
            (Some(schema), Some(rows), Some(objects)) => Ok((schema, rows, objects)),
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
    let has_rows = |relation: &&catalog::Relation| {
        !relation.is_partitioned && !(relation.is_unlogged && session.in_recovery())
    };
    let relations: Vec<_> = relations.iter().filter(has_rows).collect();
    let oids: Vec<u32> = relations.iter().map(|relation| relation.oid).collect();
    let sizes = catalog::sizes(session, &oids)?;
    let planned = |relation: &&catalog::Relation| {
        let shape = sizes.get(&relation.oid).copied().unwrap_or_default();
        rows::Planned::new(relation, shape)
    };
    Ok(relations.iter().map(planned).collect())
}

/// A path of ours, which is always one.
fn file_path(path: &str) -> FilePath {
    path.parse()
        .expect("the engine's own names have neither control characters nor empty parts")
}
