//! What ran and what runs, and one run while it runs or after it.

use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use super::drill::check_name;
use super::figures::Say;
use super::frame::{self, Frame, Live, part};
use super::source::{pages, short};
use super::view::{Run, RunPage, RunState, Running, RunsPage};
use super::words::in_table;
use super::{overview, pictures, plain, signs};

/// The list.
#[must_use]
pub fn page(frame: &Frame<'_>, view: &RunsPage) -> Markup {
    let say = frame.say;
    let words = say.words();
    let mut path = String::from("/runs");
    for (name, value) in [
        ("source", view.source.as_deref()),
        ("state", view.state.map(RunState::as_str)),
    ] {
        if let Some(value) = value {
            let sign = if path.contains('?') { '&' } else { '?' };
            path.push_str(&format!("{sign}{name}={}", part(value)));
        }
    }
    let main = html! {
        h1 { (words.runs) }
        div #running data-live {
            @if view.running.is_empty() { p.dim { (words.nothing_runs) } } @else { (overview::running(say, &view.running)) }
        }
        (filter(say, view))
        div #runs data-live { (list(say, &view.runs)) }
        (pages(say, view.pages, &path, "runs"))
    };
    frame::page(frame, words.runs, Live::Everything, &main)
}

fn filter(say: &Say, view: &RunsPage) -> Markup {
    let words = say.words();
    html! {
        form.filter method="get" action="/runs" {
            label { (words.source) br;
                select name="source" {
                    option value="" { (words.all) }
                    @for source in &view.sources {
                        option value=(source) selected[view.source.as_ref() == Some(source)] { (source) }
                    }
                }
            }
            label { (words.standing) br;
                select name="state" {
                    option value="" { (words.all) }
                    @for state in RunState::ALL {
                        option value=(state.as_str()) selected[view.state == Some(state)] { (signs::run_word(state, words)) }
                    }
                }
            }
            button.plain { (words.show) }
        }
    }
}

fn list(say: &Say, runs: &[Run]) -> Markup {
    let words = say.words();
    if runs.is_empty() {
        return html! { p.empty { (words.no_runs) } };
    }
    html! {
        table.cards {
            caption { (words.runs_caption) }
            thead { tr {
                th scope="col" { (words.began) } th scope="col" { (words.what) } th scope="col" { (words.source) }
                th scope="col" { (words.outcome) } th.num scope="col" { (words.time) } th scope="col" { (words.message) }
            } }
            tbody { @for run in runs { tr {
                th scope="row" { a href={ "/runs/" (part(&run.id)) } { (say.when(run.started_at)) } }
                td data-head=(words.what) { (in_table(words.verbs, &run.verb)) }
                td data-head=(words.source) { @if run.source.is_empty() { i { (words.all) } } @else { a href={ "/sources/" (part(&run.source)) } { (run.source) } } }
                td data-head=(words.outcome) { (signs::run(run.state, words)) }
                td.num data-head=(words.time) { (took(say, run)) }
                td.wrap data-head=(words.message) {
                    @let (text, is_english) = message(say, run);
                    (shown(say, &said(&text), is_english))
                }
            } } }
        }
    }
}

/// What a run says of its end, and whether that is English on every page. What its state says already is not said
/// twice, and a drill names its checks.
fn message(say: &Say, run: &Run) -> (String, bool) {
    let words = say.words();
    let (verdict, checks) = match run.message.split_once(": ") {
        Some((verdict, checks)) => (verdict, Some(checks)),
        None => (run.message.as_str(), None),
    };
    let begin = match (run.verb.as_str(), verdict) {
        (_, "passed" | "succeeded" | "failed") if checks.is_none() => {
            return (String::new(), false);
        }
        ("drill", "failed") => words.checks_title,
        ("drill", "error") => words.not_carried_out,
        _ => return (run.message.clone(), true),
    };
    let text = match checks {
        Some(checks) => {
            let names = checks.split(", ").map(|name| check_name(say, name));
            format!("{begin}: {}", names.collect::<Vec<_>>().join(", "))
        }
        None => begin.to_owned(),
    };
    (text, false)
}

