//! The pages: who looks, what is shown, what a form does. What a page looks like is [`crate::web`]'s.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use maud::Markup;
use resguardo_model::{Role, Sha256Digest};

use super::answer::{Answer, Problem, bytes_of, to};
use super::ask::{Ask, By, Fields, Who, cookie};
use super::route::{Field, Handler, Needs, Pooled, Route, Surface, Way, in_body};
use super::state::State;
use crate::web::frame::Notice;
use crate::web::refusal::{self, Refusal};
use crate::web::view::Viewer;
use crate::web::{Frame, Language, Say, Section, Theme, assets};

mod act;
mod login;
mod look;
mod made;

pub(super) use act::page_of_form;
pub(super) use login::{login, login_again};

const YEAR_SECONDS: u32 = 31_536_000;

const fn page(path: &'static str, about: &'static str, handler: Handler) -> Route {
    Route {
        way: Way::Get,
        path,
        surface: Surface::Page,
        needs: Needs::Role(Role::Viewer),
        reads_who: true,
        about,
        fields: &[],
        handler,
    }
}

const fn slow(handler: fn(&Ask) -> Answer) -> Handler {
    Handler::Slow(Pooled::Questions, handler)
}

const FORM: &[Field] = &[in_body("csrf", true, "what the form holds")];

const fn form(role: Role, path: &'static str, handler: fn(&Ask) -> Answer) -> Route {
    Route {
        way: Way::Post,
        needs: Needs::Role(role),
        fields: FORM,
        ..page(path, "a form of a page", slow(handler))
    }
}

const fn anybody(path: &'static str, handler: fn(&Ask) -> Answer) -> Route {
    Route {
        needs: Needs::Nothing,
        ..page(path, "for anybody", Handler::Quick(handler))
    }
}

/// The pages.
pub(super) static ROUTES: &[Route] = &[
    page("/", "all sources", Handler::Quick(look::overview)),
    page("/sources/{name}", "one source", slow(look::source)),
    page("/backups/{id}", "one backup", slow(look::backup)),
    page("/drills/{run}", "one drill", slow(look::drill)),
    page("/runs", "what ran and runs", slow(look::runs)),
    page("/runs/{run}", "one run", slow(look::run)),
    page("/exceptions", "what is open", slow(look::exceptions)),
    page("/policy", "what a prune would do", slow(look::policy)),
    page("/access", "who may do what", slow(look::access)),
    anybody("/login", login::login_page),
    Route {
        reads_who: false,
        ..anybody("/assets/{file}", asset)
    },
    form(Role::Operator, "/sources/{name}/backup", act::backup),
    form(Role::Operator, "/sources/{name}/drill", act::drill),
    form(Role::Operator, "/sources/{name}/verify", act::verify),
    form(Role::Operator, "/sources/{name}/copy", act::copy),
    form(Role::Admin, "/policy/{name}/prune", act::prune),
    form(Role::Operator, "/backups/{id}/restore", act::restore),
    form(Role::Operator, "/backups/{id}/drill", act::drill_of),
    form(Role::Operator, "/backups/{id}/sandbox", act::sandbox),
    form(Role::Operator, "/backups/{id}/verify", act::verify_of),
    form(Role::Operator, "/backups/{id}/pin", act::pin),
    form(Role::Admin, "/backups/{id}/unpin", act::unpin),
    form(
        Role::Operator,
        "/exceptions/{exception}/resolve",
        act::resolve,
    ),
];

fn asset(ask: &Ask) -> Answer {
    let found = assets::find(&ask.here).ok_or_else(|| Problem::absent("there is nothing here"))?;
    let mut response = bytes_of(StatusCode::OK, found.media_type, found.content.into());
    let keep = HeaderValue::from_static("public, max-age=31536000, immutable");
    response.headers_mut().insert(header::CACHE_CONTROL, keep);
    Ok(response)
}

/// Whoever looks, and how.
pub(super) struct Visit {
    pub(super) say: Say,
    theme: Theme,
    here: String,
    viewer: Option<Viewer>,
    csrf: String,
    vault: String,
    unreachable: Option<String>,
    exceptions: u64,
    notice: Option<Notice>,
    version: String,
}

