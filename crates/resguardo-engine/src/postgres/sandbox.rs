//! The throwaway targets of drills: a database on a throwaway server of its own (`instance`), or a new database
//! on a server that the config names (`database`).
//!
//! INVARIANT: whatever is made for one is gone when it is closed or dropped, or when the process that made it
//! died and the next begins (`tests/postgres/sandbox.rs`): the server and its folder by the site's
//! marker, a database on a named server by [`temporary::sweep`].

mod cluster;
mod likeness;
mod preload;
mod socket;
mod temporary;
mod tuning;

use std::sync::Arc;
use std::time::Duration;

use resguardo_model::{CheckResult, SourceFacts};

use super::Surroundings;
use super::inventory::Inventory;
use super::name;
use super::properties::{self, Wanted};
use super::session::{Limits, Session};
use super::target::{DatabaseTarget, LOCK_TIMEOUT};
use super::tools::Tools;
use crate::port::{
    Allowed, BackupReader, EngineError, Location, RestoreOptions, Restored, Rows, Run,
    SILENCE_TIMEOUT, SandboxSite, Target, TargetState,
};
pub(super) use cluster::SUPERUSER;
use cluster::{Cluster, Wanted as Server};
use likeness::Likeness;
use temporary::Temporary;

/// Longest time for a server to end whose sessions have lost their connections.
const DYING: Duration = Duration::from_secs(5);
/// The database of a throwaway server that nobody restores into.
const MAINTENANCE: &str = "template1";
/// What a sandbox's sessions wait for at most.
const LIMITS: Limits = Limits {
    lock: LOCK_TIMEOUT,
    silence: Some(SILENCE_TIMEOUT),
};

/// A new, empty database at `site`.
///
/// # Errors
/// [`EngineError::ToolMissing`], [`EngineError::Full`], or what the programs or the server said.
pub(super) fn open(
    site: &dyn SandboxSite,
    facts: Option<&SourceFacts>,
    around: &Arc<Surroundings>,
    run: Run<'_>,
) -> Result<Box<dyn Target>, EngineError> {
    let likeness = Likeness::of(facts);
    let mut notes = Vec::new();
    let (place, settings) = match site.server() {
        Some(server) => {
            let temporary = Temporary::make(&server, &likeness, around, site, &mut notes, run)?;
            let settings = temporary.settings().clone();
            (Place::Database(Box::new(temporary)), settings)
        }
        None => {
            let tools = server_tools(facts, around, &mut notes)?;
            let database = likeness.database();
            let wanted = Server {
                tables: facts.map_or(0, |facts| facts.tables.len()),
                preload: preload::needed(facts),
                database: &database,
            };
            let cluster = Cluster::start(&tools, &wanted, around, site, &mut notes, run)?;
            let session = Session::connect(&cluster.settings(MAINTENANCE), LIMITS, run.cancel)?;
            if database == "postgres" {
                // The one that a new server has is not like the source's.
                session.batch("drop database postgres")?;
            }
            notes.extend(likeness.create(&session, &database)?);
            let settings = cluster.settings(&database);
            (Place::Instance(Box::new(cluster)), settings)
        }
    };
    let mut inner = DatabaseTarget::sandbox(settings, around);
    if let Place::Database(temporary) = &place {
        inner.role_comment = Some(temporary.settings().database().to_owned());
    }
    Ok(Box::new(SandboxTarget {
        inner,
        place,
        notes,
    }))
}

/// The programs of the source's major, else of the next newer one; of the newest where the source's is not
/// known, since a dump may hold what an older one does not know.
fn server_tools(
    facts: Option<&SourceFacts>,
    around: &Surroundings,
    notes: &mut Vec<String>,
) -> Result<Tools, EngineError> {
    let folders = &around.tool_folders;
    let Some(facts) = facts else {
        return Tools::newest_server(folders);
    };
    let digits = facts.server_version.split(|c: char| !c.is_ascii_digit());
    let major = digits
        .into_iter()
        .find_map(|part| part.parse().ok())
        .unwrap_or(0);
    let tools = Tools::server(major, folders)?;
    if tools.major() != major {
        notes.push(format!(
            "the sandbox is PostgreSQL {}; the source is {}, which is not installed here",
            tools.version(),
            facts.server_version
        ));
    }
    Ok(tools)
}

/// Where a sandbox's database is.
enum Place {
    Instance(Box<Cluster>),
    Database(Box<Temporary>),
}

/// A throwaway target.
struct SandboxTarget {
    // Dropped before the server that it is on.
    inner: DatabaseTarget,
    place: Place,
    /// What the first restore tells.
    notes: Vec<String>,
}

impl SandboxTarget {
    /// A lost connection is explained by the server's last words, if it has ended.
    fn explained(&self, error: EngineError) -> EngineError {
        let Place::Instance(cluster) = &self.place else {
            return error;
        };
        let patience = if is_lost(&error) {
            DYING
        } else {
            Duration::ZERO
        };
        match cluster.last_words(patience) {
            Some(words) if words.contains("No space left on device") => EngineError::Full {
                operation: "working on",
                place: self.describe(),
            },
            Some(words) => EngineError::Other {
                operation: "working on a throwaway server, which ended:",
                place: self.inner.describe(),
                source: if words.is_empty() {
                    Box::new(error)
                } else {
                    words.into()
                },
            },
            None => error,
        }
    }

