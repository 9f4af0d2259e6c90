//! One file of a backup while it is written.
//!
//! Blocks of about 1 MiB go to the workers, which name their pieces (and compress a block that is new
//! as a whole); they come back in the order of the file, and what is new of them is gathered into
//! frames. The number of blocks on their way is bounded.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crossbeam_channel::{Receiver, bounded};
use resguardo_model::{FileKind, FilePath, Sha256Digest};

use super::gather::{At, Gather, Leftover, store_frame};
use super::hasher::FileHasher;
use super::ids::IdSpool;
use super::{Pipeline, SnapshotWriter, Work};
use crate::cut::Cutter;
use crate::error::VaultError;
use crate::frame::FRAME_BYTES;
use crate::map::{KnownPages, PageCursor};
use crate::piece::PieceId;

/// Consecutive pages that lie back to back in one frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageRun {
    pub(super) first_page: u64,
    pub(super) count: u32,
    pub(super) at: At,
    pub(super) frame_offset: u32,
}

/// A piece of a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamPiece {
    pub(super) id: PieceId,
    pub(super) length: u32,
    pub(super) at: At,
    pub(super) frame_offset: u32,
}

/// A file that was written to its end.
pub(super) struct WrittenFile {
    pub(super) path: FilePath,
    pub(super) size: u64,
    pub(super) sha256: Sha256Digest,
    pub(super) body: WrittenBody,
}

pub(super) enum WrittenBody {
    Pages { page_bytes: u32, runs: Vec<PageRun>, ids: IdSpool },
    Stream { pieces: Vec<StreamPiece> },
}

impl WrittenFile {
    pub(super) fn kind(&self) -> FileKind {
        match self.body {
            WrittenBody::Pages { page_bytes, .. } => FileKind::Pages { page_bytes },
            WrittenBody::Stream { .. } => FileKind::Stream,
        }
    }
}

/// Takes the bytes of one file. Dropped before [`FileWriter::finish`], it fails the backup.
pub struct FileWriter<'a> {
    owner: &'a SnapshotWriter,
    path: FilePath,
    size: u64,
    hasher: Option<FileHasher>,
    body: Option<Body>,
}

enum Body {
    Pages(Pages),
    Stream(Stream),
}

impl<'a> FileWriter<'a> {
    pub(super) fn open(owner: &'a SnapshotWriter, path: FilePath, kind: FileKind) -> Result<Self, VaultError> {
        let body = match kind {
            FileKind::Pages { page_bytes } => Body::Pages(Pages::open(owner, &path, page_bytes)?),
            FileKind::Stream => Body::Stream(Stream::new(owner)),
        };
        Ok(Self { owner, path, size: 0, hasher: Some(FileHasher::new()), body: Some(body) })
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// If the backup has failed or was cancelled meanwhile.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), VaultError> {
        self.owner.pipeline.check()?;
        self.size += bytes.len() as u64;
        let hasher = self.hasher.as_mut().expect("there until the file is finished");
        match self.body.as_mut().expect("there until the file is finished") {
            Body::Pages(pages) => pages.write(bytes, hasher, &self.owner.pipeline),
            Body::Stream(stream) => stream.write(bytes, hasher, &self.owner.pipeline),
        }
    }

    /// Ends the file; tells its size and digest.
    ///
    /// # Errors
    /// [`VaultError::BrokenPage`] if a page file ends within a page; as [`FileWriter::write`].
    pub fn finish(mut self) -> Result<(u64, Sha256Digest), VaultError> {
        self.owner.pipeline.check()?;
        let mut hasher = self.hasher.take().expect("there until the file is finished");
        let body = match self.body.take().expect("there until the file is finished") {
            Body::Pages(pages) => {
                let page_bytes = pages.page_bytes;
                if !self.size.is_multiple_of(u64::from(page_bytes)) {
                    let (path, bytes) = (self.path.clone(), self.size);
                    return Err(VaultError::BrokenPage { path, bytes, page_bytes });
                }
                pages.finish(&mut hasher, self.owner)?
            }
            Body::Stream(stream) => stream.finish(&mut hasher, self.owner)?,
        };
        let (size, sha256) = (self.size, hasher.finish());
        let written = WrittenFile { path: self.path.clone(), size, sha256, body };
        self.owner.finished(written);
        Ok((size, sha256))
    }
}

/// Bytes of a block: a multiple of every page size.
const BLOCK_BYTES: usize = FRAME_BYTES;

