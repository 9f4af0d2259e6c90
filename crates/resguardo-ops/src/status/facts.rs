//! What is known of sources, without a judgement: their backups, drills and copies.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Instant;

use jiff::Timestamp;
use resguardo_model::receipt::{Statement, Verb};
use resguardo_model::{BackupId, Finding, FindingKind, RunId, SourceName, Verdict};
use resguardo_vault::{Space, StoredHead, Vault};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Watched, WatchedCopy};
use crate::catalog::CachedHead;
use crate::context::Context;
use crate::copy::{Behind, KnownCopies, behind_with};
use crate::error::OpsError;
use crate::history;

/// What is known of one source.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// Of trusted writers, by the instant whose data they hold.
    pub(crate) backups: Vec<BackupFact>,
    /// How many there are of others.
    pub(crate) untrusted: u64,
    /// Of trusted writers, by their ends.
    pub(crate) drills: Vec<DrillFact>,
    /// What all backups take in the vault, in bytes.
    pub(crate) stored_bytes: u64,
    /// How far the watched copies are behind, by their places.
    pub(crate) copies: BTreeMap<String, Behind>,
    /// What a verification found that was not put right since.
    pub(crate) verified: Option<VerifyFact>,
    /// What is wrong with the heads, but for those of writers that nobody here trusts, in words.
    pub(crate) findings: Vec<String>,
}

/// A backup.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct BackupFact {
    pub(crate) id: BackupId,
    pub(crate) taken_at: Timestamp,
    pub(crate) started_at: Timestamp,
    pub(crate) finished_at: Timestamp,
    pub(crate) raw_bytes: u64,
    pub(crate) stored_bytes: u64,
}

impl BackupFact {
    fn of(stored: &StoredHead) -> Self {
        let head = &stored.head;
        Self {
            id: head.backup,
            taken_at: head.taken_at,
            started_at: head.started_at,
            finished_at: head.finished_at,
            raw_bytes: head.raw_bytes,
            stored_bytes: head.stored_bytes,
        }
    }

    /// From the start of the run to its end, in seconds; 0 where a clock was set back meanwhile.
    pub(crate) fn seconds(&self) -> f64 {
        let took = self.finished_at.duration_since(self.started_at);
        took.as_secs_f64().max(0.0)
    }
}

/// A drill of a backup of the vault, as its receipt says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DrillFact {
    pub(crate) source: SourceName,
    pub(crate) backup: BackupId,
    pub(crate) at: Timestamp,
    pub(crate) taken_at: Option<Timestamp>,
    pub(crate) verdict: Verdict,
    pub(crate) rto_seconds: Option<f64>,
    pub(crate) rpo_seconds: Option<f64>,
    /// The checks that did not pass.
    pub(crate) failed: Vec<String>,
    /// Key of the receipt.
    #[serde(skip)]
    pub(crate) receipt: String,
}

impl DrillFact {
    /// The names of the checks by which objectives are measured.
    const OBJECTIVES: [&str; 2] = ["RPO", "RTO"];

    fn of(statement: &Statement) -> Option<Self> {
        let predicate = &statement.predicate;
        let detail = |name: &str| predicate.details.get(name);
        Some(Self {
            source: predicate.source.clone(),
            backup: history::backup_of(statement)?,
            at: predicate.finished_at,
            taken_at: detail("taken_at").and_then(|at| at.as_str()?.parse().ok()),
            verdict: history::verdict_of(statement)?,
            rto_seconds: detail("rto_seconds").and_then(Value::as_f64),
            rpo_seconds: detail("rpo_seconds").and_then(Value::as_f64),
            failed: predicate.failed_tests.clone(),
            receipt: String::new(),
        })
    }

    /// Nothing but an objective was missed: the data came back.
    pub(crate) fn only_objectives(&self) -> bool {
        let is_objective = |name: &String| Self::OBJECTIVES.contains(&name.as_str());
        self.verdict == Verdict::Failed
            && !self.failed.is_empty()
            && self.failed.iter().all(is_objective)
    }

    /// The data came back, in time or not.
    pub(crate) fn came_back(&self) -> bool {
        self.verdict == Verdict::Passed || self.only_objectives()
    }
}

/// What a receipt states that standings are made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stated {
    /// How a drill of a backup went.
    Drill(DrillFact),
    /// What a verification found.
    Verify(VerifyFact),
}

