//! Google Cloud Storage against a server process.

#![allow(clippy::unwrap_used, reason = "test")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use resguardo_model::SystemClock;
use resguardo_store::gcs::{GcsCredentials, GcsOptions, GcsStore};
use resguardo_store::{Condition, Key, Location, Store, StoreError, contract, probe};
use resguardo_testkit::GcsServer;

fn open(server: &GcsServer, bucket: &str, path: &str) -> GcsStore {
    let url = format!("gs://{bucket}{path}?endpoint={}", server.endpoint());
    let Ok(Location::Gcs(place)) = url.parse() else {
        panic!("{url} is a bucket")
    };
    GcsStore::open(GcsOptions {
        silence_max: Duration::from_secs(20),
        ..GcsOptions::new(place, GcsCredentials::Anonymous)
    })
    .unwrap()
}

fn server() -> GcsServer {
    let server = GcsServer::fake();
    server.create_bucket("acme");
    server
}

fn key(text: &str) -> Key {
    text.parse().unwrap()
}

#[test]
fn contract_on_fake_gcs_server() {
    let server = server();
    let number = AtomicU64::new(0);
    contract::run(|| {
        let number = number.fetch_add(1, Ordering::SeqCst);
        Box::new(open(&server, "acme", &format!("/c{number}/v")))
    });
}

#[test]
fn fake_gcs_server_is_probed() {
    let server = server();
    let store = open(&server, "acme", "/v");
    let seen = probe::probe(&store, &SystemClock, "01").unwrap();
    assert!(seen.conditions_hold() && seen.may_delete, "{seen:?}");
    assert_eq!(seen.facts.versioning, Some(false));
    assert_eq!(seen.facts.default_retention, None);
    store
        .put(&key("a/b"), "x".into(), Condition::Always)
        .unwrap();
    assert_eq!(store.retention(&key("a/b")).unwrap(), None);
    let facts = store.access().unwrap();
    assert!(
        facts
            .iter()
            .any(|fact| fact.subject == "public access prevention" && fact.concern),
        "{facts:?}"
    );
}

#[test]
fn a_missing_bucket_lists_nothing_and_takes_nothing() {
    let server = server();
    let store = open(&server, "nowhere", "/v");
    assert!(store.list("").unwrap().is_empty());
    store.delete(&key("a")).unwrap();
    let error = store
        .put(&key("a"), "x".into(), Condition::Absent)
        .unwrap_err();
    assert!(matches!(error, StoreError::NoSuchPlace { .. }), "{error:?}");
}

#[test]
fn a_key_that_is_none_is_refused_when_the_store_is_opened() {
    let Ok(Location::Gcs(place)) = "gs://acme".parse() else {
        panic!("it is a bucket")
    };
    let secret = GcsCredentials::ServiceAccountKey("{\"geheim\":1}".to_owned().into());
    assert!(
        !format!("{secret:?}").contains("geheim"),
        "a secret is printed"
    );
    let error = GcsStore::open(GcsOptions::new(place, secret)).unwrap_err();
    let said = format!("{error:?}");
    assert!(
        matches!(
            error,
            StoreError::Other {
                operation: "open",
                ..
            }
        ),
        "{said}"
    );
    assert!(!said.contains("geheim"), "{said}");
}