fn in_flight_max(pipeline: &Pipeline) -> usize {
    pipeline.threads * 2 + 2
}

struct Pages {
    page_bytes: u32,
    block: Vec<u8>,
    next_page: u64,
    previous: Option<PageCursor>,
    in_flight: VecDeque<Receiver<NamedPages>>,
    gather: Gather,
    /// The first run that may lie in the frame that is being gathered.
    gathered_from: usize,
    runs: Vec<PageRun>,
    ids: IdSpool,
}

/// A block whose pages have their ids.
struct NamedPages {
    block: Arc<Vec<u8>>,
    first_page: u64,
    ids: Vec<PieceId>,
    known: KnownPages,
    /// The ticket of its frame, if all of it is new and was compressed at once.
    ticket: Option<u32>,
}

impl Pages {
    fn open(owner: &SnapshotWriter, path: &FilePath, page_bytes: u32) -> Result<Self, VaultError> {
        if !(512..=65536).contains(&page_bytes) || !page_bytes.is_power_of_two() {
            return Err(VaultError::PageSize { path: path.clone(), page_bytes });
        }
        let kind = FileKind::Pages { page_bytes };
        let cache = &owner.cache;
        let previous = owner.pipeline.work.previous.pages_of(path, kind);
        Ok(Self {
            page_bytes,
            block: Vec::new(),
            next_page: 0,
            previous: previous.map_err(|error| VaultError::file("reading the page map in", cache, error))?,
            in_flight: VecDeque::new(),
            gather: Gather::default(),
            gathered_from: 0,
            runs: Vec::new(),
            ids: IdSpool::new(cache.clone()),
        })
    }

    fn write(&mut self, mut bytes: &[u8], hasher: &mut FileHasher, pipeline: &Pipeline) -> Result<(), VaultError> {
        while !bytes.is_empty() {
            if self.block.capacity() == 0 {
                self.block.reserve_exact(BLOCK_BYTES);
            }
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK_BYTES - self.block.len()));
            self.block.extend_from_slice(now);
            bytes = later;
            if self.block.len() == BLOCK_BYTES {
                self.submit(hasher, pipeline)?;
            }
        }
        Ok(())
    }

    fn submit(&mut self, hasher: &mut FileHasher, pipeline: &Pipeline) -> Result<(), VaultError> {
        let block = Arc::new(std::mem::take(&mut self.block));
        hasher.update(&block);
        let page_bytes = self.page_bytes as usize;
        let count = u32::try_from(block.len() / page_bytes).expect("a block has at most 2048 pages");
        let known = match &mut self.previous {
            Some(cursor) => cursor.next(count).map_err(|error| {
                VaultError::file("reading the page map for", std::path::Path::new("this backup"), error)
            })?,
            None => KnownPages::default(),
        };
        let first_page = self.next_page;
        self.next_page += u64::from(count);
        let (done, receiver) = bounded(1);
        let work = Arc::clone(&pipeline.work);
        pipeline.pool.submit(move || {
            let named = name_pages(&work, block, first_page, page_bytes, known);
            let _ = done.send(named);
        });
        self.in_flight.push_back(receiver);
        while self.in_flight.len() >= in_flight_max(pipeline) {
            self.settle_one(pipeline)?;
        }
        Ok(())
    }

    fn settle_one(&mut self, pipeline: &Pipeline) -> Result<(), VaultError> {
        let Some(receiver) = self.in_flight.pop_front() else { return Ok(()) };
        let named = receiver.recv().expect("a job answers");
        self.ids.push(&named.ids).map_err(|error| VaultError::file("writing to", &pipeline.cache, error))?;
        if let Some(ticket) = named.ticket {
            let count = u32::try_from(named.ids.len()).expect("a block has at most 2048 pages");
            self.push_run(PageRun { first_page: named.first_page, count, at: At::New { ticket }, frame_offset: 0 });
            return Ok(());
        }
        self.settle_pages(&named, pipeline);
        Ok(())
    }

    /// Keeps the places of pages that did not change and gathers those that did.
    fn settle_pages(&mut self, named: &NamedPages, pipeline: &Pipeline) {
        let page_bytes = self.page_bytes as usize;
        let old = named.known.runs.iter().flat_map(|run| {
            (0..run.count).map(|page| {
                let place = run.place;
                let at = At::Old { pack: place.pack, frame: place.frame, frame_bytes: place.frame_bytes };
                (at, place.frame_offset + page * self.page_bytes)
            })
        });
        let old: Vec<(At, u32)> = old.collect();
        for (number, page) in named.block.chunks(page_bytes).enumerate() {
            let unchanged = named.known.ids.get(number) == Some(&named.ids[number]);
            let (at, frame_offset) = if unchanged {
                old[number]
            } else {
                let before = self.gather.ticket();
                let (ticket, offset) = self.gather.push(page, pipeline);
                if before != Some(ticket) {
                    self.gathered_from = self.runs.len();
                }
                (At::New { ticket }, offset)
            };
            self.push_run(PageRun { first_page: named.first_page + number as u64, count: 1, at, frame_offset });
        }
    }

    /// Adds a run, or lengthens the last one if it goes on there.
    fn push_run(&mut self, run: PageRun) {
        let page_bytes = self.page_bytes;
        let from = self.gathered_from;
        let at_end = self.runs.len();
        if let Some(last) = self.runs.last_mut().filter(|last| last.at == run.at) {
            let goes_on = last.first_page + u64::from(last.count) == run.first_page
                && last.frame_offset + last.count * page_bytes == run.frame_offset;
            if goes_on && at_end > from {
                last.count += run.count;
                return;
            }
        }
        self.runs.push(run);
    }

    fn finish(mut self, hasher: &mut FileHasher, owner: &SnapshotWriter) -> Result<WrittenBody, VaultError> {
        let pipeline = &owner.pipeline;
        if !self.block.is_empty() {
            self.submit(hasher, pipeline)?;
        }
        while !self.in_flight.is_empty() {
            self.settle_one(pipeline)?;
        }
        if let Some(leftover) = self.gather.into_leftover() {
            let (ticket, base) = leftover.share(&owner.common, pipeline);
            for run in &mut self.runs[self.gathered_from..] {
                moved(&mut run.at, &mut run.frame_offset, &leftover, ticket, base);
            }
        }
        Ok(WrittenBody::Pages { page_bytes: self.page_bytes, runs: self.runs, ids: self.ids })
    }
}

