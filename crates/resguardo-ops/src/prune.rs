//! `prune`: what the retention lets go of is taken away, and every decision is explained.
//!
//! In this order: the source's lease, the clock of the store, at a copy the records of the vault (pins among
//! them), the heads as they are under the lease, what their drills and pins say (pins of the vault and of every
//! copy that can be reached), the plan, the vault's own prune; then the lease goes, and the receipt is
//! stored. A dry run takes no lease, writes nothing, and tells the same plan.
//!
//! It never decides by the clock of this machine alone: one that is far from the store's is refused.

mod ground;
mod statement;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use resguardo_model::receipt::Verb;
use resguardo_model::retention::{self, Policy};
use resguardo_model::{BackupId, Finding, Reason, RunId, SourceName};
use resguardo_vault::{
    Amount, CopyPlace, KeptBecause, Lease, PruneOptions, PruneOutcome, SourceSpace, Space,
    StoredHead, SyncRequest, Vault,
};

use crate::catalog::RunState;
use crate::context::Context;
use crate::error::OpsError;
use crate::run::OpenRun;
use crate::{copy, history, list, recover};
use ground::Ground;

/// Farthest apart that the clocks of this machine and of the store may be.
const CLOCKS_APART_MAX: SignedDuration = SignedDuration::from_hours(1);

/// What is asked of a prune.
#[derive(Clone, Copy, Debug)]
pub struct PruneRequest<'a> {
    /// The source.
    pub source: &'a SourceName,
    /// The environment whose policy holds.
    pub environment: &'a str,
    /// What is kept; `None`: nothing is ever deleted.
    pub policy: Option<&'a Policy>,
    /// Heads that are missing without a record of a prune are given up for lost.
    pub accept_missing_heads: bool,
    /// Only say what would be done.
    pub dry_run: bool,
    /// The copies whose pins keep backups as well, as far as they can be reached.
    pub copies: &'a [CopyPlace],
}

/// A source that was pruned, or would be.
#[derive(Clone, Debug, PartialEq)]
pub struct PruneDone {
    /// The run; `None` where nothing was to be done: a dry run, or no policy.
    pub run: Option<RunId>,
    /// The source.
    pub source: SourceName,
    /// Where it was pruned: the vault or a copy, without secrets.
    pub place: String,
    /// The environment whose policy holds.
    pub environment: String,
    /// The policy in words; `None`: nothing is ever deleted.
    pub policy: Option<String>,
    /// Every backup, the oldest first.
    pub backups: Vec<PrunedBackup>,
    /// Bytes that no backup needs any more without those that are deleted.
    pub freed_bytes: u64,
    /// What the backups took before; `None` if there are none.
    pub space: Option<SourceSpace>,
    /// What became of objects that no backup needs.
    pub objects: Objects,
    /// What is wrong with heads and pins.
    pub findings: Vec<Finding>,
    /// Whether no object was deleted because of what is wrong with the heads.
    pub unswept: bool,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Key of its receipt.
    pub receipt: Option<String>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// What became of one backup, or would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrunedBackup {
    /// Its id.
    pub id: BackupId,
    /// The instant whose data it holds.
    pub taken_at: Timestamp,
    /// Why it was taken.
    pub reason: Reason,
    /// Whether it stays.
    pub kept: bool,
    /// Every cause.
    pub why: Vec<String>,
    /// What deleting it alone would free, in bytes.
    pub frees_bytes: u64,
    /// The policy let it go, and the store keeps it until then, as far as it says so.
    pub kept_until: Option<Timestamp>,
}

impl PrunedBackup {
    /// The policy let it go, and it stays all the same.
    fn stays(&mut self, why: String) {
        self.kept = true;
        self.why = vec![why];
    }

    fn stays_in_store(&mut self, until: Option<Timestamp>, ctx: &Context) {
        self.kept_until = until;
        self.stays(match until {
            Some(until) => format!("the store keeps it until {}", ctx.moment(until)),
            None => "the store refuses to delete it".to_owned(),
        });
    }
}

/// Objects that no backup needs: of backups that are gone, and of runs that were interrupted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Objects {
    /// Deleted by this run. Of a dry run: dead already, whether their grace is over or not.
    pub deleted: Amount,
    /// Still there: their grace is not over, or the store refused.
    pub waiting: Amount,
    /// When the grace of the last of them ends, by the store's clock.
    pub waiting_until: Option<Timestamp>,
    /// Of those that wait, the ones that the store refused to delete.
    pub refused: Amount,
    /// Until when it refuses, as far as it says so.
    pub refused_until: Option<Timestamp>,
}

/// The sources of the vault and how many backups each has, whoever took them.
///
/// # Errors
/// If the vault cannot be read.
pub fn stored(ctx: &Context) -> Result<BTreeMap<SourceName, u64>, OpsError> {
    let mut stored = BTreeMap::new();
    for head in history::heads(ctx, None)?.heads {
        *stored.entry(head.head.source).or_default() += 1;
    }
    Ok(stored)
}

