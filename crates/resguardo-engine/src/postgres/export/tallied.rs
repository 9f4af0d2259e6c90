//! The sink of what is read beside a dump: it is counted and digested on its way here, and not kept, but for the
//! inventory that comes of it.

use std::sync::Mutex;

use resguardo_model::{FileKind, FilePath, Sha256Digest};
use serde_json::Value;
use sha2::Digest as _;

use crate::port::{CaptureSink, FileDigest, FileSink, SinkError};
use crate::postgres::inventory::INVENTORY;

/// Keeps the inventory alone.
#[derive(Default)]
pub(super) struct Tallied {
    inventory: Mutex<Vec<u8>>,
}

impl Tallied {
    /// The inventory that was written.
    ///
    /// # Errors
    /// If it is none.
    pub(super) fn inventory(self) -> serde_json::Result<Value> {
        let text = self.inventory.into_inner();
        serde_json::from_slice(&text.expect("no holder of it panics"))
    }
}

impl CaptureSink for Tallied {
    fn open_file(
        &self,
        path: &FilePath,
        _kind: FileKind,
    ) -> Result<Box<dyn FileSink + '_>, SinkError> {
        Ok(Box::new(TalliedFile {
            keeper: (path.as_str() == INVENTORY).then_some(self),
            text: Vec::new(),
            bytes: 0,
        }))
    }
}

struct TalliedFile<'a> {
    /// Who keeps it, if anybody does.
    keeper: Option<&'a Tallied>,
    text: Vec<u8>,
    bytes: u64,
}

impl FileSink for TalliedFile<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        self.bytes += bytes.len() as u64;
        if self.keeper.is_some() {
            self.text.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<FileDigest, SinkError> {
        let digest = FileDigest {
            bytes: self.bytes,
            // Of what is not kept nobody asks for it.
            sha256: Sha256Digest::from(sha2::Sha256::new_with_prefix(&self.text)),
        };
        if let Some(keeper) = self.keeper {
            *keeper.inventory.lock().expect("no holder of it panics") = self.text;
        }
        Ok(digest)
    }
}