/// Follows a leftover into the frame that it moved to.
fn moved(at: &mut At, frame_offset: &mut u32, leftover: &Leftover, ticket: u32, base: u32) {
    if *at == (At::New { ticket: leftover.ticket }) {
        *at = At::New { ticket };
        *frame_offset += base;
    }
}

/// On a worker: names the pages of a block, and compresses it at once if all of it is new.
fn name_pages(
    work: &Work,
    block: Arc<Vec<u8>>,
    first_page: u64,
    page_bytes: usize,
    known: KnownPages,
) -> NamedPages {
    let ids = work.chunk_key.page_ids(&block, page_bytes);
    let all_new = block.len() == BLOCK_BYTES && ids.iter().zip(&known.ids).all(|(new, old)| new != old);
    let ticket = all_new.then(|| work.packer.ticket());
    if let Some(ticket) = ticket {
        store_frame(work, ticket, &block);
    }
    NamedPages { block, first_page, ids, known, ticket }
}

struct Stream {
    cutter: Cutter,
    batch: Batch,
    in_flight: VecDeque<Receiver<NamedPieces>>,
    gather: Gather,
    gathered_from: usize,
    pieces: Vec<StreamPiece>,
}

/// Pieces of a stream back to back.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    lengths: Vec<u32>,
}

struct NamedPieces {
    bytes: Arc<Vec<u8>>,
    lengths: Vec<u32>,
    ids: Vec<PieceId>,
}

impl Stream {
    fn new(owner: &SnapshotWriter) -> Self {
        Self {
            cutter: Cutter::new(owner.pipeline.work.chunk_key.gear_seed()),
            batch: Batch::default(),
            in_flight: VecDeque::new(),
            gather: Gather::default(),
            gathered_from: 0,
            pieces: Vec::new(),
        }
    }

    fn write(&mut self, bytes: &[u8], hasher: &mut FileHasher, pipeline: &Pipeline) -> Result<(), VaultError> {
        // The cutter is taken out so that its pieces can be handed to `self`.
        let mut cutter = std::mem::replace(&mut self.cutter, Cutter::new(0));
        let result = cutter.write(bytes, &mut |piece| self.take(piece, hasher, pipeline));
        self.cutter = cutter;
        result
    }

