//! Tombstones: lists of objects that no head named, and which may go once the grace is over.
//! `docs/format.md`, "Tombstones".
//!
//! They are not signed and give no right: what they name is deleted only if it is dead by this machine's
//! own look at the heads, and lies where only dead objects of the source can lie. All that a tombstone
//! brings is its age, by the store's own clock.

use std::collections::HashSet;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use resguardo_model::{RecordId, RunId, SourceName};
use resguardo_store::{Condition, Key, ObjectInfo, StoreError};
use serde::{Deserialize, Serialize};

use super::delete::Deletion;
use crate::error::VaultError;
use crate::layout;
use crate::vault::{Vault, new_ulid};

/// Objects that one tombstone names; more are written into several.
const OBJECTS_MAX: usize = 50_000;
const BYTES_MAX: u64 = 64 << 20;

#[derive(Serialize, Deserialize)]
struct TombstoneFile {
    format: u32,
    source: SourceName,
    run: RunId,
    objects: Vec<BuriedObject>,
}

#[derive(Serialize, Deserialize)]
struct BuriedObject {
    key: String,
    bytes: u64,
}

/// A tombstone that lies in the vault.
pub(super) struct Tombstone {
    pub(super) key: Key,
    /// Since when what it names is known to be dead, by the store's clock.
    pub(super) written_at: Timestamp,
    pub(super) objects: HashSet<Key>,
}

impl Tombstone {
    /// When its grace ends.
    pub(super) fn ends_at(&self, grace: SignedDuration) -> Timestamp {
        self.written_at.checked_add(grace).unwrap_or(Timestamp::MAX)
    }

    /// Whether it buries an object: named, and not written anew since.
    pub(super) fn buries(&self, object: &ObjectInfo) -> bool {
        object.modified_at <= self.written_at && self.objects.contains(&object.key)
    }
}

impl Vault {
    /// The tombstones of a source, and those that cannot be read, which bury nothing.
    pub(super) fn tombstones(
        &self,
        source: &SourceName,
    ) -> Result<(Vec<Tombstone>, Vec<Key>), VaultError> {
        let mut listed = self.store().list(&layout::tombstones(source))?;
        listed.retain(|info| layout::tombstone_place(&info.key).is_some());
        let read = self.in_parallel(&listed, |info| self.read_tombstone(source, info))?;
        let (mut tombstones, mut broken) = (Vec::new(), Vec::new());
        for (info, read) in listed.into_iter().zip(read) {
            match read {
                Read::Tombstone(tombstone) => tombstones.push(tombstone),
                Read::Broken => broken.push(info.key),
                Read::Gone | Read::Newer => {}
            }
        }
        Ok((tombstones, broken))
    }

    fn read_tombstone(&self, source: &SourceName, info: &ObjectInfo) -> Result<Read, VaultError> {
        if info.bytes > BYTES_MAX {
            return Ok(Read::Broken);
        }
        let bytes = match self.store().get(&info.key) {
            Ok(bytes) => bytes,
            Err(StoreError::NotFound { .. }) => return Ok(Read::Gone),
            Err(error) => return Err(error.into()),
        };
        Ok(match parse(source, &bytes) {
            Parsed::Objects(objects) => Read::Tombstone(Tombstone {
                key: info.key.clone(),
                written_at: info.modified_at,
                objects,
            }),
            Parsed::Newer => Read::Newer,
            Parsed::Broken => Read::Broken,
        })
    }

    /// Writes tombstones for objects that are dead now.
    pub(super) fn bury(
        &self,
        source: &SourceName,
        run: RunId,
        dead: &[&ObjectInfo],
    ) -> Result<(), VaultError> {
        for some in dead.chunks(OBJECTS_MAX) {
            let objects = some.iter().map(|info| BuriedObject {
                key: info.key.to_string(),
                bytes: info.bytes,
            });
            let file = TombstoneFile {
                format: 1,
                source: source.clone(),
                run,
                objects: objects.collect(),
            };
            let mut json = serde_json::to_vec(&file).expect("strings and numbers always serialise");
            json.push(b'\n');
            let record = RecordId(new_ulid(self.settings().clock.now())?);
            let key = layout::tombstone(source, record);
            self.store()
                .put(&key, Bytes::from(json), Condition::Always)?;
        }
        Ok(())
    }

    /// Removes tombstones that bury something alive, or that cannot be read: the grace of what is still
    /// dead begins anew. Tells those that are left.
    pub(super) fn lift_tombstones(
        &self,
        source: &SourceName,
        alive: &HashSet<Key>,
    ) -> Result<Vec<Tombstone>, VaultError> {
        let (tombstones, broken) = self.tombstones(source)?;
        for key in &broken {
            let _: Deletion = self.remove(key)?;
        }
        let mut left = Vec::new();
        for tombstone in tombstones {
            if tombstone.objects.is_disjoint(alive) {
                left.push(tombstone);
            } else {
                // A refusal is an error: left behind, the tombstone would have the age of an earlier death.
                self.store().delete(&tombstone.key)?;
            }
        }
        Ok(left)
    }
}

/// What a tombstone of a source names.
pub(crate) enum Parsed {
    /// Objects of the source that may be dead; whatever else it names is left out.
    Objects(HashSet<Key>),
    /// It is of a newer Resguardo.
    Newer,
    /// It is none.
    Broken,
}

/// Reads a tombstone of `source`.
pub(crate) fn parse(source: &SourceName, bytes: &[u8]) -> Parsed {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    if serde_json::from_slice::<Format>(bytes).is_ok_and(|file| file.format > 1) {
        return Parsed::Newer;
    }
    let Ok(file) = serde_json::from_slice::<TombstoneFile>(bytes) else {
        return Parsed::Broken;
    };
    let own = format!("{source}/");
    let objects = file.objects.iter().filter_map(|object| {
        let key: Key = object.key.parse().ok()?;
        (key.as_str().starts_with(&own) && layout::is_kept_by_heads(&key)).then_some(key)
    });
    Parsed::Objects(objects.collect())
}

enum Read {
    Tombstone(Tombstone),
    Broken,
    Newer,
    Gone,
}
