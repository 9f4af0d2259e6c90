//! Space: what backups take in the vault, what they share, and what would be free without some of them.
//!
//! From heads alone: they name every pack, index object and manifest with its size. No key is needed and
//! nothing is read. Heads, receipts and other small plain objects are not counted.

use std::collections::{BTreeMap, HashMap, HashSet};

use resguardo_model::{BackupId, Head, SourceName};

use crate::heads::StoredHead;

/// What one backup takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupSpace {
    /// The backup.
    pub backup: BackupId,
    /// Its source.
    pub source: SourceName,
    /// Size of the data that it restores.
    pub raw_bytes: u64,
    /// Size of every object that it needs.
    pub needed_bytes: u64,
    /// What would be free if it alone were deleted: what no other backup needs.
    pub frees_bytes: u64,
}

/// What the backups of one source take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSpace {
    /// The source.
    pub source: SourceName,
    /// Size of the data that its backups restore, all together.
    pub raw_bytes: u64,
    /// Size of the objects that its backups need.
    pub stored_bytes: u64,
    /// Of those, the ones that more than one backup needs.
    pub shared_bytes: u64,
    /// How many backups there are.
    pub backups: u64,
}

/// Space by sources and by backups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// By name.
    pub sources: Vec<SourceSpace>,
    /// In the order of the heads.
    pub backups: Vec<BackupSpace>,
}

/// An object of a source, by what it is and its name there.
type Object<'a> = (&'a SourceName, Named<'a>);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Named<'a> {
    Pack(resguardo_model::Sha256Digest),
    Index(&'a str),
    Manifest(BackupId),
}

impl Space {
    /// The space that the backups of `heads` take.
    #[must_use]
    pub fn of(heads: &[StoredHead]) -> Self {
        let users = users(heads);
        let mut by_source: BTreeMap<&SourceName, SourceSpace> = BTreeMap::new();
        for stored in heads {
            let head = &stored.head;
            let space = by_source
                .entry(&head.source)
                .or_insert_with(|| SourceSpace {
                    source: head.source.clone(),
                    raw_bytes: 0,
                    stored_bytes: 0,
                    shared_bytes: 0,
                    backups: 0,
                });
            space.raw_bytes += head.raw_bytes;
            space.backups += 1;
        }
        for ((source, _), (users, bytes)) in &users {
            let space = by_source.get_mut(source).expect("it has a head");
            space.stored_bytes += bytes;
            if *users > 1 {
                space.shared_bytes += bytes;
            }
        }
        let backups = heads.iter().map(|stored| {
            let head = &stored.head;
            let (mut needed_bytes, mut frees_bytes) = (0, 0);
            for (object, bytes) in objects(head) {
                needed_bytes += bytes;
                if users[&object].0 == 1 {
                    frees_bytes += bytes;
                }
            }
            BackupSpace {
                backup: head.backup,
                source: head.source.clone(),
                raw_bytes: head.raw_bytes,
                needed_bytes,
                frees_bytes,
            }
        });
        Self {
            backups: backups.collect(),
            sources: by_source.into_values().collect(),
        }
    }

    /// What would be free if all of `doomed` were deleted.
    #[must_use]
    pub fn freed_by(heads: &[StoredHead], doomed: &[BackupId]) -> u64 {
        let doomed: HashSet<&BackupId> = doomed.iter().collect();
        let (goes, stays): (Vec<&StoredHead>, Vec<&StoredHead>) = heads
            .iter()
            .partition(|stored| doomed.contains(&stored.head.backup));
        let stays: HashSet<Object<'_>> = stays
            .into_iter()
            .flat_map(|stored| objects(&stored.head))
            .map(|(object, _)| object)
            .collect();
        let goes: HashMap<Object<'_>, u64> = goes
            .into_iter()
            .flat_map(|stored| objects(&stored.head))
            .collect();
        goes.iter()
            .filter(|(object, _)| !stays.contains(*object))
            .map(|(_, bytes)| bytes)
            .sum()
    }
}

/// How many backups need each object, and its size.
fn users(heads: &[StoredHead]) -> HashMap<Object<'_>, (u32, u64)> {
    let mut users = HashMap::new();
    for stored in heads {
        // A head that names an object twice still needs it once.
        for object in objects(&stored.head).collect::<HashMap<_, _>>() {
            users.entry(object.0).or_insert((0, object.1)).0 += 1;
        }
    }
    users
}

fn objects(head: &Head) -> impl Iterator<Item = (Object<'_>, u64)> {
    let manifest = (Named::Manifest(head.backup), head.manifest.bytes);
    let index = head
        .index
        .iter()
        .map(|part| (Named::Index(&part.name), part.bytes));
    let packs = head
        .packs
        .iter()
        .map(|pack| (Named::Pack(pack.sha256), pack.bytes));
    std::iter::once(manifest)
        .chain(index)
        .chain(packs)
        .map(|(named, bytes)| ((&head.source, named), bytes))
}

#[cfg(test)]
mod tests {
    use resguardo_model::{ObjectRef, Sha256Digest};

    use super::*;
    use crate::head::tests::{example, key};

    fn backup(number: u64, packs: &[(u8, u64)]) -> StoredHead {
        let object = |(name, bytes): &(u8, u64)| ObjectRef {
            sha256: Sha256Digest::of(&[*name]),
            bytes: *bytes,
        };
        StoredHead {
            head: Head {
                backup: BackupId(ulid::Ulid::from_parts(number, 0)),
                raw_bytes: 1000,
                manifest: object(&(0, 1)),
                packs: packs.iter().map(object).collect(),
                ..example(&key())
            },
            sha256: Sha256Digest::of(&number.to_le_bytes()),
            key: String::new(),
            trusted: true,
        }
    }

    #[test]
    fn what_is_shared_is_counted_once_and_freed_by_the_last() {
        let heads = [
            backup(1, &[(1, 10), (2, 20)]),
            backup(2, &[(1, 10), (2, 20), (3, 40)]),
            backup(3, &[(1, 10), (4, 80)]),
        ];
        let space = Space::of(&heads);
        let [source] = &space.sources[..] else {
            panic!("one source in {space:?}")
        };
        assert_eq!(
            (source.raw_bytes, source.stored_bytes, source.shared_bytes),
            (3000, 10 + 20 + 40 + 80 + 3, 30)
        );
        let frees: Vec<u64> = space.backups.iter().map(|one| one.frees_bytes).collect();
        assert_eq!(frees, [1, 41, 81]);
        let needed: Vec<u64> = space.backups.iter().map(|one| one.needed_bytes).collect();
        assert_eq!(needed, [31, 71, 91]);
        let ids: Vec<BackupId> = heads.iter().map(|stored| stored.head.backup).collect();
        assert_eq!(Space::freed_by(&heads, &ids[..2]), 20 + 40 + 2);
        assert_eq!(Space::freed_by(&heads, &ids), source.stored_bytes);
        assert_eq!(Space::freed_by(&heads, &[]), 0);
    }
}
