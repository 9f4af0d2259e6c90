//! `cargo xtask tidy`: the floor plan and the house style as executable checks.
//!
//! Knows nothing of types: it reads tokens, lines and file names. Every rule is a pure function from
//! text to remarks; what a compiler or clippy can say is left to them. The rules:
//!
//! - [`imports`]: which crate may depend on which
//! - [`places`]: what may be named, printed or asked for only in its one place
//! - [`size`]: lengths of files and functions
//! - [`style`]: module headers, names of modules, what is never written
//! - [`invariants`]: a promise names the test that guards it
//! - [`docs`]: decision records and exit codes
//! - [`text`]: white space, and traces of the machine something was written on

mod docs;
mod imports;
mod invariants;
mod places;
mod remark;
mod size;
mod source;
mod style;
mod text;

use std::fs;
use std::path::Path;

use crate::failure::Failure;
use crate::flags::Flags;
use crate::workspace;
use remark::{Remark, Weight};
use source::{Source, Tree};

pub(crate) const USAGE: &str = "tidy                                      \
    floor plan and house style, as checks";

pub(crate) fn run(words: &[String]) -> Result<(), Failure> {
    Flags::parse("tidy", words, &[], false)?;
    all(&workspace::root())
}

/// Applies every rule to every file that git keeps or would keep; prints all remarks.
///
/// # Errors
/// If a remark is a violation, or files cannot be read.
pub(crate) fn all(root: &Path) -> Result<(), Failure> {
    let remarks = remarks(&read(root)?);
    let mut violations = 0;
    for remark in &remarks {
        println!("{remark}");
        violations += usize::from(remark.weight == Weight::Violation);
    }
    println!(
        "tidy: {violations} violations, {} notes",
        remarks.len() - violations
    );
    if violations == 0 {
        Ok(())
    } else {
        Err(Failure::Untidy { count: violations })
    }
}

/// One file of text: its path below the root, and its content.
struct File {
    path: String,
    text: String,
}

/// Files that are not text have no rules.
fn read(root: &Path) -> Result<Vec<File>, Failure> {
    let mut files = Vec::new();
    for path in workspace::files(root)? {
        let full = root.join(&path);
        let bytes = fs::read(&full).map_err(|source| Failure::Read { path: full, source })?;
        if let Ok(text) = String::from_utf8(bytes) {
            files.push(File { path, text });
        }
    }
    Ok(files)
}

fn remarks(files: &[File]) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let sources = files.iter().filter(|file| file.path.ends_with(".rs"));
    let tree = Tree::of(
        sources
            .map(|file| Source::parse(&file.path, &file.text))
            .collect(),
    );
    for source in &tree.sources {
        remarks.extend(places::check(source));
        remarks.extend(size::check(source));
        remarks.extend(style::check(source));
        remarks.extend(text::check_source(source));
    }
    remarks.extend(invariants::check(&tree));
    for file in files {
        remarks.extend(imports::check(&file.path, &file.text));
        remarks.extend(docs::check_decision(&file.path, &file.text));
        remarks.extend(style::check_path(&file.path));
        remarks.extend(text::check(&file.path, &file.text));
    }
    let text_of = |path: &str| {
        files
            .iter()
            .find(|file| file.path == path)
            .map(|file| &*file.text)
    };
    let exit = tree
        .sources
        .iter()
        .find(|source| source.path == docs::EXIT_SOURCE);
    if let (Some(exit), Some(page)) = (exit, text_of(docs::EXIT_PAGE)) {
        remarks.extend(docs::check_exit_codes(exit, page));
    }
    remarks.extend(docs::check_numbers(files.iter().map(|file| &*file.path)));
    remarks.sort();
    remarks.dedup();
    remarks
}
