//! What is configured of a source, as plain values. Where they come from (a file, flags, the
//! environment) is the caller's business; defaults are given by [`SourceSpec::new`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use regex::Regex;
use resguardo_engine::port::{Allowed, CaptureRequest, Location, SILENCE_TIMEOUT};
use resguardo_model::{EngineKind, Objectives, Sha256Digest, SourceName};
use secrecy::SecretString;

pub use crate::json_path::{JsonPath, NoJsonPath};

/// One source: where it is, what is promised for it, and how a drill proves it.
#[derive(Clone, Debug)]
pub struct SourceSpec {
    /// Its name; also its folder in the vault.
    pub name: SourceName,
    /// The kind of source.
    pub engine: EngineKind,
    /// Where it is.
    pub location: Location,
    /// The environment that it belongs to: `production`, ...
    pub environment: String,
    /// The environment's objectives.
    pub objectives: Objectives,
    /// Check its integrity before every backup.
    pub check_integrity: bool,
    /// Longest wait for a lock that somebody else holds.
    pub lock_timeout: Duration,
    /// Longest silence of a connection or tool from which data should flow.
    pub silence_timeout: Duration,
    /// Streams that are read or written at once; the engine's own number if `None`.
    pub jobs: Option<usize>,
    /// How it is drilled.
    pub drill: DrillSpec,
    /// What is done around a restore into it.
    pub restore: RestoreSpec,
    /// Its own checks, in the order in which they run.
    pub checks: Vec<CheckSpec>,
    /// Working directory of commands, and what relative paths are relative to: the config's folder.
    pub folder: PathBuf,
    /// Digest of the config that this comes from; receipts of drills name it.
    pub config_sha256: Option<Sha256Digest>,
}

impl SourceSpec {
    /// A source with nothing but defaults: environment `local`, no objectives, no own checks, 30 s for
    /// locks, the current directory.
    #[must_use]
    pub fn new(name: SourceName, engine: EngineKind, location: Location) -> Self {
        Self {
            name,
            engine,
            location,
            environment: "local".to_owned(),
            objectives: Objectives::default(),
            check_integrity: false,
            lock_timeout: Duration::from_secs(30),
            silence_timeout: SILENCE_TIMEOUT,
            jobs: None,
            drill: DrillSpec::default(),
            restore: RestoreSpec::default(),
            checks: Vec::new(),
            folder: PathBuf::from("."),
            config_sha256: None,
        }
    }

    /// What is asked of the engine for a capture of this source.
    #[must_use]
    pub(crate) fn capture_request(&self) -> CaptureRequest {
        CaptureRequest {
            location: self.location.clone(),
            check_integrity: self.check_integrity,
            allowed: self.drill.allowed,
            lock_timeout: self.lock_timeout,
            silence_timeout: self.silence_timeout,
            jobs: self.jobs,
        }
    }
}

/// What a drill does between the restore and the checks.
#[derive(Clone, Debug)]
pub struct DrillSpec {
    /// SQL scripts that are run on the restored data, in this order; relative to the source's folder.
    pub provision: Vec<PathBuf>,
    /// A shell command that migrates the restored data to the application's present version.
    pub migrate: Option<String>,
    /// Where the data is restored.
    pub sandbox: SandboxSpec,
    /// Look for damage in the structure of what was restored too (PostgreSQL: `pg_amcheck`).
    pub amcheck: bool,
    /// Faults that the data itself is known to have.
    pub allowed: Allowed,
    /// Keep the sandbox of a drill that did not pass.
    pub keep_failed: bool,
    /// Longest time for each script, and for the migration.
    pub step_timeout: Duration,
    /// Longest time until an application that a check serves accepts requests.
    pub ready_timeout: Duration,
}

/// Where a drill restores to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SandboxSpec {
    /// A private folder or throwaway server of this machine.
    #[default]
    Private,
    /// A temporary database on a server that is there.
    Database {
        /// The server; or why it is not known (a variable is not set).
        server: Result<Location, String>,
        /// It may be the source's own server.
        same_server: bool,
    },
}

impl Default for DrillSpec {
    /// Nothing to provision or migrate; ten minutes a step, one minute to get ready.
    fn default() -> Self {
        Self {
            provision: Vec::new(),
            migrate: None,
            sandbox: SandboxSpec::default(),
            amcheck: false,
            allowed: Allowed::default(),
            keep_failed: false,
            step_timeout: Duration::from_secs(600),
            ready_timeout: Duration::from_secs(60),
        }
    }
}

/// What is done around a restore into a source, in the order of these fields: the commands before, then
/// the safety backup, maintenance, the restore itself, scripts, migration and checks, the end of
/// maintenance, and the commands after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreSpec {
    /// Shell commands that end what uses it: `pm2 stop api`.
    pub before: Vec<String>,
    /// Close it to everybody else while it is restored.
    pub maintenance: bool,
    /// SQL scripts that are run on the restored data; relative to the source's folder.
    pub provision: Vec<PathBuf>,
    /// A shell command that migrates the restored data to the application's present version.
    pub migrate: Option<String>,
    /// Run the source's own checks.
    pub checks: bool,
    /// Shell commands that start what uses it.
    pub after: Vec<String>,
    /// Longest time for each command and script.
    pub step_timeout: Duration,
}

