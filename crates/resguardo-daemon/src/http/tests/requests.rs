//! What no request may be.

use super::*;

#[tokio::test]
async fn odd_paths_hosts_and_methods_are_refused() {
    let site = Site::new();
    for path in [
        "/healthz/../etc/passwd",
        "/%2e%2e/x",
        "/a%2fb",
        "/a%00",
        "/%ff",
        "//healthz",
        "/./healthz",
        "/a\\b",
    ] {
        // What is no address at all does not come as far as here.
        let Ok(request) = Request::get(path).body(Body::empty()) else {
            continue;
        };
        assert_eq!(
            site.send(request).await.status,
            StatusCode::BAD_REQUEST,
            "{path}"
        );
    }
    let long = format!("/{}", "a".repeat(10_000));
    assert_eq!(site.get(&long).await.status, StatusCode::URI_TOO_LONG);
    assert_eq!(site.get("/nothing").await.status, StatusCode::NOT_FOUND);
    let told = site.get("/api/v1/nothing").await;
    assert_eq!(told.status, StatusCode::NOT_FOUND);
    assert_eq!(told.json()["error"]["kind"], "not_found");
    let request = Request::delete("/healthz").body(Body::empty()).unwrap();
    assert_eq!(
        site.send(request).await.status,
        StatusCode::METHOD_NOT_ALLOWED
    );
    // A form's address is looked at by whoever follows a stale link: a page, which links to pages.
    let told = site.get("/sources/shop/backup").await;
    assert_eq!(told.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(told.text.contains("href=\"/sources/shop?lang=es\""));
    let proxied = Request::get("http://127.0.0.1:8372/healthz")
        .body(Body::empty())
        .unwrap();
    assert_eq!(site.send(proxied).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_name_of_somebody_elses_is_not_served() {
    let site = Site::new();
    for host in [
        "evil.example",
        "evil.example:8372",
        "127.0.0.1.evil.example:8372",
        "",
    ] {
        let request = Request::get("/healthz")
            .header("host", host)
            .body(Body::empty())
            .unwrap();
        let told = site.send(request).await;
        assert_eq!(told.status, StatusCode::MISDIRECTED_REQUEST, "{host}");
    }
    let twice = Request::get("/healthz")
        .header("host", "localhost")
        .header("host", "localhost");
    let told = site.send(twice.body(Body::empty()).unwrap()).await;
    assert_eq!(told.status, StatusCode::BAD_REQUEST);
    for host in ["localhost:8372", "127.0.0.1:8372", "[::1]:8372"] {
        let request = Request::get("/healthz")
            .header("host", host)
            .body(Body::empty())
            .unwrap();
        assert_eq!(site.send(request).await.status, StatusCode::OK, "{host}");
    }
}

#[tokio::test]
async fn bodies_are_small_and_of_a_kind() {
    let site = Site::new();
    let post = |length: Option<&str>, kind: &str, body: Vec<u8>| {
        let mut request = Request::post("/login").header("content-type", kind);
        if let Some(length) = length {
            request = request.header("content-length", length);
        }
        request.body(Body::from(body)).unwrap()
    };
    let form = "application/x-www-form-urlencoded";
    let cases = [
        (
            post(Some("1073741824"), form, Vec::new()),
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
        (
            post(None, form, vec![b'a'; 70_000]),
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
        (post(Some("-1"), form, Vec::new()), StatusCode::BAD_REQUEST),
        (post(Some("x"), form, Vec::new()), StatusCode::BAD_REQUEST),
        (
            post(None, "multipart/form-data; boundary=x", b"x".to_vec()),
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ),
        (
            post(None, "text/plain", b"name=ana".to_vec()),
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ),
        (
            post(None, form, b"name=%ff".to_vec()),
            StatusCode::BAD_REQUEST,
        ),
        (
            post(None, form, b"name=a&name=b".to_vec()),
            StatusCode::BAD_REQUEST,
        ),
        (
            post(None, "application/json", b"{\"name\":[1]}".to_vec()),
            StatusCode::BAD_REQUEST,
        ),
    ];
    for (request, status) in cases {
        let shown = format!("{:?}", request.headers());
        assert_eq!(site.send(request).await.status, status, "{shown}");
    }
    let with_body = Request::get("/healthz").body(Body::from("x")).unwrap();
    assert_eq!(site.send(with_body).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let site = Site::new();
    let never = futures::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let request = Request::post("/login")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from_stream(never))
        .unwrap();
    assert_eq!(site.send(request).await.status, StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test]
async fn every_answer_is_hardened() {
    let site = Site::new();
    for path in ["/healthz", "/nothing", "/api/v1/me", "/%2e%2e/"] {
        let told = site.get(path).await;
        let policy = told.header("content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && !policy.contains("unsafe"),
            "{path}"
        );
        assert_eq!(told.header("x-content-type-options"), "nosniff");
        assert_eq!(told.header("x-frame-options"), "DENY");
        assert_eq!(told.header("cache-control"), "no-store");
        assert_eq!(told.header("access-control-allow-origin"), "");
    }
}

#[tokio::test]
async fn ready_is_what_could_be_read_lately() {
    let site = Site::new();
    let board = &site.house.board;
    assert_eq!(site.get("/healthz").await.text, "alive\n");
    assert_eq!(site.get("/readyz").await.text, "ready\n");
    site.hands.forward(jiff::SignedDuration::from_mins(6));
    assert_eq!(
        site.get("/readyz").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    board.put(site.hands.now(), Ok(seen(site.hands.now())));
    assert_eq!(site.get("/readyz").await.status, StatusCode::OK);
    board.put(site.hands.now(), Err("the disk is full".to_owned()));
    let told = site.get("/readyz").await;
    assert_eq!(told.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(told.text, "not ready: the disk is full\n");
    // Nobody elsewhere is told why.
    let mut request = Request::get("/readyz").body(Body::empty()).unwrap();
    request
        .extensions_mut()
        .insert(Peer("203.0.113.7".parse().unwrap()));
    assert_eq!(site.send(request).await.text, "not ready\n");
    assert_eq!(site.get("/healthz").await.status, StatusCode::OK);
}

#[test]
fn a_public_address_wants_tls_or_a_proxy() {
    let on = |listen: &str| Settings::on(listen.parse().unwrap());
    for loopback in ["127.0.0.1:8372", "[::1]:8372", "127.9.9.9:1"] {
        assert!(on(loopback).check().is_ok(), "{loopback}");
    }
    for public in [
        "0.0.0.0:8372",
        "[::]:8372",
        "192.168.1.4:8372",
        "[::ffff:10.0.0.1]:80",
    ] {
        let mut settings = on(public);
        assert!(
            matches!(
                settings.check(),
                Err(super::super::HttpError::Public { .. })
            ),
            "{public}"
        );
        settings.behind_proxy = true;
        assert!(matches!(
            settings.check(),
            Err(super::super::HttpError::NoOrigin)
        ));
        settings.origin = Some("https://resguardo.example.com".parse().unwrap());
        assert!(settings.check().is_ok());
    }
}
