//! What is particular to a folder: drafts, links, full and forbidden disks, two processes.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test: damages files behind the store's back"
)]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use resguardo_store::{Condition, FolderStore, Key, Store, StoreError};

fn key(text: &str) -> Key {
    text.parse().unwrap()
}

fn put(store: &FolderStore, name: &str) -> Result<(), StoreError> {
    store
        .put(&key(name), "x".into(), Condition::Always)
        .map(|_| ())
}

fn keys(store: &FolderStore) -> Vec<String> {
    store
        .list("")
        .unwrap()
        .into_iter()
        .map(|info| info.key.to_string())
        .collect()
}

#[test]
fn a_missing_root_lists_nothing_and_takes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("nowhere");
    let store = FolderStore::open(&root).unwrap();
    assert!(keys(&store).is_empty());
    assert!(store.list("shop").unwrap().is_empty());
    store.delete(&key("a")).unwrap();
    let place = root.display().to_string();
    for error in [
        put(&store, "a").unwrap_err(),
        store.get(&key("a")).unwrap_err(),
        store.stat(&key("a")).unwrap_err(),
        store.place_facts(&key("a")).unwrap_err(),
    ] {
        assert!(matches!(&error, StoreError::NoSuchPlace { place: named, .. } if *named == place));
    }
    assert!(!root.exists(), "nothing made it by the way");
}

#[test]
fn who_may_do_what_is_the_folders_mode() {
    let folder = tempfile::tempdir().unwrap();
    let store = FolderStore::create(folder.path().join("vault")).unwrap();
    let concerns = || {
        let facts = store.access().unwrap();
        let worrying = facts.into_iter().filter(|fact| fact.concern);
        worrying.map(|fact| fact.subject).collect::<Vec<_>>()
    };
    assert!(concerns().is_empty(), "it is made private");
    let open = fs::Permissions::from_mode(0o777);
    fs::set_permissions(store.root(), open).unwrap();
    assert_eq!(concerns(), ["group", "everybody else"]);
}

#[test]
fn a_file_is_no_store() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = FolderStore::open(file.path()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains(&file.path().display().to_string()),
        "{error}"
    );
    assert!(FolderStore::create(file.path().join("below")).is_err());
}

#[test]
fn files_and_folders_are_private() {
    let folder = tempfile::tempdir().unwrap();
    let store = FolderStore::create(folder.path().join("vault")).unwrap();
    put(&store, "shop/packs/a").unwrap();
    let mode = |path: &str| {
        fs::metadata(store.root().join(path))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(
        (mode(""), mode("shop"), mode("shop/packs/a")),
        (0o700, 0o700, 0o600)
    );
}

#[test]
fn drafts_of_the_dead_are_invisible_and_swept() {
    let folder = tempfile::tempdir().unwrap();
    let store = FolderStore::create(folder.path()).unwrap();
    put(&store, "a").unwrap();
    let dead = folder.path().join("~tmp/~resguardo-00.tmp");
    fs::write(&dead, "half an object").unwrap();
    assert_eq!(keys(&store), ["a"]);
    let again = FolderStore::open(folder.path()).unwrap();
    assert!(!dead.exists());
    assert_eq!(keys(&again), ["a"]);
    assert_eq!(fs::read_dir(folder.path().join("~tmp")).unwrap().count(), 0);
}

#[test]
fn what_is_no_key_is_not_ours() {
    let folder = tempfile::tempdir().unwrap();
    let store = FolderStore::create(folder.path()).unwrap();
    put(&store, "a").unwrap();
    fs::create_dir(folder.path().join("lost+found")).unwrap();
    fs::write(folder.path().join("lost+found/b"), "").unwrap();
    fs::write(folder.path().join("with space"), "").unwrap();
    symlink("nowhere", folder.path().join("dangling")).unwrap();
    assert_eq!(keys(&store), ["a"]);
}

#[test]
fn a_part_of_the_vault_may_lie_on_another_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = FolderStore::create(folder.path()).unwrap();
    // Memory, and so another file system than that of the temporary folder, or the test shows less.
    let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
    symlink(elsewhere.path(), folder.path().join("shop")).unwrap();
    for condition in [Condition::Absent, Condition::Always] {
        store
            .put(&key("shop/packs/a"), "x".into(), condition)
            .unwrap();
    }
    put(&store, "shop/b").unwrap();
    assert_eq!(keys(&store), ["shop/b", "shop/packs/a"]);
    assert_eq!(store.get(&key("shop/packs/a")).unwrap(), "x");
    assert!(elsewhere.path().join("packs/a").exists());
}

