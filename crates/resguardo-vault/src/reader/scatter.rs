//! Restores files pack by pack: each frame that is needed is fetched, opened and decoded once and
//! written to every extent that wants it, on a few threads.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use resguardo_model::{CancelToken, Extent, FileEntry, ObjectRef, Progress, Sha256Digest};
use sha2::{Digest as _, Sha256};

use super::{OpenedPack, Snapshot};
use crate::error::VaultError;
use crate::vault::Vault;

/// Packs that are read at once; each may hold all of its bytes.
pub(crate) const PACKS_OPEN_MAX: usize = 4;

/// An extent that is wanted, by its file and its number there: a backup may have ten million of them.
#[derive(Clone, Copy)]
struct Piece {
    file: u32,
    extent: u32,
}

struct Output<'a> {
    entry: &'a FileEntry,
    path: &'a Path,
    file: File,
}

pub(super) fn write_files(
    vault: &Vault,
    snapshot: &Snapshot,
    entries: &[(&FileEntry, &Path)],
    durable: bool,
    cancel: &CancelToken,
    progress: &dyn Progress,
) -> Result<(), VaultError> {
    let outputs: Vec<Output<'_>> = entries
        .iter()
        .map(|(entry, path)| create(entry, path))
        .collect::<Result<_, _>>()?;
    let packs = by_pack(&outputs);
    let total = outputs.iter().map(|output| output.entry.size).sum();
    let scatter = Scatter {
        vault,
        snapshot,
        outputs: &outputs,
        packs: &packs,
        next: AtomicUsize::new(0),
        done: AtomicU64::new(0),
        total,
        failure: Mutex::default(),
        cancel,
        progress,
    };
    let threads = vault.settings().threads.clamp(1, PACKS_OPEN_MAX);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(packs.len()) {
            scope.spawn(|| scatter.work());
        }
    });
    if let Some(error) = scatter
        .failure
        .into_inner()
        .expect("nothing panics under this lock")
    {
        return Err(vault.distrust(error));
    }
    check_digests(&outputs, threads, durable, cancel)
}

#[expect(
    clippy::disallowed_methods,
    reason = "written by position, and synced when asked for"
)]
/// Makes a new file of the full size, for our eyes only; it must not exist.
fn create<'a>(entry: &'a FileEntry, path: &'a Path) -> Result<Output<'a>, VaultError> {
    let open = || -> io::Result<File> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.set_len(entry.size)?;
        Ok(file)
    };
    let file = open().map_err(|error| VaultError::file("creating", path, error))?;
    Ok(Output { entry, path, file })
}

/// What each pack is needed for, its frames in order.
fn by_pack(outputs: &[Output<'_>]) -> Vec<(u32, Vec<Piece>)> {
    let mut packs: BTreeMap<u32, Vec<Piece>> = BTreeMap::new();
    for (file, output) in (0_u32..).zip(outputs) {
        for (extent, found) in (0_u32..).zip(&output.entry.extents) {
            let piece = Piece { file, extent };
            packs.entry(found.pack).or_default().push(piece);
        }
    }
    for pieces in packs.values_mut() {
        pieces.sort_unstable_by_key(|piece| {
            let extent = extent_of(outputs, *piece);
            (extent.frame, extent.frame_offset)
        });
    }
    packs.into_iter().collect()
}

fn extent_of<'a>(outputs: &'a [Output<'_>], piece: Piece) -> &'a Extent {
    &outputs[piece.file as usize].entry.extents[piece.extent as usize]
}

struct Scatter<'a> {
    vault: &'a Vault,
    snapshot: &'a Snapshot,
    outputs: &'a [Output<'a>],
    packs: &'a [(u32, Vec<Piece>)],
    next: AtomicUsize,
    done: AtomicU64,
    total: u64,
    failure: Mutex<Option<VaultError>>,
    cancel: &'a CancelToken,
    progress: &'a dyn Progress,
}

