//! Sends what a copy lacks of one source. The write order is in the module's header.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use jiff::Timestamp;
use resguardo_model::{
    BackupId, CancelToken, Finding, FindingKind, Progress, RunId, Sha256Digest, SourceName,
};
use resguardo_store::{Condition, Key, Store as _, StoreError};

use super::compare::{Compared, Listing, Numbered, compared, listing, newest_only_there};
use super::place::at_copy;
use super::send::{Named, Sent, Wrong, each, named_by, read_named, send};
use crate::error::VaultError;
use crate::heads::{Heads, StoredHead};
use crate::layout;
use crate::lease::Lease;
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
        let place = copy.store().describe();
        let at_copy = |error| at_copy(error, &place);
        let lease = Lease::acquire(
            Arc::clone(copy.store()),
            request.source,
            request.run,
            request.host,
            request.pid,
            &*self.settings().clock,
        )
        .map_err(at_copy)?;
        let here = listing(self, request.source)?;
        let there = listing(copy, request.source).map_err(at_copy)?;
        let pruned = copy.prune_records(request.source).map_err(at_copy)?;
        let newest = newest_only_there(copy, request.source, (&here, &there)).map_err(at_copy)?;
        let pruned = (&pruned, newest);
        let before = compared(&heads.heads, request.source, (&here, &there), pruned);
        let mut run = Run::new((self, copy), request, (cancel, progress), &lease, &place);
        run.there = there;
        run.done.findings = heads.findings;
        run.heads(&heads.heads, &here, &before)?;
        run.records(&here)?;
        run.confirm(&heads.heads, &here, pruned)?;
        run.explain_unwanted(&heads.heads).map_err(at_copy)?;
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
    progress: &'a dyn Progress,
    pub(super) place: &'a str,
    lease: &'a Lease,
    /// What the copy holds, as far as is known now.
    pub(super) there: Listing,
    /// What lies in the vault and is not what heads name.
    refused: BTreeMap<Key, Wrong>,
    /// Objects that were brought, or found to be right, in this run.
    looked_at: HashSet<Key>,
    /// Sizes of what was sent.
    pub(super) sent_keys: BTreeMap<Key, u64>,
    /// Backups whose head has other bytes at the copy.
    pub(super) other_heads: HashSet<BackupId>,
    sent_bytes: AtomicU64,
    total_bytes: u64,
    pub(super) done: Synced,
}

/// What became of an object that the copy is to have.
enum Brought {
    WasThere,
    Sent,
    Mended,
    Refused(Wrong),
    Kept(String),
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
            refused: BTreeMap::new(),
            looked_at: HashSet::new(),
            sent_keys: BTreeMap::new(),
            other_heads: HashSet::new(),
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
        self.progress.phase("copy");
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

    fn missing_bytes(&self, heads: &[&StoredHead]) -> u64 {
        let named = heads.iter().flat_map(|stored| {
            let (packs, rest) = named_by(stored);
            packs.into_iter().chain(rest)
        });
        let missing: BTreeSet<Named> = named.filter(|object| !self.is_there(object)).collect();
        missing.iter().map(|object| object.bytes).sum()
    }

    fn is_there(&self, object: &Named) -> bool {
        let found = self.there.get(&object.key);
        found.is_some_and(|info| info.bytes == object.bytes)
    }

    /// Sees to it that the copy has these objects, each once.
    fn bring(&mut self, objects: impl Iterator<Item = Named>) -> Result<(), VaultError> {
        let looked_at = &self.looked_at;
        let objects: BTreeSet<Named> = objects
            .filter(|object| !looked_at.contains(&object.key))
            .filter(|object| !self.refused.contains_key(&object.key))
            .collect();
        let objects: Vec<Named> = objects.into_iter().collect();
        let result = each(
            &objects,
            self.cancel,
            |object| self.bring_one(object),
            |_| {
                let sent = self.sent_bytes.load(Ordering::Relaxed);
                self.progress.bytes(sent, Some(self.total_bytes.max(sent)));
            },
        );
        for (object, brought) in objects.into_iter().zip(result?) {
            self.keep(object, brought);
        }
        Ok(())
    }

    fn bring_one(&self, object: &Named) -> Result<Brought, VaultError> {
        let is_there = self.is_there(object);
        if is_there && !self.request.mend {
            return Ok(Brought::WasThere);
        }
        let was_there = self.there.contains_key(&object.key);
        if is_there {
            let found = read_named(self.to, object).map_err(|error| at_copy(error, self.place))?;
            if found.is_ok() {
                return Ok(Brought::WasThere);
            }
        }
        Ok(match send(self.from, self.to, object)? {
            Sent::Put => {
                self.sent_bytes.fetch_add(object.bytes, Ordering::Relaxed);
                match was_there {
                    true => Brought::Mended,
                    false => Brought::Sent,
                }
            }
            Sent::Refused(wrong) => Brought::Refused(wrong),
            Sent::Kept(words) => Brought::Kept(words),
        })
    }

    fn keep(&mut self, object: Named, brought: Brought) {
        match brought {
            Brought::WasThere => {}
            Brought::Sent | Brought::Mended => {
                if matches!(brought, Brought::Mended) {
                    self.done.mended.push(object.key.to_string());
                }
                self.done.objects += 1;
                self.done.bytes += object.bytes;
                self.sent_keys.insert(object.key.clone(), object.bytes);
            }
            Brought::Refused(wrong) => {
                self.refused.insert(object.key, wrong);
                return;
            }
            Brought::Kept(words) => {
                self.done.kept.push((object.key.to_string(), words));
                return;
            }
        }
        self.looked_at.insert(object.key);
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
