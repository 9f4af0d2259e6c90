//! Heads and receipts of the vault, fetched through the catalog's cache: both never change once they
//! are written, so that only new ones are read. `verify` never asks here.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::Timestamp;
use resguardo_model::receipt::{Statement, Verb};
use resguardo_model::{BackupId, Sha256Digest, SourceName, VaultId, Verdict, WriterId};
use resguardo_vault::{Heads, Receipts, StoredHead, StoredReceipt};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::audit;
use crate::backup::{COMMIT, DATABASE, MIGRATION, SYSTEM_IDENTIFIER};
use crate::catalog::CachedReceipt;
use crate::context::Context;
use crate::copy::{Copied, KnownCopies, receipts_there};
use crate::error::OpsError;
use crate::exception;
use crate::list::LastDrill;
use crate::status::Stated;

/// The heads of one source or of all. `findings` holds what is wrong with them.
pub(crate) fn heads(ctx: &Context, source: Option<&SourceName>) -> Result<Heads, OpsError> {
    let vault = ctx.vault()?;
    // A cache that cannot be read costs time, and nothing else.
    let known = match source {
        Some(source) => ctx.catalog.heads_of(vault.id(), source),
        None => ctx.catalog.heads(vault.id()),
    };
    let known = known.unwrap_or_default();
    let heads = vault
        .heads_known(source, &|key| {
            known.get(key).map(|cached| StoredHead {
                head: cached.head.clone(),
                sha256: cached.sha256,
                key: key.to_owned(),
                trusted: false,
            })
        })
        .map_err(OpsError::vault("reading the heads of the vault"))?;
    let keys: HashSet<&str> = heads
        .heads
        .iter()
        .map(|stored| stored.key.as_str())
        .collect();
    let new = heads
        .heads
        .iter()
        .filter(|stored| !known.contains_key(&stored.key));
    let new = new.map(|stored| (stored.key.as_str(), &stored.sha256, &stored.head));
    let gone = known.iter().filter(|(key, cached)| {
        source.is_none_or(|source| cached.head.source == *source) && !keys.contains(key.as_str())
    });
    let kept = ctx.catalog.put_heads(vault.id(), new).and_then(|()| {
        ctx.catalog
            .forget_heads(vault.id(), gone.map(|(key, _)| key.as_str()))
    });
    if let Err(error) = kept {
        ctx.progress
            .note(&format!("the catalog was not brought up to date: {error}"));
    }
    Ok(heads)
}

/// Remembers a head that was just written.
pub(crate) fn remember_head(ctx: &Context, stored: &StoredHead) {
    let row = (stored.key.as_str(), &stored.sha256, &stored.head);
    // The next reader fetches it if this fails.
    let _ = ctx
        .catalog
        .put_heads(stored.head.vault, std::iter::once(row));
}

/// The receipts of one source or of all, each checked again. `findings` holds what is wrong with them.
pub(crate) fn receipts(ctx: &Context, source: Option<&SourceName>) -> Result<Receipts, OpsError> {
    let vault = ctx.vault()?;
    let known = ctx.catalog.receipts(vault.id(), source).unwrap_or_default();
    let receipts = vault
        .receipts_known(source, &|key| known.get(key).cloned())
        .map_err(OpsError::vault("reading the receipts of the vault"))?;
    let new = receipts
        .receipts
        .iter()
        .filter(|receipt| !known.contains_key(&receipt.key));
    remember_receipts(ctx, vault.id(), new);
    if let Err(error) = exception::take_in(ctx, vault.id(), &receipts.receipts) {
        ctx.progress
            .note(&format!("exceptions were not brought up to date: {error}"));
    }
    if let Err(error) = audit::take_in(ctx, &receipts.receipts) {
        ctx.progress.note(&format!(
            "what was done here was not brought up to date: {error}"
        ));
    }
    Ok(receipts)
}

/// As [`receipts`], but every byte is read from the vault now: what was cached says nothing of what lies
/// there today. What turns out to be forged is forgotten.
pub(crate) fn receipts_now(
    ctx: &Context,
    source: Option<&SourceName>,
) -> Result<Receipts, OpsError> {
    let vault = ctx.vault()?;
    let receipts = vault
        .receipts(source)
        .map_err(OpsError::vault("reading the receipts of the vault"))?;
    let bad = receipts
        .findings
        .iter()
        .map(|finding| finding.object.as_str());
    // A cache that keeps them is read past here, and the next verification tries again.
    let _ = ctx.catalog.forget_receipts(vault.id(), bad);
    remember_receipts(ctx, vault.id(), receipts.receipts.iter());
    Ok(receipts)
}

/// Remembers receipts that were just read or written.
pub(crate) fn remember_receipts<'a>(
    ctx: &Context,
    vault: VaultId,
    receipts: impl Iterator<Item = &'a StoredReceipt>,
) {
    let rows: Vec<_> = receipts
        .map(|receipt| CachedReceipt {
            key: &receipt.key,
            bytes: &receipt.bytes,
            writer: receipt.statement.predicate.writer,
            sha256: receipt.sha256,
            drilled: drilled(receipt),
            told: told(&receipt.statement),
            copied: Copied::of(&receipt.statement),
            stated: Stated::of(&receipt.statement),
        })
        .collect();
    if let Err(error) = ctx.catalog.put_receipts(vault, &rows) {
        ctx.progress
            .note(&format!("the catalog was not brought up to date: {error}"));
    }
}

/// What a drill's receipt says of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Drilled {
    pub(crate) backup: BackupId,
    pub(crate) at: Timestamp,
    pub(crate) verdict: Verdict,
    pub(crate) writer: WriterId,
    /// Of the receipt.
    pub(crate) sha256: Sha256Digest,
}

