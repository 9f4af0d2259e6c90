//! What forms do: the same as the API, and back to the page.

use axum::http::StatusCode;

use super::super::answer::{Answer, Problem, to};
use super::super::api::act;
use super::super::ask::Ask;
use super::look;
use crate::web::Language;
use crate::web::frame::Notice;
use crate::web::view::RefusedNote;

type Done = act::Done;

/// Does it, and leads back with a word of what became of it.
fn done(ask: &Ask, done: Done) -> Answer {
    let answer = done?;
    let word = answer["answer"].as_str().unwrap_or("done");
    let path = ask.here.split('?').next().unwrap_or("/");
    Ok(to(&format!("{}?done={word}", page_of_form(path))))
}

/// The page that a form stands on, by the path that it is posted to: the one above it. `/` where there is none.
pub(in super::super) fn page_of_form(path: &str) -> &str {
    let above = path.rsplit_once('/').map_or("/", |(above, _)| above);
    for whole in ["/exceptions", "/policy"] {
        if above
            .strip_prefix(whole)
            .is_some_and(|rest| rest.starts_with('/'))
        {
            return whole;
        }
    }
    let has_pages = ["/sources/", "/backups/"].iter();
    if has_pages.into_iter().any(|kind| above.starts_with(kind)) {
        above
    } else {
        "/"
    }
}

pub(super) fn backup(ask: &Ask) -> Answer {
    done(ask, act::backup(ask))
}

pub(super) fn drill(ask: &Ask) -> Answer {
    done(ask, act::drill(ask))
}

pub(super) fn verify(ask: &Ask) -> Answer {
    done(ask, act::verify(ask))
}

pub(super) fn copy(ask: &Ask) -> Answer {
    done(ask, act::copy(ask))
}

pub(super) fn prune(ask: &Ask) -> Answer {
    done(ask, act::prune(ask))
}

pub(super) fn restore(ask: &Ask) -> Answer {
    done(ask, act::restore(ask))
}

pub(super) fn drill_of(ask: &Ask) -> Answer {
    done(ask, act::drill_of(ask))
}

pub(super) fn sandbox(ask: &Ask) -> Answer {
    done(ask, act::sandbox(ask))
}

pub(super) fn verify_of(ask: &Ask) -> Answer {
    done(ask, act::verify_of(ask))
}

pub(super) fn pin(ask: &Ask) -> Answer {
    done(ask, act::pin(ask))
}

pub(super) fn unpin(ask: &Ask) -> Answer {
    done(ask, act::unpin(ask))
}

/// A note that is not taken stands in its form again, with why not: nobody types it twice.
pub(super) fn resolve(ask: &Ask) -> Answer {
    let problem = match act::resolve(ask) {
        Err(problem) if problem.status != StatusCode::NOT_FOUND => problem,
        other => return done(ask, other),
    };
    let refused = RefusedNote {
        exception: ask.params.get("exception").unwrap_or_default().to_owned(),
        note: ask.body.get("note").unwrap_or_default().to_owned(),
        why: problem.message.clone(),
    };
    look::exceptions_again(ask, refused, problem.status).map_err(|_| problem)
}

/// What a word of [`done`] means. Nothing else of an address is ever shown.
pub(super) fn notice(word: &str, language: Language) -> Option<Notice> {
    let (english, spanish) = match word {
        "begun" => ("It has begun.", "Ha empezado."),
        "running" => ("It runs already.", "Ya está en curso."),
        "waits" => (
            "It begins as soon as the source is free and there is room.",
            "Empieza en cuanto la fuente esté libre y haya lugar.",
        ),
        "done" => ("Done.", "Hecho."),
        _ => return None,
    };
    let text = match language {
        Language::En => english,
        Language::Es => spanish,
    };
    Some(Notice {
        good: true,
        text: text.to_owned(),
    })
}

impl Problem {
    /// Nothing was looked at yet.
    pub(in super::super) fn starting() -> Self {
        let mut problem =
            Self::unreachable("nothing was looked at yet").hint("try again in a moment");
        problem.kind = "starting";
        problem
    }
}

#[cfg(test)]
mod tests {
    use super::page_of_form;

    #[test]
    fn a_form_stands_on_a_page() {
        for (path, page) in [
            ("/sources/shop/backup", "/sources/shop"),
            ("/backups/01jd8kq2v3/pin", "/backups/01jd8kq2v3"),
            ("/exceptions/01jd8kq2v3/resolve", "/exceptions"),
            ("/policy/shop/prune", "/policy"),
            ("/policyx/shop/prune", "/"),
            ("/sources/shop", "/"),
            ("/logout", "/"),
            ("/", "/"),
            ("", "/"),
        ] {
            assert_eq!(page_of_form(path), page, "{path}");
        }
    }
}
