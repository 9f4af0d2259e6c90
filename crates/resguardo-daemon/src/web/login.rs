//! The login.

use maud::{Markup, html};

use super::frame::{self, Frame, Live};
use super::plain;
use super::view::{LoginPage, LoginTrouble};

/// The whole page.
#[must_use]
pub fn page(frame: &Frame<'_>, view: &LoginPage) -> Markup {
    let words = frame.say.words();
    let main = html! {
        div.login {
            h1 { (words.log_in) }
            @if let Some(trouble) = &view.trouble { p.banner.bad role="alert" { (told(frame, trouble)) } }
            @if view.nobody {
                p { (words.nobody_yet) }
                p { code { "resguardo users add NAME --role admin" } }
            }
            form method="post" action="/login" {
                input type="hidden" name="csrf" value=(frame.csrf);
                input type="hidden" name="next" value=(view.next);
                label for="name" { (words.name) }
                input #name type="text" name="name" value=(view.name) required maxlength="254" autocomplete="username" autocapitalize="none" spellcheck="false" autofocus[view.name.is_empty()];
                label for="password" { (words.password) }
                input #password type="password" name="password" required maxlength="1024" autocomplete="current-password" autofocus[!view.name.is_empty()];
                button { (words.log_in) }
            }
            @if let Some((name, address)) = &view.other {
                p { a.button.plain href=(address) { (words.log_in_with.replacen("{}", name, 1)) } }
            }
        }
    };
    frame::page(frame, words.log_in, Live::No, &main)
}

fn told(frame: &Frame<'_>, trouble: &LoginTrouble) -> String {
    let (say, words) = (frame.say, frame.say.words());
    match trouble {
        LoginTrouble::Wrong => words.login_wrong.to_owned(),
        LoginTrouble::Wait(seconds) => {
            words
                .login_wait
                .replacen("{}", &say.promised((*seconds).max(1)), 1)
        }
        LoginTrouble::Ended => words.login_ended.to_owned(),
        LoginTrouble::Stale => words.login_stale.to_owned(),
        LoginTrouble::Elsewhere => words.login_elsewhere.to_owned(),
        LoginTrouble::Unreachable(name) => words.login_unreachable.replacen("{}", name, 1),
        LoginTrouble::NoRole(name) => words.login_no_role.replacen("{}", name, 1),
        LoginTrouble::NotVerified(email) => {
            let email = plain::text(email);
            words.login_not_verified.replacen("{}", &email, 1)
        }
    }
}
