//! How often a password may be tried: per name and per address, with a wait that grows.
//!
//! Invariants: memory is bounded, whatever is tried; a try counts before its password is looked at, so that many
//! at once are no way around it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use resguardo_model::UserName;

/// Tries of a name in vain before it waits.
const NAME_FREE: u32 = 5;
/// Tries of an address in vain before it waits: many people may share it, and one who mistypes keeps nobody out.
const ADDRESS_FREE: u32 = 50;
/// How often at most it is told that somebody waits, for an address.
const TOLD_EVERY: Duration = Duration::from_secs(60);
/// Longest wait of a name: whoever tries others' names must not keep them out for long.
const NAME_WAIT_MAX: Duration = Duration::from_secs(60);
/// Longest wait of an address.
const ADDRESS_WAIT_MAX: Duration = Duration::from_secs(15 * 60);
/// When a try is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(60 * 60);
/// Names and addresses that are remembered, each.
const REMEMBERED_MAX: usize = 10_000;

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
    /// When it was told last that it waits.
    told: Option<Instant>,
}

#[derive(Default)]
struct Held {
    names: HashMap<String, Failures>,
    addresses: HashMap<IpAddr, Failures>,
}

/// Somebody has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    /// How long.
    pub(super) left: Duration,
    /// Whether it should be told in the log.
    pub(super) is_news: bool,
}

/// The tries of late.
#[derive(Default)]
pub(super) struct Tries(Mutex<Held>);

impl Tries {
    /// A try of a password. It counts as one in vain until [`Tries::succeeded`].
    ///
    /// # Errors
    /// How long to wait, and whether that should be told: not each time, whoever floods it.
    pub(super) fn begin(&self, name: &UserName, address: IpAddr, now: Instant) -> Result<(), Wait> {
        self.count(Some(name), address, now)
    }

    fn count(&self, name: Option<&UserName>, address: IpAddr, now: Instant) -> Result<(), Wait> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let address = network(address);
        let of_name = name.and_then(|name| held.names.get(name.as_str()).copied());
        let of_address = held.addresses.get(&address).copied();
        let wait = left(of_name, NAME_FREE, NAME_WAIT_MAX, now).max(left(
            of_address,
            ADDRESS_FREE,
            ADDRESS_WAIT_MAX,
            now,
        ));
        if !wait.is_zero() {
            return Err(Wait {
                left: wait,
                is_news: is_news(&mut held.addresses, address, now),
            });
        }
        if let Some(name) = name {
            count(&mut held.names, name.as_str().to_owned(), now);
        }
        count(&mut held.addresses, address, now);
        Ok(())
    }

    /// A try to come in by another service: only its address is known. It counts as one in vain until
    /// [`Tries::came_in`].
    ///
    /// # Errors
    /// As [`Tries::begin`].
    pub(super) fn knock(&self, address: IpAddr, now: Instant) -> Result<(), Wait> {
        self.count(None, address, now)
    }

    /// The other service vouched for whoever came from there: the address has one try less.
    pub(super) fn came_in(&self, address: IpAddr) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(failures) = held.addresses.get_mut(&network(address)) {
            failures.count = failures.count.saturating_sub(1);
        }
    }

    /// The password was right: the name starts anew, and the address has one try less.
    pub(super) fn succeeded(&self, name: &UserName, address: IpAddr) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.names.remove(name.as_str());
        drop(held);
        self.came_in(address);
    }
}

/// Whether nobody was told of late that this address is refused. One that never tried is counted as one
/// with no try in vain.
fn is_news(all: &mut HashMap<IpAddr, Failures>, address: IpAddr, now: Instant) -> bool {
    if !all.contains_key(&address) {
        count(all, address, now);
        if let Some(failures) = all.get_mut(&address) {
            failures.count = 0;
        }
    }
    let Some(failures) = all.get_mut(&address) else {
        return false;
    };
    let of_late = |told: Instant| now.saturating_duration_since(told) < TOLD_EVERY;
    if failures.told.is_some_and(of_late) {
        return false;
    }
    failures.told = Some(now);
    true
}