impl Stated {
    /// Of a receipt, if it is one of those.
    pub(crate) fn of(statement: &Statement) -> Option<Self> {
        match statement.predicate.verb {
            Verb::Drill => DrillFact::of(statement).map(Self::Drill),
            Verb::Verify => VerifyFact::of(statement).map(Self::Verify),
            _ => None,
        }
    }
}

/// The depths of a verification, each of which sees what those before it do.
const DEPTHS: [&str; 4] = ["heads", "digests", "structure", "bytes"];

/// What a verification found of one source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct VerifyFact {
    pub(crate) source: SourceName,
    pub(crate) run: RunId,
    pub(crate) at: Timestamp,
    pub(crate) findings: u64,
    /// The first of them, in words.
    pub(crate) message: String,
    /// The backups that it hit.
    pub(crate) hit: BTreeSet<BackupId>,
    /// How deep it looked: deeper ones find what others do not.
    pub(crate) depth: u8,
    /// It looked at every backup of the source.
    pub(crate) whole_source: bool,
}

impl VerifyFact {
    fn of(statement: &Statement) -> Option<Self> {
        let predicate = &statement.predicate;
        // What a copy lacks or damaged is no word about the vault.
        if predicate.details.contains_key("place") {
            return None;
        }
        let findings = predicate.details.get("findings")?.as_array()?;
        let first = findings
            .first()
            .and_then(|one| one.get("message")?.as_str());
        let hit = findings
            .iter()
            .filter_map(|one| one.get("backups_hit")?.as_array());
        let hit = hit.flatten().filter_map(|id| id.as_str()?.parse().ok());
        let text = |name: &str| predicate.details.get(name).and_then(Value::as_str);
        let depth = text("depth").and_then(|depth| DEPTHS.iter().position(|one| *one == depth));
        Some(Self {
            source: predicate.source.clone(),
            run: predicate.run,
            at: predicate.finished_at,
            findings: findings.len() as u64,
            message: first.unwrap_or_default().to_owned(),
            hit: hit.collect(),
            depth: depth.and_then(|at| u8::try_from(at).ok()).unwrap_or(0),
            whole_source: text("scope").is_none_or(|scope| scope != "backup"),
        })
    }

    /// Whether what `earlier` found is not there any more: a look at all of the source that was no less deep
    /// found nothing.
    fn clears(&self, earlier: &Self) -> bool {
        self.findings == 0
            && self.whole_source
            && self.depth >= earlier.depth
            && self.at >= earlier.at
    }
}

/// The finding of a verification that still stands.
pub(super) fn standing_finding(
    mut all: Vec<VerifyFact>,
    backups: &[BackupFact],
) -> Option<VerifyFact> {
    all.sort_by_key(|one| (one.at, one.run));
    let there: BTreeSet<BackupId> = backups.iter().map(|one| one.id).collect();
    let stands = |one: &&VerifyFact| {
        let is_cleared = all.iter().any(|later| later.clears(one));
        let is_gone = !one.hit.is_empty() && one.hit.is_disjoint(&there);
        one.findings > 0 && !is_cleared && !is_gone
    };
    all.iter().rfind(stands).cloned()
}

/// What the vault's list and the catalog tell of the watched sources, and what is wrong with heads.
pub(super) fn gather(
    ctx: &Context,
    watched: &[Watched],
) -> Result<(BTreeMap<SourceName, Facts>, Vec<Finding>), OpsError> {
    let vault = ctx.vault()?.id();
    if let Some(findings) = ctx.catalog.pace().rests(vault) {
        let mut all = known(ctx, watched)?;
        add_findings(&findings, &mut all);
        return Ok((all, findings));
    }
    let begun = Instant::now();
    let heads = history::heads(ctx, None)?;
    let mut sources = history::sources_of(&heads.heads);
    sources.extend(watched.iter().map(|one| one.source.clone()));
    let there = history::read_new(ctx, &sources)?;
    let copies = KnownCopies::read(ctx, &there)?;
    let mut all = put_together(heads.heads, &copies, watched);
    add_findings(&heads.findings, &mut all);
    add_stated(ctx, Some(&there), None, &mut all)?;
    let pace = ctx.catalog.pace();
    pace.listed(vault, begun.elapsed(), &heads.findings);
    Ok((all, heads.findings))
}

fn add_findings(findings: &[Finding], all: &mut BTreeMap<SourceName, Facts>) {
    for finding in findings {
        let strangers = [FindingKind::WriterUnknown, FindingKind::WriterRetired];
        if let Some(source) = finding.source.as_ref()
            && !strangers.contains(&finding.kind)
        {
            let facts = all.entry(source.clone()).or_default();
            facts.findings.push(finding.message.clone());
        }
    }
}

