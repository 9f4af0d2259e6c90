//! Programs from crates.io, built into the tools' `bin`.

use std::process::Command;

use super::Tools;
use crate::failure::Failure;
use crate::step;

/// A crate with a program of the same name.
#[derive(Clone, Copy)]
pub(super) struct Program {
    pub(super) package: &'static str,
    pub(super) version: &'static str,
    pub(super) features: &'static [&'static str],
    /// A command that succeeds if any version from anywhere will do; else the exact one is asked for.
    pub(super) proof: Option<&'static [&'static str]>,
}

/// Built to be ready soon rather than to be fast: minutes of two cores are what a fresh clone waits for.
const PROFILE: [(&str, &str); 5] = [
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"),
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "false"),
    ("CARGO_INCREMENTAL", "0"),
];

impl Program {
    pub(super) fn present(&self, tools: &Tools) -> bool {
        if let Some([program, words @ ..]) = self.proof
            && step::succeeds(tools.command(program).args(words))
        {
            return true;
        }
        let record = std::fs::read_to_string(tools.folder.join(".crates.toml"));
        tools.folder.join("bin").join(self.package).is_file()
            && record.is_ok_and(|text| lists(&text, self.package, self.version))
    }

    pub(super) fn shown(&self, tools: &Tools) -> String {
        step::shown(&self.command(tools))
    }

    /// Builds it; what is built for one program is kept for the next.
    ///
    /// # Errors
    /// If cargo fails.
    pub(super) fn install(&self, tools: &Tools) -> Result<(), Failure> {
        let mut command = self.command(tools);
        command
            .envs(PROFILE)
            .env("CARGO_TARGET_DIR", tools.folder.join("build"));
        step::run(&mut command)
    }

    fn command(&self, tools: &Tools) -> Command {
        let mut command = Command::new("cargo");
        command.args(["install", "--locked"]);
        command.arg(format!("{}@{}", self.package, self.version));
        if !self.features.is_empty() {
            command.arg("--features").arg(self.features.join(","));
        }
        command.arg("--root").arg(&tools.folder);
        command
    }
}

/// Does cargo's record of what it installed list this version?
fn lists(record: &str, package: &str, version: &str) -> bool {
    let start = format!("\"{package} {version} ");
    record.lines().any(|line| line.starts_with(&start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_does_not_count() {
        let record = "[v1]\n\"s3s-fs 0.14.1 (registry+x)\" = [\"s3s-fs\"]\n";
        assert!(lists(record, "s3s-fs", "0.14.1"));
        assert!(!lists(record, "s3s-fs", "0.14.10"));
        assert!(!lists(record, "s3s-fs", "0.14"));
        assert!(!lists(record, "s3s", "0.14.1"));
    }
}
