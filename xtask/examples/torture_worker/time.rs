//! Time in the simulation: the stores' own, and that of each host, which may be wrong.

use jiff::{SignedDuration, Timestamp};
use resguardo_model::Clock as _;
use resguardo_testkit::FakeClock;

/// All clocks: they go on together.
#[derive(Clone)]
pub(crate) struct Clocks {
    /// That of the stores.
    pub(crate) stores: FakeClock,
    /// One for each host.
    pub(crate) hosts: Vec<FakeClock>,
}

impl Clocks {
    pub(crate) fn at(now: Timestamp, hosts: usize) -> Self {
        Self {
            stores: FakeClock::from_timestamp(now),
            hosts: (0..hosts).map(|_| FakeClock::from_timestamp(now)).collect(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.stores.now()
    }

    /// Time passes everywhere.
    pub(crate) fn pass(&self, seconds: u64) {
        let by = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
        for clock in std::iter::once(&self.stores).chain(&self.hosts) {
            clock.advance(by);
        }
    }

    /// Somebody sets the clock of a host wrong by so much, or right.
    pub(crate) fn set_wrong(&self, host: usize, by: SignedDuration) {
        let wrong = self
            .now()
            .checked_add(by)
            .expect("a year from now is a time");
        self.hosts[host].set(wrong);
    }
}
