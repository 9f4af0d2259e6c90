//! The one place where it is decided who may do what, and which requests are answered at all.
//!
//! In this order: the path, the host, the size of the body; then the route of the table; whoever asks; whether his role is
//! enough; for what changes something, whether the request came from a page of ours.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequestParts as _, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use axum::middleware::Next;
use resguardo_model::Sha256Digest;

use super::answer::{Answer, Problem};
use super::ask::{Ask, By, Fields, Who, identify};
use super::origin;
use super::pages::{self, Visit};
use super::path::{self, BadPath};
use super::route::{Handler, Needs, Pooled, Route, Surface};
use super::state::State;

/// Bytes of a body.
pub(super) const BODY_MAX: usize = 64 * 1024;
/// How long a body may take to come.
const BODY_TIME: Duration = Duration::from_secs(10);
/// How long an answer may take.
const ANSWER_TIME: Duration = Duration::from_secs(60);

/// Nothing but what comes from this server; nothing that is written into a page runs or styles.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Where a request came from, by the connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

/// The body, read.
#[derive(Clone, Debug, Default)]
struct Content(Bytes);

/// Before any route: what no request may be.
pub(super) async fn enter(
    axum::extract::State(state): axum::extract::State<Arc<State>>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let is_api = request.uri().path().starts_with("/api/");
    let mut response = match admit(&state, request).await {
        Ok(request) => match tokio::time::timeout(ANSWER_TIME, next.run(request)).await {
            Ok(response) => response,
            Err(_) => refuse(is_api, &Problem::unreachable("it took too long")),
        },
        Err(problem) => {
            let mut response = refuse(is_api, &problem);
            // What is left of the body is not read.
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
            response
        }
    };
    harden(&state, response.headers_mut());
    response
}

async fn admit(state: &State, request: Request) -> Result<Request, Problem> {
    let (mut parts, body) = request.into_parts();
    let uri = &parts.uri;
    if uri.scheme().is_some() || uri.authority().is_some() {
        return Err(Problem::bad("this is no proxy"));
    }
    path::check(uri.path(), uri.query()).map_err(|bad| match bad {
        BadPath::Long => Problem::bad("the address is too long").with(StatusCode::URI_TOO_LONG),
        BadPath::Odd => Problem::bad("the path makes no sense"),
    })?;
    check_host(state, &parts.headers)?;
    let length = parts.headers.get(header::CONTENT_LENGTH);
    let length: Option<u64> = match length.map(|value| value.to_str().map(str::parse)) {
        None => None,
        Some(Ok(Ok(length))) => Some(length),
        Some(_) => return Err(Problem::bad("the length of the body makes no sense")),
    };
    let large = || Problem::bad("a body has 64 kB at most").with(StatusCode::PAYLOAD_TOO_LARGE);
    if length.is_some_and(|length| length > BODY_MAX as u64) {
        return Err(large());
    }
    let content = match tokio::time::timeout(BODY_TIME, to_bytes(body, BODY_MAX)).await {
        Ok(Ok(content)) => content,
        Ok(Err(_)) => return Err(large()),
        Err(_) => {
            let late = Problem::bad("the body did not come");
            return Err(late.with(StatusCode::REQUEST_TIMEOUT));
        }
    };
    if !content.is_empty() && parts.method != Method::POST {
        return Err(Problem::bad("there is nothing to be done with a body"));
    }
    parts.extensions.insert(Content(content));
    Ok(Request::from_parts(parts, Body::empty()))
}

/// A name that somebody else's DNS points here would make his pages ours.
fn check_host(state: &State, headers: &HeaderMap) -> Result<(), Problem> {
    let mut all = headers.get_all(header::HOST).iter();
    let host = match (all.next().map(HeaderValue::to_str), all.next()) {
        (Some(Ok(host)), None) => host,
        _ => return Err(Problem::bad("a request names one host")),
    };
    let is_known = match &state.settings.origin {
        Some(origin) => origin.is_host(host) || origin::is_own(host),
        None => state.settings.certificate.is_some() || origin::is_own(host),
    };
    if is_known {
        return Ok(());
    }
    let problem = Problem::bad("this server is not known by that name");
    Err(problem
        .with(StatusCode::MISDIRECTED_REQUEST)
        .hint("set url in [http] of the config to the address in the browser"))
}

