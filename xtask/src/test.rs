//! `cargo xtask test`: installs what the tests need, then runs all of them.
//!
//! Tests run as whoever calls: a server that refuses root, or must not be it, drops its privileges
//! itself (the testkit does that).

use crate::failure::Failure;
use crate::flags::Flags;
use crate::step;
use crate::tools::{Install, Tools, User};
use crate::workspace;

pub(crate) const USAGE: &str = "test [--no-install] [-- <nextest args>]   \
    install what tests need, run all tests (with arguments: those that they select, no doc tests)";

pub(crate) fn run(words: &[String]) -> Result<(), Failure> {
    let flags = Flags::parse("test", words, &["--no-install"], true)?;
    let install = if flags.has("--no-install") {
        Install::Nothing
    } else {
        Install::Missing
    };
    all(install, &flags.rest)
}

/// Runs the tests: those that nextest's arguments select, or all and the examples in the docs.
///
/// # Errors
/// If something is missing, or a test fails.
pub(crate) fn all(install: Install, selection: &[String]) -> Result<(), Failure> {
    let root = workspace::root();
    let tools = Tools::of(&root);
    tools.ensure(User::Tests, install)?;
    let mut tests = tools.command("cargo");
    tests.current_dir(&root);
    if tools.has_nextest() {
        tests.args(["nextest", "run", "--workspace"]);
    } else {
        tests.args([
            "test",
            "--workspace",
            "--lib",
            "--bins",
            "--tests",
            "--no-fail-fast",
        ]);
    }
    step::run(tests.args(selection))?;
    if !selection.is_empty() {
        return Ok(());
    }
    step::run(
        tools
            .command("cargo")
            .current_dir(&root)
            .args(["test", "--doc", "--workspace"]),
    )
}
