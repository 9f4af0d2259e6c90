//! Pruning: taking whole backups away, and later the objects that no head names any more.
//!
//! # Write order
//!
//! Under the lease of the source, each durable before the next is begun:
//!
//! 1. tombstones that bury something alive are removed (the grace of the rest begins anew);
//! 2. a signed record of which heads are going, which carries on what the records before it said; then
//!    those;
//! 3. **the heads are deleted: the commit** of each deletion is the removal of its head;
//! 4. the heads are listed again, and a tombstone is written for every object that none of them names;
//! 5. what lies in tombstones that are older than the grace, by the store's clock, and that no head
//!    names, is deleted; then those tombstones;
//! 6. bundles of further headers go, once none of the objects that they open is there any more or named
//!    by a head; like objects, none goes while something is wrong with the heads.
//!
//! Stopped anywhere, the vault holds whole backups, a record too many, or dead objects that the next
//! prune buries and deletes.
//!
//! # What it must never do
//!
//! It never deletes an object that a head names, be its writer trusted or not; nor any object while
//! something is wrong with the heads (one unreadable, one gone that no record explains): then it is not
//! known what is dead. It never deletes a pinned backup (asked for once more right before its head goes; whoever
//! pins looks for the lease of a prune, see `pin/hold.rs`) or one of an untrusted writer. It overwrites nothing.
//!
//! INVARIANT: an object that is deleted was named by no head at any moment from its tombstone's
//! modification on, for at least the grace (`tests/prune.rs`, `tests/prune_crash.rs`,
//! `tests/prune_frozen.rs`, `tests/prune_simulation.rs`). A backup that began before its last pack could be buried, and commits
//! within the grace, therefore finds all of its packs; one that ran longer refuses to commit.

mod dead;
mod delete;
mod hole;
mod left_out;
mod record;
mod sweep;
mod tombstone;

use std::collections::HashSet;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use resguardo_model::{BackupId, CancelToken, Finding, Progress, RecordId, SourceName};
use resguardo_store::{Condition, Key, ObjectInfo};

pub use self::dead::DeadObjects;
use self::delete::Deletion;
pub(crate) use self::hole::Holes;
pub use self::record::PruneRecords;
use self::record::{PruneRecord, RemovedHead};
use crate::chain::check_chain;
use crate::error::VaultError;
use crate::heads::{Heads, StoredHead};
use crate::layout;
use crate::lease::Lease;
use crate::vault::{Vault, new_ulid};

/// Heads that are removed at once: so many more go at most after the lease was lost.
const HEADS_AT_ONCE: usize = 8;

/// How long dead objects wait by default: a day.
pub const PRUNE_GRACE: SignedDuration = SignedDuration::from_hours(24);
/// How to prune.
#[derive(Clone, Copy, Debug, Default)]
pub struct PruneOptions {
    /// Heads that are missing, and that no record explains, are taken for lost for good: they are
    /// recorded as such, and no longer keep dead objects from being deleted.
    pub accept_missing_heads: bool,
}

/// Why a backup that was to go is still there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeptBecause {
    /// The store refuses to delete it, until that time if it says so: an object lock, a retention.
    Refused(Option<Timestamp>),
    /// It is pinned.
    Pinned,
    /// Its writer is not trusted here: it is not ours to judge.
    UntrustedWriter,
}

/// Numbers of objects and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many.
    pub objects: u64,
    /// Their size.
    pub bytes: u64,
}

impl Amount {
    pub(crate) fn add(&mut self, bytes: u64) {
        self.objects += 1;
        self.bytes += bytes;
    }
}

/// What a prune did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneOutcome {
    /// Backups that are gone. One that was to go and was not there is not among them.
    pub removed: Vec<BackupId>,
    /// Backups that were to go and stay.
    pub kept: Vec<(BackupId, KeptBecause)>,
    /// Objects that were found dead by this run, and wait from now on.
    pub buried: Amount,
    /// Objects that were deleted: their bytes are free.
    pub deleted: Amount,
    /// Dead objects that are still there: their grace is not over, or the store refused.
    pub waiting: Amount,
    /// When the grace of the last of them that waits for it ends, by the store's clock.
    pub waiting_until: Option<Timestamp>,
    /// Of those that are waiting: objects that the store refused to delete.
    pub refused: Amount,
    /// Until when it refuses, as far as it says so: the latest.
    pub refused_until: Option<Timestamp>,
    /// Why no objects were deleted or buried, if none were: what is wrong with the heads.
    pub unswept: Vec<Finding>,
    /// What a person should know.
    pub notes: Vec<String>,
}

