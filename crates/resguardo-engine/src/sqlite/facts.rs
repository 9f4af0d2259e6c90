//! What is known of a database's data: schema digest, tables and rows, settings. Read through a
//! connection whose transaction the caller holds, so that all of it is of one snapshot.
//!
//! A table is what has a tree of rows of its own: ordinary tables and the shadow tables that full-text
//! and R-tree indexes keep their data in, and SQLite's own `sqlite_sequence` and `sqlite_stat1`, so that the
//! list is what `sqlite_schema` holds. Views and virtual tables have no rows of their own.

use std::collections::BTreeMap;
use std::path::Path;

use resguardo_model::{EngineKind, Sha256Digest, SourceFacts, TableFacts};
use rusqlite::Connection;
use serde_json::Value;
use sha2::Digest as _;

use super::failure::{of_sqlite, place};
use super::header::Header;
use crate::port::EngineError;

/// Everything but the details, which the capture adds to.
pub(super) fn gather(connection: &Connection) -> Result<SourceFacts, rusqlite::Error> {
    Ok(SourceFacts {
        engine: EngineKind::Sqlite,
        server_version: rusqlite::version().to_owned(),
        schema_sha256: schema_digest(connection)?,
        tables: count_tables(connection)?,
        details: BTreeMap::new(),
    })
}

/// SHA-256 over type, name, table and SQL of every object in the order of type and name, each text
/// behind its length. The root pages are left out: `VACUUM` moves them and changes no schema.
pub(super) fn schema_digest(connection: &Connection) -> Result<Sha256Digest, rusqlite::Error> {
    let mut statement = connection.prepare(
        "select type, name, tbl_name, coalesce(sql, '') from sqlite_schema \
         order by type, name, tbl_name, 4",
    )?;
    let mut rows = statement.query([])?;
    let mut hasher = sha2::Sha256::new();
    while let Some(row) = rows.next()? {
        for column in 0..4 {
            let text = row.get_ref(column)?.as_bytes().unwrap_or_default();
            hasher.update((text.len() as u64).to_be_bytes());
            hasher.update(text);
        }
    }
    Ok(hasher.into())
}

/// Names of all tables, in their order.
pub(super) fn table_names(connection: &Connection) -> Result<Vec<String>, rusqlite::Error> {
    names(
        connection,
        "select name from sqlite_schema where type = 'table' and rootpage > 0 order by name",
    )
}

fn virtual_table_names(connection: &Connection) -> Result<Vec<String>, rusqlite::Error> {
    names(
        connection,
        "select name from sqlite_schema where type = 'table' and coalesce(rootpage, 0) = 0 \
         order by name",
    )
}

