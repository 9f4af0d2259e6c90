//! A vault that is lost, or lost objects, is made whole again from its copies: the same way in the other
//! direction.
//!
//! Each copy is asked for the heads that it holds; an object that it does not have whole is taken from
//! whichever other copy has it, by its digest. What no copy has whole is named, and the vault is not called
//! whole then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use resguardo_model::receipt::Verb;
use resguardo_model::{BackupId, Finding, FindingKind, SourceName};
use resguardo_vault::{
    Compared, CopyPlace, LeftBehind, SyncRequest as VaultRequest, Synced, Vault,
};
use serde_json::{Value, json};

use super::{holdings, opened, pins};
use crate::catalog::RunState;
use crate::context::Context;
use crate::error::OpsError;
use crate::receipt::{self, Record, value};
use crate::run::OpenRun;
use crate::{history, recover};

/// A vault that was made again.
#[derive(Clone, Debug, PartialEq)]
pub struct RebuildDone {
    /// Where it lies.
    pub place: String,
    /// The copies that it was made from, each by its name and where it lies, in the order of asking.
    pub from: Vec<(String, String)>,
    /// What was brought back of each source.
    pub sources: Vec<Rebuilt>,
    /// Backups that this machine took and no copy has: they are lost.
    pub lost: Vec<Finding>,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Keys of its receipts, one for each source.
    pub receipts: Vec<String>,
    /// What a person should know.
    pub notes: Vec<String>,
}

impl RebuildDone {
    /// Whether everything that the copies have was brought back.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.sources.iter().all(Rebuilt::is_whole)
    }
}

/// One source that was brought back.
#[derive(Clone, Debug, PartialEq)]
pub struct Rebuilt {
    /// The source.
    pub source: SourceName,
    /// What the synchronisation with each copy did, in the order of [`RebuildDone::from`].
    pub parts: Vec<Synced>,
    /// Backups that copies know, and that no copy has whole.
    pub nowhere: Vec<BackupId>,
    /// Backups at copies whose writers are not believed here: they were left where they are.
    pub left_behind: Vec<LeftBehind>,
    /// Heads that are missing in what was made, and heads and records of which two copies hold different ones.
    pub unsettled: Vec<Unsettled>,
}

/// Something that keeps what was made from being called whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Unsettled {
    /// What is wrong.
    pub finding: Finding,
    /// What to do about it: a command.
    pub next: String,
}

/// What came from one copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Came {
    /// Backups.
    pub backups: u64,
    /// Objects.
    pub objects: u64,
    /// Bytes of them, and of records.
    pub bytes: u64,
}

impl Rebuilt {
    /// Whether all of it came back that copies have.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.nowhere.is_empty()
            && self.left_behind.is_empty()
            && self.unsettled.is_empty()
            && self.parts.iter().all(|part| part.kept.is_empty())
    }

    /// What came from the copy with this number, at `place`.
    #[must_use]
    pub fn came_from(&self, number: usize, place: &str) -> Came {
        let mut came = Came::default();
        for (of, part) in self.parts.iter().enumerate() {
            let from_others = |is_meant: &dyn Fn(&str) -> bool| {
                let all = part.elsewhere.iter().filter(|one| is_meant(&one.place));
                let sizes: Vec<u64> = all.map(|one| one.bytes).collect();
                (sizes.len() as u64, sizes.iter().sum::<u64>())
            };
            let (objects, bytes) = if of == number {
                let (objects, bytes) = from_others(&|_| true);
                came.backups += part.sent.len() as u64;
                (part.objects - objects, part.bytes - bytes)
            } else {
                from_others(&|other| other == place)
            };
            came.objects += objects;
            came.bytes += bytes;
        }
        came
    }

    fn sent(&self) -> Vec<BackupId> {
        let sent = self.parts.iter().flat_map(|part| &part.sent);
        sent.map(|one| one.backup.backup).collect()
    }
}

