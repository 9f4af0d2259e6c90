//! Cuts a stream into pieces by its content: FastCDC 2020 (Xia et al., USENIX ATC 2016 and TPDS 2020),
//! with averages that grow with the stream. `docs/format.md`, "Pieces".

use fastcdc::v2020::{FastCDC, Normalization};

/// Stream offsets from which an average holds. Cutting never looks across them.
const TIERS: [(u64, u32); 3] = [(0, 4 << 10), (16 << 20, 32 << 10), (1 << 30, 128 << 10)];

/// Pieces back to back.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// The bytes of all of them.
    pub(crate) bytes: Vec<u8>,
    /// Their lengths.
    pub(crate) lengths: Vec<u32>,
}

/// Cuts pieces off the front of a growing buffer.
pub(crate) struct Cutter {
    seed: u64,
    offset: u64,
    buffer: Vec<u8>,
}

/// Cutting waits for this many bytes, so that no cut depends on how the writer portioned its bytes. More
/// than the longest piece.
const BATCH_BYTES: usize = 1 << 20;

impl Cutter {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            offset: 0,
            buffer: Vec::new(),
        }
    }

    /// Takes bytes of the stream and hands out whole pieces through `take`, a block at a time.
    pub(crate) fn write<E>(
        &mut self,
        mut bytes: &[u8],
        take: &mut impl FnMut(Block) -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() {
            let room = BATCH_BYTES - self.buffer.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
            if self.buffer.len() == BATCH_BYTES {
                take(self.cut(false))?;
            }
        }
        Ok(())
    }

    /// Hands out what is left.
    pub(crate) fn finish<E>(
        mut self,
        take: &mut impl FnMut(Block) -> Result<(), E>,
    ) -> Result<(), E> {
        match self.cut(true) {
            none if none.lengths.is_empty() => Ok(()),
            last => take(last),
        }
    }

    /// Every piece that can be told by now; the bytes after them stay for the next time.
    fn cut(&mut self, last: bool) -> Block {
        let mut start = 0;
        let mut lengths = Vec::new();
        while start < self.buffer.len() {
            let (average, tier_end) = tier(self.offset);
            let rest = &self.buffer[start..];
            // A piece is at most four averages long: with that many bytes at hand, or with the end of
            // the stream or tier, the cut cannot depend on bytes that are still to come.
            let window = (average as usize) * 4;
            let to_tier_end = usize::try_from(tier_end - self.offset).unwrap_or(usize::MAX);
            if !last && rest.len() < window.min(to_tier_end) {
                break;
            }
            let window = &rest[..rest.len().min(window).min(to_tier_end)];
            let length = first_cut(window, average, self.seed);
            lengths.push(u32::try_from(length).expect("a piece has at most 512 KiB"));
            start += length;
            self.offset += length as u64;
        }
        let mut rest = Vec::new();
        if !last {
            rest.reserve_exact(BATCH_BYTES);
            rest.extend_from_slice(&self.buffer[start..]);
        }
        let mut bytes = std::mem::replace(&mut self.buffer, rest);
        bytes.truncate(start);
        Block { bytes, lengths }
    }
}

/// The average in force at a stream offset, and where it ends.
fn tier(offset: u64) -> (u32, u64) {
    let at = TIERS
        .iter()
        .rposition(|(from, _)| *from <= offset)
        .expect("the first tier begins at 0");
    (
        TIERS[at].1,
        TIERS.get(at + 1).map_or(u64::MAX, |(from, _)| *from),
    )
}

fn first_cut(window: &[u8], average: u32, seed: u64) -> usize {
    let average = average as usize;
    FastCDC::with_level_and_seed(
        window,
        average / 4,
        average,
        average * 4,
        Normalization::Level1,
        seed,
    )
    .next()
    .map_or(window.len(), |chunk| chunk.length)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    fn pieces(data: &[u8], portions: &[usize]) -> Vec<Vec<u8>> {
        let mut cutter = Cutter::new(7);
        let mut pieces = Vec::new();
        let mut keep = |block: Block| -> Result<(), Infallible> {
            let mut rest = &block.bytes[..];
            for length in block.lengths {
                let (piece, later) = rest.split_at(length as usize);
                pieces.push(piece.to_vec());
                rest = later;
            }
            assert!(rest.is_empty());
            Ok(())
        };
        let mut rest = data;
        let mut portions = portions
            .iter()
            .copied()
            .filter(|portion| *portion > 0)
            .cycle();
        while !rest.is_empty() {
            let portion = portions.next().unwrap_or(rest.len()).min(rest.len());
            cutter.write(&rest[..portion], &mut keep).unwrap();
            rest = &rest[portion..];
        }
        cutter.finish(&mut keep).unwrap();
        pieces
    }

    fn noise(seed: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        blake3::Hasher::new()
            .update(&seed.to_le_bytes())
            .finalize_xof()
            .fill(&mut bytes);
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn pieces_join_to_the_stream_however_it_is_portioned(
            seed: u64,
            length in 0_usize..3_000_000,
            portions in prop::collection::vec(1_usize..900_000, 1..6),
        ) {
            let data = noise(seed, length);
            let whole = pieces(&data, &[]);
            prop_assert_eq!(whole.concat(), data.clone());
            prop_assert_eq!(pieces(&data, &portions), whole);
        }

        #[test]
        fn an_insertion_changes_few_pieces(seed: u64, at in 0_usize..1_000_000) {
            let mut data = noise(seed, 1_000_000);
            let before: std::collections::HashSet<_> = pieces(&data, &[]).into_iter().collect();
            data.insert(at, 0);
            let after = pieces(&data, &[]);
            let new = after.iter().filter(|piece| !before.contains(*piece)).count();
            prop_assert!(new <= 6, "{} of {} pieces are new", new, after.len());
        }
    }

    #[test]
    fn pieces_grow_with_the_stream() {
        assert_eq!(tier(0), (4 << 10, 16 << 20));
        assert_eq!(tier((16 << 20) - 1), (4 << 10, 16 << 20));
        assert_eq!(tier(16 << 20), (32 << 10, 1 << 30));
        assert_eq!(tier(1 << 40), (128 << 10, u64::MAX));
        let average = |data: &[u8]| data.len() / pieces(data, &[]).len();
        let small = average(&noise(1, 8 << 20));
        assert!((2_500..7_000).contains(&small), "{small}");
    }
}
