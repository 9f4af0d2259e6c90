//! Bundles of headers that nothing needs any more, and those that only seem so.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use resguardo_store::wrap::{Call, Operation, Record};
use resguardo_store::{Condition, Key, Store as _};
use resguardo_vault::{Access, Identities, RecipientChange, Vault, generate_identity};

use super::{World, rig};

#[test]
fn a_bundle_goes_with_the_last_of_what_it_opens() {
    let mut world = World::new();
    world.add_bea();
    world.give(&world.rig.vault()).unwrap();
    // A whole one, which shares nothing with what was given.
    let (text, to_eve) = generate_identity(Timestamp::UNIX_EPOCH);
    drop(text);
    world.change(&RecipientChange::Add(to_eve)).unwrap();
    world.next_backup();
    let prune = |doomed: &[u64]| {
        let options = resguardo_vault::PruneOptions::default();
        rig::pruning::prune_with(&world.rig.vault(), doomed, options).unwrap();
    };
    prune(&[1]);
    assert_eq!(world.bundles().len(), 1, "the second backup needs it");
    prune(&[2]);
    assert_eq!(
        world.bundles().len(),
        1,
        "the dead objects wait, and so does it"
    );
    let dead: Vec<Key> = world
        .rig
        .store
        .list("shop/tombstones")
        .unwrap()
        .into_iter()
        .map(|info| info.key)
        .collect();
    assert!(!dead.is_empty());
    let heads = world.rig.vault().heads(None).unwrap().heads;
    let alive: Vec<String> = heads[0]
        .head
        .packs
        .iter()
        .map(|pack| format!("shop/packs/{}.age", pack.sha256))
        .collect();
    for info in world.rig.store.list("shop").unwrap() {
        let key = info.key.as_str();
        let is_dead = key.starts_with("shop/packs/") && !alive.iter().any(|one| one == key);
        let manifest =
            key.ends_with(".manifest.age") && !key.contains(&rig::backup_id(3).to_string());
        if is_dead || manifest {
            // As a prune does after the grace.
            world.rig.store.delete(&info.key).unwrap();
        }
    }
    let unreadable: Key = format!("shop/snapshots/{}.head.json", rig::backup_id(9))
        .parse()
        .unwrap();
    let junk = Bytes::from_static(b"{}");
    let store = &world.rig.store;
    store.put(&unreadable, junk, Condition::Always).unwrap();
    prune(&[]);
    assert_eq!(
        world.bundles().len(),
        1,
        "while a head cannot be read, nobody knows what it names"
    );
    store.delete(&unreadable).unwrap();
    prune(&[]);
    assert!(world.bundles().is_empty());
    assert_eq!(world.rig.vault().heads(None).unwrap().heads.len(), 1);
}

#[test]
fn a_bundle_stays_while_a_head_names_what_it_opens_and_the_store_does_not_list_it() {
    let mut world = World::new();
    world.add_bea();
    world.give(&world.rig.vault()).unwrap();
    let (store, aside) = (&world.rig.store, world.rig.store.fork());
    for folder in ["shop/packs", "shop/snapshots", "shop/index"] {
        for info in store.list(folder).unwrap() {
            if info.key.as_str().ends_with(".age") {
                store.delete(&info.key).unwrap();
            }
        }
    }
    let options = resguardo_vault::PruneOptions::default();
    rig::pruning::prune_with(&world.rig.vault(), &[], options).unwrap();
    assert_eq!(world.bundles().len(), 1);
    // What was lost, or not listed yet, is there again, and she reads it.
    for info in aside.list("shop").unwrap() {
        if info.key.as_str().ends_with(".age") {
            let bytes = aside.get(&info.key).unwrap();
            store.put(&info.key, bytes, Condition::Always).unwrap();
        }
    }
    assert_eq!(world.opened(&world.as_bea()), [true, true]);
}

#[test]
fn a_bundle_that_goes_after_it_was_listed_is_as_good_as_absent() {
    let mut world = World::new();
    world.add_bea();
    world.give(&world.rig.vault()).unwrap();
    let inner = world.rig.store.clone();
    let goes = Record::new(world.rig.store.clone(), move |call: Call| {
        if call.operation == Operation::List && call.key == "shop/headers" {
            for info in inner.list("shop/headers").unwrap() {
                inner.delete(&info.key).unwrap();
            }
        }
    });
    let access = Access {
        identities: Some(Identities::parse(world.bea.as_bytes(), None).unwrap()),
        ..world.rig.access(false, false)
    };
    let vault = Vault::open(Arc::new(goes), access, world.rig.settings()).unwrap();
    assert_eq!(world.opened(&vault), [false, false]);
}
