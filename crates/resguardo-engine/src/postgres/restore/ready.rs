//! Everything that can be found out about a server before a target is touched: whether it is new enough, its
//! extensions are there, and its roles.

use std::collections::BTreeSet;

use crate::port::{EngineError, RestoreOptions};
use crate::postgres::inventory::Role;
use crate::postgres::name;
use crate::postgres::session::Session;
use crate::postgres::target::DatabaseTarget;

/// Names that an error lists.
const LISTED_MAX: usize = 12;

/// Refuses a server that is older than the source's, or still receives what another one sends.
pub(super) fn server(session: &Session, major: Option<u32>) -> Result<(), EngineError> {
    let place = session.settings().describe();
    if session.in_recovery() {
        return Err(EngineError::Unsupported {
            place,
            why: "the server is a standby and takes no writes".to_owned(),
            next: "restore to its primary".to_owned(),
        });
    }
    let theirs = session.version().major();
    let Some(ours) = major.filter(|ours| theirs < *ours) else {
        return Ok(());
    };
    Err(EngineError::Unsupported {
        place,
        why: format!("the server is PostgreSQL {theirs}, and the backup is of PostgreSQL {ours}"),
        next: format!("restore to a server of version {ours} or newer"),
    })
}

/// Refuses where an extension is not installed.
pub(super) fn extensions<'a>(
    session: &Session,
    needed: impl Iterator<Item = &'a str>,
) -> Result<(), EngineError> {
    let rows = session.rows("select name from pg_catalog.pg_available_extensions")?;
    let available: BTreeSet<_> = rows.iter().map(|row| row.text(0)).collect();
    let missing: Vec<_> = needed.filter(|name| !available.contains(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(EngineError::Unsupported {
        place: session.settings().describe(),
        why: format!(
            "the server has no extension {}, which the backup needs",
            listed(&missing)
        ),
        next: "install the packages of these extensions on the server".to_owned(),
    })
}

/// Which of `roles` the server lacks.
pub(super) fn missing_roles<'a>(
    session: &Session,
    roles: &'a [Role],
) -> Result<Vec<&'a Role>, EngineError> {
    let rows = session.rows("select rolname from pg_catalog.pg_roles")?;
    let there: BTreeSet<_> = rows.iter().map(|row| row.text(0)).collect();
    Ok(roles
        .iter()
        .filter(|role| !there.contains(role.name.as_str()))
        .collect())
}

/// Whether the server has this role.
pub(super) fn has_role(session: &Session, role: &str) -> Result<bool, EngineError> {
    let role = name::literal(role);
    let query = format!("select from pg_catalog.pg_roles where rolname = {role}");
    Ok(!session.rows(&query)?.is_empty())
}

/// What is to be told of roles that were made.
pub(super) fn notes_of(made: &[&Role]) -> impl Iterator<Item = String> {
    made.iter()
        .map(|role| format!("role {} was created without a password", role.name))
}

/// Makes the missing roles, without passwords. All or none; those of a temporary database are marked
/// as its own at once.
///
/// # Errors
/// [`EngineError::Denied`], naming all of them, if we may not.
pub(super) fn make_roles(
    target: &DatabaseTarget,
    session: &Session,
    missing: &[&Role],
) -> Result<(), EngineError> {
    make_roles_and(target, session, missing, "commit")
}

/// Whether we could: makes them in a transaction that leaves nothing.
///
/// # Errors
/// As [`make_roles`].
pub(super) fn try_roles(
    target: &DatabaseTarget,
    session: &Session,
    missing: &[&Role],
) -> Result<(), EngineError> {
    make_roles_and(target, session, missing, "rollback")
}

/// Drops roles that were made. All or none.
///
/// # Errors
/// If one of them owns or may something.
pub(super) fn drop_roles(session: &Session, made: &[String]) -> Result<(), EngineError> {
    let quoted: Vec<_> = made.iter().map(|role| name::identifier(role)).collect();
    session.batch(&format!("drop role {}", quoted.join(", ")))
}

fn make_roles_and(
    target: &DatabaseTarget,
    session: &Session,
    missing: &[&Role],
    end: &str,
) -> Result<(), EngineError> {
    if missing.is_empty() {
        return Ok(());
    }
    let mut script = String::from("begin;\n");
    for role in missing {
        let quoted = name::identifier(&role.name);
        script.push_str(&format!("create role {quoted} with {};\n", role.attributes));
        if let Some(comment) = &target.role_comment {
            let comment = name::literal(comment);
            script.push_str(&format!("comment on role {quoted} is {comment};\n"));
        }
    }
    for role in missing {
        for group in &role.member_of {
            let options = role.member_options.get(group);
            let options = options.map(|words| format!(" with {words}"));
            let (group, quoted) = (name::identifier(group), name::identifier(&role.name));
            let options = options.unwrap_or_default();
            script.push_str(&format!("grant {group} to {quoted}{options};\n"));
        }
    }
    script.push_str(end);
    if let Err(error) = session.batch(&script) {
        let _ = session.batch("rollback");
        let names: Vec<_> = missing.iter().map(|role| role.name.as_str()).collect();
        return Err(match error {
            EngineError::Denied { place, why, .. } => EngineError::Unsupported {
                place,
                why: format!(
                    "the backup needs the roles {}, which the server lacks and {} may not make ({why})",
                    listed(&names),
                    session.settings().user()
                ),
                next: "create them, or restore with --no-owner --no-acl".to_owned(),
            },
            other => other,
        });
    }
    Ok(())
}

/// Gives new roles what they have set for themselves. Not every setting is everybody's to set, nor known to every
/// server: those are told.
///
/// # Errors
/// If the server cannot be asked.
pub(super) fn set_up(
    session: &Session,
    made: &[&Role],
    notes: &mut Vec<String>,
) -> Result<(), EngineError> {
    let settings = made.iter().flat_map(|role| {
        let settings = role.settings.iter();
        settings.filter_map(move |setting| Some((role, setting.split_once('=')?)))
    });
    for (role, (parameter, value)) in settings {
        let set = session.batch(&format!(
            "alter role {} set {} to {}",
            name::identifier(&role.name),
            name::parameter(parameter),
            name::value_of(parameter, value)
        ));
        match set {
            Ok(()) => {}
            Err(EngineError::Denied { why: message, .. } | EngineError::Sql { message, .. }) => {
                let role = &role.name;
                notes.push(format!(
                    "the setting {parameter} of role {role} could not be set: {message}"
                ));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Tablespaces that the server has.
pub(super) fn tablespaces(session: &Session) -> Result<BTreeSet<String>, EngineError> {
    let rows = session.rows("select spcname from pg_catalog.pg_tablespace")?;
    Ok(rows.iter().map(|row| row.text(0).to_owned()).collect())
}

/// Whether owners and grants are restored at all.
pub(super) fn needs_roles(options: &RestoreOptions) -> bool {
    !(options.no_owner && options.no_acl)
}

/// The first of the names.
pub(super) fn listed(names: &[&str]) -> String {
    let mut text = names[..names.len().min(LISTED_MAX)].join(", ");
    if names.len() > LISTED_MAX {
        text.push_str(&format!(" and {} more", names.len() - LISTED_MAX));
    }
    text
}
