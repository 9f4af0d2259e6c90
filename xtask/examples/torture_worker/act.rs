//! What happens in a step, and what the model makes of how it ended.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use resguardo_model::retention::{self, Candidate, Policy, Tier};
use resguardo_model::{
    BackupId, CancelToken, EngineKind, NoProgress, Reason, Sha256Digest, SourceFacts,
};
use resguardo_vault::{
    CopyPlace, Depth, Description, Lease, PinDraft, PruneOptions, Selection, SnapshotWriter,
    StoredHead, SyncRequest, Vault, VaultError,
};

use crate::Anything;
use crate::judge;
use crate::trouble::{Reach, Trouble};
use crate::world::{Attempt, Fate, Files, Suspended, World, kind_of};

/// The pid of a process that lives as long as the simulation: leases lapse by the store's clock alone.
fn pid() -> u32 {
    std::process::id()
}

impl World {
    /// One step of a simulated life.
    pub(crate) fn step(&mut self) -> Result<(), Anything> {
        self.pass_time();
        let source = self.chance.index(self.sources.len());
        let host = self.chance.index(self.hosts.len());
        match self.chance.below(20) {
            0..=8 => self.back_up(host, source)?,
            9..=11 => self.prune(host, source)?,
            12..=14 => self.sync(host, source)?,
            15 => self.prune_copy(host, source)?,
            16 => self.verify(host)?,
            17 => self.lose_cache(host)?,
            18 => self.pin(host, source)?,
            _ => self.go_on()?,
        }
        judge::after_step(self, host, source)
    }

    /// Minutes to two days; now and then somebody sets a clock wrong.
    fn pass_time(&mut self) {
        let minutes = *self.chance.pick(&[1, 7, 30, 180, 360, 1440, 2880]);
        self.clocks.pass(minutes * 60 + self.chance.below(60));
        let host = self.chance.index(self.hosts.len());
        let wrong = match self.chance.below(30) {
            0 => SignedDuration::from_hours(-1),
            1 => SignedDuration::from_hours(24),
            2..=4 => SignedDuration::ZERO,
            _ => return,
        };
        self.clocks.set_wrong(host, wrong);
        self.note(format!("the clock of host {host} is {wrong:#} off"));
    }

    fn back_up(&mut self, host: usize, source: usize) -> Result<(), Anything> {
        self.change(source);
        let trouble = Trouble::draw(&mut self.chance, self.reach);
        let backup = BackupId(self.id());
        let run = self.run();
        let name = self.sources[source].name.clone();
        let word = trouble.word.clone();
        let (kills, lies) = (trouble.kills, trouble.lies);
        let files = Arc::new(self.sources[source].files.clone());
        let attempt = Attempt {
            source,
            files: Arc::clone(&files),
            fate: Fate::Perhaps,
        };
        self.attempts.insert(backup, attempt);
        self.sources[source].was_lied_to |= lies;
        let suspend = !kills && self.suspended.is_none() && self.chance.one_in(8);
        let taken_at = resguardo_model::Clock::now(&self.clocks.hosts[host]);
        let gone: Arc<Mutex<Vec<BackupId>>> = Arc::default();
        let meanwhile = self.pruned_meanwhile(host, source, Arc::clone(&gone))?;
        let freezes = trouble.freezes;
        let store = trouble.around_while(&self.primary, &self.clocks, move || {
            if freezes {
                meanwhile();
            }
        });
        let begun = self
            .open(host, store, false)
            .map_err(not_refused)
            .and_then(|vault| {
                let lease = vault.acquire_lease(&name, run, "host", pid())?;
                let writer = vault.begin_snapshot(lease, backup, &CancelToken::new())?;
                write(&writer, &files)?;
                Ok(writer)
            });
        let ended = match begun {
            Ok(writer) if suspend => {
                self.suspended = Some(Suspended {
                    writer,
                    backup,
                    taken_at,
                });
                "stopped before its commit".to_owned()
            }
            Ok(writer) => self.ended(backup, writer.commit(description(taken_at))),
            Err(error) => format!("{error}"),
        };
        for backup in gone.lock().map_err(|_| "a prune panicked")?.drain(..) {
            if let Some(attempt) = self.attempts.get_mut(&backup) {
                attempt.fate = Fate::Doomed;
            }
        }
        self.note(format!(
            "host {host} backs up {name} as {backup}, {word}: {ended}"
        ));
        Ok(())
    }

