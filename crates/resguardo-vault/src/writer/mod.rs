//! Writing a snapshot: pieces, frames, packs, index, manifest, and last its head.
//!
//! Work flows through bounded queues, so memory does not grow with the source: blocks of 1 MiB on their
//! way to the workers, one pack being filled, and at most three sealed ones waiting for the store.
//! Nothing is committed before [`SnapshotWriter::commit`] writes the head; a writer that is dropped, a
//! file left unfinished, or any failure of any thread means that it never does.

mod commit;
mod failure;
mod file;
mod gather;
mod hasher;
mod ids;
mod packer;
mod pages;
mod pool;
mod resolve;
mod runs;
mod streams;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::Timestamp;
use resguardo_model::{
    BackupId, CancelToken, EngineKind, FileKind, FilePath, Reason, Sha256Digest, SourceFacts,
    SourceName,
};

use self::failure::Failure;
pub use self::file::FileWriter;
use self::file::{FreshPieces, WrittenFile};
use self::gather::Gather;
use self::ids::Spool;
use self::packer::Packer;
use self::pool::Pool;
use crate::bounded::Decoded;
use crate::error::VaultError;
use crate::head::{self, has_next};
use crate::heads::{Heads, RememberedHead, StoredHead};
use crate::layout;
use crate::lease::Lease;
use crate::map::{ApplyError, MapFile, PreviousMap, Rebuilder};
use crate::piece::ChunkKey;
use crate::prune::Holes;
use crate::recipients::sealed_to_all;
use crate::seal;
use crate::vault::Vault;
use resguardo_model::FindingKind;

/// What the manifest and head say of a backup beyond its bytes.
#[derive(Clone, Debug)]
pub struct Description {
    /// The kind of source.
    pub engine: EngineKind,
    /// Why it was taken.
    pub reason: Reason,
    /// A free word of whoever took it.
    pub note: String,
    /// The instant whose data it holds.
    pub taken_at: Timestamp,
    /// When the run began.
    pub started_at: Timestamp,
    /// The machine.
    pub host: String,
    /// The user.
    pub operator: String,
    /// Resguardo's version.
    pub resguardo: String,
    /// What is known of the data.
    pub facts: SourceFacts,
}

/// A backup that stands.
#[derive(Clone, Debug)]
pub struct Committed {
    /// Its head.
    pub head: StoredHead,
    /// Size of its files.
    pub raw_bytes: u64,
    /// Bytes that it added to the vault.
    pub stored_bytes: u64,
    /// Size of what was not in the vault before, uncompressed.
    pub new_raw_bytes: u64,
    /// Packs that it wrote.
    pub packs_written: u64,
    /// What a person should know.
    pub notes: Vec<String>,
}

const REBUILDING: &str = "rebuilding the page map in";

/// Workers, however many cores there are: each may add one frame to a pack that waits to be sealed.
const THREADS_MAX: usize = 16;

/// What the workers share.
struct Work {
    packer: Packer,
    failure: Arc<Failure>,
    chunk_key: ChunkKey,
    level: i32,
    previous: PreviousMap,
}

/// The workers and what they share; the pool is let go of first.
struct Pipeline {
    pool: Pool,
    work: Arc<Work>,
    threads: usize,
    cancel: CancelToken,
    cache: PathBuf,
    fresh_pieces: Mutex<FreshPieces>,
    /// Ids of pages and where they lie, until the end.
    spool: Arc<Spool>,
}

impl Pipeline {
    fn check(&self) -> Result<(), VaultError> {
        self.cancel.check()?;
        self.work.failure.check()
    }

    fn fresh_pieces(&self) -> MutexGuard<'_, FreshPieces> {
        self.fresh_pieces
            .lock()
            .expect("nothing panics under this lock")
    }
}

/// Writes one snapshot of one source, whose lease it holds.
pub struct SnapshotWriter {
    vault: Vault,
    backup: BackupId,
    pipeline: Pipeline,
    /// Let go of after the pipeline: nothing of this backup is written without it.
    lease: Lease,
    common: Mutex<Gather>,
    opened: Mutex<HashSet<FilePath>>,
    written: Mutex<Vec<WrittenFile>>,
    /// Number and digest of the newest head of the source, be it pruned or not, which the new one names
    /// as its predecessor.
    last: Option<(u64, Sha256Digest)>,
    /// The head whose map is compared with.
    base: Option<StoredHead>,
    /// Heads that this host wrote and that are gone.
    gone: Vec<RememberedHead>,
    cache: PathBuf,
    notes: Vec<String>,
}

