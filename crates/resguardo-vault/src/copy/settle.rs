//! Settles which of two records is kept, where the vault and a copy hold different ones under one name.
//!
//! Neither replaces the other by itself ([`resguardo_model::FindingKind::RecordDiffers`]): somebody who knows has
//! to say. Only a record that is good takes the other's place, and what it replaces stays below `replaced/`.
//!
//! # Write order
//!
//! Under the lease of the source where a record is replaced, each durable before the next is begun: what is
//! replaced, byte for byte, below `<source>/replaced/` of the same store; (lease still ours?) the record that is
//! kept, if what it replaces is still what was kept of it. Stopped anywhere, the next run does all of it again,
//! under the same names.
//!
//! INVARIANT: at every moment the store holds what is replaced, in its place or below `replaced/`
//! (`tests/copy_settle.rs`, `stopped_at_any_call_nothing_is_without_both`).

use std::sync::Arc;

use bytes::Bytes;
use resguardo_model::{RunId, Sha256Digest, SourceName};
use resguardo_store::{Condition, Key, ObjectInfo, Store, StoreError};
use sha2::{Digest as _, Sha256};

use super::place::at_copy;
use super::standing::{Standing, standing};
use crate::bounded;
use crate::error::VaultError;
use crate::layout::{self, SIGNED_FOLDERS};
use crate::lease::{Lease, LeaseOf};
use crate::vault::Vault;

/// `docs/format.md`, "Limits": a receipt's.
const RECORD_BYTES_MAX: u64 = 64 << 20;
/// Of what is replaced, so much lies in one object.
const PART_BYTES: u64 = 64 << 20;

/// Whose record is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The vault's.
    Vault,
    /// The copy's.
    Copy,
}

/// What is to be settled.
#[derive(Clone, Copy, Debug)]
pub struct SettleRequest<'a> {
    /// The source.
    pub source: &'a SourceName,
    /// The record, as [`Vault::record_named`] names it.
    pub key: &'a Key,
    /// Whose is kept.
    pub keep: Side,
    /// The run, for the lease.
    pub run: RunId,
    /// This machine, for the lease.
    pub host: &'a str,
    /// This process, for the lease.
    pub pid: u32,
}

/// What became of a record that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Both sides hold the same, or neither holds anything.
    NothingToSettle,
    /// The record that was to be kept is not good, or is not there; why. Nothing was written.
    NotGood(String),
    /// The other side holds it now as well.
    Done {
        /// SHA-256 of what is kept.
        kept: Sha256Digest,
        /// What it replaced; `None` if nothing was there.
        replaced: Option<Replaced>,
        /// What could not be judged of what is kept, a sentence each.
        unjudged: Vec<String>,
    },
}

/// A record that another one took the place of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// Its digest.
    pub sha256: Sha256Digest,
    /// Its size.
    pub bytes: u64,
    /// The store that held it.
    pub place: String,
    /// Where it lies there now: one after the other, these objects are what it was.
    pub objects: Vec<String>,
}

impl Vault {
    /// The source and the key of a record beside the backups: a receipt, prune record, bundle of headers or pin.
    /// `None` for any other object.
    #[must_use]
    pub fn record_named(object: &str) -> Option<(SourceName, Key)> {
        let parts: Vec<&str> = object.split('/').collect();
        match parts[..] {
            [source, folder, _] if SIGNED_FOLDERS.contains(&folder) => {
                Some((source.parse().ok()?, object.parse().ok()?))
            }
            _ => None,
        }
    }

