//! What tests and checks need besides Rust: finds it, and installs or names what is missing.
//!
//! Debian's packages go into the system. All else goes into `target/test-tools`, so that nothing
//! outside the checkout changes: `bin` (programs), `venv` (Python), `node` (npm), `data` (real databases),
//! `postgres` (servers of other majors than Debian's), `fake-gcs-server`. Tests
//! find the folder by `RESGUARDO_TEST_TOOLS`.

mod cargo;
mod debian;
mod needs;
mod node;
mod python;
mod wheel;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Failure;
use needs::{NEEDS, NEXTEST};

/// Where the tools of one checkout lie.
pub(crate) struct Tools {
    folder: PathBuf,
}

/// Who needs a tool.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum User {
    /// `cargo xtask test`.
    Tests,
    /// `cargo xtask check`.
    Checks,
    /// `cargo xtask bench`.
    Benchmarks,
}

/// May missing tools be installed?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Install {
    /// They are, each one named.
    Missing,
    /// They are named, and that is the end.
    Nothing,
}

/// One thing that is needed.
struct Need {
    users: &'static [User],
    /// What it is for, as the end of "needed for ...".
    purpose: &'static str,
    from: Origin,
    /// What does its work if it cannot be installed; without one, that is the end.
    stand_in: Option<&'static str>,
}

/// Where it comes from.
#[derive(Clone, Copy)]
enum Origin {
    Debian(debian::Package),
    Python(python::Distribution),
    Wheel(wheel::Wheel),
    Node(node::Package),
    Cargo(cargo::Program),
}

impl Tools {
    /// The tools of the checkout at `root`.
    pub(crate) fn of(root: &Path) -> Self {
        Self {
            folder: root.join("target/test-tools"),
        }
    }

    /// A command that finds the tools: their programs first, and their folder in
    /// `RESGUARDO_TEST_TOOLS`.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut path = vec![self.folder.join("bin")];
        if let Some(inherited) = std::env::var_os("PATH") {
            path.extend(std::env::split_paths(&inherited));
        }
        let mut command = Command::new(program);
        if let Ok(joined) = std::env::join_paths(path) {
            command.env("PATH", joined);
        }
        command.env("RESGUARDO_TEST_TOOLS", &self.folder);
        command
    }

    /// Sees to everything that `user` needs.
    ///
    /// # Errors
    /// If something is missing and may not, or cannot, be installed.
    pub(crate) fn ensure(&self, user: User, install: Install) -> Result<(), Failure> {
        let missing: Vec<&Need> = NEEDS
            .iter()
            .filter(|need| need.users.contains(&user) && !need.from.present(self))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        if install == Install::Nothing {
            return Err(Failure::Missing {
                list: self.list(&missing),
            });
        }
        for need in missing {
            eprintln!(
                "xtask: installing {} for {}",
                need.from.name(),
                need.purpose
            );
            let outcome = need.from.install(self).and_then(|()| {
                let what = need.from.name().to_owned();
                if need.from.present(self) {
                    Ok(())
                } else {
                    Err(Failure::StillMissing { what })
                }
            });
            match (outcome, need.stand_in) {
                (Err(failure), Some(stand_in)) => {
                    eprintln!(
                        "xtask: {}\nxtask: {stand_in} stands in for it",
                        failure.with_causes()
                    );
                }
                (outcome, _) => outcome?,
            }
        }
        Ok(())
    }

    /// Is there a cargo-nextest?
    pub(crate) fn has_nextest(&self) -> bool {
        NEXTEST.present(self)
    }

    fn list(&self, missing: &[&Need]) -> String {
        missing
            .iter()
            .map(|need| {
                let Need { purpose, from, .. } = need;
                format!("\n  {}, for {purpose}: {}", from.name(), from.shown(self))
            })
            .collect()
    }
}

impl Origin {
    fn name(&self) -> &'static str {
        match self {
            Self::Debian(package) => package.name,
            Self::Python(distribution) => distribution.name,
            Self::Wheel(wheel) => wheel.requirement,
            Self::Node(package) => package.name,
            Self::Cargo(program) => program.package,
        }
    }

    fn present(&self, tools: &Tools) -> bool {
        match self {
            Self::Debian(package) => package.present(),
            Self::Python(distribution) => distribution.present(tools),
            Self::Wheel(wheel) => wheel.present(tools),
            Self::Node(package) => package.present(tools),
            Self::Cargo(program) => program.present(tools),
        }
    }

    fn install(&self, tools: &Tools) -> Result<(), Failure> {
        match self {
            Self::Debian(package) => package.install(),
            Self::Python(distribution) => distribution.install(tools),
            Self::Wheel(wheel) => wheel.install(tools),
            Self::Node(package) => package.install(tools),
            Self::Cargo(program) => program.install(tools),
        }
    }

    /// The command that installs it, as one would type it.
    fn shown(&self, tools: &Tools) -> String {
        match self {
            Self::Debian(package) => package.shown(),
            Self::Python(distribution) => distribution.shown(tools),
            Self::Wheel(wheel) => wheel.shown(tools),
            Self::Node(package) => package.shown(tools),
            Self::Cargo(program) => program.shown(tools),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_its_purpose_and_its_command() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let tools = Tools::of(folder.path());
        let all: Vec<&Need> = NEEDS.iter().collect();
        let list = tools.list(&all);
        assert!(
            list.contains(
                "\n  age, for opening sealed objects without Resguardo: \
                 apt-get install -y --no-install-recommends age"
            ),
            "{list}"
        );
        assert!(
            list.contains("cargo install --locked s3s-fs@0.14.1"),
            "{list}"
        );
        assert!(list.contains("--no-input 'moto[server]==5.2.5'"), "{list}");
        assert_eq!(list.lines().count(), NEEDS.len() + 1);
    }

    #[test]
    fn nothing_is_installed_where_it_is_forbidden() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let tools = Tools::of(folder.path());
        let failure = tools
            .ensure(User::Checks, Install::Nothing)
            .expect_err("no cargo-deny here");
        assert!(failure.to_string().contains("cargo-deny"), "{failure}");
        assert!(!folder.path().join("target").exists());
    }
}
