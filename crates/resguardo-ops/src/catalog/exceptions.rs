//! Exceptions: opened, seen again, over, resolved. Their receipts in the vault are the truth of openings and
//! resolutions; that one holds no more is known only here, and found again by the next look.

use resguardo_model::VaultId;
use rusqlite::{Row, params};

use super::{Catalog, CatalogError, from_json, optional, parsed};
use crate::exception::{Exception, Resolved};

/// In the order in which they are read.
const COLUMNS: &str = "id, source, what, times, opened_at, seen_at, good_at, opened_receipt, \
     resolved_at, resolved_by, note, resolved_receipt";

impl Catalog {
    /// Open ones, oldest first; or the newest of all, newest first.
    pub(crate) fn exceptions(
        &self,
        vault: VaultId,
        resolved_too: bool,
        exceptions_max: u32,
    ) -> Result<Vec<Exception>, CatalogError> {
        let failed = CatalogError::sqlite("reading the exceptions of");
        let clause = if resolved_too {
            "order by opened_at desc, id desc"
        } else {
            "and resolved_at is null order by opened_at, id"
        };
        let sql = format!("select {COLUMNS} from exceptions where vault = ?1 {clause} limit ?2");
        let connection = self.lock();
        let mut statement = connection.prepare_cached(&sql).map_err(&failed)?;
        let rows = statement
            .query_map(params![vault.to_string(), exceptions_max], exception)
            .map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(&failed)
    }
}

fn exception(row: &Row<'_>) -> rusqlite::Result<Exception> {
    let what: resguardo_model::What = from_json(row, 2)?;
    let resolved = optional(row, 8)?.map(|at| {
        Ok::<_, rusqlite::Error>(Resolved {
            at,
            by: row.get::<_, Option<String>>(9)?.unwrap_or_default(),
            note: row.get::<_, Option<String>>(10)?.unwrap_or_default(),
            receipt: row.get(11)?,
        })
    });
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
        resolved: resolved.transpose()?,
    })
}
