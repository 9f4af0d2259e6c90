//! One pack, opened: fetched as a whole, or by ranges where only little of it is wanted.

use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::sync::Arc;

use age::stream::StreamReader;
use bytes::Bytes;
use resguardo_model::{FindingKind, ObjectRef, Sha256Digest, SourceName};
use resguardo_store::{Key, Store, StoreError};

use crate::error::VaultError;
use crate::frame;
use crate::headers::{self, Spliced};
use crate::layout;
use crate::pack::{PACK_BYTES_MAX, PackTable};
use crate::seal;
use crate::vault::Vault;

/// An object that is read by ranges, a window at a time. Behind a cursor for seeking.
struct RangedObject {
    store: Arc<dyn Store>,
    key: Key,
    bytes: u64,
    position: u64,
    window: Bytes,
    window_at: u64,
    window_bytes: u64,
}

/// First window: four of age's sealed chunks, small enough not to waste.
const WINDOW_BYTES: u64 = 256 << 10;
/// Last window: whoever reads on and on has each one twice as large, so that a far store is not asked for
/// every frame.
const WINDOW_BYTES_MAX: u64 = 4 << 20;

impl RangedObject {
    fn new(store: Arc<dyn Store>, key: Key, bytes: u64) -> Self {
        Self {
            store,
            key,
            bytes,
            position: 0,
            window: Bytes::new(),
            window_at: 0,
            window_bytes: WINDOW_BYTES,
        }
    }
}

impl Read for RangedObject {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position >= self.bytes {
            return Ok(0);
        }
        let held = self.window_at..self.window_at + self.window.len() as u64;
        if !held.contains(&self.position) {
            let reads_on = !self.window.is_empty() && self.position == held.end;
            self.window_bytes = if reads_on {
                (self.window_bytes * 2).min(WINDOW_BYTES_MAX)
            } else {
                WINDOW_BYTES
            };
            let end = (self.position + self.window_bytes).min(self.bytes);
            self.window = self
                .store
                .get_range(&self.key, self.position..end)
                .map_err(io::Error::other)?;
            self.window_at = self.position;
        }
        let from = usize::try_from(self.position - self.window_at).expect("inside the window");
        let count = buffer.len().min(self.window.len() - from);
        buffer[..count].copy_from_slice(&self.window[from..from + count]);
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for RangedObject {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(by) => self.bytes.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}

/// Where the sealed bytes come from.
enum Sealed {
    Whole(Cursor<Bytes>),
    Ranged(RangedObject),
}

impl Read for Sealed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Whole(bytes) => bytes.read(buffer),
            Self::Ranged(object) => object.read(buffer),
        }
    }
}

impl Seek for Sealed {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::Whole(bytes) => bytes.seek(to),
            Self::Ranged(object) => object.seek(to),
        }
    }
}

/// An opened pack whose frames can be decoded one by one.
pub(crate) struct OpenedPack {
    key: Key,
    reader: StreamReader<Spliced<Sealed>>,
    table: PackTable,
    position: u64,
    buffer: Vec<u8>,
}

impl OpenedPack {
    /// Opens a pack of which about `wanted_frames` frames of about 1 MiB are wanted.
    pub(crate) fn fetch(
        vault: &Vault,
        source: &SourceName,
        pack: &ObjectRef,
        wanted_bytes: u64,
    ) -> Result<Self, VaultError> {
        let key = layout::pack(source, &pack.sha256);
        if pack.bytes > PACK_BYTES_MAX {
            return Err(seal::damaged(
                &key,
                FindingKind::PackUnreadable,
                "it is beyond the format's size",
            ));
        }
        // What is wanted is uncompressed: a third of it is a fair guess of what has to be fetched.
        if wanted_bytes / 3 < pack.bytes / 4 {
            let sealed = || {
                let store = Arc::clone(vault.store());
                Sealed::Ranged(RangedObject::new(store, key.clone(), pack.bytes))
            };
            return Self::open(vault, (source, &key, &pack.sha256), sealed);
        }
        let bytes = fetch_whole(vault, &key, pack)?;
        Self::of_bytes(vault, (source, &key, &pack.sha256), bytes)
    }

