//! S3 against a service that answers as a test says, and against moto's locks: what services do that our own
//! servers do not.

#![allow(clippy::unwrap_used, reason = "test")]

use std::error::Error as _;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use resguardo_model::{Clock as _, SystemClock};
use resguardo_store::s3::{MachineRole, S3Credentials, S3Encryption, S3Options, S3Store};
use resguardo_store::{
    Condition, DefaultRetention, Key, Location, LockMode, LockedUntil, Store, StoreError, advice,
    probe,
};
use resguardo_testkit::S3Server;
use resguardo_testkit::servers::{Answer, Answering, free_port};

fn options(endpoint: &str) -> S3Options {
    let url = format!("s3://acme/v?endpoint={endpoint}");
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

fn open(endpoint: &str) -> S3Store {
    S3Store::open(options(endpoint)).unwrap()
}

fn key(text: &str) -> Key {
    text.parse().unwrap()
}

fn put(store: &S3Store, name: &str) -> Result<(), StoreError> {
    let done = store.put(&key(name), "x".into(), Condition::Always);
    done.map(|_| ())
}

/// A service that refuses everything in the same way.
fn refusing(status: &'static str, code: &'static str) -> Answering {
    Answering::with(move |_| Answer::refusal(status, code, "Words of the service."))
}

#[test]
fn a_clock_that_is_off_and_a_token_that_expired_are_said() {
    for (status, code, next) in [
        ("403 Forbidden", "RequestTimeTooSkewed", "NTP"),
        ("400 Bad Request", "ExpiredToken", "get new ones"),
        ("403 Forbidden", "InvalidAccessKeyId", "access_key"),
    ] {
        let service = refusing(status, code);
        let store = open(&service.endpoint());
        let gets = store.get(&key("a")).unwrap_err();
        let puts = put(&store, "a").unwrap_err();
        let lists = store.list("").unwrap_err();
        for error in [gets, puts, lists] {
            assert!(matches!(error, StoreError::Denied { .. }), "{error:?}");
            assert!(error.is_permanent(), "trying again is pointless");
            let cause = error.source().unwrap().to_string();
            assert!(cause.contains(code) && cause.contains("Words"), "{cause}");
            assert!(advice(&error).unwrap().contains(next), "{error:?}");
        }
    }
}

#[test]
fn the_right_region_is_named() {
    // Signatures of another region: the answer names the right one.
    let service = Answering::with(|_| {
        Answer::new(
            "400 Bad Request",
            "<Error><Code>AuthorizationHeaderMalformed</Code><Message>the region 'us-east-1' is wrong</Message><Region>sa-east-1</Region></Error>",
        )
    });
    let error = put(&open(&service.endpoint()), "a").unwrap_err();
    assert!(
        advice(&error).unwrap().contains("\"sa-east-1\""),
        "{error:?}"
    );

    // A redirect without a place to go: the bucket itself is asked, without a signature.
    let service = Answering::with(|asked| {
        let redirect = Answer::refusal("301 Moved Permanently", "PermanentRedirect", "Elsewhere.");
        if asked.method == "HEAD" && !asked.target.contains("X-Amz") {
            redirect.with("x-amz-bucket-region: eu-west-3")
        } else {
            redirect
        }
    });
    let store = open(&service.endpoint());
    for error in [put(&store, "a").unwrap_err(), store.list("").unwrap_err()] {
        assert!(matches!(error, StoreError::Other { .. }), "{error:?}");
        let cause = error.source().unwrap().to_string();
        assert!(
            cause.contains("the bucket lies in eu-west-3, not in us-east-1"),
            "{cause}"
        );
        assert!(advice(&error).unwrap().contains("\"eu-west-3\""));
    }
}

#[test]
fn encryption_and_class_are_asked_for() {
    let service = Answering::with(|_| Answer::new("200 OK", "").with("etag: \"1\""));
    for (encryption, kind, id) in [
        (S3Encryption::Service, "AES256", None),
        (
            S3Encryption::Kms("key-1".to_owned()),
            "aws:kms",
            Some("key-1"),
        ),
    ] {
        let store = S3Store::open(S3Options {
            encryption: Some(encryption),
            storage_class: Some("STANDARD_IA".to_owned()),
            ..options(&service.endpoint())
        })
        .unwrap();
        for (bytes, class) in [(200 << 10, Some("STANDARD_IA")), (100, None)] {
            let body = vec![7; bytes].into();
            store.put(&key("a"), body, Condition::Absent).unwrap();
            let asked = service.asked().pop().unwrap();
            let header = |name: &str| asked.header(name);
            assert_eq!(header("x-amz-server-side-encryption"), Some(kind));
            assert_eq!(header("x-amz-server-side-encryption-aws-kms-key-id"), id);
            assert_eq!(header("x-amz-storage-class"), class, "{bytes} bytes");
            let signed = header("authorization").unwrap();
            assert!(signed.contains("x-amz-server-side-encryption"), "{signed}");
        }
    }
}

#[test]
fn a_machines_role_is_asked_for_and_renewed() {
    let server = S3Server::s3s_fs();
    server.create_bucket("acme");
    // The first keys lapse at once: the second request asks for others.
    let metadata = Answering::with(|asked| match asked.target.as_str() {
        "/latest/api/token" => Answer::new("200 OK", "token"),
        "/latest/meta-data/iam/security-credentials/" => Answer::new("200 OK", "backups"),
        _ => {
            let expires = SystemClock.now() + SignedDuration::from_secs(60);
            Answer::new(
                "200 OK",
                &format!(
                    r#"{{"AccessKeyId":"{}","SecretAccessKey":"{}","Token":"","Expiration":"{expires:.0}"}}"#,
                    S3Server::ACCESS_KEY_ID,
                    S3Server::SECRET_ACCESS_KEY
                ),
            )
        }
    });
    let role = MachineRole {
        metadata_endpoint: Some(metadata.endpoint()),
        ..MachineRole::default()
    };
    let store = S3Store::open(S3Options {
        credentials: S3Credentials::Machine(role),
        ..options(&server.endpoint())
    })
    .unwrap();
    put(&store, "a").unwrap();
    let after_one = metadata.asked().len();
    // What was asked for a moment ago is not asked for again.
    let renewed = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(store.get(&key("a")).unwrap(), "x");
        metadata.asked().len() > after_one
    });
    assert!(renewed, "keys that are about to lapse are renewed");
    let asked = metadata.asked();
    assert!(
        asked
            .iter()
            .any(|asked| asked.target.ends_with("security-credentials/backups")),
        "{asked:?}"
    );
}

