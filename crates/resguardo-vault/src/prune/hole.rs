//! Holes in the chain of heads: which heads are missing because they were pruned. Pure.
//!
//! A hole is a run of removed heads, each the predecessor of the next. It is exact at both ends: it says
//! what its first head named as its predecessor, and what its last one's digest was. So it fits between two
//! heads or nowhere, and holes that adjoin merge into one of the same size.

use std::collections::HashMap;

use resguardo_model::{Head, Sha256Digest};
use serde::{Deserialize, Serialize};

use crate::head::SEQUENCES;

/// Heads that were pruned, without a living one between them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hole {
    /// Number of its first head.
    pub(crate) first: u64,
    /// Number of its last head.
    pub(crate) last: u64,
    /// What its first head names as its predecessor.
    pub(crate) previous: Option<Sha256Digest>,
    /// SHA-256 of the object of its last head.
    pub(crate) sha256: Sha256Digest,
}

impl Hole {
    /// The hole that a head leaves.
    pub(crate) fn of(head: &Head, sha256: Sha256Digest) -> Self {
        Self {
            first: head.sequence,
            last: head.sequence,
            previous: head.previous,
            sha256,
        }
    }

    /// Whether it can be one.
    pub(crate) fn fits(&self) -> bool {
        self.first <= self.last && SEQUENCES.contains(&self.first) && SEQUENCES.contains(&self.last)
    }

    /// Whether a head with that number and digest is one of those that are missing. Digests are known of
    /// the last one only: in its midst every head is taken at its number.
    fn holds(&self, sequence: u64, sha256: &Sha256Digest) -> bool {
        self.first <= sequence
            && (sequence < self.last || (sequence == self.last && self.sha256 == *sha256))
    }

    /// Whether the other explains whatever this one does.
    pub(super) fn lies_in(&self, outer: &Self) -> bool {
        outer.holds(self.last, &self.sha256)
            && (outer.first < self.first
                || (outer.first == self.first && outer.previous == self.previous))
    }

    /// What is left of the hole when a head in it is alive after all.
    fn without(self, head: &Head, sha256: Sha256Digest) -> Vec<Self> {
        let is_first = head.sequence == self.first;
        if !self.holds(head.sequence, &sha256) || (is_first && head.previous != self.previous) {
            return vec![self];
        }
        let before = head.previous.filter(|_| !is_first).map(|previous| Self {
            last: head.sequence - 1,
            sha256: previous,
            ..self.clone()
        });
        let after = (head.sequence < self.last).then(|| Self {
            first: head.sequence + 1,
            previous: Some(sha256),
            ..self
        });
        before.into_iter().chain(after).collect()
    }
}

/// The holes of a source, by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holes(Vec<Hole>);

impl Holes {
    /// The holes, with those merged that adjoin, and those left out that lie in another.
    pub(crate) fn merged(mut holes: Vec<Hole>) -> Self {
        holes.sort_by_key(|hole| (hole.first, u64::MAX - hole.last));
        let mut merged: Vec<Hole> = Vec::new();
        let mut open: HashMap<(u64, Sha256Digest), usize> = HashMap::new();
        let mut widest: Option<usize> = None;
        for hole in holes {
            if widest.is_some_and(|outer| hole.lies_in(&merged[outer])) {
                continue;
            }
            let before = hole.previous.and_then(|previous| {
                let end = hole.first.checked_sub(1)?;
                open.remove(&(end, previous))
            });
            let at = before.unwrap_or(merged.len());
            open.insert((hole.last, hole.sha256), at);
            match before {
                Some(at) => {
                    merged[at].last = hole.last;
                    merged[at].sha256 = hole.sha256;
                }
                None => merged.push(hole),
            }
            if widest.is_none_or(|outer| merged[outer].last < merged[at].last) {
                widest = Some(at);
            }
        }
        Self(merged)
    }

    /// The holes without a head that is alive.
    #[must_use]
    pub(crate) fn without(self, head: &Head, sha256: Sha256Digest) -> Self {
        Self(
            self.0
                .into_iter()
                .flat_map(|hole| hole.without(head, sha256))
                .collect(),
        )
    }

