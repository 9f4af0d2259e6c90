//! Of two records that differ one is kept: what it replaces is never lost, and nothing that is not good replaces.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test: a rig that fails ends the test"
)]

mod rig;

use std::sync::Arc;

use bytes::Bytes;
use resguardo_model::Sha256Digest;
use resguardo_store::wrap::Faulty;
use resguardo_store::wrap::faulty::{Fault, Rule};
use resguardo_store::{Condition, Key, MemoryStore, Store};
use resguardo_vault::{CopyPlace, Replaced, SettleRequest, Settled, Side, Vault, VaultError};
use rig::copies::{bundle_signed_anew, filled, flip, give_to_bea, key, objects, place, sync};
use rig::{Rig, run_id, source};

fn settle_in(
    vault: &Vault,
    place: &CopyPlace,
    key: &Key,
    keep: Side,
) -> Result<Settled, VaultError> {
    let source = source();
    let request = SettleRequest {
        source: &source,
        key,
        keep,
        run: run_id(2000),
        host: "host",
        pid: std::process::id(),
    };
    vault.settle(&vault.copy_at(place)?, &request)
}

/// A vault and its copy, the receipt of both, and its bytes.
fn differing(wrong: impl Into<Bytes>, at_copy: bool) -> (Rig, MemoryStore, Key, Bytes) {
    let rig = filled();
    let copy = MemoryStore::new();
    sync(&rig.vault(), &place(copy.clone())).unwrap();
    let receipt = rig.store.list("shop/receipts").unwrap()[0].key.clone();
    let good = rig.store.get(&receipt).unwrap();
    let side: &MemoryStore = if at_copy { &copy } else { &rig.store };
    side.put(&receipt, wrong.into(), Condition::Always).unwrap();
    (rig, copy, receipt, good)
}

/// What is kept of `replaced`, put together.
fn kept_of(store: &MemoryStore, replaced: &Replaced) -> Vec<u8> {
    let objects = replaced.objects.iter();
    let parts: Vec<Bytes> = objects.map(|name| store.get(&key(name)).unwrap()).collect();
    parts.concat()
}

