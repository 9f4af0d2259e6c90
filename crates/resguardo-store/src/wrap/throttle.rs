//! A bandwidth limit: bytes that are written and read are spread over time, on average.
//!
//! One budget for all threads. Each object pays for itself before it is written and after it was read, and
//! what it owes is waited for by whoever comes next; a single object goes as fast as the line can. Small
//! objects wait for each other alone, though larger ones wait for all: a lease has to be renewed in time,
//! however many packs are waiting. It
//! belongs outside of [`Retry`](super::Retry): what is waited for here is no time that a call took.

use std::fmt;
use std::io;
use std::num::NonZeroU64;
use std::ops::Range;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;

use crate::port::{
    Capabilities, Condition, Key, LockedUntil, ObjectInfo, PlaceFacts, Store, StoreError, Version,
};
use crate::wrap::{Operation, Pacing};

/// Bytes per second; at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bandwidth(NonZeroU64);

/// The text is no bandwidth.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{0:?} is no bandwidth: a whole number and a unit per second, like 500kB/s, 10MB/s or 8MiB/s"
)]
pub struct BandwidthError(pub String);

/// What is no larger goes through when the work is cancelled, and overtakes what is larger.
const SMALL_BYTES: usize = 64 * 1024;

const UNITS: [(&str, u64); 7] = [
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

impl Bandwidth {
    /// So many bytes per second.
    #[must_use]
    pub fn new(bytes_per_second: NonZeroU64) -> Self {
        Self(bytes_per_second)
    }

    /// Bytes per second.
    #[must_use]
    pub fn bytes_per_second(self) -> u64 {
        self.0.get()
    }

    /// How long so many bytes take.
    fn time_of(self, bytes: u64) -> Duration {
        let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(self.0.get());
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }
}

impl FromStr for Bandwidth {
    type Err = BandwidthError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || BandwidthError(text.to_owned());
        let rate = text.trim().strip_suffix("/s").ok_or_else(wrong)?;
        let digits = rate.len() - rate.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = rate.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let unit = unit.trim();
        let (_, bytes) = UNITS
            .into_iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(wrong)?;
        let bytes = number.checked_mul(bytes).and_then(NonZeroU64::new);
        bytes.map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for Bandwidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.get();
        let mut units = UNITS.into_iter().rev();
        let (name, unit) = units
            .find(|(_, unit)| bytes.is_multiple_of(*unit))
            .expect("every number is one of single bytes");
        write!(f, "{}{name}/s", bytes / unit)
    }
}

/// When the line is free again, by the pacing's clock.
#[derive(Clone, Copy, Default)]
struct FreeAt {
    /// For what is large: all that was paid for is through.
    large: Duration,
    /// For what is small: all of its own kind is.
    small: Duration,
}

/// A store with a bandwidth limit.
pub struct Throttle<S> {
    inner: S,
    bandwidth: Bandwidth,
    pacing: Arc<dyn Pacing>,
    free_at: Mutex<FreeAt>,
}

impl<S: Store> Throttle<S> {
    /// Limits `inner`.
    #[must_use]
    pub fn new(inner: S, bandwidth: Bandwidth, pacing: Arc<dyn Pacing>) -> Self {
        Self {
            inner,
            bandwidth,
            pacing,
            free_at: Mutex::default(),
        }
    }

    /// Waits until the line is free, and takes it for so many bytes.
    fn pay(&self, operation: Operation, key: &Key, bytes: usize) -> Result<(), StoreError> {
        let now = self.pacing.elapsed();
        let begin = {
            let mut free_at = self.free_at.lock().expect("nothing panics under this lock");
            let time = self.bandwidth.time_of(bytes as u64);
            let (large, small) = (now.max(free_at.large), now.max(free_at.small));
            free_at.large = large.saturating_add(time);
            if bytes > SMALL_BYTES {
                large
            } else {
                free_at.small = small.saturating_add(time);
                small
            }
        };
        if begin > now {
            self.pacing.sleep(begin - now);
        }
        // A lease is let go of all the same.
        if bytes > SMALL_BYTES && self.pacing.is_cancelled() {
            return Err(StoreError::Interrupted {
                operation: operation.name(),
                key: key.to_string(),
                source: io::Error::new(io::ErrorKind::Interrupted, "the work was cancelled").into(),
            });
        }
        Ok(())
    }
}

impl<S: Store> Store for Throttle<S> {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn place_facts(&self, probe: &Key) -> Result<PlaceFacts, StoreError> {
        self.inner.place_facts(probe)
    }

    fn put(
        &self,
        key: &Key,
        body: Bytes,
        condition: Condition,
    ) -> Result<Option<Version>, StoreError> {
        self.pay(Operation::Put, key, body.len())?;
        self.inner.put(key, body, condition)
    }

    fn get(&self, key: &Key) -> Result<Bytes, StoreError> {
        let body = self.inner.get(key)?;
        self.pay(Operation::Get, key, body.len())?;
        Ok(body)
    }

    fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StoreError> {
        let body = self.inner.get_range(key, range)?;
        self.pay(Operation::GetRange, key, body.len())?;
        Ok(body)
    }