    /// What another process does with the source while a backup of it is frozen: it prunes twice, with the
    /// grace between, as if it had all the time in the world.
    fn pruned_meanwhile(
        &mut self,
        host: usize,
        source: usize,
        gone: Arc<Mutex<Vec<BackupId>>>,
    ) -> Result<impl Fn() + Send + Sync + 'static, Anything> {
        let vault = self.open(host, Arc::new(self.primary.clone()), false)?;
        let name = self.sources[source].name.clone();
        let runs = [self.run(), self.run()];
        let clocks = self.clocks.clone();
        Ok(move || {
            for run in runs {
                let Ok(lease) = vault.acquire_lease(&name, run, "host", pid()) else {
                    return;
                };
                let Ok(doomed) = doomed(&vault, &lease, 1) else {
                    return;
                };
                if let Ok(mut gone) = gone.lock() {
                    gone.extend(&doomed);
                }
                let options = PruneOptions::default();
                let _ = vault.prune(&lease, &doomed, &options, &CancelToken::new(), &NoProgress);
                drop(lease);
                clocks.pass(25 * 3600);
            }
        })
    }

    fn ended(
        &mut self,
        backup: BackupId,
        ended: Result<resguardo_vault::Committed, VaultError>,
    ) -> String {
        match ended {
            Ok(done) => {
                if let Some(attempt) = self.attempts.get_mut(&backup) {
                    attempt.fate = Fate::Stands;
                }
                format!("number {}", done.head.head.sequence)
            }
            Err(error) => error.to_string(),
        }
    }

    /// The process that was stopped goes on, whatever happened meanwhile.
    fn go_on(&mut self) -> Result<(), Anything> {
        if let Some(suspended) = self.suspended.take() {
            let Suspended {
                writer,
                backup,
                taken_at,
            } = suspended;
            let ended = writer.commit(description(taken_at));
            let ended = self.ended(backup, ended);
            self.note(format!("{backup} goes on: {ended}"));
        }
        Ok(())
    }

    fn prune(&mut self, host: usize, source: usize) -> Result<(), Anything> {
        let trouble = Trouble::draw(&mut self.chance, self.reach);
        let word = trouble.word.clone();
        let name = self.sources[source].name.clone();
        let run = self.run();
        let store = trouble.around(&self.primary, &self.clocks);
        let done = self
            .open(host, store, false)
            .map_err(not_refused)
            .and_then(|vault| {
                let lease = vault.acquire_lease(&name, run, "host", pid())?;
                let doomed = doomed(&vault, &lease, 3)?;
                for backup in &doomed {
                    if let Some(attempt) = self.attempts.get_mut(backup) {
                        attempt.fate = Fate::Doomed;
                    }
                }
                let options = PruneOptions::default();
                vault.prune(&lease, &doomed, &options, &CancelToken::new(), &NoProgress)
            });
        let ended = match done {
            Ok(done) => {
                self.tally.backups_removed += done.removed.len();
                self.tally.objects_deleted += done.deleted.objects;
                format!(
                    "{} backups removed, {} objects buried, {} deleted, {} findings",
                    done.removed.len(),
                    done.buried.objects,
                    done.deleted.objects,
                    done.unswept.len()
                )
            }
            Err(error) => error.to_string(),
        };
        self.note(format!("host {host} prunes {name}, {word}: {ended}"));
        Ok(())
    }

    fn sync(&mut self, host: usize, source: usize) -> Result<(), Anything> {
        let copy = self.chance.index(self.copies.len());
        let (here, there) = match self.chance.one_in(2) {
            true => (
                Trouble::draw(&mut self.chance, Reach::Honest),
                Trouble::none(),
            ),
            false => (
                Trouble::none(),
                Trouble::draw(&mut self.chance, Reach::Honest),
            ),
        };
        let word = format!("{} to {}", here.word, there.word);
        let name = self.sources[source].name.clone();
        let run = self.run();
        let mend = self.chance.one_in(5);
        let primary = here.around(&self.primary, &self.clocks);
        let place = CopyPlace::new("copy", there.around(&self.copies[copy], &self.clocks));
        let done = self
            .open(host, primary, false)
            .map_err(not_refused)
            .and_then(|vault| {
                let at_copy = vault.begin_copy(&place)?;
                let request = SyncRequest {
                    source: &name,
                    run,
                    host: "host",
                    pid: pid(),
                    mend,
                    unwanted: &BTreeSet::new(),
                };
                vault.sync(&at_copy, &request, &CancelToken::new(), &NoProgress)
            });
        let ended = match done {
            Ok(done) => {
                let held = done.compared.held.iter().map(|one| one.backup);
                self.copied[copy].extend(held);
                self.tally.backups_copied += done.sent.len();
                format!("{} sent, {:?}", done.sent.len(), done.compared.missing)
            }
            Err(error) => error.to_string(),
        };
        self.note(format!(
            "host {host} copies {name} to {copy}, {word}: {ended}"
        ));
        Ok(())
    }

    /// The copy prunes by a policy of its own: it keeps more.
    fn prune_copy(&mut self, host: usize, source: usize) -> Result<(), Anything> {
        let copy = self.chance.index(self.copies.len());
        let trouble = Trouble::draw(&mut self.chance, Reach::Honest);
        let word = trouble.word.clone();
        let name = self.sources[source].name.clone();
        let run = self.run();
        let store = trouble.around(&self.copies[copy], &self.clocks);
        let opened = self.open(host, Arc::new(self.primary.clone()), false)?;
        let done = opened
            .copy_at(&CopyPlace::new("copy", store))
            .and_then(|vault| {
                let lease = vault.acquire_lease(&name, run, "host", pid())?;
                let doomed = doomed(&vault, &lease, 6)?;
                for backup in &doomed {
                    self.copied[copy].remove(backup);
                }
                let options = PruneOptions::default();
                vault.prune(&lease, &doomed, &options, &CancelToken::new(), &NoProgress)
            });
        let ended = match done {
            Ok(done) => format!("{} backups removed", done.removed.len()),
            Err(error) => error.to_string(),
        };
        self.note(format!(
            "host {host} prunes copy {copy} of {name}, {word}: {ended}"
        ));
        Ok(())
    }

    /// Whatever the store does, a verification ends, and finds nothing wrong unless the store lied.
    fn verify(&mut self, host: usize) -> Result<(), Anything> {
        let trouble = Trouble::draw(&mut self.chance, self.reach);
        let (word, lies) = (trouble.word.clone(), trouble.lies);
        let depth = *self
            .chance
            .pick(&[Depth::Heads, Depth::Structure, Depth::Bytes]);
        let store = trouble.around(&self.primary, &self.clocks);
        // Somebody else's machine: what a lying read makes it believe, it forgets.
        let access = self.access(host, true)?;
        let cache = tempfile::tempdir()?;
        let settings = resguardo_vault::Settings {
            cache: cache.path().to_owned(),
            ..self.settings(host)
        };
        let found = Vault::open(store, access, settings).and_then(|vault| {
            vault.verify(&Selection::All, depth, &CancelToken::new(), &NoProgress)
        });
        let ended = match found {
            Ok(found) => {
                if !lies {
                    judge::only_what_a_liar_left(self, &found.findings)?;
                }
                format!(
                    "{} whole, {} findings",
                    found.whole.len(),
                    found.findings.len()
                )
            }
            Err(error) => error.to_string(),
        };
        self.note(format!("host {host} verifies, {word}: {ended}"));
        Ok(())
    }

    fn lose_cache(&mut self, host: usize) -> Result<(), Anything> {
        for entry in std::fs::read_dir(self.hosts[host].cache.path())? {
            std::fs::remove_dir_all(entry?.path())?;
        }
        self.note(format!("host {host} loses its cache"));
        Ok(())
    }

    fn pin(&mut self, host: usize, source: usize) -> Result<(), Anything> {
        let name = self.sources[source].name.clone();
        let vault = self.open(host, Arc::new(self.primary.clone()), false)?;
        let heads = vault.heads(Some(&name))?.heads;
        if heads.is_empty() {
            return Ok(());
        }
        let backup = self.chance.pick(&heads).head.backup;
        if vault.remove_pin(&name, backup)? {
            self.note(format!("{backup} is unpinned"));
            return Ok(());
        }
        vault.put_pin(&PinDraft {
            source: name,
            backup,
            reason: "the auditor asked".to_owned(),
            until: None,
            operator: "ana".to_owned(),
            host: "host".to_owned(),
        })?;
        // What a prune that died was to take away stays from now on, if it is there.
        if let Some(attempt) = self.attempts.get_mut(&backup) {
            attempt.fate = Fate::Stands;
        }
        self.note(format!("{backup} is pinned"));
        Ok(())
    }
}

