//! The page of the login, also after a try in vain.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use resguardo_model::UserName;
use resguardo_ops::users;

use super::super::answer::Answer;
use super::super::ask::Ask;
use super::super::{login as doors, oidc, path};
use super::{Visit, html, shown};
use crate::web::view::{LoginPage, LoginTrouble};
use crate::web::{self, Section};

/// The login.
pub(super) fn login_page(ask: &Ask) -> Answer {
    let nobody = users::list(&ask.state.house.accounts.read)?.is_empty();
    shown(ask, |visit| {
        let view = LoginPage {
            nobody,
            ..bare(ask)
        };
        Ok(web::login::page(&visit.frame(Section::Outside), &view))
    })
}

/// A login by form: what is wrong with it stands on the same page again.
pub(in super::super) fn login(ask: &Ask) -> Answer {
    let problem = match doors::login(ask) {
        Ok(response) => return Ok(response),
        Err(problem) => problem,
    };
    let trouble = match problem.kind {
        "login" => LoginTrouble::Wrong,
        "wait" => LoginTrouble::Wait(problem.again.unwrap_or(1)),
        _ => return Err(problem),
    };
    let mut response = login_again(ask, trouble, problem.status);
    problem.mark(&mut response);
    Ok(response)
}

/// The login after a try in vain.
pub(in super::super) fn login_again(
    ask: &Ask,
    trouble: LoginTrouble,
    status: StatusCode,
) -> Response<Body> {
    // Not the address that was asked for: it may hold what the other service said.
    let visit = Visit::back_at(ask, "/login");
    let name: Option<UserName> = ask.body.said("name").and_then(|text| text.parse().ok());
    let view = LoginPage {
        name: name.map(|name| name.to_string()).unwrap_or_default(),
        trouble: Some(trouble),
        ..bare(ask)
    };
    html(
        status,
        web::login::page(&visit.frame(Section::Outside), &view),
    )
}

fn bare(ask: &Ask) -> LoginPage {
    let wanted = ask.body.get("next").or_else(|| ask.query.get("next"));
    let next = path::next(wanted.unwrap_or("/")).to_owned();
    let provider = ask.state.house.provider.as_ref();
    LoginPage {
        other: provider.map(|one| (one.settings().name.clone(), oidc::way(&next))),
        next,
        ..LoginPage::default()
    }
}
