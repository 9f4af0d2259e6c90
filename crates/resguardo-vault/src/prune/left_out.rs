//! A record of heads that a copy never got, because its own policy would take them away at once. It is
//! written and nothing else: no head goes, no object is buried, no older record is removed.

use bytes::Bytes;
use resguardo_model::RecordId;
use resguardo_store::{Condition, Store as _};

use super::hole::{Hole, Holes};
use super::record::{self, PruneRecord};
use crate::error::VaultError;
use crate::heads::StoredHead;
use crate::layout;
use crate::lease::Lease;
use crate::vault::{Vault, new_ulid};

impl Vault {
    /// Records that these heads of the lease's source are missing here on purpose, where no record says so yet.
    pub(crate) fn record_left_out(
        &self,
        lease: &Lease,
        left_out: &[&StoredHead],
    ) -> Result<(), VaultError> {
        let key = self.write_key()?;
        let source = lease.source();
        let records = self.prune_records(source)?;
        let left_out = left_out.iter().filter(|stored| !records.explain(stored));
        let new: Vec<Hole> = left_out
            .map(|stored| Hole::of(&stored.head, stored.sha256))
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        let now = self.settings().clock.now();
        let mut holes = records.holes.into_vec();
        holes.extend(new);
        let body = PruneRecord {
            format: 1,
            vault: self.id(),
            source: source.clone(),
            record: RecordId(new_ulid(now)?),
            run: lease.run(),
            made_at: now,
            writer: key.writer(),
            removes: Vec::new(),
            holes: Holes::merged(holes).into_vec(),
        };
        let at = layout::prune(source, body.record);
        let bytes = Bytes::from(record::KIND.sign(&body, key));
        lease.confirm()?;
        self.store().put(&at, bytes, Condition::Always)?;
        Ok(())
    }
}
