//! The suite that every adapter and every wrapper passes: the port's contract as tests.
//!
//! Test code, and so it panics. What it cannot show is durability: no test here cuts the power.

#![allow(clippy::unwrap_used, reason = "test code for other crates' tests")]

use std::collections::HashSet;
use std::sync::Barrier;
use std::thread;

use bytes::Bytes;

use crate::port::{Condition, Key, Store, StoreError, Version};

/// What a test server cannot do, however sound the adapter is. Nothing is left out by default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Omissions {
    /// Keys that are the folders of others: a server that keeps objects as files stumbles over them.
    pub folder_keys: bool,
    /// Conditional puts at the same time: a server that compares before it writes, not while it writes.
    pub races: bool,
}

/// Runs the whole suite. `make` makes a new, empty store each time.
///
/// # Panics
/// If the store breaks the contract; the message names the part of it.
pub fn run(make: impl Fn() -> Box<dyn Store>) {
    run_without(Omissions::default(), make);
}

/// Runs the suite but for what the server behind the adapter cannot do.
///
/// # Panics
/// If the store breaks the contract; the message names the part of it.
pub fn run_without(omitted: Omissions, make: impl Fn() -> Box<dyn Store>) {
    whole_objects_come_back(&*make());
    absent_objects_are_not_found(&*make(), omitted);
    ranges_are_exact_or_refused(&*make());
    stat_and_list_agree(&*make());
    listings_take_whole_parts_in_order(&*make());
    delete_is_idempotent(&*make(), omitted);
    a_put_replaces(&*make());
    let conditional = make();
    if conditional.capabilities().conditional_put {
        absent_holds_once(&*conditional);
        matches_holds_for_its_version_alone(&*make());
        if !omitted.races {
            of_many_creators_one_wins(&*make());
            no_update_is_lost(&*make());
        }
    } else {
        conditions_are_refused(&*conditional);
    }
    readers_never_see_a_part(&*make());
    many_threads_write_many_objects(&*make());
    empty_facts_are_allowed(&*make());
}

fn key(text: &str) -> Key {
    text.parse().unwrap()
}

fn put(store: &dyn Store, text: &str, body: impl Into<Bytes>) -> Option<Version> {
    store
        .put(&key(text), body.into(), Condition::Always)
        .unwrap()
}

fn keys(store: &dyn Store, prefix: &str) -> Vec<String> {
    store
        .list(prefix)
        .unwrap()
        .into_iter()
        .map(|info| info.key.to_string())
        .collect()
}

/// Bytes that do not compress, repeat or match at other offsets.
fn noise(length: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .collect()
}

fn whole_objects_come_back(store: &dyn Store) {
    for length in [0, 1, 4096, 65_536, 65_537, 1_000_003] {
        let body = noise(length);
        let name = format!("shop/packs/{length}");
        put(store, &name, body.clone());
        assert_eq!(
            store.get(&key(&name)).unwrap(),
            body,
            "an object of {length} bytes"
        );
        assert_eq!(store.stat(&key(&name)).unwrap().bytes, length as u64);
    }
    for name in [
        "vault.json",
        "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p",
        "A-b_c.D",
        ".dot/x..y",
        "-",
    ] {
        put(store, name, name.to_owned());
        assert_eq!(store.get(&key(name)).unwrap(), name, "the key {name}");
    }
    put(store, &"n".repeat(128), "long");
    assert_eq!(store.get(&key(&"n".repeat(128))).unwrap(), "long");
}

fn absent_objects_are_not_found(store: &dyn Store, omitted: Omissions) {
    assert!(store.list("").unwrap().is_empty(), "a new store is empty");
    assert!(store.list("nothing").unwrap().is_empty());
    put(store, "here/object", "x");
    let plain = ["gone", "here/other"].as_slice();
    let folders = ["here", "here/object/below"].as_slice();
    for absent in [plain, if omitted.folder_keys { &[] } else { folders }].concat() {
        let absent = key(absent);
        let not_found = |error: StoreError| {
            let names = error.to_string().contains(absent.as_str());
            assert!(
                matches!(error, StoreError::NotFound { .. }) && names,
                "{absent}: {error:?}"
            );
            assert!(error.is_permanent());
        };
        not_found(store.get(&absent).unwrap_err());
        not_found(store.get_range(&absent, 0..1).unwrap_err());
        not_found(store.get_range(&absent, 0..0).unwrap_err());
        not_found(store.stat(&absent).unwrap_err());
    }
}

