//! The table of routes: what there is, who may, what it takes. The router and the description of the API are both made
//! from it.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, on};
use resguardo_model::Role;

use super::answer::Answer;
use super::ask::Ask;
use super::state::State;
use super::{api, events, gate, login, oidc, openapi, pages, probe};

/// Whom a route answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Surface {
    /// People.
    Page,
    /// Programs.
    Api,
}

/// What whoever asks has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// Nobody in particular.
    Nothing,
    /// On this machine, or a viewer.
    Here,
    /// Somebody of that role at least.
    Role(Role),
}

/// Where a route's blocking work waits for its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pooled {
    /// Questions to vault and catalog.
    Questions,
    /// Passwords.
    Passwords,
    /// Logins for which another service is asked.
    Provider,
}

/// What a route does.
#[derive(Clone, Copy)]
pub(super) enum Handler {
    /// From memory.
    Quick(fn(&Ask) -> Answer),
    /// What blocks.
    Slow(Pooled, fn(&Ask) -> Answer),
}

/// How a route is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It looks.
    Get,
    /// It changes something.
    Post,
}

/// Something that a request may say: in its path, its query or its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) place: Place,
    pub(super) needed: bool,
    pub(super) about: &'static str,
}

/// Where a field stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
    Body,
}

/// A route.
pub(super) struct Route {
    pub(super) way: Way,
    pub(super) path: &'static str,
    pub(super) surface: Surface,
    pub(super) needs: Needs,
    /// Where nobody is needed: whether it matters who asks all the same.
    pub(super) reads_who: bool,
    /// What it does, in a line.
    pub(super) about: &'static str,
    pub(super) fields: &'static [Field],
    pub(super) handler: Handler,
}

pub(super) const fn in_path(name: &'static str, about: &'static str) -> Field {
    Field {
        name,
        place: Place::Path,
        needed: true,
        about,
    }
}

pub(super) const fn in_query(name: &'static str, about: &'static str) -> Field {
    Field {
        name,
        place: Place::Query,
        needed: false,
        about,
    }
}

pub(super) const fn in_body(name: &'static str, needed: bool, about: &'static str) -> Field {
    Field {
        name,
        place: Place::Body,
        needed,
        about,
    }
}

const fn open(path: &'static str, about: &'static str, handler: fn(&Ask) -> Answer) -> Route {
    Route {
        way: Way::Get,
        path,
        surface: Surface::Api,
        needs: Needs::Nothing,
        reads_who: false,
        about,
        fields: &[],
        handler: Handler::Quick(handler),
    }
}

/// What is there besides the API and the pages.
static OTHERS: &[Route] = &[
    open("/healthz", "the process lives", probe::health),
    open(
        "/readyz",
        "vault and catalog could be read lately",
        probe::ready,
    ),
    Route {
        needs: Needs::Role(Role::Viewer),
        ..open(
            "/events",
            "what changes, as server-sent events",
            events::stream,
        )
    },
    Route {
        needs: Needs::Here,
        reads_who: true,
        ..open(
            "/metrics",
            "how every source stands, for Prometheus",
            probe::metrics,
        )
    },
    open(openapi::PATH, "this description", openapi::answer),
    Route {
        way: Way::Post,
        surface: Surface::Page,
        reads_who: true,
        handler: Handler::Slow(Pooled::Passwords, pages::login),
        ..open("/login", "log in", login::logout)
    },
    Route {
        surface: Surface::Page,
        handler: Handler::Slow(Pooled::Provider, oidc::begin),
        ..open(oidc::BEGIN, "log in by another service", probe::health)
    },
    Route {
        surface: Surface::Page,
        reads_who: true,
        handler: Handler::Slow(Pooled::Provider, oidc::end),
        ..open(oidc::BACK, "the other service leads back", probe::health)
    },
    Route {
        way: Way::Post,
        surface: Surface::Page,
        reads_who: true,
        handler: Handler::Slow(Pooled::Questions, login::logout),
        ..open("/logout", "log out", login::logout)
    },
];

/// Every route.
pub(super) fn all() -> impl Iterator<Item = &'static Route> {
    OTHERS.iter().chain(api::ROUTES).chain(pages::ROUTES)
}

/// The router of the table.
pub(super) fn router(state: &Arc<State>) -> Router {
    let mut router: Router<Arc<State>> = Router::new();
    for route in all() {
        let filter = match route.way {
            Way::Get => MethodFilter::GET,
            Way::Post => MethodFilter::POST,
        };
        let state = Arc::clone(state);
        let handler = move |request: Request| gate::pass(Arc::clone(&state), route, request);
        router = router.route(route.path, on(filter, handler));
    }
    router
        .fallback(gate::nowhere)
        .method_not_allowed_fallback(gate::otherwise)
        .layer(from_fn_with_state(Arc::clone(state), gate::enter))
        .with_state(Arc::clone(state))
}
