//! The heads of a vault, as much of them as standings are made of: some two hundred bytes of each.
//!
//! Kept for as long as the process lives, so that a look without news reads none of them again. What this process
//! writes of a source makes that source stale; what another process writes makes all of it so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use resguardo_model::{Sha256Digest, SourceName, VaultId, WriterId};
use resguardo_vault::{Numbered, Space, StoredHead};

use super::BackupFact;

/// A head. Whether its writer is trusted is not kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadFact {
    pub(crate) backup: BackupFact,
    pub(crate) sequence: u64,
    pub(crate) writer: WriterId,
    pub(crate) sha256: Sha256Digest,
}

impl HeadFact {
    pub(crate) fn numbered(&self) -> Numbered {
        Numbered {
            sequence: self.sequence,
            backup: self.backup.id,
        }
    }
}

/// The heads of one source.
#[derive(Clone, Debug, Default)]
pub(crate) struct SourceHeads {
    /// By the instant whose data they hold.
    pub(crate) heads: Vec<HeadFact>,
    /// What they need in the vault, in bytes.
    pub(crate) stored_bytes: u64,
}

impl SourceHeads {
    /// Of all heads of one source.
    pub(crate) fn of(heads: &[StoredHead]) -> Self {
        let facts = heads.iter().map(|stored| HeadFact {
            backup: BackupFact::of(stored),
            sequence: stored.head.sequence,
            writer: stored.head.writer,
            sha256: stored.sha256,
        });
        let mut facts: Vec<HeadFact> = facts.collect();
        facts.sort_by_key(|fact| (fact.backup.taken_at, fact.backup.id));
        let space = Space::of(heads).sources;
        Self {
            heads: facts,
            stored_bytes: space.iter().map(|one| one.stored_bytes).sum(),
        }
    }
}

/// The heads of all sources of a vault.
pub(crate) type Sources = BTreeMap<SourceName, Arc<SourceHeads>>;

/// What was read of the catalog's heads.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    /// How often heads were written: what was read meanwhile may be from before.
    writes: u64,
    read: Option<Read>,
}

#[derive(Debug)]
struct Read {
    vault: VaultId,
    /// Of the catalog, when it was read.
    version: i64,
    sources: Sources,
    stale: BTreeSet<SourceName>,
}

/// What was read before, and what of it is to be read again.
#[derive(Debug)]
pub(crate) struct Before {
    pub(crate) sources: Sources,
    pub(crate) stale: Stale,
    writes: u64,
}

/// What is to be read again.
#[derive(Debug)]
pub(crate) enum Stale {
    Everything,
    These(BTreeSet<SourceName>),
}

impl Seen {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was read of a vault before, where the catalog has this version.
    pub(crate) fn before(&self, vault: VaultId, version: i64) -> Before {
        let held = self.held();
        let (sources, stale) = match &held.read {
            Some(read) if (read.vault, read.version) == (vault, version) => {
                (read.sources.clone(), Stale::These(read.stale.clone()))
            }
            _ => (Sources::new(), Stale::Everything),
        };
        Before {
            sources,
            stale,
            writes: held.writes,
        }
    }

    /// All that was stale was read. Where somebody wrote meanwhile, it is not believed.
    pub(crate) fn put(&self, vault: VaultId, version: i64, read: &Before) {
        let mut held = self.held();
        if held.writes == read.writes {
            held.read = Some(Read {
                vault,
                version,
                sources: read.sources.clone(),
                stale: BTreeSet::new(),
            });
        }
    }

    /// Heads of a source were written.
    pub(crate) fn changed(&self, source: &SourceName) {
        let mut held = self.held();
        held.writes += 1;
        if let Some(read) = &mut held.read {
            read.stale.insert(source.clone());
        }
    }

    /// All of them may be otherwise.
    pub(crate) fn forget(&self) {
        let mut held = self.held();
        held.writes += 1;
        held.read = None;
    }
}
