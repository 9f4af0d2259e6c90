//! Pages for what could not be shown or done: each says what to do next.

use maud::{Markup, html};
use resguardo_model::Role;

use super::frame::{self, Frame, Live};
use super::plain;

/// Why there is nothing to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 404: there is no such page, source, backup or run.
    NotThere,
    /// 403: it takes another role; with the command that does it, where there is one.
    NotAllowed {
        /// The role that it takes.
        role: Role,
        /// The command that does the same; may be empty.
        command: String,
    },
    /// 403: the form came from elsewhere, or is of another session.
    Stale,
    /// 400 or 409: what was asked cannot be done, in a sentence of ours or of the program.
    Impossible(String),
    /// 429: too much was asked; in so many seconds it can be tried again.
    TooMuch(u64),
    /// 503: nothing was looked at yet.
    Starting,
    /// 500: something broke; what, in a line.
    Broken(String),
}

impl Refusal {
    /// Its status.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::NotThere => 404,
            Self::NotAllowed { .. } | Self::Stale => 403,
            Self::Impossible(_) => 409,
            Self::TooMuch(_) => 429,
            Self::Starting => 503,
            Self::Broken(_) => 500,
        }
    }
}

/// The whole page.
#[must_use]
pub fn page(frame: &Frame<'_>, refusal: &Refusal) -> Markup {
    let (say, words) = (frame.say, frame.say.words());
    let (title, means) = match refusal {
        Refusal::NotThere => (words.not_there, words.not_there_means.to_owned()),
        Refusal::NotAllowed { role, .. } => {
            let role = frame::role(*role, say);
            (
                words.not_allowed,
                words.not_allowed_means.replacen("{}", role, 1),
            )
        }
        Refusal::Stale => (words.stale, words.stale_means.to_owned()),
        Refusal::Impossible(_) => (words.impossible, String::new()),
        Refusal::TooMuch(seconds) => {
            let wait = say.promised((*seconds).max(1));
            (words.too_much, words.login_wait.replacen("{}", &wait, 1))
        }
        Refusal::Starting => (words.starting, words.starting_means.to_owned()),
        Refusal::Broken(_) => (words.broken, String::new()),
    };
    let main = html! {
        h1 { (title) }
        p.wrap {
            @match refusal {
                Refusal::Impossible(why) | Refusal::Broken(why) => (plain::english(say, why)),
                _ => (means),
            }
        }
        @if let Refusal::NotAllowed { command, .. } = refusal && !command.is_empty() {
            p { (words.same_as) " " code { (command) } }
        }
        p { a href="/" { (words.back) } }
    };
    let live = if *refusal == Refusal::Starting {
        Live::Everything
    } else {
        Live::No
    };
    frame::page(frame, title, live, &main)
}
