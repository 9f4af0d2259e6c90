//! Finds functions, and what is compiled for tests only, in blanked code.

use std::ops::Range;

/// A word of the code and where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tidy) struct Word<'a> {
    pub(in crate::tidy) text: &'a str,
    pub(in crate::tidy) at: usize,
}

impl Word<'_> {
    /// The position behind the word.
    pub(in crate::tidy) fn end(&self) -> usize {
        self.at + self.text.len()
    }
}

/// The identifiers, keywords and numbers of some code, in order.
pub(in crate::tidy) fn words(code: &str) -> impl Iterator<Item = Word<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + code[at..].find(is_word)?;
        let end = code[start..]
            .find(|c| !is_word(c))
            .map_or(code.len(), |length| start + length);
        at = end;
        Some(Word {
            text: &code[start..end],
            at: start,
        })
    })
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// The functions with a body: their names, and from `fn` to behind the closing brace.
pub(super) fn functions(code: &str) -> Vec<(String, Range<usize>)> {
    let all: Vec<Word<'_>> = words(code).collect();
    all.windows(2)
        .filter(|pair| pair[0].text == "fn" && code[pair[0].end()..pair[1].at].trim().is_empty())
        .filter_map(|pair| {
            let end = body_end(code, pair[1].end())?;
            Some((pair[1].text.to_owned(), pair[0].at..end))
        })
        .collect()
}

/// Where the item ends whose head goes on at `from`: behind its `{...}`. None if it has no body.
fn body_end(code: &str, from: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (offset, c) in code[from..].char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            ';' if depth == 0 => return None,
            '{' if depth == 0 => return Some(brace_end(code, from + offset)),
            _ => {}
        }
    }
    None
}

/// The position behind the brace that closes the one at `from`.
fn brace_end(code: &str, from: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, c) in code[from..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return from + offset + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

/// What of a file is compiled for tests only.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tests {
    /// The file begins with `#![cfg(test)]`.
    pub(super) whole_file: bool,
    /// Items under `#[cfg(test)]` and functions under `#[test]`.
    pub(super) ranges: Vec<Range<usize>>,
    /// Modules under `#[cfg(test)]` that lie in files of their own.
    pub(super) modules: Vec<String>,
}

pub(super) fn tests(text: &str, code: &str) -> Tests {
    let mut found = Tests::default();
    for (start, _) in code.match_indices('#') {
        let inner = code[start + 1..].starts_with('!');
        let open = start + 1 + usize::from(inner);
        if !code[open..].starts_with('[') {
            continue;
        }
        let end = bracket_end(code, open);
        if !is_test_attribute(&text[open..end]) {
            continue;
        }
        if inner {
            found.whole_file |= code[..start].matches('{').count() == 0;
            continue;
        }
        let item = skip_attributes(code, end);
        match body_end(code, item) {
            Some(end) => found.ranges.push(start..end),
            None => found.modules.extend(module_name(code, item)),
        }
    }
    found
}

/// Takes the text of an attribute with its brackets. A feature by which a crate lends its tests to
/// others counts as test.
fn is_test_attribute(attribute: &str) -> bool {
    let inside = attribute
        .trim_start_matches('[')
        .trim_end_matches(']')
        .trim();
    let only_test = |text: &str| {
        !text.contains("not(test)") && words(text).any(|word| word.text == "test")
            || text.contains("feature = \"contract\"")
    };
    inside == "test" || inside.starts_with("cfg(") && only_test(inside)
}

fn skip_attributes(code: &str, mut at: usize) -> usize {
    loop {
        at += code[at..].len() - code[at..].trim_start().len();
        if !code[at..].starts_with("#[") {
            return at;
        }
        at = bracket_end(code, at + 1);
    }
}

/// The position behind the bracket that closes the one at `from`.
fn bracket_end(code: &str, from: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, c) in code[from..].char_indices() {
        match c {
            '[' => depth += 1,
            ']' => {
                depth -= 1;
                if depth == 0 {
                    return from + offset + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

/// The name in `mod name;`, whatever its visibility.
fn module_name(code: &str, item: usize) -> Option<String> {
    let end = item + code[item..].find(';')?;
    let mut head = words(&code[item..end]).skip_while(|word| word.text != "mod");
    head.next()?;
    head.next().map(|word| word.text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::blank::blank;
    use super::*;

    fn found(text: &str) -> Tests {
        tests(text, &blank(text))
    }

    #[test]
    fn functions_reach_to_their_closing_brace() {
        let code = "fn a() { if x { y } }\nimpl fn_b { fn c(f: fn(u8)) -> [u8; 3] { d } }\nfn e();";
        let names: Vec<(String, &str)> = functions(code)
            .into_iter()
            .map(|(name, range)| (name, &code[range]))
            .collect();
        assert_eq!(
            names,
            [
                ("a".to_owned(), "fn a() { if x { y } }"),
                ("c".to_owned(), "fn c(f: fn(u8)) -> [u8; 3] { d }"),
            ]
        );
    }

    #[test]
    fn test_modules_are_found_with_attributes_between() {
        let text = "fn a() {}\n#[cfg(test)]\n#[allow(x, reason = \"]\")]\nmod tests { fn b() {} }\nfn c() {}";
        let tests = found(text);
        assert_eq!(tests.ranges.len(), 1);
        assert!(text[tests.ranges[0].clone()].ends_with("{ fn b() {} }"));
    }

    #[test]
    fn modules_in_files_of_their_own_are_named() {
        assert_eq!(found("#[cfg(test)]\nmod proof;").modules, ["proof"]);
        assert_eq!(
            found("#[cfg(any(test, feature = \"contract\"))]\npub mod contract;").modules,
            ["contract"]
        );
        assert_eq!(
            found("#[cfg(feature = \"contract\")]\npub(crate) mod c;").modules,
            ["c"]
        );
    }

    #[test]
    fn what_is_compiled_without_tests_is_no_test() {
        assert_eq!(
            found("#[cfg(not(test))]\nmod a;\n#[cfg(unix)]\nmod b;"),
            Tests::default()
        );
        assert_eq!(found("#[derive(Debug)]\nstruct Test;"), Tests::default());
    }

    #[test]
    fn an_inner_attribute_marks_the_file() {
        assert!(found("//! x\n#![cfg(test)]\n").whole_file);
        assert!(!found("//! x\n#![allow(dead_code)]\n").whole_file);
    }
}
