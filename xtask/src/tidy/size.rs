//! Lengths: a file that passes 400 lines is usually two things, and a function that passes 70.
//! Those are notes; 600 and 100 are the end.

use super::remark::Remark;
use super::source::Source;

const FILE_LINES: Limit = Limit {
    note: 400,
    end: 600,
};
const FUNCTION_LINES: Limit = Limit { note: 70, end: 100 };
/// `main.rs` parses, calls, and maps the error.
const MAIN_LINES: usize = 40;

/// Lengths in lines: above `note` it is said, above `end` it is refused.
struct Limit {
    note: usize,
    end: usize,
}

impl Limit {
    fn remark(&self, path: &str, line: usize, what: &str, length: usize) -> Option<Remark> {
        let Self { note, end } = self;
        if length > *end {
            let why = format!("{what} has {length} lines, {end} are the end: part it");
            Some(Remark::violation(path, line, why))
        } else if length > *note {
            let why = format!("{what} has {length} lines; beyond {note} it is usually two things");
            Some(Remark::note(path, line, why))
        } else {
            None
        }
    }
}

pub(super) fn check(source: &Source) -> Vec<Remark> {
    let path = &source.path;
    let length = source.line_count();
    let mut remarks: Vec<Remark> = FILE_LINES
        .remark(path, 1, "the file", length)
        .into_iter()
        .collect();
    if path.ends_with("src/main.rs") && length > MAIN_LINES {
        let why = format!("main.rs has {length} lines, {MAIN_LINES} are the end");
        remarks.push(Remark::violation(path, 1, why));
    }
    for (name, range) in source.functions() {
        let first = source.line(range.start);
        let length = source.line(range.end) - first + 1;
        remarks.extend(FUNCTION_LINES.remark(path, first, &format!("fn {name}"), length));
    }
    remarks
}

#[cfg(test)]
mod tests {
    use super::super::remark::Weight;
    use super::*;

    fn function(lines: usize) -> String {
        format!("fn long() {{\n{}}}\n", "    x();\n".repeat(lines - 2))
    }

    fn weights(path: &str, text: &str) -> Vec<Weight> {
        check(&Source::parse(path, text))
            .iter()
            .map(|remark| remark.weight)
            .collect()
    }

    #[test]
    fn long_functions_are_noted_and_longer_ones_refused() {
        assert_eq!(weights("a.rs", &function(70)), []);
        assert_eq!(weights("a.rs", &function(71)), [Weight::Note]);
        assert_eq!(weights("a.rs", &function(100)), [Weight::Note]);
        assert_eq!(weights("a.rs", &function(101)), [Weight::Violation]);
    }

    #[test]
    fn long_files_are_noted_and_longer_ones_refused() {
        assert_eq!(weights("a.rs", &"x\n".repeat(400)), []);
        assert_eq!(weights("a.rs", &"x\n".repeat(401)), [Weight::Note]);
        assert_eq!(weights("a.rs", &"x\n".repeat(601)), [Weight::Violation]);
    }

    #[test]
    fn main_is_short() {
        assert_eq!(
            weights("crates/resguardo/src/main.rs", &"x\n".repeat(41)),
            [Weight::Violation]
        );
        assert_eq!(
            weights("crates/resguardo/src/cli.rs", &"x\n".repeat(41)),
            []
        );
    }
}
