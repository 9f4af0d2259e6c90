//! Text of any kind: white space, and traces of the machine on which it was written.

use super::remark::Remark;
use super::source::Source;

/// Endings of files that people write; fixtures and lock files are what their writers made of them.
const WRITTEN: [&str; 9] = [
    ".rs", ".md", ".toml", ".py", ".sh", ".sql", ".yml", ".yaml", ".json",
];

/// Beginnings of paths, and parts of host names, that exist on one machine only. Parted here, so that
/// this file does not name them.
const TRACES: [&str; 4] = [
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/opt/", "wheels"),
    concat!("arti", "factory"),
];

/// Checks any file. White space at the end of a line is a matter of [`check_source`] for Rust.
pub(super) fn check(path: &str, text: &str) -> Vec<Remark> {
    let is_written = WRITTEN.iter().any(|ending| path.ends_with(ending)) || path == ".ci/run";
    let mut remarks = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if let Some(trace) = TRACES.iter().find(|trace| names(line, trace)) {
            let why = format!("{trace} is a place on one machine");
            remarks.push(Remark::violation(path, index + 1, why));
        }
        if is_written && !path.ends_with(".rs") && line.ends_with([' ', '\t']) {
            remarks.push(Remark::violation(
                path,
                index + 1,
                "white space at the end of the line",
            ));
        }
    }
    if is_written && !text.is_empty() && !text.ends_with('\n') {
        remarks.push(Remark::violation(
            path,
            text.lines().count(),
            "no line break at the end",
        ));
    }
    remarks
}

/// Is this trace in the line, as the beginning of a path if it is one?
fn names(line: &str, trace: &str) -> bool {
    line.match_indices(trace).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !trace.starts_with('/')
            || before.is_none_or(|c| !(c.is_alphanumeric() || "._-/~}*".contains(c)))
    })
}

/// Checks the white space of a Rust file; what stands in its literals is free.
pub(super) fn check_source(source: &Source) -> Vec<Remark> {
    let mut remarks = Vec::new();
    for (index, (line, code)) in source.text.lines().zip(source.code.lines()).enumerate() {
        let in_literal = code.ends_with('"');
        if line.ends_with([' ', '\t']) && !in_literal {
            let why = "white space at the end of the line";
            remarks.push(Remark::violation(&source.path, index + 1, why));
        }
        if line.contains('\t') {
            remarks.push(Remark::violation(
                &source.path,
                index + 1,
                "a tab: write \\t or spaces",
            ));
        }
    }
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(path, text).iter().map(|remark| remark.line).collect()
    }

    #[test]
    fn traces_of_a_machine_are_found_anywhere() {
        let home = TRACES[1];
        assert_eq!(lines("Makefile", &format!("a\ncd {home}x\n")), [2]);
        assert_eq!(lines("a.md", &format!("`{home}x`\n")), [1]);
        assert!(
            lines(
                "a.md",
                &format!("https://example.org{home}x and ..{home}\n")
            )
            .is_empty()
        );
        assert_eq!(
            lines(
                "a.lock",
                &format!("https://crates.io:443/{}/x\n", TRACES[3])
            ),
            [1]
        );
    }

    #[test]
    fn lines_end_where_their_text_ends() {
        assert_eq!(lines("a.md", "a \nb\nc\t\n"), [1, 3]);
        assert_eq!(lines("a.md", "a"), [1]);
        assert!(lines("a.snap", "a \nb").is_empty());
    }

    #[test]
    fn literals_may_end_in_white_space() {
        let source = Source::parse("a.rs", "let a = \"x  \ny\";  \n// z \n\tb\n");
        let lines: Vec<usize> = check_source(&source)
            .iter()
            .map(|remark| remark.line)
            .collect();
        assert_eq!(lines, [2, 3, 4]);
    }
}
