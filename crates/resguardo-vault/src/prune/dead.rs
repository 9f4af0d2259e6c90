//! Which objects are dead: those that only heads keep alive, and that no head names. No key is needed.

use std::collections::HashSet;

use resguardo_model::{Sha256Digest, SourceName};
use resguardo_store::{Key, ObjectInfo};

use super::Amount;
use super::hole::{Hole, Holes};
use crate::error::VaultError;
use crate::heads::StoredHead;
use crate::layout;
use crate::vault::Vault;

/// What no head of a source names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeadObjects {
    /// All of it, whether its grace has begun or not.
    pub dead: Amount,
}

impl Vault {
    /// What no head of a source names now, or would once the backups `doomed` were gone. While a
    /// backup runs, what it has stored so far counts as well.
    ///
    /// # Errors
    /// The store's own.
    pub fn dead_objects(
        &self,
        source: &SourceName,
        doomed: &[resguardo_model::BackupId],
    ) -> Result<DeadObjects, VaultError> {
        let heads = self.heads(Some(source))?.heads;
        self.dead_beside(source, &heads, doomed)
    }

    /// As [`Vault::dead_objects`], with the heads of the source as the caller knows them.
    ///
    /// # Errors
    /// The store's own.
    pub fn dead_beside(
        &self,
        source: &SourceName,
        heads: &[StoredHead],
        doomed: &[resguardo_model::BackupId],
    ) -> Result<DeadObjects, VaultError> {
        let doomed: HashSet<&resguardo_model::BackupId> = doomed.iter().collect();
        let heads = heads.iter().filter(|stored| stored.head.source == *source);
        let listed = self.store().list(source.as_str())?;
        let left = heads.filter(|stored| !stored.trusted || !doomed.contains(&stored.head.backup));
        let mut dead = Amount::default();
        among(&listed, &named(left))
            .iter()
            .for_each(|info| dead.add(info.bytes));
        Ok(DeadObjects { dead })
    }
}

/// Every object that heads name.
pub(super) fn named<'a>(heads: impl IntoIterator<Item = &'a StoredHead>) -> HashSet<Key> {
    let mut named = HashSet::new();
    for stored in heads {
        let head = &stored.head;
        named.insert(layout::manifest(&head.source, head.backup));
        let index = head.index.iter();
        named.extend(index.filter_map(|part| layout::index(&head.source, &part.name)));
        let packs = head.packs.iter();
        named.extend(packs.map(|pack| layout::pack(&head.source, &pack.sha256)));
    }
    named
}

/// The dead ones among the objects of a source.
pub(super) fn among<'a>(listed: &'a [ObjectInfo], alive: &HashSet<Key>) -> Vec<&'a ObjectInfo> {
    listed
        .iter()
        .filter(|info| layout::is_kept_by_heads(&info.key) && !alive.contains(&info.key))
        .collect()
}

/// Runs of heads that are missing and that no hole explains, from what is above and below them.
pub(super) fn missing_heads(heads: &[StoredHead], holes: &Holes) -> Vec<Hole> {
    let trusted = heads.iter().filter(|stored| stored.trusted);
    let mut links: Vec<Hole> = trusted
        .map(|stored| Hole::of(&stored.head, stored.sha256))
        .chain(holes.iter().cloned())
        .collect();
    links.sort_by_key(|link| (link.last, link.first));
    let mut seen: HashSet<Sha256Digest> = HashSet::new();
    let mut below: Option<(u64, Sha256Digest)> = None;
    let mut missing = Vec::new();
    for link in links {
        let first = below.map_or(1, |(last, _)| last + 1);
        if let Some(previous) = link.previous
            && !seen.contains(&previous)
            && !holes.explain(link.first - 1, &previous)
            && first < link.first
        {
            missing.push(Hole {
                first,
                last: link.first - 1,
                previous: below.map(|(_, sha256)| sha256),
                sha256: previous,
            });
        }
        seen.insert(link.sha256);
        below = Some((link.last, link.sha256));
    }
    missing
}
