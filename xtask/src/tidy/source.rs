//! A Rust file as the rules see it: its code without comments and literals, and which of it is test.
//!
//! INVARIANT: `code` has the length and the line breaks of `text`, so that a position in one is a
//! position in the other. Guarded by `blanking_keeps_every_position`.

mod blank;
mod items;

use std::ops::Range;

pub(super) use items::words;

/// A Rust file.
pub(super) struct Source {
    /// Below the root, with `/`.
    pub(super) path: String,
    pub(super) text: String,
    /// The text with every byte of comments replaced by a space and every byte of literals by `"`.
    pub(super) code: String,
    /// Is all of it compiled for tests only?
    pub(super) is_test: bool,
    /// Where the parts begin and end that are compiled for tests only.
    tests: Vec<Range<usize>>,
    /// Modules in files of their own that are compiled for tests only.
    test_modules: Vec<String>,
    /// Where the lines begin.
    lines: Vec<usize>,
}

impl Source {
    pub(super) fn parse(path: &str, text: &str) -> Self {
        let code = blank::blank(text);
        let found = items::tests(text, &code);
        Self {
            path: path.to_owned(),
            is_test: found.whole_file || is_test_path(path),
            tests: found.ranges,
            test_modules: found.modules,
            lines: std::iter::once(0)
                .chain(code.match_indices('\n').map(|(position, _)| position + 1))
                .collect(),
            text: text.to_owned(),
            code,
        }
    }

    /// The line, counted from 1, on which this position lies.
    pub(super) fn line(&self, position: usize) -> usize {
        self.lines.partition_point(|start| *start <= position)
    }

    /// Number of lines.
    pub(super) fn line_count(&self) -> usize {
        self.text.lines().count()
    }

    /// Is the code at this position compiled for tests only?
    pub(super) fn in_test(&self, position: usize) -> bool {
        self.is_test || self.tests.iter().any(|range| range.contains(&position))
    }

    /// The crate that the file belongs to: the folder below `crates`, or `xtask`.
    pub(super) fn crate_name(&self) -> &str {
        let mut parts = self.path.split('/');
        match parts.next() {
            Some("crates") => parts.next().unwrap_or_default(),
            first => first.unwrap_or_default(),
        }
    }

    /// The functions: their names and where they lie.
    pub(super) fn functions(&self) -> Vec<(String, Range<usize>)> {
        items::functions(&self.code)
    }
}

/// Files that no product is built from.
fn is_test_path(path: &str) -> bool {
    path.split('/')
        .any(|part| ["tests", "benches", "examples", "fuzz"].contains(&part))
        || path.ends_with("/tests.rs")
        || path.starts_with("crates/resguardo-testkit/")
}

/// All Rust files, with modules marked as test that another file declares so.
pub(super) struct Tree {
    pub(super) sources: Vec<Source>,
}

impl Tree {
    pub(super) fn of(mut sources: Vec<Source>) -> Self {
        let folders: Vec<String> = sources
            .iter()
            .flat_map(|source| {
                let folder = children(&source.path);
                source
                    .test_modules
                    .iter()
                    .map(move |name| format!("{folder}/{name}"))
            })
            .collect();
        for source in &mut sources {
            let stem = source.path.trim_end_matches(".rs");
            source.is_test |= folders.iter().any(|folder| {
                stem == folder
                    || stem
                        .strip_prefix(folder)
                        .is_some_and(|rest| rest.starts_with('/'))
            });
        }
        Self { sources }
    }
}

/// The folder in which the modules lie that this file declares.
fn children(path: &str) -> String {
    let stem = path.trim_end_matches(".rs");
    match stem.rsplit_once('/') {
        Some((folder, "mod" | "lib" | "main")) => folder.to_owned(),
        _ => stem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_count_from_one() {
        let source = Source::parse("a.rs", "a\nbc\n");
        assert_eq!(
            [0, 1, 2, 3].map(|position| source.line(position)),
            [1, 1, 2, 2]
        );
        assert_eq!(source.line_count(), 2);
    }

    #[test]
    fn modules_declared_for_tests_are_tests_in_their_files() {
        let tree = Tree::of(vec![
            Source::parse(
                "crates/a/src/lib.rs",
                "#[cfg(test)]\nmod proof;\nmod work;\n",
            ),
            Source::parse("crates/a/src/proof.rs", "fn x() {}"),
            Source::parse("crates/a/src/proof/more.rs", "fn x() {}"),
            Source::parse("crates/a/src/proofs.rs", "fn x() {}"),
            Source::parse("crates/a/src/work.rs", "#[cfg(test)]\nmod cases;\n"),
            Source::parse("crates/a/src/work/cases.rs", "fn x() {}"),
            Source::parse("crates/a/tests/all.rs", "fn x() {}"),
        ]);
        let tests: Vec<bool> = tree.sources.iter().map(|source| source.is_test).collect();
        assert_eq!(tests, [false, true, true, false, false, true, true]);
    }

    #[test]
    fn a_file_knows_its_crate() {
        assert_eq!(
            Source::parse("crates/resguardo-ops/src/x.rs", "").crate_name(),
            "resguardo-ops"
        );
        assert_eq!(Source::parse("xtask/src/x.rs", "").crate_name(), "xtask");
    }
}
