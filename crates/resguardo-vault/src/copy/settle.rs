//! Settles which of two records is kept, where the vault and a copy hold different ones under one name.
//!
//! Neither replaces the other by itself ([`resguardo_model::FindingKind::RecordDiffers`]): somebody who knows has
//! to say. Only a record that is good takes the other's place, and what it replaces is handed back, so that it
//! can be kept.

use bytes::Bytes;
use resguardo_model::{Sha256Digest, SourceName};
use resguardo_store::{Condition, Key, Store, StoreError};

use super::place::at_copy;
use super::standing::{Standing, standing};
use crate::bounded;
use crate::error::VaultError;
use crate::layout::SIGNED_FOLDERS;
use crate::vault::Vault;

/// `docs/format.md`, "Limits": a receipt's.
const RECORD_BYTES_MAX: u64 = 64 << 20;

/// Whose record is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The vault's.
    Vault,
    /// The copy's.
    Copy,
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
        /// What it replaced; empty if nothing was there.
        replaced: Bytes,
    },
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

    /// Puts the record at `key` of one side in the place of the other side's.
    ///
    /// # Errors
    /// Those of the two stores: [`VaultError::Store`] of this one, [`VaultError::AtCopy`] of the copy's; among
    /// them that the object is locked.
    pub fn settle(
        &self,
        copy: &Self,
        source: &SourceName,
        key: &Key,
        keep: Side,
    ) -> Result<Settled, VaultError> {
        let place = copy.store().describe();
        let here = read(&**self.store(), key)?;
        let there = read(&**copy.store(), key).map_err(|error| at_copy(error, &place))?;
        if here == there {
            return Ok(Settled::NothingToSettle);
        }
        let (kept, replaced) = match keep {
            Side::Vault => (here, there),
            Side::Copy => (there, here),
        };
        let Some(kept) = kept else {
            return Ok(Settled::NotGood("it is not there".to_owned()));
        };
        // Whom to believe is what this machine knows, wherever the record lies.
        match standing(self, source, key, &kept)? {
            Standing::Good(_) => {}
            Standing::Stranger => {
                let why = "it is signed by a writer that is not trusted here";
                return Ok(Settled::NotGood(why.to_owned()));
            }
            Standing::Bad(why) => return Ok(Settled::NotGood(why)),
        }
        let put = |store: &dyn Store| store.put(key, kept.clone(), Condition::Always);
        match keep {
            Side::Vault => put(&**copy.store()).map_err(|error| at_copy(error.into(), &place))?,
            Side::Copy => put(&**self.store())?,
        };
        Ok(Settled::Done {
            kept: Sha256Digest::of(&kept),
            replaced: replaced.unwrap_or_default(),
        })
    }
}

fn read(store: &dyn Store, key: &Key) -> Result<Option<Bytes>, VaultError> {
    match bounded::get(store, key, RECORD_BYTES_MAX) {
        Ok(body) => Ok(Some(body)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
