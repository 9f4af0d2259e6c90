//! `cargo xtask generate`: files in git that a program writes, written anew or compared.
//!
//! Man pages and completions are not among them: the binary makes them on the spot.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::failure::Failure;
use crate::flags::Flags;
use crate::{step, workspace};

pub(crate) const USAGE: &str = "generate [--check]                        \
    write what git keeps of generated files, or compare it";

/// A file and the words behind `resguardo` that print it.
const FILES: [(&str, &[&str]); 1] = [("docs/config.schema.json", &["config", "schema"])];

/// What to do with the files.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Write them.
    Write,
    /// Only say whether they are what they should be.
    Compare,
}

pub(crate) fn run(words: &[String]) -> Result<(), Failure> {
    let flags = Flags::parse("generate", words, &["--check"], false)?;
    let mode = if flags.has("--check") {
        Mode::Compare
    } else {
        Mode::Write
    };
    all(&workspace::root(), mode)
}

/// Writes or compares every generated file.
///
/// # Errors
/// If the binary does not build or refuses, or a file is not what it should be.
pub(crate) fn all(root: &Path, mode: Mode) -> Result<(), Failure> {
    for (path, words) in FILES {
        let mut binary = Command::new("cargo");
        binary
            .current_dir(root)
            .args(["run", "--quiet", "--package", "resguardo", "--"]);
        let wanted = step::output(binary.args(words))?;
        let command = format!("resguardo {}", words.join(" "));
        if wanted.trim().is_empty() {
            return Err(Failure::Silent { command });
        }
        let file = root.join(path);
        match mode {
            Mode::Write => fs::write(&file, wanted).map_err(|source| Failure::Write {
                path: file.clone(),
                source,
            })?,
            // A file that is not there is as outdated as one with other content.
            Mode::Compare if fs::read_to_string(&file).ok().as_ref() != Some(&wanted) => {
                return Err(Failure::Outdated { path, command });
            }
            Mode::Compare => {}
        }
    }
    Ok(())
}
