//! The pages: who sees them, in which language, and what is not sent twice.

use super::*;
use crate::agenda::Task;

async fn visit(site: &Site, cookie: &str, path: &str, headers: &[(&str, &str)]) -> Told {
    let mut request = Request::get(path).header("cookie", format!("resguardo={cookie}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    site.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn whoever_is_not_logged_in_is_led_to_the_login_and_back() {
    let site = Site::new();
    let told = site.get("/runs?state=failed").await;
    assert_eq!(told.status, StatusCode::SEE_OTHER);
    assert_eq!(
        told.header("location"),
        "/login?next=%2Fruns%3Fstate%3Dfailed"
    );
    let login = site.get("/login?next=%2Fruns%3Fstate%3Dfailed").await;
    assert_eq!(login.status, StatusCode::OK);
    assert!(login.text.contains("value=\"/runs?state=failed\""));
    assert!(
        login.text.contains("resguardo users add"),
        "nobody may log in yet"
    );
    let elsewhere = site.get("/login?next=https://evil.example").await;
    assert!(elsewhere.text.contains("name=\"next\" value=\"/\""));
    site.user("ana", Role::Viewer);
    assert!(
        !site
            .get("/login")
            .await
            .text
            .contains("resguardo users add")
    );
}

#[tokio::test]
async fn the_overview_is_sent_once_until_something_changes() {
    let site = Site::new();
    site.user("ana", Role::Viewer);
    let cookie = site.login("ana", PASSWORD).await.cookie().unwrap();
    let first = visit(&site, &cookie, "/", &[]).await;
    assert_eq!(first.status, StatusCode::OK, "{}", first.text);
    assert!(first.text.contains("/srv/vault") && first.text.contains("ana"));
    let tag = first.header("etag").to_owned();
    assert_eq!(first.header("cache-control"), "private, no-cache");
    let again = visit(&site, &cookie, "/", &[("if-none-match", &tag)]).await;
    assert_eq!(
        (again.status, again.text.as_str()),
        (StatusCode::NOT_MODIFIED, "")
    );
    // Another reader, another language: another page.
    let other = site.login("ana", PASSWORD).await.cookie().unwrap();
    assert_eq!(
        visit(&site, &other, "/", &[("if-none-match", &tag)])
            .await
            .status,
        StatusCode::OK
    );
    let spanish = [
        ("if-none-match", tag.as_str()),
        ("accept-language", "es-CO"),
    ];
    let spanish = visit(&site, &cookie, "/", &spanish).await;
    assert_eq!(spanish.status, StatusCode::OK);
    assert!(spanish.text.contains("<html lang=\"es\""));
    site.house
        .board
        .put(site.hands.now(), Ok(seen(site.hands.now())));
    assert_eq!(
        visit(&site, &cookie, "/", &[("if-none-match", &tag)])
            .await
            .status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn language_and_theme_are_remembered_and_nothing_else_is() {
    let site = Site::new();
    let told = site.get("/login?lang=es&theme=dark&next=%2Fruns").await;
    assert_eq!(
        (told.status, told.header("location")),
        (StatusCode::SEE_OTHER, "/login?next=%2Fruns")
    );
    let set: Vec<&str> = told
        .headers
        .get_all("set-cookie")
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect();
    assert!(
        set[0].starts_with("lang=es;") && set[1].starts_with("theme=dark;"),
        "{set:?}"
    );
    let odd = site.get("/login?lang=%3Cb%3E").await;
    assert_eq!(odd.status, StatusCode::OK);
    let request = Request::get("/login").header("cookie", "lang=es; theme=dark");
    let told = site.send(request.body(Body::empty()).unwrap()).await;
    assert!(told.text.contains("lang=\"es\"") && told.text.contains("data-theme=\"dark\""));
}

#[tokio::test]
async fn a_form_does_it_and_leads_back_and_a_viewer_is_refused() {
    let site = Site::new();
    site.user("ana", Role::Operator);
    site.user("bea", Role::Viewer);
    let cookie = site.login("ana", PASSWORD).await.cookie().unwrap();
    let csrf = resguardo_ops::users::SessionSecret::parse(&cookie)
        .unwrap()
        .form_token();
    let told = site
        .send(form(
            "/sources/shop/backup",
            &[("csrf", &csrf)],
            Some(&cookie),
        ))
        .await;
    assert_eq!(
        (told.status, told.header("location")),
        (StatusCode::SEE_OTHER, "/sources/shop?done=begun")
    );
    assert_eq!(site.desk.pokes.lock().unwrap()[0].asked.by, "ana");
    let stale = site
        .send(form(
            "/sources/shop/backup",
            &[("csrf", "x")],
            Some(&cookie),
        ))
        .await;
    assert_eq!(stale.status, StatusCode::FORBIDDEN);
    assert!(stale.text.contains("<h1>"));
    let cookie = site.login("bea", PASSWORD).await.cookie().unwrap();
    let csrf = resguardo_ops::users::SessionSecret::parse(&cookie)
        .unwrap()
        .form_token();
    let told = site
        .send(form(
            "/sources/shop/drill",
            &[("csrf", &csrf)],
            Some(&cookie),
        ))
        .await;
    assert_eq!(told.status, StatusCode::FORBIDDEN);
    assert_eq!(site.desk.pokes.lock().unwrap().len(), 1);
    // A notice is one of ours, whatever an address says.
    let told = visit(&site, &cookie, "/?done=%3Cb%3Eowned", &[]).await;
    assert!(!told.text.contains("owned"));
}

#[tokio::test]
async fn what_takes_protection_away_wants_an_admin_and_the_name() {
    let site = Site::new();
    site.user("ana", Role::Admin);
    site.user("bea", Role::Operator);
    let mut held = Vec::new();
    for name in ["ana", "bea"] {
        let cookie = site.login(name, PASSWORD).await.cookie().unwrap();
        let secret = resguardo_ops::users::SessionSecret::parse(&cookie).unwrap();
        held.push((cookie, secret.form_token()));
    }
    let posted = async |by: usize, path: &str, fields: &[(&str, &str)]| {
        let (cookie, csrf) = &held[by];
        let mut all = vec![("csrf", csrf.as_str())];
        all.extend(fields);
        site.send(form(path, &all, Some(cookie))).await
    };
    let prune = "/policy/shop/prune";
    for wrong in [
        &[][..],
        &[("confirm", "")],
        &[("confirm", "shpo")],
        &[("confirm", "Shop")],
    ] {
        let told = posted(0, prune, wrong).await;
        assert_eq!(told.status, StatusCode::BAD_REQUEST, "{wrong:?}");
    }
    let told = posted(1, prune, &[("confirm", "shop")]).await;
    assert_eq!(told.status, StatusCode::FORBIDDEN);
    assert!(site.desk.pokes.lock().unwrap().is_empty());
    let told = posted(0, prune, &[("confirm", "shop")]).await;
    assert_eq!(told.header("location"), "/policy?done=begun");
    let told = posted(1, "/sources/shop/copy", &[]).await;
    assert_eq!(told.header("location"), "/sources/shop?done=begun");
    let pokes = site.desk.pokes.lock().unwrap();
    let tasks: Vec<_> = pokes
        .iter()
        .map(|poke| (poke.task, poke.asked.by.as_str()))
        .collect();
    assert_eq!(tasks, [(Task::Prune, "ana"), (Task::Copy, "bea")]);
}

#[tokio::test]
async fn assets_are_kept_for_ever_and_only_those() {
    let site = Site::new();
    for asset in crate::web::assets::all() {
        let told = site.get(&asset.path).await;
        assert_eq!(
            (told.status, told.header("content-type")),
            (StatusCode::OK, asset.media_type)
        );
        assert!(told.header("cache-control").contains("immutable"));
    }
    for path in ["/assets/style.css", "/assets/x", "/assets/..%2fstyle"] {
        assert!(site.get(path).await.status.is_client_error(), "{path}");
    }
}

#[tokio::test]
async fn metrics_are_open_on_this_machine_alone() {
    let site = Site::new();
    assert_eq!(site.get("/metrics").await.status, StatusCode::OK);
    let from_elsewhere = |token: Option<&str>| {
        let mut request = Request::get("/metrics");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut request = request.body(Body::empty()).unwrap();
        request
            .extensions_mut()
            .insert(Peer("203.0.113.7".parse().unwrap()));
        request
    };
    assert_eq!(
        site.send(from_elsewhere(None)).await.status,
        StatusCode::UNAUTHORIZED
    );
    let token = site.token("prometheus", Role::Viewer);
    let told = site.send(from_elsewhere(Some(&token))).await;
    assert_eq!(told.status, StatusCode::OK);
    assert!(
        told.header("content-type")
            .starts_with("application/openmetrics-text")
    );
    assert!(told.text.ends_with("# EOF\n"));
}