    fn take(&mut self, piece: &[u8], hasher: &mut FileHasher, pipeline: &Pipeline) -> Result<(), VaultError> {
        self.batch.bytes.extend_from_slice(piece);
        self.batch.lengths.push(u32::try_from(piece.len()).expect("a piece has at most 512 KiB"));
        if self.batch.bytes.len() >= BLOCK_BYTES { self.submit(hasher, pipeline) } else { Ok(()) }
    }

    fn submit(&mut self, hasher: &mut FileHasher, pipeline: &Pipeline) -> Result<(), VaultError> {
        let Batch { bytes, lengths } = std::mem::take(&mut self.batch);
        let bytes = Arc::new(bytes);
        hasher.update(&bytes);
        let (done, receiver) = bounded(1);
        let work = Arc::clone(&pipeline.work);
        pipeline.pool.submit(move || {
            let mut rest = &bytes[..];
            let mut ids = Vec::with_capacity(lengths.len());
            for length in &lengths {
                let (piece, later) = rest.split_at(*length as usize);
                ids.push(work.chunk_key.id(piece));
                rest = later;
            }
            let _ = done.send(NamedPieces { bytes, lengths, ids });
        });
        self.in_flight.push_back(receiver);
        while self.in_flight.len() >= in_flight_max(pipeline) {
            self.settle_one(pipeline);
        }
        Ok(())
    }

    fn settle_one(&mut self, pipeline: &Pipeline) {
        let Some(receiver) = self.in_flight.pop_front() else { return };
        let named = receiver.recv().expect("a job answers");
        let mut rest = &named.bytes[..];
        for (id, length) in named.ids.iter().zip(&named.lengths) {
            let (piece, later) = rest.split_at(*length as usize);
            rest = later;
            let (at, frame_offset) = self.place(*id, piece, pipeline);
            self.pieces.push(StreamPiece { id: *id, length: *length, at, frame_offset });
        }
    }

    /// Where a piece lies: in an old pack, where this backup stored it already, or in a new frame.
    fn place(&mut self, id: PieceId, piece: &[u8], pipeline: &Pipeline) -> (At, u32) {
        if let Some(known) = pipeline.work.previous.piece(&id).filter(|known| known.length as usize == piece.len()) {
            let place = known.place;
            let at = At::Old { pack: place.pack, frame: place.frame, frame_bytes: place.frame_bytes };
            return (at, place.frame_offset);
        }
        if let Some(place) = pipeline.fresh_pieces().get(&id) {
            return *place;
        }
        let before = self.gather.ticket();
        let (ticket, offset) = self.gather.push(piece, pipeline);
        if before != Some(ticket) {
            // The frame before is on its way: its places hold from now on.
            self.publish(self.gathered_from..self.pieces.len(), pipeline);
            self.gathered_from = self.pieces.len();
        }
        (At::New { ticket }, offset)
    }

    /// Lets other streams of this backup find these pieces.
    fn publish(&self, range: std::ops::Range<usize>, pipeline: &Pipeline) {
        let mut fresh = pipeline.fresh_pieces();
        for piece in self.pieces[range].iter().filter(|piece| matches!(piece.at, At::New { .. })) {
            fresh.entry(piece.id).or_insert((piece.at, piece.frame_offset));
        }
    }

    fn finish(mut self, hasher: &mut FileHasher, owner: &SnapshotWriter) -> Result<WrittenBody, VaultError> {
        let pipeline = &owner.pipeline;
        let cutter = std::mem::replace(&mut self.cutter, Cutter::new(0));
        cutter.finish(&mut |piece| self.take(piece, hasher, pipeline))?;
        if !self.batch.bytes.is_empty() {
            self.submit(hasher, pipeline)?;
        }
        while !self.in_flight.is_empty() {
            self.settle_one(pipeline);
        }
        if let Some(leftover) = std::mem::take(&mut self.gather).into_leftover() {
            let (ticket, base) = leftover.share(&owner.common, pipeline);
            for piece in &mut self.pieces[self.gathered_from..] {
                moved(&mut piece.at, &mut piece.frame_offset, &leftover, ticket, base);
            }
        }
        self.publish(self.gathered_from..self.pieces.len(), pipeline);
        Ok(WrittenBody::Stream { pieces: self.pieces })
    }
}

/// Pieces that this backup stored, by their ids.
pub(super) type FreshPieces = HashMap<PieceId, (At, u32)>;
