//! After each step: what must be restorable is, byte for byte; what is wrong is what a lying store left.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::sync::Arc;

use resguardo_model::{BackupId, CancelToken, Finding, FindingKind, NoProgress};
use resguardo_store::Store as _;
use resguardo_vault::{CopyPlace, Depth, PruneOptions, Selection, StoredHead, Vault, VaultError};

use crate::Anything;
use crate::world::{Fate, World};

/// What the simulation found wrong.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Wrong(pub(crate) String);

/// A backup that does not restore.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Damaged(String);

fn wrong<T>(what: String) -> Result<T, Anything> {
    Err(Wrong(what).into())
}

/// Looks at the source that the step was about, as its host sees it.
pub(crate) fn after_step(world: &mut World, host: usize, source: usize) -> Result<(), Anything> {
    let name = world.sources[source].name.clone();
    let vault = world.open(host, Arc::new(world.primary.clone()), true)?;
    let listed = vault.heads(Some(&name))?;
    only_what_a_liar_left(world, &listed.findings)?;
    all_that_stand(world, source, &listed.heads)?;
    let heads: Vec<StoredHead> = listed.heads.into_iter().filter(|one| one.trusted).collect();
    if !heads.is_empty() {
        let stored = world.chance.pick(&heads).clone();
        restores(world, &vault, &stored)?;
        // The newest one by whoever is to open it, with that identity alone.
        let newest = &heads[heads.len() - 1];
        let stored = if world.chance.one_in(2) {
            newest.clone()
        } else {
            stored
        };
        opens_to_its_readers(world, &stored)?;
    }
    let copy = world.chance.index(world.copies.len());
    at_copy(world, host, source, copy)
}

/// Whoever was a recipient when the backup was begun, or was given it, opens it without anybody else's identity.
fn opens_to_its_readers(world: &mut World, stored: &StoredHead) -> Result<(), Anything> {
    let Some(attempt) = world.attempts.get(&stored.head.backup) else {
        return wrong(format!("nobody took {}", stored.head.backup));
    };
    let readers: Vec<usize> = attempt.readers.union(&attempt.given).copied().collect();
    let reader = *world.chance.pick(&readers);
    let access = resguardo_vault::Access {
        identities: Some(world.identities([reader])?),
        ..world.access(0, false)?
    };
    let store = Arc::new(world.primary.clone());
    let vault = Vault::open_to_read(store, access, world.auditing())?;
    let whose = world.readers[reader].recipient.clone();
    restores(world, &vault, stored).map_err(|error| Wrong(format!("{whose}: {error}")).into())
}

/// Every backup that was said to stand is there, and nothing is there that nobody took.
fn all_that_stand(world: &World, source: usize, heads: &[StoredHead]) -> Result<(), Anything> {
    let there: BTreeSet<BackupId> = heads.iter().map(|stored| stored.head.backup).collect();
    for (backup, attempt) in &world.attempts {
        let stands = attempt.source == source && attempt.fate == Fate::Stands;
        if stands && !there.contains(backup) {
            return wrong(format!("{backup} was said to stand, and is gone"));
        }
    }
    for stored in heads {
        let backup = stored.head.backup;
        let taken = world.attempts.get(&backup);
        let Some(attempt) = taken.filter(|one| one.source == source) else {
            return wrong(format!("nobody took {backup}"));
        };
        if stored.trusted == (attempt.fate == Fate::Stolen) {
            return wrong(format!("{backup} is believed: {}", stored.trusted));
        }
    }
    Ok(())
}