impl Vault {
    /// Takes the backups `doomed` of the lease's source away, then buries and deletes what no head
    /// names. Which backups are to go is the caller's to decide; with none, dead objects are cleared away.
    /// How long they wait is [`crate::Settings::prune_grace`].
    ///
    /// # Errors
    /// [`VaultError::MayNotDelete`] before anything is changed; [`VaultError::LeaseLost`];
    /// cancellation; the store's own. Run again, it goes on where it was stopped.
    pub fn prune(
        &self,
        lease: &Lease,
        doomed: &[BackupId],
        options: &PruneOptions,
        cancel: &CancelToken,
        progress: &dyn Progress,
    ) -> Result<PruneOutcome, VaultError> {
        self.write_key()?;
        assert!(
            lease.may_delete(),
            "a prune holds the lease of one: whoever pins has to see it"
        );
        let mut run = Run {
            vault: self,
            lease,
            source: lease.source(),
            options,
            cancel,
            progress,
            outcome: PruneOutcome::default(),
        };
        run.all(doomed)?;
        Ok(run.outcome)
    }
}

struct Run<'a> {
    vault: &'a Vault,
    lease: &'a Lease,
    source: &'a SourceName,
    options: &'a PruneOptions,
    cancel: &'a CancelToken,
    progress: &'a dyn Progress,
    outcome: PruneOutcome,
}

impl Run<'_> {
    fn all(&mut self, doomed: &[BackupId]) -> Result<(), VaultError> {
        self.go_on()?;
        self.progress.phase(&format!("heads of {}", self.source));
        let before = self.vault.heads(Some(self.source))?;
        let listed = self.vault.store().list(self.source.as_str())?;
        let records = self.vault.read_prune_records(self.source, &listed)?;
        let doomed = self.choose(&before, doomed)?;
        let missing = self.missing(&before, &records);
        if !self.options.accept_missing_heads {
            // Also a head that is missing below one that was pruned.
            let trusted: Vec<&StoredHead> =
                before.heads.iter().filter(|head| head.trusted).collect();
            self.outcome.unswept = sweep::alarms(&check_chain(&trusted, &records.holes));
        }
        let mut buried = Vec::new();
        if !doomed.is_empty()
            || listed
                .iter()
                .any(|info| layout::tombstone_place(&info.key).is_some())
        {
            self.vault.may_delete(self.lease.run())?;
            let alive = dead::named(&before.heads);
            buried = self.vault.lift_tombstones(self.source, &alive)?;
        }
        if !doomed.is_empty() || !missing.is_empty() {
            self.record(&records, &before.heads, &doomed, missing)?;
        } else {
            for superfluous in records.superfluous() {
                let _: Deletion = self.vault.remove(superfluous)?;
            }
        }
        self.remove_heads(&doomed)?;
        match self.sweep(&before, &listed, buried)? {
            Some(alive) => self.remove_orphaned_bundles(&listed, &alive),
            None => Ok(()),
        }
    }

    fn remove_orphaned_bundles(
        &self,
        listed: &[ObjectInfo],
        alive: &HashSet<Key>,
    ) -> Result<(), VaultError> {
        let headers = format!("{}/", layout::headers(self.source));
        let mut keys = listed.iter().map(|info| info.key.as_str());
        if !keys.any(|key| key.starts_with(&headers)) {
            return Ok(());
        }
        self.go_on()?;
        for orphan in self.vault.orphaned_bundles(self.source, alive)? {
            // What may not be deleted is of use to nobody, and does no harm.
            let _: Deletion = self.vault.remove(&orphan)?;
        }
        Ok(())
    }

    fn grace(&self) -> SignedDuration {
        self.vault.settings().prune_grace
    }

    /// That there is still something to do, and that the source is still ours.
    fn go_on(&self) -> Result<(), VaultError> {
        self.cancel.check()?;
        self.lease.confirm()
    }

    /// Those of `doomed` that are there and may go.
    fn choose(
        &mut self,
        before: &Heads,
        doomed: &[BackupId],
    ) -> Result<Vec<StoredHead>, VaultError> {
        if doomed.is_empty() {
            return Ok(Vec::new());
        }
        let pins = self.vault.pins(Some(self.source))?;
        let now = self.vault.settings().clock.now();
        let doomed: HashSet<&BackupId> = doomed.iter().collect();
        let mut chosen = Vec::new();
        for stored in &before.heads {
            let backup = stored.head.backup;
            if !doomed.contains(&backup) {
                continue;
            }
            if !stored.trusted {
                self.outcome
                    .kept
                    .push((backup, KeptBecause::UntrustedWriter));
            } else if pins
                .pins
                .iter()
                .any(|pin| pin.keeps(self.source, backup, now))
                || self.is_pinned_unlisted(backup, now)?
            {
                self.outcome.kept.push((backup, KeptBecause::Pinned));
            } else {
                chosen.push(stored.clone());
            }
        }
        Ok(chosen)
    }

    /// Whether there is a pin that the listing lacks: one that lags behind must not take a pinned backup away.
    fn is_pinned_unlisted(&self, backup: BackupId, now: Timestamp) -> Result<bool, VaultError> {
        let pin = self.vault.pin_of(self.source, backup)?;
        Ok(pin.is_some_and(|pin| pin.keeps(self.source, backup, now)))
    }

    /// Holes that nobody explains and that are accepted.
    fn missing(&self, before: &Heads, records: &PruneRecords) -> Vec<hole::Hole> {
        if self.options.accept_missing_heads {
            dead::missing_heads(&before.heads, &records.holes)
        } else {
            Vec::new()
        }
    }

    /// Writes the record, and removes those that it carries on.
    fn record(
        &mut self,
        records: &PruneRecords,
        alive: &[StoredHead],
        doomed: &[StoredHead],
        missing: Vec<hole::Hole>,
    ) -> Result<(), VaultError> {
        let key = self.vault.write_key()?;
        let now = self.vault.settings().clock.now();
        let trusted: Vec<StoredHead> = alive.iter().filter(|head| head.trusted).cloned().collect();
        let mut holes = record::holes_after(records, &trusted, doomed).into_vec();
        holes.extend(missing);
        let body = PruneRecord {
            format: 1,
            vault: self.vault.id(),
            source: self.source.clone(),
            record: RecordId(new_ulid(now)?),
            run: self.lease.run(),
            made_at: now,
            writer: key.writer(),
            removes: doomed
                .iter()
                .map(|stored| RemovedHead {
                    backup: stored.head.backup,
                    sequence: stored.head.sequence,
                    sha256: stored.sha256,
                })
                .collect(),
            holes: Holes::merged(holes).into_vec(),
        };
        let at = layout::prune(self.source, body.record);
        let bytes = record::KIND.sign(&body, key);
        self.go_on()?;
        self.vault
            .store()
            .put(&at, Bytes::from(bytes), Condition::Always)?;
        for (old, _) in &records.objects {
            // Refused, it stays: it says nothing that the new one does not.
            let _: Deletion = self.vault.remove(old)?;
        }
        Ok(())
    }

    fn remove_heads(&mut self, doomed: &[StoredHead]) -> Result<(), VaultError> {
        let mut removed = 0;
        for some in doomed.chunks(HEADS_AT_ONCE) {
            self.go_on()?;
            self.progress.bytes(removed, Some(doomed.len() as u64));
            let now = self.vault.settings().clock.now();
            let this: &Self = self;
            let deletions = this.vault.in_parallel(some, |stored| {
                let backup = stored.head.backup;
                // Pinned since it was chosen: whoever pins looks at the head once more, after the pin.
                if this.is_pinned_unlisted(backup, now)? {
                    return Ok(None);
                }
                let key = layout::head(this.source, backup);
                this.vault.remove(&key).map(Some)
            })?;
            for (stored, deletion) in some.iter().zip(deletions) {
                let backup = stored.head.backup;
                let because = match deletion {
                    Some(Deletion::Gone) => {
                        self.outcome.removed.push(backup);
                        continue;
                    }
                    Some(Deletion::Refused(until)) => KeptBecause::Refused(until),
                    None => KeptBecause::Pinned,
                };
                self.outcome.kept.push((backup, because));
            }
            removed += some.len() as u64;
        }
        Ok(())
    }
}

