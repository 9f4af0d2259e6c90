//! The simulated world: stores, hosts, sources, and what must be restorable.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use resguardo_model::{BackupId, FileKind, RunId, SourceName};
use resguardo_store::{Key, MemoryStore, Store};
use resguardo_vault::{
    Access, Identities, RecipientChange, Settings, SnapshotWriter, Vault, WriteKey,
    generate_identity,
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

impl Host {
    pub(crate) fn key(&self) -> Result<WriteKey, Anything> {
        Ok(WriteKey::from_json(&self.write_key)?)
    }
}

/// Somebody who may read, or could once.
pub(crate) struct Reader {
    pub(crate) identity: String,
    pub(crate) recipient: String,
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
    /// Who has to be able to open it: the recipients when it was begun.
    pub(crate) readers: BTreeSet<usize>,
    /// Who was given further headers of it, in the vault.
    pub(crate) given: BTreeSet<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was said to stand: it must be there.
    Stands,
    /// Its author failed or died: it is whole, or not there.
    Perhaps,
    /// A prune was to take it away, and may have.
    Doomed,
    /// The vault was lost, and no copy that it was made again from had it.
    Lost,
    /// Somebody took it with the key of a writer that was retired: it counts for nothing.
    Stolen,
}

/// What happened to the objects that a backup needs at a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Harm {
    /// One is gone, or has another size.
    Lost,
    /// One has other bytes of the same size.
    Changed,
}

/// A backup whose process was stopped before its commit, and may go on at any time.
pub(crate) struct Suspended {
    pub(crate) writer: SnapshotWriter,
    pub(crate) backup: BackupId,
    pub(crate) taken_at: Timestamp,
    /// Backups that a prune was told to take away while it was frozen.
    pub(crate) gone: Arc<Mutex<Vec<BackupId>>>,
    /// No key was rotated since it began.
    pub(crate) is_known: Arc<AtomicBool>,
}

/// Declares [`Tally`]: each number with its words.
macro_rules! tally {
    ($($field:ident: $kind:ty, $words:literal;)*) => {
        #[derive(Clone, Copy, Debug, Default)]
        pub(crate) struct Tally {
            $(pub(crate) $field: $kind,)*
        }

        impl std::ops::Add for Tally {
            type Output = Self;

            fn add(self, other: Self) -> Self {
                Self {
                    $($field: self.$field + other.$field,)*
                }
            }
        }

        impl std::fmt::Display for Tally {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let all = [$(format!(concat!("{} ", $words), self.$field),)*];
                f.write_str(&all.join(", "))
            }
        }
    };
}

// What happened, so that it can be seen that something did. A fault is a call of a store that something went wrong
// with; a crash is a process that died in the midst, with all its further calls.
tally! {
    lives: u64, "lives";
    days: i64, "days";
    steps: u64, "steps";
    backups_begun: usize, "backups begun";
    backups_stood: usize, "stood";
    backups_removed: usize, "pruned";
    objects_deleted: u64, "objects deleted";
    backups_copied: usize, "copied";
    left_out: usize, "left out at copies";
    restored: u64, "restored and compared";
    faults: u64, "faults";
    crashes: u64, "crashes";
    recipients_changed: u64, "changes of recipients";
    old_backups_given: u64, "times old backups given";
    keys_rotated: u64, "keys rotated";
    writers_retired: u64, "writers retired";
    thefts: u64, "backups by thieves";
    objects_harmed: u64, "objects harmed at copies";
    vaults_rebuilt: u64, "vaults rebuilt";
    rebuilt_from_several: u64, "of them from several copies";
    pinned_in_prunes: u64, "pins during prunes that held";
    refused_in_prunes: u64, "that were refused";
    settled: u64, "records settled";
    not_settled: u64, "left as they were";
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
    /// Backups at copies that lack something.
    pub(crate) harmed: Vec<BTreeMap<BackupId, Harm>>,
    /// Objects at copies that were changed, with what they are now. A copy does not read again what lies there
    /// with the right size, unless it mends.
    pub(crate) spoilt: Vec<BTreeMap<Key, Bytes>>,
    /// Backups that are pinned in the vault, for sure, and those that somebody began to pin or to unpin.
    pub(crate) pinned: BTreeMap<BackupId, bool>,
    /// Everybody who was ever a recipient.
    pub(crate) readers: Vec<Reader>,
    /// A change of recipients that was begun and is not known on every host.
    pub(crate) pending: Option<RecipientChange>,
    /// Write keys of writers that were retired, in the wrong hands.
    pub(crate) stolen: Vec<Host>,
    /// The vault was made again from one of several copies: two backups may have one number.
    pub(crate) was_rebuilt: bool,
    /// The vault was made again from copies that lacked something: index objects, which no backup needs, may be lost.
    pub(crate) indexes_lost: bool,
    pub(crate) suspended: Option<Suspended>,
    pub(crate) journal: Vec<String>,
    pub(crate) tally: Tally,
    /// What stores do in this life. In every other one they keep their contract, so that nothing excuses
    /// a finding or an object that stays for ever.
    pub(crate) reach: Reach,
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
            harmed: vec![BTreeMap::new(); copies],
            spoilt: vec![BTreeMap::new(); copies],
            pinned: BTreeMap::new(),
            readers: vec![Reader {
                identity: identity.to_string(),
                recipient,
            }],
            pending: None,
            stolen: Vec::new(),
            was_rebuilt: false,
            indexes_lost: false,
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
        Ok(Vault::open_to_read(store, access, self.settings(host))?)
    }

    pub(crate) fn access(&self, host: usize, reads: bool) -> Result<Access, Anything> {
        let everybody = 0..self.readers.len();
        let identities = match reads {
            true => Some(self.identities(everybody)?),
            false => None,
        };
        Ok(Access {
            write_key: Some(self.hosts[host].key()?),
            identities,
            ..Access::default()
        })
    }

    /// The identities of some readers.
    pub(crate) fn identities(
        &self,
        readers: impl IntoIterator<Item = usize>,
    ) -> Result<Identities, Anything> {
        let file: String = readers
            .into_iter()
            .map(|reader| format!("{}\n", self.readers[reader].identity))
            .collect();
        Ok(Identities::parse(file.as_bytes(), None)?)
    }

    /// The readers that a host seals to.
    pub(crate) fn readers_of(&self, host: usize) -> Result<BTreeSet<usize>, Anything> {
        let key = self.hosts[host].key()?;
        let all = self.readers.iter().enumerate();
        Ok(all
            .filter(|(_, reader)| key.recipients().contains(&reader.recipient))
            .map(|(number, _)| number)
            .collect())
    }

    /// Counts what went wrong in a step that is over.
    pub(crate) fn count(&mut self, kills: bool, struck: &AtomicU64) {
        let struck = struck.load(Ordering::SeqCst);
        // A dead process's further calls are one fault.
        self.tally.faults += if kills { struck.min(1) } else { struck };
        self.tally.crashes += u64::from(kills && struck > 0);
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
