//! What is lost: objects at copies, and the vault itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use resguardo_model::{BackupId, CancelToken, NoProgress};
use resguardo_store::{Condition, MemoryStore, Store as _};
use resguardo_vault::{CopyPlace, PruneOptions, StoredHead, SyncRequest, Vault, VaultError};

use crate::act::pid;
use crate::trouble::Trouble;
use crate::world::{Fate, Harm, World};
use crate::{Anything, judge};

impl World {
    /// An object of a source is lost, cut or changed at a copy.
    pub(crate) fn harm_copy(&mut self, source: usize) -> Result<(), Anything> {
        let copy = self.chance.index(self.copies.len());
        let name = self.sources[source].name.clone();
        let Some(vault) = judge::open_copy(self, 0, copy)? else {
            return Ok(());
        };
        let listed = self.copies[copy].list(name.as_str())?;
        if listed.is_empty() {
            return Ok(());
        }
        let info = self.chance.pick(&listed).clone();
        let key = info.key.as_str().to_owned();
        let heads = vault.heads(Some(&name))?.heads;
        let hit: Vec<BackupId> = heads
            .iter()
            .filter(|stored| needs(stored, &key))
            .map(|one| one.head.backup)
            .collect();
        let bytes = self.copies[copy].get(&info.key)?;
        let (what, harm) = match self.chance.below(3) {
            0 => {
                self.copies[copy].delete(&info.key)?;
                ("lost", Harm::Lost)
            }
            1 => {
                let half = bytes.slice(..bytes.len() / 2);
                self.copies[copy].put(&info.key, half, Condition::Always)?;
                ("cut", Harm::Lost)
            }
            _ => {
                let mut changed = bytes.to_vec();
                let at = self.chance.index(changed.len().max(1));
                if let Some(byte) = changed.get_mut(at) {
                    *byte ^= 1 << self.chance.below(8);
                }
                let changed = Bytes::from(changed);
                self.spoilt[copy].insert(info.key.clone(), changed.clone());
                self.copies[copy].put(&info.key, changed, Condition::Always)?;
                ("changed", Harm::Changed)
            }
        };
        self.tally.objects_harmed += 1;
        for backup in hit {
            self.copied[copy].remove(&backup);
            let known = self.harmed[copy].entry(backup).or_insert(harm);
            if harm == Harm::Changed {
                *known = harm;
            }
        }
        self.note(format!("{key} is {what} at copy {copy}"));
        Ok(())
    }

    /// After a synchronisation: backups that were committed upon an object which had been changed before.
    pub(crate) fn mind_spoilt(&mut self, source: usize, copy: usize) -> Result<(), Anything> {
        let store = self.copies[copy].clone();
        self.spoilt[copy].retain(|key, bytes| store.get(key).is_ok_and(|there| there == *bytes));
        if self.spoilt[copy].is_empty() {
            return Ok(());
        }
        let Some(vault) = judge::open_copy(self, 0, copy)? else {
            return Ok(());
        };
        for stored in vault.heads(Some(&self.sources[source].name))?.heads {
            let spoilt = &self.spoilt[copy];
            if spoilt.keys().any(|key| needs(&stored, key.as_str())) {
                let backup = stored.head.backup;
                self.harmed[copy].insert(backup, Harm::Changed);
                self.copied[copy].remove(&backup);
            }
        }
        Ok(())
    }

    /// The vault is lost, and made again from a copy that is whole. What that copy had is there afterwards.
    pub(crate) fn lose_primary(&mut self, host: usize) -> Result<(), Anything> {
        // A machine that pins others than the copy's `vault.json` first learns of the change.
        self.settle()?;
        let mut copies: Vec<usize> = (0..self.copies.len()).collect();
        let first = self.chance.index(copies.len());
        copies.rotate_left(first);
        // From one that is whole, or from all of them, whatever they lack.
        let several = copies.len() > 1 && self.chance.one_in(2);
        if !several {
            copies.truncate(1);
            if !self.harmed[first].is_empty() || self.copied[first].is_empty() {
                return Ok(());
            }
        }
        let mut wanted = BTreeSet::new();
        for copy in &copies {
            let Some(there) = judge::open_copy(self, host, *copy)? else {
                return Ok(());
            };
            let heads = there.heads(None)?.heads.into_iter();
            let trusted = heads.filter(|stored| stored.trusted);
            let whole = trusted.map(|stored| stored.head.backup);
            wanted.extend(whole.filter(|backup| !self.harmed[*copy].contains_key(backup)));
        }
        if wanted.is_empty() {
            return Ok(());
        }
        drop(self.suspended.take());
        self.primary = MemoryStore::with_clock(Arc::new(self.clocks.stores.clone()));
        self.note(format!(
            "the vault is lost; copies {copies:?} have {} backups whole",
            wanted.len()
        ));
        self.rebuild(host, &copies)?;
        let vault = self.open(host, Arc::new(self.primary.clone()), false)?;
        let heads = vault.heads(None)?.heads.into_iter();
        let held = heads.filter(|stored| stored.trusted);
        let held: BTreeSet<BackupId> = held.map(|stored| stored.head.backup).collect();
        if let Some(missing) = wanted.difference(&held).next() {
            let what = format!("{missing} is whole at a copy, and did not come back");
            return Err(judge::Wrong(what).into());
        }
        self.mind_rebuilt(host, &held)?;
        self.tally.vaults_rebuilt += 1;
        self.tally.rebuilt_from_several += u64::from(several);
        self.indexes_lost |= copies.iter().any(|copy| !self.harmed[*copy].is_empty());
        self.was_rebuilt |= self.copies.len() > 1;
        self.clear_up(host)
    }

