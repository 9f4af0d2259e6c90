//! Bytes from outside, never more of them than the format allows ("Limits" in `docs/format.md`).
//!
//! Whoever may write to the store can put anything under any name; what is read into memory is bounded
//! before it is read, and what is decoded while it is decoded.

use std::io::{self, Read};

use bytes::Bytes;
use resguardo_store::{Key, Store, StoreError};

/// Bytes of `vault.json` or a lease.
pub(crate) const PLAIN_BYTES_MAX: u64 = 1 << 20;
/// What any manifest or index object may decode to, whatever its size.
const DECODED_BYTES_MAX: u64 = 16 << 30;
/// What a small one may decode to.
const DECODED_BYTES_LEAST: u64 = 64 << 20;
/// Beyond that, so many times its sealed size: records hardly compress tenfold.
const DECODED_TIMES_MAX: u64 = 256;

/// Reads an object unless it is larger than `bytes_max`.
///
/// # Errors
/// The store's own; [`StoreError::Other`] that says how large it is.
pub(crate) fn get(store: &dyn Store, key: &Key, bytes_max: u64) -> Result<Bytes, StoreError> {
    let bytes = store.stat(key)?.bytes;
    if bytes <= bytes_max {
        return store.get_range(key, 0..bytes);
    }
    let what = format!("it has {bytes} bytes, the format allows {bytes_max}");
    Err(StoreError::Other {
        operation: "get",
        key: key.to_string(),
        source: what.into(),
    })
}

/// A reader of decoded bytes that fails, rather than ends, beyond what `sealed_bytes` may decode to.
pub(crate) struct Decoded<R> {
    inner: R,
    left: u64,
    bytes_max: u64,
}

impl<R: Read> Decoded<R> {
    pub(crate) fn new(inner: R, sealed_bytes: u64) -> Self {
        let bytes_max = sealed_bytes
            .saturating_mul(DECODED_TIMES_MAX)
            .clamp(DECODED_BYTES_LEAST, DECODED_BYTES_MAX);
        Self {
            inner,
            left: bytes_max,
            bytes_max,
        }
    }
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            let what = format!("it decodes to more than {} bytes", self.bytes_max);
            io::Error::new(io::ErrorKind::InvalidData, what)
        })?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use resguardo_store::{Condition, MemoryStore};

    use super::*;

    #[test]
    fn what_is_too_large_is_not_read() {
        let store = MemoryStore::new();
        let key = crate::layout::key("vault.json");
        store.put(&key, "12345".into(), Condition::Always).unwrap();
        assert_eq!(get(&store, &key, 5).unwrap(), "12345");
        let error = get(&store, &key, 4).unwrap_err();
        assert!(error.is_permanent(), "{error}");
    }

    #[test]
    fn decoding_ends_with_an_error_at_the_limit() {
        let mut read = Decoded::new(io::repeat(b' '), 10);
        let copied = io::copy(&mut read, &mut io::sink()).unwrap_err();
        assert_eq!(copied.to_string(), "it decodes to more than 67108864 bytes");
        let whole = io::repeat(b' ').take(DECODED_BYTES_LEAST);
        let mut read = Decoded::new(whole, 10);
        let copied = io::copy(&mut read, &mut io::sink()).unwrap();
        assert_eq!(copied, DECODED_BYTES_LEAST);
    }
}
