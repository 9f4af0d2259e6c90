//! The API: roles, actions, its description, its events.

use std::collections::BTreeSet;

use super::*;
use crate::agenda::Task;
use crate::http::route::{self, Needs, Place, Surface, Way};

/// The path of a route with something in each place.
fn filled(path: &str) -> String {
    path.replace("{name}", "shop")
        .replace("{id}", "01jd8kq2v3000000000000000a")
        .replace("{run}", "01jd8kq2v3000000000000000a")
        .replace("{file}", "nothing")
        .replace("{exception}", "01jd8kq2v3000000000000000a")
}

async fn ask(site: &Site, route: &route::Route, token: Option<&str>) -> Told {
    let path = filled(route.path);
    let mut request = match route.way {
        Way::Get => Request::get(path),
        Way::Post => Request::post(path).header("content-type", "application/json"),
    };
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    site.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn every_route_asks_for_its_role() {
    let site = Site::new();
    let tokens = Role::ALL.map(|role| (role, site.token(role.word(), role)));
    let mut guarded = 0;
    for route in route::all().filter(|route| route.path != "/events") {
        let Needs::Role(needed) = route.needs else {
            continue;
        };
        guarded += 1;
        let nobody = ask(&site, route, None).await.status;
        let is_page = route.surface == Surface::Page && route.way == Way::Get;
        let refused = if is_page {
            StatusCode::SEE_OTHER
        } else {
            StatusCode::UNAUTHORIZED
        };
        assert_eq!(nobody, refused, "{}", route.path);
        for (role, token) in &tokens {
            let status = ask(&site, route, Some(token)).await.status;
            let is_refused = status == StatusCode::FORBIDDEN;
            assert_eq!(
                is_refused,
                *role < needed,
                "{} as {role}: {status}",
                route.path
            );
            assert_ne!(status, StatusCode::UNAUTHORIZED, "{}", route.path);
        }
    }
    assert!(guarded > 15, "{guarded}");
    assert_eq!(
        site.desk
            .notes
            .lock()
            .unwrap()
            .iter()
            .filter(|line| line.contains("viewer"))
            .count(),
        0
    );
}

#[tokio::test]
async fn the_description_has_every_route_and_every_route_answers() {
    let site = Site::new();
    let told = site.get("/api/v1/openapi.json").await;
    let description = told.json();
    assert_eq!(description["openapi"], "3.1.0");
    let admin = site.token("all", Role::Admin);
    let mut names = BTreeSet::new();
    for route in route::all().filter(|route| route.surface == Surface::Api) {
        let way = if route.way == Way::Get { "get" } else { "post" };
        let operation = &description["paths"][route.path][way];
        assert_eq!(operation["summary"], route.about, "{way} {}", route.path);
        assert!(
            names.insert(operation["operationId"].to_string()),
            "{}",
            route.path
        );
        let in_path: Vec<&str> = route
            .fields
            .iter()
            .filter(|field| field.place == Place::Path)
            .map(|field| field.name)
            .collect();
        for part in route.path.split('/').filter(|part| part.starts_with('{')) {
            assert!(
                in_path.contains(&part.trim_matches(['{', '}'])),
                "{}",
                route.path
            );
        }
        if route.path == "/events" {
            continue;
        }
        // It answers, with what there is or with why not; never with a fault.
        let told = ask(&site, route, Some(&admin)).await;
        assert_ne!(
            told.status,
            StatusCode::INTERNAL_SERVER_ERROR,
            "{}",
            route.path
        );
        assert_ne!(
            told.status,
            StatusCode::METHOD_NOT_ALLOWED,
            "{}",
            route.path
        );
        if route.path.starts_with("/api/") {
            assert!(told.json().is_object(), "{}", route.path);
        }
    }
    let described: usize = description["paths"]
        .as_object()
        .unwrap()
        .values()
        .map(|one| one.as_object().unwrap().len())
        .sum();
    assert_eq!(described, names.len());
}

#[tokio::test]
async fn what_is_wished_twice_is_done_once_in_the_name_of_whoever_wishes() {
    let site = Site::new();
    let token = site.token("ci", Role::Operator);
    let told = site
        .post_by(&token, "/api/v1/sources/shop/backup", "")
        .await;
    assert_eq!(told.status, StatusCode::OK);
    let answer = told.json();
    assert_eq!(answer["answer"], "begun");
    assert_eq!(answer["command"], "resguardo backup shop");
    let again = site
        .post_by(&token, "/api/v1/sources/shop/backup", "")
        .await
        .json();
    assert_eq!(again["answer"], "running");
    let told = site
        .post_by(&token, "/api/v1/sources/shop/drill", "{\"keep\":true}")
        .await
        .json();
    assert_eq!(told["command"], "resguardo drill shop --keep");
    let pokes = site.desk.pokes.lock().unwrap().clone();
    assert_eq!(pokes.len(), 2);
    assert_eq!(
        (pokes[0].task, pokes[0].asked.by.as_str()),
        (Task::Backup, "token ci")
    );
    assert_eq!((pokes[1].task, pokes[1].asked.keep), (Task::Drill, true));
    let absent = site
        .post_by(&token, "/api/v1/sources/shpo/backup", "")
        .await;
    assert_eq!(absent.status, StatusCode::NOT_FOUND);
    assert!(
        absent.json()["error"]["hint"]
            .as_str()
            .unwrap()
            .contains("config show")
    );
    let odd = site
        .post_by(&token, "/api/v1/sources/%3Cb%3E/backup", "")
        .await;
    assert_eq!(odd.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_vault_that_cannot_be_asked_is_said_to_be() {
    let site = Site::new();
    let token = site.token("ci", Role::Viewer);
    let told = site.get_by(&token, "/api/v1/backups").await;
    assert_eq!(told.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(told.json()["error"]["message"], "there is no network");
    // What was seen before is told all the same.
    site.house
        .board
        .put(site.hands.now(), Err("there is no network".to_owned()));
    let status = site.get_by(&token, "/api/v1/status").await.json();
    assert_eq!(status["blind"], "there is no network");
    assert_eq!(status["sources"], serde_json::json!([]));
    let bad = site.get_by(&token, "/api/v1/runs?limit=100000").await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    let bad = site.get_by(&token, "/api/v1/runs?state=odd").await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    let runs = site.get_by(&token, "/api/v1/runs").await.json();
    assert_eq!(runs, serde_json::json!({"runs": [], "in_all": 0}));
}

#[tokio::test]
async fn streams_are_bounded_and_tell_what_was_missed() {
    let site = Site::new();
    let token = site.token("ci", Role::Viewer);
    let open = async |last: Option<&str>| {
        let mut request = Request::get("/events")
            .header("host", "localhost")
            .header("authorization", format!("Bearer {token}"));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let mut request = request.body(Body::empty()).unwrap();
        request
            .extensions_mut()
            .insert(Peer("127.0.0.1".parse().unwrap()));
        site.router.clone().oneshot(request).await.unwrap()
    };
    let mut held = Vec::new();
    for _ in 0..16 {
        let response = open(None).await;
        assert_eq!(response.status(), StatusCode::OK);
        held.push(response);
    }
    let refused = open(None).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after"));
    drop(held);
    let newest = site.house.board.newest();
    let next = async |body: &mut axum::body::BodyDataStream| {
        use futures::StreamExt as _;
        String::from_utf8(body.next().await.unwrap().unwrap().to_vec()).unwrap()
    };
    let mut current = open(Some(&newest.to_string()))
        .await
        .into_body()
        .into_data_stream();
    assert_eq!(next(&mut current).await, "retry: 3000\n\n");
    let mut behind = open(Some("0")).await.into_body().into_data_stream();
    assert!(next(&mut behind).await.contains("event: status"));
    site.house.board.tell(crate::board::About::Run(7));
    let event = next(&mut current).await;
    assert_eq!(
        event,
        format!("id: {}\nevent: run\ndata: {{\"key\":7}}\n\n", newest + 1)
    );
    // A reader who is far behind is dropped, and comes again.
    for _ in 0..1_000 {
        site.house.board.tell(crate::board::About::Status);
    }
    use futures::StreamExt as _;
    assert!(current.next().await.is_none());
}
