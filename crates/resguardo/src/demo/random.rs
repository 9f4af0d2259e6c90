//! A small seeded generator (SplitMix64, <https://prng.di.unimi.it/splitmix64.c>): the demo's shop is the
//! same on every machine.

/// Deterministic numbers. Not for keys.
pub struct Random(u64);

impl Random {
    /// A generator that begins at `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` up to and without `high`.
    pub fn between(&mut self, low: u32, high: u32) -> u32 {
        debug_assert!(low < high);
        let width = u64::from(high - low);
        low + u32::try_from(self.bits() % width).expect("a remainder is below its divisor")
    }

    /// One of `items`.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        let count = u32::try_from(items.len()).expect("the demo's lists are short");
        &items[self.between(0, count) as usize]
    }
}
