//! Coming in by another service: the way there, and the way back.
//!
//! In this order, on the way back: whether the browser is the one that was sent, the code, who it is, his role, the
//! session. Whatever fails leads to the login again, where a name and a password still do.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use jiff::Timestamp;
use resguardo_model::Sha256Digest;
use resguardo_ops::described;
use resguardo_ops::users::session;

use super::answer::{Answer, Problem, to};
use super::ask::{Ask, By, Who, cookie};
use super::login::{cookie_text, has_to_wait, with_session};
use super::origin::Origin;
use super::pages;
use super::path;
use super::state::State;
use crate::oidc::{Key, Knock, OidcError, Person, Provider, TIME_MAX};
use crate::web::plain;
use crate::web::view::LoginTrouble;

/// Where a login begins.
pub(super) const BEGIN: &str = "/login/oidc";
/// Where the provider leads back to.
pub(super) const BACK: &str = "/login/oidc/back";
/// The cookie of a login that was begun.
const COOKIE: &str = "resguardo-login";
const COOKIE_SECURE: &str = "__Host-resguardo-login";
/// Logins that came back and are remembered, so that none does twice.
const SPENT_MAX: usize = 10_000;

/// What seals logins that were begun, and which came back.
pub(super) struct Knocks {
    /// `None`: the system gives no random numbers.
    key: Option<Key>,
    spent: Mutex<VecDeque<(Timestamp, String)>>,
}

impl Knocks {
    pub(super) fn new() -> Self {
        Self {
            key: Key::new(),
            spent: Mutex::default(),
        }
    }

    fn key(&self) -> Result<&Key, Problem> {
        let none = || Problem::unreachable("the system gives no random numbers");
        self.key.as_ref().ok_or_else(none)
    }

    /// Whether it comes back for the first time.
    fn spend(&self, knock: &Knock, now: Timestamp) -> bool {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |at: Timestamp| now.duration_since(at).abs() > TIME_MAX;
        while spent.front().is_some_and(|(at, _)| is_over(*at)) || spent.len() >= SPENT_MAX {
            spent.pop_front();
        }
        let state = knock.state();
        if spent.iter().any(|(_, own)| *own == state) {
            return false;
        }
        spent.push_back((now, state));
        true
    }
}

/// Where the button of the login page leads.
pub(super) fn way(next: &str) -> String {
    let set = percent_encoding::NON_ALPHANUMERIC;
    let next = percent_encoding::utf8_percent_encode(next, set);
    format!("{BEGIN}?next={next}")
}

/// Sends the browser to the provider. Blocking: it may have to ask the provider first.
pub(super) fn begin(ask: &Ask) -> Answer {
    let (provider, origin) = provider(ask)?;
    let next = path::next(ask.query.get("next").unwrap_or("/")).to_owned();
    // The cookie has to be of the host to which the provider leads back.
    let host = ask.headers.get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
    if !origin.is_host(host) {
        return Ok(to(&format!("{origin}{}", way(&next))));
    }
    let key = ask.state.knocks.key()?;
    let knock = Knock::new(&next, ask.state.now())
        .ok_or_else(|| Problem::unreachable("the system gives no random numbers"))?;
    match provider.begin(&knock, &format!("{origin}{BACK}")) {
        Err(error) => Ok(refused(ask, provider, &error)),
        Ok(place) => {
            let mut response = to(&place);
            set(ask, &mut response, &knock.sealed(key), TIME_MAX.as_secs());
            Ok(response)
        }
    }
}

