//! Verifies every stored byte against the digests that heads name. No key is needed, so a copy can be
//! verified by whoever may read its store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use resguardo_model::{BackupId, CancelToken, Findings, Progress, SourceName};

use super::send::{Named, Wrong, each, named_by, read_named};
use crate::error::VaultError;
use crate::vault::Vault;
use crate::verify::{Depth, Selection};

impl Vault {
    /// Reads every object that the chosen heads of trusted writers name, and compares its SHA-256; heads,
    /// chains and receipts as at the depth of heads.
    pub(crate) fn verify_digests(
        &self,
        selection: &Selection,
        cancel: &CancelToken,
        progress: &dyn Progress,
    ) -> Result<Findings, VaultError> {
        let mut found = self.verify(selection, Depth::Heads, cancel, progress)?;
        let known: BTreeSet<&str> = found
            .findings
            .iter()
            .map(|finding| finding.object.as_str())
            .collect();
        let mut needed: BTreeMap<Named, (SourceName, Vec<BackupId>)> = BTreeMap::new();
        let source = match selection {
            Selection::Source(source) => Some(source),
            _ => None,
        };
        for stored in self.heads(source)?.heads {
            let head = &stored.head;
            if !stored.trusted || !selection.includes(Some(&head.source), &[head.backup]) {
                continue;
            }
            let (packs, rest) = named_by(&stored);
            for object in packs.into_iter().chain(rest) {
                if known.contains(object.key.as_str()) {
                    continue;
                }
                let place = needed.entry(object);
                let place = place.or_insert_with(|| (stored.head.source.clone(), Vec::new()));
                place.1.push(stored.head.backup);
            }
        }
        let objects: Vec<&Named> = needed.keys().collect();
        let (total, read) = (
            objects.iter().map(|object| object.bytes).sum(),
            AtomicU64::new(0),
        );
        progress.phase("digests");
        let wrong: Vec<Option<Wrong>> = each(
            &objects,
            cancel,
            |object| Ok(read_named(self, object)?.err()),
            |object| {
                let read = read.fetch_add(object.bytes, Ordering::Relaxed) + object.bytes;
                progress.bytes(read, Some(total));
            },
        )?;
        found.objects_checked += objects.len() as u64;
        found.bytes_read += total;
        for ((object, (source, backups)), wrong) in needed.iter().zip(wrong) {
            let Some(wrong) = wrong else {
                continue;
            };
            let mut finding = object.finding(source, wrong);
            // Without its index no backup is hit.
            if object.is_needed() {
                finding.backups_hit.clone_from(backups);
                found.whole.retain(|backup| !backups.contains(backup));
            }
            self.distrust_pack_of(&finding);
            found.findings.push(finding);
        }
        Ok(found)
    }
}