#[test]
fn a_key_below_an_object_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = FolderStore::create(folder.path()).unwrap();
    put(&store, "a").unwrap();
    put(&store, "d/e").unwrap();
    for name in ["a/b", "d"] {
        let error = put(&store, name).unwrap_err();
        assert!(
            matches!(
                error,
                StoreError::Other {
                    operation: "put",
                    ..
                }
            ),
            "{error:?}"
        );
    }
    let error = store
        .put(&key("d"), "x".into(), Condition::Absent)
        .unwrap_err();
    assert!(
        matches!(error, StoreError::ConditionFailed { .. }),
        "{error:?}"
    );
    assert_eq!(keys(&store), ["a", "d/e"]);
}

#[test]
fn two_stores_on_one_folder_see_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (
        FolderStore::create(folder.path()).unwrap(),
        FolderStore::open(folder.path()).unwrap(),
    );
    put(&one, "shop/a").unwrap();
    // The folder is removed behind the back of the one that remembers having made it.
    fs::remove_dir_all(folder.path().join("shop")).unwrap();
    put(&one, "shop/b").unwrap();
    assert_eq!(keys(&other), ["shop/b"]);
    let version = one.stat(&key("shop/b")).unwrap().version.unwrap();
    other
        .put(
            &key("shop/b"),
            "y".into(),
            Condition::Matches(version.clone()),
        )
        .unwrap();
    let error = one
        .put(&key("shop/b"), "z".into(), Condition::Matches(version))
        .unwrap_err();
    assert!(
        matches!(error, StoreError::ConditionFailed { .. }),
        "{error:?}"
    );
}

/// `/sys` takes no new files from anybody, root included, read-only or not.
#[test]
fn a_forbidden_place_is_named() {
    let store = FolderStore::open("/sys").unwrap();
    for condition in [Condition::Always, Condition::Absent] {
        let error = store
            .put(&key("vault.json"), "x".into(), condition)
            .unwrap_err();
        assert!(
            matches!(&error, StoreError::Denied { operation: "put", key, .. } if key == "vault.json")
        );
        assert!(error.is_permanent());
    }
    let error = FolderStore::create("/sys/vault").unwrap_err();
    assert!(
        matches!(&error, StoreError::Denied { operation: "create", key, .. } if key == "/sys/vault")
    );
}

#[test]
fn a_folder_tells_its_free_space() {
    let folder = tempfile::tempdir().unwrap();
    let store = FolderStore::create(folder.path()).unwrap();
    let facts = store.place_facts(&key("probe/facts")).unwrap();
    assert!(facts.free_bytes.is_some_and(|bytes| bytes > 0));
    assert_eq!(facts.object_lock, Some(false));
}

#[test]
fn a_folder_that_is_begun_is_made_by_its_first_object_alone() {
    let above = tempfile::tempdir().unwrap();
    let root = above.path().join("copy");
    let store = FolderStore::open_or_begin(&root).unwrap();
    assert!(store.list("").unwrap().is_empty());
    assert!(store.get(&key("a")).is_err());
    assert!(!root.exists(), "questions make nothing");
    store.put(&key("a"), "x".into(), Condition::Absent).unwrap();
    assert_eq!(store.get(&key("a")).unwrap(), "x");

    let unmounted = above.path().join("mnt/copy");
    let store = FolderStore::open_or_begin(&unmounted).unwrap();
    let error = store.put(&key("a"), "x".into(), Condition::Absent);
    assert!(
        matches!(error, Err(StoreError::NoSuchPlace { .. })),
        "{error:?}"
    );
    assert!(!above.path().join("mnt").exists());
}