/// The provider leads back. Blocking: the code has to be shown to it.
pub(super) fn end(ask: &Ask) -> Answer {
    let (provider, origin) = provider(ask)?;
    let stale = || {
        let error = LoginTrouble::Stale;
        Ok(again(ask, error, StatusCode::BAD_REQUEST))
    };
    let (state, key) = (&ask.state, ask.state.knocks.key()?);
    let held = cookie(&ask.headers, name(state));
    let Some(knock) = held.and_then(|text| Knock::open(text, key, state.now())) else {
        return stale();
    };
    // Of digests, how long a comparison takes tells nothing.
    let digest = |text: &str| Sha256Digest::of(text.as_bytes());
    let is_ours = ask.query.get("state").map(digest) == Some(digest(&knock.state()));
    let is_theirs = |issuer: &str| issuer == provider.settings().issuer;
    if !is_ours
        || !ask.query.get("iss").is_none_or(is_theirs)
        || !state.knocks.spend(&knock, state.now())
    {
        return stale();
    }
    let Some(code) = ask.query.said("code") else {
        let why = ask.query.said("error").unwrap_or("it gave no code");
        note_refused(ask, provider, why);
        let trouble = LoginTrouble::Elsewhere;
        return Ok(again(ask, trouble, StatusCode::UNAUTHORIZED));
    };
    // Each costs a question to the provider.
    state
        .tries
        .knock(ask.address, Instant::now())
        .map_err(|wait| has_to_wait(ask, wait))?;
    match provider.finish(code, &knock, &format!("{origin}{BACK}")) {
        Err(error) => Ok(refused(ask, provider, &error)),
        Ok(person) => {
            state.tries.came_in(ask.address);
            let_in(ask, provider, &person, &knock)
        }
    }
}

fn let_in(ask: &Ask, provider: &Provider, person: &Person, knock: &Knock) -> Answer {
    let (state, issuer) = (&ask.state, &provider.settings().issuer);
    let accounts = &state.house.accounts;
    // Whoever was logged in before in this browser is no more.
    if let Some(By::Session(old)) = ask.who.as_ref().map(|who| &who.by) {
        session::end(&accounts.write, old)?;
    }
    let vouched = Some((issuer.as_str(), person.role));
    let secret = session::begin(&accounts.write, &person.name, vouched, state.now())?;
    let who = Who {
        name: person.name.to_string(),
        role: person.role,
        issuer: Some(issuer.clone()),
        by: By::Session(secret.clone()),
    };
    let who = who.operator();
    let line = format!("{who} logged in from {}", ask.address);
    state.house.desk.note(&line);
    ask.done_by(&who, "login", "", None);
    let mut response = with_session(state, path::next(knock.next()), &secret);
    set(ask, &mut response, "", 0);
    Ok(response)
}

fn provider(ask: &Ask) -> Result<(&Provider, &Origin), Problem> {
    let provider = ask.state.house.provider.as_deref();
    let origin = ask.state.settings.origin.as_ref();
    let none = || Problem::absent("there is no login by another service");
    provider.zip(origin).ok_or_else(none)
}

/// The login again, with why it was in vain.
fn refused(ask: &Ask, provider: &Provider, error: &OidcError) -> Response<Body> {
    note_refused(ask, provider, &described(error));
    let (trouble, status) = match error {
        OidcError::NoRole(name) => (
            LoginTrouble::NoRole(name.to_string()),
            StatusCode::FORBIDDEN,
        ),
        OidcError::NotVerified(email) => (
            LoginTrouble::NotVerified(email.clone()),
            StatusCode::FORBIDDEN,
        ),
        error if error.is_down() => {
            let name = provider.settings().name.clone();
            (LoginTrouble::Unreachable(name), StatusCode::BAD_GATEWAY)
        }
        _ => (LoginTrouble::Elsewhere, StatusCode::UNAUTHORIZED),
    };
    again(ask, trouble, status)
}

fn note_refused(ask: &Ask, provider: &Provider, why: &str) {
    let why = plain::text(why).replace(['\n', '\t'], " ");
    let why: String = why.chars().take(500).collect();
    let name = &provider.settings().name;
    let line = format!("a login by {name} from {} was refused: {why}", ask.address);
    if let Some(line) = ask.state.refusals.line(Instant::now(), line) {
        ask.state.house.desk.note(&line);
    }
}

fn again(ask: &Ask, trouble: LoginTrouble, status: StatusCode) -> Response<Body> {
    let mut response = pages::login_again(ask, trouble, status);
    set(ask, &mut response, "", 0);
    response
}

fn name(state: &State) -> &'static str {
    if state.settings.is_secure() {
        COOKIE_SECURE
    } else {
        COOKIE
    }
}

fn set(ask: &Ask, response: &mut Response<Body>, value: &str, seconds: i64) {
    let text = cookie_text(&ask.state, name(&ask.state), value, seconds);
    let mut value = HeaderValue::from_str(&text).expect("digits and letters stand in a header");
    value.set_sensitive(true);
    response.headers_mut().append(header::SET_COOKIE, value);
}
