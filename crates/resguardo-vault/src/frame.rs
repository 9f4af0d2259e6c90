//! Frames: pieces compressed together, so that small pieces compress like large ones.

use std::cell::RefCell;

use zstd::bulk::{Compressor, Decompressor};

/// Raw bytes that a frame is filled up to.
pub(crate) const FRAME_BYTES: usize = 1 << 20;
/// Raw bytes beyond which a reader refuses a frame.
pub(crate) const FRAME_BYTES_MAX: usize = 4 << 20;

/// A frame as it goes into a pack.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) compressed: Vec<u8>,
    pub(crate) raw_bytes: u32,
}

thread_local! {
    static COMPRESSOR: RefCell<Option<(i32, Compressor<'static>)>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Compresses `raw` into one zstd frame with its content size and checksum.
pub(crate) fn compress(raw: &[u8], level: i32) -> std::io::Result<Frame> {
    COMPRESSOR.with_borrow_mut(|slot| {
        if slot.as_ref().is_none_or(|(at, _)| *at != level) {
            let mut fresh = Compressor::new(level)?;
            fresh.include_checksum(true)?;
            fresh.include_contentsize(true)?;
            *slot = Some((level, fresh));
        }
        let (_, compressor) = slot.as_mut().expect("set above");
        let raw_bytes = u32::try_from(raw.len()).map_err(std::io::Error::other)?;
        Ok(Frame {
            compressed: compressor.compress(raw)?,
            raw_bytes,
        })
    })
}

/// Decodes one frame that must have exactly `raw_bytes` bytes of content.
pub(crate) fn decode(compressed: &[u8], raw_bytes: u32) -> std::io::Result<Vec<u8>> {
    let raw_bytes = raw_bytes as usize;
    if raw_bytes > FRAME_BYTES_MAX {
        return Err(std::io::Error::other(format!(
            "a frame of {raw_bytes} bytes is beyond the format's limit"
        )));
    }
    DECOMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = Some(Decompressor::new()?);
        }
        let decompressor = slot.as_mut().expect("set above");
        let raw = decompressor.decompress(compressed, raw_bytes)?;
        if raw.len() == raw_bytes {
            Ok(raw)
        } else {
            Err(std::io::Error::other(format!(
                "a frame has {} bytes, its table says {raw_bytes}",
                raw.len()
            )))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_refuses_wrong_sizes_and_flipped_bits() {
        let raw = b"resguardo ".repeat(50_000);
        let frame = compress(&raw, 3).unwrap();
        assert_eq!(decode(&frame.compressed, frame.raw_bytes).unwrap(), raw);
        assert!(decode(&frame.compressed, frame.raw_bytes - 1).is_err());
        assert!(decode(&frame.compressed, frame.raw_bytes + 1).is_err());
        assert!(decode(&frame.compressed, u32::MAX).is_err());
        let mut flipped = frame.compressed.clone();
        *flipped.last_mut().unwrap() ^= 1;
        assert!(
            decode(&flipped, frame.raw_bytes).is_err(),
            "the checksum at the end catches it"
        );
    }
}
