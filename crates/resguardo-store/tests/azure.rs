//! Azure Blob Storage against a real server process.

#![allow(clippy::unwrap_used, reason = "test")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use resguardo_model::SystemClock;
use resguardo_store::azure::{AzureCredentials, AzureOptions, AzureStore};
use resguardo_store::{Condition, Key, Location, Store, StoreError, advice, contract, probe};
use resguardo_testkit::AzureServer;

const CONTAINER: &str = "backups";

fn open_as(
    server: &AzureServer,
    container: &str,
    path: &str,
    credentials: AzureCredentials,
) -> AzureStore {
    let url = format!(
        "az://{container}{path}?account={}&endpoint={}",
        AzureServer::ACCOUNT,
        server.endpoint()
    );
    let Ok(Location::Azure(place)) = url.parse() else {
        panic!("{url} is a container")
    };
    AzureStore::open(AzureOptions {
        silence_max: Duration::from_secs(20),
        ..AzureOptions::new(place, credentials)
    })
    .unwrap()
}

fn access_key() -> AzureCredentials {
    AzureCredentials::AccessKey(AzureServer::ACCESS_KEY.to_owned().into())
}

fn open(server: &AzureServer, path: &str) -> AzureStore {
    open_as(server, CONTAINER, path, access_key())
}

fn server() -> AzureServer {
    let server = AzureServer::azurite();
    server.create_container(CONTAINER);
    server
}

fn key(text: &str) -> Key {
    text.parse().unwrap()
}

#[test]
fn contract_on_azurite() {
    let server = server();
    let number = AtomicU64::new(0);
    contract::run(|| {
        let number = number.fetch_add(1, Ordering::SeqCst);
        Box::new(open(&server, &format!("/c{number}/v")))
    });
}

#[test]
fn large_objects_go_up_in_blocks_and_come_back_whole() {
    let server = server();
    let store = open(&server, "");
    let body: Bytes = (0..(70_u32 << 20) / 4).flat_map(u32::to_le_bytes).collect();
    let large = key("large");
    store.put(&large, body.clone(), Condition::Always).unwrap();
    assert!(
        store.get(&large).unwrap() == body,
        "the blocks are in order"
    );
    let refused = store.put(&large, body, Condition::Absent).unwrap_err();
    assert!(
        matches!(refused, StoreError::ConditionFailed { .. }),
        "{refused:?}"
    );
}

#[test]
fn azurite_is_probed() {
    let server = server();
    let store = open(&server, "/v");
    let seen = probe::probe(&store, &SystemClock, "01").unwrap();
    assert!(seen.conditions_hold() && seen.may_delete, "{seen:?}");
    assert!(store.list("").unwrap().is_empty());
    store
        .put(&key("a/b"), "x".into(), Condition::Always)
        .unwrap();
    assert_eq!(store.retention(&key("a/b")).unwrap(), None);
    let facts = store.access().unwrap();
    assert!(
        facts
            .iter()
            .any(|fact| fact.subject == "public access" && fact.says == "off"),
        "{facts:?}"
    );
}

#[test]
fn a_wrong_key_is_denied_and_a_missing_container_named() {
    let server = server();
    let wrong = AzureCredentials::AccessKey("bm90IHRoZSBrZXk=".to_owned().into());
    let stranger = open_as(&server, CONTAINER, "", wrong);
    let anonymous = open_as(&server, CONTAINER, "", AzureCredentials::Anonymous);
    let object = key("a");
    for store in [stranger, anonymous] {
        for error in [
            store
                .put(&object, "x".into(), Condition::Always)
                .unwrap_err(),
            store.get(&object).unwrap_err(),
            store.list("").unwrap_err(),
            store.delete(&object).unwrap_err(),
        ] {
            assert!(matches!(error, StoreError::Denied { .. }), "{error:?}");
        }
    }
    let nowhere = open_as(&server, "nowhere", "", access_key());
    assert!(nowhere.list("").unwrap().is_empty());
    nowhere.delete(&object).unwrap();
    let put = nowhere.put(&object, "x".into(), Condition::Absent);
    for error in [put.unwrap_err(), nowhere.get(&object).unwrap_err()] {
        let StoreError::NoSuchPlace { place, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(place, "container nowhere");
        assert!(advice(&error).is_some());
    }
}

#[test]
fn an_account_must_be_named() {
    let Ok(Location::Azure(place)) = "az://backups".parse() else {
        panic!("it is a container")
    };
    let error = AzureStore::open(AzureOptions::new(place, access_key())).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("account is not named"), "{cause}");
}
