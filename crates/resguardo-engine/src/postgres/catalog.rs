//! What a database says of itself: the same questions for the source in its snapshot and for what was
//! restored from it. Nothing here waits for a table's lock or writes.

mod large_objects;
mod migration;
mod roles;
mod sequences;
mod tables;

use super::inventory::{Extension, Index, Matview, Unread};
use super::name;
use super::session::{Row, Session};
use crate::port::EngineError;

pub(super) use large_objects::{large_object_count, large_objects};
pub(super) use migration::migration;
pub(super) use roles::{
    Membership, NamedRole, memberships, named_roles, roles, roles_of, tablespaces,
};
pub(super) use sequences::sequences;
pub(super) use tables::{Relation, relations, sizes};

/// Restricts `n`, a namespace, to those that are not the server's own.
pub(super) const OWN_SCHEMAS: &str = "n.nspname <> 'information_schema' and n.nspname !~ '^pg_'";

/// The database as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Database {
    pub(super) name: String,
    pub(super) owner: String,
    pub(super) encoding: String,
    /// `c`, `i` or `b`, as [`super::inventory::Inventory::locale_provider`].
    pub(super) locale_provider: String,
    pub(super) collate: String,
    pub(super) ctype: String,
    pub(super) locale: Option<String>,
    pub(super) icu_rules: Option<String>,
    /// Its size with everything in it, in bytes.
    pub(super) bytes: u64,
}

/// Asks for the database as a whole.
///
/// # Errors
/// If it cannot be asked for.
pub(super) fn database(session: &Session) -> Result<Database, EngineError> {
    let (provider, locale, rules) = match session.version().major() {
        ..=14 => ("'c'", "null", "null"),
        15 => ("d.datlocprovider", "d.daticulocale", "null"),
        16 => ("d.datlocprovider", "d.daticulocale", "d.daticurules"),
        _ => ("d.datlocprovider", "d.datlocale", "d.daticurules"),
    };
    let rows = session.rows(&format!(
        "select d.datname, pg_get_userbyid(d.datdba), pg_encoding_to_char(d.encoding), {provider}, \
           d.datcollate, d.datctype, {locale}, {rules}, pg_database_size(d.oid) \
         from pg_database d where d.datname = current_database()"
    ))?;
    let row = rows.first().ok_or_else(|| EngineError::Missing {
        place: session.settings().describe(),
    })?;
    Ok(Database {
        name: row.text(0).to_owned(),
        owner: row.text(1).to_owned(),
        encoding: row.text(2).to_owned(),
        locale_provider: row.text(3).to_owned(),
        collate: row.text(4).to_owned(),
        ctype: row.text(5).to_owned(),
        locale: row.optional(6).map(str::to_owned),
        icu_rules: row.optional(7).map(str::to_owned),
        bytes: row.number(8),
    })
}

/// What tells this cluster from all others, the same on its standbys; `None` where the role may not ask.
///
/// # Errors
/// If it cannot be asked for.
pub(super) fn system_identifier(session: &Session) -> Result<Option<String>, EngineError> {
    // A refusal would end the transaction whose snapshot is read.
    let may = session
        .rows("select has_function_privilege('pg_catalog.pg_control_system()', 'execute')")?;
    if may.first().is_none_or(|row| row.text(0) != "t") {
        return Ok(None);
    }
    let rows = session.rows("select system_identifier from pg_catalog.pg_control_system()")?;
    Ok(rows.first().map(|row| row.text(0).to_owned()))
}

/// Libraries that the server loads as it starts; none where the role may not ask.
///
/// # Errors
/// If they cannot be asked for.
pub(super) fn preloaded(session: &Session) -> Result<Vec<String>, EngineError> {
    let rows = session.rows(
        "select setting from pg_catalog.pg_settings where name = 'shared_preload_libraries'",
    )?;
    let setting = rows.first().map_or("", |row| row.text(0));
    let names = setting.split(',').map(|name| name.trim().trim_matches('"'));
    Ok(names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect())
}

/// The extensions that somebody installed, in the order of their names.
///
/// # Errors
/// If they cannot be asked for.
pub(super) fn extensions(session: &Session) -> Result<Vec<Extension>, EngineError> {
    let rows = session.rows(
        "select x.extname, x.extversion, n.nspname from pg_extension x \
           join pg_namespace n on n.oid = x.extnamespace where x.oid >= 16384 order by 1",
    )?;
    let extension = |row: &Row| Extension {
        name: row.text(0).to_owned(),
        version: row.text(1).to_owned(),
        schema: row.text(2).to_owned(),
    };
    Ok(rows.iter().map(extension).collect())
}

