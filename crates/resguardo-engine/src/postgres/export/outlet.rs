//! The file that a plain dump goes into: compressed if asked for, counted and hashed as it lies on disk.

use std::fs::File;
use std::io::{self, BufWriter, Read as _, Write};
use std::path::Path;

use flate2::write::GzEncoder;
use resguardo_model::Sha256Digest;
use sha2::Digest as _;

use super::format::Compression;
use crate::durable;
use crate::port::{EngineError, FileDigest, Run};
use crate::system::of_system;

/// What the last line of a plain dump but for `\unrestrict` begins with.
const END: &[u8] = b"-- PostgreSQL database dump complete";
/// Bytes of the end that are kept to look for it.
const TAIL_BYTES: usize = 512;
/// What a disk that is not full has room for.
const ROOM_BYTES: usize = 1 << 20;
/// zstd's level: most of its compression at most of its speed.
const ZSTD_LEVEL: i32 = 3;

/// A dump on its way to disk.
pub(super) struct Outlet {
    body: Body,
    /// The end before compression.
    tail: Vec<u8>,
    taken_bytes: u64,
}

enum Body {
    Bare(Hashed),
    Gzip(GzEncoder<Hashed>),
    Zstd(zstd::Encoder<'static, Hashed>),
}

impl Outlet {
    /// Creates the file, for its owner alone.
    pub(super) fn create(path: &Path, compression: Compression) -> io::Result<Self> {
        let file = Hashed {
            file: BufWriter::with_capacity(1 << 20, durable::create_private(path)?),
            hasher: sha2::Sha256::new(),
            bytes: 0,
        };
        let body = match compression {
            Compression::None => Body::Bare(file),
            Compression::Gzip => Body::Gzip(GzEncoder::new(file, flate2::Compression::default())),
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(file, ZSTD_LEVEL)?;
                encoder.include_checksum(true)?;
                Body::Zstd(encoder)
            }
        };
        Ok(Self {
            body,
            tail: Vec::new(),
            taken_bytes: 0,
        })
    }

    /// Bytes that came, before compression.
    pub(super) fn taken_bytes(&self) -> u64 {
        self.taken_bytes
    }

    /// Whether the end is there.
    pub(super) fn is_whole(&self) -> bool {
        self.tail.windows(END.len()).any(|window| window == END)
    }

    /// Ends compression and flushes the file.
    pub(super) fn finish(self) -> io::Result<FileDigest> {
        let file = match self.body {
            Body::Bare(file) => file,
            Body::Gzip(encoder) => encoder.finish()?,
            Body::Zstd(encoder) => encoder.finish()?,
        };
        let inner: File = file
            .file
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        inner.sync_all()?;
        Ok(FileDigest {
            bytes: file.bytes,
            sha256: Sha256Digest::from(file.hasher),
        })
    }
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = match &mut self.body {
            Body::Bare(file) => file.write(bytes),
            Body::Gzip(encoder) => encoder.write(bytes),
            Body::Zstd(encoder) => encoder.write(bytes),
        }?;
        self.taken_bytes += taken as u64;
        let last = &bytes[taken.saturating_sub(TAIL_BYTES)..taken];
        self.tail.extend_from_slice(last);
        let excess = self.tail.len().saturating_sub(TAIL_BYTES);
        self.tail.drain(..excess);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.body {
            Body::Bare(file) => file.flush(),
            Body::Gzip(encoder) => encoder.flush(),
            Body::Zstd(encoder) => encoder.flush(),
        }
    }
}

/// Writes a little beside what somebody else could not write to its end.
///
/// # Errors
/// The system's answer, where there is no room for it.
pub(super) fn refuse_without_room(draft: &Path) -> io::Result<()> {
    let path = draft.with_extension("room");
    let written = durable::create_private(&path).and_then(|mut file| {
        file.write_all(&[0; ROOM_BYTES])?;
        file.sync_all()
    });
    let _ = std::fs::remove_file(&path);
    written
}

/// Hashes a file that somebody else has written, and flushes it.
pub(super) fn flush_and_hash(path: &Path, run: Run<'_>) -> Result<FileDigest, EngineError> {
    let failed = |error| of_system("reading back", path, error);
    let mut file = File::open(path).map_err(failed)?;
    let mut hasher = sha2::Sha256::new();
    let mut block = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        run.cancel.check()?;
        let read = file.read(&mut block).map_err(failed)?;
        if read == 0 {
            break;
        }
        hasher.update(&block[..read]);
        bytes += read as u64;
    }
    file.sync_all().map_err(failed)?;
    Ok(FileDigest {
        bytes,
        sha256: Sha256Digest::from(hasher),
    })
}

/// Counts and hashes what reaches the file.
struct Hashed {
    file: BufWriter<File>,
    hasher: sha2::Sha256,
    bytes: u64,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.file.write(bytes)?;
        self.hasher.update(&bytes[..taken]);
        self.bytes += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