    /// Puts a record of one side in the place of the other side's. What is replaced is kept beside it.
    ///
    /// # Errors
    /// [`VaultError::Locked`] if another run is at work on the source where something is replaced; those of the two
    /// stores: [`VaultError::Store`] of this one, [`VaultError::AtCopy`] of the copy's; among them that the object is
    /// locked, or was written by somebody else meanwhile ([`StoreError::ConditionFailed`]).
    pub fn settle(&self, copy: &Self, request: &SettleRequest<'_>) -> Result<Settled, VaultError> {
        let settling = Settling {
            vault: self,
            copy,
            request,
            place: copy.store().describe(),
        };
        let lease = settling.lease()?;
        let good = match settling.weigh()? {
            Weighed::Same => return Ok(Settled::NothingToSettle),
            Weighed::NotGood(why) => return Ok(Settled::NotGood(why)),
            Weighed::Good(good) => good,
        };
        let replaced = settling.keep(good.replaces.as_ref())?;
        lease.confirm().map_err(|error| settling.of_other(error))?;
        settling.put(&good)?;
        Ok(Settled::Done {
            kept: Sha256Digest::of(&good.body),
            replaced,
            unjudged: good.unjudged,
        })
    }
}

/// What the two sides hold.
enum Weighed {
    Same,
    NotGood(String),
    Good(Good),
}

/// A record that may take the other's place.
struct Good {
    body: Bytes,
    /// What lies in that place.
    replaces: Option<ObjectInfo>,
    unjudged: Vec<String>,
}

struct Settling<'a> {
    vault: &'a Vault,
    copy: &'a Vault,
    request: &'a SettleRequest<'a>,
    place: String,
}

