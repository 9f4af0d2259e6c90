//! `receipts`: the signed records, listed, shown and checked, in the vault or as single files.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use resguardo_model::receipt::{Statement, Verb};
use resguardo_model::{BackupId, Finding, FindingKind, RunId, Sha256Digest, SourceName, WriterId};
use resguardo_vault::{StoredReceipt, verify_envelope};

use crate::context::Context;
use crate::drill::{self, DrillDone};
use crate::error::OpsError;
use crate::history;
use crate::run::described;

/// The fewest characters of a run's id that name its receipt.
const PREFIX_CHARACTERS_MIN: usize = 4;

/// One receipt in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptSummary {
    /// The run; the receipt's name.
    pub run: RunId,
    /// Its key in the vault.
    pub key: String,
    /// Digest of the receipt itself.
    pub sha256: Sha256Digest,
    /// What was done.
    pub verb: Verb,
    /// The source.
    pub source: SourceName,
    /// The backup that it speaks of, where it speaks of one.
    pub backup: Option<BackupId>,
    /// `succeeded`, `failed`, `interrupted`, or a drill's verdict.
    pub outcome: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// Its place in the writer's chain.
    pub sequence: u64,
    /// Whoever signed it.
    pub writer: WriterId,
    /// Whether this host trusts the writer.
    pub trusted: bool,
}

/// The receipts of a vault.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceiptsListed {
    /// Oldest first.
    pub receipts: Vec<ReceiptSummary>,
    /// Forged receipts, and holes in the chains.
    pub findings: Vec<Finding>,
}

/// One receipt as it stands in a file, checked without a vault.
#[derive(Clone, Debug, PartialEq)]
pub struct FileVerified {
    /// The file.
    pub path: PathBuf,
    /// What it says, if its signature holds; else what is wrong with it.
    pub statement: Result<Statement, String>,
    /// Whoever signed it, if the signature holds. Whether to trust it is the reader's decision.
    pub writer: Option<WriterId>,
}

/// Lists the receipts of one source or of all, each read from the vault now, with its signature and chain
/// checked. Needs no key. The catalog's cache is never asked: this is what `receipts verify` believes.
///
/// # Errors
/// If there is no vault, or it cannot be read.
pub fn list(ctx: &Context, source: Option<&SourceName>) -> Result<ReceiptsListed, OpsError> {
    let all = history::receipts_now(ctx, source)?;
    let mut receipts: Vec<_> = all.receipts.iter().map(summary).collect();
    receipts.sort_by_key(|receipt| (receipt.finished_at, receipt.sequence));
    Ok(ReceiptsListed {
        receipts,
        findings: all.findings,
    })
}

/// Finds a receipt by the beginning of its run's id (at least four characters), its key, or `latest`. It
/// is read from the vault now, and its signature holds.
///
/// # Errors
/// [`OpsError::NoSuchReceipt`], [`OpsError::AmbiguousReceipt`]; [`OpsError::BadReceipt`] if what lies in the
/// vault under that name is forged.
pub fn find(ctx: &Context, name: &str) -> Result<StoredReceipt, OpsError> {
    let read = history::receipts_now(ctx, None)?;
    let mut all = read.receipts;
    all.sort_by_key(|receipt| {
        let predicate = &receipt.statement.predicate;
        (predicate.finished_at, predicate.sequence)
    });
    let none = || OpsError::NoSuchReceipt {
        name: name.to_owned(),
    };
    if name == "latest" {
        return all.pop().ok_or_else(none);
    }
    // The run is the last part of the key, and a forged receipt has no other.
    let is_named = |key: &str| {
        let run = key.rsplit('/').next().unwrap_or(key);
        key == name || name.len() >= PREFIX_CHARACTERS_MIN && run.starts_with(name)
    };
    let forged = read
        .findings
        .into_iter()
        .find(|finding| finding.kind == FindingKind::ReceiptForged && is_named(&finding.object));
    if let Some(finding) = forged {
        return Err(OpsError::BadReceipt {
            message: finding.message,
        });
    }
    let fits = |receipt: &StoredReceipt| is_named(&receipt.key);
    let mut found: Vec<_> = all.into_iter().filter(fits).collect();
    match found.len() {
        0 => Err(none()),
        1 => Ok(found.remove(0)),
        _ => Err(OpsError::AmbiguousReceipt {
            name: name.to_owned(),
            candidates: found
                .into_iter()
                .map(|receipt| receipt.key)
                .take(8)
                .collect(),
        }),
    }
}

/// The receipt of a run, read from the vault now; its signature holds. Nothing else is looked at.
///
/// # Errors
/// [`OpsError::NoSuchReceipt`]; [`OpsError::BadReceipt`] if what lies there is forged.
pub fn of_run(ctx: &Context, run: RunId) -> Result<StoredReceipt, OpsError> {
    let vault = ctx.vault()?;
    let none = || OpsError::NoSuchReceipt {
        name: run.to_string(),
    };
    let key = ctx.catalog.receipt_of(vault.id(), run)?.ok_or_else(none)?;
    let parsed = key.parse().map_err(|_| none())?;
    let bytes = vault
        .store()
        .get(&parsed)
        .map_err(|error| OpsError::vault(format!("reading the receipt of {run}"))(error.into()))?;
    let (statement, writer) = verify_envelope(&bytes).map_err(|error| OpsError::BadReceipt {
        message: described(&error),
    })?;
    let predicate = &statement.predicate;
    if predicate.run != run || predicate.vault != vault.id() || predicate.writer != writer {
        let message = format!("{key} is the receipt of something else");
        return Err(OpsError::BadReceipt { message });
    }
    let sha256 = Sha256Digest::of(&bytes);
    Ok(StoredReceipt {
        trusted: vault.trusts(writer, &sha256),
        key,
        sha256,
        statement,
        bytes: bytes.to_vec(),
    })
}

/// Checks one receipt in a file, without a vault and without a key.
///
/// # Errors
/// [`OpsError::Io`] if the file cannot be read; a receipt that is none is a result.
pub fn verify_file(path: &Path) -> Result<FileVerified, OpsError> {
    let bytes = std::fs::read(path).map_err(|source| OpsError::Io {
        operation: "reading",
        path: path.to_owned(),
        source,
    })?;
    let (statement, writer) = match verify_envelope(&bytes) {
        Ok((statement, writer)) => (Ok(statement), Some(writer)),
        Err(error) => (Err(described(&error)), None),
    };
    Ok(FileVerified {
        path: path.to_owned(),
        statement,
        writer,
    })
}

/// The drill that a receipt speaks of, for a report; `None` if it speaks of none.
#[must_use]
pub fn drill_of(statement: &Statement) -> Option<DrillDone> {
    drill::from_receipt(statement)
}

/// One receipt in a line.
pub(crate) fn summary(receipt: &StoredReceipt) -> ReceiptSummary {
    let predicate = &receipt.statement.predicate;
    ReceiptSummary {
        run: predicate.run,
        key: receipt.key.clone(),
        sha256: receipt.sha256,
        verb: predicate.verb,
        source: predicate.source.clone(),
        backup: history::backup_of(&receipt.statement),
        outcome: predicate.outcome.clone(),
        started_at: predicate.started_at,
        finished_at: predicate.finished_at,
        sequence: predicate.sequence,
        writer: predicate.writer,
        trusted: receipt.trusted,
    }
}
