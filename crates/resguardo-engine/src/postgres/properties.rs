//! What a database has beside its objects, and nothing in it shows: settings, grants, comment and limit. All of
//! them hang on its name, so that a database that is made anew has none of them.
//!
//! Who granted what is not kept: in a restored database it is its owner who has granted everything. That a
//! database is a template, and security labels of the database itself, are not kept either.

use std::collections::{BTreeMap, BTreeSet};

use super::inventory::{Grant, Properties, Setting};
use super::session::{Row, Session};
use super::{maintenance, name};
use crate::port::EngineError;

/// The limit of a database that has none.
const UNLIMITED: i64 = -1;

/// Which of them are set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) grants: bool,
    pub(super) comment: bool,
}

/// Those of the database of `session`. Of one that is closed for a restore: as it was before.
///
/// # Errors
/// If they cannot be asked for.
pub(super) fn of(session: &Session) -> Result<Properties, EngineError> {
    let rows = session.rows(
        "select pg_get_userbyid(datdba), datconnlimit, shobj_description(oid, 'pg_database') \
         from pg_database where datname = current_database()",
    )?;
    let row = rows.first().ok_or_else(|| EngineError::Missing {
        place: session.settings().describe(),
    })?;
    let mut properties = Properties {
        owner: row.text(0).to_owned(),
        connections_max: row.number(1),
        comment: row.optional(2).map(str::to_owned),
        settings: settings(session)?,
        grants: grants(session)?,
    };
    let closed = properties.comment.as_deref().and_then(maintenance::opened);
    if let Some((connect, comment)) = closed {
        properties.comment = comment;
        let of_connecting = |grant: &Grant| grant.privilege == "CONNECT";
        properties.grants.retain(|grant| !of_connecting(grant));
        properties.grants.extend(connect);
        properties.grants.sort();
    }
    Ok(properties)
}

fn settings(session: &Session) -> Result<Vec<Setting>, EngineError> {
    let rows = session.rows(
        "select r.rolname, split_part(u.setting, '=', 1), substr(u.setting, strpos(u.setting, '=') + 1) \
         from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase \
         left join pg_roles r on r.oid = s.setrole cross join unnest(s.setconfig) with ordinality u(setting, at) \
         where d.datname = current_database() and (s.setrole = 0 or r.oid is not null) \
         order by 1 nulls first, u.at",
    )?;
    let setting = |row: &Row| Setting {
        role: row.optional(0).map(str::to_owned),
        parameter: row.text(1).to_owned(),
        value: row.text(2).to_owned(),
    };
    Ok(rows.iter().map(setting).collect())
}

fn grants(session: &Session) -> Result<Vec<Grant>, EngineError> {
    let rows = session.rows(
        "select r.rolname, a.privilege_type, bool_or(a.is_grantable) from pg_database d \
         cross join lateral aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a \
         left join pg_roles r on r.oid = a.grantee \
         where d.datname = current_database() and (a.grantee = 0 or r.oid is not null) group by 1, 2",
    )?;
    let grant = |row: &Row| Grant {
        role: row.optional(0).map(str::to_owned),
        privilege: row.text(1).to_owned(),
        grantable: row.is_true(2),
    };
    let mut grants: Vec<Grant> = rows.iter().map(grant).collect();
    grants.sort();
    Ok(grants)
}

/// Gives the database of `session` the properties of another one, but for its owner. What this role may not
/// set, or this server does not know, is told.
///
/// # Errors
/// If the server cannot be asked.
pub(super) fn apply(
    session: &Session,
    properties: &Properties,
    wanted: Wanted,
    notes: &mut Vec<String>,
) -> Result<(), EngineError> {
    let before = of(session)?;
    let database = name::identifier(session.settings().database());
    let mut statements = Vec::new();
    for setting in &properties.settings {
        if !before.settings.contains(setting) {
            let sql = setting_sql(&database, setting);
            statements.push((setting.shown(), sql));
        }
    }
    let own = owned_by(&properties.grants, &properties.owner, &before.owner);
    if wanted.grants && own != before.grants {
        let sql = grants_sql(&database, &before.grants, &own);
        statements.push(("grants".to_owned(), sql));
    }
    if wanted.comment && properties.comment != before.comment {
        let text = properties.comment.as_deref();
        let text = text.map_or_else(|| "null".to_owned(), name::literal);
        let sql = format!("comment on database {database} is {text}");
        statements.push(("comment".to_owned(), sql));
    }
    if properties.connections_max != before.connections_max {
        let limit = properties.connections_max;
        let sql = format!("alter database {database} connection limit {limit}");
        statements.push(("limit of connections".to_owned(), sql));
    }
    for (what, sql) in statements {
        match session.batch(&format!("begin; {sql}; commit")) {
            Ok(()) => {}
            Err(EngineError::Denied { why: message, .. } | EngineError::Sql { message, .. }) => {
                session.batch("rollback")?;
                notes.push(format!("the database's {what} could not be set: {message}"));
            }
            Err(error) => return Err(error),
        }
    }
    // Whoever may not grant is warned and not refused.
    if wanted.grants && grants(session)? != own {
        notes.push("the database's grants are not those of the source".to_owned());
    }
    Ok(())
}