/// The backup gives back what it was given.
fn restores(world: &mut World, vault: &Vault, stored: &StoredHead) -> Result<(), Anything> {
    let backup = stored.head.backup;
    let told =
        |error: &dyn std::fmt::Display| Damaged(format!("{backup} does not restore: {error}"));
    let Some(attempt) = world.attempts.get(&backup) else {
        return wrong(format!("nobody took {backup}"));
    };
    let snapshot = vault.open_snapshot(stored).map_err(|error| told(&error))?;
    if snapshot.manifest().files.len() != attempt.files.len() {
        return wrong(format!("{backup} has other files than it was given"));
    }
    world.tally.restored += 1;
    for (path, content) in attempt.files.iter() {
        let mut read = Vec::new();
        snapshot
            .open_stream(&path.parse()?)
            .map_err(|error| told(&error))?
            .read_to_end(&mut read)
            .map_err(|error| told(&error))?;
        if read != *content {
            return wrong(format!("{backup}: {path} comes back other than it was"));
        }
    }
    Ok(())
}

/// What a copy was said to hold it holds, and it restores from there.
fn at_copy(world: &mut World, host: usize, source: usize, copy: usize) -> Result<(), Anything> {
    let name = world.sources[source].name.clone();
    let Some(vault) = open_copy(world, host, copy)? else {
        return Ok(());
    };
    let heads = vault.heads(Some(&name))?.heads;
    let there: BTreeSet<BackupId> = heads.iter().map(|stored| stored.head.backup).collect();
    for backup in &world.copied[copy] {
        let of_source = world
            .attempts
            .get(backup)
            .is_some_and(|one| one.source == source);
        if of_source && !there.contains(backup) {
            return wrong(format!(
                "copy {copy} was said to hold {backup}, and does not"
            ));
        }
    }
    if !heads.is_empty() {
        let stored = world.chance.pick(&heads).clone();
        restores_at_copy(world, &vault, &stored, copy)?;
    }
    Ok(())
}

/// A backup at a copy that lacks something restores, or is an error: never anything else than it was.
fn restores_at_copy(
    world: &mut World,
    vault: &Vault,
    stored: &StoredHead,
    copy: usize,
) -> Result<(), Anything> {
    let is_harmed = world.harmed[copy].contains_key(&stored.head.backup);
    match restores(world, vault, stored) {
        Err(error) if is_harmed && error.is::<Damaged>() => Ok(()),
        other => other,
    }
}

