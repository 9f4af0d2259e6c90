//! Documents that must keep a shape: decision records, and the page of exit codes.

use std::collections::{BTreeMap, BTreeSet};

use super::remark::Remark;
use super::source::{Source, words};

pub(super) const EXIT_SOURCE: &str = "crates/resguardo/src/exit.rs";
pub(super) const EXIT_PAGE: &str = "docs/exit-codes.md";

const DECISIONS: &str = "docs/decisions/";
const HEADINGS: [&str; 3] = ["Context", "Choice", "Alternatives"];

/// A decision record is called `NNNN-title.md` and has its three headings.
pub(super) fn check_decision(path: &str, text: &str) -> Vec<Remark> {
    let Some(name) = path.strip_prefix(DECISIONS) else {
        return Vec::new();
    };
    if number(name).is_none() {
        return vec![Remark::violation(
            path,
            1,
            "a decision record is called NNNN-title.md",
        )];
    }
    let has = |heading: &str| {
        text.lines()
            .any(|line| line.starts_with('#') && line.trim_start_matches('#').trim() == heading)
    };
    HEADINGS
        .iter()
        .filter(|heading| !has(heading))
        .map(|heading| Remark::violation(path, 1, format!("no heading \"{heading}\"")))
        .collect()
}

/// No two decision records have the same number.
pub(super) fn check_numbers<'a>(paths: impl Iterator<Item = &'a str>) -> Vec<Remark> {
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    let mut remarks = Vec::new();
    for path in paths {
        if let Some(number) = path.strip_prefix(DECISIONS).and_then(number)
            && let Some(other) = taken.insert(number, path)
        {
            remarks.push(Remark::violation(
                path,
                1,
                format!("{other} has this number too"),
            ));
        }
    }
    remarks
}

fn number(name: &str) -> Option<&str> {
    let (number, title) = name.strip_suffix(".md")?.split_once('-')?;
    (number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_digit()) && !title.is_empty())
        .then_some(number)
}

/// Every exit code of the source has a row of its own on the page: `| 3 | ... |`.
pub(super) fn check_exit_codes(source: &Source, page: &str) -> Vec<Remark> {
    let rows: BTreeSet<u8> = page.lines().filter_map(row_code).collect();
    codes(source)
        .into_iter()
        .filter(|(code, _)| !rows.contains(code))
        .map(|(code, line)| {
            Remark::violation(
                EXIT_SOURCE,
                line,
                format!("exit code {code} has no row in {EXIT_PAGE}"),
            )
        })
        .collect()
}

/// The number in the first cell of a table's row.
fn row_code(line: &str) -> Option<u8> {
    let cell = line.trim().strip_prefix('|')?.split('|').next()?;
    cell.trim().trim_matches('`').parse().ok()
}

/// Numbers behind `=` or `=>`, once each, with their lines.
fn codes(source: &Source) -> BTreeMap<u8, usize> {
    let mut found = BTreeMap::new();
    for word in words(&source.code).filter(|word| !source.in_test(word.at)) {
        let before = source.code[..word.at].trim_end();
        let assigned = before.ends_with('=') || before.ends_with("=>");
        if assigned && let Ok(code) = word.text.trim_end_matches("u8").parse() {
            found.entry(code).or_insert_with(|| source.line(word.at));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_has_its_three_headings() {
        let whole = "# 1. X\n\n## Context\n\n## Choice\n\n## Alternatives\n";
        assert!(check_decision("docs/decisions/0001-x.md", whole).is_empty());
        let part = "# Context\n";
        assert_eq!(check_decision("docs/decisions/0001-x.md", part).len(), 2);
        assert_eq!(check_decision("docs/decisions/x.md", whole).len(), 1);
        assert!(check_decision("docs/format.md", "").is_empty());
    }

    #[test]
    fn numbers_are_given_once() {
        let paths = [
            "docs/decisions/0001-a.md",
            "docs/decisions/0001-b.md",
            "docs/0001-c.md",
        ];
        assert_eq!(check_numbers(paths.into_iter()).len(), 1);
    }

    #[test]
    fn every_exit_code_has_its_row() {
        let source = Source::parse(
            EXIT_SOURCE,
            "//! x\nenum Code {\n    Done = 0,\n    Usage = 2,\n}\nfn a() { match b { C => 130u8 } }\n",
        );
        let page = "| code | meaning |\n|---|---|\n| 0 | done |\n| `130` | interrupted |\n";
        let remarks = check_exit_codes(&source, page);
        assert_eq!(remarks.len(), 1);
        assert_eq!(
            (remarks[0].line, &*remarks[0].why),
            (4, "exit code 2 has no row in docs/exit-codes.md")
        );
    }
}
