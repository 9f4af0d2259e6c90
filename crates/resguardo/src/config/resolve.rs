//! From what is written to what holds: precedence, `${VAR}`, defaults, and everything that can be
//! wrong with it. All problems of a file are found in one go.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jiff::tz::TimeZone;
use resguardo_model::{Objectives, Sha256Digest};
use resguardo_ops::SourceSpec;
use serde_json::Value;

use super::file::{ConfigFile, EnvironmentFile, Leaf, Length, Scalar, VaultFile};
use super::interpolate::{InterpolateError, SecretRef, interpolate};
use super::load::{ConfigError, Overrides};
use super::location::{engine_of, name_for, sqlite_path, vault_url};
use super::problem::{InvalidConfig, Problem, line_of, shown_path};
use super::{Config, Entry, EnvironmentSettings, Origin, Setting, SourceSettings, VaultSettings};
use crate::ambient::Ambient;

/// zstd's own default.
const COMPRESSION_LEVEL: i32 = 3;

/// What `config show` prints of a value.
pub(super) trait Shown {
    fn shown(&self) -> Value;
}

macro_rules! shown_as_is {
    ($($kind:ty),*) => {
        $(impl Shown for $kind {
            fn shown(&self) -> Value {
                Value::from(self.clone())
            }
        })*
    };
}

shown_as_is!(String, bool, i32, u16, u32, u64, f64, Vec<String>);

impl Shown for Length {
    fn shown(&self) -> Value {
        Value::from(self.as_str())
    }
}

impl Shown for Scalar {
    fn shown(&self) -> Value {
        Value::from(self.0.clone())
    }
}

/// Collects entries and problems while values are read.
pub(super) struct Resolver<'a> {
    pub(super) ambient: &'a Ambient,
    pub(super) text: &'a str,
    pub(super) folder: &'a Path,
    pub(super) entries: Vec<Entry>,
    pub(super) problems: Vec<Problem>,
}

