//! Restores some tables of a backup: rows, indexes, triggers and the `AUTOINCREMENT` sequence of each.
//!
//! Into a target that is missing or empty: a new database with these tables alone is made in the
//! private folder and swapped in. Into one that holds data: all tables are replaced in one transaction,
//! which is rolled back if a row would be left without its parent that was not before. Nothing of other
//! tables is touched, triggers that name a replaced table included.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use super::facts::{self, quoted};
use super::failure::{other, place};
use super::integrity::{self, Orphan};
use super::open;
use super::restore::{Image, LOCK_TIMEOUT};
use super::swap::Swap;
use super::watch::Watch;
use crate::durable;
use crate::port::{BackupReader, EngineError, RestoreOptions, Restored, Run, TargetState};
use crate::system::of_system;

/// Tables that an error lists.
const LISTED_MAX: usize = 12;

/// Restores the tables of `options.only` to `target`, whose `state` the caller has looked at; one that
/// is occupied may be changed.
///
/// # Errors
/// The target is as it was, unless the error is [`EngineError::TargetTouched`].
pub(super) fn tables(
    backup: &dyn BackupReader,
    target: &Path,
    state: &TargetState,
    options: &RestoreOptions,
    run: Run<'_>,
) -> Result<Restored, EngineError> {
    let image = Image::of(backup, target, options.durable, run)?;
    let (source, _) = image.open(backup)?;
    let wanted = find(&source, &options.only, target)?;
    let header = facts::header(&source, &image.path)?;
    drop(source);
    let lock_timeout = options.lock_timeout.unwrap_or(LOCK_TIMEOUT);
    let mut notes = Vec::new();
    let bytes = if matches!(state, TargetState::Occupied { .. }) {
        let connection = open::writing(target, Duration::ZERO)
            .map_err(|error| super::failure::of_sqlite("opening", target, error))?;
        let copy = Copy {
            connection,
            place: target,
            lock_timeout,
            run,
        };
        copy.replace(&image.path, &wanted)?;
        image.bytes
    } else {
        let part = image.sibling("part.sqlite");
        let connection = new_database(&part, &header, target)?;
        let copy = Copy {
            connection,
            place: target,
            lock_timeout,
            run,
        };
        notes.extend(copy.fill(&image.path, &wanted, header.wal)?);
        if options.durable {
            durable::flush(&part).map_err(|e| of_system("flushing", &part, e))?;
        }
        let bytes = part.metadata().map_or(0, |metadata| metadata.len());
        let swap = Swap {
            image: &part,
            target,
            durable: options.durable,
            lock_timeout,
        };
        notes.extend(swap.run(run.cancel, &|_| {})?);
        bytes
    };
    Ok(Restored {
        tables: wanted.len() as u64,
        bytes,
        notes,
    })
}

/// The tables as the backup spells their names.
fn find(source: &Connection, only: &[String], target: &Path) -> Result<Vec<String>, EngineError> {
    let failed = |error: rusqlite::Error| other("reading the backup for", target, error);
    let mut names = facts::table_names(source).map_err(failed)?;
    // SQLite's own come along with the tables that they speak of.
    names.retain(|name| !name.starts_with("sqlite_"));
    let mut wanted = Vec::new();
    for asked in only {
        let kind: Option<String> = source
            .query_row(
                "select type from pragma_table_list \
                 where schema = 'main' and name = ?1 collate nocase",
                [asked],
                |row| row.get(0),
            )
            .optional()
            .map_err(failed)?;
        let name = names.iter().find(|name| name.eq_ignore_ascii_case(asked));
        match (kind.as_deref(), name) {
            (Some("virtual" | "shadow"), _) => {
                let why = format!(
                    "{asked} is part of a virtual table, which only comes back with the whole \
                     database"
                );
                return Err(other("restoring tables to", target, why));
            }
            (_, Some(name)) if wanted.contains(name) => {}
            (_, Some(name)) => wanted.push(name.clone()),
            _ => {
                let mut has = names
                    .iter()
                    .take(LISTED_MAX)
                    .cloned()
                    .collect::<Vec<_>>()
                    .join(", ");
                if names.len() > LISTED_MAX {
                    has.push_str(", ...");
                }
                return Err(EngineError::NoSuchTable {
                    table: asked.clone(),
                    has,
                });
            }
        }
    }
    Ok(wanted)
}

