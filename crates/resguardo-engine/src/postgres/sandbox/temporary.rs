//! A temporary database on a server that the config names.
//!
//! Its name begins with `resguardo_drill_`, its comment says what it is, and a session of ours is connected to
//! it as long as it lives. What a drill that died left behind is therefore known by name and comment, and
//! by nobody being connected: the next drill on that server drops it. The comment is written after that
//! session stands, so that a database that is just being made is never taken for a dead one.
//!
//! Roles are the server's and not a database's. Those that the restore made bear a comment with the
//! database's name, and go with it.

use std::collections::HashSet;
use std::sync::Arc;

use resguardo_model::CancelToken;

use super::super::settings::Settings;
use super::super::{Surroundings, name, pooler};
use super::likeness::Likeness;
use super::{LIMITS, Session};
use crate::port::{EngineError, Location, Run, SandboxSite};

/// How the name of every such database begins.
const PREFIX: &str = "resguardo_drill_";
/// Its comment.
const COMMENT: &str =
    "a drill of Resguardo; dropped when it ends, or by the next if nobody is connected";
/// Bytes of a name that PostgreSQL keeps.
const NAME_BYTES_MAX: usize = 63;

/// A database that is dropped with the value.
pub(super) struct Temporary {
    maintenance: Settings,
    settings: Settings,
    /// Roles that were there before.
    roles: HashSet<String>,
    /// Tells others that it is in use.
    holder: Option<Session>,
}

impl Temporary {
    /// Drops what dead drills left behind on `server`, and makes a database there.
    ///
    /// # Errors
    /// What the server said; nothing is left behind.
    pub(super) fn make(
        server: &Location,
        likeness: &Likeness,
        around: &Arc<Surroundings>,
        site: &dyn SandboxSite,
        notes: &mut Vec<String>,
        run: Run<'_>,
    ) -> Result<Self, EngineError> {
        let maintenance = Settings::resolve(server, &around.libpq)?;
        let (session, _) = pooler::two_sessions(&maintenance, LIMITS, run.cancel)?;
        for dropped in sweep(&session)? {
            notes.push(format!(
                "dropped {dropped}, which a drill that died left behind"
            ));
        }
        let mut database = format!("{PREFIX}{}", site.name());
        database.truncate(NAME_BYTES_MAX);
        let roles = roles(&session, "select rolname from pg_catalog.pg_roles")?;
        let mut made = Self {
            settings: maintenance.with_database(&database),
            maintenance,
            roles: roles.into_iter().collect(),
            holder: None,
        };
        notes.extend(likeness.create(&session, &database)?);
        made.holder = Some(Session::connect(&made.settings, LIMITS, run.cancel)?);
        session.batch(&format!(
            "comment on database {} is {}",
            name::identifier(&database),
            name::literal(COMMENT)
        ))?;
        Ok(made)
    }

    /// How to reach it.
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Leaves it where it is: nobody drops it any more. Returns how to drop it.
    ///
    /// # Errors
    /// What the server said.
    pub(super) fn keep(&mut self) -> Result<String, EngineError> {
        let session = Session::connect(&self.maintenance, LIMITS, &CancelToken::new())?;
        let database = name::identifier(self.settings.database());
        session.batch(&format!("comment on database {database} is null"))?;
        let kept = format!(
            "{} is kept; to drop it: drop database {database}",
            self.settings.describe()
        );
        self.holder = None;
        self.settings = self.maintenance.clone();
        Ok(kept)
    }

    /// Marks those of `names` that were not there before: they are this drill's.
    ///
    /// # Errors
    /// What the server said.
    pub(super) fn mark_roles(&self, names: &[String], run: Run<'_>) -> Result<(), EngineError> {
        let new: Vec<_> = names
            .iter()
            .filter(|name| !self.roles.contains(*name))
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        let session = Session::connect(&self.maintenance, LIMITS, run.cancel)?;
        let there: HashSet<_> = roles(&session, "select rolname from pg_catalog.pg_roles")?
            .into_iter()
            .collect();
        for role in new.into_iter().filter(|name| there.contains(*name)) {
            session.batch(&format!(
                "comment on role {} is {}",
                name::identifier(role),
                name::literal(self.settings.database())
            ))?;
        }
        Ok(())
    }

    /// Drops it, whoever is connected, and the roles that came with it.
    ///
    /// # Errors
    /// If something of it may still be there; the next drill on this server tries again.
    pub(super) fn drop_now(mut self) -> Result<(), EngineError> {
        self.remove()
    }

    fn remove(&mut self) -> Result<(), EngineError> {
        // Kept, or dropped already.
        if self.settings == self.maintenance {
            return Ok(());
        }
        self.holder = None;
        let session = Session::connect(&self.maintenance, LIMITS, &CancelToken::new())?;
        let database = self.settings.database();
        session.batch(&format!(
            "drop database if exists {} with (force)",
            name::identifier(database)
        ))?;
        drop_roles(
            &session,
            &format!(
                "select rolname from pg_catalog.pg_roles where \
                 pg_catalog.shobj_description(oid, 'pg_authid') = {}",
                name::literal(database)
            ),
        )?;
        // Done: the drop of this value finds nothing to do.
        self.settings = self.maintenance.clone();
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Whoever wants to know calls `drop_now`; the next drill drops what is left.
        let _ = self.remove();
    }
}

/// Drops what drills that died left behind; returns the names.
fn sweep(session: &Session) -> Result<Vec<String>, EngineError> {
    let dead = session.rows(&format!(
        "select d.datname from pg_catalog.pg_database d \
         where pg_catalog.starts_with(d.datname, {}) \
           and pg_catalog.shobj_description(d.oid, 'pg_database') = {} \
           and not exists (select from pg_catalog.pg_stat_activity a where a.datid = d.oid)",
        name::literal(PREFIX),
        name::literal(COMMENT)
    ))?;
    let mut dropped = Vec::new();
    for row in dead {
        let database = row.text(0);
        let statement = format!("drop database {}", name::identifier(database));
        match session.batch(&statement) {
            Ok(()) => dropped.push(format!("database {database}")),
            // Somebody looks at it, or swept it at the same time; it is not ours to drop, or another's.
            Err(
                EngineError::Busy { .. } | EngineError::Missing { .. } | EngineError::Denied { .. },
            ) => {}
            Err(error) => return Err(error),
        }
    }
    let roles = drop_roles(
        session,
        &format!(
            "select r.rolname from pg_catalog.pg_roles r \
             where pg_catalog.starts_with(pg_catalog.shobj_description(r.oid, 'pg_authid'), {}) \
               and not exists (select from pg_catalog.pg_database d \
                 where d.datname = pg_catalog.shobj_description(r.oid, 'pg_authid'))",
            name::literal(PREFIX)
        ),
    )?;
    dropped.extend(roles.into_iter().map(|role| format!("role {role}")));
    Ok(dropped)
}

/// Drops the roles that a query names. One that others have given something meanwhile stays.
fn drop_roles(session: &Session, query: &str) -> Result<Vec<String>, EngineError> {
    let mut dropped = Vec::new();
    for role in roles(session, query)? {
        match session.batch(&format!("drop role {}", name::identifier(&role))) {
            Ok(()) => dropped.push(role),
            Err(EngineError::Sql { .. } | EngineError::Denied { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(dropped)
}

fn roles(session: &Session, query: &str) -> Result<Vec<String>, EngineError> {
    let rows = session.rows(query)?;
    Ok(rows.iter().map(|row| row.text(0).to_owned()).collect())
}
