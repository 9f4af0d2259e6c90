//! Closes a database to everybody but us while it is restored, and opens it again as far as it was open.
//!
//! Whom CONNECT was granted to is written into the database's comment before it is taken away, in the same
//! transaction: whoever dies between closing and opening leaves a database that says how it was, and the
//! next restore opens it. Sessions that are open are ended after that, so that none comes back.
//!
//! Superusers cannot be shut out, nor can the role that restores: of those who come back it is told.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::inventory;
use super::name;
use super::pooler;
use super::session::{Limits, Session};
use super::settings::Settings;
use super::target::LOCK_TIMEOUT;
use crate::port::{EngineError, Maintenance, Run, SILENCE_TIMEOUT};

/// What the comment of a closed database begins with.
const MARK: &str = "closed by resguardo for a restore: ";
/// Longest time for sessions to end.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often sessions are looked at.
const POLL: Duration = Duration::from_millis(100);

/// How a database was before it was closed; its comment says so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Before {
    connect: Vec<Grant>,
    comment: Option<String>,
}

/// CONNECT of one role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Grant {
    /// `None` is PUBLIC.
    role: Option<String>,
    grantable: bool,
}

impl Grant {
    fn sql(&self) -> String {
        let role = self.role.as_deref();
        role.map_or_else(|| "public".to_owned(), name::identifier)
    }
}

/// A database and we in it.
struct Place {
    session: Session,
    database: String,
    comment: Option<String>,
    role: String,
    superuser: bool,
}

/// Closes the database.
///
/// # Errors
/// [`EngineError::Denied`] if this role may not: only the owner and superusers may.
pub(super) fn begin(settings: &Settings, run: Run<'_>) -> Result<Maintenance, EngineError> {
    let place = Place::of(settings, run)?;
    let known = place.before();
    let granted = place.granted()?;
    let before = known.unwrap_or(Before {
        connect: granted.clone(),
        comment: place.comment.clone(),
    });
    place.close(&before, &granted)?;
    let notes = match place.end_sessions(run) {
        Ok(notes) => notes,
        Err(error) => {
            place.open(&before)?;
            return Err(error);
        }
    };
    Ok(Maintenance {
        notes,
        reopen: opening(&place.database, &before).join("; "),
    })
}

/// The statements that open the database of this session, if a restore left it closed.
///
/// # Errors
/// If it cannot be asked.
pub(super) fn left_closed(session: &Session) -> Result<Option<String>, EngineError> {
    let rows = session.rows(
        "select pg_catalog.current_database(), pg_catalog.shobj_description(oid, 'pg_database') \
         from pg_catalog.pg_database where datname = pg_catalog.current_database()",
    )?;
    let left = rows.first().and_then(|row| {
        let before = before(row.optional(1)?)?;
        Some(opening(row.text(0), &before).join("; "))
    });
    Ok(left)
}

/// Opens the database, if it is closed.
///
/// # Errors
/// If it is still closed.
pub(super) fn end(settings: &Settings, run: Run<'_>) -> Result<(), EngineError> {
    let place = Place::of(settings, run)?;
    match place.before() {
        None => Ok(()),
        Some(before) => place.open(&before),
    }
}

impl Place {
    fn of(settings: &Settings, run: Run<'_>) -> Result<Self, EngineError> {
        let limits = Limits {
            lock: LOCK_TIMEOUT,
            silence: Some(SILENCE_TIMEOUT),
        };
        let (session, _) = pooler::two_sessions(settings, limits, run.cancel)?;
        let rows = session.rows(
            "select pg_catalog.current_database(), pg_catalog.shobj_description(d.oid, 'pg_database'), \
                    current_user, r.rolsuper \
             from pg_catalog.pg_database d, pg_catalog.pg_roles r \
             where d.datname = pg_catalog.current_database() and r.rolname = current_user",
        )?;
        let row = rows.first().ok_or_else(|| EngineError::Missing {
            place: settings.describe(),
        })?;
        let (database, comment) = (row.text(0).to_owned(), row.optional(1).map(str::to_owned));
        let (role, superuser) = (row.text(2).to_owned(), row.is_true(3));
        Ok(Self {
            session,
            database,
            comment,
            role,
            superuser,
        })
    }

    /// How it was before it was closed, if it is.
    fn before(&self) -> Option<Before> {
        before(self.comment.as_deref()?)
    }

    /// Who may connect.
    fn granted(&self) -> Result<Vec<Grant>, EngineError> {
        let rows = self.session.rows(
            "select r.rolname, pg_catalog.bool_or(a.is_grantable) \
             from pg_catalog.pg_database d \
             cross join lateral pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) a \
             left join pg_catalog.pg_roles r on r.oid = a.grantee \
             where d.datname = pg_catalog.current_database() and a.privilege_type = 'CONNECT' \
               and (a.grantee = 0 or r.oid is not null) \
             group by a.grantee, r.rolname order by r.rolname nulls first",
        )?;
        let grant = |row: &super::session::Row| Grant {
            role: row.optional(0).map(str::to_owned),
            grantable: row.is_true(1),
        };
        Ok(rows.iter().map(grant).collect())
    }

