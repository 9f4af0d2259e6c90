//! Coming in, going out, and what forged and foreign requests get.

use jiff::SignedDuration;
use resguardo_ops::users::SessionSecret;

use super::*;

fn form_token(cookie: &str) -> String {
    SessionSecret::parse(cookie).unwrap().form_token()
}

async fn me(site: &Site, cookie: &str) -> Told {
    let request = Request::get("/api/v1/me").header("cookie", format!("resguardo={cookie}"));
    site.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_login_opens_a_session_and_a_logout_ends_it_everywhere() {
    let site = Site::new();
    site.user("ana", Role::Operator);
    let told = site.login("Ana", PASSWORD).await;
    assert_eq!(told.status, StatusCode::SEE_OTHER);
    assert_eq!(told.header("location"), "/");
    let set = told.header("set-cookie");
    for part in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=604800"] {
        assert!(set.contains(part), "{set}");
    }
    assert!(!set.contains("Secure"));
    let cookie = told.cookie().unwrap();
    let who = me(&site, &cookie).await.json();
    assert_eq!(
        who,
        serde_json::json!({"name":"ana","role":"operator","scope":"operate","by":"session"})
    );
    let out = form("/logout", &[("csrf", &form_token(&cookie))], Some(&cookie));
    let told = site.send(out).await;
    assert_eq!(
        (told.status, told.header("location")),
        (StatusCode::SEE_OTHER, "/login")
    );
    assert_eq!(told.cookie(), None);
    assert_eq!(me(&site, &cookie).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn behind_tls_the_cookie_is_bound_to_it() {
    let mut settings = Settings::on("127.0.0.1:8372".parse().unwrap());
    settings.behind_proxy = true;
    settings.origin = Some("https://resguardo.example.com".parse().unwrap());
    let site = Site::with(settings);
    site.user("ana", Role::Viewer);
    let body = format!("name=ana&password={}", PASSWORD.replace(' ', "+"));
    let request = Request::post("/login")
        .header("host", "resguardo.example.com")
        .header("origin", "https://resguardo.example.com")
        .header("content-type", "application/x-www-form-urlencoded");
    let told = site.send(request.body(Body::from(body)).unwrap()).await;
    let set = told.header("set-cookie");
    assert!(
        set.starts_with("__Host-resguardo=") && set.contains("; Secure"),
        "{set}"
    );
    assert!(told.header("strict-transport-security").contains("max-age"));
    // Under the other name the same secret is worth nothing.
    let cookie = told.cookie().unwrap();
    assert_eq!(me(&site, &cookie).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn wrong_names_and_wrong_passwords_get_the_same_answer_and_then_a_wait() {
    let site = Site::new();
    site.user("ana", Role::Admin);
    let wrong = site.login("ana", "not the password").await;
    let nobody = site.login("bea", PASSWORD).await;
    let odd = site.login("<script>", PASSWORD).await;
    for told in [&wrong, &nobody, &odd] {
        assert_eq!(told.status, StatusCode::UNAUTHORIZED);
        let others = |text: &str| {
            text.replace("value=\"ana\"", "")
                .replace("value=\"bea\"", "")
                .replace("value=\"\"", "")
        };
        let (own, first) = (others(&told.text), others(&wrong.text));
        assert_eq!(
            own.contains("role=\"alert\""),
            first.contains("role=\"alert\"")
        );
        assert!(!told.text.contains("<script>"));
        assert_eq!(told.cookie(), None);
    }
    for _ in 0..4 {
        site.login("ana", "not the password").await;
    }
    let told = site.login("ana", PASSWORD).await;
    assert_eq!(told.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(told.header("retry-after").parse::<u64>().unwrap() >= 1);
    let notes = site.desk.notes.lock().unwrap();
    assert!(
        notes
            .iter()
            .any(|line| line.contains("ana from 127.0.0.1 was refused"))
    );
    assert!(
        !notes
            .iter()
            .any(|line| line.contains("password") || line.contains(PASSWORD))
    );
}

#[tokio::test]
async fn behind_a_proxy_tries_are_counted_for_whom_it_names_last() {
    let mut settings = Settings::on("127.0.0.1:8372".parse().unwrap());
    settings.behind_proxy = true;
    settings.origin = Some("https://resguardo.example.com".parse().unwrap());
    let site = Site::with(settings);
    let tried = async |number: u32, forwarded: &str| {
        let request = Request::post("/login")
            .header("x-forwarded-for", forwarded)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(format!("name=u{number}&password=x")));
        site.send(request.unwrap()).await.status
    };
    // What the browser itself says stands first, and is not believed.
    assert_eq!(
        tried(1, "10.0.0.1, 203.0.113.7").await,
        StatusCode::UNAUTHORIZED
    );
    // Each try hashes; all but one of them are counted without.
    for number in 0..49 {
        let name = format!("n{number}").parse().unwrap();
        let address = "203.0.113.7".parse().unwrap();
        let now = std::time::Instant::now();
        assert!(site.state.tries.begin(&name, address, now).is_ok());
    }
    assert_eq!(tried(9, "203.0.113.7").await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(tried(9, "203.0.113.8").await, StatusCode::UNAUTHORIZED);
    let notes = site.desk.notes.lock().unwrap();
    let waits = notes.iter().filter(|line| line.contains("have to wait"));
    assert_eq!(waits.count(), 1);
}

#[tokio::test]
async fn forged_cookies_and_tokens_let_nobody_in() {
    let site = Site::new();
    site.user("ana", Role::Admin);
    let cookie = site.login("ana", PASSWORD).await.cookie().unwrap();
    let mut other = cookie.clone().into_bytes();
    other[0] = if other[0] == b'0' { b'1' } else { b'0' };
    let forged = [
        String::new(),
        "x".to_owned(),
        "0".repeat(64),
        String::from_utf8(other).unwrap(),
        form_token(&cookie),
        format!("{cookie}0"),
        cookie.to_uppercase(),
        format!("\"{cookie}\""),
    ];
    for value in forged.iter().filter(|value| **value != cookie) {
        assert_eq!(
            me(&site, value).await.status,
            StatusCode::UNAUTHORIZED,
            "{value}"
        );
    }
    for shown in [
        "Bearer ",
        "Bearer rsg_",
        "Bearer x",
        "Basic YW5hOng=",
        "bearer",
        &format!("Bearer {cookie}"),
    ] {
        let request = Request::get("/api/v1/me").header("authorization", shown);
        let told = site.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(told.status, StatusCode::UNAUTHORIZED, "{shown}");
        assert_eq!(told.header("www-authenticate"), "Bearer");
    }
    // A bad token is not made good by a good cookie.
    let request = Request::get("/api/v1/me")
        .header("authorization", "Bearer rsg_0")
        .header("cookie", format!("resguardo={cookie}"));
    let told = site.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(told.status, StatusCode::UNAUTHORIZED);
    assert_eq!(me(&site, &cookie).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_session_ends_by_time_and_with_its_password() {
    let site = Site::new();
    let ana = site.user("ana", Role::Viewer);
    let first = site.login("ana", PASSWORD).await.cookie().unwrap();
    site.hands.forward(SignedDuration::from_hours(13));
    assert_eq!(me(&site, &first).await.status, StatusCode::UNAUTHORIZED);
    let second = site.login("ana", PASSWORD).await.cookie().unwrap();
    assert_ne!(first, second);
    assert_eq!(me(&site, &second).await.status, StatusCode::OK);
    let other = SecretString::from("quite another password".to_owned());
    users::set_password(&site.house.accounts.write, &ana, &other, site.hands.now()).unwrap();
    assert_eq!(me(&site, &second).await.status, StatusCode::UNAUTHORIZED);
}

/// A request of `/logout` with other headers than a browser's own page would send.
async fn foreign(
    site: &Site,
    cookie: &str,
    headers: &[(&str, &str)],
    token: Option<&str>,
) -> StatusCode {
    let fields: Vec<(&str, &str)> = token.map(|token| ("csrf", token)).into_iter().collect();
    let mut request = form("/logout", &fields, Some(cookie));
    request.headers_mut().remove("origin");
    request.headers_mut().remove("sec-fetch-site");
    for (name, value) in headers {
        let name: header::HeaderName = name.parse().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    site.send(request).await.status
}

#[tokio::test]
async fn what_another_site_sends_changes_nothing() {
    type Request<'a> = (&'a [(&'a str, &'a str)], Option<&'a str>);
    let site = Site::new();
    site.user("ana", Role::Admin);
    let cookie = site.login("ana", PASSWORD).await.cookie().unwrap();
    let good = form_token(&cookie);
    let refused: [Request<'_>; 12] = [
        (&[("sec-fetch-site", "cross-site")], Some(&good)),
        (&[("sec-fetch-site", "same-site")], Some(&good)),
        (&[("sec-fetch-site", "")], Some(&good)),
        (&[("origin", "https://evil.example")], Some(&good)),
        (&[("origin", "null")], Some(&good)),
        (&[("origin", "http://127.0.0.1:8373")], Some(&good)),
        (
            &[("origin", "http://127.0.0.1:8372.evil.example")],
            Some(&good),
        ),
        (
            &[
                ("sec-fetch-site", "same-origin"),
                ("origin", "https://evil.example"),
            ],
            Some(&good),
        ),
        (&[("sec-fetch-site", "same-origin")], None),
        (&[("sec-fetch-site", "same-origin")], Some("")),
        (&[("sec-fetch-site", "same-origin")], Some(&cookie)),
        (
            &[],
            Some("0000000000000000000000000000000000000000000000000000000000000000"),
        ),
    ];
    for (headers, token) in refused {
        let status = foreign(&site, &cookie, headers, token).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{headers:?} {token:?}");
    }
    // The form of another session is none of this one.
    let other = site.login("ana", PASSWORD).await.cookie().unwrap();
    let status = foreign(&site, &cookie, &[], Some(&form_token(&other))).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(me(&site, &cookie).await.status, StatusCode::OK);
    // Nor does another site log anybody in.
    let mut request = form("/login", &[("name", "ana"), ("password", PASSWORD)], None);
    request
        .headers_mut()
        .insert("sec-fetch-site", "cross-site".parse().unwrap());
    assert_eq!(site.send(request).await.status, StatusCode::FORBIDDEN);
    let status = foreign(
        &site,
        &cookie,
        &[("origin", "http://127.0.0.1:8372")],
        Some(&good),
    )
    .await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    // Sent again, it is nobody's any more, and does nothing.
    assert_eq!(me(&site, &cookie).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_login_leads_back_to_where_it_came_from_and_nowhere_else() {
    let site = Site::new();
    site.user("ana", Role::Viewer);
    for (next, place) in [
        ("/runs?state=failed", "/runs?state=failed"),
        ("//evil.example", "/"),
        ("https://evil.example", "/"),
    ] {
        let request = form(
            "/login",
            &[("name", "ana"), ("password", PASSWORD), ("next", next)],
            None,
        );
        assert_eq!(site.send(request).await.header("location"), place);
    }
}

#[tokio::test]
async fn a_login_is_written_down_and_a_refused_one_is_not() {
    let site = Site::new();
    site.user("ana", Role::Viewer);
    site.login("ana", "wrong horse battery").await;
    let token = site.token("all", Role::Admin);
    let told = site.get_by(&token, "/api/v1/audit").await.json();
    assert_eq!(told["audit"].as_array().unwrap().len(), 0);
    site.login("ana", PASSWORD).await;
    let told = site.get_by(&token, "/api/v1/audit").await.json();
    assert_eq!(told["audit"][0]["what"], "login");
    assert_eq!(told["audit"][0]["who"], "ana");
    assert_eq!(told["audit"][0]["origin"], "127.0.0.1");
    let last = resguardo_ops::audit::last_logins(&site.house.accounts.read).unwrap();
    assert_eq!(last.get("ana"), Some(&site.hands.now()));
}