fn names(connection: &Connection, sql: &str) -> Result<Vec<String>, rusqlite::Error> {
    connection
        .prepare(sql)?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// Every table with its number of rows.
pub(super) fn count_tables(connection: &Connection) -> Result<Vec<TableFacts>, rusqlite::Error> {
    table_names(connection)?
        .into_iter()
        .map(|name| {
            let rows = count(connection, &name)?;
            Ok(TableFacts {
                name,
                rows,
                rows_digest: None,
            })
        })
        .collect()
}

/// Number of rows. SQLite walks the smallest tree that holds them all, which may be an index; where an
/// index needs a collation that only its application knows, it walks the table itself.
pub(super) fn count(connection: &Connection, table: &str) -> Result<u64, rusqlite::Error> {
    let table = quoted(table);
    let ask = |how: &str| {
        connection.query_row(
            &format!("select count(*) from main.{table}{how}"),
            [],
            |row| row.get::<_, i64>(0),
        )
    };
    let rows = match ask("") {
        Err(error) if error.to_string().contains("no such collation") => ask(" not indexed")?,
        other => other?,
    };
    Ok(rows.unsigned_abs())
}

/// A name as an SQL identifier.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The header of the database as the transaction sees it.
pub(super) fn header(connection: &Connection, path: &Path) -> Result<Header, EngineError> {
    let page: Vec<u8> = connection
        .query_row("select data from sqlite_dbpage where pgno = 1", [], |row| {
            row.get(0)
        })
        .map_err(|error| of_sqlite("reading the header of", path, error))?;
    Header::parse(&page).map_err(|error| EngineError::Corrupt {
        place: place(path),
        why: error.to_string(),
    })
}

/// The facts of SQLite alone.
pub(super) fn details(
    connection: &Connection,
    header: &Header,
    pages: u64,
) -> Result<BTreeMap<String, Value>, rusqlite::Error> {
    let mut details = BTreeMap::from([
        ("page_size".to_owned(), header.page_bytes.into()),
        ("page_count".to_owned(), pages.into()),
        ("freelist_count".to_owned(), header.freelist_count.into()),
        ("encoding".to_owned(), header.encoding.into()),
        ("auto_vacuum".to_owned(), header.auto_vacuum.into()),
        ("user_version".to_owned(), header.user_version.into()),
        ("application_id".to_owned(), header.application_id.into()),
        ("journal_mode".to_owned(), journal_mode(header).into()),
        ("sqlite_version".to_owned(), rusqlite::version().into()),
    ]);
    let virtual_tables = virtual_table_names(connection)?;
    if !virtual_tables.is_empty() {
        details.insert("virtual_tables".to_owned(), virtual_tables.into());
    }
    Ok(details)
}

/// `wal` or `rollback`: what the file itself says. The kinds of rollback journal are each connection's.
pub(super) fn journal_mode(header: &Header) -> &'static str {
    if header.wal { "wal" } else { "rollback" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(script: &str) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(script).unwrap();
        connection
    }

    fn counts(connection: &Connection) -> Vec<(String, u64)> {
        count_tables(connection)
            .unwrap()
            .into_iter()
            .map(|table| (table.name, table.rows))
            .collect()
    }

    #[test]
    fn every_kind_of_table_is_counted_and_nothing_else() {
        let connection = database(
            "create table \"select\" (id integer primary key autoincrement, a);
             insert into \"select\" (a) values (1), (2), (3);
             create table \"a \"\"b\"\" ñ'\" (x);
             insert into \"a \"\"b\"\" ñ'\" values (null);
             create table pairs (a, b, primary key (a, b)) without rowid;
             insert into pairs values (1, 1), (1, 2);
             create index part on \"select\" (a) where a > 2;
             create view looks as select * from pairs;
             create virtual table notes using fts5(body);
             insert into notes values ('hola');
             create table sqliteish (a);
             analyze;",
        );
        let counts = counts(&connection);
        for (name, rows) in [
            ("select", 3),
            ("a \"b\" ñ'", 1),
            ("pairs", 2),
            ("sqliteish", 0),
            ("sqlite_sequence", 1),
        ] {
            assert!(counts.contains(&(name.to_owned(), rows)), "{counts:?}");
        }
        assert!(counts.iter().any(|(name, _)| name == "notes_content"));
        assert!(counts.iter().any(|(name, _)| name == "sqlite_stat1"));
        for absent in ["looks", "notes"] {
            assert!(counts.iter().all(|(name, _)| name != absent), "{absent}");
        }
        assert_eq!(virtual_table_names(&connection).unwrap(), ["notes"]);
    }

    #[test]
    fn the_schema_digest_is_of_the_schema_alone() {
        let script = "create table t (a); create index i on t (a); create table u (b);";
        let one = database(script);
        let digest = schema_digest(&one).unwrap();
        one.execute_batch("insert into t values (1); drop table u; create table u (b); vacuum")
            .unwrap();
        assert_eq!(schema_digest(&one).unwrap(), digest);
        one.execute_batch("alter table u add column c").unwrap();
        assert_ne!(schema_digest(&one).unwrap(), digest);
    }
}
