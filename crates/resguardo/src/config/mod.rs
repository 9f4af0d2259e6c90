//! The configuration: read from flags, the environment, `resguardo.toml` and defaults, in this order.
//!
//! `RESGUARDO_VAULT`, `RESGUARDO_IDENTITY` and `RESGUARDO_CONFIG` beat the file. Names that other
//! programs read as well (`AWS_*`) only fill what the file leaves open, and `DATABASE_URL`,
//! `BACKUP_DIR` and `BACKUP_RETENTION_DAYS` count where there is no file at all.

mod check;
pub mod file;
pub mod interpolate;
pub mod load;
pub mod location;
pub mod problem;
pub mod resolve;
mod resolver;
pub mod show;
mod source;
mod vault;

use std::fmt;
use std::path::PathBuf;

use jiff::tz::TimeZone;
use resguardo_model::{Objectives, SourceName};
use resguardo_ops::SourceSpec;

use interpolate::SecretRef;
use problem::{InvalidConfig, Problem};

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A flag of the command line.
    Flag(&'static str),
    /// An environment variable.
    Variable(String),
    /// A line of the config file, and the variables named in it.
    File {
        /// From 1.
        line: usize,
        /// Names of `${VAR}` in the value.
        variables: Vec<String>,
    },
    /// Built in.
    Default,
}

/// A value and where it comes from.
#[derive(Clone, Debug)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Its origin.
    pub origin: Origin,
}

/// One line of `config show`.
#[derive(Clone, Debug)]
pub struct Entry {
    /// `sources.shop.url`
    pub key: String,
    /// What may be shown; secrets are `***`.
    pub value: serde_json::Value,
    /// Its origin.
    pub origin: Origin,
}

/// The vault and how to reach it.
#[derive(Clone, Debug, Default)]
pub struct VaultSettings {
    /// An absolute folder or a URL.
    pub url: Option<Setting<String>>,
    /// The identity file; an absolute path.
    pub identity: Option<Setting<PathBuf>>,
    /// zstd level.
    pub compression_level: i32,
    /// S3: endpoint.
    pub endpoint: Option<String>,
    /// S3: region.
    pub region: Option<String>,
    /// S3: bucket in the path.
    pub path_style: Option<bool>,
    /// S3: access key.
    pub access_key: Option<SecretRef>,
    /// S3: secret key.
    pub secret_key: Option<SecretRef>,
    /// S3: token of a temporary key.
    pub session_token: Option<SecretRef>,
}

/// What is promised in one environment.
#[derive(Clone, Debug, Default)]
pub struct EnvironmentSettings {
    /// RPO and RTO.
    pub objectives: Objectives,
    /// Its time zone.
    pub zone: Option<TimeZone>,
}

/// One source as it is configured.
#[derive(Clone, Debug)]
pub struct SourceSettings {
    /// Its name.
    pub name: SourceName,
    /// What ops is given; or why it cannot be used at present (a variable is not set).
    pub spec: Result<SourceSpec, Problem>,
}

/// The effective configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file, if there is one.
    pub file: Option<PathBuf>,
    /// Its text.
    pub text: std::sync::Arc<str>,
    /// What relative paths of the file are relative to.
    pub folder: PathBuf,
    /// The vault.
    pub vault: VaultSettings,
    /// Every source, by name.
    pub sources: Vec<SourceSettings>,
    /// The time zone of backup names: the only one that the environments name, else the machine's.
    pub zone: TimeZone,
    /// Every value with its origin, in the order of the file's documentation.
    pub entries: Vec<Entry>,
}

impl Config {
    /// The source of this name, ready for use; `None` if there is none.
    ///
    /// # Errors
    /// If something it needs is missing, like a variable.
    pub fn source(&self, name: &SourceName) -> Result<Option<&SourceSpec>, InvalidConfig> {
        match self.sources.iter().find(|source| source.name == *name) {
            None => Ok(None),
            Some(source) => self.ready(source).map(Some),
        }
    }

    /// Every source, ready for use.
    ///
    /// # Errors
    /// If one of them needs something that is missing.
    pub fn all_sources(&self) -> Result<Vec<&SourceSpec>, InvalidConfig> {
        self.sources
            .iter()
            .map(|source| self.ready(source))
            .collect()
    }

    /// Every source that can be used at present.
    pub fn usable_sources(&self) -> impl Iterator<Item = &SourceSpec> {
        self.sources
            .iter()
            .filter_map(|source| source.spec.as_ref().ok())
    }

    fn ready<'a>(&self, source: &'a SourceSettings) -> Result<&'a SourceSpec, InvalidConfig> {
        source.spec.as_ref().map_err(|problem| InvalidConfig {
            path: self.shown_file(),
            text: self.text.clone(),
            problems: vec![problem.clone()],
        })
    }

    fn shown_file(&self) -> PathBuf {
        self.file
            .clone()
            .unwrap_or_else(|| PathBuf::from("the environment"))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::Variable(name) => write!(f, "env {name}"),
            Self::File { line, variables } if variables.is_empty() => write!(f, "file:{line}"),
            Self::File { line, variables } => {
                write!(f, "file:{line}, env {}", variables.join(", "))
            }
            Self::Default => f.write_str("default"),
        }
    }
}
