//! Pieces, the unit of deduplication, and their keyed ids. `docs/format.md`, "Pieces".

/// The id of a piece: the first 16 bytes of its BLAKE3 hash, keyed with the host's chunk key, so that
/// whoever sees an index cannot test for known content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PieceId(pub(crate) [u8; 16]);

/// The key of the ids. Its holder can tell whether a given piece is in an index.
#[derive(Clone)]
pub(crate) struct ChunkKey(zeroize::Zeroizing<[u8; 32]>);

impl ChunkKey {
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self(zeroize::Zeroizing::new(key))
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The id of one piece.
    pub(crate) fn id(&self, piece: &[u8]) -> PieceId {
        let hash = blake3::keyed_hash(&self.0, piece);
        let mut id = [0; 16];
        id.copy_from_slice(&hash.as_bytes()[..16]);
        PieceId(id)
    }

    /// The ids of pages that lie back to back.
    pub(crate) fn page_ids(&self, pages: &[u8], page_bytes: usize) -> Vec<PieceId> {
        pages.chunks(page_bytes).map(|page| self.id(page)).collect()
    }

    /// Seeds the cutter's gear table, so that cut positions tell nothing of the content.
    pub(crate) fn gear_seed(&self) -> u64 {
        let derived = blake3::derive_key("resguardo 2026 fastcdc gear seed", &*self.0);
        u64::from_le_bytes(derived[..8].try_into().expect("8 of 32 bytes"))
    }
}
