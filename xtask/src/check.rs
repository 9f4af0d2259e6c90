//! `cargo xtask check`: everything a change must pass besides the tests.
//!
//! Runs every step, also after one has failed, and names the failed ones at the end. The tests are
//! not repeated: CI has just run them by the README's command.

use std::path::Path;
use std::process::Command;

use crate::failure::Failure;
use crate::flags::Flags;
use crate::tools::{Install, Tools, User};
use crate::{generate, step, test, tidy, workspace};

pub(crate) const USAGE: &str = "check [--no-install] [--with-tests]       \
    fmt, clippy with warnings denied, cargo-deny, tidy, docs, generated files";

pub(crate) fn run(words: &[String]) -> Result<(), Failure> {
    let flags = Flags::parse("check", words, &["--no-install", "--with-tests"], false)?;
    let install = if flags.has("--no-install") {
        Install::Nothing
    } else {
        Install::Missing
    };
    let root = workspace::root();
    let tools = Tools::of(&root);
    tools.ensure(User::Checks, install)?;

    let mut failed = Vec::new();
    let mut note = |name: &'static str, outcome: Result<(), Failure>| {
        if let Err(failure) = outcome {
            eprintln!("xtask: {name}: {}", failure.with_causes());
            failed.push(name);
        }
    };
    note(
        "fmt",
        step::run(cargo(&root).args(["fmt", "--all", "--", "--check"])),
    );
    note("tidy", tidy::all(&root));
    note("deny", step::run(deny(&tools).current_dir(&root)));
    note("clippy", step::run(&mut clippy(&root)));
    note("doc", step::run(&mut doc(&root)));
    note("generate", generate::all(&root, generate::Mode::Compare));
    if flags.has("--with-tests") {
        note("test", test::all(install, &[]));
    }
    if failed.is_empty() {
        eprintln!("xtask: all checks passed");
        Ok(())
    } else {
        Err(Failure::Steps {
            steps: failed.join(", "),
        })
    }
}

fn cargo(root: &Path) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(root);
    command
}

fn clippy(root: &Path) -> Command {
    let mut command = cargo(root);
    command.args(["clippy", "--locked", "--workspace", "--all-targets"]);
    command.args(["--", "-D", "warnings"]);
    command
}

fn deny(tools: &Tools) -> Command {
    let mut command = tools.command("cargo");
    command.args(["deny", "--locked", "check", "--hide-inclusion-graph"]);
    command.args(["licenses", "bans", "sources"]);
    command
}

fn doc(root: &Path) -> Command {
    let mut command = cargo(root);
    command.args(["doc", "--locked", "--workspace", "--no-deps"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    command
}
