//! Which backups of a source a copy holds, short enough for every receipt: stretches of consecutive numbers,
//! each with the ids of its two ends.
//!
//! A number alone names no backup: where a vault was made again from a copy that was behind, the next backup
//! takes a number that a lost one had. Ids ascend within a stretch, so that a backup of another chain with a
//! number of the stretch, which was taken later, is none of it. One that was taken in between, and that is known
//! not to be there, parts the stretch.

use std::collections::BTreeSet;

use resguardo_model::BackupId;
use resguardo_vault::Numbered;
use serde::{Deserialize, Serialize};

/// Consecutive numbers with ascending ids: number of the first, of the last, and their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stretch(u64, u64, BackupId, BackupId);

impl Stretch {
    fn contains(&self, one: &Numbered) -> bool {
        let Self(first, last, oldest, newest) = *self;
        let is_end = |number, id| one.sequence != number || one.backup == id;
        (first..=last).contains(&one.sequence)
            && (oldest..=newest).contains(&one.backup)
            && is_end(first, oldest)
            && is_end(last, newest)
    }
}

/// A set of backups of one source: `[[1,120,ID,ID],[122,130,ID,ID]]`, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Stretches(Vec<Stretch>);

impl Stretches {
    pub(crate) fn contains(&self, one: &Numbered) -> bool {
        self.0.iter().any(|stretch| stretch.contains(one))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Numbered> for Stretches {
    fn from_iter<T: IntoIterator<Item = Numbered>>(backups: T) -> Self {
        Self::joined(backups.into_iter().collect(), &BTreeSet::new())
    }
}

impl Stretches {
    /// Those of `backups`, which contain none of `others`, although one may have the number of one of them and
    /// an id between its neighbours'.
    pub(crate) fn without(backups: &[Numbered], others: &[Numbered]) -> Self {
        let all: Self = backups.iter().copied().collect();
        let taken_for_held = others.iter().filter(|other| all.contains(other));
        let alone: BTreeSet<u64> = taken_for_held.map(|other| other.sequence).collect();
        Self::joined(backups.to_vec(), &alone)
    }

    /// The backups with the numbers `alone` are stretches of their own.
    fn joined(mut backups: Vec<Numbered>, alone: &BTreeSet<u64>) -> Self {
        backups.sort_unstable();
        backups.dedup();
        let mut all: Vec<Stretch> = Vec::new();
        for one in backups {
            match all.last_mut() {
                Some(Stretch(_, last, _, newest))
                    if last.checked_add(1) == Some(one.sequence)
                        && *newest < one.backup
                        && !alone.contains(last)
                        && !alone.contains(&one.sequence) =>
                {
                    (*last, *newest) = (one.sequence, one.backup);
                }
                _ => all.push(Stretch(one.sequence, one.sequence, one.backup, one.backup)),
            }
        }
        Self(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(sequence: u64, id: u128) -> Numbered {
        let backup = format!("{:0>26}", id).parse().unwrap();
        Numbered { sequence, backup }
    }

    #[test]
    fn stretches_are_joined_and_asked() {
        let all = [5, 1, 2, 2, 3, 9, 8].map(|number| one(number, u128::from(number) * 10));
        let set: Stretches = all.into_iter().collect();
        let json = serde_json::to_value(&set).unwrap();
        let numbers = |index: usize| (json[index][0].as_u64(), json[index][1].as_u64());
        assert_eq!(
            [numbers(0), numbers(1), numbers(2)],
            [(1, 3), (5, 5), (8, 9)].map(|(a, b)| (Some(a), Some(b)))
        );
        assert_eq!(serde_json::from_value::<Stretches>(json).unwrap(), set);
        let held = (0..12).filter(|number| set.contains(&one(*number, u128::from(*number) * 10)));
        assert_eq!(held.collect::<Vec<u64>>(), [1, 2, 3, 5, 8, 9]);
        assert!(Stretches::default().is_empty());
        let last = one(u64::MAX, 1);
        assert!([last].into_iter().collect::<Stretches>().contains(&last));
    }

    #[test]
    fn a_number_that_was_used_again_names_another_backup() {
        let all = (1..=5).map(|number| one(number, u128::from(number) * 10));
        let set: Stretches = all.collect();
        for again in [one(3, 90), one(5, 90), one(5, 41), one(1, 11)] {
            assert!(!set.contains(&again), "{again:?}");
        }
        // Both of a number that two have are held, and a clock that went back parts a stretch.
        let forked: Stretches = [one(1, 10), one(2, 20), one(2, 30), one(3, 25)]
            .into_iter()
            .collect();
        for held in [one(1, 10), one(2, 20), one(2, 30), one(3, 25)] {
            assert!(forked.contains(&held), "{held:?}");
        }
        assert!(!forked.contains(&one(3, 35)));
    }

    #[test]
    fn a_fork_between_the_ends_that_is_not_there_is_not_shown_as_held() {
        let held = [1, 2, 3, 4, 5].map(|number| one(number, u128::from(number) * 10));
        let fork = one(3, 35);
        let set = Stretches::without(&held, &[fork, one(6, 60)]);
        assert!(!set.contains(&fork));
        for held in held {
            assert!(set.contains(&held), "{held:?}");
        }
        assert_eq!(set.0.len(), 3);
        assert_eq!(Stretches::without(&held, &[one(6, 60)]).0.len(), 1);
    }
}
