//! The tables of a database.

use std::collections::HashMap;

use super::OWN_SCHEMAS;
use crate::port::EngineError;
use crate::postgres::name;
use crate::postgres::rows::{SHAPE, Shape};
use crate::postgres::session::{Row, Session};

/// A table that a backup carries: the user's own, or one of an extension's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::postgres) struct Relation {
    pub(in crate::postgres) oid: u32,
    pub(in crate::postgres) schema: String,
    pub(in crate::postgres) name: String,
    /// It has partitions and no rows of its own.
    pub(in crate::postgres) is_partitioned: bool,
    /// A standby has none of its rows.
    pub(in crate::postgres) is_unlogged: bool,
    /// Which rows are the user's, of an extension's table: SQL with `WHERE`, or nothing.
    pub(in crate::postgres) condition: String,
    /// All but generated ones.
    pub(in crate::postgres) columns: Vec<String>,
}

impl Relation {
    /// Schema and name in quotes, for SQL.
    pub(in crate::postgres) fn quoted(&self) -> String {
        name::qualified(&self.schema, &self.name)
    }
}

/// Every table, in the order of schema and name. Tables that an extension makes again are not among them.
///
/// # Errors
/// If they cannot be asked for.
pub(in crate::postgres) fn relations(session: &Session) -> Result<Vec<Relation>, EngineError> {
    let rows = session.rows(&format!(
        "with config as (select u.oid, u.condition from pg_extension x, \
           unnest(x.extconfig, x.extcondition) as u(oid, condition)) \
         select c.oid, n.nspname, c.relname, c.relkind = 'p', c.relpersistence = 'u', config.condition, \
           (select coalesce(json_agg(a.attname order by a.attnum), '[]') from pg_attribute a \
            where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '') \
         from pg_class c join pg_namespace n on n.oid = c.relnamespace \
           left join config on config.oid = c.oid \
         where c.relkind in ('r', 'p') and c.relpersistence <> 't' and {OWN_SCHEMAS} \
           and (config.oid is not null or not exists (select from pg_depend d \
             where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')) \
         order by n.nspname, c.relname"
    ))?;
    rows.iter()
        .map(|row| relation(session, row))
        .collect::<Result<_, _>>()
}

fn relation(session: &Session, row: &Row) -> Result<Relation, EngineError> {
    let columns = serde_json::from_str(row.text(6)).map_err(|error| EngineError::Other {
        operation: "reading the columns of",
        place: session.settings().table(row.text(1), row.text(2)),
        source: Box::new(error),
    })?;
    Ok(Relation {
        oid: row.number(0),
        schema: row.text(1).to_owned(),
        name: row.text(2).to_owned(),
        is_partitioned: row.is_true(3),
        is_unlogged: row.is_true(4),
        condition: row.text(5).to_owned(),
        columns,
    })
}

/// How tables lie on disk, by oid. It waits for locks on them.
///
/// # Errors
/// If it cannot be asked for.
pub(in crate::postgres) fn sizes(
    session: &Session,
    oids: &[u32],
) -> Result<HashMap<u32, Shape>, EngineError> {
    let oids: Vec<String> = oids.iter().map(u32::to_string).collect();
    let rows = session.rows(&format!(
        "select c.oid, {SHAPE} from pg_class c left join pg_am a on a.oid = c.relam \
         where c.oid = any ('{{{}}}'::oid[])",
        oids.join(",")
    ))?;
    let size = |row: &Row| (row.number(0), Shape::of(row, 1));
    Ok(rows.iter().map(size).collect())
}
