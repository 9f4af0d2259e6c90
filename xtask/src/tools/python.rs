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
    /// A file of it that tests use, below `site-packages`: copied into the tools' `data`.
    pub(super) data: Option<&'static str>,
}

const COPY: &str = "import pathlib, shutil, sys
from importlib.metadata import distribution
to = pathlib.Path(sys.argv[3])
to.parent.mkdir(parents=True, exist_ok=True)
shutil.copyfile(distribution(sys.argv[1]).locate_file(sys.argv[2]), to)";

const PROOF: &str = "import sys
from importlib.metadata import version
sys.exit(version(sys.argv[1]) != sys.argv[2])";

impl Distribution {
    pub(super) fn present(&self, tools: &Tools) -> bool {
        let mut proof = Command::new(python(tools));
        proof.args(["-c", PROOF, self.name, self.version]);
        step::succeeds(&mut proof) && self.copy(tools).is_none_or(|copy| copy.is_file())
    }

    pub(super) fn shown(&self, tools: &Tools) -> String {
        let pip = step::shown(&pip_command(tools, self.requirement));
        if python(tools).is_file() {
            pip
        } else {
            format!("{} && {pip}", step::shown(&venv_command(tools)))
        }
    }

    /// Installs it, and the virtual environment first if there is none.
    ///
    /// # Errors
    /// If Python or pip fail.
    pub(super) fn install(&self, tools: &Tools) -> Result<(), Failure> {
        if !python(tools).is_file() {
            step::run(&mut venv_command(tools))?;
        }
        step::run(&mut pip_command(tools, self.requirement))?;
        if let (Some(data), Some(copy)) = (self.data, self.copy(tools)) {
            step::run(
                Command::new(python(tools))
                    .args(["-c", COPY, self.name, data])
                    .arg(copy),
            )?;
        }
        Ok(())
    }

    fn copy(&self, tools: &Tools) -> Option<PathBuf> {
        let name = Path::new(self.data?).file_name()?;
        Some(tools.folder.join("data").join(name))
    }
}

fn venv_command(tools: &Tools) -> Command {
    let mut command = Command::new("python3");
    command.args(["-m", "venv"]).arg(venv(tools));
    command
}

fn pip_command(tools: &Tools, requirement: &str) -> Command {
    let mut command = Command::new(python(tools));
    command.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
    ]);
    command.arg(requirement);
    command
}

fn venv(tools: &Tools) -> PathBuf {
    tools.folder.join("venv")
}

fn python(tools: &Tools) -> PathBuf {
    venv(tools).join("bin/python")
}