/// Of an IPv6 address its network: one customer has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
        },
    }
}

fn left(failures: Option<Failures>, free: u32, longest: Duration, now: Instant) -> Duration {
    let Some(failures) = failures else {
        return Duration::ZERO;
    };
    let Some(over) = failures.count.checked_sub(free) else {
        return Duration::ZERO;
    };
    let wait = Duration::from_secs(1 << over.min(20)).min(longest);
    wait.saturating_sub(now.saturating_duration_since(failures.last))
}

fn count<K: std::hash::Hash + Eq + Clone>(all: &mut HashMap<K, Failures>, key: K, now: Instant) {
    let is_old = |failures: &Failures| now.saturating_duration_since(failures.last) > FORGOTTEN;
    if all.len() >= REMEMBERED_MAX && !all.contains_key(&key) {
        all.retain(|_, failures| !is_old(failures));
        // A tenth at once: to look for the oldest one each time would be work for whoever floods it.
        let mut times: Vec<Instant> = all.values().map(|failures| failures.last).collect();
        if times.len() >= REMEMBERED_MAX {
            let (_, tenth, _) = times.select_nth_unstable(REMEMBERED_MAX / 10);
            let oldest = *tenth;
            all.retain(|_, failures| failures.last > oldest);
        }
    }
    let failures = all.entry(key).or_insert(Failures {
        count: 0,
        last: now,
        told: None,
    });
    if is_old(failures) {
        failures.count = 0;
    }
    failures.count = failures.count.saturating_add(1);
    failures.last = now;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use super::*;

    fn name(text: &str) -> UserName {
        text.parse().unwrap()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_wait_grows_and_ends() {
        let tries = Tries::default();
        let start = Instant::now();
        let (ana, home) = (name("ana"), address("203.0.113.7"));
        let waits = |seconds, is_news| {
            Err(Wait {
                left: Duration::from_secs(seconds),
                is_news,
            })
        };
        for _ in 0..NAME_FREE {
            assert_eq!(tries.begin(&ana, home, start), Ok(()));
        }
        assert_eq!(tries.begin(&ana, home, start), waits(1, true));
        // Another address may not try that name either; that address may try another name.
        let elsewhere = address("198.51.100.1");
        assert_eq!(tries.begin(&ana, elsewhere, start), waits(1, true));
        assert_eq!(tries.begin(&ana, elsewhere, start), waits(1, false));
        assert_eq!(tries.begin(&name("bea"), home, start), Ok(()));
        let later = start + Duration::from_secs(1);
        assert_eq!(tries.begin(&ana, home, later), Ok(()));
        assert_eq!(tries.begin(&ana, home, later), waits(2, false));
        // Forgotten after an hour.
        let much_later = later + FORGOTTEN + Duration::from_secs(1);
        for _ in 0..NAME_FREE {
            assert_eq!(tries.begin(&ana, home, much_later), Ok(()));
        }
    }

    #[test]
    fn a_right_password_starts_its_name_anew_and_not_the_address() {
        let tries = Tries::default();
        let now = Instant::now();
        let home = address("2001:db8::1");
        for guess in 0..ADDRESS_FREE {
            tries.begin(&name(&format!("u{guess}")), home, now).unwrap();
        }
        // Another address of the same network.
        assert!(
            tries
                .begin(&name("ana"), address("2001:db8::ffff"), now)
                .is_err()
        );
        tries.succeeded(&name("u0"), home);
        assert_eq!(tries.begin(&name("u0"), home, now), Ok(()));
        assert!(tries.begin(&name("u0"), home, now).is_err());
    }

    #[test]
    fn so_many_are_remembered_and_no_more() {
        let tries = Tries::default();
        let now = Instant::now();
        for number in 0..2 * u32::try_from(REMEMBERED_MAX).unwrap() {
            let address = IpAddr::V4((number + 1).into());
            let _ = tries.begin(&name(&format!("u{number}")), address, now);
        }
        let held = tries.0.lock().unwrap();
        assert!(held.names.len() <= REMEMBERED_MAX);
        assert!(held.addresses.len() <= REMEMBERED_MAX);
    }
}
