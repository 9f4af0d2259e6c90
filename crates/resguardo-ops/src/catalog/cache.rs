//! What was seen of the vault: heads and receipts by their keys. Both never change once they are
//! written; one that the vault no longer holds is forgotten.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use resguardo_model::{Head, Sha256Digest, SourceName, VaultId, WriterId};
use resguardo_vault::StoredHead;
use rusqlite::{Row, params};
use serde::de::DeserializeOwned;

use super::{Catalog, CatalogError, from_json, parsed, to_json};
use crate::copy::Copied;
use crate::history::{Drilled, Told};
use crate::status::{SourceHeads, Sources, Stale, Stated};

/// A head as it was seen. Whether its writer is trusted is not kept: that is asked anew each time.
#[derive(Clone, Debug)]
pub(crate) struct CachedHead {
    pub(crate) sha256: Sha256Digest,
    pub(crate) head: Head,
}

/// A receipt as it was seen, and what it says of a backup if it is one of a drill. Whether its writer is
/// trusted is asked anew each time.
#[derive(Clone, Debug)]
pub(crate) struct CachedReceipt<'a> {
    pub(crate) key: &'a str,
    pub(crate) bytes: &'a [u8],
    pub(crate) writer: WriterId,
    pub(crate) sha256: Sha256Digest,
    pub(crate) drilled: Option<Drilled>,
    pub(crate) told: Option<Told>,
    pub(crate) copied: Option<Copied>,
    pub(crate) stated: Option<Stated>,
}

/// The key of a receipt, its writer and digest, and what it said.
pub(crate) type Said<T> = (String, WriterId, Sha256Digest, T);

impl Catalog {
    /// The heads of a vault that were seen before, by their keys.
    pub(crate) fn heads(
        &self,
        vault: VaultId,
    ) -> Result<HashMap<String, CachedHead>, CatalogError> {
        let failed = CatalogError::sqlite("reading the heads of");
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached("select key, sha256, head from heads where vault = ?1")
            .map_err(&failed)?;
        let rows = statement
            .query_map([vault.to_string()], cached_head)
            .map_err(&failed)?;
        // A row of another version is no more than a head that is fetched again.
        Ok(rows.filter_map(Result::ok).collect())
    }

    /// The heads of a vault that were seen before, as much of them as standings are made of. Only what was
    /// written since the last time is read.
    pub(crate) fn seen_heads(&self, vault: VaultId) -> Result<Sources, CatalogError> {
        let version = self.data_version()?;
        let mut before = self.seen().before(vault, version);
        match &before.stale {
            Stale::Everything => before.sources = self.all_seen_heads(vault)?,
            Stale::These(stale) if stale.is_empty() => return Ok(before.sources),
            Stale::These(stale) => {
                for source in stale {
                    let heads = self.heads_of(vault, source)?;
                    let heads = SourceHeads::of(&as_stored(heads));
                    if heads.heads.is_empty() {
                        before.sources.remove(source);
                    } else {
                        before.sources.insert(source.clone(), Arc::new(heads));
                    }
                }
            }
        }
        self.seen().put(vault, version, &before);
        Ok(before.sources)
    }