    /// Whether the head with that number and digest is missing because it was pruned.
    pub(crate) fn explain(&self, sequence: u64, sha256: &Sha256Digest) -> bool {
        self.0.iter().any(|hole| hole.holds(sequence, sha256))
    }

    /// Whether some head with that number was pruned.
    pub(crate) fn reach(&self, sequence: u64) -> bool {
        self.0
            .iter()
            .any(|hole| (hole.first..=hole.last).contains(&sequence))
    }

    /// Number and digest of the newest head that was pruned.
    pub(crate) fn newest(&self) -> Option<(u64, Sha256Digest)> {
        let newest = self.0.iter().max_by_key(|hole| hole.last)?;
        Some((newest.last, newest.sha256))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Hole> {
        self.0.iter()
    }

    pub(crate) fn into_vec(self) -> Vec<Hole> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::tests::{example, key};

    fn digest(number: u64) -> Sha256Digest {
        Sha256Digest::of(&number.to_le_bytes())
    }

    fn head(sequence: u64) -> Head {
        Head {
            sequence,
            previous: (sequence > 1).then(|| digest(sequence - 1)),
            ..example(&key())
        }
    }

    fn hole(first: u64, last: u64) -> Hole {
        Hole {
            first,
            last,
            previous: (first > 1).then(|| digest(first - 1)),
            sha256: digest(last),
        }
    }

    fn single(number: u64) -> Hole {
        hole(number, number)
    }

    #[test]
    fn adjoining_holes_merge_whatever_their_order() {
        for order in [[1, 2, 3, 5, 7, 8], [8, 3, 5, 1, 7, 2], [3, 2, 1, 8, 7, 5]] {
            let holes = Holes::merged(order.into_iter().map(single).collect());
            assert_eq!(holes.into_vec(), [hole(1, 3), hole(5, 5), hole(7, 8)]);
        }
        let again = Holes::merged(vec![
            hole(2, 4),
            hole(1, 3),
            single(4),
            single(3),
            single(5),
        ]);
        assert!((1..=5).all(|number| again.explain(number, &digest(number))));
        assert_eq!(again.newest(), Some((5, digest(5))));
    }

    #[test]
    fn a_head_leaves_a_hole_of_its_size() {
        assert_eq!(Hole::of(&head(1), digest(1)), single(1));
        assert_eq!(Hole::of(&head(7), digest(7)), single(7));
    }

    #[test]
    fn a_hole_fits_exactly_at_its_ends() {
        let holes = Holes::merged(vec![hole(2, 4)]);
        assert!(holes.explain(4, &digest(4)));
        assert!(!holes.explain(4, &digest(99)), "another head was number 4");
        assert!(!holes.explain(1, &digest(1)) && !holes.explain(5, &digest(5)));
        let forked = Hole {
            previous: Some(digest(99)),
            ..single(5)
        };
        assert_eq!(Holes::merged(vec![hole(2, 4), forked]).into_vec().len(), 2);
    }

    #[test]
    fn a_living_head_splits_the_hole_that_it_lies_in() {
        let left = |living: u64| {
            Holes::merged(vec![hole(2, 5)])
                .without(&head(living), digest(living))
                .into_vec()
        };
        assert_eq!(left(2), [hole(3, 5)]);
        assert_eq!(left(4), [hole(2, 3), hole(5, 5)]);
        assert_eq!(left(5), [hole(2, 4)]);
        assert_eq!(left(6), [hole(2, 5)]);
        let of_a_fork = Holes::merged(vec![hole(2, 5)]).without(&head(5), digest(99));
        assert_eq!(of_a_fork.into_vec(), [hole(2, 5)]);
        assert!(
            Holes::merged(vec![single(3)])
                .without(&head(3), digest(3))
                .into_vec()
                .is_empty()
        );
    }

    #[test]
    fn ten_thousand_pruned_heads_are_as_many_holes_as_there_are_gaps() {
        let kept = |number: &u64| number.is_multiple_of(200);
        let holes = Holes::merged(
            (1..=10_000)
                .filter(|number| !kept(number))
                .map(single)
                .collect(),
        );
        let holes = holes.into_vec();
        assert_eq!(holes.len(), 50);
        assert!(serde_json::to_vec(&holes).unwrap().len() < 20_000);
    }
}