fn drilled(receipt: &StoredReceipt) -> Option<Drilled> {
    let statement = &receipt.statement;
    let predicate = &statement.predicate;
    Some(Drilled {
        backup: backup_of(statement)?,
        at: predicate.finished_at,
        verdict: verdict_of(statement)?,
        writer: predicate.writer,
        sha256: receipt.sha256,
    })
}

/// The verdict of a drill's receipt.
pub(crate) fn verdict_of(statement: &Statement) -> Option<Verdict> {
    let predicate = &statement.predicate;
    match (predicate.verb, predicate.outcome.as_str()) {
        (Verb::Drill, "passed") => Some(Verdict::Passed),
        (Verb::Drill, "failed") => Some(Verdict::Failed),
        (Verb::Drill, "error") => Some(Verdict::Error),
        _ => None,
    }
}

/// What whoever took a backup told of it, as far as its receipt says so without a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) backup: BackupId,
    pub(crate) note: String,
    pub(crate) commit: String,
    pub(crate) migration: Option<String>,
    /// The database's name on its server; empty where there is no server.
    #[serde(default)]
    pub(crate) database: String,
    /// The server's; empty where it is not known.
    #[serde(default)]
    pub(crate) system_identifier: String,
}

fn told(statement: &Statement) -> Option<Told> {
    let predicate = &statement.predicate;
    if predicate.verb != Verb::Backup {
        return None;
    }
    let text = |name: &str| {
        let value = predicate.details.get(name).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let migration = predicate.details.get(MIGRATION);
    let migration = migration.and_then(|value| value.get("version")?.as_str());
    let told = Told {
        backup: backup_of(statement)?,
        note: text("note"),
        commit: text(COMMIT),
        migration: migration.map(str::to_owned),
        database: text(DATABASE),
        system_identifier: text(SYSTEM_IDENTIFIER),
    };
    let texts = [&told.note, &told.commit, &told.database];
    let empty = texts.into_iter().all(String::is_empty) && told.migration.is_none();
    (!empty).then_some(told)
}

/// The backup that a receipt speaks of, where it speaks of one.
pub(crate) fn backup_of(statement: &Statement) -> Option<BackupId> {
    statement
        .predicate
        .details
        .get("backup")?
        .as_str()?
        .parse()
        .ok()
}

/// What receipts of trusted writers said of each backup of `sources`. Only receipts that were never seen
/// before are fetched; those that were had their signatures checked then.
pub(crate) fn drills(
    ctx: &Context,
    sources: &BTreeSet<SourceName>,
) -> Result<BTreeMap<BackupId, Drills>, OpsError> {
    let vault = ctx.vault()?;
    let there = read_new(ctx, sources)?;
    let mut drills: BTreeMap<BackupId, Drills> = BTreeMap::new();
    for (key, drilled) in ctx.catalog.drilled(vault.id())? {
        // A receipt that is gone proves nothing any more, nor does a stranger's.
        if there.contains(&key) && vault.trusts(drilled.writer, &drilled.sha256) {
            drills.entry(drilled.backup).or_default().add(drilled);
        }
    }
    for (key, writer, sha256, told) in ctx.catalog.told(vault.id())? {
        if there.contains(&key) && vault.trusts(writer, &sha256) {
            let backup = told.backup;
            drills.entry(backup).or_default().told = Some(told);
        }
    }
    Ok(drills)
}

/// What receipts of trusted writers say that copies hold of `sources`, as far as the catalog and the vault
/// know.
pub(crate) fn copies(
    ctx: &Context,
    sources: &BTreeSet<SourceName>,
) -> Result<KnownCopies, OpsError> {
    let there = read_new(ctx, sources)?;
    KnownCopies::read(ctx, &there)
}

/// The keys of the receipts of `sources`, each of which the catalog knows afterwards.
pub(crate) fn read_new(
    ctx: &Context,
    sources: &BTreeSet<SourceName>,
) -> Result<HashSet<String>, OpsError> {
    let there = receipts_there(ctx, sources)?;
    read_unknown(ctx, &there)?;
    Ok(there)
}

/// Reads those receipts that the catalog does not know, and no source's that it knows.
pub(crate) fn read_unknown(ctx: &Context, there: &HashSet<String>) -> Result<(), OpsError> {
    let known = ctx.catalog.receipt_keys(ctx.vault()?.id());
    let known = known.unwrap_or_default();
    let new = there.difference(&known);
    let sources: BTreeSet<SourceName> = new
        .filter_map(|key| key.split('/').next()?.parse().ok())
        .collect();
    for source in sources {
        receipts(ctx, Some(&source))?;
    }
    Ok(())
}

/// What receipts say of a backup: of its drills, and when it was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Drills {
    pub(crate) proven_at: Option<Timestamp>,
    pub(crate) last: Option<LastDrill>,
    pub(crate) told: Option<Told>,
}

impl Drills {
    fn add(&mut self, drilled: Drilled) {
        if drilled.verdict == Verdict::Passed {
            self.proven_at = self.proven_at.max(Some(drilled.at));
        }
        if self.last.is_none_or(|last| last.at <= drilled.at) {
            self.last = Some(LastDrill {
                at: drilled.at,
                verdict: drilled.verdict,
            });
        }
    }
}

/// The sources that have heads.
pub(crate) fn sources_of(heads: &[StoredHead]) -> BTreeSet<SourceName> {
    heads
        .iter()
        .map(|stored| stored.head.source.clone())
        .collect()
}
