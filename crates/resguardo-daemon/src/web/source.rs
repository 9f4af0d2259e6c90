//! One source: how it stands, its year, where it is going, its backups.

use maud::{Markup, html};
use resguardo_model::{Standing, Verdict};

use super::action::{self, Action};
use super::figures::Say;
use super::frame::{self, Frame, Live, part};
use super::view::{BackupLine, DrillPoint, Pages, Role, SourcePage};
use super::words::in_table;
use super::{exceptions, overview, pictures, signs};

/// The whole page.
#[must_use]
pub fn page(frame: &Frame<'_>, view: &SourcePage) -> Markup {
    let (say, row) = (frame.say, &view.row);
    let words = say.words();
    let main = html! {
        p.crumbs { a href="/" { (words.overview) } " / " (row.name) }
        h1 { (row.name) }
        p.dim { (row.engine) ", " (row.environment) }
        div #standing data-live aria-live="polite" { (standing(say, view)) }
        @if let Some(running) = &view.running {
            div #running data-live { (overview::running(say, std::slice::from_ref(running))) }
        } @else {
            div #running data-live {}
        }
        div #tiles data-live { (tiles(say, view)) }
        @if !view.exceptions.is_empty() {
            h2 { (words.exceptions) }
            (exceptions::list(frame, &view.exceptions, None))
        }
        h2 { (words.year_title) }
        (pictures::year(say, &view.year, view.until))
        div.columns {
            section { (drills(say, view)) }
            section { (sizes(say, view)) }
        }
        h2 #backups { (words.backups) }
        (backups(say, &view.lines))
        (pages(say, view.pages, &format!("/sources/{}", part(&row.name)), "backups"))
        h2 { (words.actions) }
        (action::actions(frame, &actions(say, view)))
        p { a href={ "/runs?source=" (part(&row.name)) } { (words.runs_of_source) } }
    };
    frame::page(frame, &row.name, Live::Everything, &main)
}

fn standing(say: &Say, view: &SourcePage) -> Markup {
    let (words, row) = (say.words(), &view.row);
    html! {
        p.summary.(signs::class(row.standing)) { (signs::standing(row.standing, words)) }
        @if !row.concerns.is_empty() {
            ul.why { @for concern in &row.concerns { li { (overview::cause(say, row, *concern)) } } }
        }
    }
}

fn tile(title: &str, standing: Standing, value: &Markup, more: &Markup) -> Markup {
    html! {
        li.(signs::class(standing)) { h2 { (title) } p { (value) } p.small { (more) } }
    }
}

fn tiles(say: &Say, view: &SourcePage) -> Markup {
    let (words, row) = (say.words(), &view.row);
    let calm = Standing::Ok;
    let proven_standing = match row.proven_at {
        None => Standing::NeverProven,
        Some(_) => calm,
    };
    let late = row.copies.iter().any(|copy| copy.behind > 0);
    html! {
        ul.tiles.six {
            (tile(words.rpo_head, row.rpo.standing, &overview::measure(say, &row.rpo), &html! {
                @match &view.last_backup {
                    Some(line) => { (words.newest_backup) " " a href={ "/backups/" (part(&line.id)) } { (say.ago(line.taken_at)) } },
                    None => (words.why_no_backup),
                }
            }))
            (tile(words.rto_head, row.rto.standing, &overview::measure(say, &row.rto), &html! {
                @if let Some(forecast) = &row.forecast { (forecast_words(say, forecast)) }
            }))
            (tile(words.proven_head, proven_standing, &html! {
                @match row.proven_at { Some(at) => (say.ago(at)), None => (words.never) }
            }, &html! {
                @if let (Some(at), Some(receipt)) = (row.proven_at, &view.proven_by) {
                    a href={ "/drills/" (part(receipt)) } { (say.moment(at)) }
                }
                @if let Some(drill) = view.last_drill.as_ref().filter(|drill| drill.verdict != Verdict::Passed) {
                    @if drill.verdict == Verdict::Failed { " " em { (words.last_drill_failed) } }
                    @else { " " (words.why_drill_error) }
                    " " (drill_link(say, drill))
                }
            }))
            (tile(words.next_drill_head, calm, &html! {
                @match row.next_drill { Some(at) => (say.ago(at)), None => i { (words.not_scheduled) } }
            }, &html! {
                (words.next_backup) " "
                @match view.next_backup { Some(at) => (say.ago(at)), None => (words.not_scheduled) }
            }))
            (tile(words.copies_head, if late { Standing::AtRisk } else { calm }, &html! {
                @let whole = row.copies.iter().filter(|copy| copy.behind == 0).count();
                @if row.copies.is_empty() { i { (words.no_copies) } } @else { (whole) " / " (row.copies.len()) }
            }, &html! {
                @for copy in &row.copies {
                    span.wrap { (copy.name) ": "
                        @if copy.behind == 0 { (words.copy_whole) } @else { em { (words.copy_lacks.replace("{}", &say.number(copy.behind))) } }
                    } br;
                }
            }))
            (tile(words.space, calm, &html! { (say.bytes(view.stored_bytes)) }, &html! {
                (words.space_more.replacen("{}", &say.number(view.backups), 1).replacen("{}", &say.bytes(view.raw_bytes), 1))
                @if let Some(seconds) = view.last_backup_seconds {
                    br; (words.last_took) " " (say.duration(seconds))
                }
            }))
        }
    }
}

