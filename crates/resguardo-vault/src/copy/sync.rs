//! Sends what a copy lacks of one source. The write order is in the module's header.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use jiff::Timestamp;
use resguardo_model::{
    BackupId, CancelToken, Finding, FindingKind, Progress, RunId, Sha256Digest, SourceName,
    WriterId,
};
use resguardo_store::{Condition, Key, Store as _, StoreError};

use super::compare::{Compared, Listing, Numbered, compared, listing, newest_only_there};
use super::place::at_copy;
use super::send::{Named, Wrong, named_by};
use crate::error::VaultError;
use crate::heads::{Heads, StoredHead};
use crate::layout;
use crate::lease::{Lease, LeaseOf};
use crate::prune::PruneRecords;
use crate::vault::Vault;

/// Heads whose objects are sent together before the first of them is committed.
const HEADS_AT_ONCE: usize = 16;

/// What is asked of a synchronisation.
#[derive(Clone, Copy, Debug)]
pub struct SyncRequest<'a> {
    /// The source.
    pub source: &'a SourceName,
    /// The run, for the lease of the copy.
    pub run: RunId,
    /// This machine, for the lease.
    pub host: &'a str,
    /// This process, for the lease.
    pub pid: u32,
    /// Read everything that the copy holds, and send again what is not what its head names.
    pub mend: bool,
    /// Backups that the copy's own policy would delete at once: they are not sent.
    pub unwanted: &'a BTreeSet<BackupId>,
}

/// A backup that was committed at the copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentBackup {
    /// Which.
    pub backup: Numbered,
    /// What the copy's store calls this version of the head, where it tells.
    pub etag: Option<String>,
    /// When the copy's store wrote the head, by its own clock.
    pub stored_at: Timestamp,
}

/// What a synchronisation did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Synced {
    /// Backups that were sent, by sequence.
    pub sent: Vec<SentBackup>,
    /// Objects that were sent for backups.
    pub objects: u64,
    /// Their bytes, and those of the records.
    pub bytes: u64,
    /// Receipts and other signed records that were sent.
    pub records: u64,
    /// Objects at the copy that were damaged and are whole again.
    pub mended: Vec<String>,
    /// Objects at the copy that are damaged and that it lets nobody replace, each with its words.
    pub kept: Vec<(String, String)>,
    /// Backups that were not sent because the copy's policy would delete them at once.
    pub unwanted: Vec<Numbered>,
    /// What the copy held in the end. `missing`: what could not be sent, which `findings` explain.
    pub compared: Compared,
    /// What is wrong with what is in the vault, and was not sent.
    pub findings: Vec<Finding>,
    /// Objects that are not whole in the vault, and were taken from another copy.
    pub elsewhere: Vec<Elsewhere>,
    /// Backups in the vault whose heads are not believed here, and that the copy does not have: nobody sends
    /// them from this machine.
    pub left_behind: Vec<LeftBehind>,
}

/// An object that was taken from another copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// Its key.
    pub object: String,
    /// Its size.
    pub bytes: u64,
    /// Where it was whole.
    pub place: String,
}

/// A backup that was not sent, because its head is not believed here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftBehind {
    /// Which.
    pub backup: BackupId,
    /// Who signed its head.
    pub writer: WriterId,
    /// Whether this machine believed him once, and retired him.
    pub retired: bool,
}

impl Vault {
    /// Sends to `copy` every backup of a source that it lacks, and the source's signed records.
    ///
    /// # Errors
    /// [`VaultError::Locked`] if another run is at work on the source at the copy;
    /// [`VaultError::AtCopy`]; this vault's own. What was sent until then stays sent. What is wrong with
    /// stored data is a finding, not an error.
    pub fn sync(
        &self,
        copy: &Self,
        request: &SyncRequest<'_>,
        cancel: &CancelToken,
        progress: &dyn Progress,
    ) -> Result<Synced, VaultError> {
        let heads = self.heads(Some(request.source))?;
        self.sync_heads(copy, heads, request, cancel, progress)
    }

