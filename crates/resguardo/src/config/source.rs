//! `[sources.X]`, from what is written to what ops is given.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use resguardo_engine::port::Location;
use resguardo_model::duration::Span;
use resguardo_model::{EngineKind, Sha256Digest, SourceName};
use resguardo_ops::{DrillSpec, SourceSpec};
use serde_json::Value;
use toml::Spanned;

use super::file::{Leaf, Length, SourceDrillFile, SourceFile};
use super::location::{engine_of, sqlite_path};
use super::problem::{Problem, nearest};
use super::resolver::Resolver;
use super::{EnvironmentSettings, SourceSettings};

/// The engines that DESIGN knows and this version has not.
const LATER: [&str; 4] = ["postgres", "redis", "mysql", "bucket"];
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
        let engine = self.engine(&prefix, key, file);
        let location = match &file.url {
            Some(leaf) => self.location(&prefix, leaf),
            None => {
                self.problems.push(
                    Problem::at(
                        key.span(),
                        format!("[sources.{name}] has no url"),
                        "add url = \"...\"",
                    )
                    .with_hint("a url is a path, sqlite:PATH, or \"${DATABASE_URL}\""),
                );
                return None;
            }
        };
        let environment = self.environment_of(&prefix, file, environments);
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
        let drill = self.drill(&prefix, file.drill.as_ref());
        let checks = self.checks(&prefix, file);
        let objectives = environments
            .get(environment.as_str())
            .map(|found| found.objectives)
            .unwrap_or_default();
        let folder = self.folder.to_path_buf();
        let spec = location.map(|location| SourceSpec {
            environment,
            objectives,
            check_integrity,
            lock_timeout,
            drill,
            checks,
            folder,
            config_sha256: Some(config_sha256),
            ..SourceSpec::new(name.clone(), engine, location)
        });
        Some(SourceSettings { name, spec })
    }

    fn engine(&mut self, prefix: &str, key: &Spanned<String>, file: &SourceFile) -> EngineKind {
        let told = file
            .url
            .as_ref()
            .and_then(|leaf| self.replaced(leaf).ok())
            .map(|setting| engine_of(&setting.value));
        let (word, span) = match (&file.engine, told) {
            (Some(leaf), told) => {
                self.optional(&format!("{prefix}.engine"), Some(leaf));
                match told {
                    // The engine is right and the URL is another engine's.
                    Some(Err(scheme)) if leaf.get() == "sqlite" => {
                        let span = file.url.as_ref().map_or(leaf.span(), Leaf::span);
                        (scheme, span)
                    }
                    _ => (leaf.get().clone(), leaf.span()),
                }
            }
            (None, Some(Err(scheme))) => (scheme, file.url.as_ref().map_or(key.span(), Leaf::span)),
            (None, _) => {
                self.record(
                    format!("{prefix}.engine"),
                    Value::from("sqlite"),
                    super::Origin::Default,
                );
                return EngineKind::Sqlite;
            }
        };
        let known = match word.as_str() {
            "postgresql" => "postgres",
            "mariadb" => "mysql",
            other => other,
        };
        if known != "sqlite" {
            let problem = if LATER.contains(&known) {
                Problem::at(
                    span,
                    format!("the engine {known} is not supported yet"),
                    "this version has sqlite",
                )
            } else {
                let label = match nearest(known, ["sqlite"].into_iter().chain(LATER)) {
                    Some(meant) => format!("did you mean {meant}?"),
                    None => "this version has sqlite".to_owned(),
                };
                Problem::at(span, format!("there is no engine {known}"), label)
            };
            self.problems.push(problem);
        }
        EngineKind::Sqlite
    }

    /// Where the source is. A variable that is not set is a problem only once the source is used.
    fn location(&mut self, prefix: &str, leaf: &Leaf<String>) -> Result<Location, Problem> {
        let key = format!("{prefix}.url");
        match self.replaced(leaf) {
            Ok(setting) => {
                let path = sqlite_path(&setting.value, self.folder);
                let shown = Location::new(setting.value).to_string();
                self.record(key, Value::from(shown), setting.origin);
                Ok(Location::new(path.display().to_string()))
            }
            Err(problem) => {
                let line = super::problem::line_of(self.text, leaf.span().start);
                let origin = super::Origin::File {
                    line,
                    variables: Vec::new(),
                };
                self.record(
                    key,
                    Value::from(format!("{} (not set)", leaf.get())),
                    origin,
                );
                Err(problem)
            }
        }
    }

    fn environment_of(
        &mut self,
        prefix: &str,
        file: &SourceFile,
        environments: &Environments<'_>,
    ) -> String {
        let name = self.with_default(
            &format!("{prefix}.environment"),
            file.environment.as_ref(),
            LOCAL.to_owned(),
        );
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

    fn drill(&mut self, prefix: &str, file: Option<&SourceDrillFile>) -> DrillSpec {
        let defaults = DrillSpec::default();
        let Some(file) = file else {
            return defaults;
        };
        let key = |field: &str| format!("{prefix}.drill.{field}");
        let provision = self
            .optional(&key("provision"), file.provision.as_ref())
            .unwrap_or_default();
        let step_timeout = self.length(
            &key("timeout"),
            file.timeout.as_ref(),
            defaults.step_timeout.as_secs(),
        );
        DrillSpec {
            provision: provision.into_iter().map(PathBuf::from).collect(),
            migrate: self.optional(&key("migrate"), file.migrate.as_ref()),
            keep_failed: self.with_default(&key("keep_failed"), file.keep_failed.as_ref(), false),
            step_timeout,
            ready_timeout: self.length(
                &key("ready_timeout"),
                file.ready_timeout.as_ref(),
                defaults.ready_timeout.as_secs(),
            ),
        }
    }
}
