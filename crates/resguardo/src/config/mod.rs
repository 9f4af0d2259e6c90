//! The configuration: read from flags, the environment, `resguardo.toml` and defaults, in this order.
//!
//! `RESGUARDO_VAULT`, `RESGUARDO_IDENTITY` and `RESGUARDO_CONFIG` beat the file. Names that other
//! programs read as well (`AWS_*`) only fill what the file leaves open, and `DATABASE_URL`,
//! `BACKUP_DIR` and `BACKUP_RETENTION_DAYS` count where there is no file at all.

pub mod catalog;
mod check;
pub mod copies;
mod drill;
pub mod file;
#[cfg(test)]
mod fuzz;
mod http;
pub mod interpolate;
mod key_place;
pub mod late;
pub mod load;
pub mod location;
pub mod notify;
pub mod oidc;
pub mod pages;
pub mod problem;
pub mod resolve;
mod resolver;
mod retention;
pub mod schedule;
pub mod show;
mod source;
pub mod store;
mod vault;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use resguardo_engine::port::Location;
use resguardo_model::duration::Span;
use resguardo_model::retention::Policy;
use resguardo_model::{Objectives, SourceName, WriterId};
use resguardo_ops::SourceSpec;
use resguardo_ops::source::SandboxSpec;
use resguardo_vault::PRUNE_GRACE;
use secrecy::{ExposeSecret as _, SecretString};

use catalog::CatalogSettings;
use copies::CopySettings;
use interpolate::SecretRef;
pub use key_place::KeyPlace;
use location::{POSTGRES_HINT, engine_of};
use notify::{EnvironmentNotify, NotifySettings};
use oidc::OidcSettings;
use problem::{InvalidConfig, Problem};
use schedule::Plans;
use store::StoreSettings;

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

impl<T> Setting<T> {
    /// Whether the file says it.
    fn is_of_file(&self) -> bool {
        matches!(self.origin, Origin::File { .. })
    }
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
    /// Where the identity is kept.
    pub identity: Option<Setting<KeyPlace>>,
    /// The passphrase of the identity.
    pub passphrase: Option<SecretRef>,
    /// Where the write key is kept; `None`: in the keys folder.
    pub write_key: Option<Setting<KeyPlace>>,
    /// Writers that are believed besides those that the write key names.
    pub trusted_writers: Vec<WriterId>,
    /// zstd level.
    pub compression_level: i32,
    /// How long dead objects wait; `None`: the vault's own default.
    pub prune_grace: Option<Span>,
    /// How its place is reached.
    pub store: StoreSettings,
}

impl VaultSettings {
    /// How long dead objects wait.
    #[must_use]
    pub fn prune_grace(&self) -> SignedDuration {
        let said = self.prune_grace.map(Span::seconds);
        said.and_then(|seconds| i64::try_from(seconds).ok())
            .map_or(PRUNE_GRACE, SignedDuration::from_secs)
    }
}

/// What is promised in one environment.
#[derive(Clone, Debug, Default)]
pub struct EnvironmentSettings {
    /// RPO and RTO.
    pub objectives: Objectives,
    /// Its time zone.
    pub zone: Option<TimeZone>,
    /// When something is done to its sources.
    pub plans: Plans,
    /// What is kept of each of its sources; `None`: everything.
    pub retention: Option<Policy>,
    /// Who is told.
    pub notify: EnvironmentNotify,
    /// Labels of its sources that have none of their own.
    pub labels: Vec<String>,
}

/// One source as it is configured.
#[derive(Clone, Debug)]
pub struct SourceSettings {
    /// Its name.
    pub name: SourceName,
    /// What ops is given; or why it cannot be used at present (a variable is not set).
    pub spec: Result<SourceSpec, Problem>,
    /// The same without its place, for what needs none: a drill.
    pub elsewhere: SourceSpec,
    /// References that have not been read yet; until they are, `spec` lacks what they stand for.
    pub pending: Pending,
    /// Machines that have one of them take it; empty: every machine does.
    pub labels: Vec<String>,
}

