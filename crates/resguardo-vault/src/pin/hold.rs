//! A pin that is said to hold does, also while a prune is at work.
//!
//! # Why it does
//!
//! A prune takes the lease, asks for the pin of a backup by its name, and then deletes its head. Whoever pins puts
//! the pin, then asks for the lease by its name, then for the head. A prune that did not see the pin asked before it
//! was put; it took its lease earlier still. So its lease is seen, or it is over: its deletion is done, and the head's
//! absence is seen. While such a lease is there nothing is promised, and the pin is taken back.
//!
//! The lease says whether its holder deletes heads, so that nobody waits for a backup. A lease that has lapsed is
//! taken over for a moment, which stops its holder at his next question; a holder that slept between his
//! question and his deletion for longer than a lease lives is not stopped (`docs/decisions/0011-prune.md`).
//!
//! INVARIANT: a backup whose pin was said to hold is not deleted (`tests/prune_pins.rs`,
//! `a_pin_that_is_said_to_hold_does_however_it_meets_a_prune`).

use std::sync::Arc;

use bytes::Bytes;
use resguardo_model::{RunId, SourceName};
use resguardo_store::{Condition, Key, StoreError};

use super::{PIN_BYTES_MAX, PinDraft, StoredPin};
use crate::bounded;
use crate::error::VaultError;
use crate::layout;
use crate::lease::{Lease, LeaseOf};
use crate::vault::Vault;

/// What became of a pin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pinned {
    /// It holds: no prune takes the backup away any more.
    Holds(StoredPin),
    /// A prune took the backup away before: there is no pin.
    Gone,
}

impl Vault {
    /// Pins a backup, and sees to it that no prune that is at work takes it away all the same.
    ///
    /// # Errors
    /// [`VaultError::Locked`] if a prune is at work on the source: nothing is promised then, and the pin is what it
    /// was before. As [`Vault::put_pin`].
    pub fn pin(&self, draft: &PinDraft, run: RunId, pid: u32) -> Result<Pinned, VaultError> {
        let (source, backup) = (&draft.source, draft.backup);
        let at = layout::pin(source, backup);
        let before = match bounded::get(&**self.store(), &at, PIN_BYTES_MAX) {
            Ok(before) => Some(before),
            Err(StoreError::NotFound { .. }) => None,
            // What is no pin is replaced, as by `put_pin`.
            Err(StoreError::Other { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let (stored, ours) = self.put_pin_as(draft)?;
        if let Err(error) = self.no_prune_is_at_work(source, (run, &draft.host, pid)) {
            self.take_back(&at, &ours, before)?;
            return Err(error);
        }
        if self.head_stands(source, backup)? {
            return Ok(Pinned::Holds(stored));
        }
        self.take_back(&at, &ours, None)?;
        Ok(Pinned::Gone)
    }

    /// That nobody holds the source who deletes heads, at this moment.
    ///
    /// # Errors
    /// [`VaultError::Locked`] names who does; the store's own.
    pub fn no_prune_is_at_work(
        &self,
        source: &SourceName,
        (run, host, pid): (RunId, &str, u32),
    ) -> Result<(), VaultError> {
        if !Lease::is_of_a_deleter(&**self.store(), source)? {
            return Ok(());
        }
        // It may have lapsed: then it is ours for a moment.
        let holder = LeaseOf {
            source,
            run,
            host,
            pid,
            deletes: false,
        };
        let clock = &*self.settings().clock;
        Lease::acquire(Arc::clone(self.store()), &holder, clock).map(drop)
    }

    /// Takes back the pin that lies at `at` with the bytes `ours`. Somebody else's, who put his since, stays: it may
    /// have been promised.
    fn take_back(&self, at: &Key, ours: &Bytes, before: Option<Bytes>) -> Result<(), VaultError> {
        match bounded::get(&**self.store(), at, PIN_BYTES_MAX) {
            Ok(there) if there == *ours => {}
            Ok(_) | Err(StoreError::NotFound { .. } | StoreError::Other { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        match before {
            Some(before) => {
                self.store().put(at, before, Condition::Always)?;
            }
            None => self.store().delete(at)?,
        }
        Ok(())
    }
}