impl SnapshotWriter {
    pub(crate) fn begin(
        vault: Vault,
        lease: Lease,
        backup: BackupId,
        cancel: &CancelToken,
    ) -> Result<Self, VaultError> {
        let key = vault.write_key()?;
        let source = lease.source().clone();
        let listed = vault.heads(Some(&source))?;
        let mut notes: Vec<String> = listed
            .findings
            .iter()
            .map(|finding| finding.message.clone())
            .collect();
        let pruned = vault.prune_records(&source)?.holes;
        let last = predecessor(&listed, &pruned, &source)?;
        // A safety backup may be of another file than the source's.
        let own = |stored: &&StoredHead| stored.head.writer == key.writer();
        let regular = |stored: &&StoredHead| own(stored) && stored.head.reason != Reason::safety();
        let heads = &listed.heads;
        let own = heads
            .iter()
            .rfind(regular)
            .or_else(|| heads.iter().rfind(own))
            .cloned();
        let gone = vault.gone_heads(&source, &listed.heads, &pruned);
        let cache = vault.cache_of(&source);
        let own = match own {
            Some(own) if !sealed_to_all(key, own.head.started_at) => {
                notes.push("a recipient was added since the last backup: this one is a whole one, so that it can be opened by all".to_owned());
                None
            }
            own => own,
        };
        let (previous, base) = match own {
            Some(own) => previous_map(&vault, &listed.heads, own, &cache, &mut notes)?,
            None => (PreviousMap::default(), None),
        };
        let failure = Arc::new(Failure::default());
        let packer = Packer::new(
            Arc::clone(vault.store()),
            source,
            key.age_recipients()?,
            Arc::clone(&failure),
            cancel.clone(),
        );
        let threads = vault.settings().threads.clamp(1, THREADS_MAX);
        let work = Work {
            packer,
            failure,
            chunk_key: key.chunk_key().clone(),
            level: vault.settings().compression_level,
            previous,
        };
        let pipeline = Pipeline {
            pool: Pool::new(threads),
            work: Arc::new(work),
            threads,
            cancel: cancel.clone(),
            cache: cache.clone(),
            fresh_pieces: Mutex::default(),
            spool: Arc::new(Spool::new(cache.clone())),
        };
        Ok(Self {
            vault,
            lease,
            backup,
            pipeline,
            common: Mutex::default(),
            opened: Mutex::default(),
            written: Mutex::default(),
            last,
            base,
            gone,
            cache,
            notes,
        })
    }

    /// Opens a file of the backup; each path once.
    ///
    /// # Errors
    /// [`VaultError::OpenedTwice`], [`VaultError::PageSize`].
    pub fn open_file(&self, path: &FilePath, kind: FileKind) -> Result<FileWriter<'_>, VaultError> {
        self.pipeline.check()?;
        let mut opened = self.opened.lock().expect("nothing panics under this lock");
        if !opened.insert(path.clone()) {
            return Err(VaultError::OpenedTwice(path.clone()));
        }
        drop(opened);
        FileWriter::open(self, path.clone(), kind)
    }

    /// The backup's id.
    #[must_use]
    pub fn backup(&self) -> BackupId {
        self.backup
    }

    /// What a person should know before the end: alarms of the vault, a map that had to be rebuilt.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    fn finished(&self, file: WrittenFile) {
        self.written
            .lock()
            .expect("nothing panics under this lock")
            .push(file);
    }

    fn source(&self) -> &SourceName {
        self.lease.source()
    }
}

impl Drop for SnapshotWriter {
    /// Tells the threads that nothing more is wanted.
    fn drop(&mut self) {
        self.pipeline.work.failure.set(VaultError::AlreadyFailed);
    }
}

/// The map of `own`: from the cache, else rebuilt from index objects; without it the backup is whole.
fn previous_map(
    vault: &Vault,
    heads: &[StoredHead],
    own: StoredHead,
    cache: &std::path::Path,
    notes: &mut Vec<String>,
) -> Result<(PreviousMap, Option<StoredHead>), VaultError> {
    let path = cache.join(map_name(&own));
    let mut map = match PreviousMap::open(&path) {
        Ok(map) => map,
        Err(_) => match rebuild_in(vault, &own, cache, &path) {
            Ok(map) => {
                let objects = own.head.index.len();
                notes.push(format!(
                    "the local page map was missing; rebuilt it from {objects} index objects"
                ));
                map
            }
            // A cache that is full or broken says nothing about the vault. Without room the backup is taken all
            // the same; what else is wrong there somebody has to mend.
            Err(VaultError::File { source, .. }) if is_full(&source) => {
                notes.push(format!(
                    "there is no room for the page map in {} ({source}); this backup is a whole one",
                    cache.display()
                ));
                return Ok((PreviousMap::default(), None));
            }
            Err(why @ VaultError::File { .. }) => return Err(why),
            Err(why) => {
                notes.push(format!(
                    "the page map is lost ({why}); this backup is a whole one"
                ));
                return Ok((PreviousMap::default(), None));
            }
        },
    };
    // What no head names may be deleted at any time: it is not referred to again.
    let alive: HashSet<Sha256Digest> = heads
        .iter()
        .filter(|stored| stored.trusted)
        .flat_map(|stored| stored.head.packs.iter().map(|pack| pack.sha256))
        .collect();
    let source = &own.head.source;
    let mut stored = vault.packs_of(source)?;
    let distrusted = vault.distrusted_packs(source);
    stored.retain(|pack, _| alive.contains(pack) && !distrusted.contains(pack));
    let mut missing = map.forget_missing(&stored);
    missing.retain(|pack| alive.contains(pack));
    if !missing.is_empty() {
        notes.push(format!(
            "{} packs of earlier backups are missing or damaged: what they held is stored again \
             (see `resguardo verify --all`)",
            missing.len()
        ));
    }
    Ok((map, Some(own)))
}

