//! Frames that several small files share, kept for the next of them: ten thousand tables of a few rows lie in
//! a few frames, and each is read as a file of its own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes that are kept, decoded.
const BYTES_MAX: usize = 16 << 20;

/// A frame by its pack's position in the manifest and its own in the pack.
type Place = (u32, u32);

/// The frames that were wanted last.
#[derive(Debug, Default)]
pub(super) struct KeptFrames(Mutex<VecDeque<(Place, Arc<Vec<u8>>)>>);

impl KeptFrames {
    pub(super) fn get(&self, pack: u32, frame: u32) -> Option<Arc<Vec<u8>>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|(place, _)| *place == (pack, frame))?;
        let found = kept.remove(at)?;
        let raw = Arc::clone(&found.1);
        kept.push_back(found);
        Some(raw)
    }

    pub(super) fn keep(&self, pack: u32, frame: u32, raw: &Arc<Vec<u8>>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.iter().any(|(place, _)| *place == (pack, frame)) {
            return;
        }
        kept.push_back(((pack, frame), Arc::clone(raw)));
        let mut bytes: usize = kept.iter().map(|(_, raw)| raw.len()).sum();
        while bytes > BYTES_MAX {
            let Some((_, oldest)) = kept.pop_front() else {
                return;
            };
            bytes -= oldest.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_was_wanted_last() {
        let kept = KeptFrames::default();
        let raw = Arc::new(vec![0; BYTES_MAX / 4]);
        for frame in 0..4 {
            kept.keep(0, frame, &raw);
        }
        assert!(kept.get(0, 0).is_some());
        kept.keep(1, 0, &raw);
        assert!(
            kept.get(0, 1).is_none(),
            "the one that nobody wanted for longest"
        );
        assert!(kept.get(0, 0).is_some() && kept.get(1, 0).is_some());
    }
}
