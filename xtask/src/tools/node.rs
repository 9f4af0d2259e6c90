//! Packages of the npm registry, installed below the tools' folder.

use std::path::Path;
use std::process::Command;

use super::Tools;
use crate::failure::Failure;
use crate::step;

/// Names a file of authorities that Node.js believes as well.
const AUTHORITIES: &str = "NODE_EXTRA_CA_CERTS";
/// Where Debian keeps those of the machine.
const MACHINES_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A package with a program.
#[derive(Clone, Copy)]
pub(super) struct Package {
    pub(super) name: &'static str,
    pub(super) version: &'static str,
}

impl Package {
    pub(super) fn present(&self, tools: &Tools) -> bool {
        let manifest = tools
            .folder
            .join("node/node_modules")
            .join(self.name)
            .join("package.json");
        let text = std::fs::read_to_string(manifest);
        text.is_ok_and(|text| is_of_version(&text, self.version))
    }

    pub(super) fn shown(&self, tools: &Tools) -> String {
        step::shown(&self.command(tools))
    }

    /// Installs it with what it needs. No script of a package is run.
    ///
    /// # Errors
    /// If npm fails.
    pub(super) fn install(&self, tools: &Tools) -> Result<(), Failure> {
        step::run(&mut self.command(tools))
    }

    fn command(&self, tools: &Tools) -> Command {
        let mut command = Command::new("npm");
        command.args(["install", "--no-audit", "--no-fund", "--ignore-scripts"]);
        command.arg("--loglevel=error");
        command.arg("--prefix").arg(tools.folder.join("node"));
        command.arg(format!("{}@{}", self.name, self.version));
        // Node.js believes the authorities that it was built with, and pip and cargo those of the machine.
        if std::env::var_os(AUTHORITIES).is_none() && Path::new(MACHINES_AUTHORITIES).exists() {
            command.env(AUTHORITIES, MACHINES_AUTHORITIES);
        }
        command
    }
}

/// Is this the manifest of that version?
fn is_of_version(manifest: &str, version: &str) -> bool {
    let line = format!("\"version\": \"{version}\"");
    manifest
        .lines()
        .any(|known| known.trim().trim_end_matches(',') == line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_does_not_count() {
        let manifest = "{\n  \"name\": \"azurite\",\n  \"version\": \"3.37.0\",\n}";
        assert!(is_of_version(manifest, "3.37.0"));
        assert!(!is_of_version(manifest, "3.37"));
        assert!(!is_of_version("", "3.37.0"));
    }
}
