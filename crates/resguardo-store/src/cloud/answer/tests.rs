//! What services answer, and what is made of it.

use super::*;
use std::sync::LazyLock;

fn asked() -> Asked<'static> {
    static PLACE: LazyLock<Place> = LazyLock::new(|| Place {
        url: "s3://acme".to_owned(),
        words: "bucket acme".to_owned(),
        endpoint: None,
        prefix: None,
    });
    Asked {
        operation: "put",
        key: "a/b",
        place: &PLACE,
    }
}

fn named(make: impl FnOnce(BoxError) -> object_store::Error, words: &str) -> StoreError {
    asked().error(make(words.to_owned().into()))
}

fn generic(words: &str) -> StoreError {
    named(
        |source| object_store::Error::Generic {
            store: "S3",
            source,
        },
        words,
    )
}

fn answer(status: u16, code: &str) -> String {
    format!(
        "Server returned non-2xx status code: {status} Reason: <?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>Words</Message></Error>"
    )
}

#[test]
fn busy_services_and_broken_uploads_are_worth_another_try() {
    for (status, code) in [
        (503, "SlowDown"),
        (503, ""),
        (500, "InternalError"),
        (502, ""),
        (429, ""),
        (400, "BadDigest"),
        (400, "IncompleteBody"),
        (400, "RequestTimeout"),
        (409, "ConditionalRequestConflict"),
    ] {
        let error = generic(&answer(status, code));
        assert!(
            matches!(error, StoreError::Interrupted { .. }),
            "{status} {code}: {error:?}"
        );
    }
    // Where `object_store` reads a status its own way, S3's code still decides.
    let path = "a/b".to_owned();
    let conflict = named(
        |source| object_store::Error::AlreadyExists { path, source },
        &answer(409, "ConditionalRequestConflict"),
    );
    assert!(
        matches!(conflict, StoreError::Interrupted { .. }),
        "{conflict:?}"
    );
}

#[test]
fn what_stays_so_is_named() {
    assert!(matches!(
        generic(&answer(400, "ExpiredToken")),
        StoreError::Denied { .. }
    ));
    assert!(matches!(
        generic(&answer(507, "XMinioStorageFull")),
        StoreError::Full { .. }
    ));
    assert!(matches!(generic(&answer(507, "")), StoreError::Full { .. }));
    assert!(matches!(
        generic(&answer(501, "NotImplemented")),
        StoreError::Unsupported { .. }
    ));
    assert!(matches!(
        generic(&answer(400, "InvalidRequest")),
        StoreError::Other { .. }
    ));
    assert!(matches!(generic("no status"), StoreError::Other { .. }));
    let gone = generic(&answer(404, "NoSuchBucket"));
    assert!(matches!(&gone, StoreError::NoSuchPlace { place, .. } if place == "bucket acme"));
}

#[test]
fn no_name_of_a_bucket_or_source_looks_like_a_service_of_credentials() {
    let failed = |url: &str| {
        generic(&format!(
            "Error performing PUT {url} in 3ms - Server returned non-2xx status code: 500 : "
        ))
    };
    for url in [
        "https://tests.acme.s3.amazonaws.com/v/oauth2/packs/1.age",
        "https://s3.amazonaws.com/metadata.acme/credentials/snapshots/1.head.json",
    ] {
        let error = failed(url);
        assert!(!error.is_permanent(), "{url}: {error:?}");
    }
    for url in [
        "http://169.254.169.254/latest/meta-data/iam/security-credentials/",
        "https://sts.sa-east-1.amazonaws.com",
        "http://metadata.google.internal/computeMetadata/v1/instance",
    ] {
        let error = failed(url);
        assert!(
            matches!(error, StoreError::NoCredentials { .. }),
            "{url}: {error:?}"
        );
    }
}

#[test]
fn who_asks_is_refused_or_not_known() {
    let refused = generic(
        "Error performing POST https://oauth2.googleapis.com/token in 3ms - Server returned non-2xx status code: 401 : no",
    );
    assert!(matches!(refused, StoreError::Denied { .. }), "{refused:?}");
    let nobody = generic("Error performing GET http://169.254.169.254/latest/meta-data/ in 3ms");
    assert_eq!(nobody.to_string(), "put a/b: no credentials were found");
}

#[test]
fn a_question_about_everything_names_the_place() {
    let all = Asked { key: "", ..asked() };
    let error = all.refused(Some(404), "<html>not here</html>");
    assert_eq!(error.to_string(), "s3://acme is not in the store");
}

#[test]
fn a_lock_is_no_lack_of_permission() {
    let refused = |body: &str| asked().refused(Some(403), body);
    for body in [
        "<Error><Code>AccessDenied</Code><Message>Access Denied because object protected by object lock.</Message></Error>",
        "<Error><Code>ObjectLocked</Code><Message>Object is WORM protected</Message></Error>",
        "<Error><Code>BlobImmutableDueToPolicy</Code></Error>",
        r#"{"error":{"code":403,"message":"Object 'a' is subject to bucket's retention policy","errors":[{"reason":"retentionPolicyNotMet"}]}}"#,
    ] {
        let error = refused(body);
        assert!(
            matches!(error, StoreError::Locked { .. }),
            "{body}: {error:?}"
        );
    }
    let denied = refused("<Error><Code>AccessDenied</Code><Message>No</Message></Error>");
    assert!(matches!(denied, StoreError::Denied { .. }), "{denied:?}");
}

#[test]
fn the_networks_errors_are_told_apart() {
    let broken = |kind, words: &str| {
        let source = HttpError::new(kind, io::Error::other(words.to_owned())).into();
        asked().error(object_store::Error::Generic {
            store: "S3",
            source,
        })
    };
    let unknown = broken(
        HttpErrorKind::Connect,
        "failed to lookup address information: Name or service not known",
    );
    assert!(
        matches!(unknown, StoreError::NoSuchPlace { .. }),
        "{unknown:?}"
    );
    let untrusted = broken(
        HttpErrorKind::Connect,
        "invalid peer certificate: UnknownIssuer",
    );
    assert!(
        matches!(untrusted, StoreError::Other { .. }),
        "{untrusted:?}"
    );
    for words in [
        "Connection refused (os error 111)",
        "Temporary failure in name resolution",
    ] {
        let error = broken(HttpErrorKind::Connect, words);
        assert!(
            matches!(error, StoreError::Unreachable { .. }) && !error.is_permanent(),
            "{words}: {error:?}"
        );
        assert_eq!(error.to_string(), "put a/b: the store cannot be reached");
    }
    for (kind, words) in [
        (
            HttpErrorKind::Interrupted,
            "Connection reset by peer (os error 104)",
        ),
        (HttpErrorKind::Unknown, "error decoding response body"),
    ] {
        let error = broken(kind, words);
        assert!(
            matches!(error, StoreError::Interrupted { .. }),
            "{words}: {error:?}"
        );
        assert!(
            error
                .source()
                .is_some_and(|cause| cause.to_string().contains(words))
        );
    }
}

#[test]
fn the_cause_is_the_services_own_sentence() {
    let error = generic(&answer(403, "SignatureDoesNotMatch"));
    assert_eq!(error.to_string(), "put a/b: access denied");
    let cause = error.source().map(ToString::to_string);
    assert_eq!(
        cause.as_deref(),
        Some("HTTP 403: SignatureDoesNotMatch: Words")
    );
}