/// An empty database with the settings of the backup's.
fn new_database(
    path: &Path,
    header: &super::header::Header,
    target: &Path,
) -> Result<Connection, EngineError> {
    let make = || -> Result<Connection, rusqlite::Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_URI;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.pragma_update(None, "page_size", header.page_bytes)?;
        connection.pragma_update(None, "encoding", header.encoding)?;
        connection.pragma_update(None, "auto_vacuum", header.auto_vacuum)?;
        connection.pragma_update(None, "user_version", header.user_version)?;
        connection.pragma_update(None, "application_id", header.application_id)?;
        Ok(connection)
    };
    drop(durable::create_private(path).map_err(|e| of_system("making", path, e))?);
    make().map_err(|error| other("making a database for", target, error))
}

/// A copy of tables into what `connection` has open.
struct Copy<'a> {
    connection: Connection,
    place: &'a Path,
    lock_timeout: Duration,
    run: Run<'a>,
}

impl Copy<'_> {
    /// Replaces tables of a database that holds data, in one transaction.
    fn replace(self, image: &Path, wanted: &[String]) -> Result<(), EngineError> {
        let watch = Watch::over(&self.connection, self.run.cancel, None);
        let named = |error| self.named(&watch, error);
        self.prepare(image).map_err(named)?;
        let patience = self.lock_timeout;
        open::patiently(patience, self.run.cancel, self.place, "locking", || {
            self.connection.execute_batch("begin immediate")
        })?
        .map_err(named)?;
        let before = integrity::orphans(&self.connection).map_err(named)?;
        self.copy_all(wanted).map_err(named)?;
        let after = integrity::orphans(&self.connection).map_err(named)?;
        let new = added(&before, after);
        if !new.is_empty() {
            return Err(self.orphaned(&new));
        }
        self.run.cancel.check()?;
        self.connection.execute_batch("commit").map_err(named)
    }

    /// Fills a new database; the notes say what it lacks.
    fn fill(self, image: &Path, wanted: &[String], wal: bool) -> Result<Vec<String>, EngineError> {
        let watch = Watch::over(&self.connection, self.run.cancel, None);
        let named = |error| self.named(&watch, error);
        self.prepare(image).map_err(named)?;
        self.connection
            .execute_batch("begin immediate")
            .map_err(named)?;
        self.copy_all(wanted).map_err(named)?;
        let orphans = integrity::orphans(&self.connection).map_err(named)?;
        let (inside, outside): (Vec<Orphan>, Vec<Orphan>) = orphans.into_iter().partition(|row| {
            let parent = |name: &String| name.eq_ignore_ascii_case(&row.parent);
            wanted.iter().any(parent)
        });
        if !inside.is_empty() {
            return Err(self.orphaned(&inside));
        }
        self.connection
            .execute_batch("commit; detach image")
            .map_err(named)?;
        if wal {
            let set = self
                .connection
                .query_row("pragma journal_mode = wal", [], |_| Ok(()));
            set.map_err(named)?;
        }
        let mut notes = Vec::new();
        if !outside.is_empty() {
            notes.push(format!(
                "{}: those tables were not asked for",
                integrity::describe(&outside)
            ));
        }
        Ok(notes)
    }

    fn named(&self, watch: &Watch, error: rusqlite::Error) -> EngineError {
        watch.name("restoring tables to", self.place, error)
    }

    fn orphaned(&self, orphans: &[Orphan]) -> EngineError {
        let why = format!(
            "{}; nothing was changed: restore these tables together, or the whole database",
            integrity::describe(orphans)
        );
        EngineError::Sql {
            statement: format!("restoring tables to {}", place(self.place)),
            message: why,
            state: None,
        }
    }

    /// Makes the image readable as `image` and keeps every row as it is: no cascade, no trigger, no
    /// judgement on rows that were accepted once.
    fn prepare(&self, image: &Path) -> Result<(), rusqlite::Error> {
        self.connection.execute_batch(
            "pragma foreign_keys = off; pragma ignore_check_constraints = on; \
             pragma trusted_schema = off",
        )?;
        self.connection
            .execute("attach ?1 as image", [open::immutable_uri(image)])?;
        Ok(())
    }

    fn copy_all(&self, wanted: &[String]) -> Result<(), rusqlite::Error> {
        for table in wanted {
            self.copy_rows(table)?;
        }
        for table in wanted {
            self.copy_objects(table)?;
        }
        Ok(())
    }

    /// Drops the table, makes it as the backup has it, and fills it.
    fn copy_rows(&self, table: &str) -> Result<(), rusqlite::Error> {
        let name = quoted(table);
        let create: String = self.connection.query_row(
            "select sql from image.sqlite_schema where type = 'table' and name = ?1",
            [table],
            |row| row.get(0),
        )?;
        self.connection
            .execute_batch(&format!("drop table if exists main.{name}"))?;
        self.connection.execute_batch(&create)?;
        let columns = self.columns(table)?;
        self.connection.execute_batch(&format!(
            "insert into main.{name} ({columns}) select {columns} from image.{name}"
        ))?;
        let sequences: i64 = self.connection.query_row(
            "select count(*) from image.sqlite_schema where name = 'sqlite_sequence'",
            [],
            |row| row.get(0),
        )?;
        if sequences == 0 {
            return Ok(());
        }
        let sequence: Option<i64> = self
            .connection
            .query_row(
                "select seq from image.sqlite_sequence where name = ?1",
                [table],
                |row| row.get(0),
            )
            .optional()?;
        if let Some(sequence) = sequence {
            self.connection
                .execute("delete from main.sqlite_sequence where name = ?1", [table])?;
            self.connection.execute(
                "insert into main.sqlite_sequence (name, seq) values (?1, ?2)",
                rusqlite::params![table, sequence],
            )?;
        }
        Ok(())
    }

    /// The columns that can be written, with the row id where it has no column of its own.
    fn columns(&self, table: &str) -> Result<String, rusqlite::Error> {
        let mut statement = self.connection.prepare(
            "select name, hidden, pk, upper(type) = 'INTEGER' \
             from pragma_table_xinfo(?1, 'image')",
        )?;
        let columns: Vec<(String, i64, i64, bool)> = statement
            .query_map([table], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })?
            .collect::<Result<_, _>>()?;
        let without_row_id: bool = self.connection.query_row(
            "select wr from pragma_table_list where schema = 'image' and name = ?1",
            [table],
            |row| row.get(0),
        )?;
        let keys: Vec<_> = columns.iter().filter(|column| column.2 > 0).collect();
        let key_is_row_id = matches!(keys.as_slice(), [(_, _, _, true)]);
        let mut names: Vec<String> = Vec::new();
        if !without_row_id && !key_is_row_id {
            let free = ["rowid", "_rowid_", "oid"].into_iter().find(|alias| {
                let taken =
                    |column: &(String, i64, i64, bool)| column.0.eq_ignore_ascii_case(alias);
                !columns.iter().any(taken)
            });
            names.extend(free.map(str::to_owned));
        }
        // Hidden columns 2 and 3 are generated.
        let stored = columns.iter().filter(|column| column.1 == 0);
        names.extend(stored.map(|column| quoted(&column.0)));
        Ok(names.join(", "))
    }

    /// Indexes, then triggers, in the order in which the backup made them.
    fn copy_objects(&self, table: &str) -> Result<(), rusqlite::Error> {
        let mut statement = self.connection.prepare(
            "select sql from image.sqlite_schema where type in ('index', 'trigger') \
             and tbl_name = ?1 collate nocase and sql is not null order by type, rowid",
        )?;
        let objects: Vec<String> = statement
            .query_map([table], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        objects
            .iter()
            .try_for_each(|sql| self.connection.execute_batch(sql))
    }
}

/// Orphans of `after` that were not there before. Rows without an id are compared by their number.
fn added(before: &[Orphan], after: Vec<Orphan>) -> Vec<Orphan> {
    let mut known: BTreeMap<&Orphan, u64> = BTreeMap::new();
    for orphan in before {
        *known.entry(orphan).or_default() += 1;
    }
    let is_new = |orphan: &Orphan| match known.get_mut(orphan) {
        Some(left) if *left > 0 => {
            *left -= 1;
            false
        }
        _ => true,
    };
    after.into_iter().filter(is_new).collect()
}
