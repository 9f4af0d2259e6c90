//! The simulated world: stores, hosts, sources, and what must be restorable.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use resguardo_model::{BackupId, FileKind, RunId, SourceName};
use resguardo_store::{MemoryStore, Store};
use resguardo_vault::{
    Access, Identities, Settings, SnapshotWriter, Vault, WriteKey, generate_identity,
};
use ulid::Ulid;

use crate::Anything;
use crate::chance::Chance;
use crate::time::Clocks;
use crate::trouble::Reach;

/// Bytes of a page.
pub(crate) const PAGE: usize = 512;
const BEGIN: &str = "2026-01-01T02:00:00Z";
/// How long dead objects wait.
pub(crate) const GRACE: SignedDuration = SignedDuration::from_hours(24);

/// Path to content; a path that ends in `.pages` is a page file.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// A machine with its own write key, cache and clock.
pub(crate) struct Host {
    pub(crate) write_key: String,
    pub(crate) cache: tempfile::TempDir,
}

/// A database.
pub(crate) struct Source {
    pub(crate) name: SourceName,
    pub(crate) files: Files,
    /// A lying store was in the way of a backup: two heads of one number are its fault.
    pub(crate) was_lied_to: bool,
}

/// What is known of a backup that was begun.
pub(crate) struct Attempt {
    pub(crate) source: usize,
    pub(crate) files: Arc<Files>,
    pub(crate) fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was said to stand: it must be there.
    Stands,
    /// Its author failed or died: it is whole, or not there.
    Perhaps,
    /// A prune was to take it away, and may have.
    Doomed,
}

/// A backup whose process was stopped before its commit, and may go on at any time.
pub(crate) struct Suspended {
    pub(crate) writer: SnapshotWriter,
    pub(crate) backup: BackupId,
    pub(crate) taken_at: Timestamp,
}

/// What happened, so that it can be seen that something did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) backups_removed: usize,
    pub(crate) objects_deleted: u64,
    pub(crate) backups_copied: usize,
    pub(crate) restored: u64,
}

/// Everything.
pub(crate) struct World {
    pub(crate) chance: Chance,
    pub(crate) clocks: Clocks,
    pub(crate) primary: MemoryStore,
    pub(crate) copies: Vec<MemoryStore>,
    pub(crate) hosts: Vec<Host>,
    pub(crate) sources: Vec<Source>,
    pub(crate) attempts: BTreeMap<BackupId, Attempt>,
    /// Which copies hold which backups, for sure.
    pub(crate) copied: Vec<BTreeSet<BackupId>>,
    pub(crate) suspended: Option<Suspended>,
    pub(crate) journal: Vec<String>,
    pub(crate) tally: Tally,
    /// What stores do in this life. In every other one they keep their contract, so that nothing excuses
    /// a finding or an object that stays for ever.
    pub(crate) reach: Reach,
    identity: String,
    auditor: tempfile::TempDir,
}

impl World {
    pub(crate) fn new(seed: u64) -> Result<Self, Anything> {
        let mut chance = Chance::new(seed);
        let hosts = 1 + chance.index(2);
        let clocks = Clocks::at(BEGIN.parse()?, hosts);
        let primary = MemoryStore::with_clock(Arc::new(clocks.stores.clone()));
        let (identity, recipient) = generate_identity(clocks.now());
        let config = Vault::create(&primary, vec![recipient.clone()], &clocks.stores)?;
        let mut keys = Vec::new();
        for _ in 0..hosts {
            keys.push(WriteKey::generate(
                config.vault,
                vec![recipient.clone()],
                clocks.now(),
            )?);
        }
        let writers: Vec<_> = keys.iter().map(WriteKey::writer).collect();
        for key in &mut keys {
            for writer in &writers {
                key.trust(*writer)?;
            }
        }
        let hosts = keys.iter().map(|key| {
            Ok(Host {
                write_key: key.to_json().to_string(),
                cache: tempfile::tempdir()?,
            })
        });
        let hosts = hosts.collect::<Result<Vec<_>, Anything>>()?;
        let copies = 1 + chance.index(2);
        let mut sources = Vec::new();
        for number in 0..2 + chance.index(3) {
            sources.push(Source {
                name: format!("shop-{number}").parse()?,
                files: Files::new(),
                was_lied_to: false,
            });
        }
        Ok(Self {
            copies: (0..copies)
                .map(|_| MemoryStore::with_clock(Arc::new(clocks.stores.clone())))
                .collect(),
            copied: vec![BTreeSet::new(); copies],
            chance,
            clocks,
            primary,
            hosts,
            sources,
            attempts: BTreeMap::new(),
            suspended: None,
            journal: Vec::new(),
            tally: Tally::default(),
            reach: if seed.is_multiple_of(2) {
                Reach::Anything
            } else {
                Reach::Honest
            },
            identity: identity.to_string(),
            auditor: tempfile::tempdir()?,
        })
    }

