//! Who is believed, changed: write keys are rotated, writers retired, and their keys stolen.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use resguardo_model::{BackupId, CancelToken, Clock as _, Sha256Digest, WriterId};
use resguardo_store::Store;
use resguardo_vault::{Access, CopyPlace, Vault, VaultError, WriteKey};

use crate::Anything;
use crate::act::{description, not_refused, pid, write};
use crate::trouble::Trouble;
use crate::world::{Attempt, Fate, Host, World};

impl World {
    /// A host gets a new key, or is given up for a new machine.
    pub(crate) fn change_writers(&mut self, host: usize) -> Result<(), Anything> {
        if self.pending.is_some() {
            return Ok(());
        }
        match self.hosts.len() > 1 && self.chance.one_in(3) {
            true => self.replace_host(host),
            false => self.rotate(host),
        }
    }

    /// As `keys rotate writer` does it; the other hosts are told at once.
    fn rotate(&mut self, host: usize) -> Result<(), Anything> {
        let trouble = Trouble::draw_death(&mut self.chance);
        let (kills, struck, word) = (trouble.kills, trouble.struck(), trouble.word.clone());
        let store = trouble.around(&self.primary, &self.clocks);
        let old = self.hosts[host].key()?;
        let next = self.successor(host, store, &old);
        self.count(kills, &struck);
        let ended = match next {
            Ok((next, known)) => {
                self.hosts[host].write_key = next.to_json().to_string();
                self.tell_of_writer(host, (old.writer(), next.writer()), &known)?;
                if let Some(suspended) = &self.suspended {
                    suspended.is_known.store(false, Ordering::SeqCst);
                }
                self.tally.keys_rotated += 1;
                "done".to_owned()
            }
            Err(error) => error.to_string(),
        };
        self.note(format!("host {host} rotates its key, {word}: {ended}"));
        Ok(())
    }

    fn successor(
        &mut self,
        host: usize,
        store: Arc<dyn Store>,
        old: &WriteKey,
    ) -> Result<(WriteKey, BTreeSet<Sha256Digest>), VaultError> {
        let run = self.run();
        let vault = self.open(host, store, false).map_err(not_refused)?;
        let leases = self
            .sources
            .iter()
            .map(|source| vault.acquire_lease(&source.name, run, "host", pid()))
            .collect::<Result<Vec<_>, _>>()?;
        let known = self.signed_everywhere(&vault, old.writer())?;
        let next = old.successor(known.clone(), self.clocks.hosts[host].now())?;
        drop(leases);
        Ok((next, known))
    }

    /// What a writer signed, in the vault and at its copies.
    fn signed_everywhere(
        &self,
        vault: &Vault,
        writer: WriterId,
    ) -> Result<BTreeSet<Sha256Digest>, VaultError> {
        let mut known = vault.signed_by(writer, None)?;
        for copy in &self.copies {
            match vault.copy_at(&CopyPlace::new("copy", Arc::new(copy.clone()))) {
                Ok(copy) => known.extend(copy.signed_by(writer, None)?),
                Err(VaultError::NotAVault { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(known)
    }

    /// Every other host believes the new writer, and of the old one what is known.
    fn tell_of_writer(
        &mut self,
        told: usize,
        (old, new): (WriterId, WriterId),
        known: &BTreeSet<Sha256Digest>,
    ) -> Result<(), Anything> {
        for host in (0..self.hosts.len()).filter(|host| *host != told) {
            let mut key = self.hosts[host].key()?;
            let now = self.clocks.hosts[host].now();
            key.trust(new)?;
            key.retire_writer(old, known.clone(), now)?;
            self.hosts[host].write_key = key.to_json().to_string();
        }
        Ok(())
    }

    /// A machine was taken over: its writer is retired, its key is in the wrong hands, and a new machine with
    /// a key and a cache of its own takes its place.
    fn replace_host(&mut self, host: usize) -> Result<(), Anything> {
        let victim = self.hosts[host].key()?;
        let other = (host + 1) % self.hosts.len();
        let vault = self.open(other, Arc::new(self.primary.clone()), false)?;
        let known = self.signed_everywhere(&vault, victim.writer())?;
        let trusted = self.hosts[other].key()?;
        let now = self.clocks.hosts[host].now();
        let recipients = trusted.recipients().to_vec();
        let mut new = WriteKey::generate(trusted.vault(), recipients, now)?;
        for retired in trusted.retired_writers() {
            new.trust(retired.writer)?;
            new.retire_writer(retired.writer, retired.known.clone(), now)?;
        }
        for writer in trusted.trusted_writers() {
            new.trust(*writer)?;
        }
        new.retire_writer(victim.writer(), known.clone(), now)?;
        self.tell_of_writer(host, (victim.writer(), new.writer()), &known)?;
        let machine = Host {
            write_key: new.to_json().to_string(),
            cache: tempfile::tempdir()?,
        };
        let taken_over = std::mem::replace(&mut self.hosts[host], machine);
        self.stolen.push(taken_over);
        // Its process that was stopped is the thief's as well.
        drop(self.suspended.take());
        self.tally.writers_retired += 1;
        self.note(format!(
            "host {host} was taken over, and is another machine now"
        ));
        Ok(())
    }

    /// Whoever holds a retired writer's key takes a backup with it. Nobody believes it, and nothing of it is
    /// ever built upon.
    pub(crate) fn steal(&mut self, source: usize) -> Result<(), Anything> {
        if self.stolen.is_empty() {
            return Ok(());
        }
        let thief = self.chance.index(self.stolen.len());
        let thief = &self.stolen[thief];
        let settings = resguardo_vault::Settings {
            cache: thief.cache.path().to_owned(),
            ..self.settings(0)
        };
        let access = Access {
            write_key: Some(thief.key()?),
            ..Access::default()
        };
        let store: Arc<dyn Store> = Arc::new(self.primary.clone());
        let vault = Vault::open_to_read(store, access, settings)?;
        let (backup, run) = (BackupId(self.id()), self.run());
        let name = self.sources[source].name.clone();
        let files = Arc::new(self.sources[source].files.clone());
        let ended = vault
            .acquire_lease(&name, run, "elsewhere", pid())
            .and_then(|lease| vault.begin_snapshot(lease, backup, &CancelToken::new()))
            .and_then(|writer| {
                write(&writer, &files)?;
                writer.commit(description(self.clocks.now()))
            });
        let ended = match ended {
            Ok(_) => {
                self.tally.thefts += 1;
                let attempt = Attempt {
                    source,
                    files,
                    fate: Fate::Stolen,
                    readers: BTreeSet::new(),
                    given: BTreeSet::new(),
                };
                self.attempts.insert(backup, attempt);
                "stored".to_owned()
            }
            Err(error) => error.to_string(),
        };
        self.note(format!("a thief backs up {name} as {backup}: {ended}"));
        Ok(())
    }
}
