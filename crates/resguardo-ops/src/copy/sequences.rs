//! Numbers of backups as runs of consecutive ones: what a receipt says a copy holds.

use serde::{Deserialize, Serialize};

/// A set of numbers: `[[1,120],[122,130]]`, both ends included, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Sequences(Vec<(u64, u64)>);

impl Sequences {
    pub(crate) fn contains(&self, number: u64) -> bool {
        self.0
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&number))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<u64> for Sequences {
    fn from_iter<T: IntoIterator<Item = u64>>(numbers: T) -> Self {
        let mut numbers: Vec<u64> = numbers.into_iter().collect();
        numbers.sort_unstable();
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for number in numbers {
            match runs.last_mut() {
                Some((_, last)) if number <= last.saturating_add(1) => *last = number,
                _ => runs.push((number, number)),
            }
        }
        Self(runs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_joined_and_asked() {
        let set: Sequences = [5, 1, 2, 2, 3, 9, 8].into_iter().collect();
        let json = serde_json::to_string(&set).unwrap();
        assert_eq!(json, "[[1,3],[5,5],[8,9]]");
        assert_eq!(serde_json::from_str::<Sequences>(&json).unwrap(), set);
        let held: Vec<u64> = (0..12).filter(|number| set.contains(*number)).collect();
        assert_eq!(held, [1, 2, 3, 5, 8, 9]);
        assert!(Sequences::default().is_empty());
        assert!(
            [u64::MAX]
                .into_iter()
                .collect::<Sequences>()
                .contains(u64::MAX)
        );
    }
}
