//! The signs of standings and outcomes: a shape of its own for each, always with its word beside it.
//!
//! The shapes are drawn once a page, in a sheet that is not shown, and named from there.

use maud::{Markup, PreEscaped, html};
use resguardo_model::{CheckOutcome, Standing, Verdict};

use super::view::RunState;
use super::words::Words;

/// The drawings, 16 by 16. Colours are the stylesheet's.
pub(super) const SHEET: PreEscaped<&str> = PreEscaped(concat!(
    r#"<svg class="sheet" aria-hidden="true" focusable="false">"#,
    r#"<symbol id="s-ok" viewBox="0 0 16 16"><circle cx="8" cy="8" r="7.5"/><path class="k" d="M4.5 8.3 7 10.8l4.6-5.3"/></symbol>"#,
    r#"<symbol id="s-risk" viewBox="0 0 16 16"><path d="M8 .8 15.8 15H.2z"/><path class="k" d="M8 5.6v4.6m0 1.6v1.2"/></symbol>"#,
    r#"<symbol id="s-never" viewBox="0 0 16 16"><circle class="o" cx="8" cy="8" r="6.7"/><path class="k2" d="M5.9 6.2c0-2.9 4.3-2.7 4.3-.2 0 1.7-2.2 1.7-2.2 3.4m0 1.4v1.2"/></symbol>"#,
    r#"<symbol id="s-bad" viewBox="0 0 16 16"><path d="M4.9.5h6.2l4.4 4.4v6.2l-4.4 4.4H4.9L.5 11.1V4.9z"/><path class="k" d="m5.2 5.2 5.6 5.6m0-5.6-5.6 5.6"/></symbol>"#,
    r#"<symbol id="s-skip" viewBox="0 0 16 16"><circle class="o" cx="8" cy="8" r="6.7"/><path class="k2" d="M4.8 8h6.4"/></symbol>"#,
    r#"<symbol id="s-run" viewBox="0 0 16 16"><circle class="o" cx="8" cy="8" r="6.7"/><path class="k2" d="M8 4v4.4l3 1.8"/></symbol>"#,
    "</svg>",
));

/// A sign by its name. Without a title or a role it is nothing to a screen reader.
pub(super) fn sign(name: &str) -> Markup {
    html! {
        (PreEscaped("<svg><use href=\"#s-"))
        (name)
        (PreEscaped("\"/></svg>"))
    }
}

/// A sign, and its word. The classes are the signs' names.
fn said(name: &str, word: &str) -> Markup {
    html! { b.s.(name) { (sign(name)) (word) } }
}

/// The standings, the worst first.
pub(super) const WORST_FIRST: [Standing; 4] = [
    Standing::Breached,
    Standing::NeverProven,
    Standing::AtRisk,
    Standing::Ok,
];

/// The class of a standing in the stylesheet, and the name of its sign.
#[must_use]
pub fn class(standing: Standing) -> &'static str {
    match standing {
        Standing::Ok => "ok",
        Standing::AtRisk => "risk",
        Standing::NeverProven => "never",
        Standing::Breached => "bad",
    }
}

/// How a source stands.
#[must_use]
pub fn standing(standing: Standing, words: &Words) -> Markup {
    said(class(standing), standing_word(standing, words))
}

/// The word of a standing.
#[must_use]
pub fn standing_word(standing: Standing, words: &Words) -> &'static str {
    match standing {
        Standing::Ok => words.ok,
        Standing::AtRisk => words.at_risk,
        Standing::NeverProven => words.never_proven,
        Standing::Breached => words.breached,
    }
}

/// The sign of something that runs.
#[must_use]
pub fn running() -> Markup {
    sign("run")
}

/// How a drill ended.
#[must_use]
pub fn verdict(verdict: Verdict, words: &Words) -> Markup {
    match verdict {
        Verdict::Passed => said("ok", words.passed),
        Verdict::Failed => said("bad", words.failed),
        Verdict::Error => said("risk", words.error),
    }
}

/// How a check ended.
#[must_use]
pub fn check(outcome: CheckOutcome, words: &Words) -> Markup {
    match outcome {
        CheckOutcome::Passed => said("ok", words.check_passed),
        CheckOutcome::Failed => said("bad", words.check_failed),
        CheckOutcome::Skipped => said("skip", words.check_skipped),
        CheckOutcome::Error => said("risk", words.error),
    }
}

/// How a run stands.
#[must_use]
pub fn run(state: RunState, words: &Words) -> Markup {
    let name = match state {
        RunState::Running => "run",
        RunState::Succeeded => "ok",
        RunState::Failed | RunState::Died => "bad",
        RunState::Interrupted => "skip",
    };
    said(name, run_word(state, words))
}

/// How a drill ended, in a list of drills.
#[must_use]
pub fn drill(verdict: Verdict, words: &Words) -> Markup {
    match verdict {
        Verdict::Passed => said("ok", words.passed),
        Verdict::Failed => said("bad", words.failed),
        Verdict::Error => said("risk", words.not_carried_out),
    }
}

/// How the last drill of a backup ended, where nothing else speaks of drills.
#[must_use]
pub fn last_drill(verdict: Verdict, words: &Words) -> Markup {
    match verdict {
        Verdict::Passed => said("ok", words.year_passed),
        Verdict::Failed => said("bad", words.year_failed),
        Verdict::Error => said("risk", words.drill_error),
    }
}

/// A restore of it passed.
#[must_use]
pub fn proven(words: &Words) -> Markup {
    said("ok", words.proven)
}

/// Whether something is there.
#[must_use]
pub fn present(here: bool, words: &Words) -> Markup {
    if here {
        said("ok", words.is_there)
    } else {
        said("bad", words.is_not_there)
    }
}

/// Something worth a look.
#[must_use]
pub fn concern(word: &str) -> Markup {
    said("risk", word)
}

/// Something that is as it should be.
#[must_use]
pub fn good(word: &str) -> Markup {
    said("ok", word)
}

/// The word of a run's state.
#[must_use]
pub fn run_word(state: RunState, words: &Words) -> &'static str {
    match state {
        RunState::Running => words.state_running,
        RunState::Succeeded => words.state_succeeded,
        RunState::Failed => words.state_failed,
        RunState::Interrupted => words.state_interrupted,
        RunState::Died => words.state_died,
    }
}

/// The class of a run's state.
#[must_use]
pub fn run_class(state: RunState) -> &'static str {
    match state {
        RunState::Running => "run",
        RunState::Succeeded => "ok",
        RunState::Failed | RunState::Died => "bad",
        RunState::Interrupted => "never",
    }
}

/// How something ended, by the word of a receipt.
#[must_use]
pub fn outcome(word: &str, words: &Words) -> Markup {
    match word {
        "passed" => said("ok", words.passed),
        "succeeded" | "done" | "allowed" => said("ok", words.state_succeeded),
        "failed" => said("bad", words.state_failed),
        "refused" => said("bad", words.refused),
        "error" => said("risk", words.error),
        "interrupted" => said("skip", words.state_interrupted),
        other => html! { (other) },
    }
}