impl Visit {
    pub(super) fn of(
        state: &State,
        headers: &HeaderMap,
        here: &str,
        query: &Fields,
        who: Option<&Who>,
    ) -> Self {
        let accepted = || {
            let value = headers.get(header::ACCEPT_LANGUAGE);
            Language::accepted(
                value
                    .and_then(|value| value.to_str().ok())
                    .unwrap_or_default(),
            )
        };
        let language = cookie(headers, "lang").and_then(Language::of_tag);
        let language = language.unwrap_or_else(accepted);
        let snapshot = state.house.board.snapshot();
        let seen = who.and(snapshot.seen.as_ref());
        let blind = snapshot.blind.clone();
        let unreachable = seen.and_then(|seen| seen.status.unreachable.clone());
        Self {
            say: Say {
                language,
                zone: state.house.desk.zone(),
                now: state.now(),
            },
            theme: cookie(headers, "theme")
                .and_then(Theme::of_word)
                .unwrap_or_default(),
            here: without_wishes(here),
            viewer: who.map(|who| Viewer {
                name: who.name.clone(),
                role: who.role,
            }),
            csrf: who.map_or_else(String::new, |who| match &who.by {
                By::Session(secret) => secret.form_token(),
                By::Token => String::new(),
            }),
            vault: seen.map_or_else(String::new, |seen| seen.vault.clone()),
            unreachable: who.and(unreachable.or(blind)),
            exceptions: seen.map_or(0, |seen| seen.status.exceptions.len() as u64),
            notice: query
                .said("done")
                .and_then(|word| act::notice(word, language)),
            version: state.house.version.clone(),
        }
    }

    fn of_ask(ask: &Ask) -> Self {
        Self::back_at(ask, &ask.here)
    }

    /// Of a page that is shown again, with what went wrong: it stays where its form was.
    fn back_at(ask: &Ask, here: &str) -> Self {
        Self::of(&ask.state, &ask.headers, here, &ask.query, ask.who.as_ref())
    }

    /// Of a page of what the board shows: its time is that of the look, and ages are counted to it.
    fn of_board(ask: &Ask) -> Self {
        let mut visit = Self::of_ask(ask);
        if let Some(at) = ask.state.house.board.snapshot().seen_at {
            visit.say.now = at.min(visit.say.now);
        }
        visit
    }

    pub(super) fn frame(&self, section: Section) -> Frame<'_> {
        Frame {
            say: &self.say,
            theme: self.theme,
            here: &self.here,
            section,
            viewer: self.viewer.as_ref(),
            csrf: &self.csrf,
            vault: &self.vault,
            unreachable: self.unreachable.as_deref(),
            exceptions: self.exceptions,
            notice: self.notice.as_ref(),
            version: &self.version,
        }
    }

    /// What a page depends on besides what it shows.
    fn validator(&self) -> String {
        let (language, theme) = (self.say.language.tag(), self.theme.word());
        let role = self.viewer.as_ref().map_or("", |viewer| viewer.role.word());
        let here = &self.here;
        format!(
            "{language} {theme} {role} {} {here} {}",
            self.csrf,
            self.notice.is_some()
        )
    }
}

/// The same address without what is asked of language, theme and notice.
fn without_wishes(here: &str) -> String {
    let Some((path, query)) = here.split_once('?') else {
        return here.to_owned();
    };
    let is_wish = |pair: &&str| {
        ["lang=", "theme=", "done="]
            .iter()
            .any(|name| pair.starts_with(name))
    };
    let kept: Vec<&str> = query.split('&').filter(|pair| !is_wish(pair)).collect();
    if kept.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{}", kept.join("&"))
    }
}

