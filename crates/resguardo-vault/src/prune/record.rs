//! Prune records: signed words of a writer about which heads are missing because they were pruned.
//! `docs/format.md`, "Prune records".
//!
//! A record explains a missing head, and nothing else: a head that is there is alive, whatever records
//! say. Each record carries on what the records before it said, so that those can be removed.

use std::collections::HashSet;

use jiff::Timestamp;
use resguardo_model::{
    BackupId, Finding, FindingKind, Head, RecordId, RunId, Sha256Digest, SourceName, VaultId,
    WriterId,
};
use resguardo_store::{Key, ObjectInfo, StoreError};
use serde::{Deserialize, Serialize};

use super::hole::{Hole, Holes};
use crate::error::VaultError;
use crate::heads::StoredHead;
use crate::layout;
use crate::signed::{Kind, SignedError};
use crate::vault::Vault;

pub(super) const KIND: Kind = Kind {
    name: "prune",
    domain: b"resguardo-prune-v1\n",
};
/// `docs/format.md`, "Limits".
const RECORD_BYTES_MAX: u64 = 64 << 20;

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PruneRecord {
    pub(crate) format: u32,
    pub(crate) vault: VaultId,
    pub(crate) source: SourceName,
    pub(crate) record: RecordId,
    pub(crate) run: RunId,
    pub(crate) made_at: Timestamp,
    pub(crate) writer: WriterId,
    /// The heads that this run takes away.
    pub(crate) removes: Vec<RemovedHead>,
    /// Every head of the source that was ever pruned, these included.
    pub(crate) holes: Vec<Hole>,
}

/// A head that a run takes away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemovedHead {
    pub(crate) backup: BackupId,
    pub(crate) sequence: u64,
    pub(crate) sha256: Sha256Digest,
}

/// What the prune records of a source explain.
#[derive(Clone, Debug, Default)]
pub struct PruneRecords {
    pub(crate) holes: Holes,
    /// The objects of trusted writers, the oldest first, with what each says.
    pub(crate) objects: Vec<(Key, Vec<Hole>)>,
    /// Records that were forged, or signed by a writer who is not trusted here; they explain nothing.
    pub findings: Vec<Finding>,
}

impl PruneRecords {
    /// Whether a backup was pruned, should its head be missing. It says nothing of a head that is there.
    #[must_use]
    pub fn explain(&self, head: &StoredHead) -> bool {
        self.holes.explain(head.head.sequence, &head.sha256)
    }

    /// Records that say nothing which one other does not: a prune that carried them on was stopped before it
    /// removed them.
    pub(super) fn superfluous(&self) -> Vec<&Key> {
        let is_superfluous = |number: usize, holes: &[Hole]| {
            self.objects.iter().enumerate().any(|(other, (_, others))| {
                // Of two that say the same the newer one stays.
                other != number
                    && covers(others, holes)
                    && (other > number || !covers(holes, others))
            })
        };
        self.objects
            .iter()
            .enumerate()
            .filter(|(number, (_, holes))| is_superfluous(*number, holes))
            .map(|(_, (key, _))| key)
            .collect()
    }
}

fn covers(outer: &[Hole], inner: &[Hole]) -> bool {
    inner
        .iter()
        .all(|hole| outer.iter().any(|around| hole.lies_in(around)))
}

fn finding(kind: FindingKind, source: &SourceName, key: &Key, what: &str) -> Finding {
    Finding {
        kind,
        source: Some(source.clone()),
        object: key.to_string(),
        message: format!("{key}: {what}; it explains nothing"),
        backups_hit: Vec::new(),
    }
}

impl Vault {
    /// What the prune records of a source explain.
    ///
    /// # Errors
    /// The store's own; [`VaultError::NewerFormat`]. What is wrong with a record is a finding.
    pub fn prune_records(&self, source: &SourceName) -> Result<PruneRecords, VaultError> {
        let listed = self.store().list(&layout::prunes(source))?;
        self.read_prune_records(source, &listed)
    }

    /// As [`Vault::prune_records`], of the records among `listed`.
    pub(crate) fn read_prune_records(
        &self,
        source: &SourceName,
        listed: &[ObjectInfo],
    ) -> Result<PruneRecords, VaultError> {
        let places: Vec<(&ObjectInfo, RecordId)> = listed
            .iter()
            .filter_map(|info| {
                let (of, record) = layout::prune_place(&info.key)?;
                (of == *source).then_some((info, record))
            })
            .collect();
        let read = self.in_parallel(&places, |(ObjectInfo { key, bytes, .. }, record)| {
            if *bytes > RECORD_BYTES_MAX {
                let what = "it is too large for a prune record";
                let kind = FindingKind::PruneRecordForged;
                return Ok(Some(Err(finding(kind, source, key, what))));
            }
            match self.store().get(key) {
                // Carried on by a newer one since it was listed.
                Err(StoreError::NotFound { .. }) => Ok(None),
                Err(error) => Err(error.into()),
                Ok(bytes) => self.read_record(source, key, *record, &bytes).map(Some),
            }
        })?;
        let mut records = PruneRecords::default();
        let mut holes = Vec::new();
        for (result, (info, _)) in read.into_iter().zip(&places) {
            match result {
                Some(Ok(record)) => {
                    holes.extend(record.holes.iter().cloned());
                    records.objects.push((info.key.clone(), record.holes));
                }
                Some(Err(finding)) => records.findings.push(finding),
                None => {}
            }
        }
        records.holes = Holes::merged(holes);
        Ok(records)
    }

