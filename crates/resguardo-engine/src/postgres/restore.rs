//! Brings a backup into a database.
//!
//! Order: everything is checked that can be (the inventory reads, the server is new enough, tools, extensions,
//! roles, and every byte of the backup, if what is there is to make room for it) → missing roles are made → the
//! database is made, or emptied in one transaction → what comes before the rows, in order → rows, several tables at once, and each
//! index and key as soon as its table's rows are in → foreign keys, triggers and the like when all rows are →
//! sequences, large objects → grants → materialized views → event triggers → if it is to last, a commit that
//! flushes all before it.
//!
//! What it never does: touch a target before all checks are through; call fewer rows than were backed up a
//! success; leave a database or roles behind that it made itself and could not fill.

pub(super) mod archive;
mod create;
mod empty;
mod existing;
mod foreign;
pub(super) mod load;
mod objects;
mod only;
mod plan;
mod ready;
mod roles;
mod schedule;
mod some;
mod verify;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use resguardo_model::{CancelToken, FilePath};

use self::archive::{Entry, Pass, PgRestore, Section};
use self::load::{Into, Meter, Parts};
use self::plan::Work;
use super::inventory::{Index, Inventory, SCHEMA};
use super::session::{Limits, Session};
use super::settings::Settings;
use super::target::{DatabaseTarget, LOCK_TIMEOUT};
use super::tools::Tools;
use super::{contents, failure, pooler, properties};
use crate::folder::PrivateFolder;
use crate::port::{
    BackupReader, EngineError, RestoreOptions, RestorePart, Restored, Run, SILENCE_TIMEOUT,
    TargetState,
};

/// Sessions at once, where nobody says another number.
const JOBS_MAX: usize = 4;
/// Entries of the structure that one transaction makes.
const ENTRIES_AT_ONCE: usize = 200;
/// Times that an entry is run again because another one held what it needs.
const DEADLOCKS_MAX: usize = 10;
/// A statement on much data is silent for as long as it takes: only the caller ends it.
const ENDLESS: Duration = Duration::MAX;
/// What is left to be done.
const ANALYZE: &str =
    "the planner knows the new tables when autovacuum has seen them, or at once after ANALYZE";
/// What a session that loads is told: nothing is flushed before the end.
const LOADING: &str = "set synchronous_commit = off";
/// Size of an index in bytes from which sorting it in little memory takes more than one pass.
const LARGE_INDEX_BYTES: u64 = 1 << 30;

/// Restores `backup` to `target`.
///
/// # Errors
/// The target is as it was, unless the error is [`EngineError::TargetTouched`].
pub(super) fn restore(
    target: &DatabaseTarget,
    backup: &dyn BackupReader,
    options: &RestoreOptions,
    run: Run<'_>,
) -> Result<Restored, EngineError> {
    let site = Site {
        target,
        options,
        run,
    };
    if let Some(path) = backup.path() {
        return foreign::restore(&site, backup, path);
    }
    let inventory = Inventory::read(backup)?.ok_or_else(|| EngineError::NotThatKind {
        place: backup.describe(),
        expected: "a backup of a PostgreSQL database",
        why: "it has no inventory".to_owned(),
    })?;
    let state = site.state()?;
    let work = Restore {
        site: &site,
        backup,
        inventory: &inventory,
        folder: site.folder()?,
        made: OnceLock::new(),
    };
    if options.part == RestorePart::Data || !options.only.is_empty() {
        return work.some(&state);
    }
    work.whole(&state)
}

/// Where a restore goes and how.
struct Site<'a> {
    target: &'a DatabaseTarget,
    options: &'a RestoreOptions,
    run: Run<'a>,
}

