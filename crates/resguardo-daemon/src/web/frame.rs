//! What stands around every page: head, navigation, warnings, foot.

use maud::{DOCTYPE, Markup, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::figures::Say;
use super::language::{Language, Theme};
use super::view::{Role, Viewer};
use super::{assets, signs};

/// What stays as it is in a part of a path: what RFC 3986 calls unreserved.
const KEPT: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The part of the dashboard that a page belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// All sources, one source, one backup, one drill.
    Overview,
    /// What ran and runs.
    Runs,
    /// What is open until somebody resolves it.
    Exceptions,
    /// What a prune would do.
    Policy,
    /// Who may do what.
    Access,
    /// None of them: the login, and what went wrong.
    Outside,
}

/// What a page says of what was just done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// It was done; else it was refused.
    pub good: bool,
    /// What to say.
    pub text: String,
}

/// What a page needs to know besides its view.
#[derive(Clone, Debug)]
pub struct Frame<'a> {
    /// Language, zone and time.
    pub say: &'a Say,
    /// Light or dark.
    pub theme: Theme,
    /// Path and query of the page, without `lang` and `theme`.
    pub here: &'a str,
    /// The part that the page belongs to.
    pub section: Section,
    /// Whoever looks; `None`: nobody is logged in.
    pub viewer: Option<&'a Viewer>,
    /// What forms carry in `csrf`.
    pub csrf: &'a str,
    /// The vault, without secrets.
    pub vault: &'a str,
    /// Why the vault cannot be reached, if it cannot.
    pub unreachable: Option<&'a str>,
    /// Exceptions that nobody has resolved.
    pub exceptions: u64,
    /// What was just done.
    pub notice: Option<&'a Notice>,
    /// The version of the program.
    pub version: &'a str,
}

impl Frame<'_> {
    /// Whether whoever looks may do what asks for `role`.
    #[must_use]
    pub fn may(&self, role: Role) -> bool {
        self.viewer.is_some_and(|viewer| viewer.role >= role)
    }
}

/// How a page keeps itself true.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Live<'a> {
    /// It stays as it is.
    #[default]
    No,
    /// It is fetched anew when anything has changed.
    Everything,
    /// It is fetched anew when that run says something.
    Run(&'a str),
}

/// A part of a path.
#[must_use]
pub fn part(text: &str) -> String {
    utf8_percent_encode(text, &KEPT).to_string()
}

/// A whole page.
#[must_use]
pub fn page(frame: &Frame<'_>, title: &str, live: Live<'_>, main: &Markup) -> Markup {
    let words = frame.say.words();
    let theme = (frame.theme != Theme::System).then(|| frame.theme.word());
    let events = (live != Live::No).then_some("/events");
    let run = match live {
        Live::Run(run) => Some(run),
        Live::No | Live::Everything => None,
    };
    html! {
        (DOCTYPE)
        html lang=(frame.say.language.tag()) data-theme=[theme] {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content=(scheme(frame.theme));
                title { (title) " · " (words.product) }
                link rel="stylesheet" href=(assets::STYLE.path);
                link rel="icon" href=(assets::MARK.path) type="image/svg+xml";
                script src=(assets::SCRIPT.path) defer {}
            }
            body data-events=[events] data-run=[run] {
                (signs::SHEET)
                a.skip href="#main" { (words.skip) }
                (header(frame))
                @if let Some(why) = frame.unreachable {
                    div.banner.bad role="alert" {
                        p { b { (words.unreachable) } ": " (super::plain::english(frame.say, why)) }
                        p { (words.unreachable_means) }
                    }
                }
                @if let Some(notice) = frame.notice {
                    div.banner.(if notice.good { "ok" } else { "bad" }) role="status" { p { (notice.text) } }
                }
                @if live != Live::No {
                    p.banner.risk #lost role="alert" hidden { (words.lost) }
                }
                main #main tabindex="-1" { (main) }
                (footer(frame))
            }
        }
    }
}

fn scheme(theme: Theme) -> &'static str {
    match theme {
        Theme::System => "light dark",
        Theme::Light => "light",
        Theme::Dark => "dark",
    }
}

fn header(frame: &Frame<'_>) -> Markup {
    let words = frame.say.words();
    let sections = [
        (Section::Overview, "/", words.overview),
        (Section::Runs, "/runs", words.runs),
        (Section::Exceptions, "/exceptions", words.exceptions),
        (Section::Policy, "/policy", words.policy),
        (Section::Access, "/access", words.access),
    ];
    html! {
        header.top {
            a.mark href="/" {
                img src=(assets::MARK.path) alt="" width="22" height="22";
                (words.product)
            }
            @if let Some(viewer) = frame.viewer {
                nav aria-label=(words.navigation) {
                    @for (section, path, name) in sections {
                        a href=(path) aria-current=[(section == frame.section).then_some("page")] {
                            (name)
                            @if section == Section::Exceptions && frame.exceptions > 0 {
                                " " span.count { (frame.say.number(frame.exceptions)) }
                            }
                        }
                    }
                }
                form.who method="post" action="/logout" {
                    input type="hidden" name="csrf" value=(frame.csrf);
                    span { span.sr { (words.logged_in_as) " " } (viewer.name) " " span.dim { "(" (role(viewer.role, frame.say)) ")" } }
                    button.plain { (words.log_out) }
                }
            }
        }
    }
}

/// The word of a role.
#[must_use]
pub fn role(role: Role, say: &Say) -> &'static str {
    let words = say.words();
    match role {
        Role::Viewer => words.role_viewer,
        Role::Operator => words.role_operator,
        Role::Admin => words.role_admin,
    }
}

fn footer(frame: &Frame<'_>) -> Markup {
    let (say, words) = (frame.say, frame.say.words());
    html! {
        footer {
            p {
                (words.times_in) " " b { (say.zone_name()) } ". "
                (words.looked_at) " " (say.moment_exact(say.now)) "."
            }
            @if frame.viewer.is_some() {
                p.wrap { (words.vault) ": " code { (frame.vault) } }
            }
            p.choices {
                span.choice {
                    (words.language) ": "
                    @for language in Language::ALL {
                        @if language == say.language {
                            b lang=(language.tag()) { (language.own_name()) }
                        } @else {
                            a href=(with(frame.here, "lang", language.tag())) lang=(language.tag()) hreflang=(language.tag()) { (language.own_name()) }
                        }
                        " "
                    }
                }
                span.choice {
                    (words.theme) ": "
                    @for (theme, name) in [
                        (Theme::System, words.theme_system),
                        (Theme::Light, words.theme_light),
                        (Theme::Dark, words.theme_dark),
                    ] {
                        @if theme == frame.theme {
                            b { (name) }
                        } @else {
                            a href=(with(frame.here, "theme", theme.word())) { (name) }
                        }
                        " "
                    }
                }
                span.choice { (words.product) " " (frame.version) }
            }
        }
    }
}

/// The address of the same page with one more wish.
fn with(here: &str, name: &str, value: &str) -> String {
    // "//elsewhere" would be another server.
    let here = format!("/{}", here.trim_start_matches(['/', '\\']));
    let sign = if here.contains('?') { '&' } else { '?' };
    format!("{here}{sign}{name}={value}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_path_stays_one() {
        assert_eq!(part("shop-eu_1"), "shop-eu_1");
        assert_eq!(part("../<b>?#"), "..%2F%3Cb%3E%3F%23");
        assert_eq!(with("/runs?page=2", "lang", "es"), "/runs?page=2&lang=es");
        assert_eq!(
            with("//evil.example/", "theme", "dark"),
            "/evil.example/?theme=dark"
        );
    }
}