    pub(crate) fn read_record(
        &self,
        source: &SourceName,
        key: &Key,
        record: RecordId,
        bytes: &[u8],
    ) -> Result<Result<PruneRecord, Finding>, VaultError> {
        let finding = |kind, what: &str| Ok(Err(finding(kind, source, key, what)));
        let forged = |what: &str| finding(FindingKind::PruneRecordForged, what);
        let sha256 = Sha256Digest::of(bytes);
        let body: PruneRecord = match KIND.open(bytes) {
            Ok(body) => body,
            Err(SignedError::NewerFormat { format, writer }) if self.trusts(writer, &sha256) => {
                return Err(VaultError::NewerFormat {
                    object: key.to_string(),
                    format,
                });
            }
            Err(error) => return forged(&error.to_string()),
        };
        if body.vault != self.id() || body.source != *source || body.record != record {
            return forged("it belongs elsewhere");
        }
        if !body.holes.iter().all(Hole::fits) {
            return forged("it names heads that cannot be");
        }
        if !self.trusts(body.writer, &sha256) {
            let (kind, why) = self.why_not_trusted(body.writer);
            return finding(kind, &format!("it is signed by {}, {why}", body.writer));
        }
        Ok(Ok(body))
    }
}

/// What is to be explained once `doomed` are gone: what the records before said but for heads that are
/// alive after all, and the doomed.
pub(super) fn holes_after(
    records: &PruneRecords,
    alive: &[StoredHead],
    doomed: &[StoredHead],
) -> Holes {
    let leant_on = leant_on(&records.holes, alive);
    let holes = alive.iter().fold(records.holes.clone(), |holes, stored| {
        let Head { sequence, .. } = stored.head;
        if holes.reach(sequence) && !leant_on.contains(&sequence) {
            holes.without(&stored.head, stored.sha256)
        } else {
            holes
        }
    });
    let mut all = holes.into_vec();
    all.extend(
        doomed
            .iter()
            .map(|stored| Hole::of(&stored.head, stored.sha256)),
    );
    Holes::merged(all)
}

/// Numbers at which a living head follows one that was pruned. Where another head of such a number is alive (two
/// runs held the source at once, or the vault was made again from a copy that lacked the first), the hole is about
/// the one that is missing, though it cannot name it.
fn leant_on(holes: &Holes, alive: &[StoredHead]) -> HashSet<u64> {
    let there: HashSet<Sha256Digest> = alive.iter().map(|stored| stored.sha256).collect();
    let follows_a_hole = |stored: &StoredHead| {
        let previous = stored.head.previous?;
        let before = stored.head.sequence.checked_sub(1)?;
        let is_leant_on = !there.contains(&previous) && holes.explain(before, &previous);
        is_leant_on.then_some(before)
    };
    alive.iter().filter_map(follows_a_hole).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::tests::{example, key};

    fn digest(number: u64) -> Sha256Digest {
        Sha256Digest::of(&number.to_le_bytes())
    }

    fn stored(sequence: u64, sha256: Sha256Digest, previous: Option<Sha256Digest>) -> StoredHead {
        let head = Head {
            sequence,
            previous,
            ..example(&key())
        };
        StoredHead {
            sha256,
            key: layout::head(&head.source, head.backup).to_string(),
            head,
            trusted: true,
        }
    }

    fn after(alive: &[StoredHead]) -> Holes {
        let hole = Hole {
            first: 1,
            last: 4,
            previous: None,
            sha256: digest(4),
        };
        let records = PruneRecords {
            holes: Holes::merged(vec![hole]),
            ..PruneRecords::default()
        };
        holes_after(&records, alive, &[])
    }

    #[test]
    fn a_head_that_is_alive_after_all_leaves_its_hole() {
        let third = stored(3, digest(3), Some(digest(2)));
        let holes = after(&[third]);
        assert!(holes.explain(2, &digest(2)) && holes.explain(4, &digest(4)));
        assert!(!holes.reach(3));
    }

    #[test]
    fn another_head_of_a_number_that_was_pruned_does_not_take_its_explanation_away() {
        // Seed 101 of the torture: of two heads numbered 1, the second follows the one that was pruned.
        let other = stored(1, digest(100), None);
        let second = stored(2, digest(2), Some(digest(1)));
        let fifth = stored(5, digest(5), Some(digest(4)));
        let holes = after(&[other, second, fifth]);
        assert!(holes.explain(1, &digest(1)));
        assert!(!holes.reach(2));
        assert!(holes.explain(4, &digest(4)));
    }
}