#[test]
fn a_machine_without_a_role_says_so() {
    let server = S3Server::s3s_fs();
    server.create_bucket("acme");
    let machine = |metadata: String| {
        let role = MachineRole {
            metadata_endpoint: Some(metadata),
            ..MachineRole::default()
        };
        S3Store::open(S3Options {
            credentials: S3Credentials::Machine(role),
            ..options(&server.endpoint())
        })
        .unwrap()
    };
    let without_role = Answering::with(|_| Answer::new("404 Not Found", ""));
    let nobody = format!("http://127.0.0.1:{}", free_port());
    for metadata in [without_role.endpoint(), nobody] {
        let store = machine(metadata);
        for error in [
            put(&store, "a").unwrap_err(),
            // Least of all may it look as if there were no such object.
            store.get(&key("a")).unwrap_err(),
            store.stat(&key("a")).unwrap_err(),
            store.list("").unwrap_err(),
            store.delete(&key("a")).unwrap_err(),
        ] {
            assert!(
                matches!(error, StoreError::NoCredentials { .. }),
                "{error:?}"
            );
            assert!(error.is_permanent(), "nobody waits two minutes for that");
            let next = advice(&error).unwrap();
            assert!(next.contains("AWS_ACCESS_KEY_ID"), "{error:?}");
            assert!(!next.contains("AZURE"), "{next}");
        }
    }
}

#[test]
fn what_a_lock_keeps_is_kept_and_said_until_when() {
    let server = S3Server::moto();
    server.create_locked_bucket("acme");
    let store = open(&server.endpoint());
    put(&store, "head").unwrap();
    assert_eq!(store.retention(&key("head")).unwrap(), None);
    let until: Timestamp = "2999-01-01T00:00:00Z".parse().unwrap();
    server.lock_object("acme", "v/head", "COMPLIANCE", "2999-01-01T00:00:00Z");
    let locked = LockedUntil {
        until: Some(until),
        mode: Some(LockMode::Compliance),
    };
    assert_eq!(store.retention(&key("head")).unwrap(), Some(locked));
    let error = store.delete(&key("head")).unwrap_err();
    assert!(
        matches!(&error, StoreError::Locked { until, .. } if *until == locked.until),
        "{error:?}"
    );
    assert_eq!(store.get(&key("head")).unwrap(), "x", "nothing hides it");
    // It can be replaced, which makes a newer version.
    put(&store, "head").unwrap();
    store.delete(&key("gone")).unwrap();
    assert!(matches!(
        store.retention(&key("gone")),
        Err(StoreError::NotFound { .. })
    ));
}

