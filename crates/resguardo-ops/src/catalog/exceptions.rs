//! Exceptions: opened, seen again, over, resolved. Their receipts in the vault are the truth of openings and
//! resolutions; that one holds no more is known only here, and found again by the next look.
//!
//! INVARIANT: of a source one of each kind is open at most. Whoever opens one looks and writes in a single
//! immediate transaction (`two_who_look_at_once_open_one`).
//!
//! A receipt is signed by whoever wrote the row, after it: `signing_since` says that somebody does, so
//! that two never sign the same. What was not signed within [`SIGNING`] is signed by the next who looks.

use jiff::{SignedDuration, Timestamp};
use resguardo_model::{ExceptionKind, RunId, SourceName, VaultId};
use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params};

use super::{Catalog, CatalogError, from_json, optional, parsed, to_json};
use crate::exception::{Exception, Resolved};

/// How long somebody may take to sign.
const SIGNING: SignedDuration = SignedDuration::from_mins(10);

/// In the order in which they are read.
const COLUMNS: &str = "id, source, what, times, opened_at, seen_at, good_at, opened_receipt, \
     resolved_at, resolved_by, note, resolved_receipt, resolved_run";

/// Exceptions of one vault, while nobody else writes.
pub(crate) struct Exceptions<'a> {
    connection: &'a Connection,
    vault: VaultId,
}

impl Catalog {
    /// Open ones, oldest first; or the newest of all, newest first.
    pub(crate) fn exceptions(
        &self,
        vault: VaultId,
        resolved_too: bool,
        exceptions_max: u32,
    ) -> Result<Vec<Exception>, CatalogError> {
        let clause = if resolved_too {
            "order by opened_at desc, id desc"
        } else {
            "and resolved_at is null order by opened_at, id"
        };
        read(&self.lock(), vault, clause, exceptions_max)
            .map_err(CatalogError::sqlite("reading the exceptions of"))
    }

    /// Looks and writes while nobody else does.
    pub(crate) fn with_exceptions<T>(
        &self,
        vault: VaultId,
        work: impl FnOnce(&Exceptions<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, CatalogError> {
        let failed = CatalogError::sqlite("writing exceptions to");
        let mut connection = self.lock();
        // Immediate: two who look at once must not both find that nothing is open.
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(&failed)?;
        let exceptions = Exceptions {
            connection: &transaction,
            vault,
        };
        let answer = work(&exceptions).map_err(&failed)?;
        transaction.commit().map_err(&failed)?;
        Ok(answer)
    }

    /// Names the receipt of an opening (`resolution`: of a resolution) that was signed, or says that
    /// nobody signs it any more.
    pub(crate) fn signed(
        &self,
        id: RunId,
        resolution: bool,
        receipt: Option<&str>,
    ) -> Result<(), CatalogError> {
        let column = if resolution {
            "resolved_receipt"
        } else {
            "opened_receipt"
        };
        let sql = format!(
            "update exceptions set {column} = coalesce(?2, {column}), signing_since = null where id = ?1"
        );
        self.lock()
            .execute(&sql, params![id.to_string(), receipt])
            .map(|_| ())
            .map_err(CatalogError::sqlite("writing exceptions to"))
    }
}

impl Exceptions<'_> {
    /// The newest of a source and kind.
    pub(crate) fn newest(
        &self,
        source: &SourceName,
        kind: ExceptionKind,
    ) -> rusqlite::Result<Option<Exception>> {
        let sql = format!(
            "select {COLUMNS} from exceptions where vault = ?1 and source = ?2 and kind = ?3
             order by resolved_at is null desc, opened_at desc, id desc limit 1"
        );
        self.connection
            .prepare_cached(&sql)?
            .query_row(
                params![self.vault.to_string(), source.as_str(), kind.word()],
                exception,
            )
            .optional()
    }

    /// One of them.
    pub(crate) fn get(&self, id: RunId) -> rusqlite::Result<Option<Exception>> {
        let sql = format!("select {COLUMNS} from exceptions where vault = ?1 and id = ?2");
        self.connection
            .prepare_cached(&sql)?
            .query_row([self.vault.to_string(), id.to_string()], exception)
            .optional()
    }

    /// Those that are open.
    pub(crate) fn open(&self) -> rusqlite::Result<Vec<Exception>> {
        let clause = "and resolved_at is null order by opened_at, id";
        read(self.connection, self.vault, clause, u32::MAX)
    }

    /// Writes one down, or what became of it. What was signed stays signed.
    pub(crate) fn put(&self, one: &Exception) -> rusqlite::Result<()> {
        let resolved = one.resolved.as_ref();
        self.connection
            .prepare_cached(
                "insert into exceptions (id, vault, source, kind, what, times, opened_at, seen_at, good_at,
                     opened_receipt, resolved_at, resolved_by, note, resolved_run, resolved_receipt)
                 values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
                 on conflict (id) do update set what = excluded.what, times = excluded.times,
                     seen_at = excluded.seen_at, good_at = excluded.good_at,
                     opened_receipt = coalesce(excluded.opened_receipt, opened_receipt),
                     resolved_at = excluded.resolved_at, resolved_by = excluded.resolved_by,
                     note = excluded.note, resolved_run = excluded.resolved_run,
                     resolved_receipt = coalesce(excluded.resolved_receipt, resolved_receipt)",
            )?
            .execute(params![
                one.id.to_string(),
                self.vault.to_string(),
                one.source.as_str(),
                one.kind.word(),
                to_json(&one.what),
                one.times,
                one.opened_at.to_string(),
                one.seen_at.to_string(),
                one.good_at.map(|at| at.to_string()),
                one.receipt,
                resolved.map(|resolved| resolved.at.to_string()),
                resolved.map(|resolved| &resolved.by),
                resolved.map(|resolved| &resolved.note),
                resolved.map(|resolved| resolved.run.to_string()),
                resolved.and_then(|resolved| resolved.receipt.as_deref()),
            ])?;
        Ok(())
    }