/// Nothing more fits on the disk.
fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

/// Rebuilds the map of `own`; where there is no room for it, in that of older ones, which nothing needs.
fn rebuild_in(
    vault: &Vault,
    own: &StoredHead,
    cache: &std::path::Path,
    path: &std::path::Path,
) -> Result<PreviousMap, VaultError> {
    match rebuild(vault, own, cache, path) {
        Err(VaultError::File { source, .. }) if is_full(&source) => {
            crate::map::remove_others(cache, path);
            rebuild(vault, own, cache, path)
        }
        other => other,
    }
}

fn rebuild(
    vault: &Vault,
    own: &StoredHead,
    cache: &std::path::Path,
    path: &std::path::Path,
) -> Result<PreviousMap, VaultError> {
    let (key, source) = (vault.write_key()?, &own.head.source);
    if own.head.index.is_empty() {
        let object = format!("{source}/index");
        return Err(VaultError::NoIdentity { object });
    }
    let mut rebuilder = Rebuilder::new(cache.to_owned());
    let mut last = None;
    for part in &own.head.index {
        let at = layout::index(source, &part.name);
        let at = at.ok_or_else(|| VaultError::NoIdentity {
            object: part.name.clone(),
        })?;
        if part.bytes > crate::reader::SEALED_BYTES_MAX {
            return Err(seal::damaged(
                &at,
                FindingKind::IndexDamaged,
                "it is beyond the format's size",
            ));
        }
        let bytes = vault.store().get_range(&at, 0..part.bytes)?;
        if Sha256Digest::of(&bytes) != part.sha256 {
            return Err(seal::damaged(
                &at,
                FindingKind::IndexDamaged,
                "its bytes are not those that its head names",
            ));
        }
        let own_identity = std::iter::once(key.index_identity() as &dyn age::Identity);
        let opened = seal::open(&at, FindingKind::IndexDamaged, &bytes[..], own_identity)?;
        seal::decompress(opened)
            .map(|records| Decoded::new(records, part.bytes))
            .map_err(ApplyError::Object)
            .and_then(|records| rebuilder.apply(records, part.name.ends_with("-0")))
            .map_err(|error| match error {
                ApplyError::Object(error) => seal::damaged(&at, FindingKind::IndexDamaged, error),
                ApplyError::Table(error) => VaultError::file(REBUILDING, cache, error),
            })?;
        last = Some(at);
    }
    let finish = || -> std::io::Result<PreviousMap> {
        let map = MapFile::create(cache)?;
        rebuilder.finish(&map)?;
        map.keep(path)?;
        PreviousMap::open(path)
    };
    finish().map_err(|error| match last {
        Some(at) if error.kind() == std::io::ErrorKind::InvalidData => {
            seal::damaged(&at, FindingKind::IndexDamaged, error)
        }
        _ => VaultError::file(REBUILDING, cache, error),
    })
}

/// Number and digest of the head that the next one follows: the newest that is there, or was pruned.
fn predecessor(
    listed: &Heads,
    pruned: &Holes,
    source: &SourceName,
) -> Result<Option<(u64, Sha256Digest)>, VaultError> {
    let newest = listed.heads.iter().rfind(|head| head.trusted);
    let there = newest.map(|stored| (stored.head.sequence, stored.sha256));
    let last = match (there, pruned.newest()) {
        (Some(there), Some(gone)) if gone.0 > there.0 => Some(gone),
        (None, gone) => gone,
        (there, _) => there,
    };
    match last {
        Some((number, _)) if !has_next(number) => {
            let of_number = |head: &&StoredHead| head.head.sequence == number;
            let head = listed.heads.iter().find(of_number);
            let object = head.map_or_else(|| layout::prunes(source), |head| head.key.clone());
            Err(VaultError::NoNumberLeft { object })
        }
        last => Ok(last),
    }
}

/// The name of a head's map in the cache: it is only ever used for that head.
fn map_name(head: &StoredHead) -> String {
    format!("{}-{}.map", head.head.backup, head.sha256)
}

/// Heads are signed where the key is.
fn signed(head: &resguardo_model::Head, vault: &Vault) -> Result<Vec<u8>, VaultError> {
    Ok(head::sign(head, vault.write_key()?))
}