/// What the catalog alone tells: the vault as it was seen last.
pub(super) fn known(
    ctx: &Context,
    watched: &[Watched],
) -> Result<BTreeMap<SourceName, Facts>, OpsError> {
    let vault = ctx.vault()?;
    let heads = trusted_by(vault, ctx.catalog.heads(vault.id())?);
    let copies = KnownCopies::read(ctx, &ctx.catalog.receipt_keys(vault.id())?)?;
    let mut all = put_together(heads, &copies, watched);
    add_stated(ctx, None, None, &mut all)?;
    Ok(all)
}

/// What the catalog alone tells of one source. Copies are not looked at.
pub(crate) fn known_of(ctx: &Context, source: &SourceName) -> Result<Facts, OpsError> {
    let vault = ctx.vault()?;
    let heads = ctx.catalog.heads_of(vault.id(), source)?;
    let mut all = put_together(trusted_by(vault, heads), &KnownCopies::default(), &[]);
    add_stated(ctx, None, Some(source), &mut all)?;
    Ok(all.remove(source).unwrap_or_default())
}

fn trusted_by(vault: &Vault, heads: HashMap<String, CachedHead>) -> Vec<StoredHead> {
    let heads = heads.into_iter();
    heads
        .map(|(key, cached)| StoredHead {
            trusted: vault.trusts(cached.head.writer, &cached.sha256),
            head: cached.head,
            sha256: cached.sha256,
            key,
        })
        .collect()
}

fn put_together(
    heads: Vec<StoredHead>,
    copies: &KnownCopies,
    watched: &[Watched],
) -> BTreeMap<SourceName, Facts> {
    let mut by_source: BTreeMap<SourceName, Vec<StoredHead>> = BTreeMap::new();
    for one in watched {
        by_source.entry(one.source.clone()).or_default();
    }
    for head in heads {
        let name = head.head.source.clone();
        by_source.entry(name).or_default().push(head);
    }
    let places: BTreeMap<&SourceName, &[WatchedCopy]> = watched
        .iter()
        .map(|one| (&one.source, &*one.copies))
        .collect();
    by_source
        .into_iter()
        .map(|(source, heads)| {
            let places = places.get(&source).copied().unwrap_or_default();
            let behind = places.iter().map(|copy| {
                let known = copies.named(&source, &copy.name, &copy.place);
                (copy.place.clone(), behind_with(&source, &heads, known))
            });
            let trusted = heads.iter().filter(|stored| stored.trusted);
            let mut backups: Vec<_> = trusted.map(BackupFact::of).collect();
            backups.sort_by_key(|backup| (backup.taken_at, backup.id));
            let facts = Facts {
                untrusted: (heads.len() - backups.len()) as u64,
                stored_bytes: Space::of(&heads)
                    .sources
                    .iter()
                    .map(|one| one.stored_bytes)
                    .sum(),
                copies: behind.collect(),
                drills: Vec::new(),
                verified: None,
                findings: Vec::new(),
                backups,
            };
            (source, facts)
        })
        .collect()
}

/// What receipts state that are `there`, or that the catalog knows at all.
fn add_stated(
    ctx: &Context,
    there: Option<&HashSet<String>>,
    only: Option<&SourceName>,
    all: &mut BTreeMap<SourceName, Facts>,
) -> Result<(), OpsError> {
    let vault = ctx.vault()?;
    let mut verified: BTreeMap<SourceName, Vec<VerifyFact>> = BTreeMap::new();
    for (key, writer, sha256, stated) in ctx.catalog.stated(vault.id(), only)? {
        if there.is_some_and(|there| !there.contains(&key)) || !vault.trusts(writer, &sha256) {
            continue;
        }
        match stated {
            Stated::Drill(drill) => {
                let facts = all.entry(drill.source.clone()).or_default();
                facts.drills.push(DrillFact {
                    receipt: key,
                    ..drill
                });
            }
            Stated::Verify(verify) => {
                let source = verify.source.clone();
                verified.entry(source).or_default().push(verify);
            }
        }
    }
    for (source, facts) in all {
        if let Some(found) = verified.remove(source) {
            facts.verified = standing_finding(found, &facts.backups);
        }
        facts
            .drills
            .sort_by(|a, b| (a.at, &a.receipt).cmp(&(b.at, &b.receipt)));
    }
    Ok(())
}