    /// The sources of a vault whose heads were seen before.
    pub(crate) fn sources_of_heads(
        &self,
        vault: VaultId,
    ) -> Result<BTreeSet<SourceName>, CatalogError> {
        let failed = CatalogError::sqlite("reading the sources of");
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(
                "select distinct substr(key, 1, instr(key, '/') - 1) from heads where vault = ?1",
            )
            .map_err(&failed)?;
        let rows = statement
            .query_map([vault.to_string()], |row| row.get::<_, String>(0))
            .map_err(&failed)?;
        let names: Vec<String> = rows.collect::<Result<_, _>>().map_err(&failed)?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Changes with whatever another connection writes.
    fn data_version(&self) -> Result<i64, CatalogError> {
        let version = self
            .lock()
            .query_row("pragma data_version", [], |row| row.get(0));
        version.map_err(CatalogError::sqlite("reading the version of"))
    }

    /// One source after the other: all heads at once would take hundreds of megabytes.
    fn all_seen_heads(&self, vault: VaultId) -> Result<Sources, CatalogError> {
        let failed = CatalogError::sqlite("reading the heads of");
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached("select key, sha256, head from heads where vault = ?1 order by key")
            .map_err(&failed)?;
        let rows = statement
            .query_map([vault.to_string()], cached_head)
            .map_err(&failed)?;
        let mut all = Sources::new();
        let mut of_one: Vec<(String, CachedHead)> = Vec::new();
        let mut take = |heads: &mut Vec<(String, CachedHead)>| {
            if let Some((_, first)) = heads.first() {
                let source = first.head.source.clone();
                let heads = SourceHeads::of(&as_stored(heads.drain(..)));
                all.insert(source, Arc::new(heads));
            }
        };
        for row in rows.filter_map(Result::ok) {
            let is_other = of_one
                .first()
                .is_some_and(|(_, first)| first.head.source != row.1.head.source);
            if is_other {
                take(&mut of_one);
            }
            of_one.push(row);
        }
        take(&mut of_one);
        Ok(all)
    }

    /// The heads of one source that were seen before, by their keys.
    pub(crate) fn heads_of(
        &self,
        vault: VaultId,
        source: &SourceName,
    ) -> Result<HashMap<String, CachedHead>, CatalogError> {
        let (from, to) = below(source);
        let failed = CatalogError::sqlite("reading the heads of");
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(
                "select key, sha256, head from heads where vault = ?1 and key > ?2 and key < ?3",
            )
            .map_err(&failed)?;
        let rows = statement
            .query_map([vault.to_string(), from, to], cached_head)
            .map_err(&failed)?;
        Ok(rows.filter_map(Result::ok).collect())
    }

    /// Remembers heads.
    pub(crate) fn put_heads<'a>(
        &self,
        vault: VaultId,
        heads: impl Iterator<Item = (&'a str, &'a Sha256Digest, &'a Head)>,
    ) -> Result<(), CatalogError> {
        let mut changed = BTreeSet::new();
        let put = self.in_transaction("writing heads to", |connection| {
            let mut statement = connection.prepare_cached(
                "insert or replace into heads (vault, key, sha256, head) values (?1, ?2, ?3, ?4)",
            )?;
            for (key, sha256, head) in heads {
                statement.execute(params![
                    vault.to_string(),
                    key,
                    sha256.to_string(),
                    to_json(head)
                ])?;
                changed.insert(head.source.clone());
            }
            Ok(())
        });
        changed
            .iter()
            .for_each(|source| self.seen().changed(source));
        put
    }

    /// Forgets heads that the vault no longer holds.
    pub(crate) fn forget_heads<'a>(
        &self,
        vault: VaultId,
        keys: impl Iterator<Item = &'a str>,
    ) -> Result<(), CatalogError> {
        let mut changed = BTreeSet::new();
        let gone = self.in_transaction("removing heads from", |connection| {
            let mut statement =
                connection.prepare_cached("delete from heads where vault = ?1 and key = ?2")?;
            for key in keys {
                statement.execute(params![vault.to_string(), key])?;
                let source = key.split('/').next();
                changed.extend(source.and_then(|name| name.parse::<SourceName>().ok()));
            }
            Ok(())
        });
        changed
            .iter()
            .for_each(|source| self.seen().changed(source));
        gone
    }

