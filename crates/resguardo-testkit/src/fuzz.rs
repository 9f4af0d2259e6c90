//! Fuzz targets: what each of them runs in a moment, on every machine, before a fuzzer takes over.
//!
//! A target is a test `NAME` of a file `tests/fuzz.rs` (or of a module `fuzz`) whose kept inputs lie in
//! `tests/__fuzz__/NAME/corpus` of its crate. `cargo xtask fuzz` finds and runs them for as long as is
//! wanted, guided by coverage.

use std::path::Path;

/// Inputs made of the kept ones for each target.
const MUTANTS: usize = 3000;

/// Runs a check on the inputs that are kept for `target` of the crate in `manifest_dir`, and on as many made of
/// them: bytes changed, cut, doubled and taken from one another. Far more of those get past the first byte than
/// of what is drawn at random.
pub fn mutants(manifest_dir: &str, target: &str, check: fn(&[u8])) {
    let folder = Path::new(manifest_dir).join("tests/__fuzz__");
    let folder = folder.join(target).join("corpus");
    let mut kept: Vec<Vec<u8>> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .collect();
    kept.sort();
    assert!(!kept.is_empty(), "{target} has a corpus");
    for bytes in &kept {
        check(bytes);
    }
    let mut draw = Draw(0x5EED);
    for _ in 0..MUTANTS {
        check(&mutant(&kept, &mut draw));
    }
}

/// Numbers of a linear congruential generator: the same in every run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end.max(1)
    }
}

fn mutant(kept: &[Vec<u8>], draw: &mut Draw) -> Vec<u8> {
    let mut bytes = kept[draw.below(kept.len())].clone();
    for _ in 0..=draw.below(4) {
        let at = draw.below(bytes.len());
        match draw.below(6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, u8::try_from(draw.below(256)).unwrap()),
            2 => {
                let other = &kept[draw.below(kept.len())];
                let from = draw.below(other.len());
                bytes.splice(at..at, other[from..].iter().copied().take(64));
            }
            3 => {
                let end = (at + 8).min(bytes.len());
                bytes[at..end].fill(0xFF);
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << draw.below(8);
                }
            }
        }
    }
    bytes
}
