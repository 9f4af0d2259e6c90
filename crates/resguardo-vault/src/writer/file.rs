//! One file of a backup while it is written.
//!
//! Blocks of about 1 MiB go to the workers, which name their pieces (and compress a block that is new
//! as a whole); they come back in the order of the file, and what is new of them is gathered into
//! frames. The number of blocks on their way is bounded.

use std::collections::HashMap;

use resguardo_model::{FileKind, FilePath, Sha256Digest};

use super::gather::{At, Leftover};
use super::hasher::FileHasher;
use super::ids::Spooled;
use super::pages::Pages;
use super::runs::Runs;
use super::streams::Stream;
use super::{Pipeline, SnapshotWriter};
use crate::error::VaultError;
use crate::frame::FRAME_BYTES;
use crate::piece::PieceId;

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
    Pages {
        page_bytes: u32,
        runs: Runs,
        ids: Spooled,
    },
    Stream {
        pieces: Vec<StreamPiece>,
    },
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
    Pages(Box<Pages>),
    Stream(Stream),
}

impl<'a> FileWriter<'a> {
    pub(super) fn open(
        owner: &'a SnapshotWriter,
        path: FilePath,
        kind: FileKind,
    ) -> Result<Self, VaultError> {
        let body = match kind {
            FileKind::Pages { page_bytes } => {
                Body::Pages(Box::new(Pages::open(owner, &path, page_bytes)?))
            }
            FileKind::Stream => Body::Stream(Stream::new(owner)),
        };
        Ok(Self {
            owner,
            path,
            size: 0,
            hasher: Some(FileHasher::new()),
            body: Some(body),
        })
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// If the backup has failed or was cancelled meanwhile.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), VaultError> {
        self.owner.pipeline.check()?;
        self.size += bytes.len() as u64;
        let hasher = self
            .hasher
            .as_mut()
            .expect("there until the file is finished");
        match self
            .body
            .as_mut()
            .expect("there until the file is finished")
        {
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
        let mut hasher = self
            .hasher
            .take()
            .expect("there until the file is finished");
        let body = match self.body.take().expect("there until the file is finished") {
            Body::Pages(pages) => {
                let page_bytes = pages.page_bytes;
                if !self.size.is_multiple_of(u64::from(page_bytes)) {
                    let (path, bytes) = (self.path.clone(), self.size);
                    return Err(VaultError::BrokenPage {
                        path,
                        bytes,
                        page_bytes,
                    });
                }
                pages.finish(&mut hasher, self.owner)?
            }
            Body::Stream(stream) => stream.finish(&mut hasher, self.owner)?,
        };
        let (size, sha256) = (self.size, hasher.finish());
        let written = WrittenFile {
            path: self.path.clone(),
            size,
            sha256,
            body,
        };
        self.owner.finished(written);
        Ok((size, sha256))
    }
}

/// Bytes of a block: a multiple of every page size.
pub(super) const BLOCK_BYTES: usize = FRAME_BYTES;

/// Blocks of one file that may be on their way at once.
pub(super) fn in_flight_max(pipeline: &Pipeline) -> usize {
    pipeline.threads * 2 + 2
}

/// Follows a leftover into the frame that it moved to.
pub(super) fn moved(
    at: &mut At,
    frame_offset: &mut u32,
    leftover: &Leftover,
    ticket: u32,
    base: u32,
) {
    if *at
        == (At::New {
            ticket: leftover.ticket,
        })
    {
        *at = At::New { ticket };
        *frame_offset += base;
    }
}

/// Pieces that this backup stored, by their ids.
pub(super) type FreshPieces = HashMap<PieceId, (At, u32)>;
