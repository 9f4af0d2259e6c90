//! S3 against real server processes: the contract, and what the network and a service can do to it.

#![allow(clippy::unwrap_used, reason = "test")]

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use resguardo_model::{CancelToken, SystemClock};
use resguardo_store::s3::{S3Credentials, S3Options, S3Store};
use resguardo_store::wrap::{Retry, RetryPolicy, SystemPacing};
use resguardo_store::{Condition, Key, Location, PlaceFacts, Store, StoreError, contract, probe};
use resguardo_testkit::servers::free_port;
use resguardo_testkit::{Proxy, ProxyFault, S3Server};

const BUCKET: &str = "acme-backups";

fn options(endpoint: &str, path: &str) -> S3Options {
    let url = format!("s3://{BUCKET}{path}?endpoint={endpoint}&region=us-east-1");
    let Ok(Location::S3(place)) = url.parse() else {
        panic!("{url} is a bucket")
    };
    let credentials = S3Credentials::Keys {
        access_key_id: S3Server::ACCESS_KEY_ID.to_owned(),
        secret_access_key: S3Server::SECRET_ACCESS_KEY.to_owned().into(),
        session_token: None,
    };
    S3Options {
        silence_max: Duration::from_secs(20),
        ..S3Options::new(place, credentials)
    }
}

fn open(endpoint: &str, path: &str) -> S3Store {
    S3Store::open(options(endpoint, path)).unwrap()
}

/// s3s-fs with a bucket, and a proxy in front of it.
fn server() -> (S3Server, Proxy) {
    let server = S3Server::s3s_fs();
    server.create_bucket(BUCKET);
    let proxy = Proxy::before(server.address());
    (server, proxy)
}

fn key(text: &str) -> Key {
    text.parse().unwrap()
}

/// With pauses of milliseconds.
fn retrying(store: S3Store, attempts_max: u32) -> Retry<S3Store> {
    let policy = RetryPolicy {
        attempts_max,
        pause_first: Duration::from_millis(1),
        pause_max: Duration::from_millis(20),
        ..RetryPolicy::default()
    };
    Retry::new(
        store,
        policy,
        Arc::new(SystemPacing::new(CancelToken::new())),
    )
}

fn cause(error: &StoreError) -> String {
    error.source().map(ToString::to_string).unwrap_or_default()
}

fn keys(store: &dyn Store) -> Vec<String> {
    store
        .list("")
        .unwrap()
        .into_iter()
        .map(|info| info.key.to_string())
        .collect()
}

#[test]
fn contract_on_s3s_fs() {
    let (server, _) = server();
    let number = AtomicU64::new(0);
    // It keeps objects as files, and compares before it writes.
    contract::run_without(
        contract::Omissions {
            folder_keys: true,
            races: true,
        },
        || {
            let number = number.fetch_add(1, Ordering::SeqCst);
            Box::new(open(&server.endpoint(), &format!("/c{number}/v")))
        },
    );
}

#[test]
fn contract_on_moto() {
    let server = S3Server::moto();
    server.create_bucket(BUCKET);
    let number = AtomicU64::new(0);
    contract::run(|| {
        let number = number.fetch_add(1, Ordering::SeqCst);
        Box::new(open(&server.endpoint(), &format!("/c{number}/v")))
    });
}

/// Path style and the whole bucket, without a prefix.
#[test]
fn a_whole_bucket_is_a_store() {
    let (server, _) = server();
    let store = open(&server.endpoint(), "");
    store
        .put(&key("vault.json"), "x".into(), Condition::Absent)
        .unwrap();
    assert_eq!(keys(&store), ["vault.json"]);
    // Whose keys are not below this prefix are not listed, though they begin with its letters.
    assert!(keys(&open(&server.endpoint(), "/vault")).is_empty());
}

#[test]
fn a_bucket_is_a_virtual_host() {
    let server = S3Server::s3s_fs_with_domain("s3.test");
    server.create_bucket(BUCKET);
    let address = server.address();
    let mut options = options(&format!("http://s3.test:{}", address.port()), "/v");
    options.place.path_style = false;
    options.address = Some(address.ip());
    let store = S3Store::open(options).unwrap();
    store
        .put(&key("a/b"), "x".into(), Condition::Absent)
        .unwrap();
    assert_eq!(store.get(&key("a/b")).unwrap(), "x");
    assert_eq!(keys(&store), ["a/b"]);
    store.delete(&key("a/b")).unwrap();
    assert!(keys(&store).is_empty());
}

