//! A report as one page of HTML that reads well on a screen and on paper.

use std::fmt::Write as _;

use resguardo_model::{CheckOutcome, Verdict};

use super::page::{Page, Table};

const STYLE: &str = "
:root { color-scheme: light dark; --line: #8884; --good: #15803d; --bad: #b91c1c; --unsure: #b45309; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .3rem; border-left: .4rem solid; padding-left: .7rem; }
h1.passed { border-color: var(--good); } h1.failed { border-color: var(--bad); } h1.error { border-color: var(--unsure); }
h2 { font-size: 1.15rem; margin-top: 2rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.2rem; }
dt { font-weight: 600; } dd { margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
td.passed { color: var(--good); } td.failed { color: var(--bad); font-weight: 600; } td.error { color: var(--unsure); font-weight: 600; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid var(--line); padding: .7rem; font-size: .85rem; }
@media print { body { margin: 0; max-width: none; font-size: 11pt; } tr, pre, dl { break-inside: avoid; } }
";

pub(super) fn write(page: &Page) -> String {
    let words = page.words;
    let title = escaped(&page.title);
    let mut out = String::new();
    push(&mut out, "<!doctype html>");
    push(&mut out, &format!("<html lang=\"{}\">", words.tag));
    push(&mut out, "<head><meta charset=\"utf-8\">");
    let viewport = "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">";
    push(
        &mut out,
        &format!("{viewport}<title>{title}</title><style>{STYLE}</style></head>"),
    );
    push(&mut out, "<body><main>");
    push(
        &mut out,
        &format!("<h1 class=\"{}\">{title}</h1>", verdict_class(page.verdict)),
    );
    push(&mut out, &format!("<p>{}</p>", escaped(page.meaning)));
    push(&mut out, "<dl>");
    for (label, value) in &page.facts {
        push(
            &mut out,
            &format!("<dt>{}</dt><dd>{}</dd>", escaped(label), escaped(value)),
        );
    }
    push(&mut out, "</dl>");
    table(&mut out, words.objectives, &page.objectives, &[]);
    table(&mut out, words.phases, &page.phases, &[]);
    table(&mut out, words.checks, &page.checks, &page.outcomes);
    if !page.details.is_empty() {
        push(&mut out, &format!("<h2>{}</h2>", escaped(words.details)));
    }
    for (name, detail) in &page.details {
        push(
            &mut out,
            &format!("<h3>{}</h3><pre>{}</pre>", escaped(name), escaped(detail)),
        );
    }
    if !page.notes.is_empty() {
        push(&mut out, &format!("<h2>{}</h2><ul>", escaped(words.notes)));
        for note in &page.notes {
            push(&mut out, &format!("<li>{}</li>", escaped(note)));
        }
        push(&mut out, "</ul>");
    }
    if let Some(command) = &page.verify {
        let (words, command) = (escaped(words.verify_with), escaped(command));
        push(&mut out, &format!("<p>{words} <code>{command}</code>.</p>"));
    }
    push(&mut out, "</main></body>\n</html>");
    out
}

fn push(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("a string takes everything");
}

fn table(out: &mut String, title: &str, table: &Table, outcomes: &[CheckOutcome]) {
    push(out, &format!("<h2>{}</h2>", escaped(title)));
    push(out, "<table><thead><tr>");
    for cell in &table.head {
        push(out, &format!("<th scope=\"col\">{}</th>", escaped(cell)));
    }
    push(out, "</tr></thead><tbody>");
    for (number, cells) in table.rows.iter().enumerate() {
        let class = outcomes
            .get(number)
            .map_or("", |outcome| outcome_class(*outcome));
        push(out, "<tr>");
        for (column, cell) in cells.iter().enumerate() {
            // Only the outcome itself is coloured.
            let class = if column == 0 { class } else { "" };
            push(
                out,
                &format!("<td class=\"{class}\">{}</td>", escaped(cell)),
            );
        }
        push(out, "</tr>");
    }
    push(out, "</tbody></table>");
}

fn verdict_class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Failed => "failed",
        Verdict::Error => "error",
    }
}

fn outcome_class(outcome: CheckOutcome) -> &'static str {
    match outcome {
        CheckOutcome::Passed => "passed",
        CheckOutcome::Failed => "failed",
        CheckOutcome::Error => "error",
        CheckOutcome::Skipped => "skipped",
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
