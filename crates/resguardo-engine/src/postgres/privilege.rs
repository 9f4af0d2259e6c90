//! What the role of a backup may not read, each with the statement that mends it.

use super::catalog::OWN_SCHEMAS;
use super::name;
use super::session::Session;
use crate::port::EngineError;

/// Something that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lack {
    /// `table "public"."secrets"`.
    pub(super) object: String,
    /// Why: `SELECT is missing`.
    pub(super) why: &'static str,
    /// The statement that mends it.
    pub(super) grant: String,
}

/// Tables and sequences that a backup reads, as `c`, `n`.
const READ: &str = "c.relkind in ('r', 'p', 'S') and c.relpersistence <> 't' \
    and (not exists (select from pg_depend d where d.classid = 'pg_class'::regclass \
        and d.objid = c.oid and d.deptype = 'e') \
      or exists (select from pg_extension x where c.oid = any (x.extconfig)))";

/// Everything that a backup needs and the session's role may not read, in the order of names.
///
/// # Errors
/// If it cannot be asked for.
pub(super) fn missing(session: &Session) -> Result<Vec<Lack>, EngineError> {
    let role = session.rows("select current_user")?;
    let role = role.first().map_or("", |row| row.text(0));
    let role = name::identifier(role);
    let mut lacks = Vec::new();
    let schemas = session.rows(&format!(
        "select n.nspname from pg_namespace n where {OWN_SCHEMAS} \
           and not has_schema_privilege(n.oid, 'USAGE') \
           and exists (select from pg_class c where c.relnamespace = n.oid and {READ}) order by 1"
    ))?;
    for row in &schemas {
        let schema = name::identifier(row.text(0));
        lacks.push(Lack {
            grant: format!("GRANT USAGE ON SCHEMA {schema} TO {role}"),
            object: format!("schema {schema}"),
            why: "USAGE is missing",
        });
    }
    let relations = session.rows(&format!(
        "select n.nspname, c.relname, c.relkind = 'S' from pg_class c \
           join pg_namespace n on n.oid = c.relnamespace where {OWN_SCHEMAS} and {READ} \
           and not has_table_privilege(c.oid, 'SELECT') order by 1, 2"
    ))?;
    for row in &relations {
        let object = name::qualified(row.text(0), row.text(1));
        let kind = if row.is_true(2) { "sequence" } else { "table" };
        lacks.push(Lack {
            grant: format!(
                "GRANT SELECT ON {} {object} TO {role}",
                kind.to_ascii_uppercase()
            ),
            object: format!("{kind} {object}"),
            why: "SELECT is missing",
        });
    }
    lacks.extend(hidden_rows(session, &role)?);
    lacks.extend(large_objects(session)?);
    Ok(lacks)
}

/// Tables whose policies would hide rows.
fn hidden_rows(session: &Session, role: &str) -> Result<Vec<Lack>, EngineError> {
    let rows = session.rows(&format!(
        "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace \
         where c.relkind in ('r', 'p') and {OWN_SCHEMAS} and {READ} and c.relrowsecurity \
           and row_security_active(c.oid) order by 1, 2"
    ))?;
    let lack = |row: &super::session::Row| Lack {
        object: format!("table {}", name::qualified(row.text(0), row.text(1))),
        why: "its row security hides rows",
        grant: format!("ALTER ROLE {role} BYPASSRLS"),
    };
    Ok(rows.iter().map(lack).collect())
}

/// Large objects that cannot be read. Each has privileges of its own, and a new one none for others: only the
/// setting lasts.
fn large_objects(session: &Session) -> Result<Vec<Lack>, EngineError> {
    let readable = if session.version().major() >= 18 {
        "(current_setting('lo_compat_privileges')::bool or has_largeobject_privilege(m.oid, 'SELECT'))"
    } else {
        "(current_setting('is_superuser')::bool or current_setting('lo_compat_privileges')::bool \
          or pg_has_role(m.lomowner, 'USAGE') \
          or exists (select from aclexplode(m.lomacl) a where a.privilege_type = 'SELECT' \
             and (a.grantee = 0 or pg_has_role(a.grantee, 'USAGE'))))"
    };
    let rows = session.rows(&format!(
        "select count(*), min(m.oid), current_database() from pg_largeobject_metadata m where not {readable}"
    ))?;
    let lack = |row: &super::session::Row| {
        let number = row.text(1);
        let object = match row.number::<u64>(0) {
            0 => return None,
            1 => format!("large object {number}"),
            count => format!("{count} large objects, {number} the first,"),
        };
        Some(Lack {
            object,
            why: "SELECT is missing, which pg_read_all_data does not give",
            grant: format!(
                "ALTER DATABASE {} SET lo_compat_privileges = on",
                name::identifier(row.text(2))
            ),
        })
    };
    Ok(rows.iter().filter_map(lack).collect())
}
