//! How long is waited before it is tried again.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

/// How fast it is tried, and for how long.
#[derive(Clone, Debug)]
pub struct Pace {
    /// The waits after the first try, the second, ...; the last one again and again. Each by up to a fifth
    /// shorter or longer, so that not everybody comes back at once.
    pub waits: Vec<Duration>,
    /// Longest pause of an endpoint that did not take its last message, whatever else there is for it.
    pub pause_max: Duration,
    /// Longest wait that an answer may ask for.
    pub asked_max: Duration,
    /// How long a try may take, with everything.
    pub try_max: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        const MINUTE: u64 = 60;
        let minutes = [1, 5, 15, 30, 60].map(|minutes| Duration::from_secs(minutes * MINUTE));
        let mut waits = vec![Duration::from_secs(10), Duration::from_secs(30)];
        waits.extend(minutes);
        Self {
            waits,
            pause_max: Duration::from_secs(MINUTE),
            asked_max: Duration::from_secs(6 * 60 * MINUTE),
            try_max: Duration::from_secs(2 * MINUTE),
        }
    }
}

impl Pace {
    /// How long a message waits after its try number `tries`, from 1, if the answer asked for nothing else.
    #[must_use]
    pub fn wait(&self, delivery: &str, tries: u32) -> Duration {
        let position = usize::try_from(tries.saturating_sub(1)).unwrap_or(usize::MAX);
        let last = self.waits.len().saturating_sub(1);
        let wait = self.waits.get(position.min(last));
        let wait = wait.copied().unwrap_or(self.pause_max);
        // From 0.8 to 1.2, always the same for the same try of the same message.
        let hash = Sha256::digest(format!("{delivery} {tries}"));
        let hundredth = 80 + u32::from(hash[0]) * 40 / 255;
        wait * hundredth / 100
    }

    /// How long an endpoint is left alone after so many tries in a row that failed.
    #[must_use]
    pub fn pause(&self, failures: u32) -> Duration {
        let first = self.waits.first().copied().unwrap_or(self.pause_max) / 2;
        let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(16));
        doubled.min(self.pause_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_differ_a_little() {
        let pace = Pace::default();
        for (tries, seconds) in [(1, 10), (2, 30), (3, 60), (7, 3600), (100, 3600)] {
            let waits: Vec<Duration> = (0..20)
                .map(|number| pace.wait(&number.to_string(), tries))
                .collect();
            let middle = Duration::from_secs(seconds);
            assert!(
                waits
                    .iter()
                    .all(|wait| *wait >= middle * 4 / 5 && *wait <= middle * 6 / 5)
            );
            assert!(waits.iter().any(|wait| *wait != waits[0]), "{tries}");
        }
        assert_eq!(pace.wait("a", 3), pace.wait("a", 3));
    }

    #[test]
    fn an_endpoint_that_is_down_is_asked_once_a_minute_at_most() {
        let pace = Pace::default();
        let pauses: Vec<u64> = (1..7)
            .map(|failures| pace.pause(failures).as_secs())
            .collect();
        assert_eq!(pauses, [5, 10, 20, 40, 60, 60]);
        assert_eq!(pace.pause(u32::MAX), pace.pause_max);
    }
}