/// The same grants where the database belongs to `now`.
fn owned_by(grants: &[Grant], owner: &str, now: &str) -> Vec<Grant> {
    let role = |grant: &Grant| match grant.role.as_deref() {
        Some(role) if role == owner => Some(now.to_owned()),
        _ => grant.role.clone(),
    };
    let grants = grants.iter().map(|grant| Grant {
        role: role(grant),
        ..grant.clone()
    });
    let grants: BTreeSet<Grant> = grants.collect();
    grants.into_iter().collect()
}

fn setting_sql(database: &str, setting: &Setting) -> String {
    let whose = match &setting.role {
        None => format!("alter database {database}"),
        Some(role) => {
            let role = name::identifier(role);
            format!("alter role {role} in database {database}")
        }
    };
    let (parameter, value) = (&*setting.parameter, &*setting.value);
    let (name, value) = (name::parameter(parameter), name::value_of(parameter, value));
    format!("{whose} set {name} to {value}")
}

fn grants_sql(database: &str, before: &[Grant], after: &[Grant]) -> String {
    let role = |grant: &Grant| {
        let role = grant.role.as_deref();
        role.map_or_else(|| "public".to_owned(), name::identifier)
    };
    let all: BTreeSet<String> = before.iter().map(role).collect();
    let mut sql: Vec<String> = all
        .iter()
        .map(|role| format!("revoke all on database {database} from {role} cascade"))
        .collect();
    sql.extend(after.iter().map(|grant| {
        let option = if grant.grantable {
            " with grant option"
        } else {
            ""
        };
        let (privilege, role) = (&grant.privilege, role(grant));
        format!("grant {privilege} on database {database} to {role}{option}")
    }));
    sql.join("; ")
}

impl Properties {
    /// Each by its name, for a comparison; grants of the owner's as such.
    pub(super) fn named(&self) -> BTreeMap<String, String> {
        let settings = self.settings.iter();
        let settings = settings.map(|setting| (setting.shown(), setting.value.clone()));
        let mut named: BTreeMap<String, String> = settings.collect();
        for grant in &self.grants {
            let role = match grant.role.as_deref() {
                None => "public",
                Some(role) if role == self.owner => "its owner",
                Some(role) => role,
            };
            let option = if grant.grantable {
                " with grant option"
            } else {
                ""
            };
            let words = named.entry(format!("granted to {role}")).or_default();
            if !words.is_empty() {
                words.push_str(", ");
            }
            words.push_str(&format!("{}{option}", grant.privilege));
        }
        if let Some(comment) = &self.comment {
            named.insert("comment".to_owned(), comment.clone());
        }
        if self.connections_max != UNLIMITED {
            let limit = self.connections_max.to_string();
            named.insert("limit of connections".to_owned(), limit);
        }
        named
    }
}

impl Setting {
    /// `setting search_path of app`.
    fn shown(&self) -> String {
        let role = self.role.as_ref();
        let of_role = role.map(|role| format!(" of {role}")).unwrap_or_default();
        format!("setting {}{of_role}", self.parameter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(role: Option<&str>, privilege: &str, grantable: bool) -> Grant {
        Grant {
            role: role.map(str::to_owned),
            privilege: privilege.to_owned(),
            grantable,
        }
    }

    #[test]
    fn grants_of_the_owner_are_those_of_the_new_owner() {
        let grants = [
            grant(None, "CONNECT", false),
            grant(Some("app"), "CREATE", true),
            grant(Some("o\"x"), "CREATE", false),
        ];
        let own = owned_by(&grants, "app", "postgres");
        assert!(own.contains(&grant(Some("postgres"), "CREATE", true)));
        assert_eq!(
            grants_sql("\"shop\"", &grants[..1], &own),
            "revoke all on database \"shop\" from public cascade; \
             grant CONNECT on database \"shop\" to public; \
             grant CREATE on database \"shop\" to \"o\"\"x\"; \
             grant CREATE on database \"shop\" to \"postgres\" with grant option"
        );
    }

    #[test]
    fn lists_are_set_as_lists() {
        let setting = |role: Option<&str>, parameter: &str, value: &str| Setting {
            role: role.map(str::to_owned),
            parameter: parameter.to_owned(),
            value: value.to_owned(),
        };
        let path = setting(None, "search_path", "\"$user\", shop");
        assert_eq!(
            setting_sql("\"shop\"", &path),
            "alter database \"shop\" set \"search_path\" to \"$user\", shop"
        );
        let tenant = setting(Some("app"), "app.tenant", "it's");
        assert_eq!(
            setting_sql("\"shop\"", &tenant),
            "alter role \"app\" in database \"shop\" set \"app\".\"tenant\" to 'it''s'"
        );
    }
}
