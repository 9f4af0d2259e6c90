//! Reads a file that lies somewhere as part of a backup: its digest must be what it was when it was opened.

use std::io::{self, Read};

use resguardo_model::Sha256Digest;
use sha2::Digest as _;

use crate::port::{BackupFile, ReadError};

/// Compares the digest of what is read at its end: the file may have changed since it was opened.
pub(crate) struct Proven<R> {
    inner: R,
    hasher: Option<sha2::Sha256>,
    expected: Sha256Digest,
    path: String,
}

impl<R: Read> Proven<R> {
    /// `inner` as what is told of `file`.
    pub(crate) fn new(inner: R, file: &BackupFile) -> Self {
        Self {
            inner,
            hasher: Some(sha2::Sha256::new()),
            expected: file.sha256,
            path: file.path.to_string(),
        }
    }
}

impl<R: Read> Read for Proven<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        if length > 0 {
            if let Some(hasher) = &mut self.hasher {
                hasher.update(&buffer[..length]);
            }
        } else if !buffer.is_empty()
            && let Some(hasher) = self.hasher.take()
        {
            let actual = Sha256Digest::from(hasher);
            if actual != self.expected {
                return Err(io::Error::other(ReadError::DigestMismatch {
                    path: self.path.clone(),
                    expected: self.expected,
                    actual,
                }));
            }
        }
        Ok(length)
    }
}
