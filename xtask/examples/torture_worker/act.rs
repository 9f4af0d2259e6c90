//! What happens in a step, and what the model makes of how it ended.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use resguardo_model::retention::{self, Candidate, Policy, Tier};
use resguardo_model::{
    BackupId, CancelToken, EngineKind, NoProgress, Reason, Sha256Digest, SourceFacts, SourceName,
};
use resguardo_store::Store as _;
use resguardo_vault::{
    CopyPlace, Depth, Description, Lease, PinDraft, PruneOptions, Selection, SnapshotWriter,
    StoredHead, SyncRequest, Vault, VaultError,
};

use crate::Anything;
use crate::judge;
use crate::trouble::{Reach, Trouble};
use crate::world::{Attempt, Fate, Files, Harm, Suspended, World, kind_of};

/// The pid of a process that lives as long as the simulation: leases lapse by the store's clock alone.
pub(crate) fn pid() -> u32 {
    std::process::id()
}

impl World {
    /// One step of a simulated life.
    pub(crate) fn step(&mut self) -> Result<(), Anything> {
        self.pass_time();
        let source = self.chance.index(self.sources.len());
        let host = self.chance.index(self.hosts.len());
        self.tally.steps += 1;
        let act = self.chance.below(46);
        self.act(act, host, source)
            .map_err(|error| format!("act {act}: {error}"))?;
        judge::after_step(self, host, source)
    }

