//! Recording: tells an observer of every call, after it ended. For `--trace` and for tests.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use crate::port::{
    AccessFact, Capabilities, Condition, Key, LockedUntil, ObjectInfo, PlaceFacts, Store,
    StoreError, Version,
};
use crate::wrap::Operation;

/// One call and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What was asked.
    pub operation: Operation,
    /// The key, or the prefix of a `list`.
    pub key: String,
    /// Bytes given to `put`, or got from `get` and `get_range`; 0 for the others.
    pub bytes: u64,
    /// The error's text, if it failed.
    pub error: Option<String>,
}

/// A store whose calls are observed.
pub struct Record<S> {
    inner: S,
    observer: Box<dyn Fn(Call) + Send + Sync>,
}

/// The calls so far, for tests. It grows with each call.
#[derive(Clone, Debug, Default)]
pub struct Journal(Arc<Mutex<Vec<Call>>>);

impl Journal {
    /// All calls in the order of their ends.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.lock().clone()
    }

    /// How many calls there were of `operation`.
    #[must_use]
    pub fn count(&self, operation: Operation) -> usize {
        self.lock()
            .iter()
            .filter(|call| call.operation == operation)
            .count()
    }

    /// The keys of the successful calls of `operation`, in order.
    #[must_use]
    pub fn keys(&self, operation: Operation) -> Vec<String> {
        let fits = |call: &&Call| call.operation == operation && call.error.is_none();
        self.lock()
            .iter()
            .filter(fits)
            .map(|call| call.key.clone())
            .collect()
    }

    /// Forgets the calls so far.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Call>> {
        self.0
            .lock()
            .expect("no call panics while it holds the lock")
    }
}

impl<S: Store> Record<S> {
    /// Tells `observer` of each call, on the thread that made it.
    #[must_use]
    pub fn new(inner: S, observer: impl Fn(Call) + Send + Sync + 'static) -> Self {
        Self {
            inner,
            observer: Box::new(observer),
        }
    }

    /// Keeps every call in a journal.
    #[must_use]
    pub fn journal(inner: S) -> (Self, Journal) {
        let journal = Journal::default();
        let kept = journal.clone();
        (
            Self::new(inner, move |call| kept.lock().push(call)),
            journal,
        )
    }

    fn observe<T>(
        &self,
        operation: Operation,
        key: &str,
        bytes: impl FnOnce(Option<&T>) -> usize,
        result: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        (self.observer)(Call {
            operation,
            key: key.to_owned(),
            bytes: bytes(result.as_ref().ok()) as u64,
            error: result.as_ref().err().map(ToString::to_string),
        });
        result
    }
}

impl<S: Store> Store for Record<S> {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn place_facts(&self, probe: &Key) -> Result<PlaceFacts, StoreError> {
        self.inner.place_facts(probe)
    }

    fn access(&self) -> Result<Vec<AccessFact>, StoreError> {
        self.inner.access()
    }

    fn put(
        &self,
        key: &Key,
        body: Bytes,
        condition: Condition,
    ) -> Result<Option<Version>, StoreError> {
        let bytes = body.len();
        let result = self.inner.put(key, body, condition);
        self.observe(Operation::Put, key.as_str(), |_| bytes, result)
    }

    fn get(&self, key: &Key) -> Result<Bytes, StoreError> {
        let result = self.inner.get(key);
        self.observe(
            Operation::Get,
            key.as_str(),
            |body| body.map_or(0, Bytes::len),
            result,
        )
    }

    fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StoreError> {
        let result = self.inner.get_range(key, range);
        self.observe(
            Operation::GetRange,
            key.as_str(),
            |body| body.map_or(0, Bytes::len),
            result,
        )
    }

    fn stat(&self, key: &Key) -> Result<ObjectInfo, StoreError> {
        self.observe(Operation::Stat, key.as_str(), |_| 0, self.inner.stat(key))
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        self.observe(Operation::List, prefix, |_| 0, self.inner.list(prefix))
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.observe(
            Operation::Delete,
            key.as_str(),
            |_| 0,
            self.inner.delete(key),
        )
    }

    fn retention(&self, key: &Key) -> Result<Option<LockedUntil>, StoreError> {
        self.observe(
            Operation::Retention,
            key.as_str(),
            |_| 0,
            self.inner.retention(key),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryStore;

    #[test]
    fn every_call_is_told_with_its_size_and_end() {
        let (store, journal) = Record::journal(MemoryStore::new());
        let key: Key = "a/b".parse().unwrap();
        store.put(&key, "12345".into(), Condition::Always).unwrap();
        store.get(&key).unwrap();
        store.get_range(&key, 1..3).unwrap();
        store.stat(&key).unwrap();
        store.list("a").unwrap();
        store.delete(&key).unwrap();
        store.get(&key).unwrap_err();
        let told: Vec<_> = journal
            .calls()
            .into_iter()
            .map(|call| (call.operation.name(), call.key, call.bytes, call.error))
            .collect();
        let ok = |name, key: &str, bytes| (name, key.to_owned(), bytes, None);
        assert_eq!(
            told,
            [
                ok("put", "a/b", 5),
                ok("get", "a/b", 5),
                ok("get_range", "a/b", 2),
                ok("stat", "a/b", 0),
                ok("list", "a", 0),
                ok("delete", "a/b", 0),
                (
                    "get",
                    "a/b".to_owned(),
                    0,
                    Some("a/b is not in the store".to_owned())
                ),
            ]
        );
        assert_eq!(journal.count(Operation::Get), 2);
        assert_eq!(journal.keys(Operation::Get), ["a/b"]);
        journal.clear();
        assert!(journal.calls().is_empty());
    }
}