#[test]
fn a_wrong_key_is_denied() {
    let (server, _) = server();
    for (id, secret) in [
        (S3Server::ACCESS_KEY_ID, "not-the-secret"),
        ("AKIANOBODY", S3Server::SECRET_ACCESS_KEY),
    ] {
        let wrong = S3Options {
            credentials: S3Credentials::Keys {
                access_key_id: id.to_owned(),
                secret_access_key: secret.to_owned().into(),
                session_token: None,
            },
            ..options(&server.endpoint(), "/v")
        };
        assert!(
            !format!("{wrong:?}").contains(secret),
            "a secret is printed"
        );
        let store = retrying(S3Store::open(wrong).unwrap(), 3);
        let key = key("vault.json");
        for error in [
            store.put(&key, "x".into(), Condition::Always).unwrap_err(),
            store.put(&key, "x".into(), Condition::Absent).unwrap_err(),
            store.get(&key).unwrap_err(),
            store.stat(&key).unwrap_err(),
            store.list("").unwrap_err(),
            store.delete(&key).unwrap_err(),
        ] {
            assert!(matches!(error, StoreError::Denied { .. }), "{error:?}");
            assert!(error.is_permanent());
            let said = format!("{error}: {}", cause(&error));
            assert!(
                said.contains("HTTP 403") && !said.contains(secret),
                "{said}"
            );
        }
    }
    assert!(keys(&open(&server.endpoint(), "/v")).is_empty());
}

#[test]
fn anonymous_requests_are_denied() {
    let (server, _) = server();
    let nobody = S3Options {
        credentials: S3Credentials::Anonymous,
        ..options(&server.endpoint(), "")
    };
    let error = S3Store::open(nobody).unwrap().get(&key("a")).unwrap_err();
    assert!(matches!(error, StoreError::Denied { .. }), "{error:?}");
}

#[test]
fn a_missing_bucket_lists_nothing_and_takes_nothing() {
    let s3s_fs = S3Server::s3s_fs();
    assert!(keys(&open(&s3s_fs.endpoint(), "/v")).is_empty());
    // s3s-fs would make the bucket.
    let moto = S3Server::moto();
    let store = open(&moto.endpoint(), "/v");
    assert!(keys(&store).is_empty());
    for error in [
        store
            .put(&key("a"), "x".into(), Condition::Absent)
            .unwrap_err(),
        store.get(&key("a")).unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::NoSuchPlace { .. }), "{error:?}");
    }
    store.delete(&key("a")).unwrap();
}

#[test]
fn nobody_listening_is_unreachable_and_named() {
    let endpoint = format!("http://127.0.0.1:{}", free_port());
    let store = open(&endpoint, "/v");
    for error in [
        store
            .put(&key("a"), "x".into(), Condition::Absent)
            .unwrap_err(),
        store.get(&key("a")).unwrap_err(),
        store.list("").unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::Unreachable { .. }), "{error:?}");
        let said = cause(&error);
        assert!(
            said.contains(&endpoint) && said.contains("Connection refused"),
            "{said}"
        );
    }
}

#[test]
fn a_silent_service_is_given_up() {
    let (_server, proxy) = server();
    proxy.always(ProxyFault::Silence);
    let impatient = S3Options {
        silence_max: Duration::from_millis(300),
        ..options(&proxy.endpoint(), "/v")
    };
    let store = S3Store::open(impatient).unwrap();
    for error in [
        store
            .put(&key("a"), "x".into(), Condition::Always)
            .unwrap_err(),
        store.get(&key("a")).unwrap_err(),
        store.list("").unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::Interrupted { .. }), "{error:?}");
        assert!(
            cause(&error).contains("no answer within 0.3 s"),
            "{}",
            cause(&error)
        );
    }
}

#[test]
fn a_lost_connection_is_interrupted_and_survived() {
    let (server, proxy) = server();
    let (direct, store) = (
        open(&server.endpoint(), "/v"),
        open(&proxy.endpoint(), "/v"),
    );
    let body = Bytes::from(vec![7; 3 << 20]);
    direct
        .put(&key("pack"), body.clone(), Condition::Always)
        .unwrap();
    for fault in [
        ProxyFault::Close,
        ProxyFault::CutDownload(40),
        ProxyFault::CutDownload(1 << 20),
    ] {
        proxy.always(fault);
        for error in [
            store.get(&key("pack")).unwrap_err(),
            store.get_range(&key("pack"), 5..2_000_000).unwrap_err(),
        ] {
            assert!(
                matches!(error, StoreError::Interrupted { .. }),
                "{fault:?}: {error:?}"
            );
        }
    }
    for fault in [ProxyFault::Close, ProxyFault::CutDownload(40)] {
        proxy.always(fault);
        for error in [
            store.stat(&key("pack")).unwrap_err(),
            store.list("").unwrap_err(),
        ] {
            assert!(
                matches!(error, StoreError::Interrupted { .. }),
                "{fault:?}: {error:?}"
            );
        }
    }
    let store = retrying(open(&proxy.endpoint(), "/v"), 5);
    proxy.always(ProxyFault::None);
    proxy.next(1, ProxyFault::Close);
    proxy.next(2, ProxyFault::CutDownload(1 << 20));
    assert_eq!(store.get(&key("pack")).unwrap(), body);
    assert!(proxy.connections() >= 4);
}

