//! Pins that come while a prune is at work, and records that differ between the vault and a copy.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use resguardo_model::{BackupId, Sha256Digest};
use resguardo_store::wrap::{Call, Record};
use resguardo_store::{Key, MemoryStore, Store};
use resguardo_vault::{CopyPlace, Pinned, SettleRequest, Settled, Side, VaultError};

use crate::Anything;
use crate::act::{draft, not_refused, pid};
use crate::judge::Wrong;
use crate::trouble::{Reach, Trouble};
use crate::world::{Fate, World};

/// What somebody was told who pinned a backup while a prune was at work; `None`: nobody did.
pub(crate) type Told = Arc<Mutex<Option<(BackupId, Result<Pinned, VaultError>)>>>;

impl World {
    /// The store of a prune, during one of whose calls somebody pins one of the oldest backups.
    pub(crate) fn pinned_meanwhile(
        &mut self,
        host: usize,
        source: usize,
        store: Arc<dyn Store>,
    ) -> Result<(Arc<dyn Store>, Told), Anything> {
        let told: Told = Arc::default();
        let name = self.sources[source].name.clone();
        let vault = self.open(host, Arc::new(self.primary.clone()), false)?;
        let heads = vault.heads(Some(&name))?.heads;
        let old: Vec<BackupId> = heads
            .iter()
            .filter(|stored| stored.trusted)
            .map(|stored| stored.head.backup)
            .take(3)
            .collect();
        if old.is_empty() || !self.chance.one_in(2) {
            return Ok((store, told));
        }
        let backup = *self.chance.pick(&old);
        let at = 1 + self.chance.below(40);
        let run = self.run();
        let (calls, answer) = (AtomicU64::new(0), Arc::clone(&told));
        let observed = Record::new(store, move |_: Call| {
            if calls.fetch_add(1, Ordering::SeqCst) + 1 == at {
                let pinned = vault.pin(&draft(name.clone(), backup), run, pid());
                let mut answer = answer.lock().unwrap_or_else(PoisonError::into_inner);
                *answer = Some((backup, pinned));
            }
        });
        Ok((Arc::new(observed), told))
    }

    /// What the model makes of it: a pin that was said to hold does.
    pub(crate) fn mind_pinned(&mut self, source: usize, told: &Told) -> Result<(), Anything> {
        let told = told.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((backup, pinned)) = told else {
            return Ok(());
        };
        let name = &self.sources[source].name;
        let head: Key = format!("{name}/snapshots/{backup}.head.json").parse()?;
        match pinned {
            Ok(Pinned::Holds(_)) => {
                if self.primary.stat(&head).is_err() {
                    let what = format!("{backup} was pinned during a prune, and is gone");
                    return Err(Wrong(what).into());
                }
                self.pinned.insert(backup, true);
                if let Some(attempt) = self.attempts.get_mut(&backup) {
                    attempt.fate = Fate::Stands;
                }
                self.tally.pinned_in_prunes += 1;
                self.note(format!("{backup} was pinned meanwhile"));
            }
            Ok(Pinned::Gone) => {
                self.pinned.remove(&backup);
                self.note(format!("{backup} was gone before it was pinned"));
            }
            Err(VaultError::Locked { .. }) => {
                self.tally.refused_in_prunes += 1;
                self.note(format!("{backup} could not be pinned meanwhile"));
            }
            Err(other) => return Err(other.into()),
        }
        Ok(())
    }

    /// A record of the vault, or the one of that name at a copy, takes the other's place.
    pub(crate) fn settle_record(&mut self, host: usize, source: usize) -> Result<(), Anything> {
        let copy = self.chance.index(self.copies.len());
        let name = self.sources[source].name.clone();
        let there = self.copies[copy].clone();
        let mut keys = Vec::new();
        for folder in ["headers", "pins", "prunes"] {
            keys.extend(self.primary.list(&format!("{name}/{folder}"))?);
        }
        let differs = |key: &Key| there.get(key).ok() != self.primary.get(key).ok();
        keys.sort_by_key(|info| !differs(&info.key));
        let Some(info) = keys.first() else {
            return Ok(());
        };
        let key = info.key.clone();
        let keep = match self.chance.one_in(3) && there.stat(&key).is_ok() {
            true => Side::Copy,
            false => Side::Vault,
        };
        let trouble = Trouble::draw(&mut self.chance, Reach::Honest);
        let (word, kills, struck) = (trouble.word.clone(), trouble.kills, trouble.struck());
        let replaces = match keep {
            Side::Vault => there.clone(),
            Side::Copy => self.primary.clone(),
        };
        let before = replaces.get(&key).ok();
        let store = trouble.around(&there, &self.clocks);
        let run = self.run();
        let settled = self
            .open(host, Arc::new(self.primary.clone()), true)
            .map_err(not_refused)
            .and_then(|vault| {
                let request = SettleRequest {
                    source: &name,
                    key: &key,
                    keep,
                    run,
                    host: "host",
                    pid: pid(),
                };
                vault.settle(&vault.copy_at(&CopyPlace::new("copy", store))?, &request)
            });
        self.count(kills, &struck);
        if let Some(before) = before
            .as_ref()
            .filter(|before| !is_kept(&replaces, &key, before))
        {
            let what = format!("{key}: {} bytes were replaced and not kept", before.len());
            return Err(Wrong(what).into());
        }
        let ended = match &settled {
            Ok(Settled::Done { .. }) => {
                self.tally.settled += 1;
                self.spoilt[copy].remove(&key);
                "done".to_owned()
            }
            Ok(other) => {
                if replaces.get(&key).ok() != before {
                    let what = format!("{key} was replaced, though {other:?}");
                    return Err(Wrong(what).into());
                }
                self.tally.not_settled += 1;
                format!("{other:?}")
            }
            Err(error) => error.to_string(),
        };
        self.note(format!("{key} of the {keep:?} is kept, {word}: {ended}"));
        Ok(())
    }
}

/// Whether what lay at `key` does so still, or is kept beside it.
fn is_kept(store: &MemoryStore, key: &Key, bytes: &Bytes) -> bool {
    let (source, rest) = key.as_str().split_once('/').unwrap_or_default();
    let sha256 = Sha256Digest::of(bytes);
    let kept: Option<Key> = format!("{source}/replaced/{rest}/{sha256}-0").parse().ok();
    let lies_at = |key: &Key| store.get(key).is_ok_and(|there| there == *bytes);
    lies_at(key) || kept.is_some_and(|kept| lies_at(&kept))
}
