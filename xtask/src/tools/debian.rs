//! Debian's packages, installed into the system by `apt-get`.

use std::path::Path;
use std::process::Command;

use crate::failure::Failure;
use crate::step;

/// A package of Debian.
#[derive(Clone, Copy)]
pub(super) struct Package {
    pub(super) name: &'static str,
    /// A command that succeeds if the package, or the same from elsewhere, is there.
    pub(super) proof: &'static [&'static str],
}

impl Package {
    pub(super) fn present(&self) -> bool {
        step::succeeds(Command::new(self.proof[0]).args(&self.proof[1..]))
    }

    pub(super) fn shown(&self) -> String {
        step::shown(&install_command(false, self.name))
    }

    /// Installs it; reads the lists of packages anew where there are none or they are too old.
    ///
    /// # Errors
    /// If `apt-get` fails, or we are not root and `sudo` would ask.
    pub(super) fn install(&self) -> Result<(), Failure> {
        let sudo = !is_root();
        if sudo && !step::succeeds(Command::new("sudo").args(["-n", "true"])) {
            return Err(Failure::NotRoot {
                command: self.shown(),
            });
        }
        let updated = !has_lists();
        if updated {
            step::run(&mut apt_get(sudo, &["update"]))?;
        }
        let first = step::run(&mut install_command(sudo, self.name));
        if first.is_ok() || updated {
            return first;
        }
        step::run(&mut apt_get(sudo, &["update"]))?;
        step::run(&mut install_command(sudo, self.name))
    }
}

fn install_command(sudo: bool, package: &str) -> Command {
    apt_get(sudo, &["install", "-y", "--no-install-recommends", package])
}

fn apt_get(sudo: bool, words: &[&str]) -> Command {
    let mut command = if sudo {
        let mut command = Command::new("sudo");
        command.args(["-n", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        command
    } else {
        Command::new("apt-get")
    };
    command.args(words).env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn is_root() -> bool {
    step::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

/// Has `apt-get update` ever run here?
fn has_lists() -> bool {
    let lists = std::fs::read_dir(Path::new("/var/lib/apt/lists"));
    lists.is_ok_and(|entries| {
        entries
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
    })
}
