//! How often a password may be tried: per name and per address, with a wait that grows.
//!
//! Invariants: memory is bounded, whatever is tried; a try counts before its password is looked at, so that many
//! at once are no way around it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use resguardo_model::UserName;

/// Tries in vain before anybody waits.
const FREE: u32 = 5;
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
}

#[derive(Default)]
struct Held {
    names: HashMap<String, Failures>,
    addresses: HashMap<IpAddr, Failures>,
}

/// The tries of late.
#[derive(Default)]
pub(super) struct Tries(Mutex<Held>);

impl Tries {
    /// A try of a password. It counts as one in vain until [`Tries::succeeded`].
    ///
    /// # Errors
    /// How long to wait.
    pub(super) fn begin(
        &self,
        name: &UserName,
        address: IpAddr,
        now: Instant,
    ) -> Result<(), Duration> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let address = network(address);
        let of_name = held.names.get(name.as_str()).copied();
        let of_address = held.addresses.get(&address).copied();
        let wait = left(of_name, NAME_WAIT_MAX, now).max(left(of_address, ADDRESS_WAIT_MAX, now));
        if !wait.is_zero() {
            return Err(wait);
        }
        count(&mut held.names, name.as_str().to_owned(), now);
        count(&mut held.addresses, address, now);
        Ok(())
    }

    /// The password was right: the name starts anew, and the address has one try less.
    pub(super) fn succeeded(&self, name: &UserName, address: IpAddr) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.names.remove(name.as_str());
        if let Some(failures) = held.addresses.get_mut(&network(address)) {
            failures.count = failures.count.saturating_sub(1);
        }
    }
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

fn left(failures: Option<Failures>, longest: Duration, now: Instant) -> Duration {
    let Some(failures) = failures else {
        return Duration::ZERO;
    };
    let Some(over) = failures.count.checked_sub(FREE) else {
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
        for _ in 0..FREE {
            assert_eq!(tries.begin(&ana, home, start), Ok(()));
        }
        assert_eq!(tries.begin(&ana, home, start), Err(Duration::from_secs(1)));
        // Another address may not try that name either, nor that address another name.
        let elsewhere = address("198.51.100.1");
        assert!(tries.begin(&ana, elsewhere, start).is_err());
        assert!(tries.begin(&name("bea"), home, start).is_err());
        assert_eq!(tries.begin(&name("bea"), elsewhere, start), Ok(()));
        let later = start + Duration::from_secs(1);
        assert_eq!(tries.begin(&ana, home, later), Ok(()));
        assert_eq!(tries.begin(&ana, home, later), Err(Duration::from_secs(2)));
        // Forgotten after an hour.
        let much_later = later + FORGOTTEN + Duration::from_secs(1);
        for _ in 0..FREE {
            assert_eq!(tries.begin(&ana, home, much_later), Ok(()));
        }
    }

    #[test]
    fn a_right_password_starts_its_name_anew_and_not_the_address() {
        let tries = Tries::default();
        let now = Instant::now();
        let home = address("2001:db8::1");
        for guess in 0..FREE {
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
