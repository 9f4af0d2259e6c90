//! What is known of copies without asking them: their newest receipts.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::Timestamp;
use resguardo_model::receipt::Statement;
use resguardo_model::{SourceName, WriterId};
use resguardo_vault::{Compared, Numbered, StoredHead};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Stretches;
use super::verified::{Looked, Verified};
use crate::context::Context;
use crate::error::OpsError;
use crate::history;

/// What a receipt says of a copy: what it held of a source when the run ended, or what was found wrong there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Copied {
    pub(crate) source: SourceName,
    /// What the copy is called; may be empty.
    pub(crate) name: String,
    /// The copy's store.
    pub(crate) place: String,
    pub(crate) at: Timestamp,
    /// The receipt's place in its writer's chain: tells which of two of the same instant is the later.
    pub(crate) sequence: u64,
    /// What it held; `None`: the run did not look at all of it.
    holdings: Option<Holdings>,
    /// What was read there.
    pub(super) looked: Option<Looked>,
}

/// Backups at a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Holdings {
    held: Stretches,
    /// Those that are not to be there: pruned there, or never wanted.
    left_out: Stretches,
}

impl Copied {
    /// Of a receipt that says something of a copy.
    pub(crate) fn of(statement: &Statement) -> Option<Self> {
        let predicate = &statement.predicate;
        let text = |name: &str| predicate.details.get(name).and_then(Value::as_str);
        let set = |name: &str| {
            let value = predicate.details.get(name)?;
            serde_json::from_value::<Stretches>(value.clone()).ok()
        };
        let holdings = set("holds").map(|held| Holdings {
            held,
            left_out: set("left_out").unwrap_or_default(),
        });
        let copied = Self {
            source: predicate.source.clone(),
            name: text("copy").unwrap_or_default().to_owned(),
            place: text("place")?.to_owned(),
            at: predicate.finished_at,
            sequence: predicate.sequence,
            holdings,
            looked: Looked::of(predicate),
        };
        (copied.holdings.is_some() || copied.looked.is_some()).then_some(copied)
    }

    pub(crate) fn holds(&self, one: &Numbered) -> bool {
        let holdings = self.holdings.as_ref();
        holdings.is_some_and(|holdings| holdings.held.contains(one))
    }

    fn left_out(&self, one: &Numbered) -> bool {
        let holdings = self.holdings.as_ref();
        holdings.is_some_and(|holdings| holdings.left_out.contains(one))
    }

    /// Whether it tells where every backup is that the copy holds, and that it pruned the others.
    pub(super) fn covers(&self, found: &Compared) -> bool {
        let (mut held, mut pruned) = (found.held.iter(), found.pruned.iter());
        held.all(|one| self.holds(one)) && pruned.all(|one| self.left_out(one) && !self.holds(one))
    }
}

/// The newest that is known of each source at each place.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownCopies {
    holding: BTreeMap<(SourceName, String), Copied>,
    verified: BTreeMap<(SourceName, String), Verified>,
}

impl KnownCopies {
    /// What receipts of trusted writers say, of those that lie in the vault now.
    pub(crate) fn read(ctx: &Context, there: &HashSet<String>) -> Result<Self, OpsError> {
        let vault = ctx.vault()?;
        let mut all = Vec::new();
        for (key, writer, sha256, copied) in ctx.catalog.copied(vault.id())? {
            let _: WriterId = writer;
            if there.contains(&key) && vault.trusts(writer, &sha256) {
                all.push(copied);
            }
        }
        all.sort_by_key(|copied: &Copied| (copied.at, copied.sequence));
        let mut known = Self::default();
        for copied in all {
            known.add(copied);
        }
        Ok(known)
    }

    /// One that is newer than all before.
    fn add(&mut self, copied: Copied) {
        let key = (copied.source.clone(), copied.place.clone());
        if let Some(looked) = &copied.looked {
            let verified = self.verified.entry(key.clone()).or_default();
            verified.add(copied.at, looked);
        }
        if copied.holdings.is_some() {
            self.holding.insert(key, copied);
        }
    }

    /// The copies that hold a backup.
    pub(crate) fn of(&self, stored: &StoredHead) -> impl Iterator<Item = &Copied> {
        let (source, one) = (stored.head.source.clone(), Numbered::of(stored));
        let of_source = self.holding.values();
        of_source.filter(move |copied| copied.source == source && copied.holds(&one))
    }

    pub(crate) fn at(&self, source: &SourceName, place: &str) -> Option<&Copied> {
        self.holding.get(&(source.clone(), place.to_owned()))
    }

    /// What was last verified of a source at a place.
    pub(crate) fn verified_at(&self, source: &SourceName, place: &str) -> Option<&Verified> {
        self.verified.get(&(source.clone(), place.to_owned()))
    }

    /// The places of copies at which a backup was found to be damaged, and was not put right since, with what
    /// the copies are called.
    pub(crate) fn damaged_at(&self, stored: &StoredHead) -> Vec<(String, String)> {
        let head = &stored.head;
        let hit = self
            .verified
            .iter()
            .filter(|((source, _), verified)| *source == head.source && verified.hits(head.backup));
        let named = hit.map(|((source, place), _)| {
            let name = self.at(source, place).map(|copied| copied.name.clone());
            (place.clone(), name.unwrap_or_default())
        });
        named.collect()
    }

    /// What is known of the copy of that name, or else of that place: a name outlives a move.
    pub(crate) fn named(&self, source: &SourceName, name: &str, place: &str) -> Option<&Copied> {
        let of_source = self
            .holding
            .values()
            .filter(|copied| copied.source == *source);
        let named = of_source.filter(|copied| copied.name == name);
        named
            .max_by_key(|copied| (copied.at, copied.sequence))
            .or_else(|| self.at(source, place))
    }

    /// Whether any source was ever sent there.
    pub(crate) fn knows(&self, place: &str) -> bool {
        let mut all = self.holding.values();
        all.any(|copied| {
            let holdings = copied.holdings.as_ref();
            copied.place == place && holdings.is_some_and(|holdings| !holdings.held.is_empty())
        })
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
    let trusted = heads.iter().filter(|stored| stored.trusted);
    let of_source = trusted.filter(|stored| stored.head.source == *source);
    let backups = of_source.map(|stored| (Numbered::of(stored), stored.head.taken_at));
    behind_of(source, backups, known)
}

/// As [`behind_with`], by the backups of trusted writers and the instants whose data they hold.
pub(crate) fn behind_of(
    source: &SourceName,
    backups: impl Iterator<Item = (Numbered, Timestamp)>,
    known: Option<&Copied>,
) -> Behind {
    let mut behind = Behind {
        source: source.clone(),
        backups: 0,
        of: 0,
        newest: None,
        synced_at: known.map(|copied| copied.at),
    };
    for (one, taken_at) in backups {
        if known.is_some_and(|copied| copied.holds(&one)) {
            behind.of += 1;
            behind.newest = behind.newest.max(Some(taken_at));
        } else if !known.is_some_and(|copied| copied.left_out(&one)) {
            behind.of += 1;
            behind.backups += 1;
        }
    }
    behind
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
