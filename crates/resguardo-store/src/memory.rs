//! Objects in memory: for tests, and for a first look that leaves nothing behind.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use jiff::Timestamp;
use resguardo_model::{Clock, SystemClock};

use crate::port::{
    Capabilities, Condition, Key, LockMode, LockedUntil, ObjectInfo, Store, StoreError, Version,
    checked_prefix, checked_range,
};

struct Object {
    body: Bytes,
    modified_at: Timestamp,
    version: u64,
}

#[derive(Default)]
struct Objects {
    by_key: BTreeMap<Key, Object>,
    versions: u64,
    /// A part of a key, and until when objects whose key has it are locked.
    locks: Vec<(String, Timestamp)>,
}

impl Objects {
    /// The longest lock on an object at `now`.
    fn locked_until(&self, key: &Key, now: Timestamp) -> Option<Timestamp> {
        let fitting = self
            .locks
            .iter()
            .filter(|(part, until)| key.as_str().contains(part.as_str()) && *until > now);
        fitting.map(|(_, until)| *until).max()
    }
}

/// A store in memory. Clones share its objects, so that a test can look at them from outside.
#[derive(Clone)]
pub struct MemoryStore {
    objects: Arc<Mutex<Objects>>,
    clock: Arc<dyn Clock>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store on the machine's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }

    /// An empty store whose `modified_at` comes from `clock`.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self {
            objects: Arc::default(),
            clock,
        }
    }

    /// Locks the objects whose key contains `key_part`, those to come as well, until the store's clock
    /// reaches `until`. They can be replaced, as where objects have versions, but not deleted.
    pub fn lock_until(&self, key_part: &str, until: Timestamp) {
        self.lock().locks.push((key_part.to_owned(), until));
    }

    /// A store with a copy of the objects that are here now, which then goes its own way.
    #[must_use]
    pub fn fork(&self) -> Self {
        let here = self.lock();
        let by_key = here
            .by_key
            .iter()
            .map(|(key, object)| {
                (
                    key.clone(),
                    Object {
                        body: object.body.clone(),
                        ..*object
                    },
                )
            })
            .collect();
        let objects = Objects {
            by_key,
            versions: here.versions,
            locks: here.locks.clone(),
        };
        Self {
            objects: Arc::new(Mutex::new(objects)),
            clock: Arc::clone(&self.clock),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Objects> {
        self.objects
            .lock()
            .expect("no call panics while it holds the lock")
    }
}

impl Object {
    fn version(&self) -> Version {
        Version(self.version.to_string())
    }

    fn info(&self, key: &Key) -> ObjectInfo {
        ObjectInfo {
            key: key.clone(),
            bytes: self.body.len() as u64,
            modified_at: self.modified_at,
            version: Some(self.version()),
        }
    }
}

fn not_found(key: &Key) -> StoreError {
    StoreError::NotFound {
        key: key.to_string(),
    }
}

impl Store for MemoryStore {
    fn describe(&self) -> String {
        "memory:".to_owned()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            conditional_put: true,
        }
    }

    fn put(
        &self,
        key: &Key,
        body: Bytes,
        condition: Condition,
    ) -> Result<Option<Version>, StoreError> {
        let mut objects = self.lock();
        let there = objects.by_key.get(key);
        let holds = match &condition {
            Condition::Always => true,
            Condition::Absent => there.is_none(),
            Condition::Matches(version) => there.is_some_and(|object| object.version() == *version),
        };
        if !holds {
            return Err(StoreError::ConditionFailed {
                key: key.to_string(),
            });
        }
        objects.versions += 1;
        let object = Object {
            body,
            modified_at: self.clock.now(),
            version: objects.versions,
        };
        let version = object.version();
        objects.by_key.insert(key.clone(), object);
        Ok(Some(version))
    }

    fn get(&self, key: &Key) -> Result<Bytes, StoreError> {
        let objects = self.lock();
        Ok(objects
            .by_key
            .get(key)
            .ok_or_else(|| not_found(key))?
            .body
            .clone())
    }

    fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StoreError> {
        let body = self.get(key)?;
        let range = checked_range(key, body.len() as u64, &range)?;
        let at = |offset: u64| usize::try_from(offset).expect("no larger than the body's length");
        Ok(body.slice(at(range.start)..at(range.end)))
    }

    fn stat(&self, key: &Key) -> Result<ObjectInfo, StoreError> {
        let objects = self.lock();
        Ok(objects
            .by_key
            .get(key)
            .ok_or_else(|| not_found(key))?
            .info(key))
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        checked_prefix(prefix)?;
        let below = |key: &Key| {
            prefix.is_empty()
                || key
                    .as_str()
                    .strip_prefix(prefix)
                    .is_some_and(|rest| rest.starts_with('/'))
        };
        let objects = self.lock();
        Ok(objects
            .by_key
            .iter()
            .filter(|(key, _)| below(key))
            .map(|(key, object)| object.info(key))
            .collect())
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        let mut objects = self.lock();
        if objects.by_key.contains_key(key)
            && let Some(until) = objects.locked_until(key, self.clock.now())
        {
            return Err(StoreError::Locked {
                key: key.to_string(),
                until: Some(until),
                source: "object lock".into(),
            });
        }
        objects.by_key.remove(key);
        Ok(())
    }

    fn retention(&self, key: &Key) -> Result<Option<LockedUntil>, StoreError> {
        let objects = self.lock();
        if !objects.by_key.contains_key(key) {
            return Err(not_found(key));
        }
        let until = objects.locked_until(key, self.clock.now());
        Ok(until.map(|until| LockedUntil {
            until: Some(until),
            mode: Some(LockMode::Compliance),
        }))
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use resguardo_testkit::FakeClock;

    use super::*;

    #[test]
    fn a_locked_object_stays_until_its_time() {
        let clock = FakeClock::at("2026-11-22T08:00:00Z");
        let store = MemoryStore::with_clock(Arc::new(clock.clone()));
        let key = |text: &str| text.parse::<Key>().unwrap();
        let (head, pack) = (key("shop/snapshots/1.head.json"), key("shop/packs/1.age"));
        let until: Timestamp = "2026-12-01T00:00:00Z".parse().unwrap();
        store.lock_until(".head.json", until);
        for key in [&head, &pack] {
            store.put(key, "x".into(), Condition::Always).unwrap();
        }
        store.put(&head, "y".into(), Condition::Always).unwrap();
        store.delete(&pack).unwrap();
        let error = store.fork().delete(&head).unwrap_err();
        assert_eq!(
            error.to_string(),
            "shop/snapshots/1.head.json is locked in the store until 2026-12-01T00:00:00Z"
        );
        assert!(error.is_permanent());
        let locked = store.retention(&head).unwrap();
        assert_eq!(locked.and_then(|locked| locked.until), Some(until));
        assert!(store.retention(&pack).is_err(), "it is not there");
        store.delete(&key("gone.head.json")).unwrap();
        clock.advance(SignedDuration::from_hours(24 * 30));
        assert_eq!(store.retention(&head).unwrap(), None);
        store.delete(&head).unwrap();
        assert!(store.list("").unwrap().is_empty());
    }
}
