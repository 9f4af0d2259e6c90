//! Promises in comments: an `INVARIANT:` names, in backticks and in its own paragraph, the test that
//! guards it: a function, or a file of tests. A name that nothing bears is no guard.

use std::collections::BTreeSet;

use super::remark::Remark;
use super::source::{Source, Tree};

const MARK: &str = "INVARIANT:";

pub(super) fn check(tree: &Tree) -> Vec<Remark> {
    let mut guards: BTreeSet<String> = BTreeSet::new();
    for source in &tree.sources {
        for (name, range) in source.functions() {
            if source.in_test(range.start) {
                guards.insert(name);
            }
        }
    }
    let is_guard = |name: &str| {
        let function = name.rsplit("::").next().unwrap_or(name);
        let file = format!("/{name}");
        guards.contains(function)
            || tree
                .sources
                .iter()
                .any(|source| source.is_test && source.path.ends_with(&file))
    };
    tree.sources
        .iter()
        .flat_map(|source| {
            paragraphs(source)
                .into_iter()
                .filter(|(_, text)| !backticked(text).any(is_guard))
                .map(|(line, _)| {
                    let why = "an INVARIANT names the `test` that guards it, and this names none";
                    Remark::violation(&source.path, line, why)
                })
        })
        .collect()
}

/// The paragraphs of comments from an `INVARIANT:` on, with the lines they begin at.
fn paragraphs(source: &Source) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (index, (text, code)) in source.text.lines().zip(source.code.lines()).enumerate() {
        let comment = text
            .trim_start()
            .strip_prefix("//")
            .filter(|_| code.trim().is_empty());
        let comment = comment.map(|rest| rest.trim_start_matches(['/', '!']).trim());
        let Some(words) = comment.filter(|words| !words.is_empty()) else {
            open = false;
            continue;
        };
        if words.starts_with(MARK) {
            found.push((index + 1, words.to_owned()));
            open = true;
        } else if open && let Some((_, paragraph)) = found.last_mut() {
            paragraph.push(' ');
            paragraph.push_str(words);
        }
    }
    found
}

fn backticked(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        let tree = Tree::of(vec![
            Source::parse("crates/a/src/a.rs", text),
            Source::parse(
                "crates/a/src/b.rs",
                "fn product() {}\n#[test]\nfn it_holds() {}\n",
            ),
            Source::parse("crates/a/tests/crash.rs", "//! x\n"),
        ]);
        check(&tree).iter().map(|remark| remark.line).collect()
    }

    #[test]
    fn an_invariant_names_a_test_that_exists() {
        assert!(lines("//! INVARIANT: whole or not\n//! at all (`b::it_holds`).\n").is_empty());
        assert!(lines("// INVARIANT: whole. Guarded by `tests/crash.rs`.\n").is_empty());
        assert_eq!(
            lines("//! x\n//!\n//! INVARIANT: whole.\n//!\n//! `it_holds`\n"),
            [3]
        );
        assert_eq!(lines("/// INVARIANT: whole (`it_held`).\n"), [1]);
        assert_eq!(lines("/// INVARIANT: whole (`product`).\n"), [1]);
    }

    #[test]
    fn what_speaks_of_invariants_promises_none() {
        assert!(lines("//! Knows INVARIANT: lines.\nlet a = \"INVARIANT: x\";\n").is_empty());
    }
}
