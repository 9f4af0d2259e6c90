//! Packs: frames back to back with the standard table of the zstd seekable format, sealed, named by
//! the SHA-256 of the sealed object. `docs/format.md`, "Packs".

use std::io::{self, Read, Seek, SeekFrom, Write};

use resguardo_model::Sha256Digest;

use crate::frame::{FRAME_BYTES_MAX, Frame};
use crate::seal;

/// Compressed bytes that a pack is filled up to.
pub(crate) const PACK_BYTES: usize = 32 << 20;
/// Sealed bytes beyond which a reader refuses a pack.
pub(crate) const PACK_BYTES_MAX: u64 = 64 << 20;
const FRAMES_MAX: usize = 1 << 16;

const SKIPPABLE_MAGIC: u32 = 0x184D_2A5E;
const SEEKABLE_MAGIC: u32 = 0x8F92_EAB1;
const FOOTER_BYTES: usize = 9;
const ENTRY_BYTES: usize = 8;

/// Frames gathered for one pack.
#[derive(Debug, Default)]
pub(crate) struct PackBuilder {
    frames: Vec<Frame>,
    compressed_bytes: usize,
}

/// A pack ready to be stored.
pub(crate) struct SealedPack {
    pub(crate) sha256: Sha256Digest,
    pub(crate) bytes: Vec<u8>,
}

impl PackBuilder {
    /// Adds a frame and tells its number.
    pub(crate) fn push(&mut self, frame: Frame) -> u32 {
        self.compressed_bytes += frame.compressed.len();
        self.frames.push(frame);
        u32::try_from(self.frames.len() - 1).expect("a pack is full long before")
    }

    pub(crate) fn is_full(&self) -> bool {
        self.compressed_bytes >= PACK_BYTES || self.frames.len() >= FRAMES_MAX
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Seals the pack, freeing each frame as it goes.
    pub(crate) fn seal<'a>(
        self,
        recipients: impl Iterator<Item = &'a dyn age::Recipient>,
    ) -> io::Result<SealedPack> {
        // An age file adds a header and 16 bytes per 64 KiB.
        let room = self.compressed_bytes + self.compressed_bytes / 4096 + (64 << 10);
        let mut writer = seal::begin(Vec::with_capacity(room), recipients)?;
        let mut entries = Vec::with_capacity(self.frames.len() * ENTRY_BYTES);
        let frames = u32::try_from(self.frames.len()).expect("at most FRAMES_MAX");
        for frame in self.frames {
            writer.write_all(&frame.compressed)?;
            let compressed = u32::try_from(frame.compressed.len()).map_err(io::Error::other)?;
            entries.extend_from_slice(&compressed.to_le_bytes());
            entries.extend_from_slice(&frame.raw_bytes.to_le_bytes());
        }
        let table_bytes =
            u32::try_from(entries.len() + FOOTER_BYTES).expect("at most FRAMES_MAX entries");
        writer.write_all(&SKIPPABLE_MAGIC.to_le_bytes())?;
        writer.write_all(&table_bytes.to_le_bytes())?;
        writer.write_all(&entries)?;
        writer.write_all(&frames.to_le_bytes())?;
        writer.write_all(&[0])?;
        writer.write_all(&SEEKABLE_MAGIC.to_le_bytes())?;
        let bytes = writer.finish()?;
        Ok(SealedPack {
            sha256: Sha256Digest::of(&bytes),
            bytes,
        })
    }
}

/// Where the frames of an opened pack lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackTable {
    frames: Vec<FramePlace>,
}

/// Where one frame lies in an opened pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FramePlace {
    /// Offset in the opened pack.
    pub offset: u64,
    /// Compressed size.
    pub compressed_bytes: u32,
    /// Size of its content.
    pub raw_bytes: u32,
}

