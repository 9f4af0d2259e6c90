//! Page files: each page is compared with the page at the same position in the backup before.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use crossbeam_channel::{Receiver, bounded};
use resguardo_model::{FileKind, FilePath};

use super::file::{BLOCK_BYTES, WrittenBody, in_flight_max};
use super::gather::{At, Gather, store_frame};
use super::hasher::FileHasher;
use super::ids::Spooled;
use super::runs::{PageRun, Runs};
use super::{Pipeline, SnapshotWriter, Work};
use crate::error::VaultError;
use crate::map::{KnownPages, PageCursor};
use crate::piece::PieceId;

/// A page file while it is written.
pub(super) struct Pages {
    pub(super) page_bytes: u32,
    block: Vec<u8>,
    previous: Option<PageCursor>,
    in_flight: VecDeque<Receiver<NamedPages>>,
    gather: Gather,
    runs: Runs,
    ids: Spooled,
}

/// A block whose pages have their ids.
struct NamedPages {
    block: Arc<Vec<u8>>,
    ids: Vec<PieceId>,
    known: KnownPages,
    /// The ticket of its frame, if all of it is new and was compressed at once.
    ticket: Option<u32>,
}

impl Pages {
    pub(super) fn open(
        owner: &SnapshotWriter,
        path: &FilePath,
        page_bytes: u32,
    ) -> Result<Self, VaultError> {
        if !(512..=65536).contains(&page_bytes) || !page_bytes.is_power_of_two() {
            return Err(VaultError::PageSize {
                path: path.clone(),
                page_bytes,
            });
        }
        let kind = FileKind::Pages { page_bytes };
        let cache = &owner.cache;
        let previous = owner.pipeline.work.previous.pages_of(path, kind);
        Ok(Self {
            page_bytes,
            block: Vec::new(),
            previous: previous
                .map_err(|error| VaultError::file("reading the page map in", cache, error))?,
            in_flight: VecDeque::new(),
            gather: Gather::default(),
            runs: Runs::new(Arc::clone(&owner.pipeline.spool), page_bytes),
            ids: Spooled::new(Arc::clone(&owner.pipeline.spool)),
        })
    }

    pub(super) fn write(
        &mut self,
        mut bytes: &[u8],
        hasher: &mut FileHasher,
        pipeline: &Pipeline,
    ) -> Result<(), VaultError> {
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
        let count =
            u32::try_from(block.len() / page_bytes).expect("a block has at most 2048 pages");
        let known = match &mut self.previous {
            Some(cursor) => cursor.next(count).map_err(|error| {
                VaultError::file(
                    "reading the page map for",
                    std::path::Path::new("this backup"),
                    error,
                )
            })?,
            None => KnownPages::default(),
        };
        let (done, receiver) = bounded(1);
        let work = Arc::clone(&pipeline.work);
        pipeline.pool.submit(move || {
            let named = name_pages(&work, block, page_bytes, known);
            let _ = done.send(named);
        });
        self.in_flight.push_back(receiver);
        while self.in_flight.len() >= in_flight_max(pipeline) {
            self.settle_one(pipeline)?;
        }
        Ok(())
    }

    fn settle_one(&mut self, pipeline: &Pipeline) -> Result<(), VaultError> {
        let Some(receiver) = self.in_flight.pop_front() else {
            return Ok(());
        };
        let named = receiver.recv().expect("a job answers");
        let ids: Vec<u8> = named.ids.iter().flat_map(|id| id.0).collect();
        let pushed = self.ids.push(&ids).and_then(|()| match named.ticket {
            Some(ticket) => self.runs.push(PageRun {
                count: u32::try_from(named.ids.len()).expect("a block has at most 2048 pages"),
                at: At::New { ticket },
                frame_offset: 0,
            }),
            None => self.settle_pages(&named, pipeline),
        });
        pushed.map_err(|error| VaultError::file("writing to", &pipeline.cache, error))
    }

    /// Keeps the places of pages that did not change and gathers those that did.
    fn settle_pages(&mut self, named: &NamedPages, pipeline: &Pipeline) -> io::Result<()> {
        let page_bytes = self.page_bytes as usize;
        let old = named.known.runs.iter().flat_map(|run| {
            (0..run.count).map(|page| {
                let place = run.place;
                let at = At::Old {
                    pack: place.pack,
                    frame: place.frame,
                    frame_bytes: place.frame_bytes,
                };
                (at, place.frame_offset + page * self.page_bytes)
            })
        });
        let old: Vec<(At, u32)> = old.collect();
        for (number, page) in named.block.chunks(page_bytes).enumerate() {
            let unchanged = named.known.ids.get(number) == Some(&named.ids[number]);
            let (at, frame_offset) = if unchanged {
                old[number]
            } else {
                let (ticket, offset) = self.gather.push(page, pipeline);
                (At::New { ticket }, offset)
            };
            self.runs.push(PageRun {
                count: 1,
                at,
                frame_offset,
            })?;
        }
        Ok(())
    }

    pub(super) fn finish(
        mut self,
        hasher: &mut FileHasher,
        owner: &SnapshotWriter,
    ) -> Result<WrittenBody, VaultError> {
        let pipeline = &owner.pipeline;
        if !self.block.is_empty() {
            self.submit(hasher, pipeline)?;
        }
        while !self.in_flight.is_empty() {
            self.settle_one(pipeline)?;
        }
        if let Some(leftover) = self.gather.into_leftover() {
            let (ticket, base) = leftover.share(&owner.common, pipeline);
            self.runs.moved(&leftover, ticket, base);
        }
        let settled = self.ids.settle().and_then(|()| self.runs.settle());
        settled.map_err(|error| VaultError::file("writing to", &pipeline.cache, error))?;
        Ok(WrittenBody::Pages {
            page_bytes: self.page_bytes,
            runs: self.runs,
            ids: self.ids,
        })
    }
}

/// On a worker: names the pages of a block, and compresses it at once if all of it is new.
fn name_pages(
    work: &Work,
    block: Arc<Vec<u8>>,
    page_bytes: usize,
    known: KnownPages,
) -> NamedPages {
    let ids = work.chunk_key.page_ids(&block, page_bytes);
    let all_new =
        block.len() == BLOCK_BYTES && ids.iter().zip(&known.ids).all(|(new, old)| new != old);
    let ticket = all_new.then(|| work.packer.ticket());
    if let Some(ticket) = ticket {
        store_frame(work, ticket, &block);
    }
    NamedPages {
        block,
        ids,
        known,
        ticket,
    }
}
