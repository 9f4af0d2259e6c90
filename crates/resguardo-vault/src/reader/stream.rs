//! Reads one file from its beginning to its end, a window at a time: within a window each frame is
//! decoded once, however the file's extents jump between frames.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::{Arc, Mutex};

use resguardo_model::{Extent, FileEntry, FindingKind, Sha256Digest};
use sha2::{Digest as _, Sha256};

use super::scatter::name_backup;
use super::{OpenedPack, Snapshot};
use crate::error::VaultError;

/// Bytes of the file that are put together at once.
const WINDOW_BYTES: u64 = 32 << 20;
/// Packs that are read at once; each may hold all of its bytes.
const THREADS_MAX: usize = 3;

pub(super) struct FileStream<'a> {
    snapshot: &'a Snapshot,
    entry: &'a FileEntry,
    next_extent: usize,
    window: Vec<u8>,
    served: usize,
    sha256: Option<Sha256>,
    /// What is wrong with it; it stays wrong.
    failed: bool,
}

/// Extents of the window by pack, each with its place in the window.
type Wanted = BTreeMap<u32, Vec<(Extent, usize)>>;

impl<'a> FileStream<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, entry: &'a FileEntry) -> Self {
        let sha256 = Some(Sha256::new());
        Self {
            snapshot,
            entry,
            next_extent: 0,
            window: Vec::new(),
            served: 0,
            sha256,
            failed: false,
        }
    }

    /// Puts the next window together; `false` at the end of the file.
    fn advance(&mut self) -> Result<bool, VaultError> {
        let mut wanted = Wanted::new();
        let mut length = 0;
        while let Some(extent) = self.entry.extents.get(self.next_extent) {
            if length > 0 && length + extent.length > WINDOW_BYTES {
                break;
            }
            let at = usize::try_from(length).expect("a window fits into memory");
            wanted.entry(extent.pack).or_default().push((*extent, at));
            length += extent.length;
            self.next_extent += 1;
        }
        self.window.resize(
            usize::try_from(length).expect("a window fits into memory"),
            0,
        );
        self.served = 0;
        self.fill(wanted)?;
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(&self.window);
        }
        Ok(length > 0)
    }

    fn fill(&mut self, wanted: Wanted) -> Result<(), VaultError> {
        let threads = self
            .snapshot
            .vault()
            .settings()
            .threads
            .clamp(1, THREADS_MAX)
            .min(wanted.len());
        let packs = Mutex::new(wanted.into_iter());
        let window = Mutex::new(&mut self.window[..]);
        let snapshot = self.snapshot;
        let work = || -> Result<(), VaultError> {
            loop {
                let next = packs.lock().expect("nothing panics under this lock").next();
                let Some((number, extents)) = next else {
                    return Ok(());
                };
                fill_from_pack(snapshot, number, extents, &window)?;
            }
        };
        std::thread::scope(|scope| {
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            running
                .into_iter()
                .try_for_each(|thread| thread.join().expect("decoding does not panic"))
        })
    }

    fn check_digest(&mut self) -> Result<(), VaultError> {
        let Some(sha256) = self.sha256.take() else {
            return Ok(());
        };
        let (actual, expected) = (Sha256Digest::from(sha256), self.entry.sha256);
        if actual == expected {
            return Ok(());
        }
        Err(VaultError::DigestMismatch {
            path: self.entry.path.to_string(),
            expected,
            actual,
        })
    }
}

fn fill_from_pack(
    snapshot: &Snapshot,
    number: u32,
    mut extents: Vec<(Extent, usize)>,
    window: &Mutex<&mut [u8]>,
) -> Result<(), VaultError> {
    let head = &snapshot.head.head;
    let hit = |error| name_backup(error, head.backup);
    let object = &snapshot.manifest.header.packs[number as usize];
    let wanted = extents.iter().map(|(extent, _)| extent.length).sum();
    let mut opened = None;
    extents.sort_unstable_by_key(|(extent, _)| extent.frame);
    for same_frame in extents.chunk_by(|(a, _), (b, _)| a.frame == b.frame) {
        let frame = same_frame[0].0.frame;
        let raw = match snapshot.kept.get(number, frame) {
            Some(raw) => raw,
            None => {
                let pack = match &mut opened {
                    Some(pack) => pack,
                    None => opened.insert(
                        OpenedPack::fetch(snapshot.vault(), &head.source, object, wanted)
                            .map_err(hit)?,
                    ),
                };
                let raw = Arc::new(pack.decode(frame).map_err(hit)?);
                let used: u64 = same_frame.iter().map(|(extent, _)| extent.length).sum();
                if used < raw.len() as u64 {
                    snapshot.kept.keep(number, frame, &raw);
                }
                raw
            }
        };
        let mut window = window.lock().expect("nothing panics under this lock");
        for (extent, at) in same_frame {
            let from = extent.frame_offset as usize;
            let length =
                usize::try_from(extent.length).expect("the manifest was checked: it fits a frame");
            let Some(bytes) = raw.get(from..from + length) else {
                let key = crate::layout::pack(&head.source, &object.sha256);
                let what = format!("frame {} is shorter than the manifest says", extent.frame);
                return Err(hit(crate::seal::damaged(
                    &key,
                    FindingKind::PackUnreadable,
                    what,
                )));
            };
            window[*at..*at + length].copy_from_slice(bytes);
        }
    }
    Ok(())
}

impl Read for FileStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.failed {
            let path = &self.entry.path;
            return Err(io::Error::other(format!(
                "reading {path} has failed before"
            )));
        }
        if self.served == self.window.len() {
            let vault = self.snapshot.vault();
            let more = self
                .advance()
                .map_err(|error| vault.distrust(error))
                .and_then(|more| {
                    if !more {
                        self.check_digest()?;
                    }
                    Ok(more)
                });
            self.failed = more.is_err();
            if !more.map_err(io::Error::other)? {
                return Ok(0);
            }
        }
        let count = buffer.len().min(self.window.len() - self.served);
        buffer[..count].copy_from_slice(&self.window[self.served..self.served + count]);
        self.served += count;
        Ok(count)
    }
}