impl Resolver<'_> {
    fn origin<T>(&self, leaf: &Leaf<T>, variables: Vec<String>) -> Origin {
        Origin::File {
            line: line_of(self.text, leaf.span().start),
            variables,
        }
    }

    pub(super) fn record(&mut self, key: impl Into<String>, value: Value, origin: Origin) {
        self.entries.push(Entry {
            key: key.into(),
            value,
            origin,
        });
    }

    /// A value as it stands, or nothing.
    pub(super) fn optional<T: Shown + Clone>(
        &mut self,
        key: &str,
        leaf: Option<&Leaf<T>>,
    ) -> Option<T> {
        let leaf = leaf?;
        let origin = self.origin(leaf, Vec::new());
        self.record(key, leaf.get().shown(), origin);
        Some(leaf.get().clone())
    }

    /// A value as it stands, or the default, which is shown as well.
    pub(super) fn with_default<T: Shown + Clone>(
        &mut self,
        key: &str,
        leaf: Option<&Leaf<T>>,
        default: T,
    ) -> T {
        match leaf {
            Some(_) => self.optional(key, leaf).unwrap_or(default),
            None => {
                self.record(key, default.shown(), Origin::Default);
                default
            }
        }
    }

    /// A text with its variables replaced.
    pub(super) fn replaced(&self, leaf: &Leaf<String>) -> Result<Setting<String>, Problem> {
        let replaced = interpolate(leaf.get(), |name| self.ambient.variable(name));
        match replaced {
            Ok((value, variables)) => Ok(Setting {
                value,
                origin: self.origin(leaf, variables),
            }),
            Err(error) => Err(variable_problem(leaf, &error)),
        }
    }

    /// A text with its variables replaced; what is wrong with it becomes a problem of the whole file.
    fn text_setting(&mut self, key: &str, leaf: Option<&Leaf<String>>) -> Option<Setting<String>> {
        match self.replaced(leaf?) {
            Ok(setting) => {
                self.record(
                    key,
                    Value::from(setting.value.clone()),
                    setting.origin.clone(),
                );
                Some(setting)
            }
            Err(problem) => {
                self.problems.push(problem);
                None
            }
        }
    }

    /// A text from the file, else from the first of these variables.
    fn text_or(
        &mut self,
        key: &str,
        leaf: Option<&Leaf<String>>,
        names: &[&'static str],
    ) -> Option<String> {
        if leaf.is_some() {
            return self.text_setting(key, leaf).map(|setting| setting.value);
        }
        let (name, value) = self.ambient.first_of(names)?;
        let value = value.to_owned();
        self.record(
            key,
            Value::from(value.clone()),
            Origin::Variable(name.to_owned()),
        );
        Some(value)
    }

    /// A secret from the file, else from the first of these variables.
    fn secret_or(
        &mut self,
        key: &str,
        leaf: Option<&Leaf<String>>,
        names: &[&'static str],
    ) -> Option<SecretRef> {
        let (secret, origin) = match leaf {
            Some(leaf) => match self.replaced(leaf) {
                Ok(setting) => (SecretRef::parse(setting.value), setting.origin),
                Err(problem) => {
                    self.problems.push(problem);
                    return None;
                }
            },
            None => {
                let (name, value) = self.ambient.first_of(names)?;
                let secret = SecretRef::Value(value.to_owned().into());
                (secret, Origin::Variable(name.to_owned()))
            }
        };
        self.record(key, Value::from(secret.shown()), origin);
        Some(secret)
    }

    fn vault(&mut self, file: &VaultFile, overrides: &Overrides) -> VaultSettings {
        let url = self.vault_place(file, overrides);
        if let Some(copies) = &file.copies {
            self.problems.push(
                Problem::at(
                    copies.span(),
                    "copies are not supported yet",
                    "take this out",
                )
                .with_hint("back up into one vault; a copy of its folder is a vault too"),
            );
        }
        let level = self.with_default(
            "vault.compression_level",
            file.compression_level.as_ref(),
            COMPRESSION_LEVEL,
        );
        if let Some(leaf) = file.compression_level.as_ref()
            && !(1..=19).contains(&level)
        {
            let message = format!("{level} is not a compression level");
            self.problems
                .push(Problem::at(leaf.span(), message, "1 to 19"));
        }
        let identity = self.identity(file, overrides);
        let endpoint = self.text_or(
            "vault.endpoint",
            file.endpoint.as_ref(),
            &["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"],
        );
        let region = self.text_or(
            "vault.region",
            file.region.as_ref(),
            &["AWS_REGION", "AWS_DEFAULT_REGION"],
        );
        let path_style = self.optional("vault.path_style", file.path_style.as_ref());
        VaultSettings {
            url,
            identity,
            compression_level: level,
            endpoint,
            region,
            path_style,
            access_key: self.secret_or(
                "vault.access_key",
                file.access_key.as_ref(),
                &["AWS_ACCESS_KEY_ID"],
            ),
            secret_key: self.secret_or(
                "vault.secret_key",
                file.secret_key.as_ref(),
                &["AWS_SECRET_ACCESS_KEY"],
            ),
            session_token: self.secret_or("vault.session_token", None, &["AWS_SESSION_TOKEN"]),
        }
    }

    fn vault_place(&mut self, file: &VaultFile, overrides: &Overrides) -> Option<Setting<String>> {
        let started_in = self.ambient.folder.clone();
        let setting = if let Some(url) = &overrides.vault {
            Setting {
                value: vault_url(url, &started_in),
                origin: Origin::Flag("--vault"),
            }
        } else if let Some((name, url)) = self.ambient.first_of(&["RESGUARDO_VAULT"]) {
            Setting {
                value: vault_url(url, &started_in),
                origin: Origin::Variable(name.to_owned()),
            }
        } else {
            match self.replaced(file.url.as_ref()?) {
                Ok(setting) => Setting {
                    value: vault_url(&setting.value, self.folder),
                    ..setting
                },
                Err(problem) => {
                    self.problems.push(problem);
                    return None;
                }
            }
        };
        self.record(
            "vault.url",
            Value::from(setting.value.clone()),
            setting.origin.clone(),
        );
        Some(setting)
    }

    fn identity(
        &mut self,
        file: &VaultFile,
        overrides: &Overrides,
    ) -> Option<Setting<std::path::PathBuf>> {
        let setting = if let Some(path) = &overrides.identity {
            Setting {
                value: self.ambient.absolute(path),
                origin: Origin::Flag("--identity"),
            }
        } else if let Some(path) = self.ambient.variable("RESGUARDO_IDENTITY") {
            let value = self.ambient.absolute(Path::new(path));
            Setting {
                value,
                origin: Origin::Variable("RESGUARDO_IDENTITY".to_owned()),
            }
        } else {
            let setting = match self.replaced(file.identity.as_ref()?) {
                Ok(setting) => setting,
                Err(problem) => {
                    self.problems.push(problem);
                    return None;
                }
            };
            let path = setting
                .value
                .strip_prefix("file:")
                .unwrap_or(&setting.value);
            Setting {
                value: self.folder.join(path),
                origin: setting.origin,
            }
        };
        self.record(
            "vault.identity",
            Value::from(setting.value.display().to_string()),
            setting.origin.clone(),
        );
        Some(setting)
    }

    fn environment(&mut self, name: &str, file: &EnvironmentFile) -> EnvironmentSettings {
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
        self.cron(&key("schedule"), file.schedule.as_ref());
        if let Some(drill) = &file.drill {
            self.cron(&key("drill.schedule"), drill.schedule.as_ref());
        }
        if let Some(kept) = &file.retention {
            let counts = [
                ("last", &kept.last),
                ("hourly", &kept.hourly),
                ("daily", &kept.daily),
                ("weekly", &kept.weekly),
                ("monthly", &kept.monthly),
                ("yearly", &kept.yearly),
            ];
            for (field, leaf) in counts {
                self.optional(&key(&format!("retention.{field}")), leaf.as_ref());
            }
            let lengths = [
                ("within", &kept.within),
                ("pre_migration", &kept.pre_migration),
                ("pre_update", &kept.pre_update),
                ("safety", &kept.safety),
            ];
            for (field, leaf) in lengths {
                self.optional(&key(&format!("retention.{field}")), leaf.as_ref());
            }
        }
        EnvironmentSettings { objectives, zone }
    }

    fn cron(&mut self, key: &str, leaf: Option<&Leaf<String>>) {
        let (Some(leaf), Some(text)) = (leaf, self.optional(key, leaf)) else {
            return;
        };
        let fields = text.split_whitespace().count();
        if fields != 5 || text.parse::<croner::Cron>().is_err() {
            let message = format!("{text:?} is not a schedule");
            self.problems.push(
                Problem::at(leaf.span(), message, "minute hour day month weekday")
                    .with_hint("every day at 2:00 is \"0 2 * * *\"; the first of each month at 4:00 is \"0 4 1 * *\""),
            );
        }
    }
}

fn variable_problem(leaf: &Leaf<String>, error: &InterpolateError) -> Problem {
    let problem = Problem::at(leaf.span(), error.to_string(), "");
    match error {
        InterpolateError::Unset(name) => Problem {
            label: "not set".to_owned(),
            ..problem
        }
        .with_hint(format!(
            "set it, like `export {name}=...`, and run the same command again"
        )),
        InterpolateError::Malformed(_) => problem,
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
    let environments: BTreeMap<&str, EnvironmentSettings> = file
        .environments
        .iter()
        .map(|(name, environment)| (name.as_str(), resolver.environment(name, environment)))
        .collect();
    let sources = resolver.sources(
        &file.sources,
        &environments,
        Sha256Digest::of(text.as_bytes()),
    );
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
    let mut zones: Vec<&TimeZone> = environments
        .values()
        .filter_map(|environment| environment.zone.as_ref())
        .collect();
    zones.dedup();
    let zone = match zones.as_slice() {
        [only] => (*only).clone(),
        _ => ambient.zone.clone(),
    };
    Ok(Config {
        file: Some(shown_path(path, &ambient.folder)),
        text: Arc::clone(text),
        folder: folder.to_path_buf(),
        vault,
        sources,
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
        let path = sqlite_path(url, folder);
        let name = name_for(&path);
        let location = resguardo_engine::port::Location::new(path.display().to_string());
        let spec = engine_of(url)
            .map_err(unsupported_url)
            .map(|engine| SourceSpec {
                folder: folder.clone(),
                ..SourceSpec::new(name.clone(), engine, location)
            });
        let shown = resguardo_engine::port::Location::new(url).to_string();
        resolver.record(format!("sources.{name}.url"), Value::from(shown), origin);
        sources.push(SourceSettings { name, spec });
    }
    if let Some(days) = ambient.variable("BACKUP_RETENTION_DAYS") {
        if days.parse::<u32>().is_err() {
            return Err(ConfigError::Variable {
                name: "BACKUP_RETENTION_DAYS",
                why: format!("{days:?} is not a whole number of days"),
            });
        }
        let origin = Origin::Variable("BACKUP_RETENTION_DAYS".to_owned());
        resolver.record(
            "environments.local.retention.within",
            Value::from(format!("{days}d")),
            origin,
        );
    }
    Ok(Config {
        file: None,
        text: "".into(),
        folder: folder.clone(),
        vault,
        sources,
        zone: ambient.zone.clone(),
        entries: resolver.entries,
    })
}

fn unsupported_url(scheme: String) -> Problem {
    Problem {
        message: format!("DATABASE_URL: {scheme} is not supported yet; this version has sqlite"),
        span: None,
        label: String::new(),
        hint: Some("name the sources in a config: `resguardo init --source NAME=PATH`".to_owned()),
    }
}