/// Makes the vault at `to` again from the copy that the context was opened over, and from the `others`: into an
/// empty place, or what is missing in a place that holds this vault. `mend`: what is damaged there is replaced
/// as well. `name` is what the first copy is called.
///
/// # Errors
/// [`OpsError::Vault`]: the place holds another vault or something else, or one of the places cannot be
/// reached. [`OpsError::CopyAbsent`]: one of the others is none. Run again, it goes on where it was stopped.
pub fn rebuild(
    ctx: &Context,
    name: &str,
    others: &[CopyPlace],
    to: &CopyPlace,
    mend: bool,
) -> Result<RebuildDone, OpsError> {
    recover::sweep(ctx)?;
    let mut copies = vec![(name.to_owned(), Vault::clone(ctx.vault()?))];
    for other in others {
        copies.push((other.name().to_owned(), opened(ctx.vault()?, other)?));
    }
    let mut run = OpenRun::begin(ctx, Verb::Copy, None)?;
    let result = bring_back(ctx, &copies, to, mend, &run);
    match result {
        Ok(sources) => {
            let from = copies.iter();
            let from = from.map(|(name, copy)| (name.clone(), copy.store().describe()));
            let mut done = RebuildDone {
                place: to.describe(),
                from: from.collect(),
                sources,
                lost: Vec::new(),
                seconds: run.seconds(),
                receipts: Vec::new(),
                notes: Vec::new(),
            };
            conclude(ctx, to, &run, &mut done)?;
            run.has_receipt(done.receipts.first().map(String::as_str));
            match done.is_whole() {
                true => run.end(RunState::Succeeded, ""),
                false => run.end(RunState::Failed, "not everything could be brought back"),
            }
            Ok(done)
        }
        Err(error) => {
            run.end_with(&error);
            Err(error)
        }
    }
}

fn bring_back(
    ctx: &Context,
    copies: &[(String, Vault)],
    to: &CopyPlace,
    mend: bool,
    run: &OpenRun<'_>,
) -> Result<Vec<Rebuilt>, OpsError> {
    let doing = || format!("making the vault at {} again", to.describe());
    let fresh = ctx
        .vault()?
        .begin_copy(to)
        .map_err(OpsError::vault(doing()))?;
    let mut names = BTreeSet::new();
    for (_, copy) in copies {
        let heads = copy.heads(None).map_err(OpsError::vault(doing()))?.heads;
        names.extend(history::sources_of(&heads));
    }
    let unwanted = BTreeSet::new();
    let mut sources = Vec::new();
    for source in names {
        let request = VaultRequest {
            source: &source,
            run: run.id(),
            host: &ctx.host,
            pid: std::process::id(),
            mend,
            unwanted: &unwanted,
        };
        let mut parts = Vec::new();
        for (number, (_, from)) in copies.iter().enumerate() {
            let others = copies.iter().enumerate().filter(|(of, _)| *of != number);
            let others: Vec<Vault> = others.map(|(_, (_, copy))| copy.clone()).collect();
            let part = from
                .sync_with_others(&fresh, &others, &request, &ctx.cancel, &*ctx.progress)
                .map_err(OpsError::vault(doing()))?;
            parts.push(part);
        }
        let heads = fresh
            .heads(Some(&source))
            .map_err(OpsError::vault(doing()))?;
        let unsettled = unsettled(&heads.findings, copies, &parts);
        sources.push(in_all(source, parts, unsettled));
    }
    Ok(sources)
}

/// Heads that no copy had although others follow them, and what two of the copies say differently.
fn unsettled(heads: &[Finding], copies: &[(String, Vault)], parts: &[Synced]) -> Vec<Unsettled> {
    let look = "see which is right with `resguardo show ID --from` each copy; if a key was stolen, \
                `resguardo keys retire` its writer";
    let of_chain = heads.iter().filter_map(|finding| {
        let next = match finding.kind {
            FindingKind::HeadMissing => {
                "`resguardo copy rebuild --from` a copy that has it; if none has, \
                 `resguardo prune --accept-missing-heads`"
            }
            FindingKind::HeadChanged => look,
            _ => return None,
        };
        let (finding, next) = (finding.clone(), next.to_owned());
        Some(Unsettled { finding, next })
    });
    let mut all: Vec<Unsettled> = of_chain.collect();
    for ((name, _), part) in copies.iter().zip(parts) {
        for finding in &part.findings {
            let next = match finding.kind {
                // What a copy's own chain lacks, another may have brought.
                FindingKind::HeadChanged if is_of_itself(finding) => look.to_owned(),
                FindingKind::RecordDiffers => settle_command(name, &finding.object),
                _ => continue,
            };
            let finding = finding.clone();
            all.push(Unsettled { finding, next });
        }
    }
    all
}

/// Whether a head itself is disputed, and not the one that it follows.
fn is_of_itself(finding: &Finding) -> bool {
    let mut hit = finding.backups_hit.iter();
    hit.any(|id| finding.object.contains(&id.to_string()))
}

/// How a record that differs at the copy called `name` is settled.
#[must_use]
pub fn settle_command(name: &str, object: &str) -> String {
    format!(
        "say which is kept: `resguardo copy settle {name} {object} --keep vault` or `--keep copy`"
    )
}

