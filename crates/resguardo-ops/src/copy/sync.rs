//! One source to one copy: the run, and what its receipt says.

use std::collections::{BTreeMap, BTreeSet};

use resguardo_model::receipt::{Subject, Verb};
use resguardo_model::retention::Policy;
use resguardo_model::{BackupId, FindingKind, RunId, SourceName};
use resguardo_vault::{
    Compared, CopyPlace, StoredHead, SyncRequest as VaultRequest, Synced, Vault, VaultError,
};
use serde_json::{Value, json};

use super::known::behind_with;
use super::{Stretches, refuse_gone};
use crate::catalog::RunState;
use crate::context::Context;
use crate::error::{ErrorKind, OpsError};
use crate::receipt::{self, Record, value};
use crate::run::{self, OpenRun};
use crate::{history, prune, recover};

/// What is asked of a synchronisation.
#[derive(Clone, Copy, Debug)]
pub struct SyncRequest<'a> {
    /// The copy.
    pub place: &'a CopyPlace,
    /// The source.
    pub source: &'a SourceName,
    /// Read everything that the copy holds, and send again what is damaged there.
    pub mend: bool,
    /// What the copy keeps: what it would delete at once is not sent. `None`: everything.
    pub policy: Option<&'a Policy>,
    /// Begin the copy anew, although it held backups before and its place holds none now.
    pub begin_anew: bool,
}

/// A synchronisation that ran to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct SyncDone {
    /// The run.
    pub run: RunId,
    /// The copy's name.
    pub copy: String,
    /// Where it lies.
    pub place: String,
    /// The source.
    pub source: SourceName,
    /// What was done, and what the copy holds.
    pub synced: Synced,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Key of its receipt; `None` if nothing was to be told, or it could not be stored, which `notes` tells.
    pub receipt: Option<String>,
    /// What a person should know.
    pub notes: Vec<String>,
}

impl SyncDone {
    /// Whether the copy has everything that it is to have, whole as far as was looked.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let Synced {
            compared,
            kept,
            findings,
            ..
        } = &self.synced;
        // What is wrong with heads alone hits no backup that was to be sent.
        let is_of_heads = |kind| {
            matches!(
                kind,
                FindingKind::WriterUnknown
                    | FindingKind::HeadMissing
                    | FindingKind::HeadForked
                    | FindingKind::HeadRolledBack
            )
        };
        compared.missing.is_empty()
            && kept.is_empty()
            && findings.iter().all(|finding| is_of_heads(finding.kind))
    }
}

/// Sends to a copy every backup of a source that it lacks. An empty place is made into a copy.
///
/// # Errors
/// [`OpsError::CopyGone`] if the place held the copy before and is empty now; [`OpsError::Vault`]: the copy is
/// of another vault, is locked, or cannot be reached. What was sent until then stays sent.
pub fn sync(ctx: &Context, request: &SyncRequest<'_>) -> Result<SyncDone, OpsError> {
    recover::sweep(ctx)?;
    let mut run = OpenRun::begin(ctx, Verb::Copy, Some(request.source))?;
    match carry_out(ctx, request, &run) {
        Ok(synced) => {
            let mut done = SyncDone {
                run: run.id(),
                copy: request.place.name().to_owned(),
                place: request.place.describe(),
                source: request.source.clone(),
                synced,
                seconds: run.seconds(),
                receipt: None,
                notes: Vec::new(),
            };
            done.receipt = state(ctx, &run, request, &mut done);
            run.has_receipt(done.receipt.as_deref());
            match done.is_whole() {
                true => run.end(RunState::Succeeded, ""),
                false => run.end(RunState::Failed, "the copy does not have everything"),
            }
            Ok(done)
        }
        Err(error) => {
            run.has_receipt(state_failure(ctx, &run, request, &error).as_deref());
            run.end_with(&error);
            Err(error)
        }
    }
}

fn carry_out(
    ctx: &Context,
    request: &SyncRequest<'_>,
    run: &OpenRun<'_>,
) -> Result<Synced, OpsError> {
    let vault = ctx.vault()?;
    let name = request.place.name();
    let doing = || format!("copying {} to {name}", request.source);
    ctx.progress.phase(&doing());
    let copy = open(ctx, vault, request)?;
    let heads = history::heads(ctx, Some(request.source))?;
    let unwanted = unwanted(ctx, vault, request, &heads.heads)?;
    let wanted = VaultRequest {
        source: request.source,
        run: run.id(),
        host: &ctx.host,
        pid: std::process::id(),
        mend: request.mend,
        unwanted: &unwanted,
    };
    vault
        .sync_heads(&copy, heads, &wanted, &ctx.cancel, &*ctx.progress)
        .map_err(OpsError::vault(doing()))
}

/// Opens the copy, or begins it where nothing was before.
fn open(ctx: &Context, vault: &Vault, request: &SyncRequest<'_>) -> Result<Vault, OpsError> {
    let name = request.place.name();
    if let Err(VaultError::NotAVault { .. }) = vault.copy_at(request.place)
        && !request.begin_anew
    {
        refuse_gone(ctx, request.place)?;
    }
    vault
        .begin_copy(request.place)
        .map_err(OpsError::vault(format!("opening the copy {name}")))
}

