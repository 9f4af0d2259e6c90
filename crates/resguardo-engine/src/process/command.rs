//! What is to be started: a command line or a program, its folder, its variables, whoever hears it.

use std::fmt;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is to be started.
#[derive(Clone, Debug)]
pub struct Command {
    program: Program,
    folder: PathBuf,
    variables: Vec<(String, String)>,
    without: Vec<String>,
    user: Option<User>,
    pub(super) listener: Option<Listener>,
}

/// Whoever hears each line that a process prints, as it comes.
#[derive(Clone)]
pub struct Listener(Arc<dyn Fn(&str) + Send + Sync>);

impl Listener {
    /// One that is called from a thread of its own; while it works, the process may have to wait.
    pub fn new(hears: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hears))
    }

    pub(super) fn hear(&self, line: &str) {
        (self.0)(line);
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}

#[derive(Clone, Debug)]
enum Program {
    /// A command line for `sh -c`.
    Shell(String),
    /// A program with its arguments, which everybody on this machine can see.
    File(PathBuf, Vec<String>),
}

/// Whom a process runs as, if not as us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// Its number.
    pub uid: u32,
    /// The number of its group.
    pub gid: u32,
}

impl Command {
    /// A command line for `sh -c`, run in `folder`.
    pub fn shell(line: impl Into<String>, folder: impl Into<PathBuf>) -> Self {
        Self::new(Program::Shell(line.into()), folder.into())
    }

    /// A program and its arguments, run in `folder`. Everybody on this machine can see arguments: a secret
    /// goes into a variable.
    pub fn program(
        file: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = impl Into<String>>,
        folder: impl Into<PathBuf>,
    ) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Self::new(Program::File(file.into(), arguments), folder.into())
    }

    fn new(program: Program, folder: PathBuf) -> Self {
        Self {
            program,
            folder,
            variables: Vec::new(),
            without: Vec::new(),
            user: None,
            listener: None,
        }
    }

    /// With these variables in addition to ours.
    #[must_use]
    pub fn with_variables(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.variables.extend(variables);
        self
    }

    /// Without these variables of ours; what [`Command::with_variables`] names is set all the same.
    #[must_use]
    pub fn without_variables(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.without.extend(names.into_iter().map(Into::into));
        self
    }

    /// With somebody who hears what it prints, line by line.
    #[must_use]
    pub fn heard_by(mut self, listener: Listener) -> Self {
        self.listener = Some(listener);
        self
    }

    /// Run as another user; only root can. Supplementary groups are dropped.
    #[must_use]
    pub fn run_as(mut self, user: Option<User>) -> Self {
        self.user = user;
        self
    }

    /// The program that it begins with. Errors name no more than this: they go into receipts, and what
    /// follows may hold a secret.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.program {
            Program::Shell(line) => {
                let words = line.split_whitespace();
                let program = words
                    .filter(|word| !word.contains('='))
                    .find(|word| *word != "exec");
                program.unwrap_or("a command").to_owned()
            }
            Program::File(file, _) => file
                .file_name()
                .unwrap_or(file.as_os_str())
                .to_string_lossy()
                .into_owned(),
        }
    }

    /// The working directory.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that starts processes"
    )]
    pub(super) fn prepared(&self) -> std::process::Command {
        let mut prepared = match &self.program {
            Program::Shell(line) => {
                let mut shell = std::process::Command::new("/bin/sh");
                shell.arg("-c").arg(line);
                shell
            }
            Program::File(file, arguments) => {
                let mut program = std::process::Command::new(file);
                program.args(arguments);
                program
            }
        };
        // Whoever checks restored data needs no key to the vault.
        for name in ["RESGUARDO_PASSPHRASE", "RESGUARDO_IDENTITY"] {
            prepared.env_remove(name);
        }
        for name in &self.without {
            prepared.env_remove(name);
        }
        prepared
            .current_dir(&self.folder)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .process_group(0);
        if let Some(user) = self.user {
            prepared.uid(user.uid).gid(user.gid);
        }
        prepared
    }
}