/// What the copies have in all, and what none of them has.
fn in_all(source: SourceName, parts: Vec<Synced>, unsettled: Vec<Unsettled>) -> Rebuilt {
    let ids = |list: &dyn Fn(&Synced) -> Vec<BackupId>| -> BTreeSet<BackupId> {
        parts.iter().flat_map(list).collect()
    };
    let held = ids(&|part| part.compared.held.iter().map(|one| one.backup).collect());
    let missing = ids(&|part| {
        let Compared {
            missing, pruned, ..
        } = &part.compared;
        missing.iter().chain(pruned).map(|one| one.backup).collect()
    });
    // A head that cannot be read is in no list: only a finding tells of its backup.
    let unreadable = ids(&|part| {
        let findings = part.findings.iter().filter(|finding| {
            matches!(
                finding.kind,
                FindingKind::HeadMalformed | FindingKind::HeadForged | FindingKind::HeadReplayed
            )
        });
        findings.flat_map(|one| one.backups_hit.clone()).collect()
    });
    let nowhere = missing.union(&unreadable).filter(|id| !held.contains(id));
    let nowhere = nowhere.copied().collect();
    let mut left_behind: Vec<LeftBehind> = Vec::new();
    for one in parts.iter().flat_map(|part| &part.left_behind) {
        if !held.contains(&one.backup) && !left_behind.contains(one) {
            left_behind.push(one.clone());
        }
    }
    Rebuilt {
        source,
        parts,
        nowhere,
        left_behind,
        unsettled,
    }
}

/// Opens what was made as the vault itself, takes leave of what is lost, and says all of it in receipts.
fn conclude(
    ctx: &Context,
    to: &CopyPlace,
    run: &OpenRun<'_>,
    done: &mut RebuildDone,
) -> Result<(), OpsError> {
    let doing = || format!("opening the vault at {}", to.describe());
    let from = ctx.vault()?;
    let primary = from.primary_at(to).map_err(OpsError::vault(doing()))?;
    // What did not come back may be at a copy all the same: as long as it may, its loss stays an alarm.
    if done.is_whole() {
        done.lost = primary
            .take_leave_of_lost()
            .map_err(OpsError::vault(doing()))?;
    }
    let over_primary = Context {
        vault: Some(Arc::new(primary)),
        ..ctx.clone()
    };
    done.notes.extend(pins::lost(&over_primary)?);
    for rebuilt in &done.sources {
        // What told of the copies was lost with the vault; of the others, the next synchronisation tells.
        let mut details: BTreeMap<_, _> = holdings(&over_primary, from, &rebuilt.source);
        details.extend(details_of(done, rebuilt));
        let record = Record {
            run,
            source: &rebuilt.source,
            outcome: if rebuilt.is_whole() {
                "succeeded"
            } else {
                "failed"
            },
            subject: Vec::new(),
            tools: BTreeMap::new(),
            details,
            test: None,
        };
        let receipt = receipt::store_or_note(&over_primary, record, &mut done.notes);
        done.receipts.extend(receipt);
    }
    Ok(())
}

fn details_of(done: &RebuildDone, rebuilt: &Rebuilt) -> BTreeMap<String, Value> {
    let lost = done.lost.iter();
    let lost = lost.filter(|finding| finding.source.as_ref() == Some(&rebuilt.source));
    let lost: Vec<&Finding> = lost.collect();
    let from = done.from.iter().enumerate().map(|(number, (name, place))| {
        let came = rebuilt.came_from(number, place);
        json!({
            "copy": name,
            "place": place,
            "backups": came.backups,
            "objects": came.objects,
            "bytes": came.bytes,
        })
    });
    let from: Vec<Value> = from.collect();
    let left_behind: Vec<Value> = rebuilt.left_behind.iter().map(left_behind_json).collect();
    let unsettled: Vec<&Finding> = rebuilt.unsettled.iter().map(|one| &one.finding).collect();
    let parts = || rebuilt.parts.iter();
    let mended: Vec<&String> = parts().flat_map(|part| &part.mended).collect();
    let findings: Vec<&Finding> = parts().flat_map(|part| &part.findings).collect();
    [
        ("rebuilt_from", value(from)),
        ("rebuilt_at", value(&done.place)),
        ("sent", value(rebuilt.sent())),
        ("mended", value(mended)),
        ("lost", value(lost)),
        ("missing", value(&rebuilt.nowhere)),
        ("left_behind", value(left_behind)),
        ("unsettled", value(unsettled)),
        ("findings", value(findings)),
        ("seconds", value(done.seconds)),
        ("copy", value(done.from.first().map(|(name, _)| name))),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// The shape of receipts and of `docs/json.md`.
#[must_use]
pub fn left_behind_json(one: &LeftBehind) -> Value {
    json!({ "backup": one.backup, "writer": one.writer, "retired": one.retired })
}