impl PackTable {
    /// Reads the table from the end of an opened pack; leaves the position anywhere.
    ///
    /// # Errors
    /// `InvalidData` if it is no such table; the reader's own errors.
    pub fn read(pack: &mut (impl Read + Seek)) -> io::Result<Self> {
        let bad = |what: &str| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the pack's table {what}"),
            )
        };
        let end = pack.seek(SeekFrom::End(0))?;
        if end > PACK_BYTES_MAX || end < (FOOTER_BYTES + 8) as u64 {
            return Err(bad("cannot be in a pack of that size"));
        }
        pack.seek(SeekFrom::Start(end - FOOTER_BYTES as u64))?;
        let mut footer = [0; FOOTER_BYTES];
        pack.read_exact(&mut footer)?;
        let count = le32(&footer[0..4]) as usize;
        if le32(&footer[5..9]) != SEEKABLE_MAGIC
            || footer[4] != 0
            || count == 0
            || count > FRAMES_MAX
        {
            return Err(bad("has no valid footer"));
        }
        let table_bytes = count * ENTRY_BYTES + FOOTER_BYTES;
        let Some(frames_end) = end.checked_sub(table_bytes as u64 + 8) else {
            return Err(bad("is cut off"));
        };
        pack.seek(SeekFrom::Start(frames_end))?;
        let mut table = vec![0; 8 + count * ENTRY_BYTES];
        pack.read_exact(&mut table)?;
        if le32(&table[0..4]) != SKIPPABLE_MAGIC || le32(&table[4..8]) as usize != table_bytes {
            return Err(bad("has no valid beginning"));
        }
        let mut offset = 0;
        let mut frames = Vec::with_capacity(count);
        for entry in table[8..].chunks_exact(ENTRY_BYTES) {
            let (compressed_bytes, raw_bytes) = (le32(&entry[0..4]), le32(&entry[4..8]));
            if raw_bytes as usize > FRAME_BYTES_MAX || raw_bytes == 0 {
                return Err(bad("names a frame beyond the format's limits"));
            }
            frames.push(FramePlace {
                offset,
                compressed_bytes,
                raw_bytes,
            });
            offset += u64::from(compressed_bytes);
        }
        if offset == frames_end {
            Ok(Self { frames })
        } else {
            Err(bad("does not match its frames"))
        }
    }

    /// The place of a frame.
    #[must_use]
    pub fn frame(&self, number: u32) -> Option<FramePlace> {
        self.frames.get(number as usize).copied()
    }

    /// All places, in order.
    #[must_use]
    pub fn frames(&self) -> &[FramePlace] {
        &self.frames
    }
}

fn le32(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().expect("four bytes"))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;
    use crate::frame;

    fn opened(contents: &[Vec<u8>]) -> Vec<u8> {
        let identity = age::x25519::Identity::generate();
        let recipient = identity.to_public();
        let mut builder = PackBuilder::default();
        for content in contents {
            builder.push(frame::compress(content, 3).unwrap());
        }
        let sealed = builder
            .seal(std::iter::once(&recipient as &dyn age::Recipient))
            .unwrap();
        assert_eq!(Sha256Digest::of(&sealed.bytes), sealed.sha256);
        let mut plain = Vec::new();
        age::Decryptor::new(&sealed.bytes[..])
            .unwrap()
            .decrypt(std::iter::once(&identity as &dyn age::Identity))
            .unwrap()
            .read_to_end(&mut plain)
            .unwrap();
        plain
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn frames_are_found_and_zstd_skips_the_table(
            contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..5000), 1..20),
        ) {
            let plain = opened(&contents);
            prop_assert_eq!(zstd::decode_all(&plain[..]).unwrap(), contents.concat());
            let table = PackTable::read(&mut Cursor::new(&plain)).unwrap();
            for (place, content) in table.frames().iter().zip(&contents) {
                let from = usize::try_from(place.offset).unwrap();
                let compressed = &plain[from..from + place.compressed_bytes as usize];
                prop_assert_eq!(&frame::decode(compressed, place.raw_bytes).unwrap(), content);
            }
            prop_assert_eq!(table.frames().len(), contents.len());
        }

        #[test]
        fn no_bytes_are_taken_for_a_table_by_mistake(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(PackTable::read(&mut Cursor::new(&bytes)).is_err());
        }

        #[test]
        fn a_cut_or_flipped_table_is_refused(cut in 1_usize..60, flip in 0_usize..480) {
            let plain = opened(&[vec![1; 100], vec![2; 200], vec![3; 300]]);
            prop_assert!(PackTable::read(&mut Cursor::new(&plain[..plain.len() - cut.min(plain.len())])).is_err());
            let mut flipped = plain.clone();
            // The sizes of contents cannot be checked before decoding; every other bit of it is.
            let at = plain.len() - 1 - flip / 8 % (FOOTER_BYTES - 1);
            flipped[at] ^= 1 << (flip % 8);
            prop_assert!(PackTable::read(&mut Cursor::new(&flipped)).is_err());
        }
    }
}
