//! Restores a part of a backup: some tables, or the rows of all into tables that are there.
//!
//! All of it is one transaction: tables that are there keep their structure and get the backup's rows, others
//! are made with what belongs to them. Nothing of other tables is touched. If anything fails, the target is as
//! it was. Large objects alone, which a restore of all rows brings too, come behind the transaction.

use std::collections::BTreeSet;

use tokio_postgres::error::SqlState;

use super::archive::{Entry, Pass, Section};
use super::load::{Into, Meter, Parts};
use super::objects::Objects;
use super::{Restore, Session, create, existing, flush, load, make, objects, only, ready, verify};
use crate::port::{EngineError, RestorePart, Restored, TargetState};
use crate::postgres::catalog;
use crate::postgres::failure::is_sql_state;
use crate::postgres::inventory::{LargeObjects, Sequence, Table};
use crate::postgres::session::Limits;
use crate::postgres::tools::Tools;

/// What tells that an object is there already.
const THERE: [&SqlState; 5] = [
    &SqlState::DUPLICATE_OBJECT,
    &SqlState::DUPLICATE_SCHEMA,
    &SqlState::DUPLICATE_TABLE,
    &SqlState::DUPLICATE_FUNCTION,
    &SqlState::UNIQUE_VIOLATION,
];
/// What tells that an object needs another one that is not there.
const LACKING: [&SqlState; 4] = [
    &SqlState::UNDEFINED_TABLE,
    &SqlState::UNDEFINED_OBJECT,
    &SqlState::INVALID_FOREIGN_KEY,
    &SqlState::INVALID_SCHEMA_NAME,
];

/// What is to be done: positions.
struct Wanted {
    /// Of tables in the inventory that get rows and are there.
    existing: Vec<usize>,
    /// Of tables in the inventory that are made.
    new: Vec<usize>,
    /// Of entries that are run, if they belong to new tables or are needed by them.
    selected: only::Selected,
}