impl Site<'_> {
    fn settings(&self) -> &Settings {
        &self.target.settings
    }

    fn silence(&self) -> Duration {
        self.options.silence_timeout.unwrap_or(SILENCE_TIMEOUT)
    }

    fn limits(&self) -> Limits {
        Limits {
            lock: self.options.lock_timeout.unwrap_or(LOCK_TIMEOUT),
            silence: Some(self.silence()),
        }
    }

    fn jobs(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        self.options.jobs.unwrap_or(cores.min(JOBS_MAX)).max(1)
    }

    fn connect(&self, cancel: &CancelToken) -> Result<Session, EngineError> {
        Session::connect(self.settings(), self.limits(), cancel)
    }

    /// A session beside the target's database.
    fn beside(&self) -> Result<Session, EngineError> {
        create::beside(self.settings(), self.limits(), self.run.cancel)
    }

    /// A session that loads rows or builds `indexes`. A sort that stays in the processor's cache takes a fifth
    /// less time than one in 256 MiB (measured on 3.3 million rows), as long as its runs are merged in one pass.
    fn loading(&self, indexes: &[Index], cancel: &CancelToken) -> Result<Session, EngineError> {
        let session = self.connect(cancel)?;
        let largest = indexes.iter().map(|index| index.bytes).max().unwrap_or(0);
        let memory = if largest > LARGE_INDEX_BYTES {
            "256MB"
        } else {
            "32MB"
        };
        session.batch(&format!("{LOADING}; set maintenance_work_mem = '{memory}'"))?;
        Ok(session)
    }

    /// What lies at the target; refused if that may not be touched.
    fn state(&self) -> Result<TargetState, EngineError> {
        // Before any setting is changed: it would be that of whoever gets the pooler's connection next.
        let sessions = pooler::two_sessions(self.settings(), self.limits(), self.run.cancel);
        let state = match sessions {
            Ok((session, _)) => contents::state(&session)?,
            Err(EngineError::Missing { place }) if !self.options.create => {
                return Err(EngineError::Missing { place });
            }
            Err(EngineError::Missing { .. }) => TargetState::Missing,
            Err(error) => return Err(error),
        };
        match state {
            TargetState::Occupied { contents, .. }
                if !self.options.clean && self.options.part != RestorePart::Data =>
            {
                Err(EngineError::Occupied {
                    place: self.settings().describe(),
                    contents,
                })
            }
            state => Ok(state),
        }
    }

    fn folder(&self) -> Result<PrivateFolder, EngineError> {
        let scratch = &self.target.around.scratch;
        std::fs::create_dir_all(scratch)
            .and_then(|()| PrivateFolder::new(scratch, "resguardo-postgres-"))
            .map_err(|source| EngineError::Other {
                operation: "making a private folder in",
                place: scratch.display().to_string(),
                source: Box::new(source),
            })
    }

    /// Drops the database that this restore has made, also when the caller has cancelled.
    fn undo(&self, error: EngineError) -> EngineError {
        let beside = create::beside(self.settings(), self.limits(), &CancelToken::new());
        match beside.and_then(|beside| create::drop(&beside, self.settings().database())) {
            Ok(()) => error,
            Err(_) => self.touched(error),
        }
    }

    /// The target after `error` has hit it.
    fn touched(&self, error: EngineError) -> EngineError {
        let mut state = "it holds a part of the backup".to_owned();
        if !self.target.sandbox {
            state.push_str("; restore again with --clean");
        }
        EngineError::TargetTouched {
            place: self.settings().describe(),
            state,
            source: Box::new(error),
        }
    }
}

/// One restore of a backup of ours.
struct Restore<'a> {
    site: &'a Site<'a>,
    backup: &'a dyn BackupReader,
    inventory: &'a Inventory,
    folder: PrivateFolder,
    /// The roles that it has made, by name.
    made: OnceLock<Vec<String>>,
}