fn ranges_are_exact_or_refused(store: &dyn Store) {
    let body = noise(100_000);
    put(store, "pack", body.clone());
    let at = |range: std::ops::Range<u64>| {
        let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
        body.slice(range)
    };
    for range in [
        0..1,
        0..100_000,
        1..2,
        65_535..65_537,
        99_999..100_000,
        0..0,
        7..7,
        100_000..100_000,
    ] {
        let got = store.get_range(&key("pack"), range.clone()).unwrap();
        assert_eq!(got, at(range.clone()), "the range {range:?}");
    }
    for range in [
        0..100_001,
        99_999..100_001,
        100_000..100_001,
        200_000..200_001,
        100_001..100_001,
    ] {
        let error = store.get_range(&key("pack"), range.clone()).unwrap_err();
        let wanted_end = range.end;
        assert!(
            matches!(error, StoreError::OutOfRange { bytes: 100_000, wanted, .. } if wanted == wanted_end),
            "the range {range:?}: {error:?}"
        );
    }
}

fn stat_and_list_agree(store: &dyn Store) {
    let version = put(store, "a/b", "12345");
    let stat = store.stat(&key("a/b")).unwrap();
    assert_eq!((stat.key.as_str(), stat.bytes), ("a/b", 5));
    assert_eq!(stat.version, version, "put and stat tell the same version");
    let listed = store.list("a").unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0].key, listed[0].bytes), (&stat.key, 5));
    // Some stores tell milliseconds in one of the two, and whole seconds in the other.
    let apart = stat
        .modified_at
        .duration_since(listed[0].modified_at)
        .as_secs()
        .abs();
    assert!(apart <= 1, "stat and list tell the same time");
    assert!(listed[0].version.is_none() || listed[0].version == version);
}

fn listings_take_whole_parts_in_order(store: &dyn Store) {
    for name in ["b", "a.x", "a/2", "a/10", "a-b/1", "a/b/c", "ab/1"] {
        put(store, name, "x");
    }
    assert_eq!(
        keys(store, ""),
        ["a-b/1", "a.x", "a/10", "a/2", "a/b/c", "ab/1", "b"]
    );
    assert_eq!(keys(store, "a"), ["a/10", "a/2", "a/b/c"]);
    assert_eq!(keys(store, "a/b"), ["a/b/c"]);
    assert!(keys(store, "b").is_empty(), "an object is not below itself");
    assert!(
        keys(store, "a/1").is_empty(),
        "a part of a name is no prefix"
    );
    for bad in ["a/", "/a", "../a", "a//b"] {
        assert!(
            store.list(bad).unwrap_err().is_permanent(),
            "the prefix {bad}"
        );
    }
    // More than one page of an S3 listing.
    thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for number in 0..255 {
                    put(store, &format!("many/{thread}-{number:03}"), "");
                }
            });
        }
    });
    let listed = keys(store, "many");
    assert_eq!(listed.len(), 1020);
    assert!(listed.is_sorted());
}

fn delete_is_idempotent(store: &dyn Store, omitted: Omissions) {
    store.delete(&key("never/was")).unwrap();
    put(store, "a/b", "x");
    if !omitted.folder_keys {
        store.delete(&key("a")).unwrap();
        store.delete(&key("a/b/c")).unwrap();
    }
    assert_eq!(keys(store, ""), ["a/b"]);
    store.delete(&key("a/b")).unwrap();
    store.delete(&key("a/b")).unwrap();
    assert!(matches!(
        store.get(&key("a/b")),
        Err(StoreError::NotFound { .. })
    ));
    assert!(keys(store, "").is_empty());
    put(store, "a/b", "again");
    assert_eq!(store.get(&key("a/b")).unwrap(), "again");
}

fn a_put_replaces(store: &dyn Store) {
    let one = put(store, "a", "a long first body");
    let two = put(store, "a", "second");
    assert_eq!(store.get(&key("a")).unwrap(), "second");
    assert_eq!(store.stat(&key("a")).unwrap().bytes, 6);
    assert!(
        one.is_none() || one != two,
        "other bytes have another version"
    );
}

fn refused(result: Result<Option<Version>, StoreError>) {
    let error = result.unwrap_err();
    assert!(
        matches!(error, StoreError::ConditionFailed { .. }),
        "{error:?}"
    );
}

fn absent_holds_once(store: &dyn Store) {
    store
        .put(&key("a/b"), "first".into(), Condition::Absent)
        .unwrap();
    refused(store.put(&key("a/b"), "second".into(), Condition::Absent));
    refused(store.put(&key("a/b"), "first".into(), Condition::Absent));
    assert_eq!(store.get(&key("a/b")).unwrap(), "first");
    store.delete(&key("a/b")).unwrap();
    store
        .put(&key("a/b"), "third".into(), Condition::Absent)
        .unwrap();
    assert_eq!(store.get(&key("a/b")).unwrap(), "third");
}

