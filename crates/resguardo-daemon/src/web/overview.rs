//! The page that says in five seconds which database would not come back.

use maud::{Markup, html};
use resguardo_model::{Concern, Measure, Standing};

use super::figures::Say;
use super::frame::{self, Frame, Live};
use super::view::{Overview, Row, Running};
use super::words::in_table;
use super::{plain, signs};

/// The whole page.
#[must_use]
pub fn page(frame: &Frame<'_>, view: &Overview) -> Markup {
    frame::page(
        frame,
        frame.say.words().overview,
        Live::Everything,
        &main(frame.say, view),
    )
}

/// What is inside: the same for everybody who reads this language, so that it can be kept until anything
/// changes.
#[must_use]
pub fn main(say: &Say, view: &Overview) -> Markup {
    let words = say.words();
    html! {
        h1.sr { (words.overview) }
        div.head {
            div #summary data-live aria-live="polite" {
                p.summary.(signs::class(worst(view))) { (summary(say, view)) }
            }
            div #counts data-live { (counts(say, view)) }
        }
        div #running data-live { (running(say, &view.running)) }
        div #findings data-live {
            @if !view.findings.is_empty() {
                div.banner.bad role="alert" {
                    p { b { (words.of_findings) } }
                    ul { @for finding in view.findings.iter().take(8) { li { (plain::english(say, finding)) } } }
                    p { code { "resguardo verify --all --depth heads" } }
                }
            }
        }
        div #sources data-live { (sources(say, view)) }
    }
}

fn worst(view: &Overview) -> Standing {
    let all = view.sources.iter().map(|row| row.standing);
    all.max().unwrap_or(Standing::NeverProven)
}

/// The line at the top.
#[must_use]
pub fn summary(say: &Say, view: &Overview) -> String {
    let all = view.sources.len() as u64;
    let (breached, never) = (
        view.count(Standing::Breached),
        view.count(Standing::NeverProven),
    );
    (say.words().summary)(all, breached, never)
}

fn counts(say: &Say, view: &Overview) -> Markup {
    let words = say.words();
    html! {
        @if !view.sources.is_empty() {
            ul.counts {
                @for standing in signs::WORST_FIRST {
                    @let count = view.count(standing);
                    li.zero[count == 0] {
                        (signs::standing(standing, words)) " " span.n { (say.number(count)) }
                    }
                }
                @if view.exceptions > 0 {
                    li { a href="/exceptions" { (open_exceptions(say, view.exceptions)) } }
                }
            }
        }
    }
}

fn open_exceptions(say: &Say, count: u64) -> String {
    let words = say.words();
    if count == 1 {
        words.open_exceptions_one.to_owned()
    } else {
        words.open_exceptions_many.replace("{}", &say.number(count))
    }
}

/// What runs at this moment, in a line each.
pub(super) fn running(say: &Say, running: &[Running]) -> Markup {
    let words = say.words();
    html! {
        @if !running.is_empty() {
            section.running aria-label=(words.running_now) {
                h2 { (words.running_now) }
                ul {
                    @for run in running {
                        li {
                            (signs::running())
                            " " a href={ "/runs/" (frame::part(&run.id)) } {
                                (in_table(words.verbs, &run.verb))
                                @if !run.source.is_empty() { ": " (run.source) }
                            }
                            @if let Some((phase, _)) = run.phases.last() {
                                ", " (in_table(words.phases, phase))
                            }
                            @if let Some(share) = share(run) { ", " (say.percent(share)) }
                            ", " span.dim { (words.begun) " " (say.ago(run.began_at.min(say.now))) }
                        }
                    }
                }
            }
        }
    }
}

/// How much of the phase is done.
pub(super) fn share(run: &Running) -> Option<f64> {
    let total = run.total.filter(|total| *total > 0)?;
    #[expect(clippy::cast_precision_loss, reason = "shown in whole per cents")]
    let share = run.bytes as f64 / total as f64;
    Some(share.min(1.0))
}

fn sources(say: &Say, view: &Overview) -> Markup {
    let words = say.words();
    if view.sources.is_empty() {
        return html! {
            section.empty {
                p { (words.no_sources_hint) " " code { "resguardo init" } "." }
            }
        };
    }
    html! {
        table.cards.overview {
            caption { (words.sources_caption) }
            thead { tr {
                @for head in [
                    words.source, words.standing, words.rpo_head, words.rto_head, words.proven_head,
                    words.copies_head, words.next_drill_head, words.exceptions_head,
                ] { th scope="col" { (head) } }
            } }
            tbody { @for row in &view.sources { (line(say, row)) } }
        }
    }
}