/// Whether the bytes are a prune record, for the fuzz targets.
#[doc(hidden)]
#[must_use]
pub fn is_record(bytes: &[u8]) -> bool {
    record::KIND.open::<PruneRecord>(bytes).is_ok()
}

/// Numbers of the first and last head of each hole that the body of a prune record names, merged as readers do it,
/// for the fuzz targets: behind a signature, which no fuzzer finds. `None` if it is none.
#[doc(hidden)]
#[must_use]
pub fn holes_of(body: &[u8]) -> Option<Vec<(u64, u64)>> {
    let body: PruneRecord = serde_json::from_slice(body).ok()?;
    if !body.holes.iter().all(hole::Hole::fits) {
        return None;
    }
    let merged = Holes::merged(body.holes).into_vec();
    Some(merged.iter().map(|hole| (hole.first, hole.last)).collect())
}

/// The objects that a tombstone of `source` names, for the fuzz targets.
#[doc(hidden)]
#[must_use]
pub fn buried(source: &SourceName, bytes: &[u8]) -> Vec<Key> {
    match tombstone::parse(source, bytes) {
        tombstone::Parsed::Objects(objects) => objects.into_iter().collect(),
        tombstone::Parsed::Newer | tombstone::Parsed::Broken => Vec::new(),
    }
}
