//! Sources that nobody has on this machine: page files of any size whose pages are made as they are read.
//!
//! What is measured is what a backup does after it has read a page; reading itself costs next to nothing
//! here. Pages compress far better than those of a database, so that a terabyte fits on a disk.

use std::sync::atomic::{AtomicU64, Ordering};

use resguardo_model::{BackupId, CancelToken, FileKind, RunId, SourceName};
use resguardo_vault::{SnapshotWriter, Vault};

use crate::Anything;
use crate::place::{self, THREADS};

/// Like PostgreSQL's segments.
const FILE_BYTES: u64 = 1 << 30;
const BLOCK_BYTES: usize = 1 << 20;

/// A made-up source.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) bytes: u64,
    pub(crate) page_bytes: u32,
    /// Its age: 0 is the first state.
    pub(crate) generation: u64,
    pub(crate) changes: Changes,
}

/// Which pages each generation changes.
#[derive(Clone, Copy)]
pub(crate) enum Changes {
    /// So many of a million, drawn by chance.
    PerMillion(u64),
    /// Every other page: no two that lie side by side come from one backup.
    EveryOther,
}

impl Shape {
    /// The last generation that changed a page.
    fn changed_at(self, page: u64) -> u64 {
        let changes = |generation: &u64| match self.changes {
            Changes::PerMillion(some) => mixed(page ^ (generation << 40)) % 1_000_000 < some,
            Changes::EveryOther => page % 2 == generation % 2,
        };
        (1..=self.generation).rev().find(changes).unwrap_or(0)
    }

    /// One page: a few bytes of its own, again and again.
    fn fill(self, page: u64, to: &mut [u8]) {
        let seed = mixed(page ^ (self.changed_at(page) << 48) ^ 0x5EED);
        let pattern = [seed, mixed(seed)].map(u64::to_le_bytes).concat();
        for part in to.chunks_mut(pattern.len()) {
            part.copy_from_slice(&pattern[..part.len()]);
        }
    }
}

/// The finisher of SplitMix64.
fn mixed(number: u64) -> u64 {
    let z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn source() -> Result<SourceName, Anything> {
    Ok("shop".parse()?)
}

/// Takes a backup of the source in that state, two files at a time.
pub(crate) fn back_up(vault: &Vault, shape: Shape) -> Result<(), Anything> {
    let lease = vault.acquire_lease(
        &source()?,
        RunId(place::new_id()),
        "bench",
        std::process::id(),
    )?;
    let id = BackupId(place::new_id());
    let writer = vault.begin_snapshot(lease, id, &CancelToken::new())?;
    let next = AtomicU64::new(0);
    let files = shape.bytes.div_ceil(FILE_BYTES);
    let feed = || -> Result<(), Anything> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= files {
                return Ok(());
            }
            write_file(&writer, shape, number)?;
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(feed)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| "a thread panicked")?)
    })?;
    let done = writer.commit(place::description())?;
    println!(
        "{} raw, {} new, {} stored, {} packs",
        done.raw_bytes, done.new_raw_bytes, done.stored_bytes, done.packs_written
    );
    for note in done.notes {
        println!("note: {note}");
    }
    Ok(())
}

fn write_file(writer: &SnapshotWriter, shape: Shape, number: u64) -> Result<(), Anything> {
    let page_bytes = u64::from(shape.page_bytes);
    let kind = FileKind::Pages {
        page_bytes: shape.page_bytes,
    };
    let mut to = writer.open_file(&format!("base/{number:05}").parse()?, kind)?;
    let begin = number * FILE_BYTES;
    let end = (begin + FILE_BYTES).min(shape.bytes);
    let mut block = vec![0; BLOCK_BYTES];
    let mut at = begin;
    while at < end {
        let length = usize::try_from(end - at).map_or(BLOCK_BYTES, |left| left.min(BLOCK_BYTES));
        let pages = block[..length].chunks_mut(shape.page_bytes as usize);
        for (page, bytes) in (at / page_bytes..).zip(pages) {
            shape.fill(page, bytes);
        }
        to.write(&block[..length])?;
        at += length as u64;
    }
    to.finish()?;
    Ok(())
}

/// Reads all of the newest backup as streams, which compares it with its digests, and keeps none of it.
pub(crate) fn read(vault: &Vault) -> Result<(), Anything> {
    let heads = vault.heads(Some(&source()?))?;
    let head = heads.heads.last().ok_or("there is no backup")?;
    let snapshot = vault.open_snapshot(head)?;
    let files = &snapshot.manifest().files;
    let extents: usize = files.iter().map(|file| file.extents.len()).sum();
    println!("{} files, {extents} extents", files.len());
    for file in files {
        std::io::copy(&mut snapshot.open_stream(&file.path)?, &mut std::io::sink())?;
    }
    Ok(())
}