/// A message in the language that it is in.
fn shown(say: &Say, text: &str, is_english: bool) -> Markup {
    if is_english {
        plain::english(say, text)
    } else {
        html! { (plain::text(text)) }
    }
}

/// The first line of a message, in a list.
fn said(message: &str) -> String {
    let text = plain::text(message);
    let line = text.lines().next().unwrap_or_default();
    let short: String = line.chars().take(200).collect();
    if short.len() < line.len() {
        format!("{short}…")
    } else {
        short
    }
}

fn took(say: &Say, run: &Run) -> Markup {
    html! {
        @match run.finished_at {
            Some(end) => (say.duration(end.duration_since(run.started_at).as_secs_f64())),
            None => i { (say.duration(say.now.duration_since(run.started_at).as_secs_f64())) },
        }
    }
}

/// One run.
#[must_use]
pub fn run(frame: &Frame<'_>, view: &RunPage) -> Markup {
    let say = frame.say;
    let (words, run) = (say.words(), &view.run);
    let runs_now = run.state == RunState::Running;
    let name = in_table(words.verbs, &run.verb);
    let title = if run.source.is_empty() {
        name.to_owned()
    } else {
        format!("{name}: {}", run.source)
    };
    let main = html! {
        p.crumbs { a href="/runs" { (words.runs) } " / " (short(&run.id)) }
        h1 { (title) }
        div #state data-live aria-live="polite" {
            p.summary.(signs::run_class(run.state)) { (signs::run(run.state, words)) }
            @let (text, is_english) = message(say, run);
            @if !text.is_empty() && !runs_now { pre tabindex="0" { (shown(say, &text, is_english)) } }
        }
        div #progress data-live { @if let Some(log) = view.log.as_ref().filter(|_| runs_now) { (progress(say, log)) } }
        div #log data-live {
            @if let Some(log) = &view.log { h2 { (words.log) } (self::log(say, log)) }
            @else if let Some(end) = run.finished_at { h2 { (words.log) } (elsewhere(say, run.started_at, end)) }
        }
        h2 { (words.facts) }
        div #facts data-live { (facts(say, view)) }
    };
    let live = match view.log.as_ref().filter(|_| runs_now) {
        Some(log) => Live::Run(&log.id),
        None if runs_now => Live::Everything,
        None => Live::No,
    };
    frame::page(frame, &title, live, &main)
}

/// The phases that are through, the one that runs, and how far it is.
fn progress(say: &Say, running: &Running) -> Markup {
    let words = say.words();
    let ends = running.phases.iter().skip(1).map(|(_, began)| *began);
    let ends = ends.chain(std::iter::once(say.now));
    let last = running.phases.len().saturating_sub(1);
    html! {
        h2 { (words.phases_title) }
        ol.steps {
            @for (number, ((phase, began), end)) in running.phases.iter().zip(ends).enumerate() {
                li.now[number == last] aria-current=[(number == last).then_some("step")] {
                    @if number == last { (signs::run(RunState::Running, words)) } @else { (signs::good(words.through)) }
                    " " b { (in_table(words.phases, phase)) } " "
                    span.dim { (say.duration(end.duration_since(*began).as_secs_f64())) }
                }
            }
        }
        @if let Some(share) = overview::share(running) {
            (pictures::bar(share, "bar"))
            p { (say.percent(share)) ": "
                (words.bytes_of.replacen("{}", &say.bytes(running.bytes), 1).replacen("{}", &say.bytes(running.total.unwrap_or(0)), 1)) }
        } @else if running.bytes > 0 {
            p { (say.bytes(running.bytes)) }
        }
    }
}

