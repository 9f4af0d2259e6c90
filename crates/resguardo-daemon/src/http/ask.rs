//! A request that was let in: who asks, and what for.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, header};
use resguardo_model::{Role, SourceName};
use resguardo_ops::Context;
use resguardo_ops::audit::{self, Deed};
use resguardo_ops::users::{SessionSecret, session, token};
use serde_json::Value;

use super::answer::Problem;
use super::state::State;

/// Fields of a form, of an object, or of a query.
const FIELDS_MAX: usize = 64;
/// The name of the cookie; the prefix binds it to TLS and to the whole of one host.
const COOKIE: &str = "resguardo";
const COOKIE_SECURE: &str = "__Host-resguardo";

/// Whoever asks.
#[derive(Clone, Debug)]
pub(super) struct Who {
    /// The name.
    pub(super) name: String,
    /// What he may do.
    pub(super) role: Role,
    /// Who vouches for him, if he is no user of ours.
    pub(super) issuer: Option<String>,
    /// What he came in with.
    pub(super) by: By,
}

/// What somebody comes in with.
#[derive(Clone, Debug)]
pub(super) enum By {
    /// A browser's session.
    Session(SessionSecret),
    /// A script's token.
    Token,
}

impl Who {
    /// As receipts name him.
    pub(super) fn operator(&self) -> String {
        match self.by {
            By::Session(_) => match &self.issuer {
                // A name of theirs is not taken for one of ours.
                Some(issuer) => format!("{} ({issuer})", self.name),
                None => self.name.clone(),
            },
            By::Token => format!("token {}", self.name),
        }
    }
}

/// Named texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Of `a=b&c=d`.
    pub(super) fn of_form(bytes: &[u8]) -> Result<Self, Problem> {
        let unread = || Problem::bad("the form cannot be read");
        let text = |part: &str| {
            let spaced = part.replace('+', " ");
            let decoded = percent_encoding::percent_decode_str(&spaced);
            decoded.decode_utf8().map(Into::into).map_err(|_| unread())
        };
        let whole = std::str::from_utf8(bytes).map_err(|_| unread())?;
        let mut pairs = Vec::new();
        for pair in whole.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            pairs.push((text(name)?, text(value)?));
        }
        Self::of(pairs)
    }

    /// Of a JSON object of texts, numbers and booleans.
    pub(super) fn of_json(text: &[u8]) -> Result<Self, Problem> {
        if text.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        let unread = || Problem::bad("the body is no JSON object of texts, numbers and booleans");
        let Ok(Value::Object(map)) = serde_json::from_slice(text) else {
            return Err(unread());
        };
        let mut pairs = Vec::new();
        for (name, value) in map {
            match value {
                Value::String(text) => pairs.push((name, text)),
                Value::Number(_) | Value::Bool(_) => pairs.push((name, value.to_string())),
                Value::Null => {}
                Value::Array(_) | Value::Object(_) => return Err(unread()),
            }
        }
        Self::of(pairs)
    }

    /// Of the parts of a path.
    pub(super) fn of_params<'a>(params: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let owned = params.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self(owned.collect())
    }

    fn of(pairs: Vec<(String, String)>) -> Result<Self, Problem> {
        let mut names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        if names.len() > FIELDS_MAX || names.windows(2).any(|two| two[0] == two[1]) {
            return Err(Problem::bad(
                "a field is there twice, or there are too many",
            ));
        }
        Ok(Self(pairs))
    }

    /// One of them.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    }

    /// One that is there and not empty.
    pub(super) fn said(&self, name: &str) -> Option<&str> {
        self.get(name)
            .map(str::trim)
            .filter(|text| !text.is_empty())
    }

    /// A number, or what holds without one.
    pub(super) fn number(&self, name: &str, default: u32, max: u32) -> Result<u32, Problem> {
        let Some(text) = self.said(name) else {
            return Ok(default);
        };
        match text.parse() {
            Ok(number) if number <= max => Ok(number),
            _ => Err(Problem::bad(format!("{name} is a number from 0 to {max}"))),
        }
    }

    /// Whether it was said to be so.
    pub(super) fn is_true(&self, name: &str) -> bool {
        matches!(self.said(name), Some("true" | "1" | "on" | "yes"))
    }
}

/// A request.
pub(super) struct Ask {
    pub(super) state: Arc<State>,
    pub(super) who: Option<Who>,
    pub(super) params: Fields,
    pub(super) query: Fields,
    pub(super) body: Fields,
    pub(super) headers: HeaderMap,
    /// Path and query, as they were sent.
    pub(super) here: String,
    pub(super) address: IpAddr,
}

impl Ask {
    /// A part of the path, as what it is to be.
    pub(super) fn param<T: std::str::FromStr<Err: std::fmt::Display>>(
        &self,
        name: &str,
    ) -> Result<T, Problem> {
        let text = self.params.get(name).unwrap_or_default();
        text.parse()
            .map_err(|error: T::Err| Problem::absent(error.to_string()))
    }

    /// What use cases are given, in the name of whoever asks.
    pub(super) fn context(&self) -> Result<Context, Problem> {
        let context = self
            .state
            .house
            .desk
            .context()
            .map_err(Problem::unreachable)?;
        let operator = self.who.as_ref().map_or_else(String::new, Who::operator);
        Ok(Context {
            operator,
            ..context
        })
    }