#[test]
fn a_truncated_upload_leaves_no_object() {
    let (server, proxy) = server();
    let (direct, store) = (
        open(&server.endpoint(), "/v"),
        open(&proxy.endpoint(), "/v"),
    );
    let body = Bytes::from(vec![7; 3 << 20]);
    for condition in [Condition::Always, Condition::Absent] {
        for bytes in [10, 2_000, 1 << 20] {
            proxy.always(ProxyFault::CutUpload(bytes));
            let error = store
                .put(&key("pack"), body.clone(), condition.clone())
                .unwrap_err();
            assert!(
                matches!(error, StoreError::Interrupted { .. }),
                "{bytes}: {error:?}"
            );
            assert!(keys(&direct).is_empty(), "cut after {bytes} bytes");
        }
    }
    let store = retrying(store, 5);
    proxy.always(ProxyFault::None);
    proxy.next(2, ProxyFault::CutUpload(1 << 20));
    store
        .put(&key("pack"), body.clone(), Condition::Absent)
        .unwrap();
    assert_eq!(direct.get(&key("pack")).unwrap(), body);
}

#[test]
fn a_truncated_upload_keeps_the_object_before_it() {
    let (server, proxy) = server();
    let (direct, store) = (
        open(&server.endpoint(), "/v"),
        open(&proxy.endpoint(), "/v"),
    );
    direct
        .put(&key("lease"), "before".into(), Condition::Always)
        .unwrap();
    proxy.always(ProxyFault::CutUpload(1 << 20));
    store
        .put(&key("lease"), vec![7; 3 << 20].into(), Condition::Always)
        .unwrap_err();
    assert_eq!(direct.get(&key("lease")).unwrap(), "before");
}

#[test]
fn bytes_that_change_on_the_way_are_refused() {
    let (server, proxy) = server();
    let (direct, store) = (
        open(&server.endpoint(), "/v"),
        open(&proxy.endpoint(), "/v"),
    );
    let body = Bytes::from(vec![7; 1 << 20]);
    proxy.always(ProxyFault::FlipUpload(500_000));
    let error = store
        .put(&key("pack"), body.clone(), Condition::Always)
        .unwrap_err();
    assert!(matches!(error, StoreError::Interrupted { .. }), "{error:?}");
    assert!(keys(&direct).is_empty());
    proxy.always(ProxyFault::None);
    proxy.next(1, ProxyFault::FlipUpload(500_000));
    retrying(store, 3)
        .put(&key("pack"), body.clone(), Condition::Absent)
        .unwrap();
    assert_eq!(direct.get(&key("pack")).unwrap(), body);
}

#[test]
fn a_storm_of_503_is_weathered_or_reported() {
    let (server, proxy) = server();
    // Four for the storm, and more for pooled connections that the proxy has ended.
    let store = retrying(open(&proxy.endpoint(), "/v"), 10);
    let body = Bytes::from(vec![7; 1 << 20]);
    let calm_after_four = || {
        proxy.always(ProxyFault::None);
        proxy.next(4, ProxyFault::SlowDown);
    };
    calm_after_four();
    store
        .put(&key("pack"), body.clone(), Condition::Absent)
        .unwrap();
    calm_after_four();
    assert_eq!(store.get(&key("pack")).unwrap(), body);
    calm_after_four();
    assert_eq!(keys(&store), ["pack"]);
    calm_after_four();
    store.delete(&key("pack")).unwrap();
    assert!(keys(&open(&server.endpoint(), "/v")).is_empty());

    proxy.always(ProxyFault::SlowDown);
    let before = proxy.connections();
    let store = retrying(open(&proxy.endpoint(), "/v"), 5);
    let error = store
        .put(&key("pack"), body, Condition::Absent)
        .unwrap_err();
    assert!(matches!(error, StoreError::Interrupted { .. }), "{error:?}");
    assert_eq!(
        cause(&error),
        "HTTP 503: SlowDown: Please reduce your request rate."
    );
    assert_eq!(
        proxy.connections() - before,
        5,
        "as many attempts as the policy allows"
    );
}