impl Restore<'_> {
    /// Restores the tables of `only`, or the rows of all.
    pub(super) fn some(&self, state: &TargetState) -> Result<Restored, EngineError> {
        let mut notes = Vec::new();
        let is_missing = *state == TargetState::Missing;
        let beside = is_missing.then(|| self.site.beside()).transpose()?;
        let asked = match &beside {
            Some(beside) => beside,
            None => &self.endless()?,
        };
        ready::server(asked, Some(self.inventory.server_version / 10_000))?;
        let tools = self.tools(asked)?;
        let mut entries = self.entries(&tools)?;
        let positions = self.asked_for(&entries)?;
        self.check(asked, &mut entries, &mut notes)?;
        self.make_roles(asked, &mut notes)?;
        if let Some(beside) = beside {
            let database = self.site.settings().database();
            create::create(&beside, database, Some(self.inventory), None)
                .map_err(|error| self.without_roles(error))?;
        }
        let mut work = || {
            let session = self.endless()?;
            let before = self.objects_before(&session)?;
            self.in_one_transaction(&session, &entries, &positions, &mut notes)?;
            let objects = self.objects_too(&session, &tools, before.as_ref());
            objects.map_err(|error| match is_missing {
                // It goes as a whole.
                true => error,
                false => self.touched(error),
            })?;
            if self.site.options.durable {
                flush(&session)?;
            }
            Ok(())
        };
        let bytes = positions.bytes(self);
        work().map_err(|error| match error {
            error if is_missing => self.undone(error),
            touched @ EngineError::TargetTouched { .. } => touched,
            error => self.without_roles(error),
        })?;
        Ok(Restored {
            tables: positions.tables.len() as u64,
            bytes,
            notes,
        })
    }

    /// A session whose statements may take as long as they need: all of a table's keys and indexes are looked
    /// at while its rows come.
    fn endless(&self) -> Result<Session, EngineError> {
        let limits = Limits {
            silence: None,
            ..self.site.limits()
        };
        let session = Session::connect(self.site.settings(), limits, self.site.run.cancel)?;
        session.batch(super::LOADING)?;
        Ok(session)
    }

    fn asked_for(&self, entries: &[Entry]) -> Result<Asked, EngineError> {
        let asked = &self.site.options.only;
        if asked.is_empty() {
            return Ok(Asked {
                archived: Vec::new(),
                tables: (0..self.inventory.tables.len()).collect(),
            });
        }
        let archived = only::tables(entries, asked)?;
        let tables = only::in_inventory(self.inventory, entries, &archived);
        Ok(Asked { archived, tables })
    }

    fn in_one_transaction(
        &self,
        session: &Session,
        entries: &[Entry],
        asked: &Asked,
        notes: &mut Vec<String>,
    ) -> Result<(), EngineError> {
        session.batch("begin")?;
        let done = self
            .wanted(session, entries, asked)
            .and_then(|wanted| self.fill_some(session, entries, &wanted, notes))
            .and_then(|()| session.batch_within("commit", super::ENDLESS));
        if done.is_err() {
            // The connection may be gone; the server then does the same.
            let _ = session.batch("rollback");
        }
        done
    }

    fn wanted(
        &self,
        session: &Session,
        entries: &[Entry],
        asked: &Asked,
    ) -> Result<Wanted, EngineError> {
        let tables: Vec<&Table> = asked
            .tables
            .iter()
            .map(|at| &self.inventory.tables[*at])
            .collect();
        let there = existing::there(session, &tables)?;
        let (existing, new): (Vec<_>, Vec<_>) =
            (0..tables.len()).partition(|at| there.contains(at));
        let positions = |some: &[usize]| some.iter().map(|at| asked.tables[*at]).collect();
        let part = self.site.options.part;
        if part == RestorePart::Data && !new.is_empty() {
            let names: Vec<_> = new.iter().map(|at| tables[*at].shown()).collect();
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            return Err(EngineError::Unsupported {
                place: self.site.settings().describe(),
                why: format!(
                    "it has no table {}, which would get rows",
                    ready::listed(&names)
                ),
                next: "restore without --data-only".to_owned(),
            });
        }
        // A table that is only the whole of its partitions has no rows, and is made if it is not there.
        let made: BTreeSet<u32> = existing.iter().map(|at| tables[*at].oid).collect();
        let archived = asked.archived.iter().copied();
        let archived: Vec<_> = archived
            .filter(|at| !made.contains(&entries[*at].key.oid))
            .collect();
        let selected = if part == RestorePart::Data {
            only::Selected::default()
        } else {
            only::select(entries, &archived)
        };
        Ok(Wanted {
            existing: positions(&existing),
            new: positions(&new),
            selected,
        })
    }

    fn fill_some(
        &self,
        session: &Session,
        entries: &[Entry],
        wanted: &Wanted,
        notes: &mut Vec<String>,
    ) -> Result<(), EngineError> {
        let with_rows = self.site.options.part != RestorePart::Structure;
        let table = |at: &usize| &self.inventory.tables[*at];
        let run = |section: Section, notes: &mut Vec<String>| {
            self.run_some(session, entries, wanted, section, notes)
        };
        run(Section::Before, notes)?;
        if !with_rows {
            for at in &wanted.existing {
                notes.push(format!("{} is there already, and stays", table(at).shown()));
            }
            return run(Section::After, notes);
        }
        let existing: Vec<_> = wanted.existing.iter().map(table).collect();
        let opened = existing::open(session, &existing, self.site.options.clean)?;
        let tables = wanted.existing.iter().chain(&wanted.new).map(table);
        let files = tables.flat_map(|table| &table.files);
        let total = files.map(|file| file.bytes).sum();
        let meter = Meter::new(total, self.site.run.progress);
        let parts = Parts::find(session)?;
        for at in wanted.existing.iter().chain(&wanted.new) {
            let (table, encoding) = (table(at), &self.inventory.encoding);
            let into = parts.way(table, Into::Existing);
            let files = &table.files;
            load::table(session, self.backup, table, files, encoding, into, &meter)?;
        }
        run(Section::After, notes)?;
        opened.close(session)?;
        self.other_data(session, entries, wanted)
    }

    /// Sequences of the tables; of all tables, what else a database holds beside rows.
    fn other_data(
        &self,
        session: &Session,
        entries: &[Entry],
        wanted: &Wanted,
    ) -> Result<(), EngineError> {
        let is_all = self.site.options.only.is_empty();
        let tables = wanted.existing.iter().chain(&wanted.new);
        let oids: BTreeSet<u32> = tables.map(|at| self.inventory.tables[*at].oid).collect();
        if is_all {
            if self.site.options.clean {
                session.rows(
                    "select pg_catalog.lo_unlink(oid) from pg_catalog.pg_largeobject_metadata",
                )?;
            }
            let is_filled =
                |entry: &&Entry| entry.is_of_large_object() || entry.pass() == Pass::Views;
            let mut filled = entries.iter().filter(is_filled);
            filled.try_for_each(|entry| make(session, entry))?;
        }
        // Last: no transaction takes a sequence back.
        let sequences: Vec<&Sequence> = self
            .inventory
            .sequences
            .iter()
            .filter(|sequence| is_all || oids.contains(&sequence.owner_table))
            .collect();
        objects::sequences(session, &sequences)
    }

    /// The large objects that stay beside those of the backup. Where none stays, those of the backup are read
    /// first: nobody loses theirs for damaged ones.
    fn objects_before(&self, session: &Session) -> Result<Option<LargeObjects>, EngineError> {
        let options = self.site.options;
        if self.inventory.large_objects.is_none() || !options.only.is_empty() {
            return Ok(None);
        }
        if options.clean {
            verify::large_objects(self.backup, self.site.run)?;
            return Ok(None);
        }
        match catalog::large_objects(session) {
            // Some are others', and cannot be read afterwards either.
            Err(EngineError::Denied { .. }) => Ok(Some(LargeObjects {
                count: catalog::large_object_count(session)?,
                bytes: 0,
                digest: String::new(),
            })),
            other => other,
        }
    }

    /// What the large objects hold, behind the transaction of all rows.
    fn objects_too(
        &self,
        session: &Session,
        tools: &Tools,
        before: Option<&LargeObjects>,
    ) -> Result<(), EngineError> {
        let site = self.site;
        match &self.inventory.large_objects {
            Some(expected) if site.options.only.is_empty() => objects::large_objects(
                session,
                self.backup,
                Objects { expected, before },
                tools,
                site.options,
                site.silence(),
                site.run,
            ),
            _ => Ok(()),
        }
    }

    /// Runs what was selected of a section. What is there already stays as it is.
    fn run_some(
        &self,
        session: &Session,
        entries: &[Entry],
        wanted: &Wanted,
        section: Section,
        notes: &mut Vec<String>,
    ) -> Result<(), EngineError> {
        for (position, entry) in entries.iter().enumerate() {
            let is_needed = wanted.selected.needed.contains(&position);
            let is_own = wanted.selected.own.contains(&position);
            // Grants stand behind the rows in the archive, and so they do here.
            let at = if entry.pass() == Pass::Main {
                entry.section
            } else {
                Section::After
            };
            if at != section || !(is_needed || is_own) {
                continue;
            }
            session.batch("savepoint entry")?;
            let made = make(session, entry);
            let is_one_of = |states: &[&SqlState]| {
                let error = made.as_ref().err();
                error.is_some_and(|error| states.iter().any(|state| is_sql_state(error, state)))
            };
            let is_there = is_one_of(&THERE) && (is_needed || entry.kind == "TABLE");
            let is_lacking = is_one_of(&LACKING) && entry.kind != "TABLE" && is_own;
            match made {
                Ok(()) => session.batch("release entry")?,
                Err(_) if is_there => session.batch("rollback to entry")?,
                Err(error) if is_lacking => {
                    notes.push(format!("{} was left out: {error}", entry.shown()));
                    session.batch("rollback to entry")?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Which tables are asked for: positions in the archive, and in the inventory.
struct Asked {
    archived: Vec<usize>,
    tables: Vec<usize>,
}

impl Asked {
    fn bytes(&self, restore: &Restore<'_>) -> u64 {
        if restore.site.options.part == RestorePart::Structure {
            return 0;
        }
        let tables = self.tables.iter().map(|at| &restore.inventory.tables[*at]);
        tables
            .flat_map(|table| &table.files)
            .map(|file| file.bytes)
            .sum()
    }
}