/// Prunes one source of the vault.
///
/// # Errors
/// [`OpsError::Refused`] if the clocks are far apart; the vault's own: locked, no right to delete. What was
/// taken away before stays away, and another run goes on.
pub fn prune(ctx: &Context, request: &PruneRequest<'_>) -> Result<PruneDone, OpsError> {
    let vault = ctx.vault()?;
    prune_in(ctx, vault, request)
}

/// As [`prune`], in `vault`, which may be a copy. What was proven is known from the receipts of the
/// context's vault.
///
/// # Errors
/// As [`prune`].
pub fn prune_in(
    ctx: &Context,
    vault: &Vault,
    request: &PruneRequest<'_>,
) -> Result<PruneDone, OpsError> {
    if request.dry_run || request.policy.is_none() {
        return foresee(ctx, vault, request);
    }
    recover::sweep(ctx)?;
    let mut run = OpenRun::begin(ctx, Verb::Prune, Some(request.source))?;
    let mut plan = None;
    match carry_out(ctx, vault, request, &run, &mut plan) {
        Ok(mut done) => {
            done.run = Some(run.id());
            done.seconds = run.seconds();
            done.receipt = statement::of_done(ctx, vault, &run, request, plan.as_ref(), &mut done);
            run.has_receipt(done.receipt.as_deref());
            run.end(RunState::Succeeded, summary(&done));
            Ok(done)
        }
        Err(error) => {
            let receipt = plan.as_ref().and_then(|planned| {
                statement::of_failure(ctx, &run, request, vault, planned, &error)
            });
            run.has_receipt(receipt.as_deref());
            run.end_with(&error);
            Err(error)
        }
    }
}

/// The backups of a source that `policy` would let go.
pub(crate) fn doomed_by(
    ctx: &Context,
    vault: &Vault,
    source: &SourceName,
    policy: &Policy,
) -> Result<BTreeSet<BackupId>, OpsError> {
    let candidates = Ground::read(ctx, vault, source, &[])?.candidates();
    let plan = retention::plan(policy, &candidates, ctx.clock.now());
    Ok(plan.deleted().map(|decision| decision.id).collect())
}

/// The plan, and the heads that it is about.
struct Planned {
    ground: Ground,
    plan: retention::Plan,
}

impl Planned {
    fn new(ctx: &Context, vault: &Vault, request: &PruneRequest<'_>) -> Result<Self, OpsError> {
        let ground = Ground::read(ctx, vault, request.source, request.copies)?;
        let candidates = ground.candidates();
        let plan = match request.policy {
            Some(policy) => retention::plan(policy, &candidates, ctx.clock.now()),
            None => retention::keep_everything(&candidates),
        };
        Ok(Self { ground, plan })
    }

    fn doomed(&self) -> Vec<BackupId> {
        self.plan.deleted().map(|decision| decision.id).collect()
    }

    fn heads(&self) -> &[StoredHead] {
        &self.ground.heads
    }

    /// What there is to tell before anything was done.
    fn told(&self, vault: &Vault, request: &PruneRequest<'_>) -> PruneDone {
        let space = Space::of(self.heads());
        let frees = list::frees_of(&space);
        let heads = self.heads().iter().map(|stored| &stored.head);
        let reasons: HashMap<BackupId, &Reason> =
            heads.map(|head| (head.backup, &head.reason)).collect();
        let backups = self.plan.decisions.iter().map(|decision| PrunedBackup {
            id: decision.id,
            taken_at: decision.taken_at,
            reason: reasons[&decision.id].clone(),
            kept: decision.is_kept(),
            why: decision.causes(),
            frees_bytes: frees.get(&decision.id).copied().unwrap_or(0),
            kept_until: None,
        });
        PruneDone {
            run: None,
            source: request.source.clone(),
            place: vault.store().describe(),
            environment: request.environment.to_owned(),
            policy: request.policy.map(ToString::to_string),
            backups: backups.collect(),
            freed_bytes: Space::freed_by(self.heads(), &self.doomed()),
            space: space.sources.into_iter().next(),
            objects: Objects::default(),
            findings: self.ground.findings.clone(),
            unswept: false,
            seconds: 0.0,
            receipt: None,
            notes: self.ground.notes.clone(),
        }
    }
}

/// What would be done.
fn foresee(
    ctx: &Context,
    vault: &Vault,
    request: &PruneRequest<'_>,
) -> Result<PruneDone, OpsError> {
    ctx.cancel.check()?;
    let planned = Planned::new(ctx, vault, request)?;
    let mut done = planned.told(vault, request);
    if request.policy.is_none() {
        return Ok(done);
    }
    keep_locked(ctx, vault, &planned, &mut done);
    let doing = || format!("looking for dead objects of {}", request.source);
    let dead = vault
        .dead_objects(request.source, &[])
        .map_err(OpsError::vault(doing()))?;
    done.objects.deleted = dead.dead;
    Ok(done)
}

