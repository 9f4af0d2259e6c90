//! Backups of which the vault and a copy hold different heads, both of trusted writers.
//!
//! A head never changes, so one of the two was written by somebody else: by a host that was taken over and
//! whose key is still trusted. A copy is what remains of the truth then: nothing of such a backup is sent,
//! for its manifest would be written over that of the other.

use std::collections::HashSet;

use resguardo_model::{BackupId, Finding, FindingKind};
use resguardo_store::StoreError;

use super::place::at_copy;
use super::send::each;
use super::sync::Run;
use crate::error::VaultError;
use crate::heads::StoredHead;
use crate::layout;

impl Run<'_> {
    /// Those of `heads` of which the copy holds no other head that is good; the rest become findings.
    pub(super) fn undisputed<'h>(
        &mut self,
        heads: Vec<&'h StoredHead>,
    ) -> Result<Vec<&'h StoredHead>, VaultError> {
        let mut undisputed = Vec::with_capacity(heads.len());
        for stored in heads {
            let Some(theirs) = self.other_head(stored)? else {
                undisputed.push(stored);
                continue;
            };
            let finding = Finding {
                kind: FindingKind::HeadChanged,
                source: Some(self.request.source.clone()),
                object: stored.key.clone(),
                message: format!(
                    "{}: the copy at {} holds another head of it, signed by {}: one of them was replaced; \
                     the copy is left as it is",
                    stored.key, self.place, theirs.head.writer
                ),
                backups_hit: Vec::new(),
            };
            self.found(finding, Some(stored));
        }
        Ok(undisputed)
    }

    /// Those of `held` whose head at the copy has other bytes of the same number, or cannot be read.
    pub(super) fn other_heads_of(
        &self,
        held: &[&StoredHead],
    ) -> Result<HashSet<BackupId>, VaultError> {
        let other = each(
            held,
            self.cancel,
            |stored| {
                let key = layout::head(self.request.source, stored.head.backup);
                let is_other = self.is_other(&key, stored.sha256)?;
                Ok(is_other.then_some(stored.head.backup))
            },
            |_| {},
        )?;
        Ok(other.into_iter().flatten().collect())
    }

    /// The head that the copy holds of this backup, if it is good and another one.
    fn other_head(&self, stored: &StoredHead) -> Result<Option<StoredHead>, VaultError> {
        let key = layout::head(self.request.source, stored.head.backup);
        let Some(info) = self.there.get(&key) else {
            return Ok(None);
        };
        let read = self
            .to
            .read_head(info, self.request.source, Some(stored.head.backup));
        match read {
            Ok(Ok(theirs)) => {
                Ok(Some(theirs).filter(|theirs| theirs.trusted && theirs.sha256 != stored.sha256))
            }
            // Damaged: it is sent again.
            Ok(Err(_)) => Ok(None),
            Err(VaultError::Store(StoreError::NotFound { .. } | StoreError::OutOfRange { .. })) => {
                Ok(None)
            }
            Err(error) => Err(at_copy(error, self.place)),
        }
    }
}
