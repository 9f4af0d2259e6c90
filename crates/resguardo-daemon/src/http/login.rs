//! Coming in and going out.
//!
//! In this order: whether the form came from a page of ours, whether that name or address has to wait, the password,
//! the session. Which of name and password was wrong is never said, nor told by how long it takes.

use std::time::Instant;

use axum::http::{HeaderValue, StatusCode, header};
use resguardo_model::UserName;
use resguardo_ops::users::{self, SessionSecret, session};
use secrecy::SecretString;

use super::answer::{Answer, Problem, to};
use super::ask::{Ask, By, cookie_name};
use super::path;
use super::state::State;
use super::tries::Wait;

/// Somebody tried too often; the log is told of it now and then.
pub(super) fn has_to_wait(ask: &Ask, wait: Wait) -> Problem {
    if wait.is_news {
        let line = format!(
            "logins from {} have to wait: too many tries in vain",
            ask.address
        );
        if let Some(line) = ask.state.refusals.line(Instant::now(), line) {
            ask.state.house.desk.note(&line);
        }
    }
    Problem::wait(wait.left.as_secs())
}

/// Logs in by name and password. Blocking: it hashes.
pub(super) fn login(ask: &Ask) -> Answer {
    let next = path::next(ask.body.get("next").unwrap_or("/")).to_owned();
    let wrong = || Problem::nobody_is();
    let name: UserName = ask
        .body
        .get("name")
        .unwrap_or_default()
        .trim()
        .parse()
        .map_err(|_| wrong())?;
    let password = SecretString::from(ask.body.get("password").unwrap_or_default().to_owned());
    let state = &ask.state;
    if let Err(wait) = state.tries.begin(&name, ask.address, Instant::now()) {
        return Err(has_to_wait(ask, wait));
    }
    let accounts = &state.house.accounts;
    if !users::knows(&accounts.read, &name, &password)? {
        let line = format!("a login as {name} from {} was refused", ask.address);
        if let Some(line) = state.refusals.line(Instant::now(), line) {
            state.house.desk.note(&line);
        }
        return Err(wrong());
    }
    state.tries.succeeded(&name, ask.address);
    // Whoever was logged in before in this browser is no more.
    if let Some(By::Session(old)) = ask.who.as_ref().map(|who| &who.by) {
        session::end(&accounts.write, old)?;
    }
    let secret = session::begin(&accounts.write, &name, None, state.now())?;
    state
        .house
        .desk
        .note(&format!("{name} logged in from {}", ask.address));
    ask.done_by(name.as_str(), "login", "", None);
    Ok(with_session(state, &next, &secret))
}

/// An answer that leads to a page of ours, with a session.
pub(super) fn with_session(
    state: &State,
    next: &str,
    secret: &SessionSecret,
) -> axum::http::Response<axum::body::Body> {
    let mut response = to(next);
    let seconds = session::AGE_MAX.as_secs();
    let set = set_cookie(state, &secret.expose(), seconds);
    response.headers_mut().append(header::SET_COOKIE, set);
    response
}

/// Logs out: the session is valid no more, wherever its cookie is.
pub(super) fn logout(ask: &Ask) -> Answer {
    if let Some(By::Session(secret)) = ask.who.as_ref().map(|who| &who.by) {
        session::end(&ask.state.house.accounts.write, secret)?;
    }
    let mut response = to("/login");
    let gone = set_cookie(&ask.state, "", 0);
    response.headers_mut().append(header::SET_COOKIE, gone);
    // What the browser keeps of pages goes as well.
    let clear = HeaderValue::from_static("\"cache\"");
    response.headers_mut().insert("clear-site-data", clear);
    Ok(response)
}

/// A cookie of ours: for this host alone, sent by no other site's forms, hidden from scripts.
pub(super) fn cookie_text(state: &State, name: &str, value: &str, seconds: i64) -> String {
    let secure = if state.settings.is_secure() {
        "; Secure"
    } else {
        ""
    };
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}")
}

fn set_cookie(state: &State, value: &str, seconds: i64) -> HeaderValue {
    let text = cookie_text(state, cookie_name(state), value, seconds);
    let mut set = HeaderValue::from_str(&text).expect("digits and letters stand in a header");
    set.set_sensitive(true);
    set
}

impl Problem {
    /// Name or password is wrong.
    fn nobody_is() -> Self {
        let mut problem = Self::bad("name or password is wrong").with(StatusCode::UNAUTHORIZED);
        problem.kind = "login";
        problem
    }
}