/// Backups that the copy's own policy would delete at once.
fn unwanted(
    ctx: &Context,
    vault: &Vault,
    request: &SyncRequest<'_>,
    heads: &[StoredHead],
) -> Result<BTreeSet<BackupId>, OpsError> {
    let Some(policy) = request.policy else {
        return Ok(BTreeSet::new());
    };
    let known = history::copies(ctx, &BTreeSet::from([request.source.clone()]))?;
    let known = known.at(request.source, &request.place.describe());
    // The newest backup is always kept, so that after each backup there is nothing to decide.
    if known.is_some() && behind_with(request.source, heads, known).backups <= 1 {
        return Ok(BTreeSet::new());
    }
    prune::doomed_by(ctx, vault, request.source, policy)
}

/// The receipt of a run in which something happened, or that found more than the copy's receipts tell: they may
/// be lost.
fn state(
    ctx: &Context,
    run: &OpenRun<'_>,
    request: &SyncRequest<'_>,
    done: &mut SyncDone,
) -> Option<String> {
    let sources = BTreeSet::from([request.source.clone()]);
    let known = history::copies(ctx, &sources).unwrap_or_default();
    let is_told = known
        .at(request.source, &done.place)
        .is_some_and(|copied| copied.covers(&done.synced.compared));
    let synced = &done.synced;
    // Who read everything says that it is good now.
    let is_news = request.mend || synced.objects > 0 || !synced.kept.is_empty() || !done.is_whole();
    // A receipt that is sent with the next run would make that run one in which something happened.
    if !is_news && is_told {
        return None;
    }
    let record = Record {
        run,
        source: request.source,
        outcome: if done.is_whole() {
            "succeeded"
        } else {
            "failed"
        },
        subject: subjects(ctx, &done.synced),
        tools: BTreeMap::new(),
        details: details(request, done),
        test: None,
    };
    receipt::store_or_note(ctx, record, &mut done.notes)
}

/// What was sent, how it was verified, and what the copy holds now.
fn details(request: &SyncRequest<'_>, done: &SyncDone) -> BTreeMap<String, Value> {
    let Synced {
        sent,
        objects,
        bytes,
        records,
        mended,
        kept,
        unwanted,
        compared,
        findings,
        // No other copy is asked, and of those left behind the findings tell.
        elsewhere: _,
        left_behind: _,
    } = &done.synced;
    let Compared {
        held,
        missing,
        pruned,
        ..
    } = compared;
    let left_out = [&pruned[..], unwanted].concat();
    let absent = [&left_out[..], missing].concat();
    let there = [&held[..], missing].concat();
    let held = Stretches::without(held, &absent);
    let left_out = Stretches::without(&left_out, &there);
    let sent: Vec<Value> = sent
        .iter()
        .map(|one| {
            json!({
                "backup": one.backup.backup,
                "etag": one.etag,
                "stored_at": one.stored_at,
            })
        })
        .collect();
    let missing: Vec<BackupId> = missing.iter().map(|one| one.backup).collect();
    [
        ("copy", value(&done.copy)),
        ("place", value(&done.place)),
        ("mend", value(request.mend)),
        ("sent", value(sent)),
        ("objects", value(objects)),
        ("bytes", value(bytes)),
        ("records", value(records)),
        ("mended", value(mended)),
        ("refused", value(kept)),
        ("missing", value(missing)),
        ("holds", value(held)),
        ("left_out", value(left_out)),
        ("only_there", value(&compared.only_there)),
        ("findings", value(findings)),
        ("seconds", value(done.seconds)),
        (
            "verified",
            value("SHA-256 of each object before it was sent, its size at the copy afterwards"),
        ),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// The heads that were sent.
fn subjects(ctx: &Context, synced: &Synced) -> Vec<Subject> {
    let sent: BTreeSet<BackupId> = synced.sent.iter().map(|one| one.backup.backup).collect();
    // Heads that cannot be read now were read a moment ago; the details name the backups as well.
    let heads = history::heads(ctx, None).unwrap_or_default().heads;
    heads
        .iter()
        .filter(|stored| sent.contains(&stored.head.backup))
        .map(|stored| Subject::new(&stored.key, stored.sha256))
        .collect()
}

/// A copy that could not be filled leaves a receipt as well, unless it was only busy or the vault itself
/// cannot be written.
pub(super) fn state_failure(
    ctx: &Context,
    run: &OpenRun<'_>,
    request: &SyncRequest<'_>,
    error: &OpsError,
) -> Option<String> {
    let at_copy = matches!(error, OpsError::Vault { source, .. } if matches!(**source, VaultError::AtCopy { .. }));
    if error.kind() == ErrorKind::Locked || (error.kind() == ErrorKind::Vault && !at_copy) {
        return None;
    }
    let record = Record {
        run,
        source: request.source,
        outcome: run::state_of(error).as_str(),
        subject: Vec::new(),
        tools: BTreeMap::new(),
        details: BTreeMap::from([
            ("copy".to_owned(), value(request.place.name())),
            ("place".to_owned(), value(request.place.describe())),
            ("error".to_owned(), value(run::described(error))),
        ]),
        test: None,
    };
    // The error that brought us here is the one to be told.
    receipt::store(ctx, record).ok().flatten()
}
