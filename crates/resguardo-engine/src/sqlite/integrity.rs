//! `PRAGMA integrity_check` and `PRAGMA foreign_key_check`, with the first lines of what they find.

use rusqlite::Connection;

/// Page cache for the checks, in KiB: they come back to pages, and are half as slow again without.
const CACHE_KIB: i32 = 64 << 10;

/// Lines that are kept of what was found.
const LINES_MAX: usize = 10;

/// What SQLite finds wrong with the structure of the file; empty if nothing is.
pub(super) fn structure(connection: &Connection) -> Result<Vec<String>, rusqlite::Error> {
    remember_pages(connection)?;
    let mut statement = connection.prepare(&format!("pragma main.integrity_check({LINES_MAX})"))?;
    let lines: Vec<String> = statement
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(if lines == ["ok"] { Vec::new() } else { lines })
}

fn remember_pages(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.pragma_update(Some("main"), "cache_size", -CACHE_KIB)
}

/// A row whose parent is missing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Orphan {
    /// The table it is in.
    pub(super) table: String,
    /// Its row id; a table without row ids has none.
    pub(super) row: Option<i64>,
    /// The table its parent should be in.
    pub(super) parent: String,
    /// Which foreign key of the table, counted from 0.
    pub(super) key: i64,
}

/// Every row that names a parent which is not there.
pub(super) fn orphans(connection: &Connection) -> Result<Vec<Orphan>, rusqlite::Error> {
    remember_pages(connection)?;
    connection
        .prepare("pragma main.foreign_key_check")?
        .query_map([], |row| {
            Ok(Orphan {
                table: row.get(0)?,
                row: row.get(1)?,
                parent: row.get(2)?,
                key: row.get(3)?,
            })
        })?
        .collect()
}

/// Orphans in words, by table and parent: `3 rows of orders name no row of customer`.
pub(super) fn describe(orphans: &[Orphan]) -> String {
    let mut groups: std::collections::BTreeMap<(&str, &str), u64> =
        std::collections::BTreeMap::new();
    for orphan in orphans {
        *groups.entry((&orphan.table, &orphan.parent)).or_default() += 1;
    }
    let mut words: Vec<String> = groups
        .iter()
        .take(LINES_MAX)
        .map(|((table, parent), rows)| match rows {
            1 => format!("1 row of {table} names no row of {parent}"),
            rows => format!("{rows} rows of {table} name no row of {parent}"),
        })
        .collect();
    if groups.len() > LINES_MAX {
        words.push("...".to_owned());
    }
    words.join(", ")
}
