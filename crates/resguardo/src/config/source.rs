//! `[sources.X]`, from what is written to what ops is given.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use resguardo_engine::port::{Location, SILENCE_TIMEOUT};
use resguardo_model::duration::Span;
use resguardo_model::{EngineKind, Sha256Digest, SourceName};
use resguardo_ops::SourceSpec;
use serde_json::Value;
use toml::Spanned;

use super::file::{Leaf, Length, SourceFile};
use super::interpolate::SecretRef;
use super::location::{POSTGRES_HINT, engine_of, is_url, locate, names_database};
use super::problem::{Problem, nearest};
use super::resolver::Resolver;
use super::{EnvironmentSettings, Pending, SourceSettings};

/// The engines of this version, and those of later ones.
const NOW: [&str; 2] = ["postgres", "sqlite"];
const LATER: [&str; 3] = ["redis", "mysql", "bucket"];
/// Most streams at once.
const JOBS_MAX: u32 = 64;
/// The environment of a source that names none. It need not be configured.
const LOCAL: &str = "local";

type Environments<'a> = BTreeMap<&'a str, EnvironmentSettings>;

impl Resolver<'_> {
    pub(super) fn sources(
        &mut self,
        files: &BTreeMap<Spanned<String>, SourceFile>,
        environments: &Environments<'_>,
        config_sha256: Sha256Digest,
    ) -> Vec<SourceSettings> {
        let mut sources = Vec::new();
        for (key, file) in files {
            match key.get_ref().parse::<SourceName>() {
                Ok(name) => {
                    if let Some(source) = self.source(name, key, file, environments, config_sha256)
                    {
                        sources.push(source);
                    }
                }
                Err(error) => self
                    .problems
                    .push(Problem::at(key.span(), error.to_string(), "")),
            }
        }
        sources
    }

    fn source(
        &mut self,
        name: SourceName,
        key: &Spanned<String>,
        file: &SourceFile,
        environments: &Environments<'_>,
        config_sha256: Sha256Digest,
    ) -> Option<SourceSettings> {
        let prefix = format!("sources.{name}");
        let mut pending = Pending::default();
        let engine = self.engine(&prefix, key, file);
        let Some(url) = &file.url else {
            self.problems.push(no_url(&name, key.span()));
            return None;
        };
        let location = self.location(&prefix, engine, url, &mut pending.url);
        let environment = self.environment_of(&prefix, file, environments);
        let labels = match &file.labels {
            Some(_) => self.labels(&format!("{prefix}.labels"), file.labels.as_ref()),
            None => {
                let environment = environments.get(environment.as_str());
                environment.map_or_else(Vec::new, |found| found.labels.clone())
            }
        };
        let check_integrity = self.with_default(
            &format!("{prefix}.check_integrity"),
            file.check_integrity.as_ref(),
            false,
        );
        let lock_timeout = self.length(
            &format!("{prefix}.lock_timeout"),
            file.lock_timeout.as_ref(),
            30,
        );
        let silence_timeout = self.silence_timeout(&prefix, engine, file);
        let jobs = self.jobs(&prefix, engine, file);
        let drill = self.drill(
            &prefix,
            engine,
            file.drill.as_ref(),
            &mut pending.drill_server,
        );
        let restore = self.restore(&prefix, engine, file.restore.as_ref());
        let checks = self.checks(&prefix, file);
        let objectives = environments
            .get(environment.as_str())
            .map(|found| found.objectives)
            .unwrap_or_default();
        let folder = self.folder.to_path_buf();
        let elsewhere = SourceSpec {
            environment,
            objectives,
            check_integrity,
            lock_timeout,
            silence_timeout,
            jobs,
            drill,
            restore,
            checks,
            folder,
            config_sha256: Some(config_sha256),
            ..SourceSpec::new(name.clone(), engine, Location::new(""))
        };
        let spec = location.map(|location| SourceSpec {
            location,
            ..elsewhere.clone()
        });
        Some(SourceSettings {
            name,
            spec,
            elsewhere,
            pending,
            labels,
        })
    }

    fn engine(&mut self, prefix: &str, key: &Spanned<String>, file: &SourceFile) -> EngineKind {
        let url = file.url.as_ref();
        let told = url
            .and_then(|leaf| self.replaced(leaf).ok())
            .map(|setting| setting.value);
        let url_span = url.map_or(key.span(), Leaf::span);
        let Some(leaf) = &file.engine else {
            let engine = match told.as_deref().map(engine_of) {
                None => EngineKind::Sqlite,
                Some(Ok(engine)) => engine,
                Some(Err(scheme)) => {
                    let problem = of_scheme(&scheme, url_span);
                    self.problems.push(problem);
                    EngineKind::Sqlite
                }
            };
            self.record(
                format!("{prefix}.engine"),
                Value::from(engine.to_string()),
                super::Origin::Default,
            );
            return engine;
        };
        self.optional(&format!("{prefix}.engine"), Some(leaf));
        let engine = match kind_of(leaf.get()) {
            Ok(engine) => engine,
            Err(word) => {
                self.problems.push(no_engine(&word, leaf.span()));
                return EngineKind::Sqlite;
            }
        };
        let Some(url) = told.filter(|url| !is_reference(engine, url)) else {
            return engine;
        };
        match engine_of(&url) {
            Ok(other) if other == engine => {}
            Ok(other) => {
                let message = format!("the engine is {engine}, and the url is one of {other}");
                let hint = match engine {
                    EngineKind::Postgres => POSTGRES_HINT,
                    EngineKind::Sqlite => "write it as a path, or sqlite:PATH",
                };
                self.problems
                    .push(Problem::at(url_span, message, "").with_hint(hint));
            }
            Err(scheme) => self.problems.push(of_scheme(&scheme, url_span)),
        }
        engine
    }

    /// Where the source is. A variable that is not set is a problem only once the source is used; so is a
    /// reference that cannot be read.
    fn location(
        &mut self,
        prefix: &str,
        engine: EngineKind,
        leaf: &Leaf<String>,
        pending: &mut Option<SecretRef>,
    ) -> Result<Location, Problem> {
        let key = format!("{prefix}.url");
        match self.replaced(leaf) {
            Ok(setting) if is_reference(engine, &setting.value) => {
                let reference = SecretRef::parse(setting.value);
                self.record(key, Value::from(reference.shown()), setting.origin);
                *pending = Some(reference);
                Ok(Location::new(""))
            }
            Ok(setting) if engine == EngineKind::Postgres && !is_url(&setting.value) => {
                let shown = Location::new(setting.value).to_string();
                self.record(key.clone(), Value::from(shown), setting.origin);
                let message = format!("{key} is no URL of a database");
                Err(Problem::at(leaf.span(), message, "").with_hint(POSTGRES_HINT))
            }
            Ok(setting)
                if engine == EngineKind::Postgres
                    && !names_database(&setting.value, self.ambient) =>
            {
                let shown = Location::new(setting.value).to_string();
                self.record(key.clone(), Value::from(shown), setting.origin);
                let message = format!("{key} names no database");
                Err(Problem::at(leaf.span(), message, "").with_hint(POSTGRES_HINT))
            }
            Ok(setting) => {
                let location = locate(engine, &setting.value, self.folder);
                let shown = Location::new(setting.value).to_string();
                self.record(key, Value::from(shown), setting.origin);
                Ok(location)
            }
            Err(problem) => {
                self.record_unset(key, leaf);
                Err(problem)
            }
        }
    }

    /// A value whose variable is not set, for `config show`.
    pub(super) fn record_unset(&mut self, key: String, leaf: &Leaf<String>) {
        let line = super::problem::line_of(self.text, leaf.span().start);
        let origin = super::Origin::File {
            line,
            variables: Vec::new(),
        };
        let shown = format!("{} (not set)", Location::new(leaf.get()));
        self.record(key, Value::from(shown), origin);
    }

    fn silence_timeout(&mut self, prefix: &str, engine: EngineKind, file: &SourceFile) -> Duration {
        let default = SILENCE_TIMEOUT.as_secs();
        let Some(leaf) = &file.silence_timeout else {
            if engine == EngineKind::Postgres {
                self.length(&format!("{prefix}.silence_timeout"), None, default);
            }
            return SILENCE_TIMEOUT;
        };
        self.belongs_to_postgres(engine, "silence_timeout", leaf);
        self.length(&format!("{prefix}.silence_timeout"), Some(leaf), default)
    }

    fn jobs(&mut self, prefix: &str, engine: EngineKind, file: &SourceFile) -> Option<usize> {
        let leaf = file.jobs.as_ref()?;
        self.belongs_to_postgres(engine, "jobs", leaf);
        let jobs = self.optional(&format!("{prefix}.jobs"), Some(leaf))?;
        if !(1..=JOBS_MAX).contains(&jobs) {
            let message = format!("{jobs} is no number of jobs");
            self.problems
                .push(Problem::at(leaf.span(), message, "1 to 64"));
        }
        usize::try_from(jobs).ok()
    }

    /// A key that means nothing for the engine would be silently ignored: it is refused.
    pub(super) fn belongs_to_postgres<T>(&mut self, engine: EngineKind, key: &str, leaf: &Leaf<T>) {
        if engine != EngineKind::Postgres {
            let message = format!("{key} means nothing for {engine}");
            self.problems
                .push(Problem::at(leaf.span(), message, "belongs to postgres"));
        }
    }

    fn environment_of(
        &mut self,
        prefix: &str,
        file: &SourceFile,
        environments: &Environments<'_>,
    ) -> String {
        let key = format!("{prefix}.environment");
        let name = match &file.environment {
            None => self.with_default(&key, None, LOCAL.to_owned()),
            // One that is not set is a problem of the whole file: what is promised would be another thing.
            Some(leaf) => match self.text_setting(&key, Some(leaf)) {
                Some(setting) => setting.value,
                None => return LOCAL.to_owned(),
            },
        };
        if let Some(leaf) = &file.environment
            && name != LOCAL
            && !environments.contains_key(name.as_str())
        {
            let label = match nearest(&name, environments.keys().copied()) {
                Some(meant) => format!("did you mean {meant}?"),
                None => "not configured".to_owned(),
            };
            let hint = if environments.is_empty() {
                format!("add a table [environments.{name}]")
            } else {
                let known: Vec<&str> = environments.keys().copied().collect();
                format!(
                    "configured are {}; another one needs a table [environments.{name}]",
                    known.join(", ")
                )
            };
            let message = format!("there is no environment {name}");
            self.problems
                .push(Problem::at(leaf.span(), message, label).with_hint(hint));
        }
        name
    }

    pub(super) fn length(
        &mut self,
        key: &str,
        leaf: Option<&Leaf<Length>>,
        default_seconds: u64,
    ) -> Duration {
        let default = Length::of(Span::from_seconds(default_seconds));
        self.with_default(key, leaf, default).span.into()
    }
}

