//! What lies in a database: nothing, or what somebody made there.
//!
//! INVARIANT: nothing of a user's is ever taken for empty (`whatever_a_user_makes_counts`): every object that
//! is not PostgreSQL's own and not an extension's counts, the extensions themselves but plpgsql too.

use resguardo_model::size::ByteSize;

use super::session::Session;
use crate::port::{EngineError, TargetState};

/// Objects from this oid on are not part of every new database (`FirstNormalObjectId`).
const FIRST_OWN_OID: u32 = 16384;

/// What a catalog's rows are for people, and which of them to count.
struct Kind {
    one: &'static str,
    many: &'static str,
    catalog: &'static str,
    condition: &'static str,
}

const KINDS: [Kind; 21] = [
    kind("table", "tables", "pg_class", "relkind in ('r', 'p', 'f')"),
    kind("view", "views", "pg_class", "relkind in ('v', 'm')"),
    kind("sequence", "sequences", "pg_class", "relkind = 'S'"),
    kind("function", "functions", "pg_proc", "true"),
    kind(
        "type",
        "types",
        "pg_type",
        "typtype in ('d', 'e', 'r') or (typtype = 'c' and exists (select from pg_catalog.pg_class c \
         where c.oid = o.typrelid and c.relkind = 'c'))",
    ),
    kind(
        "schema",
        "schemas",
        "pg_namespace",
        "nspname !~ '^pg_(toast_)?temp_'",
    ),
    kind(
        "extension",
        "extensions",
        "pg_extension",
        "extname <> 'plpgsql'",
    ),
    kind("operator", "operators", "pg_operator", "true"),
    kind(
        "event trigger",
        "event triggers",
        "pg_event_trigger",
        "true",
    ),
    kind("publication", "publications", "pg_publication", "true"),
    kind(
        "foreign server",
        "foreign servers",
        "pg_foreign_server",
        "true",
    ),
    kind(
        "text search configuration",
        "text search configurations",
        "pg_ts_config",
        "true",
    ),
    kind(
        "text search dictionary",
        "text search dictionaries",
        "pg_ts_dict",
        "true",
    ),
    kind("collation", "collations", "pg_collation", "true"),
    kind("conversion", "conversions", "pg_conversion", "true"),
    kind("cast", "casts", "pg_cast", "true"),
    kind(
        "foreign data wrapper",
        "foreign data wrappers",
        "pg_foreign_data_wrapper",
        "true",
    ),
    kind(
        "language",
        "languages",
        "pg_language",
        "lanname <> 'plpgsql'",
    ),
    kind("access method", "access methods", "pg_am", "true"),
    kind(
        "default privilege",
        "default privileges",
        "pg_default_acl",
        "true",
    ),
    kind(
        "large object",
        "large objects",
        "pg_largeobject_metadata",
        "true",
    ),
];

const fn kind(
    one: &'static str,
    many: &'static str,
    catalog: &'static str,
    condition: &'static str,
) -> Kind {
    Kind {
        one,
        many,
        catalog,
        condition,
    }
}

/// What lies in the database of `session`.
///
/// # Errors
/// If the catalogs cannot be read.
pub(super) fn state(session: &Session) -> Result<TargetState, EngineError> {
    let counts: Vec<String> = KINDS.iter().map(count).collect();
    let query = format!(
        "select {}, pg_catalog.pg_database_size(pg_catalog.current_database())",
        counts.join(", ")
    );
    let rows = session.rows(&query)?;
    let row = rows.first().ok_or_else(|| EngineError::Other {
        operation: "counting what is in",
        place: session.settings().describe(),
        source: "the server answered nothing".into(),
    })?;
    let found =
        KINDS
            .iter()
            .enumerate()
            .filter_map(|(column, kind)| match row.number::<u64>(column) {
                0 => None,
                1 => Some(format!("1 {}", kind.one)),
                count => Some(format!("{count} {}", kind.many)),
            });
    let found: Vec<_> = found.collect();
    if found.is_empty() {
        return Ok(TargetState::Empty);
    }
    let size = ByteSize(row.number(KINDS.len()));
    Ok(TargetState::Occupied {
        name: session.settings().database().to_owned(),
        contents: format!("{}, {size}", found.join(", ")),
    })
}

/// A subquery that counts what is of `kind` and a user's. Types and functions of extensions come with them.
fn count(kind: &Kind) -> String {
    let Kind {
        catalog, condition, ..
    } = kind;
    let temporary = if *catalog == "pg_class" {
        " and relpersistence <> 't'"
    } else {
        ""
    };
    // `public` has an oid of its own in some versions, and a dropped and made one always.
    let public = if *catalog == "pg_namespace" {
        " and nspname <> 'public'"
    } else {
        ""
    };
    // A large object has whatever number its maker chose.
    let first = if *catalog == "pg_largeobject_metadata" {
        0
    } else {
        FIRST_OWN_OID
    };
    format!(
        "(select pg_catalog.count(*) from pg_catalog.{catalog} o where o.oid >= {first} \
         and ({condition}){temporary}{public} and not exists (select from pg_catalog.pg_depend d \
         where d.classid = 'pg_catalog.{catalog}'::pg_catalog.regclass and d.objid = o.oid \
         and d.deptype = 'e'))"
    )
}
