//! Python's packages, installed into a virtual environment below the tools' folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Tools;
use crate::failure::Failure;
use crate::step;

/// A distribution of the Python Package Index.
#[derive(Clone, Copy)]
pub(super) struct Distribution {
    pub(super) name: &'static str,
    /// As pip takes it.
    pub(super) requirement: &'static str,
    pub(super) version: &'static str,
    pub(super) requires: Requires,
    /// Files of it that tests use, below `site-packages`: copied into the tools' `data`, or unpacked there
    /// if they are called `.zip`.
    pub(super) data: &'static [&'static str],
}

/// What of that which a distribution asks for is installed with it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Requires {
    /// All: it is run.
    Installed,
    /// Nothing: only its data are used.
    Nothing,
}

const COPY: &str = "import pathlib, shutil, sys
from importlib.metadata import distribution
to = pathlib.Path(sys.argv[2])
to.mkdir(parents=True, exist_ok=True)
for name in sys.argv[3:]:
    data = distribution(sys.argv[1]).locate_file(name)
    if data.suffix == '.zip':
        shutil.unpack_archive(data, to)
    else:
        shutil.copy(data, to)";

const PROOF: &str = "import sys
from importlib.metadata import version
sys.exit(version(sys.argv[1]) != sys.argv[2])";

impl Distribution {
    pub(super) fn present(&self, tools: &Tools) -> bool {
        let mut proof = Command::new(python(tools));
        proof.args(["-c", PROOF, self.name, self.version]);
        step::succeeds(&mut proof) && self.copies(tools).iter().all(|copy| copy.is_file())
    }

    pub(super) fn shown(&self, tools: &Tools) -> String {
        shown_after_venv(tools, &self.pip_command(tools))
    }

    /// Installs it, and the virtual environment first if there is none.
    ///
    /// # Errors
    /// If Python or pip fail.
    pub(super) fn install(&self, tools: &Tools) -> Result<(), Failure> {
        ensure_venv(tools)?;
        step::run(&mut self.pip_command(tools))?;
        if self.data.is_empty() {
            return Ok(());
        }
        step::run(
            Command::new(python(tools))
                .args(["-c", COPY, self.name])
                .arg(tools.folder.join("data"))
                .args(self.data),
        )
    }

    fn copies(&self, tools: &Tools) -> Vec<PathBuf> {
        let folder = tools.folder.join("data");
        self.data
            .iter()
            .filter_map(|data| Path::new(data.trim_end_matches(".zip")).file_name())
            .map(|name| folder.join(name))
            .collect()
    }

    fn pip_command(&self, tools: &Tools) -> Command {
        let mut command = pip_install(tools);
        if self.requires == Requires::Nothing {
            command.arg("--no-deps");
        }
        command.arg(self.requirement);
        command
    }
}

/// Makes the virtual environment where there is none.
///
/// # Errors
/// If Python fails.
pub(super) fn ensure_venv(tools: &Tools) -> Result<(), Failure> {
    if python(tools).is_file() {
        return Ok(());
    }
    step::run(&mut venv_command(tools))
}

/// A command as one would type it, after the one that makes the virtual environment where there is none.
pub(super) fn shown_after_venv(tools: &Tools, command: &Command) -> String {
    let shown = step::shown(command);
    if python(tools).is_file() {
        shown
    } else {
        format!("{} && {shown}", step::shown(&venv_command(tools)))
    }
}

fn venv_command(tools: &Tools) -> Command {
    let mut command = Command::new("python3");
    command.args(["-m", "venv"]).arg(venv(tools));
    command
}

/// `pip install`, without what it is to install.
pub(super) fn pip_install(tools: &Tools) -> Command {
    let mut command = Command::new(python(tools));
    command.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
    ]);
    command
}

fn venv(tools: &Tools) -> PathBuf {
    tools.folder.join("venv")
}

fn python(tools: &Tools) -> PathBuf {
    venv(tools).join("bin/python")
}