fn harden(state: &State, headers: &mut HeaderMap) {
    let fixed = [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        (
            "permissions-policy",
            "camera=(), geolocation=(), microphone=()",
        ),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if state.settings.is_secure() {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
}

/// What is answered where there is no route.
pub(super) async fn nowhere(
    axum::extract::State(state): axum::extract::State<Arc<State>>,
    request: Request,
) -> Response<Body> {
    let (parts, _) = request.into_parts();
    let problem = Problem::absent("there is nothing here");
    if parts.uri.path().starts_with("/api/") {
        return problem.json();
    }
    refuse_page(&state, &parts, &problem)
}

/// What is answered where a route is asked for in another way.
pub(super) async fn otherwise(
    axum::extract::State(state): axum::extract::State<Arc<State>>,
    request: Request,
) -> Response<Body> {
    let (parts, _) = request.into_parts();
    let problem = Problem::bad("that cannot be done here").with(StatusCode::METHOD_NOT_ALLOWED);
    if parts.uri.path().starts_with("/api/") {
        return problem.json();
    }
    refuse_page(&state, &parts, &problem)
}

/// Answers a request of a route.
pub(super) async fn pass(
    state: Arc<State>,
    route: &'static Route,
    request: Request,
) -> Response<Body> {
    let (mut parts, _) = request.into_parts();
    match answer(&state, route, &mut parts).await {
        Ok(response) => response,
        Err(problem) => {
            let is_page = route.surface == Surface::Page;
            if is_page && problem.status == StatusCode::UNAUTHORIZED && parts.method == Method::GET
            {
                return to_login(&parts);
            }
            if is_page {
                return refuse_page(&state, &parts, &problem);
            }
            problem.json()
        }
    }
}

fn to_login(parts: &Parts) -> Response<Body> {
    let here = here(parts);
    let set = percent_encoding::NON_ALPHANUMERIC;
    let next = percent_encoding::utf8_percent_encode(path::next(&here), set);
    super::answer::to(&format!("/login?next={next}"))
}

fn here(parts: &Parts) -> String {
    let both = parts.uri.path_and_query();
    both.map_or_else(|| "/".to_owned(), ToString::to_string)
}

async fn answer(state: &Arc<State>, route: &'static Route, parts: &mut Parts) -> Answer {
    let Peer(peer) = *parts
        .extensions
        .get::<Peer>()
        .expect("every connection has a peer");
    let address = address(state, &parts.headers, peer);
    // Whoever shows something that is not valid hears so, also where nothing is needed.
    let who = match route.needs {
        Needs::Nothing if !route.reads_who => None,
        _ => identify(state, &parts.headers)?,
    };
    let on_this_machine = address.is_loopback() && !state.settings.behind_proxy;
    let enough = |role| match &who {
        Some(who) if who.role >= role => Ok(()),
        Some(who) => {
            let message = format!("{} is {}, and this is for {role}", who.name, who.role);
            let mut problem =
                Problem::forbidden(message).hint("ask whoever keeps the machine for it");
            problem.needs = Some(role);
            Err(problem)
        }
        None => Err(Problem::nobody()),
    };
    match route.needs {
        Needs::Nothing => {}
        Needs::Here if on_this_machine => {}
        Needs::Here => enough(resguardo_model::Role::Viewer)?,
        Needs::Role(role) => enough(role)?,
    }
    let content = parts
        .extensions
        .get::<Content>()
        .cloned()
        .unwrap_or_default()
        .0;
    let body = fields(&parts.headers, &content)?;
    if parts.method == Method::POST {
        same_site(state, &parts.headers, who.as_ref(), &body)?;
    }
    let params = RawPathParams::from_request_parts(parts, &()).await;
    let params = params.map_err(|_| Problem::bad("the path makes no sense"))?;
    let ask = Ask {
        state: Arc::clone(state),
        who,
        params: Fields::of_params(params.iter()),
        query: Fields::of_form(parts.uri.query().unwrap_or_default().as_bytes())?,
        body,
        headers: parts.headers.clone(),
        here: here(parts),
        address,
    };
    match route.handler {
        Handler::Quick(handler) => handler(&ask),
        Handler::Slow(pooled, handler) => {
            let pool = match pooled {
                Pooled::Questions => &state.questions,
                Pooled::Passwords => &state.passwords,
                Pooled::Provider => &state.provider,
            };
            pool.run(move || handler(&ask))
                .await
                .unwrap_or_else(|| Err(Problem::busy()))
        }
    }
}

/// Who is at the other end: behind a proxy, whom it names last.
fn address(state: &State, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
    if !state.settings.behind_proxy {
        return peer;
    }
    let named = headers.get_all("x-forwarded-for").iter().next_back();
    named
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.rsplit(',').next())
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(peer)
}

fn fields(headers: &HeaderMap, content: &[u8]) -> Result<Fields, Problem> {
    if content.is_empty() {
        return Ok(Fields::default());
    }
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let media_type = media_type
        .and_then(|text| text.split(';').next())
        .unwrap_or_default();
    match media_type.trim() {
        "application/x-www-form-urlencoded" => Fields::of_form(content),
        "application/json" => Fields::of_json(content),
        _ => {
            let problem = Problem::bad("a body is a form, or JSON");
            Err(problem.with(StatusCode::UNSUPPORTED_MEDIA_TYPE))
        }
    }
}

/// What changes something has to come from a page of ours: the browser says so, the origin does, and the form
/// holds what only a page of that session holds. A token is sent by no browser by itself.
fn same_site(
    state: &State,
    headers: &HeaderMap,
    who: Option<&Who>,
    body: &Fields,
) -> Result<(), Problem> {
    if who.is_some_and(|who| matches!(who.by, By::Token)) {
        return Ok(());
    }
    let foreign = || {
        let problem = Problem::forbidden("the request came from another site");
        problem.hint("open the page anew and try again")
    };
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(site) = text("sec-fetch-site")
        && !matches!(site, "same-origin" | "none")
    {
        return Err(foreign());
    }
    if let Some(origin) = text("origin") {
        let host = text("host").unwrap_or_default();
        let is_ours = origin.parse::<origin::Origin>().is_ok_and(|origin| {
            let is_known = match &state.settings.origin {
                Some(own) => *own == origin || origin::is_own(host),
                None => true,
            };
            is_known && origin.is_host(host)
        });
        if !is_ours {
            return Err(foreign());
        }
    }
    let Some(Who {
        by: By::Session(secret),
        ..
    }) = who
    else {
        return Ok(());
    };
    let shown = body.get("csrf").or_else(|| text("resguardo-csrf"));
    // Of digests, how long a comparison takes tells nothing.
    let digest = |text: &str| Sha256Digest::of(text.as_bytes());
    if shown.map(digest) == Some(digest(&secret.form_token())) {
        Ok(())
    } else {
        Err(Problem::forbidden("the form is of another session")
            .hint("open the page anew and try again"))
    }
}

/// What went wrong, for a program, or for somebody whose browser may not even be one.
fn refuse(is_api: bool, problem: &Problem) -> Response<Body> {
    if is_api {
        return problem.json();
    }
    let mut response = super::answer::text(problem.status, format!("{}\n", problem.message));
    problem.mark(&mut response);
    response
}

/// What went wrong, for a person: a page like all others.
fn refuse_page(state: &Arc<State>, parts: &Parts, problem: &Problem) -> Response<Body> {
    let who = identify(state, &parts.headers).ok().flatten();
    let query = Fields::default();
    // The address of a form is no page: what is linked to is the page that it stands on.
    let here = if parts.method == Method::POST || problem.status == StatusCode::METHOD_NOT_ALLOWED {
        pages::page_of_form(parts.uri.path()).to_owned()
    } else {
        here(parts)
    };
    let visit = Visit::of(state, &parts.headers, &here, &query, who.as_ref());
    pages::refused(&visit, problem)
}
