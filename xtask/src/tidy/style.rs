//! House style of Rust files: what a file opens with, what it is called, what is never written.

use super::remark::Remark;
use super::source::{Source, words};

/// Names that say nothing of what is inside.
const EMPTY_NAMES: [&str; 8] = [
    "util", "utils", "helper", "helpers", "common", "manager", "managers", "misc",
];

pub(super) fn check(source: &Source) -> Vec<Remark> {
    let path = &source.path;
    let mut remarks = Vec::new();
    if !source.text.starts_with("//!") {
        remarks.push(Remark::violation(
            path,
            1,
            "a file opens with //!: what it owns, what it must never do",
        ));
    }
    let mut after_mod = false;
    for word in words(&source.code) {
        let after = &source.code[word.end()..];
        let why = match word.text {
            "todo" | "unimplemented" if after.starts_with("!(") => {
                Some(format!("{}! is left in", word.text))
            }
            "unsafe" => Some("unsafe is refused".to_owned()),
            "ignore" if is_attribute(&source.code[..word.at], after) => {
                Some("a test is switched off: mend it or take it out".to_owned())
            }
            name if after_mod && EMPTY_NAMES.contains(&name) => Some(empty_name(name)),
            _ => None,
        };
        after_mod = word.text == "mod";
        remarks.extend(why.map(|why| Remark::violation(path, source.line(word.at), why)));
    }
    remarks
}

fn is_attribute(before: &str, after: &str) -> bool {
    let before = before.trim_end();
    (before.ends_with("#[") || before.ends_with(',') && before.contains("cfg_attr("))
        && after.trim_start().starts_with([']', '=', ')'])
}

/// Checks what Rust files and their folders are called.
pub(super) fn check_path(path: &str) -> Vec<Remark> {
    if !path.ends_with(".rs") {
        return Vec::new();
    }
    path.trim_end_matches(".rs")
        .split('/')
        .find(|part| EMPTY_NAMES.contains(part))
        .map(|name| Remark::violation(path, 1, empty_name(name)))
        .into_iter()
        .collect()
}

fn empty_name(name: &str) -> String {
    format!("a module called {name} says nothing: name the noun it owns")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        check(&Source::parse("a.rs", text))
            .iter()
            .map(|remark| remark.line)
            .collect()
    }

    #[test]
    fn a_file_opens_with_its_header() {
        assert!(lines("//! The clock.\n").is_empty());
        assert_eq!(lines("use a;\n//! x\n"), [1]);
    }

    #[test]
    fn nothing_is_left_half_done() {
        let text = "//! x\nfn a() { todo!() }\n// todo!()\nfn b() { unimplemented!(\"x\") }\n";
        assert_eq!(lines(text), [2, 4]);
        assert_eq!(
            lines("//! x\n#[test]\n#[ignore]\nfn a() {}\n#[ignore = \"slow\"]\n"),
            [3, 5]
        );
        assert_eq!(lines("//! x\n#[cfg_attr(unix, ignore)]\n"), [2]);
        assert!(lines("//! x\nlet ignore = [ignore];\n").is_empty());
    }

    #[test]
    fn unsafe_code_is_refused() {
        assert_eq!(lines("//! x\nfn a() { unsafe { b() } }\n"), [2]);
        assert!(lines("//! x\n#![forbid(unsafe_code)]\n").is_empty());
    }

    #[test]
    fn modules_have_names_that_say_something() {
        assert_eq!(
            lines("//! x\nmod utils;\npub mod helpers {}\nmod pack;\n"),
            [2, 3]
        );
        assert_eq!(check_path("crates/a/tests/common/mod.rs").len(), 1);
        assert_eq!(check_path("crates/a/src/manager.rs").len(), 1);
        assert!(check_path("crates/a/src/uncommon.rs").is_empty());
        assert!(check_path("docs/common.md").is_empty());
    }
}