    /// What is left to do when a restore has made its roles: those on a named server are marked, and the
    /// database is given to the role that owns the source's, since who owns the database owns its schema
    /// `public`; then it gets what the source's has beside its objects. Tells what of that is not ours to do.
    fn settle(
        &self,
        inventory: Option<&Inventory>,
        run: Run<'_>,
    ) -> Result<Vec<String>, EngineError> {
        let session = Session::connect(&self.inner.settings, LIMITS, run.cancel)?;
        if let Place::Database(temporary) = &self.place {
            let known = inventory.map_or(&[][..], |inventory| &inventory.roles);
            let mut roles = roles_in(&session)?;
            roles.extend(known.iter().map(|role| role.name.clone()));
            temporary.mark_roles(&roles, run)?;
        }
        let Some(inventory) = inventory else {
            return Ok(Vec::new());
        };
        let mut notes = Vec::from_iter(give(&session, &inventory.owner)?);
        if let Some(source) = &inventory.properties {
            let wanted = Wanted {
                grants: true,
                // The comment of a temporary one says what it is.
                comment: matches!(self.place, Place::Instance(_)),
            };
            properties::apply(&session, source, wanted, &mut notes)?;
        }
        Ok(notes)
    }
}

/// Whether an error is that of a connection that was lost.
fn is_lost(error: &EngineError) -> bool {
    match error {
        EngineError::Unreachable { .. } => true,
        EngineError::TargetTouched { source, .. } => source.downcast_ref().is_some_and(is_lost),
        _ => false,
    }
}

/// The roles that own something in the database of `session`, or are granted something.
fn roles_in(session: &Session) -> Result<Vec<String>, EngineError> {
    let rows = session.rows(
        "select distinct r.rolname from pg_shdepend d join pg_roles r on r.oid = d.refobjid \
         where d.refclassid = 'pg_authid'::regclass \
           and d.dbid = (select oid from pg_database where datname = current_database())",
    )?;
    Ok(rows.iter().map(|row| row.text(0).to_owned()).collect())
}

/// Gives the database of `session` to a role, if there is one of that name.
fn give(session: &Session, owner: &str) -> Result<Option<String>, EngineError> {
    let exists = session.rows(&format!(
        "select from pg_catalog.pg_roles where rolname = {}",
        name::literal(owner)
    ))?;
    if exists.is_empty() {
        return Ok(None);
    }
    let given = session.batch(&format!(
        "alter database {} owner to {}",
        name::identifier(session.settings().database()),
        name::identifier(owner)
    ));
    match given {
        Ok(()) => Ok(None),
        Err(EngineError::Denied { why, .. }) => Ok(Some(format!(
            "the sandbox is not owned by {owner}, as the source is: {why}"
        ))),
        Err(error) => Err(error),
    }
}

impl Target for SandboxTarget {
    fn describe(&self) -> String {
        match &self.place {
            Place::Instance(cluster) => {
                format!("a throwaway server in {}", cluster.data().display())
            }
            Place::Database(_) => self.inner.describe(),
        }
    }

    fn state(&self) -> Result<TargetState, EngineError> {
        self.inner.state().map_err(|error| self.explained(error))
    }

    fn is_same_as(&self, location: &Location) -> bool {
        match &self.place {
            // Nobody else knows of it.
            Place::Instance(_) => false,
            Place::Database(_) => self.inner.is_same_as(location),
        }
    }

    fn restore(
        &self,
        backup: &dyn BackupReader,
        options: &RestoreOptions,
        run: Run<'_>,
    ) -> Result<Restored, EngineError> {
        let restored = self.inner.restore(backup, options, run);
        let mut restored = restored.map_err(|error| self.explained(error))?;
        let mut notes = self.notes.clone();
        // A dump brings back no more than pg_dump puts into it.
        let inventory = match backup.path() {
            None => Inventory::read(backup)?,
            Some(_) => None,
        };
        notes.extend(self.settle(inventory.as_ref(), run)?);
        notes.append(&mut restored.notes);
        Ok(Restored { notes, ..restored })
    }

    fn check(&self, backup: &dyn BackupReader, allowed: Allowed, run: Run<'_>) -> Vec<CheckResult> {
        self.inner.check(backup, allowed, run)
    }

    fn check_deeply(&self, run: Run<'_>) -> Vec<CheckResult> {
        self.inner.check_deeply(run)
    }

    fn execute(&self, script: &str, timeout: Duration, run: Run<'_>) -> Result<(), EngineError> {
        self.inner
            .execute(script, timeout, run)
            .map_err(|error| self.explained(error))
    }

    fn query(
        &self,
        sql: &str,
        rows_max: usize,
        timeout: Duration,
        run: Run<'_>,
    ) -> Result<Rows, EngineError> {
        self.inner
            .query(sql, rows_max, timeout, run)
            .map_err(|error| self.explained(error))
    }

    fn environment(&self) -> Vec<(String, String)> {
        self.inner.environment()
    }

    fn foreign_variables(&self) -> Vec<String> {
        self.inner.foreign_variables()
    }

    fn keep(&mut self) -> Result<Option<String>, EngineError> {
        let variables = self.inner.environment();
        let database = variables.iter().find(|(name, _)| name == "PGDATABASE");
        let database = database.map_or("postgres", |(_, value)| value);
        match &mut self.place {
            Place::Instance(cluster) => Ok(Some(cluster.how_to_start(database))),
            Place::Database(temporary) => temporary.keep().map(Some),
        }
    }

    fn close(self: Box<Self>) -> Result<(), EngineError> {
        let Self { inner, place, .. } = *self;
        Box::new(inner).close()?;
        match place {
            Place::Instance(mut cluster) => {
                cluster.stop();
                Ok(())
            }
            Place::Database(temporary) => temporary.drop_now(),
        }
    }
}