/// The indexes of the user's tables. Their sizes are those of the last look of the server at them: to ask
/// for the real ones would wait for locks.
///
/// # Errors
/// If they cannot be asked for.
pub(super) fn indexes(session: &Session) -> Result<Vec<Index>, EngineError> {
    let rows = session.rows(&format!(
        "select i.indexrelid, coalesce(k.oid, 0), i.indrelid, \
           c.relpages::int8 * current_setting('block_size')::int8 \
         from pg_index i join pg_class c on c.oid = i.indexrelid \
           join pg_namespace n on n.oid = c.relnamespace \
           left join pg_constraint k on k.conindid = i.indexrelid and k.conrelid = i.indrelid \
             and k.contype in ('p', 'u', 'x') \
         where {OWN_SCHEMAS} and c.relpersistence <> 't' order by n.nspname, c.relname"
    ))?;
    let index = |row: &Row| Index {
        oid: row.number(0),
        constraint: row.number(1),
        table: row.number(2),
        bytes: row.number(3),
    };
    Ok(rows.iter().map(index).collect())
}

/// Materialized views, in the order of schema and name.
///
/// # Errors
/// If they cannot be asked for.
pub(super) fn matviews(session: &Session) -> Result<Vec<Matview>, EngineError> {
    let rows = session.rows(&format!(
        "select n.nspname, c.relname, c.relispopulated from pg_class c \
           join pg_namespace n on n.oid = c.relnamespace \
         where c.relkind = 'm' and {OWN_SCHEMAS} order by 1, 2"
    ))?;
    let matview = |row: &Row| Matview {
        schema: row.text(0).to_owned(),
        name: row.text(1).to_owned(),
        populated: row.is_true(2),
    };
    Ok(rows.iter().map(matview).collect())
}

/// Indexes that are not valid and constraints that were never checked, by their names with schema (and
/// table), sorted.
///
/// # Errors
/// If they cannot be asked for.
pub(super) fn invalid(session: &Session) -> Result<Vec<String>, EngineError> {
    let rows = session.rows(&format!(
        "select 'index ' || n.nspname || '.' || c.relname as told from pg_index i \
           join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace \
         where not i.indisvalid and {OWN_SCHEMAS} \
         union all \
         select 'constraint ' || n.nspname || '.' || c.relname || '.' || k.conname from pg_constraint k \
           join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace \
         where not k.convalidated and {OWN_SCHEMAS}"
    ))?;
    let mut told: Vec<String> = rows.iter().map(|row| row.text(0).to_owned()).collect();
    told.sort();
    Ok(told)
}

/// What a logical backup of this database does not hold, each with the reason.
///
/// # Errors
/// If it cannot be asked for.
pub(super) fn left_out(session: &Session) -> Result<Vec<String>, EngineError> {
    let mut told = Vec::new();
    let foreign = session.rows(&format!(
        "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace \
         where c.relkind = 'f' and {OWN_SCHEMAS} order by 1, 2"
    ))?;
    for row in &foreign {
        let table = name::qualified(row.text(0), row.text(1));
        told.push(format!(
            "rows of the foreign table {table}: they lie on another server"
        ));
    }
    let mut secret = vec![];
    secret.extend(session.rows(
        "select 'the password of user mapping ' || usename || ' for server ' || srvname \
         from pg_user_mappings where umoptions is null and not current_setting('is_superuser')::bool",
    )?);
    secret.extend(session.rows(
        "select 'the subscription ' || quote_ident(subname) from pg_subscription \
         where subdbid = (select oid from pg_database where datname = current_database()) \
           and not current_setting('is_superuser')::bool",
    )?);
    for row in &secret {
        told.push(format!("{}: only a superuser can read it", row.text(0)));
    }
    for table in unread(session)? {
        told.push(format!(
            "what the unlogged {} holds: {}",
            table.quoted(),
            table.reason
        ));
    }
    Ok(told)
}

/// Tables and sequences whose contents cannot be read here: on a standby, those that are unlogged.
///
/// # Errors
/// If they cannot be asked for.
pub(super) fn unread(session: &Session) -> Result<Vec<Unread>, EngineError> {
    if !session.in_recovery() {
        return Ok(Vec::new());
    }
    let rows = session.rows(&format!(
        "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace \
         where c.relkind in ('r', 'S') and c.relpersistence = 'u' and {OWN_SCHEMAS} order by 1, 2"
    ))?;
    let unread = |row: &Row| Unread {
        schema: row.text(0).to_owned(),
        name: row.text(1).to_owned(),
        reason: "a standby does not have it".to_owned(),
    };
    Ok(rows.iter().map(unread).collect())
}