    /// Takes CONNECT away from all but us.
    fn close(&self, before: &Before, granted: &[Grant]) -> Result<(), EngineError> {
        let database = name::identifier(&self.database);
        let said = serde_json::to_string(before).expect("texts are written as JSON");
        let mut sql = vec![
            "begin".to_owned(),
            format!(
                "comment on database {database} is {}",
                name::literal(&format!("{MARK}{said}"))
            ),
        ];
        if !self.superuser {
            let own = name::identifier(&self.role);
            sql.push(format!("grant connect on database {database} to {own}"));
        }
        for other in granted.iter().filter(|grant| !self.is_own(grant)) {
            let role = other.sql();
            sql.push(format!(
                "revoke connect on database {database} from {role} cascade"
            ));
        }
        let closed = self.session.batch(&sql.join("; ")).and_then(|()| {
            // A role that may not do it is warned and not refused.
            match self.granted()?.iter().find(|grant| !self.is_own(grant)) {
                None => self.session.batch("commit"),
                Some(grant) => Err(EngineError::Denied {
                    operation: "closing",
                    place: self.session.settings().describe(),
                    why: format!(
                        "{} may still connect; only the owner of the database, or a superuser, may change that",
                        grant.role.as_deref().unwrap_or("everybody")
                    ),
                }),
            }
        });
        closed.inspect_err(|_| {
            // The error that brought us here is the one to be told; the end of the session does the same.
            let _ = self.session.batch("rollback");
        })
    }

    fn is_own(&self, grant: &Grant) -> bool {
        !self.superuser && grant.role.as_deref() == Some(self.role.as_str())
    }

    /// Ends the sessions of all others; tells of those that come back.
    fn end_sessions(&self, run: Run<'_>) -> Result<Vec<String>, EngineError> {
        // Of sessions of others a common role is not told the kind; those without a user are the server's.
        let others = "from pg_catalog.pg_stat_activity where datname = pg_catalog.current_database() \
                      and pid <> pg_catalog.pg_backend_pid() and usename is not null \
                      and coalesce(backend_type, 'client backend') = 'client backend'";
        let begun = Instant::now();
        loop {
            let sql = format!("select distinct usename {others} order by usename");
            let left = self.session.rows(&sql)?;
            if left.is_empty() {
                return Ok(Vec::new());
            }
            if begun.elapsed() >= PATIENCE {
                let roles: Vec<_> = left.iter().map(|row| row.text(0)).collect();
                return Ok(vec![format!(
                    "sessions of {} come back and cannot be shut out: stop what opens them by a command in before",
                    roles.join(", ")
                )]);
            }
            self.session.rows(&format!(
                "select pg_catalog.pg_terminate_backend(pid) {others}"
            ))?;
            run.cancel.check()?;
            std::thread::sleep(POLL);
        }
    }

    fn open(&self, before: &Before) -> Result<(), EngineError> {
        let rows = self
            .session
            .rows("select rolname from pg_catalog.pg_roles")?;
        let there: Vec<&str> = rows.iter().map(|row| row.text(0)).collect();
        // The owner has grant options without having been granted them.
        let kept = before.connect.iter().filter(|grant| match &grant.role {
            Some(role) => there.contains(&role.as_str()),
            None => true,
        });
        let before = Before {
            connect: kept
                .map(|grant| Grant {
                    grantable: grant.grantable && grant.role.is_some(),
                    ..grant.clone()
                })
                .collect(),
            comment: before.comment.clone(),
        };
        let mut sql = opening(&self.database, &before);
        let own = before.connect.iter().any(|grant| self.is_own(grant));
        if !self.superuser && !own {
            let (database, role) = (
                name::identifier(&self.database),
                name::identifier(&self.role),
            );
            sql.push(format!("revoke connect on database {database} from {role}"));
        }
        self.session
            .batch(&format!("begin; {}; commit", sql.join("; ")))
    }
}

/// What the comment of a closed database says.
fn before(comment: &str) -> Option<Before> {
    serde_json::from_str(comment.strip_prefix(MARK)?).ok()
}

/// What a closed database had before, if its comment says that it is closed: who might connect, and the comment.
pub(super) fn opened(comment: &str) -> Option<(Vec<inventory::Grant>, Option<String>)> {
    let before = before(comment)?;
    let grant = |grant: Grant| inventory::Grant {
        role: grant.role,
        privilege: "CONNECT".to_owned(),
        grantable: grant.grantable,
    };
    Some((
        before.connect.into_iter().map(grant).collect(),
        before.comment,
    ))
}

/// The statements that open a database.
fn opening(database: &str, before: &Before) -> Vec<String> {
    let database = name::identifier(database);
    let grants = before.connect.iter().map(|grant| {
        let option = if grant.grantable {
            " with grant option"
        } else {
            ""
        };
        format!(
            "grant connect on database {database} to {}{option}",
            grant.sql()
        )
    });
    let comment = before.comment.as_deref();
    let comment = comment.map_or_else(|| "null".to_owned(), name::literal);
    let mut sql: Vec<_> = grants.collect();
    sql.push(format!("comment on database {database} is {comment}"));
    sql
}
