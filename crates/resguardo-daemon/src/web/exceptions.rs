//! What is open until somebody resolves it with a note.

use maud::{Markup, html};
use resguardo_model::{Verdict, What};

use super::drill::check_name;
use super::figures::Say;
use super::frame::{self, Frame, Live, part};
use super::source::short;
use super::view::{Exception, ExceptionsPage, RefusedNote, Role};
use super::words::{Words, in_table};
use super::{plain, signs};

/// The whole page.
#[must_use]
pub fn page(frame: &Frame<'_>, view: &ExceptionsPage) -> Markup {
    let say = frame.say;
    let words = say.words();
    let main = html! {
        h1 { (words.exceptions) }
        p.dim { (words.exceptions_mean) }
        @if let Some(source) = &view.source {
            p { (words.only_of) " " b { (source) } ". " a href="/exceptions" { (words.show_all) } }
        }
        @if view.open.is_empty() {
            p.summary.ok { (signs::good(words.no_exceptions)) }
        } @else {
            h2 { (words.open) }
            (list(frame, &view.open, view.refused.as_ref()))
        }
        @if !view.resolved.is_empty() {
            h2 { (words.resolved) }
            (list(frame, &view.resolved, None))
            @if view.resolved_in_all > view.resolved.len() as u64 {
                p.dim { (words.more_resolved) " " code { "resguardo exceptions --all" } "." }
            }
        }
    };
    frame::page(frame, words.exceptions, Live::No, &main)
}

/// Exceptions, each with what was found and how to resolve it.
#[must_use]
pub fn list(frame: &Frame<'_>, exceptions: &[Exception], refused: Option<&RefusedNote>) -> Markup {
    html! {
        ul.cards-list { @for exception in exceptions { (card(frame, exception, refused)) } }
    }
}

fn card(frame: &Frame<'_>, exception: &Exception, refused: Option<&RefusedNote>) -> Markup {
    let say = frame.say;
    let words = say.words();
    let class = match (&exception.resolved, exception.good_at) {
        (Some(_), _) => "done",
        (None, Some(_)) => "over",
        (None, None) => "open",
    };
    html! {
        li.(class) id={ "e-" (exception.id) } {
            h3 {
                (kind(&exception.what, say))
                @if !exception.source.is_empty() { ": " a href={ "/sources/" (part(&exception.source)) } { (exception.source) } }
            }
            p.wrap {
                @let (text, more) = told(say, &exception.what);
                // A count is followed by a sentence of its own, a moment by what happened then.
                @let between = if matches!(exception.what, What::VerifyFindings { .. }) { ". " } else { ": " };
                (text) @if let Some(more) = more { (between) (plain::english(say, more)) }
            }
            (link(say, &exception.what))
            p.dim {
                (words.opened) " " (say.at(exception.opened_at))
                @if exception.times > 1 { ", " (words.happened.replacen("{}", &say.number(u64::from(exception.times)), 1)) }
            }
            @if let Some(resolved) = &exception.resolved {
                p { (signs::good(words.resolved_word)) " " (say.when(resolved.at)) ", " b { (plain::text(&resolved.by)) } ": " (plain::text(&resolved.note)) }
            } @else {
                @if let Some(at) = exception.good_at { p { (signs::good(words.over)) " " (say.ago(at)) ". " (words.over_means) } }
                (resolve(frame, exception, refused))
            }
        }
    }
}

fn resolve(frame: &Frame<'_>, exception: &Exception, refused: Option<&RefusedNote>) -> Markup {
    let words = frame.say.words();
    let refused = refused.filter(|refused| refused.exception == exception.id);
    let command = format!(
        "resguardo exceptions resolve {} --note \"…\"",
        short(&exception.id)
    );
    html! {
        @if frame.may(Role::Operator) {
            details id={ "r-" (exception.id) } open[refused.is_some()] {
                summary { (words.do_resolve) }
                form method="post" action={ "/exceptions/" (part(&exception.id)) "/resolve" } {
                    input type="hidden" name="csrf" value=(frame.csrf);
                    @if let Some(refused) = refused {
                        p.banner.bad role="alert" { (words.note_refused) ": " (plain::english(frame.say, &refused.why)) }
                    }
                    label { (words.note) small { (words.note_means) }
                        textarea name="note" rows="2" required maxlength="2000" autofocus[refused.is_some()] {
                            // A browser leaves the first end of a line out.
                            @if let Some(refused) = refused { "\n" (refused.note) }
                        }
                    }
                    p { button { (words.do_resolve) } }
                    p.dim { (words.same_as) " " code { (command) } }
                }
            }
        } @else {
            p.dim { (words.may_only_look) " " code { (command) } }
        }
    }
}