impl Settling<'_> {
    /// The side whose record is kept.
    fn kept(&self) -> &Vault {
        match self.request.keep {
            Side::Vault => self.vault,
            Side::Copy => self.copy,
        }
    }

    /// The side whose record is replaced.
    fn other(&self) -> &Vault {
        match self.request.keep {
            Side::Vault => self.copy,
            Side::Copy => self.vault,
        }
    }

    fn of_kept(&self, error: impl Into<VaultError>) -> VaultError {
        match self.request.keep {
            Side::Vault => error.into(),
            Side::Copy => at_copy(error.into(), &self.place),
        }
    }

    fn of_other(&self, error: impl Into<VaultError>) -> VaultError {
        match self.request.keep {
            Side::Vault => at_copy(error.into(), &self.place),
            Side::Copy => error.into(),
        }
    }

    /// The lease where something is replaced, as whoever writes there takes it.
    fn lease(&self) -> Result<Lease, VaultError> {
        let SettleRequest {
            source,
            run,
            host,
            pid,
            ..
        } = *self.request;
        match self.request.keep {
            Side::Vault => {
                let of = LeaseOf {
                    source,
                    run,
                    host,
                    pid,
                    deletes: false,
                };
                let store = Arc::clone(self.copy.store());
                Lease::acquire(store, &of, &*self.vault.settings().clock)
                    .map_err(|error| self.of_other(error))
            }
            Side::Copy => self.vault.acquire_lease_to_add(source, run, host, pid),
        }
    }

    fn weigh(&self) -> Result<Weighed, VaultError> {
        let SettleRequest { source, key, .. } = *self.request;
        let (from, to) = (&**self.kept().store(), &**self.other().store());
        let ours = stat(from, key).map_err(|error| self.of_kept(error))?;
        let theirs = stat(to, key).map_err(|error| self.of_other(error))?;
        let Some(ours) = ours else {
            return Ok(match theirs {
                None => Weighed::Same,
                Some(_) => Weighed::NotGood("it is not there".to_owned()),
            });
        };
        if ours.bytes > RECORD_BYTES_MAX {
            let why = format!("{} bytes are no record", ours.bytes);
            return Ok(Weighed::NotGood(why));
        }
        let body =
            bounded::get(from, key, RECORD_BYTES_MAX).map_err(|error| self.of_kept(error))?;
        if let Some(theirs) = theirs.as_ref().filter(|info| info.bytes == ours.bytes) {
            let same = to.get_range(key, 0..theirs.bytes);
            if same.map_err(|error| self.of_other(error))? == body {
                return Ok(Weighed::Same);
            }
        }
        // Whom to believe is what this machine knows, wherever the record lies.
        match standing(self.vault, source, key, &body)? {
            Standing::Good(_) => {}
            Standing::Stranger => {
                let why = "it is signed by a writer that is not trusted here";
                return Ok(Weighed::NotGood(why.to_owned()));
            }
            Standing::Bad(why) => return Ok(Weighed::NotGood(why)),
        }
        let unjudged = match layout::is_header_bundle(key) {
            false => Vec::new(),
            true => match self.vault.judge_bundle(self.copy, source, &body)? {
                Ok(unjudged) => unjudged,
                Err(why) => return Ok(Weighed::NotGood(why)),
            },
        };
        Ok(Weighed::Good(Good {
            body,
            replaces: theirs,
            unjudged,
        }))
    }

    /// Keeps what is about to be replaced, beside it.
    fn keep(&self, replaced: Option<&ObjectInfo>) -> Result<Option<Replaced>, VaultError> {
        let Some(info) = replaced else {
            return Ok(None);
        };
        let store = &**self.other().store();
        let mut sha256 = Sha256::new();
        // Named by its digest, so that it is read twice where it is more than one part.
        let mut whole = None;
        for range in parts(info.bytes) {
            let part = store.get_range(&info.key, range);
            let part = part.map_err(|error| self.of_other(error))?;
            sha256.update(&part);
            whole = Some(part).filter(|part| part.len() as u64 == info.bytes);
        }
        let sha256 = Sha256Digest::from(sha256);
        let mut objects = Vec::new();
        for (number, range) in parts(info.bytes).enumerate() {
            let part = match &whole {
                Some(whole) => whole.clone(),
                None => {
                    let part = store.get_range(&info.key, range);
                    part.map_err(|error| self.of_other(error))?
                }
            };
            let at = layout::replaced(&info.key, &sha256, number);
            let put = store.put(&at, part, Condition::Always);
            put.map_err(|error| self.of_other(error))?;
            objects.push(at.to_string());
        }
        Ok(Some(Replaced {
            sha256,
            bytes: info.bytes,
            place: store.describe(),
            objects,
        }))
    }

    /// Puts the record that is kept, unless something else lies there now than was kept.
    fn put(&self, good: &Good) -> Result<(), VaultError> {
        let store = &**self.other().store();
        let version = good.replaces.as_ref().map(|info| info.version.clone());
        let condition = match version {
            _ if !store.capabilities().conditional_put => Condition::Always,
            None => Condition::Absent,
            Some(version) => version.map_or(Condition::Always, Condition::Matches),
        };
        let key = self.request.key;
        match store.put(key, good.body.clone(), condition) {
            Ok(_) => Ok(()),
            // Its answer was lost, and it was tried again.
            Err(StoreError::ConditionFailed { .. })
                if bounded::get(store, key, RECORD_BYTES_MAX).ok().as_ref() == Some(&good.body) =>
            {
                Ok(())
            }
            Err(error) => Err(self.of_other(error)),
        }
    }
}

/// The ranges in which an object of this size is kept; one of nothing has one.
fn parts(bytes: u64) -> impl Iterator<Item = std::ops::Range<u64>> {
    let count = bytes.div_ceil(PART_BYTES).max(1);
    (0..count).map(move |number| {
        let begin = number * PART_BYTES;
        begin..bytes.min(begin + PART_BYTES)
    })
}

fn stat(store: &dyn Store, key: &Key) -> Result<Option<ObjectInfo>, StoreError> {
    match store.stat(key) {
        Ok(info) => Ok(Some(info)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::{PART_BYTES, parts};

    #[test]
    fn parts_are_all_of_an_object_and_one_of_nothing() {
        let of = |bytes| -> Vec<(u64, u64)> {
            parts(bytes).map(|part| (part.start, part.end)).collect()
        };
        assert_eq!(of(0), [(0, 0)]);
        assert_eq!(of(7), [(0, 7)]);
        assert_eq!(of(PART_BYTES), [(0, PART_BYTES)]);
        let more = PART_BYTES + 1;
        assert_eq!(of(more), [(0, PART_BYTES), (PART_BYTES, more)]);
    }
}