impl Default for RestoreSpec {
    /// Nothing; ten minutes a step.
    fn default() -> Self {
        Self {
            before: Vec::new(),
            maintenance: false,
            provision: Vec::new(),
            migrate: None,
            checks: false,
            after: Vec::new(),
            step_timeout: Duration::from_secs(600),
        }
    }
}

/// One check of the user's own.
#[derive(Clone, Debug)]
pub struct CheckSpec {
    /// Its name, as it stands in reports and receipts.
    pub name: String,
    /// What it does.
    pub kind: CheckKind,
    /// It is ended, and is an error, after this time.
    pub timeout: Duration,
}

/// The kinds of check.
#[derive(Clone, Debug)]
pub enum CheckKind {
    /// A query that cannot write, and what it must answer.
    Sql {
        /// The query.
        sql: String,
        /// What its answer must be.
        expect: Expectation,
    },
    /// A request to an application.
    Http(HttpCheck),
    /// A shell command, run with the target's variables (`DATABASE_URL`, ...).
    Command {
        /// The command, for `sh -c`.
        command: String,
        /// The exit code that passes.
        exit_code: i32,
    },
}

/// Requests to an application, which the drill may start for them.
#[derive(Clone, Debug, Default)]
pub struct HttpCheck {
    /// A shell command that serves the application on the port `PORT` and the database `DATABASE_URL`.
    /// It is started once for all checks that name the same command.
    pub serve: Option<String>,
    /// The requests, one after the other; the first that is not answered as expected ends the check.
    /// Cookies that an answer sets are sent with those after it.
    pub steps: Vec<HttpStep>,
    /// What `${NAME}` in a request stands for, beyond `PORT` and what earlier steps captured.
    pub variables: BTreeMap<String, SecretString>,
}

/// One request and what its answer must be.
#[derive(Clone, Debug)]
pub struct HttpStep {
    /// The address; `${PORT}` in it is the port that `serve` was given. `${NAME}` in it, in headers and in
    /// the body is a variable or a captured value.
    pub url: String,
    /// `GET`, `POST`, ...
    pub method: String,
    /// Headers of the request.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Option<String>,
    /// The status that passes.
    pub status: u16,
    /// A regular expression that the answer's body must match.
    pub matches: Option<String>,
    /// Values that the answer, which must be JSON then, has to have.
    pub json: Vec<(JsonPath, serde_json::Value)>,
    /// Names that later steps know values of the answer by. They are secrets.
    pub capture: Vec<(String, JsonPath)>,
}

impl HttpCheck {
    /// A `GET` of `url` that must answer 200.
    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        Self {
            steps: vec![HttpStep::get(url)],
            ..Self::default()
        }
    }
}

impl HttpStep {
    /// A `GET` of `url` that must answer 200.
    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            method: "GET".to_owned(),
            headers: Vec::new(),
            body: None,
            status: 200,
            matches: None,
            json: Vec::new(),
            capture: Vec::new(),
        }
    }

    /// Texts of the request, in which `${NAME}` is replaced.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let values = self.headers.iter().map(|(_, value)| value.as_str());
        std::iter::once(self.url.as_str())
            .chain(values)
            .chain(self.body.as_deref())
    }
}

/// The names of all `${NAME}` in a text.
pub fn names_in(text: &str) -> impl Iterator<Item = &str> {
    text.split("${").skip(1).filter_map(|rest| {
        let name = rest.split_once('}')?.0;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        (!name.is_empty() && name.bytes().all(fits)).then_some(name)
    })
}

/// What the answer to a query must be. All that is given must hold. `equals`, `min`, `max` and
/// `matches` look at the first column of the only row; `rows` at the number of rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expectation {
    /// The value as text; NULL equals nothing. Two numbers are compared as numbers.
    pub equals: Option<String>,
    /// The least number.
    pub min: Option<f64>,
    /// The greatest number.
    pub max: Option<f64>,
    /// A regular expression that the value must match.
    pub matches: Option<String>,
    /// The exact number of rows.
    pub rows: Option<u64>,
}

impl Expectation {
    /// Whether anything is expected at all, and the expression is one.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn validate(&self) -> Result<(), String> {
        if *self == Self::default() {
            return Err(
                "a check with sql needs one of equals, min, max, matches or rows".to_owned(),
            );
        }
        if let (Some(min), Some(max)) = (self.min, self.max)
            && min > max
        {
            return Err(format!("min {min} is greater than max {max}"));
        }
        match &self.matches {
            Some(pattern) => validate_pattern(pattern),
            None => Ok(()),
        }
    }
}

/// Whether `pattern` is a regular expression.
///
/// # Errors
/// The expression's own error.
pub fn validate_pattern(pattern: &str) -> Result<(), String> {
    Regex::new(pattern)
        .map(drop)
        .map_err(|error| error.to_string())
}
