//! Where the application's migrations stand, by the table in which its tool keeps notes.

use crate::port::EngineError;
use crate::postgres::inventory::Migration;
use crate::postgres::name;
use crate::postgres::session::Session;

/// A tool's table.
struct Notes {
    table: &'static str,
    /// Columns without which a table of this name is somebody else's.
    columns: &'static [&'static str],
    /// The newest version and the number of those applied, of table `{}`.
    question: &'static str,
}

const KNOWN: [Notes; 5] = [
    Notes {
        table: "_prisma_migrations",
        columns: &["migration_name", "finished_at", "rolled_back_at"],
        question: "select (array_agg(migration_name order by finished_at desc, migration_name desc))[1], count(*) \
            from {} where finished_at is not null and rolled_back_at is null",
    },
    Notes {
        table: "alembic_version",
        columns: &["version_num"],
        question: "select string_agg(version_num::text, ', ' order by version_num), count(*) from {}",
    },
    Notes {
        table: "flyway_schema_history",
        columns: &["version", "installed_rank", "success"],
        question: "select (array_agg(version::text order by installed_rank desc))[1], count(*) \
            from {} where success and version is not null",
    },
    Notes {
        table: "schema_migrations",
        columns: &["version"],
        question: "select (array_agg(version::text order by length(version::text) desc, version::text desc))[1], \
            count(*) from {}",
    },
    Notes {
        table: "django_migrations",
        columns: &["app", "name", "id"],
        question: "select (array_agg(app || '.' || name order by id desc))[1], count(*) from {}",
    },
];

/// Where migrations stand, of the first tool whose notes are found; `None` if there are none.
///
/// # Errors
/// If the notes cannot be read.
pub(in crate::postgres) fn migration(session: &Session) -> Result<Option<Migration>, EngineError> {
    for notes in KNOWN {
        let columns: Vec<String> = notes
            .columns
            .iter()
            .map(|column| name::literal(column))
            .collect();
        let found = session.rows(&format!(
            "select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace \
             where c.relname = {} and c.relkind in ('r', 'p') and c.relpersistence <> 't' \
               and (select count(*) from pg_attribute a where a.attrelid = c.oid and not a.attisdropped \
                    and a.attname in ({})) = {} \
             order by n.nspname <> 'public', n.nspname limit 1",
            name::literal(notes.table),
            columns.join(", "),
            columns.len()
        ))?;
        let Some(schema) = found.first().map(|row| row.text(0).to_owned()) else {
            continue;
        };
        let table = name::qualified(&schema, notes.table);
        let answer = session.rows(&notes.question.replace("{}", &table))?;
        if let Some(row) = answer.first()
            && let Some(version) = row.optional(0)
        {
            return Ok(Some(Migration {
                table: format!("{schema}.{}", notes.table),
                version: version.to_owned(),
                applied: row.number(1),
            }));
        }
    }
    Ok(None)
}
