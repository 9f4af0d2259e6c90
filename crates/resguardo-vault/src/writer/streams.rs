//! Streams: cut by their content, and stored where no known piece is the same.

use std::collections::VecDeque;
use std::sync::Arc;

use crossbeam_channel::{Receiver, bounded};

use super::file::{StreamPiece, WrittenBody, in_flight_max, moved};
use super::gather::{At, Gather};
use super::hasher::FileHasher;
use super::{Pipeline, SnapshotWriter};
use crate::cut::{Block, Cutter};
use crate::error::VaultError;
use crate::piece::PieceId;

/// A stream while it is written.
pub(super) struct Stream {
    cutter: Cutter,
    in_flight: VecDeque<Receiver<NamedPieces>>,
    gather: Gather,
    gathered_from: usize,
    pieces: Vec<StreamPiece>,
}

struct NamedPieces {
    bytes: Arc<Vec<u8>>,
    lengths: Vec<u32>,
    ids: Vec<PieceId>,
}

impl Stream {
    pub(super) fn new(owner: &SnapshotWriter) -> Self {
        Self {
            cutter: Cutter::new(owner.pipeline.work.chunk_key.gear_seed()),
            in_flight: VecDeque::new(),
            gather: Gather::default(),
            gathered_from: 0,
            pieces: Vec::new(),
        }
    }

    pub(super) fn write(
        &mut self,
        bytes: &[u8],
        hasher: &mut FileHasher,
        pipeline: &Pipeline,
    ) -> Result<(), VaultError> {
        // The cutter is taken out so that its blocks can be handed to `self`.
        let mut cutter = std::mem::replace(&mut self.cutter, Cutter::new(0));
        let result = cutter.write(bytes, &mut |block| self.submit(block, hasher, pipeline));
        self.cutter = cutter;
        result
    }

    fn submit(
        &mut self,
        block: Block,
        hasher: &mut FileHasher,
        pipeline: &Pipeline,
    ) -> Result<(), VaultError> {
        let Block { bytes, lengths } = block;
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
            let _ = done.send(NamedPieces {
                bytes,
                lengths,
                ids,
            });
        });
        self.in_flight.push_back(receiver);
        while self.in_flight.len() >= in_flight_max(pipeline) {
            self.settle_one(pipeline);
        }
        Ok(())
    }

    fn settle_one(&mut self, pipeline: &Pipeline) {
        let Some(receiver) = self.in_flight.pop_front() else {
            return;
        };
        let named = receiver.recv().expect("a job answers");
        let mut rest = &named.bytes[..];
        for (id, length) in named.ids.iter().zip(&named.lengths) {
            let (piece, later) = rest.split_at(*length as usize);
            rest = later;
            let (at, frame_offset) = self.place(*id, piece, pipeline);
            self.pieces.push(StreamPiece {
                id: *id,
                length: *length,
                at,
                frame_offset,
            });
        }
    }

    /// Where a piece lies: in an old pack, where this backup stored it already, or in a new frame.
    fn place(&mut self, id: PieceId, piece: &[u8], pipeline: &Pipeline) -> (At, u32) {
        if let Some(known) = pipeline
            .work
            .previous
            .piece(&id)
            .filter(|known| known.length as usize == piece.len())
        {
            let place = known.place;
            let at = At::Old {
                pack: place.pack,
                frame: place.frame,
                frame_bytes: place.frame_bytes,
            };
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
        for piece in self.pieces[range]
            .iter()
            .filter(|piece| matches!(piece.at, At::New { .. }))
        {
            fresh
                .entry(piece.id)
                .or_insert((piece.at, piece.frame_offset));
        }
    }

    pub(super) fn finish(
        mut self,
        hasher: &mut FileHasher,
        owner: &SnapshotWriter,
    ) -> Result<WrittenBody, VaultError> {
        let pipeline = &owner.pipeline;
        let cutter = std::mem::replace(&mut self.cutter, Cutter::new(0));
        cutter.finish(&mut |block| self.submit(block, hasher, pipeline))?;
        while !self.in_flight.is_empty() {
            self.settle_one(pipeline);
        }
        if let Some(leftover) = std::mem::take(&mut self.gather).into_leftover() {
            let (ticket, base) = leftover.share(&owner.common, pipeline);
            for piece in &mut self.pieces[self.gathered_from..] {
                moved(
                    &mut piece.at,
                    &mut piece.frame_offset,
                    &leftover,
                    ticket,
                    base,
                );
            }
        }
        self.publish(self.gathered_from..self.pieces.len(), pipeline);
        Ok(WrittenBody::Stream {
            pieces: self.pieces,
        })
    }
}
