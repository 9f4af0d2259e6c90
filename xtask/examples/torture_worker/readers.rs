//! Who may read, changed: recipients come and go, and are given old backups.

use std::sync::Arc;

use resguardo_model::{BackupId, CancelToken, Clock as _, NoProgress};
use resguardo_store::Store;
use resguardo_vault::{RecipientChange, change_recipients, generate_identity};

use crate::Anything;
use crate::act::not_refused;
use crate::trouble::{Reach, Trouble};
use crate::world::{Fate, Reader, World};

/// Recipients at once.
const RECIPIENTS_MAX: usize = 3;

impl World {
    /// Somebody changes the recipients on one host, and then on every other. A change that was stopped is
    /// made again first: until then nothing is written.
    pub(crate) fn change_recipients(&mut self, host: usize) -> Result<(), Anything> {
        let change = match self.pending.take() {
            Some(change) => change,
            None => self.draw_change(host)?,
        };
        let trouble = Trouble::draw_death(&mut self.chance);
        let (kills, struck, word) = (trouble.kills, trouble.struck(), trouble.word.clone());
        let store = trouble.around(&self.primary, &self.clocks);
        let done = self.tell_hosts(&change, &store, host);
        self.count(kills, &struck);
        let ended = match &done {
            Ok(()) => "done".to_owned(),
            Err(error) => error.to_string(),
        };
        self.note(format!("{change:?} from host {host} on, {word}: {ended}"));
        match done {
            Ok(()) => self.tally.recipients_changed += 1,
            Err(_) => self.pending = Some(change),
        }
        Ok(())
    }

    fn draw_change(&mut self, host: usize) -> Result<RecipientChange, Anything> {
        let current: Vec<usize> = self.readers_of(host)?.into_iter().collect();
        let old = self.chance.pick(&current);
        let old = self.readers[*old].recipient.clone();
        let change = self.chance.below(3);
        if current.len() > 1 && (change == 0 || current.len() >= RECIPIENTS_MAX) {
            return Ok(RecipientChange::Retire(old));
        }
        // Now and then somebody who was one once.
        let former = (0..self.readers.len()).find(|reader| !current.contains(reader));
        let new = match former.filter(|_| self.chance.one_in(4)) {
            Some(former) => self.readers[former].recipient.clone(),
            None => {
                let (identity, recipient) = generate_identity(self.clocks.now());
                self.readers.push(Reader {
                    identity: identity.to_string(),
                    recipient: recipient.clone(),
                });
                recipient
            }
        };
        Ok(match change {
            1 => RecipientChange::Replace(new, old),
            _ => RecipientChange::Add(new),
        })
    }

    fn tell_hosts(
        &mut self,
        change: &RecipientChange,
        store: &Arc<dyn Store>,
        first: usize,
    ) -> Result<(), Anything> {
        let hosts = self.hosts.len();
        for host in (0..hosts).map(|number| (first + number) % hosts) {
            let mut key = self.hosts[host].key()?;
            let now = self.clocks.hosts[host].now();
            change_recipients(&**store, &mut key, change, now)?;
            self.hosts[host].write_key = key.to_json().to_string();
        }
        Ok(())
    }

    /// What was begun with keys is brought to its end.
    pub(crate) fn settle(&mut self) -> Result<(), Anything> {
        if let Some(change) = self.pending.take() {
            let store: Arc<dyn Store> = Arc::new(self.primary.clone());
            self.tell_hosts(&change, &store, 0)?;
            self.note(format!("{change:?} is known everywhere"));
        }
        Ok(())
    }

    /// A recipient is given what stands of a source.
    pub(crate) fn give_old_backups(&mut self, host: usize, source: usize) -> Result<(), Anything> {
        let current: Vec<usize> = self.readers_of(host)?.into_iter().collect();
        let reader = *self.chance.pick(&current);
        let recipients = [self.readers[reader].recipient.clone()];
        let name = self.sources[source].name.clone();
        let standing: Vec<BackupId> = self
            .attempts
            .iter()
            .filter(|(_, one)| one.source == source && one.fate == Fate::Stands)
            .map(|(backup, _)| *backup)
            .collect();
        let trouble = Trouble::draw(&mut self.chance, Reach::Honest);
        let (kills, struck, word) = (trouble.kills, trouble.struck(), trouble.word.clone());
        let store = trouble.around(&self.primary, &self.clocks);
        let given = self
            .open(host, store, true)
            .map_err(not_refused)
            .and_then(|vault| {
                vault.give_old_backups(&name, &recipients, &CancelToken::new(), &NoProgress)
            });
        self.count(kills, &struck);
        let ended = match given {
            Ok(given) => {
                for backup in standing {
                    if let Some(attempt) = self.attempts.get_mut(&backup) {
                        attempt.given.insert(reader);
                    }
                }
                self.tally.old_backups_given += u64::from(given.objects > 0);
                format!(
                    "{} objects, {} findings",
                    given.objects,
                    given.findings.len()
                )
            }
            Err(error) => error.to_string(),
        };
        self.note(format!("reader {reader} is given {name}, {word}: {ended}"));
        Ok(())
    }
}