impl Scatter<'_> {
    fn work(&self) {
        while let Some((pack, pieces)) = self.packs.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let object = &self.snapshot.manifest.header.packs[*pack as usize];
            if let Err(error) = self.restore_pack(object, pieces) {
                self.failure
                    .lock()
                    .expect("nothing panics under this lock")
                    .get_or_insert(error);
                // The others stop at their next pack.
                self.next.store(self.packs.len(), Ordering::Relaxed);
            }
        }
    }

    fn restore_pack(&self, object: &ObjectRef, pieces: &[Piece]) -> Result<(), VaultError> {
        let extent = |piece: &Piece| extent_of(self.outputs, *piece);
        let wanted = pieces.iter().map(|piece| extent(piece).length).sum();
        let head = &self.snapshot.head.head;
        let hit = |error: VaultError| name_backup(error, head.backup);
        let mut pack = OpenedPack::fetch(self.vault, &head.source, object, wanted).map_err(hit)?;
        for same_frame in pieces.chunk_by(|a, b| extent(a).frame == extent(b).frame) {
            self.cancel.check()?;
            let raw = pack.decode(extent(&same_frame[0]).frame).map_err(hit)?;
            for piece in same_frame {
                self.write(*piece, &raw, object)?;
            }
        }
        Ok(())
    }

    fn write(&self, piece: Piece, raw: &[u8], object: &ObjectRef) -> Result<(), VaultError> {
        let extent = extent_of(self.outputs, piece);
        let from = extent.frame_offset as usize;
        let length =
            usize::try_from(extent.length).expect("the manifest was checked: it fits a frame");
        let head = &self.snapshot.head.head;
        let Some(bytes) = raw.get(from..from + length) else {
            let key = crate::layout::pack(&head.source, &object.sha256);
            let what = format!("frame {} is shorter than the manifest says", extent.frame);
            let kind = resguardo_model::FindingKind::PackUnreadable;
            return Err(name_backup(
                crate::seal::damaged(&key, kind, what),
                head.backup,
            ));
        };
        let output = &self.outputs[piece.file as usize];
        output
            .file
            .write_all_at(bytes, extent.file_offset)
            .map_err(|error| VaultError::file("writing", output.path, error))?;
        let done = self.done.fetch_add(bytes.len() as u64, Ordering::Relaxed) + bytes.len() as u64;
        self.progress.bytes(done, Some(self.total));
        Ok(())
    }
}

/// Says which backup a finding hits.
pub(super) fn name_backup(error: VaultError, backup: resguardo_model::BackupId) -> VaultError {
    match error {
        VaultError::Damaged(mut finding) => {
            finding.backups_hit = vec![backup];
            VaultError::Damaged(finding)
        }
        other => other,
    }
}

/// Reads every file back and compares it with its digest.
fn check_digests(
    outputs: &[Output<'_>],
    threads: usize,
    durable: bool,
    cancel: &CancelToken,
) -> Result<(), VaultError> {
    let next = AtomicUsize::new(0);
    let check = || -> Result<(), VaultError> {
        while let Some(output) = outputs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let actual = digest(&output.file, output.entry.size, cancel)
                .map_err(|error| VaultError::file("reading back", output.path, error))?;
            cancel.check()?;
            if actual != output.entry.sha256 {
                let (path, expected) = (output.entry.path.to_string(), output.entry.sha256);
                return Err(VaultError::DigestMismatch {
                    path,
                    expected,
                    actual,
                });
            }
            if durable {
                output
                    .file
                    .sync_all()
                    .map_err(|error| VaultError::file("syncing", output.path, error))?;
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads.min(outputs.len()))
            .map(|_| scope.spawn(check))
            .collect();
        running
            .into_iter()
            .try_for_each(|thread| thread.join().expect("hashing does not panic"))
    })
}

fn digest(file: &File, size: u64, cancel: &CancelToken) -> io::Result<Sha256Digest> {
    let mut sha256 = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut offset = 0;
    while offset < size && !cancel.is_cancelled() {
        let read = file.read_at(&mut buffer, offset)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        sha256.update(&buffer[..read]);
        offset += read as u64;
    }
    Ok(sha256.into())
}
