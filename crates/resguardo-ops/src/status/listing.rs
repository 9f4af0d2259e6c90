//! What a vault lists, by sources: whether there is news of one is seen without reading anything.
//!
//! INVARIANT: lists are compared by names, sizes and times of change, never by how many objects there are
//! (`tests/ops/looks.rs`).

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};

use resguardo_model::{BackupId, Finding, RunId, SourceName};
use resguardo_vault::{ObjectInfo, Vault};

use super::seen::SourceHeads;

const HEAD_ENDING: &str = ".head.json";

/// What is listed of one source.
#[derive(Clone, Debug, Default)]
pub(crate) struct SourceList {
    /// Its heads, and a stamp of the size and time of each.
    heads: Vec<(BackupId, u64)>,
    /// Its receipts, likewise.
    receipts: Vec<(RunId, u64)>,
    /// Of the names, sizes and times of all else that lies beside its heads.
    others: u64,
    /// Of the digests of those heads whose writers are believed, which may be others the next time.
    believed: u64,
    /// What is wrong with its heads.
    pub(crate) findings: Vec<Finding>,
}

impl SourceList {
    /// Whether nothing is otherwise than it was.
    pub(crate) fn is_as(&self, before: &Self) -> bool {
        self.heads == before.heads
            && self.others == before.others
            && self.believed == before.believed
    }

    /// Whether these are the heads that are listed, all of them and no other.
    pub(crate) fn is_all_of(&self, known: &SourceHeads) -> bool {
        let mut ids: Vec<BackupId> = known.heads.iter().map(|head| head.backup.id).collect();
        ids.sort_unstable();
        let listed = self.heads.iter().map(|(id, _)| *id);
        ids.into_iter().eq(listed)
    }

    /// Takes down which of the heads that are known are believed.
    pub(crate) fn believe(&mut self, vault: &Vault, known: &SourceHeads) {
        let trusted = known.heads.iter();
        let trusted = trusted.filter(|head| vault.trusts(head.writer, &head.sha256));
        self.believed = trusted.fold(0, |sum, head| {
            let [a, b, c, d, e, f, g, h, ..] = head.sha256.0;
            u64::wrapping_add(sum, u64::from_be_bytes([a, b, c, d, e, f, g, h]))
        });
    }
}

/// What is listed of all sources.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listed {
    pub(crate) sources: BTreeMap<SourceName, SourceList>,
}

impl Listed {
    /// Of what a vault lists. Those that are compared have stamps of the same kind.
    pub(crate) fn of(listing: &[ObjectInfo], stamps: &RandomState) -> Self {
        let mut sources: BTreeMap<SourceName, SourceList> = BTreeMap::new();
        for info in listing {
            let Some((source, folder, name)) = parts(info) else {
                continue;
            };
            let is_of_heads = folder == "snapshots";
            if !is_of_heads && folder != "receipts" {
                continue;
            }
            let Ok(source) = source.parse() else {
                continue;
            };
            let list = sources.entry(source).or_default();
            let stamp = stamps.hash_one((info.bytes, info.modified_at, &info.version));
            if !is_of_heads {
                let run = name.strip_suffix(".json").and_then(|run| run.parse().ok());
                list.receipts.extend(run.map(|run| (run, stamp)));
                continue;
            }
            match name.strip_suffix(HEAD_ENDING).map(str::parse) {
                Some(Ok(backup)) => list.heads.push((backup, stamp)),
                _ => {
                    let one = stamps.hash_one((name, stamp));
                    list.others = list.others.wrapping_add(one);
                }
            }
        }
        for list in sources.values_mut() {
            list.heads.sort_unstable();
            list.receipts.sort_unstable();
        }
        Self { sources }
    }

    /// The keys of heads and of receipts that were listed before with another size or time.
    pub(crate) fn replaced(&self, before: &Self) -> (Vec<String>, Vec<String>) {
        let (mut heads, mut receipts) = (Vec::new(), Vec::new());
        for (source, now) in &self.sources {
            let Some(before) = before.sources.get(source) else {
                continue;
            };
            let changed = replaced_of(&now.heads, &before.heads);
            heads.extend(changed.map(|id| format!("{source}/snapshots/{id}{HEAD_ENDING}")));
            let changed = replaced_of(&now.receipts, &before.receipts);
            receipts.extend(changed.map(|run| format!("{source}/receipts/{run}.json")));
        }
        (heads, receipts)
    }

    /// What is wrong with the heads of all sources.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let lists = self.sources.values();
        lists.flat_map(|one| one.findings.iter().cloned()).collect()
    }
}

/// The keys of the receipts that are listed.
pub(crate) fn receipts_of(listing: &[ObjectInfo]) -> HashSet<String> {
    let receipts = listing
        .iter()
        .filter(|info| parts(info).is_some_and(|(_, folder, _)| folder == "receipts"));
    receipts.map(|info| info.key.to_string()).collect()
}

/// A source, a folder of it, and what lies in that.
fn parts(info: &ObjectInfo) -> Option<(&str, &str, &str)> {
    let (source, rest) = info.key.as_str().split_once('/')?;
    let (folder, name) = rest.split_once('/')?;
    Some((source, folder, name))
}

fn replaced_of<'a, T: Ord + Copy>(
    now: &'a [(T, u64)],
    before: &'a [(T, u64)],
) -> impl Iterator<Item = T> {
    now.iter().filter_map(|(id, stamp)| {
        let at = before.binary_search_by_key(id, |(id, _)| *id).ok()?;
        (before[at].1 != *stamp).then_some(*id)
    })
}
