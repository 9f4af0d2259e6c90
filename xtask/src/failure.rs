//! Why a verb ended without having done its work.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// Why a verb ended without having done its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("no verb {verb:?}\n\n{usage}")]
    UnknownVerb { verb: String, usage: String },
    #[error("{verb}: no flag {flag:?}")]
    UnknownFlag { verb: &'static str, flag: String },
    #[error("starting {command}")]
    Start { command: String, source: io::Error },
    #[error("{command}: {status}")]
    Exit { command: String, status: ExitStatus },
    #[error("reading {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("writing {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("missing, and --no-install forbids to install it:{list}")]
    Missing { list: String },
    #[error(
        "installing Debian packages needs root or a sudo that asks nothing; as root, run:\n  {command}"
    )]
    NotRoot { command: String },
    #[error("{what} was installed and is still not found")]
    StillMissing { what: String },
    #[error("floor plan or house style violated in {count} places")]
    Untidy { count: usize },
    #[error("{path} is not what `{command}` says: run cargo xtask generate")]
    Outdated { path: &'static str, command: String },
    #[error("`{command}` printed nothing")]
    Silent { command: String },
    #[error("{command} answered {answer:?}")]
    Answer { command: String, answer: String },
    #[error("{} is not what was stored", path.display())]
    Differs { path: PathBuf },
    #[error("broken by inputs that are kept with each: {targets}")]
    Broken { targets: String },
    #[error("failed: {steps}")]
    Steps { steps: String },
}

impl Failure {
    /// The message and its causes on one line each.
    pub(crate) fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str("\n  because: ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}
