//! What a report says, before it is Markdown or HTML.

use resguardo_model::duration::Span;
use resguardo_model::{CheckOutcome, CheckResult, Verdict};

use super::words::Words;
use crate::drill::{DrillDone, length};

/// A report in words. No text is escaped yet.
pub(super) struct Page {
    pub(super) words: &'static Words,
    pub(super) title: String,
    pub(super) verdict: Verdict,
    pub(super) meaning: &'static str,
    /// Labels and values.
    pub(super) facts: Vec<(&'static str, String)>,
    pub(super) objectives: Table,
    pub(super) phases: Table,
    pub(super) checks: Table,
    /// Outcome of each row of `checks`.
    pub(super) outcomes: Vec<CheckOutcome>,
    /// Names of checks and what they said.
    pub(super) details: Vec<(String, String)>,
    pub(super) notes: Vec<String>,
    /// The command that checks the receipt.
    pub(super) verify: Option<String>,
}

pub(super) struct Table {
    pub(super) head: Vec<&'static str>,
    pub(super) rows: Vec<Vec<String>>,
}

pub(super) fn of(done: &DrillDone, words: &'static Words) -> Page {
    let whose = done
        .source
        .as_ref()
        .map_or(words.a_file, |source| source.as_str());
    Page {
        words,
        title: format!(
            "{} {whose}: {}",
            words.drill_of,
            words.verdict_of(done.verdict)
        ),
        verdict: done.verdict,
        meaning: words.meaning_of(done.verdict),
        facts: facts(done, words),
        objectives: objectives(done, words),
        phases: Table {
            head: vec![words.phase, words.time],
            rows: done
                .phases
                .iter()
                .map(|phase| {
                    let name = words.phase_name(&phase.name).to_owned();
                    vec![name, length(phase.seconds)]
                })
                .collect(),
        },
        checks: Table {
            head: vec![
                words.outcome,
                words.check,
                words.expected,
                words.actual,
                words.time,
            ],
            rows: done.checks.iter().map(|check| row(check, words)).collect(),
        },
        outcomes: done.checks.iter().map(|check| check.outcome).collect(),
        details: done
            .checks
            .iter()
            .filter(|check| !check.detail.is_empty() && check.outcome != CheckOutcome::Passed)
            .map(|check| {
                let detail = words.phrase(&check.name, &check.detail);
                (words.check_name(&check.name), detail)
            })
            .collect(),
        notes: done.notes.clone(),
        verify: done
            .receipt
            .as_ref()
            .map(|_| format!("resguardo receipts verify {}", done.run)),
    }
}

fn facts(done: &DrillDone, words: &Words) -> Vec<(&'static str, String)> {
    let tools = done
        .tools
        .iter()
        .map(|(name, version)| format!("{name} {version}"));
    let tools: Vec<_> = tools.collect();
    let at = |time: jiff::Timestamp| format!("{time:.0}");
    [
        (words.source, done.source.as_ref().map(ToString::to_string)),
        (words.environment, done.environment.clone()),
        (words.backup, done.backup.map(|backup| backup.to_string())),
        (
            words.file,
            done.file.as_ref().map(|file| file.display().to_string()),
        ),
        (words.taken_at, done.taken_at.map(at)),
        (words.began, Some(at(done.started_at))),
        (words.ended, Some(at(done.finished_at))),
        (words.host, Some(done.host.clone())),
        (words.operator, Some(done.operator.clone())),
        (words.tools, Some(tools.join(", "))),
        (
            words.sandbox,
            Some(match &done.kept_at {
                Some(folder) => format!("{} {}", words.kept_at, folder.display()),
                None => words.destroyed.to_owned(),
            }),
        ),
        (words.run, Some(done.run.to_string())),
        (
            words.receipt,
            Some(
                done.receipt
                    .clone()
                    .unwrap_or_else(|| words.no_receipt.to_owned()),
            ),
        ),
    ]
    .into_iter()
    .filter_map(|(label, value)| value.map(|value| (label, value)))
    .collect()
}

fn objectives(done: &DrillDone, words: &'static Words) -> Table {
    let row = |name: &str, measured: Option<f64>, promised: Option<Span>| {
        #[expect(
            clippy::cast_precision_loss,
            reason = "objectives are far below 2^52 seconds"
        )]
        let verdict = match (measured, promised) {
            (None, _) => words.not_measured,
            (Some(_), None) => "",
            (Some(measured), Some(promised)) if measured <= promised.seconds() as f64 => words.met,
            (Some(_), Some(_)) => words.missed,
        };
        vec![
            name.to_owned(),
            measured.map_or_else(|| "-".to_owned(), length),
            promised.map_or_else(|| words.not_set.to_owned(), |span| span.to_string()),
            verdict.to_owned(),
        ]
    };
    Table {
        head: vec![
            words.objective,
            words.measured,
            words.promised,
            words.verdict,
        ],
        rows: vec![
            row("RTO", done.rto_seconds, done.objectives.rto),
            row("RPO", done.rpo_seconds, done.objectives.rpo),
        ],
    }
}

fn row(check: &CheckResult, words: &Words) -> Vec<String> {
    #[expect(clippy::cast_precision_loss, reason = "a time for people")]
    let seconds = check.milliseconds as f64 / 1000.0;
    vec![
        words.outcome_of(check.outcome).to_owned(),
        words.check_name(&check.name),
        words.phrase(&check.name, &check.expected),
        words.phrase(&check.name, &check.actual),
        length(seconds),
    ]
}
