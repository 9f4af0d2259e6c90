//! The released binary and the worker, and a place where the binary is set up as a user would.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::scratch;
use crate::failure::Failure;
use crate::{step, workspace};

/// What is measured.
pub(super) struct Product {
    binary: PathBuf,
    worker: PathBuf,
    commit: String,
}

/// Beside the binaries: the commit that they were built from.
const COMMIT: &str = "bench-commit";

impl Product {
    /// Builds both as they are released.
    pub(super) fn build(root: &Path) -> Result<Self, Failure> {
        let build = |words: &[&str]| {
            let mut cargo = Command::new("cargo");
            cargo
                .current_dir(root)
                .args(["build", "--release", "--locked"])
                .args(words);
            step::run(&mut cargo)
        };
        build(&["--package", "resguardo"])?;
        build(&["--package", "xtask", "--example", "bench_worker"])?;
        let mut git = Command::new("git");
        git.current_dir(root)
            .args(["describe", "--always", "--dirty", "--exclude=*"]);
        let commit = step::output(&mut git)?;
        scratch::write(
            &workspace::target(root).join("release").join(COMMIT),
            commit.trim(),
        )?;
        Self::built(root)
    }

    /// What an earlier run built.
    pub(super) fn built(root: &Path) -> Result<Self, Failure> {
        let release = workspace::target(root).join("release");
        let path = release.join(COMMIT);
        let commit =
            std::fs::read_to_string(&path).map_err(|source| Failure::Read { path, source })?;
        Ok(Self {
            binary: release.join("resguardo"),
            worker: release.join("examples/bench_worker"),
            commit,
        })
    }

    /// The commit that they were built from.
    pub(super) fn commit(&self) -> &str {
        &self.commit
    }

    /// The worker with these words.
    pub(super) fn worker(&self, words: &[&Path]) -> Command {
        let mut command = Command::new(&self.worker);
        command.args(words);
        command
    }

    /// A user's place in `folder`: config, home and vault.
    pub(super) fn place(&self, folder: &Path) -> Place {
        Place {
            binary: self.binary.clone(),
            folder: folder.to_owned(),
        }
    }
}

/// Where the binary is used.
pub(super) struct Place {
    binary: PathBuf,
    folder: PathBuf,
}

impl Place {
    pub(super) fn vault(&self) -> PathBuf {
        self.folder.join("vault")
    }

    pub(super) fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    /// `resguardo` with these words, quiet, with a home of its own.
    pub(super) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.current_dir(&self.folder).args(words);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if ["RESGUARDO_", "BACKUP_", "AWS_"]
                .iter()
                .any(|start| name.starts_with(start))
            {
                command.env_remove(&*name);
            }
        }
        command.env_remove("DATABASE_URL");
        command.env("RESGUARDO_HOME", self.home());
        command
    }

    /// `resguardo init` for one SQLite database.
    pub(super) fn init(&self, database: &Path) -> Command {
        self.init_for(&database.display().to_string())
    }

    /// `resguardo init` for the source at this URL or path, which it calls `shop`.
    pub(super) fn init_for(&self, url: &str) -> Command {
        let source = format!("shop={url}");
        self.command(&[
            "init", "--vault", "./vault", "--source", &source, "--yes", "--quiet",
        ])
    }

    /// What `init` makes beside the vault.
    pub(super) fn leftovers(&self) -> Vec<PathBuf> {
        let mut made = ["resguardo.toml", "recovery-kit.md"]
            .map(|name| self.folder.join(name))
            .to_vec();
        made.push(self.home());
        made
    }

    /// The folder of the keys that `init` made.
    pub(super) fn keys(&self) -> Result<PathBuf, Failure> {
        let keys = self.home().join("keys");
        let failed = |source| Failure::Read {
            path: keys.clone(),
            source,
        };
        let mut entries = std::fs::read_dir(&keys).map_err(failed)?;
        match entries.next() {
            Some(entry) => Ok(entry.map_err(failed)?.path()),
            None => Err(failed(std::io::ErrorKind::NotFound.into())),
        }
    }
}
