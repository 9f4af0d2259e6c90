//! What is known of sources, without a judgement: their backups, drills and copies.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use resguardo_model::receipt::{Statement, Verb};
use resguardo_model::{BackupId, RunId, SourceName, Verdict};
use resguardo_vault::StoredHead;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::copy::Behind;
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
    pub(super) fn of(stored: &StoredHead) -> Self {
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
