//! From what is written to what holds: precedence, `${VAR}`, defaults, and everything that can be
//! wrong with it. All problems of a file are found in one go.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jiff::tz::TimeZone;
use resguardo_engine::port::Location;
use resguardo_model::duration::Span;
use resguardo_model::retention::Policy;
use resguardo_model::{EngineKind, Objectives, Sha256Digest};
use resguardo_ops::SourceSpec;
use serde_json::Value;

use super::file::{ConfigFile, EnvironmentFile, VaultFile};
use super::load::{ConfigError, Overrides};
use super::location::{
    POSTGRES_HINT, engine_of, is_url, locate, name_for, names_database, vault_url,
};
use super::notify::{EndpointSettings, NotifySettings};
use super::problem::{InvalidConfig, Problem, shown_path};
use super::resolver::Resolver;
use super::{Config, EnvironmentSettings, Origin, Pending, Setting, SourceSettings};
use crate::ambient::Ambient;

impl Resolver<'_> {
    fn environment(
        &mut self,
        name: &str,
        file: &EnvironmentFile,
        endpoints: &BTreeMap<String, EndpointSettings>,
    ) -> EnvironmentSettings {
        let key = |field: &str| format!("environments.{name}.{field}");
        let objectives = Objectives {
            rpo: self
                .optional(&key("rpo"), file.rpo.as_ref())
                .map(|length| length.span),
            rto: self
                .optional(&key("rto"), file.rto.as_ref())
                .map(|length| length.span),
        };
        let zone = self
            .optional(&key("timezone"), file.timezone.as_ref())
            .and_then(|zone| {
                let known = TimeZone::get(&zone);
                if let (Err(_), Some(leaf)) = (&known, &file.timezone) {
                    let message = format!("{zone} is not a time zone");
                    self.problems.push(Problem::at(
                        leaf.span(),
                        message,
                        "like America/Bogota or UTC",
                    ));
                }
                known.ok()
            });
        let days = zone.as_ref().unwrap_or(&self.ambient.zone).clone();
        let plans = self.plans(name, file, &days);
        let retention = self.retention(&key("retention"), file.retention.as_ref(), &days);
        EnvironmentSettings {
            objectives,
            zone,
            plans,
            retention,
            notify: self.environment_notify(name, file, endpoints),
            labels: self.labels(&key("labels"), file.labels.as_ref()),
        }
    }

    /// Prunes by schedule where nothing says what is kept: each of them would fail.
    fn refuse_idle_prunes(&mut self, environments: &BTreeMap<String, EnvironmentFile>) {
        for (name, environment) in environments {
            let prune = environment.prune.as_ref();
            let schedule = prune.and_then(|prune| prune.schedule.as_ref());
            if let (Some(leaf), None) = (schedule, &environment.retention) {
                let message =
                    format!("prune is scheduled for {name}, and nothing says what is kept there");
                self.problems.push(
                    Problem::at(leaf.span(), message, "it would fail each time").with_hint(
                        "say what is to stay, like retention = { daily = 14, weekly = 8, monthly = 12 }, or remove prune: without a retention everything is kept",
                    ),
                );
            }
        }
    }
}

/// The configuration with the file at `path`.
pub(super) fn with_file(
    ambient: &Ambient,
    overrides: &Overrides,
    path: &Path,
    text: &Arc<str>,
    file: &ConfigFile,
) -> Result<Config, InvalidConfig> {
    let folder = path.parent().unwrap_or(&ambient.folder);
    let mut resolver = Resolver {
        ambient,
        text,
        folder,
        entries: Vec::new(),
        problems: Vec::new(),
    };
    let vault = resolver.vault(&file.vault, overrides);
    let endpoints = resolver.endpoints(&file.notify);
    let environments: BTreeMap<&str, EnvironmentSettings> = file
        .environments
        .iter()
        .map(|(name, environment)| {
            let environment = resolver.environment(name, environment, &endpoints);
            (name.as_str(), environment)
        })
        .collect();
    let mut zones: Vec<&TimeZone> = environments
        .values()
        .filter_map(|environment| environment.zone.as_ref())
        .collect();
    zones.dedup();
    let zone = match zones.as_slice() {
        [only] => (*only).clone(),
        _ => ambient.zone.clone(),
    };
    let http = file.http.as_ref().map(|http| resolver.http(http));
    let oidc = file.http.as_ref().and_then(|http| resolver.oidc(http));
    let catalog = file.catalog.as_ref().map(|file| resolver.catalog(file));
    let labels = resolver.labels("serve.labels", file.serve.labels.as_ref());
    let copies = resolver.copies(&file.vault, vault.url.as_ref(), &zone);
    if copies.iter().all(|copy| copy.retention.is_none()) {
        resolver.refuse_idle_prunes(&file.environments);
    }
    let sources = resolver.sources(
        &file.sources,
        &environments,
        Sha256Digest::of(text.as_bytes()),
    );
    let notify = NotifySettings {
        endpoints,
        pings: resolver.pings(&file.sources),
    };
    let Resolver {
        entries, problems, ..
    } = resolver;
    if !problems.is_empty() {
        return Err(InvalidConfig {
            path: shown_path(path, &ambient.folder),
            text: Arc::clone(text),
            problems,
        });
    }
    let environments = environments
        .into_iter()
        .map(|(name, environment)| (name.to_owned(), environment))
        .collect();
    Ok(Config {
        file: Some(shown_path(path, &ambient.folder)),
        text: Arc::clone(text),
        folder: folder.to_path_buf(),
        vault,
        copies,
        http,
        oidc,
        catalog,
        labels,
        environments,
        sources,
        notify,
        zone,
        entries,
    })
}