pub(crate) fn open_copy(
    world: &World,
    host: usize,
    copy: usize,
) -> Result<Option<Vault>, Anything> {
    let store = Arc::new(world.copies[copy].clone());
    match Vault::open_copy(store, world.access(host, true)?, world.auditing()) {
        Ok(vault) => Ok(Some(vault)),
        Err(VaultError::NotAVault { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Findings are of sources whose backups a lying store was in the way of, and are of order alone.
pub(crate) fn only_what_a_liar_left(world: &World, findings: &[Finding]) -> Result<(), Anything> {
    for finding in findings {
        let of_thief = finding.kind == FindingKind::WriterRetired && world.tally.thefts > 0;
        let forked = finding.kind == FindingKind::HeadForked && world.was_rebuilt;
        let index = finding.kind == FindingKind::IndexMissing && world.indexes_lost;
        if of_thief || forked || index {
            continue;
        }
        let lied_to = world
            .sources
            .iter()
            .any(|one| finding.source.as_ref() == Some(&one.name) && one.was_lied_to);
        let of_order = [
            FindingKind::HeadForked,
            FindingKind::HeadMissing,
            FindingKind::HeadChanged,
        ];
        if !lied_to || !of_order.contains(&finding.kind) {
            return wrong(format!("{:?}: {}", finding.kind, finding.message));
        }
    }
    Ok(())
}

/// All of it, everywhere: bytes verified, everything restored, as somebody from outside does it.
pub(crate) fn everything(world: &mut World) -> Result<(), Anything> {
    let primary = Vault::open_to_read(
        Arc::new(world.primary.clone()),
        world.access(0, true)?,
        world.auditing(),
    )?;
    let mut vaults = vec![(None, primary)];
    for copy in 0..world.copies.len() {
        vaults.extend(open_copy(world, 0, copy)?.map(|vault| (Some(copy), vault)));
    }
    for (copy, vault) in &vaults {
        let found = vault.verify(
            &Selection::All,
            Depth::Bytes,
            &CancelToken::new(),
            &NoProgress,
        )?;
        // A copy lacks what came and went between two synchronisations, which nobody there explains.
        if copy.is_none() {
            only_what_a_liar_left(world, &found.findings)?;
        }
        let is_known = |finding: &&Finding| {
            let harmed = copy.map(|copy| &world.harmed[copy]);
            let of_harm = |backup| harmed.is_some_and(|harmed| harmed.contains_key(backup));
            let of_order = [FindingKind::HeadChanged, FindingKind::WriterRetired];
            of_order.contains(&finding.kind) || finding.backups_hit.iter().all(of_harm)
        };
        if let Some(finding) = found.findings.iter().find(|one| !is_known(one)) {
            return wrong(format!("{:?}: {}", finding.kind, finding.message));
        }
        let heads = vault.heads(None)?.heads;
        for stored in heads.iter().filter(|stored| stored.trusted) {
            match copy {
                Some(copy) => restores_at_copy(world, vault, stored, *copy)?,
                None => {
                    restores(world, vault, stored)?;
                    opens_to_its_readers(world, stored)?;
                }
            }
        }
    }
    Ok(())
}

/// In the end: after two prunes and a grace between them, each store holds what heads name, and no more.
pub(crate) fn nothing_dead_stays(world: &mut World) -> Result<(), Anything> {
    drop(world.suspended.take());
    world.settle()?;
    for _ in 0..3 {
        world.clocks.pass(25 * 3600);
        for source in 0..world.sources.len() {
            let name = world.sources[source].name.clone();
            let vault = world.open(0, Arc::new(world.primary.clone()), false)?;
            sweep(world, &vault, &name)?;
            for copy in world.copies.clone() {
                let place = CopyPlace::new("copy", Arc::new(copy));
                // Whoever changed recipients told the copies, or does so now.
                match vault.refresh_copy(&place) {
                    Ok(_) => sweep(world, &vault.copy_at(&place)?, &name)?,
                    Err(VaultError::NotAVault { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
    let vault = world.open(0, Arc::new(world.primary.clone()), true)?;
    for source in &world.sources {
        if !source.was_lied_to {
            only_named(world, &vault, source)?;
        }
    }
    Ok(())
}

fn sweep(
    world: &mut World,
    vault: &Vault,
    source: &resguardo_model::SourceName,
) -> Result<(), Anything> {
    let run = world.run();
    let lease = vault.acquire_lease(source, run, "host", std::process::id())?;
    let options = PruneOptions::default();
    vault.prune(&lease, &[], &options, &CancelToken::new(), &NoProgress)?;
    Ok(())
}

fn only_named(world: &World, vault: &Vault, source: &crate::world::Source) -> Result<(), Anything> {
    let (store, name) = (&world.primary, &source.name);
    let mut named = BTreeSet::new();
    for stored in vault.heads(Some(name))?.heads {
        let head = stored.head;
        named.insert(format!("{name}/snapshots/{}.manifest.age", head.backup));
        named.insert(stored.key);
        let packs = head.packs.iter();
        named.extend(packs.map(|pack| format!("{name}/packs/{}.age", pack.sha256)));
        let index = head.index.iter();
        named.extend(index.map(|part| format!("{name}/index/{}.age", part.name)));
    }
    for info in store.list(name.as_str())? {
        let folder = info.key.as_str().split('/').nth(1).unwrap_or_default();
        let by_heads = ["packs", "index", "snapshots", "tombstones"].contains(&folder);
        if by_heads && !named.contains(info.key.as_str()) {
            return wrong(format!("{} is dead, and stays for ever", info.key));
        }
        named.remove(info.key.as_str());
    }
    let is_index = |key: &String| key.contains("/index/");
    named.retain(|key| !(world.indexes_lost && is_index(key)));
    match named.first() {
        Some(missing) => wrong(format!("{missing} is missing")),
        None => Ok(()),
    }
}