/// Opening a vault fails like everything else on a bad day.
fn not_refused(error: Anything) -> VaultError {
    match error.downcast::<VaultError>() {
        Ok(error) => *error,
        Err(other) => panic!("opening the vault: {other}"),
    }
}

pub(crate) fn write(writer: &SnapshotWriter, files: &Files) -> Result<(), VaultError> {
    for (path, content) in files {
        let path_in_vault = path.parse().expect("the simulation's paths are paths");
        let mut file = writer.open_file(&path_in_vault, kind_of(path))?;
        for portion in content.chunks(7_001) {
            file.write(portion)?;
        }
        file.finish()?;
    }
    Ok(())
}

/// What the policy lets go of, as the product would ask it.
fn doomed(vault: &Vault, lease: &Lease, daily: u32) -> Result<Vec<BackupId>, VaultError> {
    let policy = Policy {
        last: Some(2),
        ..Policy::floor(TimeZone::UTC)
            .with(Tier::Daily, daily)
            .with(Tier::Weekly, 2)
            .with(Tier::Monthly, 3)
    };
    let candidate = |stored: &StoredHead| Candidate {
        id: stored.head.backup,
        taken_at: stored.head.taken_at,
        sequence: stored.head.sequence,
        reason: stored.head.reason.clone(),
        trusted: stored.trusted,
        proven: false,
        failed_since: false,
        pin: None,
    };
    let heads = vault.heads(Some(lease.source()))?.heads;
    let candidates: Vec<Candidate> = heads.iter().map(candidate).collect();
    let newest = heads.iter().map(|stored| stored.head.taken_at).max();
    let now = newest.unwrap_or(Timestamp::UNIX_EPOCH);
    let plan = retention::plan(&policy, &candidates, now);
    let pinned = vault.pins(Some(lease.source()))?.pins;
    let is_pinned = |id: BackupId| pinned.iter().any(|pin| pin.backup == id);
    let gone = plan.deleted().map(|decision| decision.id);
    Ok(gone.filter(|id| !is_pinned(*id)).collect())
}

fn description(taken_at: Timestamp) -> Description {
    Description {
        engine: EngineKind::Sqlite,
        reason: Reason::manual(),
        note: String::new(),
        taken_at,
        started_at: taken_at,
        host: "host".to_owned(),
        operator: "ana".to_owned(),
        resguardo: env!("CARGO_PKG_VERSION").to_owned(),
        facts: SourceFacts {
            engine: EngineKind::Sqlite,
            server_version: "3".to_owned(),
            schema_sha256: Sha256Digest::of(b"schema"),
            tables: Vec::new(),
            details: std::collections::BTreeMap::new(),
        },
    }
}
