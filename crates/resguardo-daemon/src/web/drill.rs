//! One drill after it ended: what was promised and measured, its phases, each check with what was expected
//! and what was found.

use maud::{Markup, html};
use resguardo_model::{CheckOutcome, Measure, Verdict};
use resguardo_ops::report;

use super::figures::Say;
use super::frame::{self, Frame, Live, part};
use super::language::Language;
use super::source::short;
use super::view::{Check, DrillPage, Phase};
use super::words::in_table;
use super::{pictures, plain, runs, signs};

/// The whole page.
#[must_use]
pub fn page(frame: &Frame<'_>, view: &DrillPage) -> Markup {
    let say = frame.say;
    let words = say.words();
    let main = html! {
        p.crumbs {
            a href="/" { (words.overview) } " / "
            @if !view.source.is_empty() { a href={ "/sources/" (part(&view.source)) } { (view.source) } " / " }
            (words.drill_word)
        }
        h1 { (words.drill_of.replacen("{}", &say.moment(view.finished_at), 1)) }
        p.summary.(verdict_class(view.verdict)) { (signs::verdict(view.verdict, words)) }
        p { (meaning(view.verdict, say)) }
        @if !view.trusted { p.banner.bad { (words.untrusted_means) } }
        ul.tiles {
            (objective(say, "RTO", words.rto_means, &view.rto))
            (objective(say, "RPO", words.rpo_means, &view.rpo))
        }
        h2 { (words.phases_title) }
        (phases(say, &view.phases))
        h2 { (words.checks_title) }
        (checks(say, &view.checks))
        @if !view.notes.is_empty() {
            h2 { (words.notes) }
            ul { @for note in &view.notes { li { (plain::english(say, note)) } } }
        }
        h2 { (words.facts) }
        (facts(say, view))
        @if let Some(log) = &view.log { h2 { (words.log) } (runs::log(say, log)) }
    };
    let title = format!("{} {}", words.drill_word, view.source);
    frame::page(frame, &title, Live::No, &main)
}

fn verdict_class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "ok",
        Verdict::Failed => "bad",
        Verdict::Error => "risk",
    }
}

fn meaning(verdict: Verdict, say: &Say) -> &'static str {
    let words = say.words();
    match verdict {
        Verdict::Passed => words.means_passed,
        Verdict::Failed => words.means_failed,
        Verdict::Error => words.means_error,
    }
}

fn objective(say: &Say, name: &str, means: &str, measure: &Measure) -> Markup {
    #[expect(clippy::cast_precision_loss, reason = "a share of a target")]
    let share = match (measure.seconds, measure.target_seconds) {
        (Some(seconds), Some(target)) if target > 0 => Some(seconds / target as f64),
        _ => None,
    };
    html! {
        li.(signs::class(measure.standing)) {
            h2 { (name) }
            p { (super::overview::measure(say, measure)) }
            @if let Some(share) = share {
                (pictures::bar(share, if share > 1.0 { "bar-bad" } else { "bar" }))
                p.small { (say.words().of_target.replacen("{}", &say.percent(share), 1)) }
            }
            p.small { (means) }
        }
    }
}

/// Phases as bars, to one scale.
fn phases(say: &Say, phases: &[Phase]) -> Markup {
    let words = say.words();
    let longest = phases.iter().map(|phase| phase.seconds).fold(0.0, f64::max);
    html! {
        table.phases {
            caption { (words.phases_caption) }
            thead { tr { th scope="col" { (words.phase) } th.num scope="col" { (words.time) } th.barcell scope="col" { span.sr { (words.share) } } } }
            tbody { @for phase in phases { tr {
                th scope="row" { (in_table(words.phases, &phase.name)) }
                td.num { (say.duration(phase.seconds)) }
                td.barcell { @if longest > 0.0 { (pictures::bar(phase.seconds / longest, "bar")) } }
            } } }
        }
    }
}