    /// Claims those that nobody has signed yet, and nobody signs now.
    pub(crate) fn claim_unsigned(&self, now: Timestamp) -> rusqlite::Result<Vec<Exception>> {
        let unsigned =
            "(opened_receipt is null or resolved_at is not null and resolved_receipt is null)";
        let clause = format!("and {unsigned} order by opened_at, id");
        let sql = format!(
            "select {COLUMNS}, signing_since from exceptions where vault = ?1 {clause} limit 1000"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map([self.vault.to_string()], |row| {
            let since: Option<Timestamp> = optional(row, 13)?;
            Ok((exception(row)?, since))
        })?;
        let mut free = Vec::new();
        for row in rows {
            let (exception, since) = row?;
            // A clock that was set back must not keep anybody from it.
            if since.is_none_or(|since| now.duration_since(since).abs() > SIGNING) {
                free.push(exception);
            }
        }
        let mut claim = self
            .connection
            .prepare_cached("update exceptions set signing_since = ?2 where id = ?1")?;
        for exception in &free {
            claim.execute(params![exception.id.to_string(), now.to_string()])?;
        }
        Ok(free)
    }
}

fn read(
    connection: &Connection,
    vault: VaultId,
    clause: &str,
    exceptions_max: u32,
) -> rusqlite::Result<Vec<Exception>> {
    let sql = format!("select {COLUMNS} from exceptions where vault = ?1 {clause} limit ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params![vault.to_string(), exceptions_max], exception)?;
    rows.collect()
}

fn exception(row: &Row<'_>) -> rusqlite::Result<Exception> {
    let what: resguardo_model::What = from_json(row, 2)?;
    let resolved = match optional(row, 8)? {
        Some(at) => Some(Resolved {
            at,
            by: row.get::<_, Option<String>>(9)?.unwrap_or_default(),
            note: row.get::<_, Option<String>>(10)?.unwrap_or_default(),
            receipt: row.get(11)?,
            run: parsed(row, 12)?,
        }),
        None => None,
    };
    Ok(Exception {
        id: parsed(row, 0)?,
        source: parsed(row, 1)?,
        kind: what.kind(),
        what,
        times: row.get(3)?,
        opened_at: parsed(row, 4)?,
        seen_at: parsed(row, 5)?,
        good_at: optional(row, 6)?,
        receipt: row.get(7)?,
        resolved,
    })
}
