//! The contract suite over the adapters that need no server, and over each wrapper.

use std::sync::Arc;

use resguardo_model::CancelToken;
use resguardo_store::wrap::{Faulty, Record, Retry, RetryPolicy, SystemPacing};
use resguardo_store::{FolderStore, MemoryStore, contract};

#[test]
fn memory() {
    contract::run(|| Box::new(MemoryStore::new()));
}

#[test]
fn folder() {
    let root = tempfile::tempdir().unwrap();
    let number = std::cell::Cell::new(0);
    contract::run(|| {
        number.set(number.get() + 1);
        Box::new(FolderStore::create(root.path().join(format!("{}/vault", number.get()))).unwrap())
    });
}

#[test]
fn folder_without_links() {
    let root = tempfile::tempdir().unwrap();
    let number = std::cell::Cell::new(0);
    contract::run(|| {
        number.set(number.get() + 1);
        let store = FolderStore::create(root.path().join(format!("{}/vault", number.get())));
        Box::new(store.unwrap().without_links())
    });
}

#[test]
fn retry() {
    let pacing = Arc::new(SystemPacing::new(CancelToken::new()));
    contract::run(|| {
        Box::new(Retry::new(
            MemoryStore::new(),
            RetryPolicy::default(),
            pacing.clone(),
        ))
    });
}

#[test]
fn record() {
    contract::run(|| Box::new(Record::journal(MemoryStore::new()).0));
}

#[test]
fn faulty_without_a_rule_in_force() {
    contract::run(|| Box::new(Faulty::new(MemoryStore::new())));
}

#[test]
fn pointers() {
    contract::run(|| Box::new(Arc::new(MemoryStore::new())));
}