    /// The bytes of the receipts of one source or of all that were seen before, by their keys.
    pub(crate) fn receipts(
        &self,
        vault: VaultId,
        source: Option<&SourceName>,
    ) -> Result<HashMap<String, Vec<u8>>, CatalogError> {
        // Beyond every key: a source's name begins with a letter or a digit.
        let all = || (String::new(), "~".to_owned());
        let (from, to) = source.map_or_else(all, below);
        let failed = CatalogError::sqlite("reading the receipts of");
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(
                "select key, bytes from receipts where vault = ?1 and key > ?2 and key < ?3",
            )
            .map_err(&failed)?;
        let rows = statement
            .query_map([vault.to_string(), from, to], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(&failed)
    }

    /// The keys of the receipts that were seen before.
    pub(crate) fn receipt_keys(&self, vault: VaultId) -> Result<HashSet<String>, CatalogError> {
        let failed = CatalogError::sqlite("reading the receipts of");
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached("select key from receipts where vault = ?1")
            .map_err(&failed)?;
        let rows = statement
            .query_map([vault.to_string()], |row| row.get(0))
            .map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(&failed)
    }

    /// What receipts of drills said, with their keys.
    pub(crate) fn drilled(&self, vault: VaultId) -> Result<Vec<(String, Drilled)>, CatalogError> {
        let failed = CatalogError::sqlite("reading the receipts of");
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(
                "select key, drilled, drilled_at, verdict, writer, sha256 from receipts where vault = ?1 and drilled is not null",
            )
            .map_err(&failed)?;
        let rows = statement
            .query_map([vault.to_string()], |row| {
                let drilled = Drilled {
                    backup: parsed(row, 1)?,
                    at: parsed(row, 2)?,
                    verdict: from_json(row, 3)?,
                    writer: parsed(row, 4)?,
                    sha256: parsed(row, 5)?,
                };
                Ok((row.get(0)?, drilled))
            })
            .map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(&failed)
    }

    /// What receipts of backups told, with their keys, writers and digests.
    pub(crate) fn told(&self, vault: VaultId) -> Result<Vec<Said<Told>>, CatalogError> {
        self.said(
            "select key, writer, sha256, told from receipts where vault = ?1 and told is not null",
            vault,
        )
    }

    /// What receipts say that copies hold, with their keys, writers and digests.
    pub(crate) fn copied(&self, vault: VaultId) -> Result<Vec<Said<Copied>>, CatalogError> {
        self.said(
            "select key, writer, sha256, copied from receipts where vault = ?1 and copied is not null",
            vault,
        )
    }

    /// What receipts state that standings are made of, with their keys, writers and digests.
    pub(crate) fn stated(
        &self,
        vault: VaultId,
        only: Option<&SourceName>,
    ) -> Result<Vec<Said<Stated>>, CatalogError> {
        let select = "select key, writer, sha256, stated from receipts where vault = ?1 and stated is not null";
        let Some(source) = only else {
            return self.said(select, vault);
        };
        let (from, to) = below(source);
        let failed = CatalogError::sqlite("reading the receipts of");
        let connection = self.lock();
        let sql = format!("{select} and key > ?2 and key < ?3");
        let mut statement = connection.prepare_cached(&sql).map_err(&failed)?;
        let rows = statement
            .query_map([vault.to_string(), from, to], said_row)
            .map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(&failed)
    }

    fn said<T: DeserializeOwned>(
        &self,
        sql: &str,
        vault: VaultId,
    ) -> Result<Vec<Said<T>>, CatalogError> {
        let failed = CatalogError::sqlite("reading the receipts of");
        let connection = self.lock();
        let mut statement = connection.prepare_cached(sql).map_err(&failed)?;
        let rows = statement
            .query_map([vault.to_string()], said_row)
            .map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(&failed)
    }

    /// Remembers receipts.
    pub(crate) fn put_receipts(
        &self,
        vault: VaultId,
        receipts: &[CachedReceipt<'_>],
    ) -> Result<(), CatalogError> {
        self.in_transaction("writing receipts to", |connection| {
            let mut statement = connection.prepare_cached(
                "insert or replace into receipts (vault, key, bytes, drilled, drilled_at, verdict, writer, told, sha256, copied, stated)
                 values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?;
            for receipt in receipts {
                statement.execute(params![
                    vault.to_string(),
                    receipt.key,
                    receipt.bytes,
                    receipt.drilled.map(|drilled| drilled.backup.to_string()),
                    receipt.drilled.map(|drilled| drilled.at.to_string()),
                    receipt.drilled.map(|drilled| to_json(&drilled.verdict)),
                    receipt.writer.to_string(),
                    receipt.told.as_ref().map(to_json),
                    receipt.sha256.to_string(),
                    receipt.copied.as_ref().map(to_json),
                    receipt.stated.as_ref().map(to_json),
                ])?;
            }
            Ok(())
        })
    }

    /// Forgets receipts that are not what they were.
    pub(crate) fn forget_receipts<'a>(
        &self,
        vault: VaultId,
        keys: impl Iterator<Item = &'a str>,
    ) -> Result<(), CatalogError> {
        self.in_transaction("removing receipts from", |connection| {
            let mut statement =
                connection.prepare_cached("delete from receipts where vault = ?1 and key = ?2")?;
            for key in keys {
                statement.execute(params![vault.to_string(), key])?;
            }
            Ok(())
        })
    }

    /// Forgets everything that the vault can tell again.
    pub(crate) fn forget_vault(&self, vault: VaultId) -> Result<(), CatalogError> {
        let emptied = self.in_transaction("emptying", |connection| {
            for table in ["heads", "receipts"] {
                connection.execute(
                    &format!("delete from {table} where vault = ?1"),
                    [vault.to_string()],
                )?;
            }
            Ok(())
        });
        self.seen().forget();
        emptied
    }
}

fn as_stored(heads: impl IntoIterator<Item = (String, CachedHead)>) -> Vec<StoredHead> {
    let stored = heads.into_iter().map(|(key, cached)| StoredHead {
        trusted: false,
        head: cached.head,
        sha256: cached.sha256,
        key,
    });
    stored.collect()
}

/// Between these lie the keys of a source; `0` is the character behind the slash.
fn below(source: &SourceName) -> (String, String) {
    (format!("{source}/"), format!("{source}0"))
}

fn cached_head(row: &Row<'_>) -> rusqlite::Result<(String, CachedHead)> {
    let sha256 = parsed(row, 1)?;
    let head = from_json(row, 2)?;
    Ok((row.get(0)?, CachedHead { sha256, head }))
}

fn said_row<T: DeserializeOwned>(row: &Row<'_>) -> rusqlite::Result<Said<T>> {
    Ok((
        row.get(0)?,
        parsed(row, 1)?,
        parsed(row, 2)?,
        from_json(row, 3)?,
    ))
}