/// `file:` and `cmd:` references of a source, read by whoever needs them and not before.
#[derive(Clone, Debug, Default)]
pub struct Pending {
    /// Its URL.
    pub url: Option<SecretRef>,
    /// The server of its drills.
    pub drill_server: Option<SecretRef>,
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
    /// Its copies.
    pub copies: Vec<CopySettings>,
    /// What is promised in each environment that is configured.
    pub environments: BTreeMap<String, EnvironmentSettings>,
    /// Where the pages of `serve` are; `None`: nowhere, unless the command line says it.
    pub http: Option<resguardo_daemon::http::Settings>,
    /// Who lets people in as well.
    pub oidc: Option<OidcSettings>,
    /// What several machines share; `None`: there is one.
    pub catalog: Option<CatalogSettings>,
    /// The labels of this machine.
    pub labels: Vec<String>,
    /// Every source, by name.
    pub sources: Vec<SourceSettings>,
    /// Who is told what happens.
    pub notify: NotifySettings,
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
            .filter(|source| source.pending.url.is_none())
            .filter_map(|source| source.spec.as_ref().ok())
    }

    /// Every source for a drill, which needs their place only where it is known: whatever is not set at
    /// present has no place.
    pub fn sources_anywhere(&self) -> Vec<SourceSpec> {
        let specs = self.sources.iter().map(|source| match &source.spec {
            Ok(spec) if source.pending.url.is_none() => spec.clone(),
            _ => source.elsewhere.clone(),
        });
        specs.collect()
    }

    /// Reads the references of these sources, of all if none is named. A source whose reference cannot be
    /// read is one that cannot be used at present.
    pub fn read_references(
        &mut self,
        names: &[SourceName],
        read: impl Fn(&SecretRef) -> Result<SecretString, String>,
    ) {
        let wanted = |name: &SourceName| names.is_empty() || names.contains(name);
        for source in self.sources.iter_mut().filter(|one| wanted(&one.name)) {
            source.read_references(&read);
        }
    }

    fn ready<'a>(&self, source: &'a SourceSettings) -> Result<&'a SourceSpec, InvalidConfig> {
        if source.pending.url.is_some() {
            return Err(self.invalid(Problem::of_reference(format!(
                "the url of {} was not read",
                source.name
            ))));
        }
        let spec = source.spec.as_ref();
        spec.map_err(|problem| self.invalid(problem.clone()))
    }

    fn invalid(&self, problem: Problem) -> InvalidConfig {
        InvalidConfig {
            path: self.shown_file(),
            text: self.text.clone(),
            problems: vec![problem],
        }
    }

    fn shown_file(&self) -> PathBuf {
        self.file
            .clone()
            .unwrap_or_else(|| PathBuf::from("the environment"))
    }
}

impl SourceSettings {
    fn read_references(&mut self, read: &impl Fn(&SecretRef) -> Result<SecretString, String>) {
        let Ok(spec) = &mut self.spec else {
            return;
        };
        if let Some(reference) = self.pending.drill_server.take()
            && let SandboxSpec::Database { server, .. } = &mut spec.drill.sandbox
        {
            *server = read(&reference).map(|url| Location::new(url.expose_secret()));
        }
        let Some(reference) = self.pending.url.take() else {
            return;
        };
        let name = &self.name;
        let problem = match read(&reference) {
            Ok(url) if engine_of(url.expose_secret()) == Ok(spec.engine) => {
                spec.location = Location::new(url.expose_secret());
                return;
            }
            Ok(_) => format!(
                "{} of the source {name} gives no URL of {}: {POSTGRES_HINT}",
                reference.shown(),
                spec.engine
            ),
            Err(why) => format!("the url of the source {name}: {why}"),
        };
        self.spec = Err(Problem::of_reference(problem));
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