/// When the drills pass what was promised, with its uncertainty.
fn forecast_words(say: &Say, forecast: &super::view::Forecast) -> String {
    let words = say.words();
    let month = |moment| say.month_of(say.day_of(moment));
    let (pattern, latest) = match forecast.latest {
        Some(latest) => (words.forecast_between, month(latest)),
        None => (words.forecast_after, String::new()),
    };
    pattern
        .replacen("{}", &month(forecast.crosses_at), 1)
        .replacen("{}", &month(forecast.earliest), 1)
        .replacen("{}", &latest, 1)
}

fn drill_link(say: &Say, drill: &DrillPoint) -> Markup {
    html! {
        @match &drill.receipt {
            Some(receipt) => a href={ "/drills/" (part(receipt)) } { (say.moment(drill.at)) },
            None => (say.moment(drill.at)),
        }
    }
}

fn drills(say: &Say, view: &SourcePage) -> Markup {
    let words = say.words();
    let target = view.row.rto.target_seconds;
    let measured = view.drills.iter().filter_map(|drill| drill.rto_seconds);
    let described = match (measured.clone().next(), measured.clone().next_back()) {
        (Some(first), Some(last)) => words
            .trend_words
            .replacen("{}", &say.number(view.drills.len() as u64), 1)
            .replacen("{}", &say.duration(first), 1)
            .replacen("{}", &say.duration(last), 1),
        _ => String::new(),
    };
    html! {
        h2 { (words.drill_times) }
        @match pictures::trend(say, &view.drills, target, view.forecast.as_ref(), &described) {
            Some(drawn) => figure {
                (drawn)
                figcaption { (described) @if let Some(forecast) = &view.forecast { " " (forecast_words(say, forecast)) "." } }
            },
            None => p.empty { (words.no_drills) },
        }
        @if !view.drills.is_empty() {
            details #drill-table {
                summary { (words.last_drills) }
                table {
                    caption { (words.last_drills) }
                    thead { tr { th scope="col" { (words.when) } th scope="col" { (words.outcome) } th.num scope="col" { "RTO" } } }
                    tbody { @for drill in view.drills.iter().rev().take(24) { tr {
                        th scope="row" { (drill_link(say, drill)) }
                        td { (signs::drill(drill.verdict, words)) }
                        td.num { @match drill.rto_seconds { Some(seconds) => (say.duration(seconds)), None => (words.not_measured) } }
                    } } }
                }
            }
        }
    }
}

fn sizes(say: &Say, view: &SourcePage) -> Markup {
    let words = say.words();
    let described = match (view.sizes.first(), view.sizes.last()) {
        (Some(first), Some(last)) => words
            .growth_words
            .replacen("{}", &say.bytes(first.raw_bytes), 1)
            .replacen("{}", &say.bytes(last.raw_bytes), 1)
            .replacen("{}", &say.bytes(last.stored_bytes), 1),
        _ => String::new(),
    };
    html! {
        h2 { (words.growth) }
        @match pictures::growth(say, &view.sizes, &described) {
            Some(drawn) => figure { (drawn) figcaption { (described) } },
            None => p.empty { (words.no_backups) },
        }
    }
}

