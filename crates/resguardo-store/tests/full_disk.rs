//! A place with no space left. Alone in its process, which it limits: a file may not grow beyond 64 KiB,
//! which the kernel reports in the middle of a write, as it reports a full disk.

#![allow(
    clippy::disallowed_methods,
    reason = "test: looks at the files behind the store's back"
)]

use std::fs;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use resguardo_store::{Condition, FolderStore, Key, Store, StoreError};
use rustix::process::{Resource, Rlimit, setrlimit};

#[test]
fn a_full_disk_is_named_and_leaves_no_draft() {
    let folder = tempfile::tempdir().unwrap();
    let store = FolderStore::create(folder.path()).unwrap();
    let key: Key = "shop/packs/a".parse().unwrap();
    store.put(&key, "old".into(), Condition::Always).unwrap();

    // Without a handler the kernel would end the process.
    signal_hook::flag::register(
        signal_hook::consts::SIGXFSZ,
        Arc::new(AtomicBool::new(false)),
    )
    .unwrap();
    let limit = Rlimit {
        current: Some(64 * 1024),
        maximum: Some(64 * 1024),
    };
    setrlimit(Resource::Fsize, limit).unwrap();

    for condition in [Condition::Always, Condition::Absent] {
        let error = store
            .put(&key, vec![7; 1 << 20].into(), condition)
            .unwrap_err();
        let named = key.to_string();
        assert!(
            matches!(&error, StoreError::Full { operation: "put", key, .. } if *key == named),
            "{error:?}"
        );
        assert!(error.is_permanent());
    }
    assert_eq!(store.get(&key).unwrap(), "old");
    assert_eq!(fs::read_dir(folder.path().join("~tmp")).unwrap().count(), 0);
}