impl Restore<'_> {
    /// Restores all of it.
    fn whole(&self, state: &TargetState) -> Result<Restored, EngineError> {
        let mut notes = Vec::new();
        let session = match state {
            TargetState::Missing => self.site.beside()?,
            TargetState::Empty | TargetState::Occupied { .. } => {
                self.site.connect(self.site.run.cancel)?
            }
        };
        ready::server(&session, Some(self.inventory.server_version / 10_000))?;
        let tools = self.tools(&session)?;
        let mut entries = self.entries(&tools)?;
        self.check(&session, &mut entries, &mut notes)?;
        let fill = |notes: Vec<String>| self.fill(&tools, &entries, notes);
        match state {
            TargetState::Missing => self.fill_new_database(&session, notes, fill),
            TargetState::Empty => {
                self.make_roles(&session, &mut notes)?;
                fill(notes).map_err(|error| self.touched(error))
            }
            TargetState::Occupied { .. } => {
                empty::refuse(&session)?;
                drop(session);
                if self.site.options.part != RestorePart::Structure {
                    let (jobs, run) = (self.site.jobs(), self.site.run);
                    verify::all(self.backup, self.inventory, jobs, run)?;
                }
                // Reading may take hours, after which not every connection is still there.
                let session = self.site.connect(self.site.run.cancel)?;
                self.make_roles(&session, &mut notes)?;
                empty::empty(&session).map_err(|error| self.without_roles(error))?;
                drop(session);
                fill(notes).map_err(|error| self.touched(error))
            }
        }
    }

    /// Makes the database, as the source's was, and fills it.
    fn fill_new_database(
        &self,
        beside: &Session,
        mut notes: Vec<String>,
        fill: impl Fn(Vec<String>) -> Result<Restored, EngineError>,
    ) -> Result<Restored, EngineError> {
        self.make_roles(beside, &mut notes)?;
        let owner = self.inventory.owner.as_str();
        let has_owner =
            ready::has_role(beside, owner).map_err(|error| self.without_roles(error))?;
        let keeps_owner = !self.site.options.no_owner && has_owner;
        if !keeps_owner && !self.site.options.no_owner {
            notes.push(format!(
                "the database belongs to {}: its owner {owner} is not there",
                self.site.settings().user(),
            ));
        }
        let owner = keeps_owner.then_some(owner);
        let database = self.site.settings().database();
        create::create(beside, database, Some(self.inventory), owner)
            .map_err(|error| self.without_roles(error))?;
        let filled = fill(notes).and_then(|restored| self.like_the_source(restored));
        filled.map_err(|error| self.undone(error))
    }

    /// Gives a database that this restore made what the source's has beside its objects: last, since it holds
    /// for every session that begins after it.
    fn like_the_source(&self, mut restored: Restored) -> Result<Restored, EngineError> {
        let wanted = properties::Wanted {
            grants: !self.site.options.no_acl,
            comment: true,
        };
        if let Some(properties) = &self.inventory.properties {
            let session = self.site.connect(self.site.run.cancel)?;
            properties::apply(&session, properties, wanted, &mut restored.notes)?;
        }
        Ok(restored)
    }

    /// The tools that read the backup's archives, and write to this server.
    fn tools(&self, session: &Session) -> Result<Tools, EngineError> {
        let dumped = self.inventory.pg_dump.split('.').next();
        let dumped = dumped.and_then(|major| major.parse().ok()).unwrap_or(0);
        let major = session.version().major().max(dumped);
        Tools::clients(major, &self.site.target.around.tool_folders)
            .or_else(|_| Tools::clients(dumped, &self.site.target.around.tool_folders))
    }

    fn entries(&self, tools: &Tools) -> Result<Vec<Entry>, EngineError> {
        let path: FilePath = SCHEMA.parse().expect("the name is a path");
        let file: PathBuf = self.folder.file(SCHEMA);
        self.backup
            .write_files(&[(path, file.clone())], false, self.site.run)?;
        let pg_restore = PgRestore {
            tools,
            folder: std::path::Path::new("/"),
            silence: self.site.silence(),
            cancel: self.site.run.cancel,
        };
        let place = format!("{SCHEMA} of {}", self.backup.describe());
        let options = self.site.options;
        let mut entries = pg_restore.entries(&file, &place, options.no_owner, options.no_acl)?;
        if options.part == RestorePart::Structure {
            // Up to PostgreSQL 16 they are made before the rows, and filled with them.
            entries.retain(|entry| !entry.is_of_large_object());
        }
        Ok(entries)
    }

    /// Whatever can be found out before anything is touched.
    fn check(
        &self,
        session: &Session,
        entries: &mut [Entry],
        notes: &mut Vec<String>,
    ) -> Result<(), EngineError> {
        let extensions = self.inventory.extensions.iter();
        ready::extensions(session, extensions.map(|extension| extension.name.as_str()))?;
        let there = ready::tablespaces(session)?;
        let missing: BTreeSet<String> = entries
            .iter_mut()
            .filter_map(|entry| entry.without_missing_tablespace(&there))
            .collect();
        for name in missing {
            notes.push(format!(
                "there is no tablespace {name}: what was in it goes to the default one"
            ));
        }
        if ready::needs_roles(self.site.options) {
            let missing = ready::missing_roles(session, &self.inventory.roles)?;
            ready::try_roles(self.site.target, session, &missing)?;
        }
        Ok(())
    }

    /// Fills an empty database.
    fn fill(
        &self,
        tools: &Tools,
        entries: &[Entry],
        mut notes: Vec<String>,
    ) -> Result<Restored, EngineError> {
        let run = self.site.run;
        let with_rows = self.site.options.part != RestorePart::Structure;
        let tables = if with_rows {
            plan::all_tables(self.inventory)
        } else {
            Vec::new()
        };
        let files = tables
            .iter()
            .flat_map(|at| &self.inventory.tables[*at].files);
        let meter = Meter::new(files.map(|file| file.bytes).sum(), run.progress);
        let session = self.site.loading(&self.inventory.indexes, run.cancel)?;
        let before =
            |entry: &&Entry| entry.section == Section::Before && entry.pass() == Pass::Main;
        in_order(&session, entries.iter().filter(before), &mut notes)?;
        let parts = Parts::find(&session)?;
        let tasks = plan::tasks(self.inventory, entries, &tables, self.site.jobs());
        self.side_by_side(&tasks, entries, &parts, &meter)?;
        if with_rows {
            let sequences: Vec<_> = self.inventory.sequences.iter().collect();
            objects::sequences(&session, &sequences)?;
            if let Some(expected) = &self.inventory.large_objects {
                let options = self.site.options;
                let silence = self.site.silence();
                objects::large_objects(
                    &session,
                    self.backup,
                    objects::Objects {
                        expected,
                        before: None,
                    },
                    tools,
                    options,
                    silence,
                    run,
                )?;
            }
        }
        let of_pass = |pass| entries.iter().filter(move |entry| entry.pass() == pass);
        in_order(&session, of_pass(Pass::Grants), &mut notes)?;
        if with_rows {
            let views = plan::tasks_of(self.inventory, entries, Pass::Views);
            self.side_by_side(&views, entries, &parts, &meter)?;
        }
        in_order(&session, of_pass(Pass::Last), &mut notes)?;
        if self.site.options.durable {
            flush(&session)?;
        }
        if with_rows && !self.site.target.sandbox {
            notes.push(ANALYZE.to_owned());
        }
        Ok(Restored {
            tables: self.inventory.tables.len() as u64,
            bytes: meter.done(),
            notes,
        })
    }

    /// Runs tasks with several sessions.
    fn side_by_side(
        &self,
        tasks: &[schedule::Task<Work>],
        entries: &[Entry],
        parts: &Parts,
        meter: &Meter<'_>,
    ) -> Result<(), EngineError> {
        let connect = |stop: &CancelToken| self.site.loading(&self.inventory.indexes, stop);
        let perform = |session: &mut Session, work: &Work, _: &CancelToken| match work {
            Work::Rows { table, files } => {
                let table = &self.inventory.tables[*table];
                // A table of an extension was made by the extension, with rows that are not ours; one that
                // several sessions load cannot be emptied by each.
                let is_whole = files.len() == table.files.len();
                let into = if table.condition.is_empty() && is_whole {
                    Into::New
                } else {
                    Into::Existing
                };
                let into = parts.way(table, into);
                let files = &table.files[files.clone()];
                let encoding = &self.inventory.encoding;
                load::table(session, self.backup, table, files, encoding, into, meter)
            }
            Work::Entry(position) => make_beside_others(session, &entries[*position]),
            Work::AllRows => Ok(()),
        };
        let cancel = self.site.run.cancel;
        schedule::run(tasks, self.site.jobs(), cancel, &connect, &perform)
    }
}