    fn stat(&self, key: &Key) -> Result<ObjectInfo, StoreError> {
        self.inner.stat(key)
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        self.inner.list(prefix)
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.inner.delete(key)
    }

    fn retention(&self, key: &Key) -> Result<Option<LockedUntil>, StoreError> {
        self.inner.retention(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract;
    use crate::memory::MemoryStore;
    use crate::wrap::SystemPacing;
    use resguardo_model::CancelToken;

    /// Time passes by sleeping alone.
    #[derive(Default)]
    struct Slept {
        now: Mutex<Duration>,
        cancel: CancelToken,
    }

    impl Pacing for Slept {
        fn sleep(&self, pause: Duration) {
            *self.now.lock().unwrap() += pause;
        }

        fn elapsed(&self) -> Duration {
            *self.now.lock().unwrap()
        }

        fn fraction(&self) -> f64 {
            0.0
        }

        fn is_cancelled(&self) -> bool {
            self.cancel.is_cancelled()
        }
    }

    fn throttled(bandwidth: &str) -> (Throttle<MemoryStore>, Arc<Slept>) {
        let pacing = Arc::new(Slept::default());
        let bandwidth = bandwidth.parse().unwrap();
        let store = Throttle::new(MemoryStore::new(), bandwidth, pacing.clone());
        (store, pacing)
    }

    fn key() -> Key {
        "a/b".parse().unwrap()
    }

    #[test]
    fn it_passes_the_contract() {
        contract::run(|| {
            let pacing = Arc::new(SystemPacing::new(CancelToken::new()));
            let fast = "1000GB/s".parse().unwrap();
            Box::new(Throttle::new(MemoryStore::new(), fast, pacing))
        });
    }

    #[test]
    fn bytes_are_spread_over_time() {
        let (store, pacing) = throttled("1kB/s");
        for _ in 0..5 {
            let body = Bytes::from(vec![7; 2000]);
            store.put(&key(), body, Condition::Always).unwrap();
        }
        // Four objects were waited for; the fifth goes at once and is owed by the next.
        assert_eq!(pacing.elapsed(), Duration::from_secs(8));
        store.get(&key()).unwrap();
        assert_eq!(pacing.elapsed(), Duration::from_secs(10));
        store.get_range(&key(), 0..500).unwrap();
        assert_eq!(pacing.elapsed(), Duration::from_secs(12));
        store.stat(&key()).unwrap();
        store.list("").unwrap();
        assert_eq!(pacing.elapsed(), Duration::from_secs(12));
    }

    #[test]
    fn a_lease_is_renewed_while_packs_wait() {
        let (store, pacing) = throttled("1kB/s");
        let put = |bytes: usize| {
            let body = Bytes::from(vec![7; bytes]);
            store.put(&key(), body, Condition::Always).unwrap();
        };
        put(100_000);
        for _ in 0..2 {
            put(300);
        }
        // They waited for each other, not for the hundred seconds of the pack; the next pack waits for all.
        assert_eq!(pacing.elapsed(), Duration::from_millis(300));
        put(100_000);
        assert_eq!(pacing.elapsed(), Duration::from_millis(100_600));
    }

    #[test]
    fn time_without_traffic_is_no_credit() {
        let (store, pacing) = throttled("1kB/s");
        let put = || {
            let body = Bytes::from(vec![7; 1000]);
            store.put(&key(), body, Condition::Always).unwrap();
        };
        pacing.sleep(Duration::from_secs(100));
        put();
        put();
        put();
        assert_eq!(pacing.elapsed(), Duration::from_secs(102));
    }

    #[test]
    fn cancelled_work_sends_nothing_more() {
        let (store, pacing) = throttled("1kB/s");
        pacing.cancel.cancel();
        let large = Bytes::from(vec![7; 100_000]);
        let error = store.put(&key(), large, Condition::Always).unwrap_err();
        assert!(matches!(error, StoreError::Interrupted { .. }), "{error:?}");
        assert!(store.stat(&key()).is_err());
        // What has to be tidied up is.
        store.put(&key(), "x".into(), Condition::Always).unwrap();
    }

    #[test]
    fn bandwidths_are_read_and_written() {
        for (text, bytes, shown) in [
            ("1B/s", 1, "1B/s"),
            ("500kB/s", 500_000, "500kB/s"),
            ("10 MB/s", 10_000_000, "10MB/s"),
            ("8MiB/s", 8 << 20, "8MiB/s"),
            ("1000MB/s", 1_000_000_000, "1GB/s"),
        ] {
            let bandwidth: Bandwidth = text.parse().unwrap();
            assert_eq!(bandwidth.bytes_per_second(), bytes, "{text}");
            assert_eq!(bandwidth.to_string(), shown);
        }
        for text in [
            "",
            "10",
            "10MB",
            "10Mb/s",
            "0MB/s",
            "-1MB/s",
            "1.5MB/s",
            "MB/s",
            "99999999999GB/s",
        ] {
            assert!(text.parse::<Bandwidth>().is_err(), "{text}");
        }
    }
}
