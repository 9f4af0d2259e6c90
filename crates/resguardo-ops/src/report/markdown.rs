//! A report as Markdown, with the tables of GitHub's dialect.

use std::fmt::Write as _;

use super::page::{Page, Table};

pub(super) fn write(page: &Page) -> String {
    let words = page.words;
    let mut out = String::new();
    line(&mut out, &format!("# {}", escaped(&page.title)));
    line(&mut out, page.meaning);
    for (label, value) in &page.facts {
        push(&mut out, &format!("- **{label}**: {}", escaped(value)));
    }
    push(&mut out, "");
    for (title, content) in [
        (words.objectives, &page.objectives),
        (words.phases, &page.phases),
        (words.checks, &page.checks),
    ] {
        line(&mut out, &format!("## {title}"));
        table(&mut out, content);
    }
    if !page.details.is_empty() {
        line(&mut out, &format!("## {}", words.details));
    }
    for (name, detail) in &page.details {
        line(&mut out, &format!("### {}", escaped(name)));
        fenced(&mut out, detail);
    }
    if !page.notes.is_empty() {
        line(&mut out, &format!("## {}", words.notes));
        for note in &page.notes {
            push(&mut out, &format!("- {}", escaped(note)));
        }
        push(&mut out, "");
    }
    if let Some(command) = &page.verify {
        push(&mut out, &format!("{} `{command}`.", words.verify_with));
    }
    out
}

fn push(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("a string takes everything");
}

/// A paragraph of its own.
fn line(out: &mut String, text: &str) {
    push(out, text);
    push(out, "");
}

fn table(out: &mut String, table: &Table) {
    let row = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    push(
        out,
        &row(table.head.iter().map(|&cell| cell.to_owned()).collect()),
    );
    push(out, &format!("|{}", "---|".repeat(table.head.len())));
    for cells in &table.rows {
        push(out, &row(cells.iter().map(|cell| escaped(cell)).collect()));
    }
    push(out, "");
}

/// A fence that is longer than any in the text.
fn fenced(out: &mut String, text: &str) {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    push(out, &fence);
    push(out, text.trim_end());
    line(out, &fence);
}

/// One line in which nothing is markup.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '#' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