#[test]
fn a_lost_answer_is_recognised_as_our_own_work() {
    let (server, proxy) = server();
    let direct = open(&server.endpoint(), "/v");
    let store = retrying(open(&proxy.endpoint(), "/v"), 5);
    proxy.next(1, ProxyFault::LoseAnswer);
    let version = store
        .put(&key("head"), "ours".into(), Condition::Absent)
        .unwrap();
    assert_eq!(version, direct.stat(&key("head")).unwrap().version);
    assert!(proxy.connections() >= 2, "the first answer was lost");

    proxy.next(1, ProxyFault::LoseAnswer);
    let matches = Condition::Matches(version.unwrap());
    store.put(&key("head"), "newer".into(), matches).unwrap();
    assert_eq!(direct.get(&key("head")).unwrap(), "newer");
}

#[test]
fn large_objects_go_up_in_parts_and_come_back_whole() {
    let (server, proxy) = server();
    let (direct, store) = (
        open(&server.endpoint(), "/v"),
        open(&proxy.endpoint(), "/v"),
    );
    let body: Bytes = (0..(70_u32 << 20) / 4).flat_map(u32::to_le_bytes).collect();
    // One of the first four parts breaks off, and nothing is left of the others.
    proxy.next(3, ProxyFault::CutUpload(20 << 20));
    proxy.always(ProxyFault::CutUpload(10 << 20));
    let error = store
        .put(&key("large"), body.clone(), Condition::Always)
        .unwrap_err();
    assert!(matches!(error, StoreError::Interrupted { .. }), "{error:?}");
    assert!(keys(&direct).is_empty());

    proxy.always(ProxyFault::None);
    let store = open(&proxy.endpoint(), "/v");
    store
        .put(&key("large"), body.clone(), Condition::Always)
        .unwrap();
    assert!(
        direct.get(&key("large")).unwrap() == body,
        "the parts are in order"
    );
    let end = body.len() as u64;
    let tail = direct.get_range(&key("large"), end - 100..end).unwrap();
    assert_eq!(tail, body.slice(body.len() - 100..));
    // Under a condition it is a single request. The server may refuse it and hang up before it was read, and
    // its words be lost: then it is asked again.
    let ask = || store.put(&key("large"), body.clone(), Condition::Absent);
    let mut refused = ask().unwrap_err();
    for _ in 0..9 {
        if !refused.is_permanent() {
            refused = ask().unwrap_err();
        }
    }
    assert!(
        matches!(refused, StoreError::ConditionFailed { .. }),
        "{refused:?}"
    );
    store
        .put(&key("second"), body.clone(), Condition::Absent)
        .unwrap();
    assert_eq!(direct.stat(&key("second")).unwrap().bytes, end);
}

#[test]
fn s3s_fs_is_probed() {
    let (server, _) = server();
    let store = open(&server.endpoint(), "/v");
    let seen = probe::probe(&store, &SystemClock, "01").unwrap();
    assert!(seen.conditions_hold(), "{seen:?}");
    assert!(seen.clock_ahead.as_secs().abs() <= 60, "{seen:?}");
    assert_eq!(seen.facts.refuses_wrong_checksum, Some(true));
    assert!(keys(&store).is_empty());
}

#[test]
fn moto_is_probed() {
    let server = S3Server::moto();
    server.create_bucket(BUCKET);
    let facts = |bucket: &str| {
        let mut options = options(&server.endpoint(), "/v");
        options.place.bucket = bucket.to_owned();
        let store = S3Store::open(options).unwrap();
        let seen = probe::probe(&store, &SystemClock, "01").unwrap();
        assert!(seen.conditions_hold(), "{seen:?}");
        assert!(keys(&store).is_empty());
        seen.facts
    };
    let plain = PlaceFacts {
        free_bytes: None,
        versioning: Some(false),
        object_lock: Some(false),
        default_retention: None,
        refuses_wrong_checksum: Some(false),
    };
    assert_eq!(facts(BUCKET), plain);
    server.create_locked_bucket("acme-locked");
    let locked = PlaceFacts {
        versioning: Some(true),
        object_lock: Some(true),
        ..plain
    };
    assert_eq!(facts("acme-locked"), locked);
}
