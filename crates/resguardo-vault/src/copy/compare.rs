//! What a copy holds of a source, against what the vault holds.

use std::collections::HashMap;

use resguardo_model::{BackupId, SourceName};
use resguardo_store::{Key, ObjectInfo};

use super::send::named_by;
use crate::error::VaultError;
use crate::heads::StoredHead;
use crate::layout;
use crate::prune::PruneRecords;
use crate::vault::Vault;

/// A backup with its place in its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Numbered {
    /// The head's sequence.
    pub sequence: u64,
    /// The backup.
    pub backup: BackupId,
}

impl Numbered {
    /// That of a head.
    #[must_use]
    pub fn of(stored: &StoredHead) -> Self {
        Self {
            sequence: stored.head.sequence,
            backup: stored.head.backup,
        }
    }
}

/// The backups of a source at the vault and at a copy, each list in the order of their sequence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// They are in both, with everything that they need at the copy.
    pub held: Vec<Numbered>,
    /// They are in the vault, and not or not whole at the copy: they are to be sent.
    pub missing: Vec<Numbered>,
    /// The copy pruned them: they are not sent again.
    pub pruned: Vec<Numbered>,
    /// They are in the copy alone: the vault pruned or lost them.
    pub only_there: Vec<BackupId>,
}

/// The objects of a source in a store, by their keys.
pub(super) type Listing = HashMap<Key, ObjectInfo>;

/// Everything of a source that a store holds.
pub(super) fn listing(vault: &Vault, source: &SourceName) -> Result<Listing, VaultError> {
    let listed = vault.store().list(source.as_str())?;
    Ok(listed
        .into_iter()
        .map(|info| (info.key.clone(), info))
        .collect())
}

impl Vault {
    /// Compares what this vault and a copy hold of a source, by names and sizes.
    ///
    /// # Errors
    /// Those of the two stores: [`VaultError::Store`] of this one, [`VaultError::AtCopy`] of the copy's.
    pub fn compare(&self, copy: &Self, source: &SourceName) -> Result<Compared, VaultError> {
        let heads = self.heads(Some(source))?.heads;
        let here = listing(self, source)?;
        let at_copy = |error| super::place::at_copy(error, &copy.store().describe());
        let there = listing(copy, source).map_err(at_copy)?;
        let pruned = copy.prune_records(source).map_err(at_copy)?;
        let newest = newest_only_there(copy, source, (&here, &there)).map_err(at_copy)?;
        Ok(compared(&heads, source, (&here, &there), (&pruned, newest)))
    }
}

/// Number of the newest head of a copy that holds nothing of what the vault holds: the vault pruned it all.
pub(super) fn newest_only_there(
    copy: &Vault,
    source: &SourceName,
    (here, there): (&Listing, &Listing),
) -> Result<Option<u64>, VaultError> {
    let is_head = |key: &&Key| layout::head_place(key).is_some();
    let mut heads = there.keys().filter(is_head).peekable();
    if heads.peek().is_none() || heads.any(|key| here.contains_key(key)) {
        return Ok(None);
    }
    let heads = copy.heads(Some(source))?.heads;
    let trusted = heads.iter().filter(|stored| stored.trusted);
    Ok(trusted.map(|stored| stored.head.sequence).max())
}

/// Sorts the heads of trusted writers by where they are.
///
/// A prune always keeps the newest backup. So a record at the copy is not believed of one that is newer than
/// all that the copy holds: whoever forged it would keep every later backup away.
pub(super) fn compared(
    heads: &[StoredHead],
    source: &SourceName,
    (here, there): (&Listing, &Listing),
    (pruned, newest_there): (&PruneRecords, Option<u64>),
) -> Compared {
    let mut all = Compared::default();
    let is_held = |key: &Key| {
        let size = |listing: &Listing| listing.get(key).map(|info| info.bytes);
        size(there).is_some() && size(there) == size(here)
    };
    let is_whole = |stored: &StoredHead| {
        let (packs, rest) = named_by(stored);
        packs.iter().chain(&rest).all(|object| {
            let bytes = there.get(&object.key).map(|info| info.bytes);
            bytes == Some(object.bytes) || !object.is_needed()
        })
    };
    let newest_held = heads
        .iter()
        .filter(|stored| stored.trusted)
        .filter(|stored| is_held(&layout::head(source, stored.head.backup)))
        .map(|stored| stored.head.sequence)
        .max()
        .max(newest_there);
    for stored in heads.iter().filter(|stored| stored.trusted) {
        let key = layout::head(source, stored.head.backup);
        // Pruned since it was read.
        if !here.contains_key(&key) {
            continue;
        }
        let is_older = newest_held.is_some_and(|newest| stored.head.sequence < newest);
        let list = if is_held(&key) && is_whole(stored) {
            &mut all.held
        } else if is_older && !there.contains_key(&key) && pruned.explain(stored) {
            &mut all.pruned
        } else {
            &mut all.missing
        };
        list.push(Numbered::of(stored));
    }
    let of_heads = there.keys().filter_map(|key| layout::head_place(key)?.1);
    all.only_there = of_heads
        .filter(|backup| !here.contains_key(&layout::head(source, *backup)))
        .collect();
    all.only_there.sort_unstable();
    all
}