    /// As `copy rebuild` does it, until it comes to its end.
    fn rebuild(&mut self, host: usize, copies: &[usize]) -> Result<(), Anything> {
        for attempt in 0..4 {
            let trouble = match attempt {
                3 => Trouble::none(),
                _ => Trouble::draw_death(&mut self.chance),
            };
            let (kills, struck, word) = (trouble.kills, trouble.struck(), trouble.word.clone());
            let place = CopyPlace::new("vault", trouble.around(&self.primary, &self.clocks));
            let done = self.bring_back(host, copies, &place);
            self.count(kills, &struck);
            let ended = match done {
                Ok(()) => {
                    self.note(format!("it is made again, {word}"));
                    return Ok(());
                }
                Err(error) => error.to_string(),
            };
            self.note(format!("making it again, {word}: {ended}"));
            self.clocks.pass(16 * 60);
        }
        Err(judge::Wrong("a vault that was lost cannot be made again".to_owned()).into())
    }

    fn bring_back(
        &mut self,
        host: usize,
        copies: &[usize],
        place: &CopyPlace,
    ) -> Result<(), VaultError> {
        let run = self.run();
        let mut opened = Vec::new();
        for copy in copies {
            let access = self.access(host, true).map_err(crate::act::not_refused)?;
            let store = Arc::new(self.copies[*copy].clone());
            opened.push(Vault::open_copy(store, access, self.settings(host))?);
        }
        let fresh = opened[0].begin_copy(place)?;
        for source in &self.sources {
            let request = SyncRequest {
                source: &source.name,
                run,
                host: "host",
                pid: pid(),
                mend: false,
                unwanted: &BTreeSet::new(),
            };
            for (number, from) in opened.iter().enumerate() {
                let others = opened.iter().enumerate().filter(|(of, _)| *of != number);
                let others: Vec<Vault> = others.map(|(_, other)| other.clone()).collect();
                let cancel = CancelToken::new();
                let done =
                    from.sync_with_others(&fresh, &others, &request, &cancel, &NoProgress)?;
                assert!(
                    opened.len() > 1 || done.compared.missing.is_empty(),
                    "a copy that is whole brings all of it back"
                );
            }
        }
        opened[0]
            .primary_at(place)?
            .take_leave_of_lost()
            .map(|_| ())
    }

    /// What the model makes of a vault that was made again.
    fn mind_rebuilt(&mut self, host: usize, held: &BTreeSet<BackupId>) -> Result<(), Anything> {
        for (backup, attempt) in &mut self.attempts {
            attempt.given.clear();
            match attempt.fate {
                Fate::Stolen => {}
                // What a copy kept longer than the vault is there again.
                _ if held.contains(backup) => attempt.fate = Fate::Stands,
                _ => attempt.fate = Fate::Lost,
            }
        }
        let vault = self.open(host, Arc::new(self.primary.clone()), false)?;
        let pins = vault.pins(None)?.pins;
        self.pinned = pins.iter().map(|pin| (pin.backup, true)).collect();
        // Every other machine remembers a vault that is no more.
        for other in (0..self.hosts.len()).filter(|other| *other != host) {
            for entry in std::fs::read_dir(self.hosts[other].cache.path())? {
                std::fs::remove_dir_all(entry?.path())?;
            }
        }
        Ok(())
    }

    /// Heads that a copy never had are given up, so that what is dead can be told again.
    fn clear_up(&mut self, host: usize) -> Result<(), Anything> {
        let vault = self.open(host, Arc::new(self.primary.clone()), false)?;
        let options = PruneOptions {
            accept_missing_heads: true,
        };
        for source in 0..self.sources.len() {
            let name = self.sources[source].name.clone();
            let lease = vault.acquire_lease(&name, self.run(), "host", pid())?;
            vault.prune(&lease, &[], &options, &CancelToken::new(), &NoProgress)?;
        }
        Ok(())
    }
}

/// Whether a backup needs an object, or is it.
fn needs(stored: &StoredHead, key: &str) -> bool {
    let head = &stored.head;
    let packs = head.packs.iter().map(|pack| pack.sha256.to_string());
    let index = head
        .index
        .iter()
        .map(|part| format!("/index/{}.age", part.name));
    stored.key == key
        || key.ends_with(&format!("{}.manifest.age", head.backup))
        || packs.chain(index).any(|part| key.contains(&part))
}