/// Runs entries one after the other, many in one transaction.
fn in_order<'a>(
    session: &Session,
    entries: impl Iterator<Item = &'a Entry>,
    notes: &mut Vec<String>,
) -> Result<(), EngineError> {
    let entries: Vec<_> = entries.collect();
    for some in entries.chunks(ENTRIES_AT_ONCE) {
        session.batch("begin")?;
        let made = some.iter().try_for_each(|entry| {
            if !entry.may_be_left_out() {
                return make(session, entry);
            }
            session.batch("savepoint entry")?;
            match make(session, entry) {
                Err(EngineError::Denied { why, .. }) => {
                    notes.push(format!("{} was left out: {why}", entry.shown()));
                    session.batch("rollback to entry")
                }
                Ok(()) => session.batch("release entry"),
                Err(error) => Err(error),
            }
        });
        if made.is_err() {
            // The connection may be gone; the server then does the same.
            let _ = session.batch("rollback");
        }
        made?;
        session.batch("commit")?;
    }
    Ok(())
}

/// Runs the statements of an entry.
fn make(session: &Session, entry: &Entry) -> Result<(), EngineError> {
    let made = session.batch_within(&entry.sql, ENDLESS);
    made.map_err(|error| match error {
        EngineError::Sql { message, state, .. } => EngineError::Sql {
            statement: failure::shortened(&entry.shown()),
            message,
            state,
        },
        EngineError::Denied {
            operation,
            place,
            why,
        } => EngineError::Denied {
            operation,
            place: format!("{place} ({})", entry.shown()),
            why,
        },
        other => other,
    })
}

