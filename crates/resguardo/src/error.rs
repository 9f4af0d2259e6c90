//! The one error of the edge: kind, message, causes, hint; and the one printer of it.

use std::error::Error;
use std::path::Path;

use resguardo_ops::OpsError;
use resguardo_store::durable::DurableError;
use resguardo_vault::{KeyError, VaultError};
use serde_json::json;

use crate::config::load::ConfigError;
use crate::config::problem::InvalidConfig;
use crate::exit::Exit;
use crate::home::NoHome;
use crate::render::Output;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What went wrong; names the operation and its object.
    pub message: String,
    /// Why, from the nearest cause to the farthest.
    pub causes: Vec<String>,
    /// A sentence that names the next command.
    pub hint: Option<String>,
    /// A passphrase is needed and nobody gave one.
    pub locked: bool,
    /// The config with its lines, where it is to blame.
    invalid_config: Option<Box<InvalidConfig>>,
}

impl Failure {
    /// A failure without a cause of its own.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            causes: Vec::new(),
            hint: None,
            locked: false,
            invalid_config: None,
        }
    }

    /// Something that the user can put right.
    pub fn user(message: impl Into<String>) -> Self {
        Self::new(Exit::User, message)
    }

    /// A command line that makes no sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Stopped by a signal.
    pub fn interrupted() -> Self {
        Self::new(Exit::Interrupted, "interrupted")
    }

    /// With the next command.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With a cause and the causes of it.
    #[must_use]
    pub fn because(mut self, cause: &dyn Error) -> Self {
        self.causes.push(cause.to_string());
        self.causes.extend(causes_of(cause));
        self
    }

    fn of(exit: Exit, error: &dyn Error) -> Self {
        Self {
            causes: causes_of(error),
            ..Self::new(exit, error.to_string())
        }
    }

    /// A file or folder of this machine could not be used.
    pub fn io(operation: &str, path: &Path, source: &std::io::Error) -> Self {
        Self::user(format!("{operation} {}", path.display())).because(source)
    }

    /// Message, causes and hint in one line, for where it is a part of an answer.
    #[must_use]
    pub fn in_a_line(&self) -> String {
        let mut line = std::iter::once(&self.message)
            .chain(&self.causes)
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(": ");
        if let Some(hint) = &self.hint {
            line = format!("{line}; {hint}");
        }
        line
    }

    /// In lines for a log: of a config that makes no sense, each problem with its line in the file.
    #[must_use]
    pub fn in_lines(&self) -> Vec<String> {
        match &self.invalid_config {
            Some(invalid) => invalid.lines(),
            None => vec![self.in_a_line()],
        }
    }

    /// Prints it to standard error, as text or as one line of JSON.
    pub fn print(&self, out: &Output) {
        if out.json {
            out.error_line(&self.as_json().to_string());
            return;
        }
        if let Some(invalid) = &self.invalid_config {
            out.error_line(invalid.render(out.color_stderr).trim_end());
            return;
        }
        out.error_line(&format!("{} {}", out.paint_error("error:"), self.message));
        for cause in &self.causes {
            out.error_line(&format!("  because: {cause}"));
        }
        if let Some(hint) = &self.hint {
            out.error_line(&format!("hint: {hint}"));
        }
    }

    /// The shape of `docs/json.md`.
    #[must_use]
    pub fn as_json(&self) -> serde_json::Value {
        json!({
            "error": {
                "kind": self.exit.word(),
                "message": self.message,
                "causes": self.causes,
                "hint": self.hint,
                "exit_code": self.exit.code(),
            }
        })
    }
}

/// The texts of an error's causes. One that says the same as what it caused is left out.
fn causes_of(error: &dyn Error) -> Vec<String> {
    let mut texts = Vec::new();
    let mut last = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if text != last && !text.is_empty() {
            texts.push(text.clone());
            last = text;
        }
        next = cause.source();
    }
    texts
}

impl From<OpsError> for Failure {
    fn from(error: OpsError) -> Self {
        let mut failure = Self {
            hint: error.hint(),
            ..Self::of(error.kind().into(), &error)
        };
        if let Some(said) = error.said() {
            failure.causes.push(format!("it said: {said}"));
        }
        failure
    }
}

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        // Kind and hint of a vault's error are decided in one place, which is ops'.
        let wrapped = OpsError::Vault {
            operation: error.to_string(),
            source: Box::new(error),
        };
        Self::from(wrapped)
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        let hint = match &error {
            KeyError::PassphraseNeeded => Some(
                "run it on a terminal, set RESGUARDO_PASSPHRASE, or name a file with --passphrase-file FILE",
            ),
            KeyError::WrongPassphrase => {
                Some("run the same command again with the right passphrase")
            }
            KeyError::RetiredWriter(_) => Some(
                "only if it was retired by mistake and nobody else has its key: `resguardo keys trust ed25519:... --again`",
            ),
            KeyError::NotAnIdentity(_) => Some("name the identity's file with --identity FILE"),
            _ => None,
        };
        Self {
            hint: hint.map(str::to_owned),
            locked: matches!(error, KeyError::PassphraseNeeded),
            ..Self::of(Exit::User, &error)
        }
    }
}

impl From<DurableError> for Failure {
    fn from(error: DurableError) -> Self {
        Self::of(Exit::User, &error)
    }
}

impl From<NoHome> for Failure {
    fn from(error: NoHome) -> Self {
        Self::of(Exit::User, &error).hint("set RESGUARDO_HOME to a private folder, like `export RESGUARDO_HOME=/var/lib/resguardo`")
    }
}

impl From<InvalidConfig> for Failure {
    fn from(error: InvalidConfig) -> Self {
        Self {
            hint: error
                .problems
                .first()
                .and_then(|problem| problem.hint.clone()),
            causes: error
                .problems
                .iter()
                .filter(|problem| !problem.label.is_empty())
                .map(|problem| format!("{}: {}", problem.message, problem.label))
                .collect(),
            message: error.to_string(),
            exit: Exit::User,
            locked: false,
            invalid_config: Some(Box::new(error)),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::Invalid(invalid) => invalid.into(),
            ConfigError::Missing { .. } => Self::of(Exit::User, &error)
                .hint("name another with --config FILE, or make one with `resguardo init`"),
            other => Self::of(Exit::User, &other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_repeats_is_said_once() {
        let source = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let failure = Failure::io("reading", Path::new("/srv/key"), &source);
        assert_eq!(failure.message, "reading /srv/key");
        assert_eq!(failure.causes, ["permission denied"]);
        assert_eq!(failure.as_json()["error"]["exit_code"], 1);
    }
}