    /// Writes down what whoever asks has just done.
    pub(super) fn did(&self, what: &str, object: &str, source: Option<&SourceName>) {
        let who = self.who.as_ref().map_or_else(String::new, Who::operator);
        self.done_by(&who, what, object, source);
    }

    /// Writes down what somebody has just done from where this request came.
    pub(super) fn done_by(&self, who: &str, what: &str, object: &str, source: Option<&SourceName>) {
        let (state, origin) = (&self.state, self.address.to_string());
        let deed = Deed {
            who,
            origin: &origin,
            what,
            object,
            source,
        };
        if let Err(error) = audit::note(&state.house.accounts.write, &deed, state.now()) {
            let why = resguardo_ops::described(&error);
            let desk = &state.house.desk;
            desk.note(&format!(
                "{who}: {what} {object} is not written down: {why}"
            ));
        }
    }

    /// Whoever asks; the gate lets nobody else in where it matters.
    pub(super) fn who(&self) -> Result<&Who, Problem> {
        self.who.as_ref().ok_or_else(Problem::nobody)
    }
}

/// The name of the cookie that holds the session.
pub(super) fn cookie_name(state: &State) -> &'static str {
    if state.settings.is_secure() {
        COOKIE_SECURE
    } else {
        COOKIE
    }
}

/// The value of a cookie; `None` as well if it was sent twice: one of them is somebody else's.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter();
    let texts = all.filter_map(|value| value.to_str().ok());
    let mut found = texts
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(own, _)| *own == name)
        .map(|(_, value)| value);
    let first = found.next();
    if found.next().is_some() { None } else { first }
}

/// Who asks, by token or session. `Err`: something was shown that is not valid.
pub(super) fn identify(state: &Arc<State>, headers: &HeaderMap) -> Result<Option<Who>, Problem> {
    let unread = |error: resguardo_ops::users::UsersError| Problem::unreachable(error.to_string());
    let (accounts, now) = (&state.house.accounts, state.now());
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let shown = value
            .to_str()
            .ok()
            .and_then(|text| text.strip_prefix("Bearer "));
        let found = token::find(&accounts.read, shown.unwrap_or_default().trim(), now);
        let Some(token) = found.map_err(unread)? else {
            return Err(Problem::bad_token());
        };
        let is_fresh = |at: jiff::Timestamp| now.duration_since(at).as_secs().abs() < 60;
        if !token.used_at.is_some_and(is_fresh) {
            let (write, name) = (accounts.write.clone(), token.name.clone());
            // When a token was last used is worth no refusal.
            drop(tokio::task::spawn_blocking(move || {
                token::used(&write, &name, now)
            }));
        }
        return Ok(Some(Who {
            name: token.name.to_string(),
            role: token.role,
            issuer: None,
            by: By::Token,
        }));
    }
    let held = cookie(headers, cookie_name(state)).and_then(SessionSecret::parse);
    let Some(secret) = held else {
        return Ok(None);
    };
    let Some(found) = session::find(&accounts.read, &secret, now).map_err(unread)? else {
        return Ok(None);
    };
    // Whoever was let in by a service that is no longer asked is nobody.
    let provider = state.house.provider.as_ref();
    let asked = provider.map(|one| one.settings().issuer.as_str());
    if found.issuer.is_some() && found.issuer.as_deref() != asked {
        return Ok(None);
    }
    if now >= found.see_at {
        let (write, secret) = (accounts.write.clone(), secret.clone());
        // If it cannot be written, the session ends the earlier.
        drop(tokio::task::spawn_blocking(move || {
            session::seen(&write, &secret, now)
        }));
    }
    Ok(Some(Who {
        name: found.user.to_string(),
        role: found.role,
        issuer: found.issuer,
        by: By::Session(secret),
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use super::*;

    fn headers(cookies: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(header::COOKIE, cookie.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_cookie_that_is_sent_twice_is_none() {
        assert_eq!(
            cookie(&headers(&["a=1; resguardo=x"]), "resguardo"),
            Some("x")
        );
        assert_eq!(
            cookie(&headers(&["resguardo=x; resguardo=y"]), "resguardo"),
            None
        );
        assert_eq!(
            cookie(&headers(&["resguardo=x", "resguardo=x"]), "resguardo"),
            None
        );
        assert_eq!(cookie(&headers(&["xresguardo=x"]), "resguardo"), None);
    }

    #[test]
    fn fields_are_plain() {
        let form = Fields::of_form(b"name=ana+b%C3%A9&password=%26%3D").unwrap();
        assert_eq!(form.get("name"), Some("ana b\u{e9}"));
        assert_eq!(form.get("password"), Some("&="));
        assert!(Fields::of_form(b"a=1&a=2").is_err());
        let json = Fields::of_json(br#"{"keep":true,"page":3,"note":"x","gone":null}"#).unwrap();
        assert!(json.is_true("keep"));
        assert_eq!(json.number("page", 1, 10).unwrap(), 3);
        assert!(json.number("page", 1, 2).is_err());
        assert_eq!(json.said("gone"), None);
        for bad in ["[]", "{\"a\":[]}", "{", "null", "\"x\""] {
            assert!(Fields::of_json(bad.as_bytes()).is_err(), "{bad}");
        }
        assert_eq!(Fields::of_json(b" ").unwrap(), Fields::default());
    }
}
