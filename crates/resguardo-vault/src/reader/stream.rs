//! Reads one file from its beginning to its end.

use std::io::{self, Read};

use resguardo_model::{FileEntry, Sha256Digest};
use sha2::{Digest as _, Sha256};

use super::scatter::name_backup;
use super::{OpenedPack, Snapshot};
use crate::error::VaultError;

/// Packs that are kept open: a stream that was backed up many times jumps between few.
const PACKS_OPEN: usize = 2;

pub(super) struct FileStream<'a> {
    snapshot: &'a Snapshot,
    entry: &'a FileEntry,
    next_extent: usize,
    /// The decoded frame and its place.
    frame: Option<((u32, u32), Vec<u8>)>,
    /// What is left of the current extent, in the frame.
    rest: std::ops::Range<usize>,
    packs: Vec<(u32, OpenedPack)>,
    sha256: Option<Sha256>,
}

impl<'a> FileStream<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, entry: &'a FileEntry) -> Self {
        Self {
            snapshot,
            entry,
            next_extent: 0,
            frame: None,
            rest: 0..0,
            packs: Vec::new(),
            sha256: Some(Sha256::new()),
        }
    }

    /// Goes to the next extent; `false` at the end of the file.
    fn advance(&mut self) -> Result<bool, VaultError> {
        let Some(extent) = self.entry.extents.get(self.next_extent) else { return Ok(false) };
        self.next_extent += 1;
        let place = (extent.pack, extent.frame);
        if self.frame.as_ref().is_none_or(|(at, _)| *at != place) {
            let backup = self.snapshot.head.head.backup;
            let raw = self.pack(extent.pack)?.decode(extent.frame).map_err(|error| name_backup(error, backup))?;
            self.frame = Some((place, raw));
        }
        let from = extent.frame_offset as usize;
        let length = usize::try_from(extent.length).expect("the manifest was checked: it fits a frame");
        self.rest = from..from + length;
        Ok(true)
    }

    fn pack(&mut self, number: u32) -> Result<&mut OpenedPack, VaultError> {
        if let Some(at) = self.packs.iter().position(|(open, _)| *open == number) {
            self.packs.swap(at, 0);
            return Ok(&mut self.packs[0].1);
        }
        let head = &self.snapshot.head.head;
        let object = &self.snapshot.manifest.header.packs[number as usize];
        let wanted = self.entry.extents.iter().filter(|extent| extent.pack == number);
        let wanted = wanted.map(|extent| extent.length).sum();
        let opened = OpenedPack::fetch(self.snapshot.vault(), &head.source, object, wanted)
            .map_err(|error| name_backup(error, head.backup))?;
        self.packs.truncate(PACKS_OPEN - 1);
        self.packs.insert(0, (number, opened));
        Ok(&mut self.packs[0].1)
    }

    fn check_digest(&mut self) -> Result<(), VaultError> {
        let Some(sha256) = self.sha256.take() else { return Ok(()) };
        let (actual, expected) = (Sha256Digest::from(sha256), self.entry.sha256);
        if actual == expected {
            return Ok(());
        }
        Err(VaultError::DigestMismatch { path: self.entry.path.to_string(), expected, actual })
    }
}

impl Read for FileStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            if !self.advance().map_err(io::Error::other)? {
                self.check_digest().map_err(io::Error::other)?;
                return Ok(0);
            }
        }
        let count = buffer.len().min(self.rest.len());
        let (_, raw) = self.frame.as_ref().expect("an extent lies in a frame");
        let Some(bytes) = raw.get(self.rest.start..self.rest.start + count) else {
            let message = format!("{}: a frame is shorter than the manifest says", self.entry.path);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        };
        buffer[..count].copy_from_slice(bytes);
        self.rest.start += count;
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
        Ok(count)
    }
}
