//! The chain of a source's heads: each names the one before it, which is there or was pruned.

use std::collections::HashMap;

use resguardo_model::{BackupId, Finding, FindingKind, Sha256Digest};

use crate::heads::{StoredHead, head_finding};
use crate::layout;
use crate::prune::Holes;

/// Checks that each head's predecessor is there and is what it names, or was pruned; `heads` in their
/// order. Their numbers begin at 1: others were refused when they were read.
pub(crate) fn check_chain(heads: &[&StoredHead], pruned: &Holes) -> Vec<Finding> {
    let mut findings = Vec::new();
    let by_digest: HashMap<Sha256Digest, u64> = heads
        .iter()
        .map(|stored| (stored.sha256, stored.head.sequence))
        .collect();
    let follows = |sequence: u64, previous: Option<Sha256Digest>| match previous {
        None => sequence == 1,
        Some(previous) => {
            by_digest
                .get(&previous)
                .is_some_and(|before| before + 1 == sequence)
                || (sequence > 1 && pruned.explain(sequence - 1, &previous))
        }
    };
    let mut sequences: HashMap<u64, BackupId> = HashMap::new();
    for stored in heads {
        let head = &stored.head;
        if !follows(head.sequence, head.previous) {
            findings.push(broken_link(stored, &sequences));
        }
        if let Some(other) = sequences.insert(head.sequence, head.backup) {
            let what =
                format!("it has the same number as {other}: two runs held the source at once");
            let mut finding = head_finding(FindingKind::HeadForked, stored, &what);
            // Both are whole by themselves.
            finding.backups_hit.clear();
            findings.push(finding);
        }
    }
    for hole in pruned.iter() {
        // Where no head is left, nobody can tell by which the first that was pruned followed another.
        if !heads.is_empty() && !follows(hole.first, hole.previous) {
            findings.extend(heads.first().map(|any| {
                let source = &any.head.source;
                let object = layout::snapshots(source);
                Finding {
                    kind: FindingKind::HeadMissing,
                    source: Some(source.clone()),
                    message: format!(
                        "{object}: number {} of the source, which came before one that was pruned, is gone",
                        hole.first - 1
                    ),
                    object,
                    backups_hit: Vec::new(),
                }
            }));
        }
    }
    findings
}

/// What is wrong with a head that does not follow what it names.
fn broken_link(stored: &StoredHead, sequences: &HashMap<u64, BackupId>) -> Finding {
    let head = &stored.head;
    match sequences.get(&(head.sequence - 1)) {
        Some(before) if head.previous.is_some() => {
            let what = format!("it names a predecessor of other content than {before}");
            let mut finding = head_finding(FindingKind::HeadChanged, stored, &what);
            finding.backups_hit = vec![*before];
            finding
        }
        _ => {
            let what = format!(
                "its predecessor, number {} of the source, is gone",
                head.sequence - 1
            );
            let mut finding = head_finding(FindingKind::HeadMissing, stored, &what);
            // The backup that is gone cannot be named; this one is whole by itself.
            finding.backups_hit.clear();
            finding
        }
    }
}
