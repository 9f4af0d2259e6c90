//! `[sources.X]` and its checks, from what is written to what ops is given.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use resguardo_engine::port::Location;
use resguardo_model::duration::Span;
use resguardo_model::{EngineKind, Sha256Digest, SourceName};
use resguardo_ops::source::{HttpCheck, validate_pattern};
use resguardo_ops::{CheckKind, CheckSpec, DrillSpec, Expectation, SourceSpec};
use serde_json::Value;
use toml::Spanned;

use super::file::{CheckFile, Leaf, Length, SourceDrillFile, SourceFile};
use super::location::{engine_of, sqlite_path};
use super::problem::{Problem, nearest};
use super::resolve::Resolver;
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

    fn length(&mut self, key: &str, leaf: Option<&Leaf<Length>>, default_seconds: u64) -> Duration {
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

    fn checks(&mut self, prefix: &str, file: &SourceFile) -> Vec<CheckSpec> {
        let mut names: Vec<String> = Vec::new();
        let mut specs = Vec::new();
        for (position, leaf) in file.checks.iter().enumerate() {
            let check = leaf.get();
            let Some(name) = check.name.as_ref().map(|name| name.get().clone()) else {
                self.problems.push(Problem::at(
                    leaf.span(),
                    "a check has no name",
                    "add name = \"...\"",
                ));
                continue;
            };
            if names.contains(&name) {
                let message = format!("two checks are called {name:?}");
                let span = check.name.as_ref().map_or(leaf.span(), Leaf::span);
                self.problems
                    .push(Problem::at(span, message, "give it a name of its own"));
            }
            names.push(name.clone());
            let prefix = format!("{prefix}.checks[{position}]");
            self.optional(&format!("{prefix}.name"), check.name.as_ref());
            match self.check_kind(&prefix, &name, leaf) {
                Ok(kind) => specs.push(CheckSpec {
                    name,
                    kind,
                    timeout: self.length(&format!("{prefix}.timeout"), check.timeout.as_ref(), 30),
                }),
                Err(problem) => self.problems.push(problem),
            }
        }
        specs
    }

    fn check_kind(
        &mut self,
        prefix: &str,
        name: &str,
        leaf: &Leaf<CheckFile>,
    ) -> Result<CheckKind, Problem> {
        let check = leaf.get();
        let kinds: Vec<(&str, &Leaf<String>)> = [
            ("sql", &check.sql),
            ("http", &check.http),
            ("command", &check.command),
        ]
        .into_iter()
        .filter_map(|(word, leaf)| leaf.as_ref().map(|leaf| (word, leaf)))
        .collect();
        let (kind, text) = match kinds.as_slice() {
            [only] => *only,
            [] => {
                let message = format!("the check {name:?} checks nothing");
                return Err(Problem::at(
                    leaf.span(),
                    message,
                    "add sql, http or command",
                ));
            }
            [(first, _), (second, span), ..] => {
                let message = format!("the check {name:?} has both {first} and {second}");
                return Err(Problem::at(
                    span.span(),
                    message,
                    "make it a check of its own",
                ));
            }
        };
        foreign_key_of(check, kind, name)?;
        self.optional(&format!("{prefix}.{kind}"), Some(text));
        match kind {
            "sql" => self.sql_check(prefix, check, text),
            "http" => self.http_check(prefix, check, text),
            _ => Ok(CheckKind::Command {
                command: text.get().clone(),
                exit_code: self.with_default(
                    &format!("{prefix}.exit_code"),
                    check.exit_code.as_ref(),
                    0,
                ),
            }),
        }
    }

    fn sql_check(
        &mut self,
        prefix: &str,
        check: &CheckFile,
        text: &Leaf<String>,
    ) -> Result<CheckKind, Problem> {
        let expect = Expectation {
            equals: self
                .optional(&format!("{prefix}.equals"), check.equals.as_ref())
                .map(|scalar| scalar.0),
            min: self.optional(&format!("{prefix}.min"), check.min.as_ref()),
            max: self.optional(&format!("{prefix}.max"), check.max.as_ref()),
            matches: self.optional(&format!("{prefix}.matches"), check.matches.as_ref()),
            rows: self.optional(&format!("{prefix}.rows"), check.rows.as_ref()),
        };
        expect
            .validate()
            .map_err(|why| Problem::at(text.span(), why, ""))?;
        Ok(CheckKind::Sql {
            sql: text.get().clone(),
            expect,
        })
    }

    fn http_check(
        &mut self,
        prefix: &str,
        check: &CheckFile,
        text: &Leaf<String>,
    ) -> Result<CheckKind, Problem> {
        if let Some(pattern) = &check.matches {
            validate_pattern(pattern.get()).map_err(|why| {
                let first = why
                    .lines()
                    .last()
                    .unwrap_or("not a regular expression")
                    .to_owned();
                Problem::at(pattern.span(), first, "")
            })?;
        }
        let url = text.get().clone();
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(Problem::at(
                text.span(),
                format!("{url} is not an http address"),
                "http://...",
            ));
        }
        if url.contains("${PORT}") && check.serve.is_none() {
            let message = "${PORT} is the port of serve, and the check has none";
            return Err(Problem::at(text.span(), message, "add serve = \"...\""));
        }
        Ok(CheckKind::Http(HttpCheck {
            serve: self.optional(&format!("{prefix}.serve"), check.serve.as_ref()),
            url,
            method: self.with_default(
                &format!("{prefix}.method"),
                check.method.as_ref(),
                "GET".to_owned(),
            ),
            headers: check
                .headers
                .clone()
                .unwrap_or_default()
                .into_iter()
                .collect(),
            body: self.optional(&format!("{prefix}.body"), check.body.as_ref()),
            status: self.with_default(&format!("{prefix}.status"), check.status.as_ref(), 200),
            matches: self.optional(&format!("{prefix}.matches"), check.matches.as_ref()),
        }))
    }
}

/// A key that means nothing for this kind of check would be silently ignored: it is refused.
fn foreign_key_of(check: &CheckFile, kind: &str, name: &str) -> Result<(), Problem> {
    let keys: [(&str, Option<std::ops::Range<usize>>, &[&str]); 11] = [
        ("equals", check.equals.as_ref().map(Leaf::span), &["sql"]),
        ("min", check.min.as_ref().map(Leaf::span), &["sql"]),
        ("max", check.max.as_ref().map(Leaf::span), &["sql"]),
        ("rows", check.rows.as_ref().map(Leaf::span), &["sql"]),
        (
            "matches",
            check.matches.as_ref().map(Leaf::span),
            &["sql", "http"],
        ),
        ("serve", check.serve.as_ref().map(Leaf::span), &["http"]),
        ("method", check.method.as_ref().map(Leaf::span), &["http"]),
        (
            "headers",
            check
                .headers
                .as_ref()
                .map(|_| check.http.as_ref().map_or(0..0, Leaf::span)),
            &["http"],
        ),
        ("body", check.body.as_ref().map(Leaf::span), &["http"]),
        ("status", check.status.as_ref().map(Leaf::span), &["http"]),
        (
            "exit_code",
            check.exit_code.as_ref().map(Leaf::span),
            &["command"],
        ),
    ];
    for (key, span, kinds) in keys {
        if let Some(span) = span
            && !kinds.contains(&kind)
        {
            let message = format!("the check {name:?} is a check with {kind}, which has no {key}");
            return Err(Problem::at(
                span,
                message,
                format!("belongs to {}", kinds.join(" or ")),
            ));
        }
    }
    Ok(())
}