fn no_url(name: &SourceName, span: Range<usize>) -> Problem {
    let message = format!("[sources.{name}] has no url");
    Problem::at(span, message, "add url = \"...\"").with_hint(
        "a url is postgresql://USER@HOST:PORT/DATABASE, a path, sqlite:PATH, or \"${DATABASE_URL}\"",
    )
}

/// Whether a URL is a `file:` or `cmd:` reference: `file:` names SQLite's own files too.
fn is_reference(engine: EngineKind, url: &str) -> bool {
    engine == EngineKind::Postgres && (url.starts_with("file:") || url.starts_with("cmd:"))
}

/// The engine of this name.
fn kind_of(word: &str) -> Result<EngineKind, String> {
    match word {
        "sqlite" => Ok(EngineKind::Sqlite),
        "postgres" | "postgresql" => Ok(EngineKind::Postgres),
        "mariadb" => Err("mysql".to_owned()),
        other => Err(other.to_owned()),
    }
}

fn of_scheme(scheme: &str, span: Range<usize>) -> Problem {
    if scheme == "cmd" {
        let message = "a url by cmd: says nothing about its engine";
        return Problem::at(span, message, "add engine = \"postgres\"");
    }
    let word = match kind_of(scheme) {
        Err(word) => word,
        Ok(engine) => engine.to_string(),
    };
    no_engine(&word, span).with_hint(format!("a PostgreSQL database: {POSTGRES_HINT}"))
}

fn no_engine(word: &str, span: Range<usize>) -> Problem {
    let this = format!("this version has {}", NOW.join(" and "));
    if LATER.contains(&word) {
        let message = format!("the engine {word} is not supported yet");
        return Problem::at(span, message, this);
    }
    let label = match nearest(word, NOW.into_iter().chain(["postgresql"]).chain(LATER)) {
        Some(meant) => format!("did you mean {meant}?"),
        None => this,
    };
    Problem::at(span, format!("there is no engine {word}"), label)
}