    /// A new id of this time.
    pub(crate) fn id(&mut self) -> Ulid {
        let milliseconds = u64::try_from(self.clocks.now().as_millisecond()).unwrap_or(0);
        Ulid::from_parts(milliseconds, u128::from(self.chance.number()))
    }

    pub(crate) fn run(&mut self) -> RunId {
        RunId(self.id())
    }

    /// The vault over `store` as a host has it open. `reads`: with the identity as well.
    pub(crate) fn open(
        &self,
        host: usize,
        store: Arc<dyn Store>,
        reads: bool,
    ) -> Result<Vault, Anything> {
        let access = self.access(host, reads)?;
        Ok(Vault::open(store, access, self.settings(host))?)
    }

    pub(crate) fn access(&self, host: usize, reads: bool) -> Result<Access, Anything> {
        let identities = match reads {
            true => Some(Identities::parse(self.identity.as_bytes(), None)?),
            false => None,
        };
        Ok(Access {
            write_key: Some(WriteKey::from_json(&self.hosts[host].write_key)?),
            identities,
            ..Access::default()
        })
    }

    pub(crate) fn settings(&self, host: usize) -> Settings {
        Settings {
            clock: Arc::new(self.clocks.hosts[host].clone()),
            cache: self.hosts[host].cache.path().to_owned(),
            threads: 1,
            compression_level: 1,
            prune_grace: GRACE,
        }
    }

    /// Settings of somebody who looks at it from outside and remembers nothing.
    pub(crate) fn auditing(&self) -> Settings {
        Settings {
            clock: Arc::new(self.clocks.stores.clone()),
            cache: self.auditor.path().to_owned(),
            ..self.settings(0)
        }
    }

    /// The database goes on: pages change, tables grow and shrink, files come and go.
    pub(crate) fn change(&mut self, source: usize) {
        let chance = &mut self.chance;
        let files = &mut self.sources[source].files;
        if files.is_empty() || chance.one_in(12) {
            let number = chance.below(3);
            let pages = chance.index(90);
            files.insert(format!("table-{number}.pages"), chance.bytes(pages * PAGE));
        }
        if files.len() > 1 && chance.one_in(20) {
            let path = files.keys().nth(chance.index(files.len())).cloned();
            files.remove(&path.unwrap_or_default());
        }
        let log = files.entry("log".to_owned()).or_default();
        if log.len() > 60_000 {
            log.drain(..30_000);
        }
        let rows = chance.index(2_000);
        log.extend(chance.bytes(rows));
        for (_, content) in files
            .iter_mut()
            .filter(|(path, _)| path.ends_with(".pages"))
        {
            for _ in 0..chance.below(4) {
                let pages = content.len() / PAGE;
                if pages == 0 || chance.one_in(5) {
                    content.extend(chance.bytes(PAGE));
                } else {
                    let from = chance.index(pages) * PAGE;
                    let page = chance.bytes(PAGE);
                    content[from..from + PAGE].copy_from_slice(&page);
                }
            }
            if chance.one_in(25) {
                content.truncate(content.len() / PAGE / 2 * PAGE);
            }
        }
    }

    pub(crate) fn note(&mut self, what: String) {
        let now = self.clocks.now();
        self.journal.push(format!("{now} {what}"));
    }
}

/// How a file is cut.
pub(crate) fn kind_of(path: &str) -> FileKind {
    if path.ends_with(".pages") {
        let page_bytes = u32::try_from(PAGE).expect("512");
        FileKind::Pages { page_bytes }
    } else {
        FileKind::Stream
    }
}
