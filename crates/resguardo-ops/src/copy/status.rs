//! What a copy holds now, by asking it.

use jiff::Timestamp;
use resguardo_model::{BackupId, SourceName};
use resguardo_vault::CopyPlace;

use super::remedy::{Remedy, remedies};
use super::{Verified, opened};
use crate::context::Context;
use crate::error::OpsError;
use crate::history;

/// One copy.
#[derive(Debug)]
pub struct CopyStatus {
    /// Its name.
    pub copy: String,
    /// Where it lies.
    pub place: String,
    /// Each source of the vault; or why the copy could not be asked.
    pub sources: Result<Vec<SourceStatus>, OpsError>,
}

/// One source at a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceStatus {
    /// The source.
    pub source: SourceName,
    /// Backups of the vault that the copy has as well.
    pub held: u64,
    /// Backups that it lacks, the oldest first.
    pub missing: Vec<BackupId>,
    /// Backups of the vault that the copy pruned.
    pub pruned: u64,
    /// Backups that only the copy has.
    pub only_there: u64,
    /// The instant of the newest backup of the vault.
    pub newest: Option<Timestamp>,
    /// The instant of the newest one that the copy has as well.
    pub newest_there: Option<Timestamp>,
    /// When a run last told what the copy holds.
    pub synced_at: Option<Timestamp>,
    /// What receipts say of the bytes that it holds; `None`: nobody ever looked.
    pub verified: Option<Verified>,
    /// What to do about what was found there and not put right since.
    pub remedies: Vec<Remedy>,
}

/// Asks a copy what it holds of each source of the vault.
///
/// # Errors
/// The vault's own; an error of the copy is part of the answer.
pub fn status(ctx: &Context, place: &CopyPlace) -> Result<CopyStatus, OpsError> {
    ctx.cancel.check()?;
    let heads = history::heads(ctx, None)?.heads;
    let sources = history::sources_of(&heads);
    let known = history::copies(ctx, &sources)?;
    let ask = || -> Result<Vec<SourceStatus>, OpsError> {
        let doing = || format!("asking the copy {}", place.name());
        let vault = ctx.vault()?;
        let copy = opened(vault, place)?;
        let mut all = Vec::new();
        for source in &sources {
            ctx.cancel.check()?;
            let found = vault
                .compare(&copy, source)
                .map_err(OpsError::vault(doing()))?;
            let newest = |is_meant: &dyn Fn(BackupId) -> bool| {
                let trusted = heads.iter().filter(|stored| stored.trusted);
                let of_source = trusted.filter(|stored| stored.head.source == *source);
                of_source
                    .filter(|stored| is_meant(stored.head.backup))
                    .map(|stored| stored.head.taken_at)
                    .max()
            };
            let verified = known.verified_at(source, &place.describe()).cloned();
            let findings = verified.iter().flat_map(|one| &one.findings);
            let findings: Vec<_> = findings.cloned().collect();
            all.push(SourceStatus {
                source: source.clone(),
                held: found.held.len() as u64,
                missing: found.missing.iter().map(|one| one.backup).collect(),
                pruned: found.pruned.len() as u64,
                only_there: found.only_there.len() as u64,
                newest: newest(&|_| true),
                newest_there: newest(&|backup| found.held.iter().any(|one| one.backup == backup)),
                synced_at: known.at(source, &place.describe()).map(|copied| copied.at),
                remedies: remedies(place.name(), &findings, &heads),
                verified,
            });
        }
        Ok(all)
    };
    let sources = match ask() {
        Err(error @ OpsError::Cancelled(_)) => return Err(error),
        other => other,
    };
    Ok(CopyStatus {
        copy: place.name().to_owned(),
        place: place.describe(),
        sources,
    })
}
