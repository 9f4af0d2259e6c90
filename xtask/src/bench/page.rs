//! `docs/benchmarks.md`: prose written by hand, and between two marks for each part its figures.

use std::fs;
use std::path::Path;

use super::plan::Part;
use super::scratch;
use crate::failure::Failure;

const PAGE: &str = "docs/benchmarks.md";

/// Puts the figures of one part in their place.
///
/// # Errors
/// If the page cannot be read or written, or has no such place.
pub(super) fn write(root: &Path, part: Part, block: &str) -> Result<(), Failure> {
    let path = root.join(PAGE);
    let text = fs::read_to_string(&path).map_err(|source| Failure::Read {
        path: path.clone(),
        source,
    })?;
    let text = replaced(&text, part.word(), block).ok_or(Failure::Answer {
        command: PAGE.to_owned(),
        answer: format!("no marks of {}", part.word()),
    })?;
    scratch::write(&path, &text)
}

fn replaced(text: &str, word: &str, block: &str) -> Option<String> {
    let (begin, end) = (
        format!("<!-- begin {word} -->"),
        format!("<!-- end {word} -->"),
    );
    let from = text.find(&begin)? + begin.len();
    let to = from + text[from..].find(&end)?;
    Some(format!(
        "{}\n{}\n{}",
        &text[..from],
        block.trim_end(),
        &text[to..]
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_changes() {
        let text = "a\n<!-- begin pg -->\nold\n<!-- end pg -->\nb\n";
        let new = replaced(text, "pg", "new\n").expect("marks");
        assert_eq!(new, "a\n<!-- begin pg -->\nnew\n<!-- end pg -->\nb\n");
        assert_eq!(replaced(&new, "pg", "new").as_deref(), Some(&*new));
        assert_eq!(replaced(text, "list", "new"), None);
    }
}