/// The same beside other sessions. The server locks more than an entry names (a partitioned table's foreign key
/// locks all partitions of both); of two entries that wait for each other it undoes one, which is run again.
fn make_beside_others(session: &Session, entry: &Entry) -> Result<(), EngineError> {
    for _ in 0..DEADLOCKS_MAX {
        match make(session, entry) {
            Err(EngineError::Busy { .. }) => {}
            other => return other,
        }
    }
    make(session, entry)
}

/// A commit that waits for the disk: what was committed before is there then too.
fn flush(session: &Session) -> Result<(), EngineError> {
    session
        .batch("set synchronous_commit = on; begin; select pg_catalog.pg_current_xact_id(); commit")
}

/// An inventory without anything, for tests.
#[cfg(test)]
pub(super) fn empty_inventory() -> Inventory {
    Inventory {
        format: super::inventory::FORMAT,
        database: "shop".to_owned(),
        owner: "shop".to_owned(),
        server_version: 150_000,
        pg_dump: "15.0".to_owned(),
        encoding: "UTF8".to_owned(),
        locale_provider: "c".to_owned(),
        collate: "C".to_owned(),
        ctype: "C".to_owned(),
        locale: None,
        icu_rules: None,
        tables: Vec::new(),
        indexes: Vec::new(),
        sequences: Vec::new(),
        matviews: Vec::new(),
        extensions: Vec::new(),
        roles: Vec::new(),
        properties: None,
        invalid: Vec::new(),
        large_objects: None,
        migration: None,
        left_out: Vec::new(),
        unread: Vec::new(),
        tablespaces: Vec::new(),
    }
}