#[test]
fn a_rule_of_the_bucket_is_told() {
    let server = S3Server::moto();
    server.create_locked_bucket("acme");
    let store = open(&server.endpoint());
    let seen = probe::probe(&store, &SystemClock, "01").unwrap();
    assert!(seen.may_delete && seen.conditions_hold());
    assert_eq!(seen.facts.default_retention, None);
    put(&store, "free").unwrap();
    store.delete(&key("free")).unwrap();
    assert!(store.list("").unwrap().is_empty());

    server.create_locked_bucket("acme-ruled");
    server.lock_new_objects("acme-ruled", "COMPLIANCE", 30);
    let mut ruled = options(&server.endpoint());
    ruled.place.bucket = "acme-ruled".to_owned();
    let store = S3Store::open(ruled).unwrap();
    let facts = store.place_facts(&key("_probe/facts")).unwrap();
    let rule = DefaultRetention {
        mode: Some(LockMode::Compliance),
        days: 30,
    };
    assert_eq!(facts.default_retention, Some(rule));
    let facts = store.access().unwrap();
    let says = |subject: &str| {
        let fact = facts.iter().find(|fact| fact.subject == subject);
        fact.map(|fact| fact.says.as_str())
    };
    assert_eq!(
        says("object lock"),
        Some("on, every new object for 30 days (compliance)")
    );
    assert_eq!(says("access control list"), Some("the owner alone"));
    assert!(says("versioning").unwrap().starts_with("on"), "{facts:?}");
}

#[test]
fn a_bucket_that_locks_all_that_is_new_takes_every_upload() {
    let server = S3Server::moto();
    server.create_locked_bucket("acme");
    server.lock_new_objects("acme", "COMPLIANCE", 30);
    let store = open(&server.endpoint());
    let until = SystemClock.now() + SignedDuration::from_hours(30 * 24 - 1);
    let is_locked = |name: &str| {
        let error = store.delete(&key(name)).unwrap_err();
        let StoreError::Locked {
            until: Some(told), ..
        } = error
        else {
            panic!("{name}: {error:?}")
        };
        assert!(told > until, "{name}: {told}");
    };
    let first = store
        .put(&key("small"), "x".into(), Condition::Absent)
        .unwrap()
        .unwrap();
    store
        .put(&key("small"), "y".into(), Condition::Matches(first))
        .unwrap();
    store
        .put(&key("empty"), "".into(), Condition::Always)
        .unwrap();
    let large = vec![7; 70 << 20];
    store
        .put(&key("large"), large.into(), Condition::Always)
        .unwrap();
    // moto locks no upload in parts; S3 does.
    ["small", "empty"].into_iter().for_each(is_locked);
    assert_eq!(store.get(&key("small")).unwrap(), "y");
    assert_eq!(store.stat(&key("large")).unwrap().bytes, 70 << 20);
}

/// S3 asks for one where a rule of the bucket locks what comes: of every object, and of every part of one.
#[test]
fn every_upload_carries_a_checksum() {
    let service = Answering::with(|asked| {
        let begun =
            "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>";
        let whole = "<CompleteMultipartUploadResult><ETag>2</ETag></CompleteMultipartUploadResult>";
        let body = match asked.method.as_str() {
            "POST" if asked.target.contains("uploads") => begun,
            "POST" => whole,
            _ => "",
        };
        Answer::new("200 OK", body).with("etag: \"1\"")
    });
    let store = open(&service.endpoint());
    let one = resguardo_store::Version("1".to_owned());
    for condition in [
        Condition::Always,
        Condition::Absent,
        Condition::Matches(one),
    ] {
        for body in ["x", ""] {
            store
                .put(&key("a"), body.into(), condition.clone())
                .unwrap();
        }
    }
    let parts = vec![7; 70 << 20];
    store
        .put(&key("a"), parts.into(), Condition::Always)
        .unwrap();
    let asked = service.asked();
    let begun = asked.iter().find(|asked| asked.target.contains("uploads"));
    let algorithm = begun.unwrap().header("x-amz-checksum-algorithm");
    assert_eq!(algorithm, Some("SHA256"));
    let puts: Vec<_> = asked.iter().filter(|asked| asked.method == "PUT").collect();
    assert_eq!(puts.len(), 11);
    for asked in puts {
        assert!(asked.header("x-amz-checksum-sha256").is_some(), "{asked:?}");
    }
}

#[test]
fn a_bucket_that_does_not_tell_of_locks_is_asked_for_each_object() {
    let service = Answering::with(|asked| {
        if asked.target.contains("object-lock") {
            return Answer::refusal("403 Forbidden", "AccessDenied", "No.");
        }
        match asked.method.as_str() {
            "HEAD" => Answer::new("200 OK", "")
                .with("x-amz-object-lock-mode: GOVERNANCE")
                .with("x-amz-object-lock-retain-until-date: 2999-01-01T00:00:00Z"),
            _ => Answer::new("204 No Content", ""),
        }
    });
    let store = open(&service.endpoint());
    for _ in 0..2 {
        let error = store.delete(&key("a")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a is locked in the store until 2999-01-01T00:00:00Z"
        );
    }
    let of_bucket = service.asked();
    let questions = of_bucket
        .iter()
        .filter(|asked| asked.target.contains("object-lock"));
    assert_eq!(questions.count(), 1, "the bucket is asked once");
    let deletes = of_bucket.iter().filter(|asked| asked.method == "DELETE");
    assert_eq!(deletes.count(), 0);
}