    fn act(&mut self, act: u64, host: usize, source: usize) -> Result<(), Anything> {
        match act {
            0..=15 => self.back_up(host, source),
            16..=21 => self.prune(host, source),
            22..=27 => self.sync(host, source),
            28..=29 => self.prune_copy(host, source),
            30..=31 => self.verify(host),
            32..=33 => self.lose_cache(host),
            34..=35 => self.pin(host, source),
            36..=37 => self.go_on(),
            38 => self.change_recipients(host),
            39 => self.give_old_backups(host, source),
            40 => self.change_writers(host),
            41 => self.steal(source),
            42 => self.harm_copy(source),
            43..=44 => self.settle_record(host, source),
            _ => self.lose_primary(host),
        }
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
        let (kills, lies, struck) = (trouble.kills, trouble.lies, trouble.struck());
        let files = Arc::new(self.sources[source].files.clone());
        let attempt = Attempt {
            source,
            files: Arc::clone(&files),
            fate: Fate::Perhaps,
            readers: self.readers_of(host)?,
            given: BTreeSet::new(),
        };
        self.attempts.insert(backup, attempt);
        self.sources[source].was_lied_to |= lies;
        let suspend = !kills && self.suspended.is_none() && self.chance.one_in(8);
        let taken_at = resguardo_model::Clock::now(&self.clocks.hosts[host]);
        let gone: Arc<Mutex<Vec<BackupId>>> = Arc::default();
        let is_known = Arc::new(AtomicBool::new(true));
        let meanwhile =
            self.pruned_meanwhile(host, source, Arc::clone(&gone), Arc::clone(&is_known))?;
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
                    gone: Arc::clone(&gone),
                    is_known,
                });
                "stopped before its commit".to_owned()
            }
            Ok(writer) => self.ended(backup, writer.commit(description(taken_at))),
            Err(error) => format!("{error}"),
        };
        self.count(kills, &struck);
        self.doom_all(&gone)?;
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
        is_known: Arc<AtomicBool>,
    ) -> Result<impl Fn() + Send + Sync + 'static, Anything> {
        let vault = self.open(host, Arc::new(self.primary.clone()), false)?;
        let name = self.sources[source].name.clone();
        let runs = [self.run(), self.run()];
        let clocks = self.clocks.clone();
        Ok(move || {
            for run in runs {
                // No process begins with a key that was rotated.
                if !is_known.load(Ordering::SeqCst) {
                    return;
                }
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
                gone,
                is_known: _,
            } = suspended;
            let ended = writer.commit(description(taken_at));
            self.doom_all(&gone)?;
            let ended = self.ended(backup, ended);
            self.note(format!("{backup} goes on: {ended}"));
        }
        Ok(())
    }

    fn prune(&mut self, host: usize, source: usize) -> Result<(), Anything> {
        let trouble = Trouble::draw(&mut self.chance, self.reach);
        let (word, kills, struck) = (trouble.word.clone(), trouble.kills, trouble.struck());
        let name = self.sources[source].name.clone();
        let run = self.run();
        let store = trouble.around(&self.primary, &self.clocks);
        let (store, pinned) = self.pinned_meanwhile(host, source, store)?;
        let done = self
            .open(host, store, false)
            .map_err(not_refused)
            .and_then(|vault| {
                let lease = vault.acquire_lease(&name, run, "host", pid())?;
                let doomed = doomed(&vault, &lease, 3)?;
                doomed.iter().for_each(|backup| self.doom(*backup));
                let options = PruneOptions::default();
                vault.prune(&lease, &doomed, &options, &CancelToken::new(), &NoProgress)
            });
        self.count(kills, &struck);
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
        self.mind_pinned(source, &pinned)
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
        let kills = here.kills || there.kills;
        let (struck_here, struck_there) = (here.struck(), there.struck());
        let name = self.sources[source].name.clone();
        let run = self.run();
        let mend = self.chance.one_in(5);
        let unwanted = match self.chance.one_in(3) {
            true => self.unwanted(host, source)?,
            false => BTreeSet::new(),
        };
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
                    unwanted: &unwanted,
                };
                vault.sync(&at_copy, &request, &CancelToken::new(), &NoProgress)
            });
        self.count(kills, &struck_here);
        self.count(kills, &struck_there);
        let ended = match done {
            Ok(done) => {
                let held = done.compared.held.iter().map(|one| one.backup);
                let harmed = &mut self.harmed[copy];
                for backup in held {
                    if mend || harmed.get(&backup) == Some(&Harm::Lost) {
                        harmed.remove(&backup);
                    }
                    if !harmed.contains_key(&backup) {
                        self.copied[copy].insert(backup);
                    }
                }
                self.tally.backups_copied += done.sent.len();
                self.tally.left_out += done.unwanted.len();
                self.mind_spoilt(source, copy)?;
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
        let (word, kills, struck) = (trouble.word.clone(), trouble.kills, trouble.struck());
        let name = self.sources[source].name.clone();
        let run = self.run();
        let store = trouble.around(&self.copies[copy], &self.clocks);
        let opened = self.open(host, Arc::new(self.primary.clone()), false)?;
        let done = opened
            .copy_at(&CopyPlace::new("copy", store))
            .and_then(|vault| {
                let lease = vault.acquire_lease(&name, run, "host", pid())?;
                // As the product does it: the pins of the vault come first.
                let records = SyncRequest {
                    source: &name,
                    run,
                    host: "host",
                    pid: pid(),
                    mend: false,
                    unwanted: &BTreeSet::new(),
                };
                opened.send_records(&vault, &lease, &records, &CancelToken::new(), &NoProgress)?;
                let doomed = doomed(&vault, &lease, 6)?;
                for backup in &doomed {
                    if !self.is_pinned(*backup) {
                        self.copied[copy].remove(backup);
                    }
                }
                let options = PruneOptions::default();
                vault.prune(&lease, &doomed, &options, &CancelToken::new(), &NoProgress)
            });
        self.count(kills, &struck);
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
        let (kills, struck) = (trouble.kills, trouble.struck());
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
        let found = Vault::open_to_read(store, access, settings).and_then(|vault| {
            vault.verify(&Selection::All, depth, &CancelToken::new(), &NoProgress)
        });
        self.count(kills, &struck);
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

    /// Somebody pins a backup, or takes its pin away.
    fn pin(&mut self, host: usize, source: usize) -> Result<(), Anything> {
        let trouble = Trouble::draw_death(&mut self.chance);
        let (kills, struck) = (trouble.kills, trouble.struck());
        let name = self.sources[source].name.clone();
        let vault = self.open(host, trouble.around(&self.primary, &self.clocks), false);
        let heads = vault
            .as_ref()
            .ok()
            .and_then(|vault| vault.heads(Some(&name)).ok());
        let heads = heads.map(|heads| heads.heads).unwrap_or_default();
        let trusted: Vec<&StoredHead> = heads.iter().filter(|one| one.trusted).collect();
        let (Ok(vault), false) = (vault, trusted.is_empty()) else {
            self.count(kills, &struck);
            return Ok(());
        };
        let backup = self.chance.pick(&trusted).head.backup;
        let run = self.run();
        let was_pinned = self.pinned.contains_key(&backup);
        // Until it is known to be pinned, nobody relies on it.
        self.pinned.insert(backup, false);
        let done = match was_pinned {
            true => vault.remove_pin(&name, backup).map(|_| ()),
            false => vault.pin(&draft(name, backup), run, pid()).map(|_| ()),
        };
        self.count(kills, &struck);
        match &done {
            Ok(()) if was_pinned => {
                self.pinned.remove(&backup);
            }
            Ok(()) => {
                self.pinned.insert(backup, true);
                // What a prune that died was to take away stays from now on, if it is there.
                let is_there = self.primary.stat(&trusted_key(&heads, backup)).is_ok();
                if let Some(attempt) = self.attempts.get_mut(&backup).filter(|_| is_there) {
                    attempt.fate = Fate::Stands;
                }
            }
            Err(_) => {}
        }
        let ended = done.map_or_else(|error| error.to_string(), |()| "done".to_owned());
        let word = if was_pinned { "unpinned" } else { "pinned" };
        self.note(format!("{backup} is {word}: {ended}"));
        Ok(())
    }

    pub(crate) fn is_pinned(&self, backup: BackupId) -> bool {
        self.pinned.get(&backup) == Some(&true)
    }

    /// A prune was told to take a backup away. A pin keeps it all the same.
    fn doom(&mut self, backup: BackupId) {
        if self.is_pinned(backup) {
            return;
        }
        if let Some(attempt) = self.attempts.get_mut(&backup) {
            attempt.fate = Fate::Doomed;
        }
    }

    fn doom_all(&mut self, gone: &Mutex<Vec<BackupId>>) -> Result<(), Anything> {
        let gone = std::mem::take(&mut *gone.lock().map_err(|_| "a prune panicked")?);
        gone.into_iter().for_each(|backup| self.doom(backup));
        Ok(())
    }

    /// What a copy's own policy would not keep of what the vault holds.
    fn unwanted(&self, host: usize, source: usize) -> Result<BTreeSet<BackupId>, Anything> {
        let name = &self.sources[source].name;
        let vault = self.open(host, Arc::new(self.primary.clone()), false)?;
        Ok(let_go(&vault, name, 2)?.into_iter().collect())
    }
}

pub(crate) fn draft(source: SourceName, backup: BackupId) -> PinDraft {
    PinDraft {
        source,
        backup,
        reason: "the auditor asked".to_owned(),
        until: None,
        operator: "ana".to_owned(),
        host: "host".to_owned(),
    }
}

fn trusted_key(heads: &[StoredHead], backup: BackupId) -> resguardo_store::Key {
    let stored = heads.iter().find(|one| one.head.backup == backup);
    let key = stored.expect("it was picked from them").key.parse();
    key.expect("the key of a head is one")
}

/// Opening a vault fails like everything else on a bad day.
pub(crate) fn not_refused(error: Anything) -> VaultError {
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

/// What the policy lets go of, as the product would ask it. Pins are the vault's to respect.
pub(crate) fn doomed(
    vault: &Vault,
    lease: &Lease,
    daily: u32,
) -> Result<Vec<BackupId>, VaultError> {
    let_go(vault, lease.source(), daily)
}

fn let_go(vault: &Vault, source: &SourceName, daily: u32) -> Result<Vec<BackupId>, VaultError> {
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
    let heads = vault.heads(Some(source))?.heads;
    let candidates: Vec<Candidate> = heads.iter().map(candidate).collect();
    let newest = heads.iter().map(|stored| stored.head.taken_at).max();
    let now = newest.unwrap_or(Timestamp::UNIX_EPOCH);
    let plan = retention::plan(&policy, &candidates, now);
    Ok(plan.deleted().map(|decision| decision.id).collect())
}

pub(crate) fn description(taken_at: Timestamp) -> Description {
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