/// Where to look for what a run said, if it is not known here any more.
fn elsewhere(say: &Say, began: Timestamp, ended: Timestamp) -> Markup {
    let words = say.words();
    let second = SignedDuration::from_secs(1);
    let told = |at: Timestamp| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    let (since, until) = (
        told(began),
        told(ended.saturating_add(second).unwrap_or(ended)),
    );
    html! {
        p.dim { (words.lines_gone) " " (words.lines_in) }
        p { code { "journalctl -u resguardo --since '" (since) "' --until '" (until) "'" } }
    }
}

/// What a run said, the newest at the end.
#[must_use]
pub fn log(say: &Say, running: &Running) -> Markup {
    let words = say.words();
    let clock = |at: Timestamp| {
        at.to_zoned(say.zone.clone())
            .strftime("%H:%M:%S")
            .to_string()
    };
    html! {
        @if running.lines_dropped > 0 {
            p.dim { (words.lines_dropped.replacen("{}", &say.number(running.lines_dropped), 1)) }
        }
        @if running.lines.is_empty() {
            p.dim { (words.no_lines) }
        } @else {
            pre.log tabindex="0" role="log" aria-label=(words.log) {
                @for line in &running.lines { span.at { (clock(line.at)) } " " (plain::text(&line.text)) "\n" }
            }
        }
    }
}

fn facts(say: &Say, view: &RunPage) -> Markup {
    let (words, run) = (say.words(), &view.run);
    let by = view.log.as_ref().map_or("", |log| log.by.as_str());
    html! {
        dl.facts {
            dt { (words.began) } dd { (say.moment_exact(run.started_at)) }
            @if let Some(end) = run.finished_at { dt { (words.finished) } dd { (say.moment_exact(end)) } }
            dt { (words.time) } dd { (took(say, run)) }
            @if !by.is_empty() { dt { (words.asked_by) } dd { (plain::text(by)) } }
            @if !run.source.is_empty() { dt { (words.source) } dd { a href={ "/sources/" (part(&run.source)) } { (run.source) } } }
            @if !run.backup.is_empty() { dt { (words.backup) } dd { a href={ "/backups/" (part(&run.backup)) } { (short(&run.backup)) } } }
            dt { (words.host) } dd { (plain::text(&run.host)) }
            dt { (words.operator) } dd { (plain::text(&run.operator)) }
            dt { (words.receipt) } dd {
                @if run.receipt && run.verb == "drill" { a href={ "/drills/" (part(&run.id)) } { (words.drill_word) } }
                @else if run.receipt { code { "resguardo receipts show " (short(&run.id)) } }
                @else { (words.no_receipt) }
            }
            dt { "id" } dd { code { (run.id) } }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use super::*;
    use crate::web::Language;

    #[test]
    fn a_message_is_in_the_language_of_its_page() {
        let told = |language, verb: &str, text: &str| {
            let say = Say {
                language,
                zone: jiff::tz::TimeZone::UTC,
                now: "2026-11-22T15:00:00Z".parse().unwrap(),
            };
            let run = Run {
                id: String::new(),
                verb: verb.to_owned(),
                source: String::new(),
                backup: String::new(),
                state: RunState::Failed,
                started_at: say.now,
                finished_at: None,
                host: String::new(),
                operator: String::new(),
                message: text.to_owned(),
                receipt: false,
            };
            message(&say, &run)
        };
        for (verb, text, english, spanish) in [
            ("drill", "passed", "", ""),
            ("verify", "failed", "", ""),
            (
                "drill",
                "failed: a, b",
                "Checks: a, b",
                "Comprobaciones: a, b",
            ),
            (
                "drill",
                "error: sandbox",
                "could not be carried out: sandbox",
                "no se pudo hacer: entorno aislado",
            ),
            ("backup", "failed: no", "failed: no", "failed: no"),
        ] {
            assert_eq!(told(Language::En, verb, text).0, english);
            assert_eq!(told(Language::Es, verb, text).0, spanish);
        }
    }
}