fn matches_holds_for_its_version_alone(store: &dyn Store) {
    let matching = |version: &Version, body: &'static str| {
        store.put(
            &key("lease"),
            body.into(),
            Condition::Matches(version.clone()),
        )
    };
    let first = put(store, "lease", "first").expect("a conditional store tells versions");
    let second = matching(&first, "second")
        .unwrap()
        .expect("a conditional store tells versions");
    assert_ne!(first, second);
    refused(matching(&first, "third"));
    assert_eq!(store.get(&key("lease")).unwrap(), "second");
    assert_eq!(
        store.stat(&key("lease")).unwrap().version.as_ref(),
        Some(&second)
    );
    store.delete(&key("lease")).unwrap();
    refused(matching(&second, "fourth"));
    assert!(keys(store, "").is_empty(), "nothing was written");

    // Larger than what is digested for a version.
    let large = store
        .put(&key("large"), noise(100_000), Condition::Absent)
        .unwrap()
        .unwrap();
    assert_eq!(
        store.stat(&key("large")).unwrap().version.as_ref(),
        Some(&large)
    );
    store
        .put(
            &key("large"),
            noise(99_999),
            Condition::Matches(large.clone()),
        )
        .unwrap();
    refused(store.put(&key("large"), noise(1), Condition::Matches(large)));
}

fn conditions_are_refused(store: &dyn Store) {
    for condition in [
        Condition::Absent,
        Condition::Matches(Version("1".to_owned())),
    ] {
        let error = store.put(&key("a"), "x".into(), condition).unwrap_err();
        assert!(matches!(error, StoreError::Unsupported { .. }), "{error:?}");
    }
    assert!(keys(store, "").is_empty());
}

fn of_many_creators_one_wins(store: &dyn Store) {
    for round in 0..10 {
        let name = format!("leases/{round}");
        let start = Barrier::new(8);
        let winners: Vec<_> = thread::scope(|scope| {
            let created: Vec<_> = (0..8)
                .map(|thread| {
                    let (name, start) = (&name, &start);
                    scope.spawn(move || {
                        start.wait();
                        let body = format!("{thread}");
                        match store.put(&key(name), body.clone().into(), Condition::Absent) {
                            Ok(_) => Some(body),
                            // Stores may ask a loser to come again.
                            Err(
                                StoreError::ConditionFailed { .. } | StoreError::Interrupted { .. },
                            ) => None,
                            Err(error) => panic!("{error:?}"),
                        }
                    })
                })
                .collect();
            created
                .into_iter()
                .filter_map(|thread| thread.join().unwrap())
                .collect()
        });
        assert_eq!(winners.len(), 1, "round {round}");
        assert_eq!(store.get(&key(&name)).unwrap(), winners[0]);
    }
}

fn no_update_is_lost(store: &dyn Store) {
    put(store, "counter", "0");
    let count = || {
        // Version before bytes: a change in between makes the update fail.
        let version = store.stat(&key("counter")).unwrap().version.unwrap();
        let bytes = store.get(&key("counter")).unwrap();
        let number: u32 = std::str::from_utf8(&bytes).unwrap().parse().unwrap();
        (number, version)
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut done = 0;
                while done < 10 {
                    let (number, version) = count();
                    let next = (number + 1).to_string();
                    match store.put(&key("counter"), next.into(), Condition::Matches(version)) {
                        Ok(_) => done += 1,
                        Err(
                            StoreError::ConditionFailed { .. } | StoreError::Interrupted { .. },
                        ) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                }
            });
        }
    });
    assert_eq!(count().0, 40);
}

fn readers_never_see_a_part(store: &dyn Store) {
    let bodies: Vec<Bytes> = (1..=4_u8)
        .map(|n| vec![n; 50_000 * usize::from(n)].into())
        .collect();
    put(store, "object", bodies[0].clone());
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0..20 {
                put(store, "object", bodies[round % bodies.len()].clone());
            }
        });
        while !writer.is_finished() {
            // A reader that is overtaken may be asked to come again, but is never given a mixture.
            match store.get(&key("object")) {
                Ok(body) => assert!(bodies.contains(&body), "a mixture of {} bytes", body.len()),
                Err(error) => assert!(!error.is_permanent(), "{error:?}"),
            }
        }
    });
}

fn many_threads_write_many_objects(store: &dyn Store) {
    thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for number in 0..10 {
                    let name = format!("t{number}/{thread}/object");
                    put(store, &name, name.clone());
                    assert_eq!(store.get(&key(&name)).unwrap(), name);
                }
            });
        }
    });
    let listed: HashSet<_> = keys(store, "").into_iter().collect();
    assert_eq!(listed.len(), 40);
}

fn empty_facts_are_allowed(store: &dyn Store) {
    put(store, "a", "x");
    store.place_facts(&key("_probe/facts")).unwrap();
    assert_eq!(keys(store, ""), ["a"], "asking leaves nothing behind");
    assert!(!store.describe().is_empty());
}