/// The kind of an exception, in words.
#[must_use]
pub fn kind(what: &What, say: &Say) -> &'static str {
    let words = say.words();
    match what {
        What::DrillFailed {
            verdict: Verdict::Error,
            ..
        } => words.kind_drill_error,
        What::DrillFailed { .. } => words.kind_drill_failed,
        What::DrillOverdue { .. } => words.kind_drill_overdue,
        What::RunFailed { .. } => words.kind_run_failed,
        What::RpoBreached { .. } => words.kind_rpo_breached,
        What::RtoBreached { .. } => words.kind_rto_breached,
        What::CopyBehind { .. } => words.kind_copy_behind,
        What::VerifyFindings { .. } => words.kind_verify_findings,
        What::BackupOverdue { .. } => words.kind_backup_overdue,
    }
}

/// The facts of an exception, in a sentence, and what a program said of it. What comes from outside is filled in last,
/// and is plain.
fn told<'a>(say: &Say, what: &'a What) -> (String, Option<&'a str>) {
    let words = say.words();
    let more = match what {
        What::RunFailed { message, .. } | What::VerifyFindings { message, .. } => {
            Some(message.as_str())
        }
        _ => None,
    };
    (sentence(say, words, what), more)
}

fn sentence(say: &Say, words: &Words, what: &What) -> String {
    let moment = |at: &Option<jiff::Timestamp>| match at {
        Some(at) => say.moment(*at),
        None => words.never.to_owned(),
    };
    match what {
        What::DrillFailed {
            at,
            verdict,
            checks,
            ..
        } => {
            let pattern = match verdict {
                Verdict::Error => words.told_drill_error,
                Verdict::Passed | Verdict::Failed => words.told_drill_failed,
            };
            let begin = pattern.replacen("{}", &say.moment(*at), 1);
            if checks.is_empty() {
                format!("{begin}.")
            } else {
                let names: Vec<String> = checks.iter().map(|name| check_name(say, name)).collect();
                format!("{begin}: {}", names.join(", "))
            }
        }
        What::DrillOverdue { due, proven_at } => words
            .told_drill_overdue
            .replacen("{}", &say.moment(*due), 1)
            .replacen("{}", &moment(proven_at), 1),
        What::RunFailed { verb, at, .. } => words
            .told_run_failed
            .replacen("{}", in_table(words.verbs, verb.word()), 1)
            .replacen("{}", &say.moment(*at), 1),
        What::RpoBreached {
            newest,
            target_seconds,
        } => words.told_rpo.replacen("{}", &moment(newest), 1).replacen(
            "{}",
            &say.promised(*target_seconds),
            1,
        ),
        What::RtoBreached {
            at,
            seconds,
            target_seconds,
            ..
        } => words
            .told_rto
            .replacen("{}", &say.duration(*seconds), 1)
            .replacen("{}", &say.moment(*at), 1)
            .replacen("{}", &say.promised(*target_seconds), 1),
        What::CopyBehind { copies, backups } => {
            let begin = words.told_copy.replacen("{}", &say.number(*backups), 1);
            format!("{begin} ({})", plain::text(&copies.join(", ")))
        }
        What::VerifyFindings { findings, .. } => {
            words
                .told_findings
                .replacen("{}", &say.number(*findings), 1)
        }
        What::BackupOverdue { due, newest } => words
            .told_backup_overdue
            .replacen("{}", &say.moment(*due), 1)
            .replacen("{}", &moment(newest), 1),
    }
}

/// Where to look.
fn link(say: &Say, what: &What) -> Markup {
    let words = say.words();
    let of_key = |key: &str| {
        let name = key.rsplit('/').next().unwrap_or(key);
        name.trim_end_matches(".json").to_owned()
    };
    html! {
        @match what {
            What::DrillFailed { receipt, .. } | What::RtoBreached { receipt, .. } =>
                p { a href={ "/drills/" (part(&of_key(receipt))) } { (words.see_drill) } },
            What::RunFailed { run, .. } => p { a href={ "/runs/" (run) } { (words.see_run) } },
            What::CopyBehind { .. } => p { code { "resguardo copy sync" } },
            What::VerifyFindings { .. } => p { code { "resguardo verify" } },
            What::DrillOverdue { .. } | What::RpoBreached { .. } | What::BackupOverdue { .. } => {}
        }
    }
}
