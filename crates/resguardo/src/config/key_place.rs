//! Where a key is kept: a file, or a command that prints it, so that a KMS or a secret store can hold it.

use std::fmt;
use std::path::{Path, PathBuf};

/// A place of a key. The key itself is never written into a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPlace {
    /// This file; an absolute path.
    File(PathBuf),
    /// Everything that this command prints.
    Command(String),
}

impl KeyPlace {
    /// Reads `cmd:COMMAND`, `file:PATH` or a path, which is seen from `folder`.
    #[must_use]
    pub fn parse(text: &str, folder: &Path) -> Self {
        match text.strip_prefix("cmd:") {
            Some(command) => Self::Command(command.trim().to_owned()),
            None => Self::File(folder.join(text.strip_prefix("file:").unwrap_or(text))),
        }
    }

    /// The file, if it is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Command(_) => None,
        }
    }
}

impl fmt::Display for KeyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Command(line) => write!(f, "cmd:{line}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_commands() {
        let place = |text| KeyPlace::parse(text, Path::new("/srv"));
        assert_eq!(place("id.txt"), KeyPlace::File("/srv/id.txt".into()));
        assert_eq!(
            place("file:/mnt/id.txt"),
            KeyPlace::File("/mnt/id.txt".into())
        );
        assert_eq!(
            place("cmd: pass show id"),
            KeyPlace::Command("pass show id".to_owned())
        );
        assert_eq!(place("cmd:pass").to_string(), "cmd:pass");
    }
}
