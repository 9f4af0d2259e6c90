//! New pieces that lie apart in their file are gathered into frames.

use std::sync::{Arc, Mutex};

use super::{Pipeline, Work};
use crate::error::VaultError;
use crate::frame::{self, FRAME_BYTES};

/// Where a piece of this backup lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// In a pack of an earlier backup, by its number in the map before.
    Old {
        pack: u32,
        frame: u32,
        frame_bytes: u32,
    },
    /// In the frame of a ticket.
    New { ticket: u32 },
}

/// A frame in the making.
#[derive(Default)]
pub(super) struct Gather {
    ticket: Option<u32>,
    buffer: Vec<u8>,
}

/// The last pieces of a file that did not fill a frame.
pub(super) struct Leftover {
    pub(super) ticket: u32,
    buffer: Vec<u8>,
}

impl Gather {
    /// Adds a piece and tells its frame's ticket and its offset there.
    pub(super) fn push(&mut self, piece: &[u8], pipeline: &Pipeline) -> (u32, u32) {
        if self.buffer.len() + piece.len() > FRAME_BYTES {
            self.flush(pipeline);
        }
        let ticket = *self
            .ticket
            .get_or_insert_with(|| pipeline.work.packer.ticket());
        let offset = u32::try_from(self.buffer.len()).expect("a frame holds about 1 MiB");
        self.buffer.extend_from_slice(piece);
        (ticket, offset)
    }

    /// The ticket of the frame that is being gathered.
    pub(super) fn ticket(&self) -> Option<u32> {
        self.ticket
    }

    /// Sends what there is to be compressed.
    pub(super) fn flush(&mut self, pipeline: &Pipeline) {
        if let Some(ticket) = self.ticket.take() {
            let raw = std::mem::take(&mut self.buffer);
            let work = Arc::clone(&pipeline.work);
            pipeline
                .pool
                .submit(move || store_frame(&work, ticket, &raw));
        }
    }

    /// What did not fill a frame.
    pub(super) fn into_leftover(self) -> Option<Leftover> {
        self.ticket.map(|ticket| Leftover {
            ticket,
            buffer: self.buffer,
        })
    }
}

impl Leftover {
    /// Of a frame of no bytes.
    #[cfg(test)]
    pub(super) fn of_ticket(ticket: u32) -> Self {
        let buffer = Vec::new();
        Self { ticket, buffer }
    }

    /// Moves it into a frame shared with other files: small files compress together. Tells the frame's
    /// ticket and by how much offsets grow.
    pub(super) fn share(&self, common: &Mutex<Gather>, pipeline: &Pipeline) -> (u32, u32) {
        common
            .lock()
            .expect("nothing panics under this lock")
            .push(&self.buffer, pipeline)
    }
}

/// Compresses a frame and hands it to the packer; on a worker thread.
pub(super) fn store_frame(work: &Work, ticket: u32, raw: &[u8]) {
    if work.failure.is_set() {
        return;
    }
    match frame::compress(raw, work.level) {
        Ok(frame) => work.packer.add(ticket, frame),
        Err(error) => {
            work.failure.set(VaultError::Seal {
                object: "a frame".to_owned(),
                source: Box::new(error),
            });
        }
    }
}
