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
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use resguardo_model::{CancelToken, FileKind, FilePath, SourceFacts};

use super::Surroundings;
use super::catalog;
use super::inventory::{self, Inventory};
use super::session::{Limits, Session};
use super::settings::Settings;
use super::tools::Tools;
use super::{pooler, privilege};
use crate::port::{CaptureRequest, CaptureSink, Captured, EngineError, Run};
use first::First;

/// Streams that are read at once, if nobody says otherwise and there are as many processors.
const JOBS_MAX: usize = 4;
/// Oldest and newest major that are known to work.
pub(super) const MAJORS: std::ops::RangeInclusive<u32> = 14..=18;
/// How often whoever waits for all others looks around.
const TICK: Duration = Duration::from_millis(20);

/// What every part of one capture is given.
struct Capture<'a> {
    around: &'a Arc<Surroundings>,
    request: &'a CaptureRequest,
    settings: Settings,
    sink: &'a dyn CaptureSink,
    run: Run<'a>,
    /// Ends what works in parallel, when the caller cancels or one of them fails.
    stop: CancelToken,
}

/// Captures the database of `request` into `sink`.
///
/// # Errors
/// Any; no file of the sink is then to be believed.
pub(super) fn capture(
    around: &Arc<Surroundings>,
    request: &CaptureRequest,
    sink: &dyn CaptureSink,
    run: Run<'_>,
) -> Result<Captured, EngineError> {
    let capture = Capture {
        around,
        request,
        settings: Settings::resolve(&request.location, &around.libpq)?,
        sink,
        run,
        stop: CancelToken::new(),
    };
    capture.capture()
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

impl Capture<'_> {
    fn limits(&self) -> Limits {
        Limits {
            lock: self.request.lock_timeout,
            silence: Some(self.request.silence_timeout),
        }
    }

    fn capture(&self) -> Result<Captured, EngineError> {
        let (locks, holder) = pooler::two_sessions(&self.settings, self.limits(), self.run.cancel)?;
        require_known_major(&locks)?;
        let tools = Tools::clients(locks.version().major(), &self.around.tool_folders)?;
        require_privileges(&locks)?;
        let snapshot = snapshot::take(self, &locks, &holder)?;
        let tables = self.tables(&holder, &snapshot.relations)?;
        let (schema, rows, objects) = self
            .work(&tools, &snapshot.id, &tables)
            .map_err(|error| because(error, &holder))?;
        let mut inventory = facts::inventory(&holder, tables, &tools)?;
        for (table, read) in inventory.tables.iter_mut().zip(rows) {
            table.rows = read.tally.rows;
            table.digest = read.tally.digest.to_string();
            table.files = read.files;
        }
        inventory.large_objects = objects;
        self.write_small_files(&holder, &inventory)?;
        let facts = facts::facts(&holder, &inventory, schema)?;
        snapshot::confirm(&locks, &holder)?;
        Ok(self.captured(snapshot.taken_at, facts, &tools))
    }

    /// The tables whose rows are to be read, with sizes and nothing counted yet.
    fn tables(
        &self,
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

    /// Structure, rows and large objects at the same time.
    #[expect(clippy::type_complexity, reason = "three answers of three threads")]
    fn work(
        &self,
        tools: &Tools,
        snapshot: &str,
        tables: &[rows::Planned],
    ) -> Result<
        (
            schema::Schema,
            Vec<rows::Read>,
            Option<inventory::LargeObjects>,
        ),
        EngineError,
    > {
        let first = First::new(&self.stop);
        let (schema, rows, objects) = std::thread::scope(|scope| {
            let schema = scope.spawn(|| first.note(schema::dump(self, tools, snapshot)));
            let objects = scope.spawn(|| first.note(schema::large_objects(self, tools, snapshot)));
            let rows = scope.spawn(|| first.note(rows::read(self, snapshot, tables)));
            while !(schema.is_finished() && objects.is_finished() && rows.is_finished()) {
                if self.run.cancel.is_cancelled() {
                    self.stop.cancel();
                }
                std::thread::sleep(TICK);
            }
            (joined(schema), joined(rows), joined(objects))
        });
        self.run.cancel.check()?;
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
                place: self.settings.describe(),
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

    fn captured(&self, taken_at: Timestamp, facts: SourceFacts, tools: &Tools) -> Captured {
        Captured {
            taken_at,
            facts,
            tools: vec![("pg_dump".to_owned(), tools.version().to_owned())],
        }
    }
}

/// A tool's failure is the connection's where that is gone: the tool tells it in words alone.
fn because(error: EngineError, holder: &Session) -> EngineError {
    if !matches!(error, EngineError::Other { .. }) {
        return error;
    }
    match holder.batch("select 1") {
        Err(gone @ (EngineError::Unreachable { .. } | EngineError::Missing { .. })) => gone,
        _ => error,
    }
}

fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// A path of ours, which is always one.
fn file_path(path: &str) -> FilePath {
    path.parse()
        .expect("the engine's own names have neither control characters nor empty parts")
}
