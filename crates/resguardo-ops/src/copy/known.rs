//! What is known of copies without asking them: their newest receipts.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::Timestamp;
use resguardo_model::receipt::Statement;
use resguardo_model::{SourceName, WriterId};
use resguardo_vault::{Compared, StoredHead};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Sequences;
use crate::context::Context;
use crate::error::OpsError;
use crate::history;

/// What a receipt says of a copy: what it held of a source when the run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Copied {
    pub(crate) source: SourceName,
    /// What the copy is called.
    #[serde(default)]
    pub(crate) name: String,
    /// The copy's store.
    pub(crate) place: String,
    pub(crate) at: Timestamp,
    /// The receipt's place in its writer's chain: tells which of two of the same instant is the later.
    pub(crate) sequence: u64,
    pub(crate) holds: Sequences,
    /// Backups that are not to be there: pruned there, or never wanted.
    pub(crate) left_out: Sequences,
}

impl Copied {
    /// Of a receipt that says what a copy holds.
    pub(crate) fn of(statement: &Statement) -> Option<Self> {
        let predicate = &statement.predicate;
        let text = |name: &str| predicate.details.get(name).and_then(Value::as_str);
        let set = |name: &str| {
            let value = predicate.details.get(name)?;
            serde_json::from_value::<Sequences>(value.clone()).ok()
        };
        Some(Self {
            source: predicate.source.clone(),
            name: text("copy").unwrap_or_default().to_owned(),
            place: text("place")?.to_owned(),
            at: predicate.finished_at,
            sequence: predicate.sequence,
            holds: set("holds")?,
            left_out: set("left_out").unwrap_or_default(),
        })
    }

    /// Whether it tells where every backup is that the copy holds, and that it pruned the others.
    pub(super) fn covers(&self, found: &Compared) -> bool {
        let (mut held, mut pruned) = (found.held.iter(), found.pruned.iter());
        held.all(|one| self.holds.contains(one.sequence))
            && pruned.all(|one| {
                self.left_out.contains(one.sequence) && !self.holds.contains(one.sequence)
            })
    }
}

/// The newest that is known of each source at each place.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownCopies(BTreeMap<(SourceName, String), Copied>);

impl KnownCopies {
    /// What receipts of trusted writers say, of those that lie in the vault now.
    pub(crate) fn read(ctx: &Context, there: &HashSet<String>) -> Result<Self, OpsError> {
        let vault = ctx.vault()?;
        let mut known = Self::default();
        for (key, writer, sha256, copied) in ctx.catalog.copied(vault.id())? {
            let _: WriterId = writer;
            if there.contains(&key) && vault.trusts(writer, &sha256) {
                known.add(copied);
            }
        }
        Ok(known)
    }

    fn add(&mut self, copied: Copied) {
        let key = (copied.source.clone(), copied.place.clone());
        let is_newer = |old: &Copied| (old.at, old.sequence) < (copied.at, copied.sequence);
        if self.0.get(&key).is_none_or(is_newer) {
            self.0.insert(key, copied);
        }
    }

    /// The copies that hold a backup.
    pub(crate) fn of(&self, stored: &StoredHead) -> impl Iterator<Item = &Copied> {
        let (source, sequence) = (stored.head.source.clone(), stored.head.sequence);
        let of_source = self.0.values();
        of_source.filter(move |copied| copied.source == source && copied.holds.contains(sequence))
    }

    pub(crate) fn at(&self, source: &SourceName, place: &str) -> Option<&Copied> {
        self.0.get(&(source.clone(), place.to_owned()))
    }

    /// Whether any source was ever sent there.
    pub(crate) fn knows(&self, place: &str) -> bool {
        let mut all = self.0.values();
        all.any(|copied| copied.place == place && !copied.holds.is_empty())
    }
}

/// How far a copy is behind with one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behind {
    /// The source.
    pub source: SourceName,
    /// Backups that it has to get.
    pub backups: u64,
    /// Of all that it should have.
    pub of: u64,
    /// The instant of the newest backup that it holds; `None`: none is known to be there.
    pub newest: Option<Timestamp>,
    /// When it was last seen whole or filled, by a receipt.
    pub synced_at: Option<Timestamp>,
}

/// How far the copy at `place` is behind, by receipts alone: the copy is not asked.
///
/// # Errors
/// If the vault cannot be read.
pub fn behind(ctx: &Context, place: &str) -> Result<Vec<Behind>, OpsError> {
    let heads = history::heads(ctx, None)?.heads;
    let sources = history::sources_of(&heads);
    let known = history::copies(ctx, &sources)?;
    Ok(sources
        .iter()
        .map(|source| behind_with(source, &heads, known.at(source, place)))
        .collect())
}

/// How far one copy is behind with one source, by what its newest receipt says.
pub(crate) fn behind_with(
    source: &SourceName,
    heads: &[StoredHead],
    known: Option<&Copied>,
) -> Behind {
    let of_source = || {
        let trusted = heads.iter().filter(|stored| stored.trusted);
        trusted.filter(|stored| stored.head.source == *source)
    };
    let holds = |stored: &&StoredHead| {
        known.is_some_and(|copied| copied.holds.contains(stored.head.sequence))
    };
    let is_left_out = |stored: &&StoredHead| {
        known.is_some_and(|copied| copied.left_out.contains(stored.head.sequence))
    };
    let wanted = of_source().filter(|stored| holds(stored) || !is_left_out(stored));
    let of = wanted.count() as u64;
    let held: Vec<_> = of_source().filter(holds).collect();
    Behind {
        source: source.clone(),
        backups: of - held.len() as u64,
        of,
        newest: held.iter().map(|stored| stored.head.taken_at).max(),
        synced_at: known.map(|copied| copied.at),
    }
}

/// The keys of the receipts of these sources that lie in the vault now.
pub(crate) fn receipts_there(
    ctx: &Context,
    sources: &BTreeSet<SourceName>,
) -> Result<HashSet<String>, OpsError> {
    let vault = ctx.vault()?;
    let mut there = HashSet::new();
    for source in sources {
        let listed = vault
            .store()
            .list(&format!("{source}/receipts"))
            .map_err(|error| {
                OpsError::vault(format!("listing the receipts of {source}"))(error.into())
            })?;
        there.extend(listed.into_iter().map(|info| info.key.to_string()));
    }
    Ok(there)
}