    /// As [`Vault::sync`]; an object that is not whole here is taken from the first of `others` that has it
    /// whole. They are further copies of this vault, and `copy` is the vault that is made again from all of
    /// them: a prune record there came from one of them, and is no word about what the vault is to hold.
    ///
    /// # Errors
    /// As [`Vault::sync`]; [`VaultError::AtCopy`] of the others.
    pub fn sync_with_others(
        &self,
        copy: &Self,
        others: &[Self],
        request: &SyncRequest<'_>,
        cancel: &CancelToken,
        progress: &dyn Progress,
    ) -> Result<Synced, VaultError> {
        let heads = self.heads(Some(request.source))?;
        self.sync_all(copy, (heads, Some(others)), request, cancel, progress)
    }

    /// As [`Vault::sync`], with the heads of the source as the caller knows them; each is compared with its
    /// digest again when it is sent.
    ///
    /// # Errors
    /// As [`Vault::sync`].
    pub fn sync_heads(
        &self,
        copy: &Self,
        heads: Heads,
        request: &SyncRequest<'_>,
        cancel: &CancelToken,
        progress: &dyn Progress,
    ) -> Result<Synced, VaultError> {
        self.sync_all(copy, (heads, None), request, cancel, progress)
    }

    fn sync_all(
        &self,
        copy: &Self,
        (heads, others): (Heads, Option<&[Self]>),
        request: &SyncRequest<'_>,
        cancel: &CancelToken,
        progress: &dyn Progress,
    ) -> Result<Synced, VaultError> {
        let place = copy.store().describe();
        let at_copy = |error| at_copy(error, &place);
        let of = LeaseOf {
            source: request.source,
            run: request.run,
            host: request.host,
            pid: request.pid,
            deletes: false,
        };
        let lease = Lease::acquire(Arc::clone(copy.store()), &of, &*self.settings().clock)
            .map_err(at_copy)?;
        let here = listing(self, request.source)?;
        let there = listing(copy, request.source).map_err(at_copy)?;
        let pruned = match others {
            Some(_) => PruneRecords::default(),
            None => copy.prune_records(request.source).map_err(at_copy)?,
        };
        let newest = newest_only_there(copy, request.source, (&here, &there)).map_err(at_copy)?;
        let pruned = (&pruned, newest);
        let before = compared(&heads.heads, request.source, (&here, &there), pruned);
        let mut run = Run::new((self, copy), request, (cancel, progress), &lease, &place);
        run.there = there;
        run.rebuilds = others.is_some();
        run.others = others.unwrap_or_default();
        run.done.findings = heads.findings;
        run.heads(&heads.heads, &here, &before)?;
        run.records(&here)?;
        run.confirm(&heads.heads, &here, pruned)?;
        run.explain_unwanted(&heads.heads).map_err(at_copy)?;
        run.done.left_behind = run.left_behind(&heads.heads);
        Ok(run.done)
    }

    /// Sends to `copy` the signed records of the lease's source that it lacks, and no backup: pins, receipts
    /// and the like. The lease is one of the copy.
    ///
    /// # Errors
    /// [`VaultError::AtCopy`]; this vault's own. What was sent until then stays sent.
    pub fn send_records(
        &self,
        copy: &Self,
        lease: &Lease,
        request: &SyncRequest<'_>,
        cancel: &CancelToken,
        progress: &dyn Progress,
    ) -> Result<Synced, VaultError> {
        let place = copy.store().describe();
        let here = listing(self, request.source)?;
        let mut run = Run::new((self, copy), request, (cancel, progress), lease, &place);
        run.there = listing(copy, request.source).map_err(|error| at_copy(error, &place))?;
        run.records(&here)?;
        Ok(run.done)
    }
}

