//! What was done here by whom, until and after it is signed. The receipts in the vault are the truth of what was
//! signed; whoever loses the catalog reads them again.
//!
//! A receipt is signed after its row is written: `signing_since` says that somebody does, so that two never sign
//! the same. What was not signed within [`SIGNING`] is signed by the next who looks.

use std::collections::{BTreeMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, Row, params};

use super::{Catalog, CatalogError, optional, parsed};
use crate::audit::Entry;

/// How long somebody may take to sign.
const SIGNING: SignedDuration = SignedDuration::from_mins(10);
/// Entries that wait for a signature; the oldest goes first.
const UNSIGNED_MAX: u32 = 20_000;
/// Entries that are signed at once.
const CLAIMED_MAX: u32 = 100;

/// In the order in which they are read.
const COLUMNS: &str = "id, at, who, origin, what, object, source, outcome, receipt";

impl Catalog {
    /// Writes one down.
    pub(crate) fn add_audit(&self, entry: &Entry) -> Result<(), CatalogError> {
        self.in_transaction("writing down what was done in", |connection| {
            insert(connection, entry)?;
            let sql = "delete from audit where receipt is null and id not in \
                       (select id from audit where receipt is null order by at desc limit ?1)";
            connection.prepare_cached(sql)?.execute([UNSIGNED_MAX])?;
            Ok(())
        })
    }

    /// The newest first.
    pub(crate) fn audit(&self, entries_max: u32) -> Result<Vec<Entry>, CatalogError> {
        let sql = format!("select {COLUMNS} from audit order by at desc, id desc limit ?1");
        let failed = CatalogError::sqlite("reading what was done in");
        let connection = self.lock();
        let mut statement = connection.prepare_cached(&sql).map_err(&failed)?;
        let rows = statement.query_map([entries_max], entry).map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(&failed)
    }

    /// When each user last logged in.
    pub(crate) fn last_logins(&self) -> Result<BTreeMap<String, Timestamp>, CatalogError> {
        let sql = "select who, max(at) from audit where what = 'login' group by who";
        let failed = CatalogError::sqlite("reading what was done in");
        let connection = self.lock();
        let mut statement = connection.prepare_cached(sql).map_err(&failed)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, parsed(row, 1)?)));
        let rows = rows.map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(&failed)
    }

    /// Whether there is anything that nobody has signed.
    pub(crate) fn has_unsigned_audit(&self) -> Result<bool, CatalogError> {
        let sql = "select exists (select 1 from audit where receipt is null)";
        let connection = self.lock();
        let found = connection.query_row(sql, [], |row| row.get(0));
        found.map_err(CatalogError::sqlite("reading what was done in"))
    }

    /// Claims the oldest ones that nobody has signed yet, and nobody signs now.
    pub(crate) fn claim_unsigned_audit(&self, now: Timestamp) -> Result<Vec<Entry>, CatalogError> {
        self.in_immediate("writing down what was done in", |connection| {
            let sql = format!(
                "select {COLUMNS}, signing_since from audit where receipt is null \
                 order by at, id limit {CLAIMED_MAX}"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map([], |row| {
                let since: Option<Timestamp> = optional(row, 9)?;
                Ok((entry(row)?, since))
            })?;
            let mut free = Vec::new();
            for row in rows {
                let (entry, since) = row?;
                // A clock that was set back must not keep anybody from it.
                if since.is_none_or(|since| now.duration_since(since).abs() > SIGNING) {
                    free.push(entry);
                }
            }
            let sql = "update audit set signing_since = ?2 where id = ?1";
            let mut claim = connection.prepare_cached(sql)?;
            for entry in &free {
                claim.execute(params![entry.id.to_string(), now.to_string()])?;
            }
            Ok(free)
        })
    }

    /// Names the receipt of one, or says that nobody signs it any more.
    pub(crate) fn audit_signed(
        &self,
        id: resguardo_model::RunId,
        receipt: Option<&str>,
    ) -> Result<(), CatalogError> {
        let sql =
            "update audit set receipt = coalesce(?2, receipt), signing_since = null where id = ?1";
        let done = self.lock().execute(sql, params![id.to_string(), receipt]);
        done.map(drop)
            .map_err(CatalogError::sqlite("writing down what was done in"))
    }

    /// Takes over what receipts tell and this catalog does not know.
    pub(crate) fn take_audit(&self, entries: &[Entry]) -> Result<(), CatalogError> {
        self.in_transaction("writing down what was done in", |connection| {
            let known: HashSet<String> = connection
                .prepare_cached("select id from audit where receipt is not null")?
                .query_map([], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            let new = entries
                .iter()
                .filter(|entry| !known.contains(&entry.id.to_string()));
            for entry in new {
                insert(connection, entry)?;
            }
            Ok(())
        })
    }
}

fn insert(connection: &Connection, entry: &Entry) -> rusqlite::Result<()> {
    let sql = "insert into audit (id, at, who, origin, what, object, source, outcome, receipt) \
               values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
               on conflict (id) do update set receipt = coalesce(excluded.receipt, receipt)";
    connection.prepare_cached(sql)?.execute(params![
        entry.id.to_string(),
        entry.at.to_string(),
        entry.who,
        entry.origin,
        entry.what,
        entry.object,
        entry.source.as_ref().map(ToString::to_string),
        entry.outcome,
        entry.receipt,
    ])?;
    Ok(())
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        id: parsed(row, 0)?,
        at: parsed(row, 1)?,
        who: row.get(2)?,
        origin: row.get(3)?,
        what: row.get(4)?,
        object: row.get(5)?,
        source: optional(row, 6)?,
        outcome: row.get(7)?,
        receipt: row.get(8)?,
    })
}
