//! `list`: which backups there are, and which of them are proven.

use std::collections::HashMap;

use jiff::Timestamp;
use resguardo_model::{BackupId, EngineKind, Finding, Reason, SourceName, Verdict, WriterId};

use resguardo_vault::{Pins, SourceSpace, Space, StoredHead, StoredPin};

use crate::context::Context;
use crate::copy::KnownCopies;
use crate::error::OpsError;
use crate::history::{self, Drills};

/// The backups of a vault.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// Sorted by source and time, the newest last.
    pub backups: Vec<ListedBackup>,
    /// What the backups of each source take, by name.
    pub space: Vec<SourceSpace>,
    /// What is wrong with heads and pins; `receipts list` and `verify` tell what is wrong with receipts.
    pub findings: Vec<Finding>,
}

/// One backup.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedBackup {
    /// Its id.
    pub id: BackupId,
    /// Its source.
    pub source: SourceName,
    /// The kind of source.
    pub engine: EngineKind,
    /// The instant whose data it holds.
    pub taken_at: Timestamp,
    /// When it was committed.
    pub finished_at: Timestamp,
    /// Why it was taken.
    pub reason: Reason,
    /// Size of the data that it restores, in bytes.
    pub raw_bytes: u64,
    /// Bytes that it added to the vault.
    pub stored_bytes: u64,
    /// Whoever signed it.
    pub writer: WriterId,
    /// Whether this host trusts the writer.
    pub trusted: bool,
    /// When a drill of it last passed.
    pub proven_at: Option<Timestamp>,
    /// Its last drill.
    pub last_drill: Option<LastDrill>,
    /// The note that was kept with it; may be empty.
    pub note: String,
    /// The commit of the application that ran on the data; may be empty.
    pub commit: String,
    /// The newest migration of the data, where there are any.
    pub migration: Option<String>,
    /// The database's name on its server; empty where there is no server, or it was not told.
    pub database: String,
    /// Where it is stored; the vault is the first.
    pub copies: Vec<String>,
    /// What the copies that hold it are called.
    pub copy_names: Vec<String>,
    /// Places of copies where it was found to be damaged, and was not put right since.
    pub damaged_at: Vec<String>,
    /// What these copies are called.
    pub damaged_names: Vec<String>,
    /// Somebody asked that it be kept.
    pub pin: Option<StoredPin>,
    /// What deleting it alone would free in the vault, in bytes.
    pub frees_bytes: u64,
}

impl ListedBackup {
    /// Adds the copies that hold it, whole or damaged.
    pub(crate) fn lies_at(&mut self, copies: &KnownCopies, stored: &StoredHead) {
        (self.damaged_at, self.damaged_names) = copies.damaged_at(stored).into_iter().unzip();
        for copied in copies.of(stored) {
            // Read from a copy, it is named already.
            if !self.copies.contains(&copied.place) {
                self.copies.push(copied.place.clone());
            }
            self.copy_names.push(copied.name.clone());
        }
    }
}

/// The last drill of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastDrill {
    /// When it ended.
    pub at: Timestamp,
    /// How it ended.
    pub verdict: Verdict,
}

/// Lists the backups of one source or of all. Needs no key.
///
/// # Errors
/// If there is no vault, or it cannot be read.
pub fn list(ctx: &Context, source: Option<&SourceName>) -> Result<Listed, OpsError> {
    let heads = history::heads(ctx, None)?;
    let sources = history::sources_of(&heads.heads);
    let drills = history::drills(ctx, &sources)?;
    let copies = history::copies(ctx, &sources)?;
    let store = ctx.vault()?.store().describe();
    let pins = ctx
        .vault()?
        .pins(source)
        .map_err(OpsError::vault("reading the pins of the vault"))?;
    let space = Space::of(&heads.heads);
    let frees = frees_of(&space);
    let wanted = |named: Option<&SourceName>| source.is_none_or(|source| named == Some(source));
    let mut backups: Vec<_> = heads
        .heads
        .iter()
        .filter(|stored| wanted(Some(&stored.head.source)))
        .map(|stored| {
            let mut line = line(stored, drills.get(&stored.head.backup), &store);
            line.lies_at(&copies, stored);
            let frees = frees.get(&line.id).copied().unwrap_or(0);
            with_keeping(line, &pins, frees)
        })
        .collect();
    backups.sort_by(|a, b| (&a.source, a.taken_at, a.id).cmp(&(&b.source, b.taken_at, b.id)));
    let mut findings = heads.findings;
    findings.extend(pins.findings);
    findings.retain(|finding| wanted(finding.source.as_ref()));
    let mut space = space.sources;
    space.retain(|one| wanted(Some(&one.source)));
    Ok(Listed {
        backups,
        space,
        findings,
    })
}

/// What deleting each backup alone would free, in bytes.
pub(crate) fn frees_of(space: &Space) -> HashMap<BackupId, u64> {
    let backups = space.backups.iter();
    backups.map(|one| (one.backup, one.frees_bytes)).collect()
}

/// With what keeps it, and what it takes.
pub(crate) fn with_keeping(backup: ListedBackup, pins: &Pins, frees_bytes: u64) -> ListedBackup {
    let pin = pins.pins.iter().find(|pin| pin.backup == backup.id);
    ListedBackup {
        pin: pin.cloned(),
        frees_bytes,
        ..backup
    }
}

/// One backup's line. A head whose writer is not trusted is proven by nothing.
pub(crate) fn line(stored: &StoredHead, drills: Option<&Drills>, store: &str) -> ListedBackup {
    let head = &stored.head;
    let drills = drills
        .cloned()
        .filter(|_| stored.trusted)
        .unwrap_or_default();
    let (note, commit, migration, database) = drills
        .told
        .map(|told| (told.note, told.commit, told.migration, told.database))
        .unwrap_or_default();
    ListedBackup {
        id: head.backup,
        source: head.source.clone(),
        engine: head.engine,
        taken_at: head.taken_at,
        finished_at: head.finished_at,
        reason: head.reason.clone(),
        raw_bytes: head.raw_bytes,
        stored_bytes: head.stored_bytes,
        writer: head.writer,
        trusted: stored.trusted,
        proven_at: drills.proven_at,
        last_drill: drills.last,
        note,
        commit,
        migration,
        database,
        copies: vec![store.to_owned()],
        copy_names: Vec::new(),
        damaged_at: Vec::new(),
        damaged_names: Vec::new(),
        pin: None,
        frees_bytes: 0,
    }
}