    /// Opens a pack whose bytes are at hand.
    pub(crate) fn of_bytes(
        vault: &Vault,
        place: (&SourceName, &Key, &Sha256Digest),
        bytes: Bytes,
    ) -> Result<Self, VaultError> {
        Self::open(vault, place, || Sealed::Whole(Cursor::new(bytes.clone())))
    }

    fn open(
        vault: &Vault,
        place: (&SourceName, &Key, &Sha256Digest),
        sealed: impl Fn() -> Sealed,
    ) -> Result<Self, VaultError> {
        let key = place.1;
        let mut reader = headers::open(vault, place, FindingKind::PackDamaged, sealed)
            .map_err(|error| not_found(key, error))?;
        let table = PackTable::read(&mut reader).map_err(|error| broken(key, error))?;
        Ok(Self {
            key: key.clone(),
            reader,
            table,
            position: u64::MAX,
            buffer: Vec::new(),
        })
    }

    /// Where its frames lie.
    pub(crate) fn table(&self) -> &PackTable {
        &self.table
    }

    /// Decodes one frame.
    pub(crate) fn decode(&mut self, number: u32) -> Result<Vec<u8>, VaultError> {
        let key = &self.key;
        let Some(place) = self.table.frame(number) else {
            let frames = self.table.frames().len();
            let what = format!("it has {frames} frames, number {number} is wanted");
            return Err(seal::damaged(key, FindingKind::PackUnreadable, what));
        };
        if self.position != place.offset {
            self.reader
                .seek(SeekFrom::Start(place.offset))
                .map_err(|error| broken(key, error))?;
        }
        self.buffer.resize(place.compressed_bytes as usize, 0);
        self.reader
            .read_exact(&mut self.buffer)
            .map_err(|error| broken(key, error))?;
        self.position = place.offset + u64::from(place.compressed_bytes);
        let undecodable = |error| {
            seal::damaged(
                key,
                FindingKind::PackUnreadable,
                format!("frame {number}: {error}"),
            )
        };
        frame::decode(&self.buffer, place.raw_bytes).map_err(undecodable)
    }
}

/// Fetches all of a pack and compares it with its name; what is wrong with it is a finding.
pub(crate) fn fetch_whole(vault: &Vault, key: &Key, pack: &ObjectRef) -> Result<Bytes, VaultError> {
    // By its range: a pack that swelled in the store fills no memory.
    let bytes = vault
        .store()
        .get_range(key, 0..pack.bytes)
        .map_err(|error| not_found(key, error.into()))?;
    let found = Sha256Digest::of(&bytes);
    if found == pack.sha256 {
        return Ok(bytes);
    }
    let what = format!("its SHA-256 is {found}: its bytes are not those that its name promises");
    Err(seal::damaged(key, FindingKind::PackDamaged, what))
}

/// An error while reading: the store's own where it was the store's, else the pack is damaged.
fn broken(key: &Key, error: io::Error) -> VaultError {
    match error.downcast::<StoreError>() {
        Ok(error) => not_found(key, error.into()),
        Err(error) => seal::damaged(key, FindingKind::PackDamaged, error),
    }
}

fn not_found(key: &Key, error: VaultError) -> VaultError {
    match error {
        VaultError::Store(StoreError::NotFound { .. }) => {
            seal::damaged(key, FindingKind::PackMissing, "it is not in the vault")
        }
        VaultError::Store(StoreError::OutOfRange { bytes, .. }) => seal::damaged(
            key,
            FindingKind::PackTruncated,
            format!("it is cut off at {bytes} bytes"),
        ),
        other => other,
    }
}
