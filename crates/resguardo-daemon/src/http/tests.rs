//! The server from outside: who is let in, and what is refused. In the process, but where the connection itself is
//! what is looked at.

#![allow(clippy::unwrap_used, reason = "test")]

mod api;
mod logins;
mod oidc;
mod pages;
mod requests;
mod sockets;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use resguardo_model::retention::Policy;
use resguardo_model::{Clock, Role, SourceName, UserName};
use resguardo_ops::catalog::Catalog;
use resguardo_ops::copy::CopyPlace;
use resguardo_ops::status::Status;
use resguardo_ops::users::{self, token};
use resguardo_ops::{Context, SourceSpec};
use secrecy::SecretString;
use serde_json::Value;
use tower::ServiceExt as _;

use super::gate::Peer;
use super::{Accounts, Desk, House, Seen, Settings};
use crate::board::Board;
use crate::feed::Running;
use crate::poke::{Answer, Poke};

const PASSWORD: &str = "correct horse battery";

/// A clock that a test sets.
pub(super) struct Hands(Mutex<Timestamp>);

impl Hands {
    fn forward(&self, length: jiff::SignedDuration) {
        let mut now = self.0.lock().unwrap();
        *now = now.checked_add(length).unwrap();
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// A daemon that only writes down what it is asked.
#[derive(Default)]
pub(super) struct Bench {
    pokes: Mutex<Vec<Poke>>,
    notes: Mutex<Vec<String>>,
}

impl Desk for Bench {
    fn context(&self) -> Result<Context, String> {
        Err("there is no network".to_owned())
    }

    fn copies(&self) -> Vec<CopyPlace> {
        Vec::new()
    }

    fn policy(&self, source: &SourceName) -> Option<(String, Option<Policy>)> {
        (source.as_str() == "shop").then(|| ("production".to_owned(), None))
    }

    fn ready(&self, source: &SourceName) -> Result<SourceSpec, String> {
        Err(format!("{source} has no place in this test"))
    }

    fn poke(&self, poke: Poke) -> Answer {
        let name = poke.subject.source().map(SourceName::as_str);
        if name != Some("shop") {
            return Answer::NotConfigured;
        }
        let mut pokes = self.pokes.lock().unwrap();
        if pokes.contains(&poke) {
            return Answer::Running;
        }
        pokes.push(poke);
        Answer::Begun
    }

    fn running(&self) -> Vec<Running> {
        Vec::new()
    }

    fn ended(&self, _: &dyn Fn(&Running) -> bool) -> Option<Running> {
        None
    }

    fn zone(&self) -> TimeZone {
        TimeZone::UTC
    }

    fn note(&self, line: &str) {
        self.notes.lock().unwrap().push(line.to_owned());
    }

    fn look(&self) {}
}

/// A server, and what it was given.
pub(super) struct Site {
    router: Router,
    house: House,
    desk: Arc<Bench>,
    hands: Arc<Hands>,
    settings: Settings,
    state: Arc<super::state::State>,
}

/// An answer, read.
pub(super) struct Told {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Told {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The value of the session's cookie.
    fn cookie(&self) -> Option<String> {
        let set = self.headers.get(header::SET_COOKIE)?.to_str().unwrap();
        let pair = set.split(';').next().unwrap();
        let value = pair.split_once('=').unwrap().1;
        (!value.is_empty()).then(|| value.to_owned())
    }
}

pub(super) fn seen(at: Timestamp) -> Seen {
    Seen {
        status: Status {
            at,
            sources: Vec::new(),
            exceptions: Vec::new(),
            findings: Vec::new(),
            unreachable: None,
        },
        plan: Vec::new(),
        vault: "/srv/vault".to_owned(),
    }
}

impl Site {
    fn new() -> Self {
        Self::with(Settings::on("127.0.0.1:8372".parse().unwrap()))
    }

    fn with(settings: Settings) -> Self {
        Self::furnished(settings, |_| {})
    }

    fn furnished(settings: Settings, furnish: impl FnOnce(&mut House)) -> Self {
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let hands = Arc::new(Hands(Mutex::new(now)));
        let catalog = Catalog::in_memory().unwrap();
        let desk = Arc::new(Bench::default());
        let board = Board::new(now);
        board.put(now, Ok(seen(now)));
        let mut house = House {
            board,
            desk: Arc::clone(&desk) as Arc<dyn Desk>,
            accounts: Accounts {
                read: catalog.clone(),
                write: catalog,
            },
            provider: None,
            clock: Arc::clone(&hands) as Arc<dyn Clock>,
            version: "0.0.0".to_owned(),
        };
        furnish(&mut house);
        let state = super::state::State::new(house.clone(), settings.clone());
        Self {
            router: super::route::router(&state),
            house,
            desk,
            hands,
            settings,
            state,
        }
    }

    fn user(&self, name: &str, role: Role) -> UserName {
        let name: UserName = name.parse().unwrap();
        let password = SecretString::from(PASSWORD.to_owned());
        users::add(
            &self.house.accounts.write,
            &name,
            role,
            &password,
            self.hands.now(),
        )
        .unwrap();
        name
    }

    fn token(&self, name: &str, role: Role) -> String {
        let name = name.parse().unwrap();
        let made = token::add(
            &self.house.accounts.write,
            &name,
            role,
            None,
            self.hands.now(),
        );
        made.unwrap().expose().to_owned()
    }

    async fn send(&self, mut request: Request<Body>) -> Told {
        let peer = request.extensions().get::<Peer>().copied();
        let peer = peer.unwrap_or(Peer("127.0.0.1".parse().unwrap()));
        request.extensions_mut().insert(peer);
        if !request.headers().contains_key(header::HOST) {
            let host = self.settings.listen.to_string().parse().unwrap();
            request.headers_mut().insert(header::HOST, host);
        }
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        Told {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    async fn get(&self, path: &str) -> Told {
        self.send(Request::get(path).body(Body::empty()).unwrap())
            .await
    }

    async fn get_by(&self, token: &str, path: &str) -> Told {
        let request = Request::get(path).header("authorization", format!("Bearer {token}"));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    async fn post_by(&self, token: &str, path: &str, body: &str) -> Told {
        let request = Request::post(path)
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_owned())).unwrap())
            .await
    }

    async fn login(&self, name: &str, password: &str) -> Told {
        self.send(form(
            "/login",
            &[("name", name), ("password", password)],
            None,
        ))
        .await
    }
}

/// A form as a browser sends it.
pub(super) fn form(path: &str, fields: &[(&str, &str)], cookie: Option<&str>) -> Request<Body> {
    let set = percent_encoding::NON_ALPHANUMERIC;
    let pairs = fields.iter().map(|(name, value)| {
        format!(
            "{name}={}",
            percent_encoding::utf8_percent_encode(value, set)
        )
    });
    let body = pairs.collect::<Vec<_>>().join("&");
    let mut request = Request::post(path)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("origin", "http://127.0.0.1:8372")
        .header("sec-fetch-site", "same-origin");
    if let Some(cookie) = cookie {
        request = request.header("cookie", format!("resguardo={cookie}"));
    }
    request.body(Body::from(body)).unwrap()
}