fn done(settled: Settled) -> (Option<Replaced>, Vec<String>) {
    match settled {
        Settled::Done {
            replaced, unjudged, ..
        } => (replaced, unjudged),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_replaced_stays_beside_it_whatever_it_is() {
    let not_text: Vec<u8> = (0..=255).cycle().take(200_000).collect();
    let larger_than_a_record = vec![7; (64 << 20) + 3];
    for wrong in [b"{}".to_vec(), Vec::new(), not_text, larger_than_a_record] {
        let (rig, copy, receipt, good) = differing(wrong.clone(), true);
        let settled = settle_in(&rig.vault(), &place(copy.clone()), &receipt, Side::Vault);
        let (replaced, unjudged) = done(settled.unwrap());
        let replaced = replaced.unwrap();
        assert_eq!(copy.get(&receipt).unwrap(), good);
        assert!(kept_of(&copy, &replaced) == wrong);
        assert_eq!(replaced.bytes, wrong.len() as u64);
        assert_eq!(replaced.sha256, Sha256Digest::of(&wrong));
        let folder = format!(
            "shop/replaced/receipts/{}/",
            receipt.as_str().rsplit_once('/').unwrap().1
        );
        assert!(
            replaced
                .objects
                .iter()
                .all(|name| name.starts_with(&folder))
        );
        assert!(unjudged.is_empty());
        // Nothing of it is dead, and nothing of it is sent anywhere.
        let found = rig.vault().copy_at(&place(copy.clone())).unwrap();
        let dead = found.dead_objects(&source(), &[]).unwrap();
        assert_eq!(dead.dead.objects, 0);
    }
}

/// Both bytes are somewhere: each in its place, or what is replaced below `replaced/`.
fn nothing_is_without_both(
    rig: &Rig,
    copy: &MemoryStore,
    receipt: &Key,
    both: [&Bytes; 2],
    n: u64,
) {
    let all = [objects(&rig.store), objects(copy)];
    let sha256 = Sha256Digest::of(both[1]);
    for bytes in both {
        let stands = all.iter().any(|of| of.get(receipt.as_str()) == Some(bytes));
        let kept = all.iter().any(|of| {
            let mut kept = of
                .iter()
                .filter(|(name, _)| name.ends_with(&format!("{sha256}-0")));
            kept.any(|(_, body)| body == bytes)
        });
        assert!(stands || kept, "call {n}");
    }
}

#[test]
fn stopped_at_any_call_nothing_is_without_both() {
    let wrong = Bytes::from_static(b"another");
    for fault in [
        Fault::Dead,
        Fault::LostAnswer,
        Fault::Fail,
        Fault::TornUpload {
            acknowledged: false,
        },
    ] {
        for keep in [Side::Vault, Side::Copy] {
            for n in 1.. {
                let at_copy = keep == Side::Vault;
                let (rig, copy, receipt, good) = differing(wrong.clone(), at_copy);
                let rule = match fault {
                    Fault::Dead => Rule::from(n, fault.clone()),
                    _ => Rule::nth(n, fault.clone()),
                };
                let (outcome, calls) = if at_copy {
                    let store = Arc::new(Faulty::new(copy.clone()).with(rule));
                    let outcome = settle_in(&rig.vault(), &place(store.clone()), &receipt, keep);
                    (outcome, store.calls())
                } else {
                    let store = Arc::new(Faulty::new(rig.store.clone()).with(rule));
                    let opened = Vault::open(store.clone(), rig.access(true, true), rig.settings());
                    let outcome = opened
                        .and_then(|vault| settle_in(&vault, &place(copy.clone()), &receipt, keep));
                    (outcome, store.calls())
                };
                if !matches!(fault, Fault::TornUpload { .. }) {
                    nothing_is_without_both(&rig, &copy, &receipt, [&good, &wrong], n);
                }
                if outcome.is_ok() {
                    assert_eq!(objects(&copy)[receipt.as_str()], good, "call {n}");
                    assert_eq!(objects(&rig.store)[receipt.as_str()], good, "call {n}");
                }
                // The dead run's lease is that of a process which is no more: remove it as its lapse would.
                for store in [&copy, &*rig.store] {
                    store.delete(&key("shop/lease.json")).unwrap();
                }
                settle_in(&rig.vault(), &place(copy.clone()), &receipt, keep).unwrap();
                for store in [&copy, &*rig.store] {
                    assert_eq!(objects(store)[receipt.as_str()], good, "call {n}");
                }
                nothing_is_without_both(&rig, &copy, &receipt, [&good, &wrong], n);
                if calls < n {
                    assert!(n > 8, "settling takes more calls than {n}");
                    break;
                }
            }
        }
    }
}

#[test]
fn whoever_is_at_work_where_a_record_is_replaced_is_not_disturbed() {
    let (rig, copy, receipt, _) = differing(&b"another"[..], true);
    let vault = rig.vault();
    let lease = vault
        .acquire_lease(&source(), run_id(1), "elsewhere", std::process::id())
        .unwrap();
    let settled = settle_in(&vault, &place(copy.clone()), &receipt, Side::Copy);
    assert!(
        matches!(settled, Err(VaultError::Locked { .. })),
        "{settled:?}"
    );
    // Nothing is written in the vault where the copy's is replaced.
    let settled = settle_in(&vault, &place(copy.clone()), &receipt, Side::Vault);
    assert!(done(settled.unwrap()).0.is_some());
    drop(lease);
    flip(&copy, &receipt);
    let body = Bytes::from(
        r#"{"format":1,"run":"01hf7yat00000000000000001k","host":"elsewhere","pid":1,"acquired_at":"2026-11-22T02:00:00Z","ttl_seconds":900}"#,
    );
    copy.put(&key("shop/lease.json"), body, Condition::Always)
        .unwrap();
    let settled = settle_in(&vault, &place(copy.clone()), &receipt, Side::Vault);
    assert!(
        matches!(settled, Err(VaultError::Locked { .. })),
        "{settled:?}"
    );
}

#[test]
fn a_bundle_is_judged_by_what_it_says() {
    let rig = filled();
    let (bea, bundle) = give_to_bea(&rig);
    let copy = MemoryStore::new();
    let vault = rig.vault();
    sync(&vault, &place(copy.clone())).unwrap();
    let good = rig.store.get(&bundle).unwrap();
    let text = String::from_utf8(good.to_vec()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let line_of = |part: &str| *lines.iter().find(|line| line.contains(part)).unwrap();
    let value = |line: &str, name: &str| -> String {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line[name].as_str().unwrap().to_owned()
    };
    let (pack, manifest) = (line_of("packs/"), line_of("snapshots/"));
    let swapped = text
        .replace(&value(pack, "header"), "HEADER")
        .replace(&value(manifest, "header"), &value(pack, "header"))
        .replace("HEADER", &value(manifest, "header"));
    let nothing = text.replace(&value(pack, "header"), "AAAA");
    let other = text.replace(
        &value(manifest, "sha256"),
        &Sha256Digest::of(b"x").to_string(),
    );
    let named = text.replace(
        &value(pack, "object"),
        "index/01hf7yat00000000000000001k-0.age",
    );
    // Also somebody with the writer's key is not believed.
    let signed = |wrong: &str| bundle_signed_anew(wrong, &rig.write_key);
    for (wrong, why) in [
        (signed(&swapped), "another file key"),
        (signed(&nothing), "none of an age file"),
        (signed(&other), "another digest"),
        (signed(&named), "no object of that name"),
        (swapped, "not signed by the writer"),
        (
            text.replace("\"format\":1", "\"format\":2"),
            "no whole bundle",
        ),
    ] {
        assert_ne!(wrong, text);
        copy.put(&bundle, wrong.into(), Condition::Always).unwrap();
        let settled = settle_in(&vault, &place(copy.clone()), &bundle, Side::Copy).unwrap();
        let Settled::NotGood(said) = settled else {
            panic!("{why}: {settled:?}")
        };
        assert!(said.contains(why), "{said}");
        assert_eq!(rig.store.get(&bundle).unwrap(), good);
    }
    // With an identity at hand, all but for whom it opens is judged.
    let settled = settle_in(&vault, &place(copy.clone()), &bundle, Side::Vault);
    let (_, unjudged) = done(settled.unwrap());
    assert_eq!(unjudged.len(), 1, "{unjudged:?}");
    assert!(unjudged[0].contains(&bea));
    // Without one, it is said of how many it could not be.
    copy.put(&bundle, "{}".into(), Condition::Always).unwrap();
    let closed = Vault::open(rig.store.clone(), rig.access(true, false), rig.settings()).unwrap();
    let settled = settle_in(&closed, &place(copy.clone()), &bundle, Side::Vault);
    let (_, unjudged) = done(settled.unwrap());
    let objects = lines.len() - 2;
    assert!(unjudged[1].starts_with(&format!("{objects} of {objects} objects do not open")));
}

#[test]
fn an_object_that_somebody_replaced_makes_no_bundle_wrong() {
    let rig = filled();
    let (_, bundle) = give_to_bea(&rig);
    let copy = MemoryStore::new();
    let vault = rig.vault();
    sync(&vault, &place(copy.clone())).unwrap();
    copy.delete(&bundle).unwrap();
    // An age file to the same recipients, and of another file key, lies in the place of a pack.
    let packs = rig.store.list("shop/packs").unwrap();
    let manifest = rig.store.list("shop/snapshots").unwrap();
    let manifest = manifest
        .iter()
        .find(|info| info.key.as_str().ends_with(".age"))
        .unwrap();
    let other = rig.store.get(&manifest.key).unwrap();
    rig.store
        .put(&packs[0].key, other, Condition::Always)
        .unwrap();
    let settled = settle_in(&vault, &place(copy.clone()), &bundle, Side::Vault);
    let (replaced, unjudged) = done(settled.unwrap());
    assert_eq!((replaced, unjudged.len()), (None, 1));
}