/// Those that did not pass come first, as the operator looks for them.
fn checks(say: &Say, checks: &[Check]) -> Markup {
    let words = say.words();
    let mut ordered: Vec<&Check> = checks.iter().collect();
    ordered.sort_by_key(|check| match check.outcome {
        CheckOutcome::Failed => 0,
        CheckOutcome::Error => 1,
        CheckOutcome::Skipped => 2,
        CheckOutcome::Passed => 3,
    });
    let ours = |check: &str, text: &str| match say.language {
        Language::En => text.to_owned(),
        Language::Es => report::in_spanish(check, text),
    };
    html! {
        table.cards.checks {
            caption { (words.checks_caption) }
            thead { tr {
                th scope="col" { (words.check) } th scope="col" { (words.outcome) } th scope="col" { (words.expected) }
                th scope="col" { (words.actual) } th.num scope="col" { (words.time) }
            } }
            tbody { @for check in ordered {
                tr.(check_class(check.outcome)) {
                    th scope="row" { (check_name(say, &check.name)) }
                    td data-head=(words.outcome) { (signs::check(check.outcome, words)) }
                    td.wrap data-head=(words.expected) { (plain::text(&ours(&check.name, &check.expected))) }
                    td.wrap data-head=(words.actual) { (plain::text(&ours(&check.name, &check.actual))) }
                    td.num data-head=(words.time) { (say.duration(milliseconds(check.milliseconds))) }
                }
                @if !check.detail.is_empty() {
                    tr.detail { td colspan="5" { pre tabindex="0" { (plain::text(&ours(&check.name, &check.detail))) } } }
                }
            } }
        }
    }
}

/// The name of a check: those of ours in the language of the page.
#[must_use]
pub fn check_name(say: &Say, name: &str) -> String {
    plain::text(&match say.language {
        Language::En => name.to_owned(),
        Language::Es => report::check_in_spanish(name),
    })
}

fn milliseconds(count: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "shown with a digit")]
    let seconds = count as f64 / 1000.0;
    seconds
}

fn check_class(outcome: CheckOutcome) -> &'static str {
    match outcome {
        CheckOutcome::Passed | CheckOutcome::Skipped => "fine",
        CheckOutcome::Failed => "bad",
        CheckOutcome::Error => "risk",
    }
}

fn facts(say: &Say, view: &DrillPage) -> Markup {
    let words = say.words();
    html! {
        dl.facts {
            @if !view.backup.is_empty() {
                dt { (words.backup) } dd { a href={ "/backups/" (part(&view.backup)) } { (short(&view.backup)) }
                    @if let Some(at) = view.taken_at { ", " (words.data_of_small) " " (say.moment(at)) } }
            }
            dt { (words.began) } dd { (say.moment_exact(view.started_at)) }
            dt { (words.finished) } dd { (say.moment_exact(view.finished_at)) }
            @if !view.environment.is_empty() { dt { (words.environment) } dd { (view.environment) } }
            dt { (words.engine) } dd { (view.engine) }
            dt { (words.host) } dd { (plain::text(&view.host)) }
            dt { (words.operator) } dd { (plain::text(&view.operator)) }
            dt { (words.sandbox) } dd { @match &view.kept_at {
                Some(folder) => { (words.kept_at) " " code { (plain::text(folder)) } },
                None => (words.destroyed),
            } }
            @if !view.tools.is_empty() {
                dt { (words.tools) } dd { @for (number, (tool, version)) in view.tools.iter().enumerate() {
                    @if number > 0 { ", " } (plain::text(tool)) " " (plain::text(version))
                } }
            }
            dt { (words.receipt) } dd { @match &view.receipt {
                Some(key) => code { (key) },
                None => (words.no_receipt),
            } }
            @if let Some(digest) = &view.receipt_sha256 { dt { "SHA-256" } dd { code { (digest) } } }
        }
        @if view.receipt.is_some() {
            p.dim { (words.check_receipts) " " code { "resguardo receipts verify " (short(&view.run)) } "." }
        }
    }
}