/// A source in the table. Two hundred of them have to fit into a light page: what the stylesheet can say
/// (the heads of the cells on a phone) is not said here.
fn line(say: &Say, row: &Row) -> Markup {
    let words = say.words();
    html! {
        tr.(signs::class(row.standing)) {
            th scope="row" {
                a href={ "/sources/" (frame::part(&row.name)) } { (row.name) }
                small { (row.engine) ", " (row.environment) }
            }
            td {
                b { (signs::sign(signs::class(row.standing))) (signs::standing_word(row.standing, words)) }
                @if !row.concerns.is_empty() { small { (causes(say, row)) } }
            }
            td class=[alarming(&row.rpo)] { (measure(say, &row.rpo)) }
            td class=[alarming(&row.rto)] { (measure(say, &row.rto)) }
            td { @match row.proven_at {
                Some(at) => (say.ago(at)),
                None => i { (words.never) },
            } }
            td { (copies(say, row)) }
            td { (next_drill(say, row)) }
            td { @if row.exceptions > 0 { em { (say.number(row.exceptions)) } } @else { "0" } }
        }
    }
}

/// The class of a cell that is not as it should be.
fn alarming(measure: &Measure) -> Option<&'static str> {
    let standing = measure.standing;
    (standing != Standing::Ok).then(|| signs::class(standing))
}

/// What was measured and what was promised.
#[must_use]
pub fn measure(say: &Say, measure: &Measure) -> Markup {
    let words = say.words();
    html! {
        @match measure.seconds {
            Some(seconds) => (say.duration(seconds)),
            None => i { (words.not_measured) },
        }
        i {
            " / "
            @match measure.target_seconds {
                Some(seconds) => (say.promised(seconds)),
                None => (words.no_target),
            }
        }
    }
}

fn copies(say: &Say, row: &Row) -> Markup {
    let words = say.words();
    let whole = row.copies.iter().filter(|copy| copy.behind == 0).count();
    html! {
        @if row.copies.is_empty() {
            i { (words.no_copies) }
        } @else if whole == row.copies.len() {
            (whole) " / " (row.copies.len())
        } @else {
            em { (whole) " / " (row.copies.len()) }
        }
    }
}

fn next_drill(say: &Say, row: &Row) -> Markup {
    let words = say.words();
    html! {
        @if row.concerns.contains(&Concern::DrillOverdue) { em { (words.overdue) } " " }
        @match row.next_drill {
            Some(at) => (say.ago(at)),
            None => i { (words.not_scheduled) },
        }
    }
}

/// The causes, in a sentence; the first two are enough here.
fn causes(say: &Say, row: &Row) -> String {
    let concerns = row.concerns.iter().take(2);
    let said: Vec<String> = concerns.map(|concern| cause(say, row, *concern)).collect();
    said.join("; ")
}

/// Why a source does not stand better, in words.
#[must_use]
pub fn cause(say: &Say, row: &Row, concern: Concern) -> String {
    let words = say.words();
    let drilled = |text: &str| match row.last_drill {
        Some(at) => format!("{text} {}", say.relative(at)),
        None => text.to_owned(),
    };
    match concern {
        Concern::NoBackup => words.why_no_backup.to_owned(),
        Concern::RpoPassed => words.why_too_old.to_owned(),
        Concern::RpoNear => words.why_nearly_too_old.to_owned(),
        Concern::BackupOverdue => words.why_backup_overdue.to_owned(),
        Concern::BackupLate => words.why_backup_late.to_owned(),
        Concern::BackupFailed => words.why_backup_failed.to_owned(),
        Concern::RtoPassed => words.why_too_slow.to_owned(),
        Concern::RtoNear => words.why_nearly_too_slow.to_owned(),
        Concern::RtoForecast => match &row.forecast {
            Some(forecast) => {
                let month = say.month_of(say.day_of(forecast.crosses_at));
                words.why_will_be_too_slow.replace("{}", &month)
            }
            None => words.why_nearly_too_slow.to_owned(),
        },
        Concern::NeverProven => words.why_never_proven.to_owned(),
        Concern::DrillFailed => drilled(words.why_drill_failed),
        Concern::DrillError => drilled(words.why_drill_error),
        Concern::DrillOverdue => words.why_drill_overdue.to_owned(),
        Concern::DrillLate => words.why_drill_late.to_owned(),
        Concern::CopyBehind => copies_behind(say, row),
        Concern::Findings => words.why_findings.to_owned(),
    }
}

/// Which copy lacks how much: the one that lacks most.
fn copies_behind(say: &Say, row: &Row) -> String {
    let words = say.words();
    let Some(copy) = row.copies.iter().max_by_key(|copy| copy.behind) else {
        return words.why_copy_behind_some.to_owned();
    };
    let text = if copy.behind == 1 {
        words.why_copy_behind_one
    } else {
        words.why_copy_behind_many
    };
    // The name may hold anything: it is filled in last.
    match text.split_once("{}") {
        Some((before, after)) => {
            let after = after.replace("{}", &say.number(copy.behind));
            format!("{before}{}{after}", copy.name)
        }
        None => text.to_owned(),
    }
}