/// What the store would refuse to delete, as far as it tells.
fn keep_locked(ctx: &Context, vault: &Vault, planned: &Planned, done: &mut PruneDone) {
    let mut doomed: HashSet<BackupId> = planned.doomed().into_iter().collect();
    let heads = planned.heads().iter();
    let asked: Vec<&StoredHead> = heads
        .filter(|stored| doomed.contains(&stored.head.backup))
        .collect();
    // Where it cannot be asked, the prune itself finds out.
    let locks = copy::at_once(&asked, |stored| {
        let key = stored.key.parse().ok()?;
        vault.store().retention(&key).ok().flatten()
    });
    for (stored, lock) in asked.into_iter().zip(locks) {
        let id = stored.head.backup;
        let backup = done.backups.iter_mut().find(|one| one.id == id);
        if let (Some(lock), Some(backup)) = (lock, backup) {
            backup.stays_in_store(lock.until, ctx);
            doomed.remove(&id);
        }
    }
    let doomed: Vec<BackupId> = doomed.into_iter().collect();
    done.freed_bytes = Space::freed_by(planned.heads(), &doomed);
}

fn carry_out(
    ctx: &Context,
    vault: &Vault,
    request: &PruneRequest<'_>,
    run: &OpenRun<'_>,
    plan: &mut Option<Planned>,
) -> Result<PruneDone, OpsError> {
    let doing = || format!("pruning {}", request.source);
    let lease = vault
        .acquire_lease(request.source, run.id(), &ctx.host, std::process::id())
        .map_err(OpsError::vault(doing()))?;
    same_time(ctx, request.source, lease.began_at())?;
    if vault.is_copy() {
        bring_records(ctx, vault, request, run, &lease)?;
    }
    ctx.progress.phase(&format!("prune {}", request.source));
    let planned = plan.insert(Planned::new(ctx, vault, request)?);
    ctx.cancel.check()?;
    let options = PruneOptions {
        accept_missing_heads: request.accept_missing_heads,
    };
    let outcome = vault
        .prune(
            &lease,
            &planned.doomed(),
            &options,
            &ctx.cancel,
            &*ctx.progress,
        )
        .map_err(OpsError::vault(doing()))?;
    drop(lease);
    let mut done = planned.told(vault, request);
    done.freed_bytes = Space::freed_by(planned.heads(), &outcome.removed);
    apply(ctx, &mut done, outcome);
    Ok(done)
}

/// A copy gets the pins and the other records of the vault before anything is deleted there.
fn bring_records(
    ctx: &Context,
    copy: &Vault,
    request: &PruneRequest<'_>,
    run: &OpenRun<'_>,
    lease: &Lease,
) -> Result<(), OpsError> {
    let records = SyncRequest {
        source: request.source,
        run: run.id(),
        host: &ctx.host,
        pid: std::process::id(),
        mend: false,
        unwanted: &BTreeSet::new(),
    };
    ctx.vault()?
        .send_records(copy, lease, &records, &ctx.cancel, &*ctx.progress)
        .map(|_| ())
        .map_err(OpsError::vault(format!(
            "sending the pins and receipts of {} to {}",
            request.source,
            copy.store().describe()
        )))
}

/// Refuses where the clocks are so far apart that one of them must be wrong.
fn same_time(ctx: &Context, source: &SourceName, store: Timestamp) -> Result<(), OpsError> {
    let ahead = ctx.clock.now().duration_since(store);
    if ahead.abs() <= CLOCKS_APART_MAX {
        return Ok(());
    }
    let way = if ahead.is_negative() {
        "behind"
    } else {
        "ahead of"
    };
    let hours = ahead.abs().as_hours();
    let apart = match hours {
        ..48 => format!("{hours} h"),
        _ => format!("{} d", hours / 24),
    };
    Err(OpsError::Refused {
        place: format!("source {source}"),
        why: format!(
            "was not pruned: the clock of this machine is {apart} {way} that of the vault's store"
        ),
        next: "put the clock right (`timedatectl`), then run the same command again".to_owned(),
    })
}

/// What the vault made of the plan.
fn apply(ctx: &Context, done: &mut PruneDone, outcome: PruneOutcome) {
    for (id, because) in outcome.kept {
        let Some(backup) = done.backups.iter_mut().find(|one| one.id == id) else {
            continue;
        };
        match because {
            KeptBecause::Refused(until) => backup.stays_in_store(until, ctx),
            KeptBecause::Pinned => backup.stays("pinned meanwhile".to_owned()),
            KeptBecause::UntrustedWriter => {
                backup.stays("its writer is not trusted here".to_owned());
            }
        }
        done.notes
            .push(format!("backup {id} stays: {}", backup.why.join("; ")));
    }
    done.objects = Objects {
        deleted: outcome.deleted,
        waiting: outcome.waiting,
        waiting_until: outcome.waiting_until,
        refused: outcome.refused,
        refused_until: outcome.refused_until,
    };
    done.unswept = !outcome.unswept.is_empty();
    for finding in outcome.unswept {
        if !done.findings.contains(&finding) {
            done.findings.push(finding);
        }
    }
    done.notes.extend(outcome.notes);
}

fn summary(done: &PruneDone) -> String {
    let deleted = done.backups.iter().filter(|backup| !backup.kept).count();
    match deleted {
        0 => String::new(),
        1 => "1 backup deleted".to_owned(),
        count => format!("{count} backups deleted"),
    }
}