/// The configuration of a folder without a file: `DATABASE_URL`, `BACKUP_DIR`, `AWS_*`.
pub fn without_file(ambient: &Ambient, overrides: &Overrides) -> Result<Config, ConfigError> {
    let folder = &ambient.folder;
    let mut resolver = Resolver {
        ambient,
        text: "",
        folder,
        entries: Vec::new(),
        problems: Vec::new(),
    };
    let mut vault = resolver.vault(&VaultFile::default(), overrides);
    if vault.url.is_none()
        && let Some(place) = ambient.variable("BACKUP_DIR")
    {
        let origin = Origin::Variable("BACKUP_DIR".to_owned());
        let setting = Setting {
            value: vault_url(place, folder),
            origin,
        };
        resolver.record(
            "vault.url",
            Value::from(setting.value.clone()),
            setting.origin.clone(),
        );
        vault.url = Some(setting);
    }
    let mut sources = Vec::new();
    if let Some(url) = ambient.variable("DATABASE_URL") {
        let origin = Origin::Variable("DATABASE_URL".to_owned());
        let known = engine_of(url);
        let engine = known.as_ref().copied().unwrap_or(EngineKind::Postgres);
        let name = name_for(engine, url);
        let elsewhere = SourceSpec {
            folder: folder.clone(),
            ..SourceSpec::new(name.clone(), engine, Location::new(""))
        };
        let named = |engine| engine != EngineKind::Postgres || names_database(url, ambient);
        let spec = match known {
            Err(scheme) => Err(unknown_url(&scheme)),
            Ok(EngineKind::Postgres) if !is_url(url) => Err(no_url("is no URL of a database")),
            Ok(engine) if !named(engine) => Err(no_url("names no database")),
            Ok(engine) => Ok(SourceSpec {
                location: locate(engine, url, folder),
                ..elsewhere.clone()
            }),
        };
        let shown = Location::new(url).to_string();
        resolver.record(format!("sources.{name}.url"), Value::from(shown), origin);
        sources.push(SourceSettings {
            name,
            spec,
            elsewhere,
            pending: Pending::default(),
            labels: Vec::new(),
        });
    }
    let environments = environments_without_file(&mut resolver)?;
    Ok(Config {
        http: None,
        oidc: None,
        catalog: None,
        labels: Vec::new(),
        file: None,
        text: "".into(),
        folder: folder.clone(),
        vault,
        copies: Vec::new(),
        environments,
        sources,
        notify: NotifySettings::default(),
        zone: ambient.zone.clone(),
        entries: resolver.entries,
    })
}

/// The environment `local` with what `BACKUP_RETENTION_DAYS` says.
fn environments_without_file(
    resolver: &mut Resolver<'_>,
) -> Result<BTreeMap<String, EnvironmentSettings>, ConfigError> {
    const NAME: &str = "BACKUP_RETENTION_DAYS";
    let Some(days) = resolver.ambient.variable(NAME) else {
        return Ok(BTreeMap::new());
    };
    let within: Option<Span> = match days.parse::<u32>() {
        Ok(1..) => format!("{days}d").parse().ok(),
        _ => None,
    };
    let Some(within) = within else {
        return Err(ConfigError::Variable {
            name: NAME,
            why: format!("{days:?} is not a whole number of days, from 1"),
        });
    };
    resolver.record(
        "environments.local.retention.within",
        Value::from(format!("{days}d")),
        Origin::Variable(NAME.to_owned()),
    );
    let local = EnvironmentSettings {
        retention: Some(Policy {
            within: Some(within),
            ..Policy::floor(resolver.ambient.zone.clone())
        }),
        ..EnvironmentSettings::default()
    };
    Ok(BTreeMap::from([("local".to_owned(), local)]))
}

fn no_url(why: &str) -> Problem {
    Problem {
        hint: Some(POSTGRES_HINT.to_owned()),
        ..Problem::of_reference(format!("DATABASE_URL {why}"))
    }
}

fn unknown_url(scheme: &str) -> Problem {
    Problem {
        message: format!(
            "DATABASE_URL: there is no engine {scheme}; this version has postgres and sqlite"
        ),
        span: None,
        label: String::new(),
        hint: Some(format!("a PostgreSQL database: {POSTGRES_HINT}")),
    }
}