/// A synchronisation on its way.
pub(super) struct Run<'a> {
    pub(super) from: &'a Vault,
    pub(super) to: &'a Vault,
    pub(super) request: &'a SyncRequest<'a>,
    pub(super) cancel: &'a CancelToken,
    pub(super) progress: &'a dyn Progress,
    pub(super) place: &'a str,
    lease: &'a Lease,
    /// What the copy holds, as far as is known now.
    pub(super) there: Listing,
    /// What heads name that the copy holds.
    pub(super) named_there: HashSet<Key>,
    /// What lies in the vault and is not what heads name.
    pub(super) refused: BTreeMap<Key, Wrong>,
    /// Objects that were brought, or found to be right, in this run.
    pub(super) looked_at: HashSet<Key>,
    /// Sizes of what was sent.
    pub(super) sent_keys: BTreeMap<Key, u64>,
    /// Backups whose head has other bytes at the copy.
    pub(super) other_heads: HashSet<BackupId>,
    /// Whether `to` is the vault that is made again from its copies.
    pub(super) rebuilds: bool,
    /// Further copies, from which an object is taken that is not whole here.
    pub(super) others: &'a [Vault],
    pub(super) sent_bytes: AtomicU64,
    pub(super) total_bytes: u64,
    pub(super) done: Synced,
}

impl<'a> Run<'a> {
    fn new(
        (from, to): (&'a Vault, &'a Vault),
        request: &'a SyncRequest<'a>,
        (cancel, progress): (&'a CancelToken, &'a dyn Progress),
        lease: &'a Lease,
        place: &'a str,
    ) -> Self {
        Self {
            from,
            to,
            request,
            cancel,
            progress,
            place,
            lease,
            there: Listing::new(),
            named_there: HashSet::new(),
            refused: BTreeMap::new(),
            looked_at: HashSet::new(),
            sent_keys: BTreeMap::new(),
            other_heads: HashSet::new(),
            rebuilds: false,
            others: &[],
            sent_bytes: AtomicU64::new(0),
            total_bytes: 0,
            done: Synced::default(),
        }
    }
}