/// Takes down what somebody wants of language and theme, and leads to the page itself.
fn wish(ask: &Ask) -> Option<Response<Body>> {
    let language = ask.query.said("lang").and_then(Language::of_tag);
    let theme = ask.query.said("theme").and_then(Theme::of_word);
    if language.is_none() && theme.is_none() {
        return None;
    }
    let mut response = to(&without_wishes(&ask.here));
    let both = [
        ("lang", language.map(Language::tag)),
        ("theme", theme.map(Theme::word)),
    ];
    for (name, value) in both {
        let Some(value) = value else { continue };
        let text = format!("{name}={value}; Path=/; SameSite=Lax; Max-Age={YEAR_SECONDS}");
        let set = HeaderValue::from_str(&text).expect("words stand in a header");
        response.headers_mut().append(header::SET_COOKIE, set);
    }
    Some(response)
}

/// A page that is made anew each time.
fn shown(ask: &Ask, make: impl FnOnce(&Visit) -> Result<Markup, Problem>) -> Answer {
    if let Some(response) = wish(ask) {
        return Ok(response);
    }
    let visit = Visit::of_ask(ask);
    Ok(html(StatusCode::OK, make(&visit)?))
}

/// A page of what the board shows and of what is asked anew: its time is the board's.
fn shown_with_board(ask: &Ask, make: impl FnOnce(&Visit) -> Result<Markup, Problem>) -> Answer {
    if let Some(response) = wish(ask) {
        return Ok(response);
    }
    Ok(html(StatusCode::OK, make(&Visit::of_board(ask))?))
}

/// A page of what the board shows: not sent again to whoever has it.
fn shown_of_board(ask: &Ask, make: impl FnOnce(&Visit) -> Result<Markup, Problem>) -> Answer {
    if let Some(response) = wish(ask) {
        return Ok(response);
    }
    let visit = Visit::of_board(ask);
    let board = &ask.state.house.board;
    let depends = format!(
        "{} {} {}",
        board.snapshot().version,
        board.newest(),
        visit.validator()
    );
    let tag = format!(
        "\"{}\"",
        &Sha256Digest::of(depends.as_bytes()).to_string()[..32]
    );
    let known = ask
        .headers
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok());
    let is_known = known.is_some_and(|known| known.split(',').any(|one| one.trim() == tag));
    let mut response = if is_known {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        html(StatusCode::OK, make(&visit)?)
    };
    let headers = response.headers_mut();
    headers.insert(
        header::ETAG,
        HeaderValue::from_str(&tag).expect("digits stand in a header"),
    );
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-cache"),
    );
    headers.insert(
        header::VARY,
        HeaderValue::from_static("cookie, accept-language"),
    );
    Ok(response)
}

fn html(status: StatusCode, page: Markup) -> Response<Body> {
    bytes_of(
        status,
        "text/html; charset=utf-8",
        page.into_string().into_bytes(),
    )
}

/// The page that says why there is none.
pub(super) fn refused(visit: &Visit, problem: &Problem) -> Response<Body> {
    let refusal = match problem.status {
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Refusal::NotThere,
        StatusCode::FORBIDDEN => match problem.needs {
            Some(role) => Refusal::NotAllowed {
                role,
                command: String::new(),
            },
            None => Refusal::Stale,
        },
        StatusCode::TOO_MANY_REQUESTS => Refusal::TooMuch(problem.again.unwrap_or(1)),
        StatusCode::SERVICE_UNAVAILABLE if problem.kind == "starting" => Refusal::Starting,
        StatusCode::INTERNAL_SERVER_ERROR => Refusal::Broken(problem.message.clone()),
        _ => Refusal::Impossible(match problem.hint.as_str() {
            "" => problem.message.clone(),
            hint => format!("{}; {hint}", problem.message),
        }),
    };
    let mut response = html(
        problem.status,
        refusal::page(&visit.frame(Section::Outside), &refusal),
    );
    problem.mark(&mut response);
    response
}

#[cfg(test)]
mod tests {
    use super::without_wishes;

    #[test]
    fn a_page_is_the_same_in_every_language() {
        assert_eq!(without_wishes("/"), "/");
        assert_eq!(without_wishes("/?lang=es"), "/");
        assert_eq!(
            without_wishes("/runs?page=2&lang=es&theme=dark"),
            "/runs?page=2"
        );
        assert_eq!(without_wishes("/sources/shop?done=begun"), "/sources/shop");
    }
}