/// A list of backups.
#[must_use]
pub fn backups(say: &Say, lines: &[BackupLine]) -> Markup {
    let words = say.words();
    if lines.is_empty() {
        return html! { p.empty { (words.no_backups) } };
    }
    html! {
        table.cards {
            caption { (words.backups_caption) }
            thead { tr {
                th scope="col" { (words.data_of) } th scope="col" { (words.reason) } th scope="col" { (words.proven) }
                th scope="col" { (words.copies_head) } th.num scope="col" { (words.size) } th.num scope="col" { (words.added) }
            } }
            tbody { @for line in lines { tr {
                th scope="row" {
                    a href={ "/backups/" (part(&line.id)) } { (say.when(line.taken_at)) }
                    small { code { (short(&line.id)) } @if line.pinned { " " (words.pinned) } @if !line.trusted { " " em { (words.untrusted) } } }
                }
                td data-head=(words.reason) { (in_table(words.reasons, &line.reason)) }
                td data-head=(words.proven) { (proven(say, line)) }
                td data-head=(words.copies_head) { @if line.copies.is_empty() { i { (words.no_copies) } } @else { (line.copies.join(", ")) } }
                td.num data-head=(words.size) { (say.bytes(line.raw_bytes)) }
                td.num data-head=(words.added) { (say.bytes(line.stored_bytes)) }
            } } }
        }
    }
}

/// Whether a restore of it passed.
#[must_use]
pub fn proven(say: &Say, line: &BackupLine) -> Markup {
    let words = say.words();
    html! {
        @match (line.proven_at, line.last_drill) {
            (_, Some(verdict @ (Verdict::Failed | Verdict::Error))) => { (signs::last_drill(verdict, words)) @if let Some(at) = line.proven_at { small { (words.proven_before) " " (say.moment(at)) } } },
            (Some(at), _) => { (signs::proven(words)) small { (say.moment(at)) } },
            (None, _) => i { (words.not_proven) },
        }
    }
}

/// The beginning of an id, as commands take it.
#[must_use]
pub fn short(id: &str) -> &str {
    id.get(..10).unwrap_or(id)
}

/// Links to the pages of a list, which keep the place on the page by `anchor`.
#[must_use]
pub fn pages(say: &Say, pages: Pages, path: &str, anchor: &str) -> Markup {
    let words = say.words();
    if pages.count() < 2 {
        return html! {};
    }
    let sign = if path.contains('?') { '&' } else { '?' };
    let link = |page: u64, name: &str| {
        html! { a href={ (path) (sign) "page=" (page) "#" (anchor) } { (name) } }
    };
    html! {
        nav.pages aria-label=(words.pages_of) {
            @if pages.page > 1 {
                (link(1, words.first_page)) (link(pages.page - 1, words.previous_page))
            }
            span { (words.page_of.replacen("{}", &say.number(pages.page), 1).replacen("{}", &say.number(pages.count()), 1)) }
            @if pages.page < pages.count() {
                (link(pages.page + 1, words.next_page)) (link(pages.count(), words.last_page))
            }
        }
    }
}

fn actions<'a>(say: &Say, view: &'a SourcePage) -> Vec<Action<'a>> {
    let (words, name) = (say.words(), view.row.name.as_str());
    let at = |verb: &str| format!("/sources/{}/{verb}", part(name));
    let action = |verb: &str, word, means, command| Action {
        path: at(verb),
        name: word,
        means,
        command,
        role: Role::Operator,
        confirm: None,
        is_danger: false,
        fields: html! {},
    };
    let mut actions = vec![
        action(
            "backup",
            words.do_backup,
            words.means_backup,
            format!("resguardo backup {name}"),
        ),
        action(
            "drill",
            words.do_drill,
            words.means_drill,
            format!("resguardo drill {name}"),
        ),
        action(
            "verify",
            words.do_verify,
            words.means_verify,
            format!("resguardo verify {name}:latest"),
        ),
    ];
    if !view.row.copies.is_empty() {
        actions.push(action(
            "copy",
            words.do_copy,
            words.means_copy,
            format!("resguardo copy sync --source {name}"),
        ));
    }
    actions
}