impl Run<'_> {
    /// Sends backups, a few at a time, the oldest first.
    fn heads(
        &mut self,
        heads: &[StoredHead],
        here: &Listing,
        before: &Compared,
    ) -> Result<(), VaultError> {
        let missing: HashSet<BackupId> = before.missing.iter().map(|one| one.backup).collect();
        // A backup whose head is there counts as sent, though it may lack objects: it was pruned by somebody
        // who did not see the head yet, or lost otherwise.
        let (held, absent): (Vec<&StoredHead>, Vec<&StoredHead>) = heads
            .iter()
            .filter(|stored| stored.trusted)
            .partition(|stored| {
                let bytes = |listing: &Listing| {
                    let key = layout::head(self.request.source, stored.head.backup);
                    listing.get(&key).map(|info| info.bytes)
                };
                bytes(here).is_some() && bytes(here) == bytes(&self.there)
            });
        let absent = absent
            .into_iter()
            .filter(|stored| missing.contains(&stored.head.backup));
        let (unwanted, wanted): (Vec<&StoredHead>, Vec<&StoredHead>) =
            absent.partition(|stored| self.request.unwanted.contains(&stored.head.backup));
        self.done.unwanted = unwanted.into_iter().map(Numbered::of).collect();
        self.other_heads = self.other_heads_of(&held)?;
        self.named_there = held
            .iter()
            .flat_map(|stored| {
                let (packs, rest) = named_by(stored);
                packs.into_iter().chain(rest)
            })
            .map(|object| object.key)
            .collect();
        let held_ones: HashSet<BackupId> = held.iter().map(|stored| stored.head.backup).collect();
        let looked_into: Vec<&StoredHead> = held
            .into_iter()
            .filter(|stored| {
                self.request.mend
                    || self.lacks_objects(stored)
                    || self.other_heads.contains(&stored.head.backup)
            })
            .chain(wanted)
            .collect();
        let looked_into = self.undisputed(looked_into)?;
        self.total_bytes = self.missing_bytes(&looked_into);
        self.progress
            .phase(&format!("copy {}", self.request.source));
        for some in looked_into.chunks(HEADS_AT_ONCE) {
            let (packs, rest): (Vec<_>, Vec<_>) =
                some.iter().map(|stored| named_by(stored)).unzip();
            self.bring(packs.into_iter().flatten())?;
            self.bring(rest.into_iter().flatten())?;
            self.lease
                .confirm()
                .map_err(|error| at_copy(error, self.place))?;
            for stored in some {
                self.cancel.check()?;
                self.commit(stored, held_ones.contains(&stored.head.backup))?;
            }
        }
        Ok(())
    }

    /// Whether the copy has the head of a backup and not all that it names.
    fn lacks_objects(&self, stored: &StoredHead) -> bool {
        let (packs, rest) = named_by(stored);
        let mut needed = packs.iter().chain(&rest);
        needed.any(|object| !self.is_there(object))
    }

    /// What was left out on purpose is no hole in the copy's chain.
    fn explain_unwanted(&self, heads: &[StoredHead]) -> Result<(), VaultError> {
        if self.done.unwanted.is_empty() || self.to.writer().is_none() {
            return Ok(());
        }
        let unwanted: HashSet<BackupId> = self.done.unwanted.iter().map(|one| one.backup).collect();
        let left_out: Vec<&StoredHead> = heads
            .iter()
            .filter(|stored| stored.trusted && unwanted.contains(&stored.head.backup))
            .collect();
        self.to.record_left_out(self.lease, &left_out)
    }

    /// Commits a backup at the copy, if everything that it needs could be sent.
    fn commit(&mut self, stored: &StoredHead, is_held: bool) -> Result<(), VaultError> {
        let (packs, rest) = named_by(stored);
        let mut hindered = false;
        for object in packs.iter().chain(&rest) {
            let Some(wrong) = self.refused.get(&object.key).cloned() else {
                continue;
            };
            // What was removed with its backup in this moment was pruned: nothing is wrong.
            if wrong == Wrong::Missing && self.is_gone(stored)? {
                return Ok(());
            }
            // Without its index the next backup is a whole one; this one loses nothing.
            let hits = object.is_needed();
            hindered |= hits;
            self.found(
                object.finding(self.request.source, wrong),
                hits.then_some(stored),
            );
        }
        let lacks = |object: &&Named| object.is_needed() && !self.looked_at.contains(&object.key);
        if hindered || packs.iter().chain(&rest).any(|object| lacks(&object)) {
            return Ok(());
        }
        let key = layout::head(self.request.source, stored.head.backup);
        if is_held && !self.is_other(&key, stored.sha256)? {
            return Ok(());
        }
        let body = match self.from.store().get(&key) {
            Ok(body) => body,
            Err(StoreError::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if Sha256Digest::of(&body) != stored.sha256 {
            let finding = Finding {
                kind: FindingKind::HeadChanged,
                source: Some(self.request.source.clone()),
                object: key.to_string(),
                message: format!("{key}: it changed while it was copied"),
                backups_hit: Vec::new(),
            };
            self.found(finding, Some(stored));
            return Ok(());
        }
        self.commit_head(stored, &key, body, is_held)
    }

    fn commit_head(
        &mut self,
        stored: &StoredHead,
        key: &Key,
        body: Bytes,
        is_held: bool,
    ) -> Result<(), VaultError> {
        let bytes = body.len() as u64;
        let version = self
            .to
            .store()
            .put(key, body, Condition::Always)
            .map_err(|error| at_copy(error.into(), self.place))?;
        self.sent_keys.insert(key.clone(), bytes);
        self.done.objects += 1;
        self.done.bytes += bytes;
        if is_held {
            self.done.mended.push(key.to_string());
        } else {
            self.done.sent.push(SentBackup {
                backup: Numbered::of(stored),
                etag: version.map(|version| version.0),
                // The store's own time is known when it is asked at the end.
                stored_at: self.from.settings().clock.now(),
            });
        }
        Ok(())
    }

    /// Heads that are not believed here, and are not at the copy.
    fn left_behind(&self, heads: &[StoredHead]) -> Vec<LeftBehind> {
        let strange = heads.iter().filter(|stored| !stored.trusted);
        let absent = strange.filter(|stored| {
            let key = layout::head(self.request.source, stored.head.backup);
            !self.there.contains_key(&key)
        });
        let told = absent.map(|stored| LeftBehind {
            backup: stored.head.backup,
            writer: stored.head.writer,
            retired: self.from.retired(stored.head.writer).is_some(),
        });
        told.collect()
    }

    fn is_gone(&self, stored: &StoredHead) -> Result<bool, VaultError> {
        let key = layout::head(self.request.source, stored.head.backup);
        match self.from.store().stat(&key) {
            Ok(_) => Ok(false),
            Err(StoreError::NotFound { .. }) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the copy's object has other bytes than these.
    pub(super) fn is_other(&self, key: &Key, sha256: Sha256Digest) -> Result<bool, VaultError> {
        match self.to.store().get(key) {
            Ok(body) => Ok(Sha256Digest::of(&body) != sha256),
            Err(StoreError::NotFound { .. }) => Ok(true),
            Err(error) => Err(at_copy(error.into(), self.place)),
        }
    }

    /// One finding for an object, with every backup that it hits.
    pub(super) fn found(&mut self, mut finding: Finding, hit: Option<&StoredHead>) {
        let hit = hit.map(|stored| stored.head.backup);
        let same = |old: &&mut Finding| old.object == finding.object && old.kind == finding.kind;
        match self.done.findings.iter_mut().find(same) {
            Some(old) => old.backups_hit.extend(hit),
            None => {
                finding.backups_hit.extend(hit);
                self.done.findings.push(finding);
            }
        }
    }

    /// Every object that a backup needs which was committed now has to be there: one that was found there at the
    /// begin may have been dead at the copy, and deleted while this process had lost the lease.
    fn confirm_objects(&self, heads: &[StoredHead]) -> Result<(), VaultError> {
        let sent: HashSet<BackupId> = self.done.sent.iter().map(|one| one.backup.backup).collect();
        for stored in heads
            .iter()
            .filter(|stored| sent.contains(&stored.head.backup))
        {
            let (packs, rest) = named_by(stored);
            let needed = packs.iter().chain(&rest);
            let mut needed = needed.filter(|object| object.is_needed());
            if let Some(lacking) = needed.find(|object| !self.is_there(object)) {
                return Err(VaultError::NotKept {
                    place: self.place.to_owned(),
                    object: lacking.key.to_string(),
                });
            }
        }
        Ok(())
    }

    /// Asks the copy what it holds now: what it acknowledged has to be there with its size.
    fn confirm(
        &mut self,
        heads: &[StoredHead],
        here: &Listing,
        pruned: (&PruneRecords, Option<u64>),
    ) -> Result<(), VaultError> {
        self.there =
            listing(self.to, self.request.source).map_err(|error| at_copy(error, self.place))?;
        for (key, bytes) in &self.sent_keys {
            let found = self.there.get(key).map(|info| info.bytes);
            if found != Some(*bytes) {
                return Err(VaultError::NotKept {
                    place: self.place.to_owned(),
                    object: key.to_string(),
                });
            }
        }
        for sent in &mut self.done.sent {
            let key = layout::head(self.request.source, sent.backup.backup);
            if let Some(info) = self.there.get(&key) {
                sent.stored_at = info.modified_at;
            }
        }
        self.confirm_objects(heads)?;
        let source = self.request.source;
        self.done.compared = compared(heads, source, (here, &self.there), pruned);
        let is_sent = |one: &Numbered| {
            let key = layout::head(source, one.backup);
            !self.other_heads.contains(&one.backup) || self.sent_keys.contains_key(&key)
        };
        let Compared { held, missing, .. } = &mut self.done.compared;
        missing.extend(held.extract_if(.., |one| !is_sent(one)));
        missing.sort_unstable();
        missing.retain(|one| !self.done.unwanted.contains(one));
        Ok(())
    }
}
