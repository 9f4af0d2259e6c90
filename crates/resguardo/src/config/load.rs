//! Finding and reading the config file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Config;
use super::file::ConfigFile;
use super::problem::{InvalidConfig, from_toml, shown_path};
use super::resolve;
use crate::ambient::Ambient;

/// The file that is read if no other is named.
pub const FILE_NAME: &str = "resguardo.toml";

/// What the command line says, which beats all else.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--vault`
    pub vault: Option<String>,
    /// `--identity`
    pub identity: Option<PathBuf>,
}

/// The configuration cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file that was named is not there.
    #[error("the config file {} does not exist", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("reading the config file {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The file says something that makes no sense.
    #[error(transparent)]
    Invalid(#[from] InvalidConfig),
    /// A variable of the environment makes no sense.
    #[error("{name}: {why}")]
    Variable {
        /// The variable.
        name: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

/// The config file that counts: `--config`, `RESGUARDO_CONFIG`, `./resguardo.toml`.
#[must_use]
pub fn find(ambient: &Ambient, overrides: &Overrides) -> Option<PathBuf> {
    if let Some(path) = &overrides.config {
        return Some(ambient.absolute(path));
    }
    if let Some(path) = ambient.variable("RESGUARDO_CONFIG") {
        return Some(ambient.absolute(Path::new(path)));
    }
    let here = ambient.folder.join(FILE_NAME);
    here.is_file().then_some(here)
}

/// Reads the configuration from everywhere it may come from.
///
/// # Errors
/// If the file is missing or unreadable, or anything in it makes no sense; then all of it is named.
pub fn load(ambient: &Ambient, overrides: &Overrides) -> Result<Config, ConfigError> {
    let Some(path) = find(ambient, overrides) else {
        return resolve::without_file(ambient, overrides);
    };
    let text = std::fs::read_to_string(&path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => ConfigError::Missing { path: path.clone() },
        _ => ConfigError::Io {
            path: path.clone(),
            source,
        },
    })?;
    Ok(parse(ambient, overrides, &path, text.into())?)
}

/// The configuration of a file with this text. Nothing is read, and no reference is followed.
///
/// # Errors
/// Everything in it that makes no sense.
pub fn parse(
    ambient: &Ambient,
    overrides: &Overrides,
    path: &Path,
    text: Arc<str>,
) -> Result<Config, InvalidConfig> {
    let file: ConfigFile = toml::from_str(&text).map_err(|error| InvalidConfig {
        path: shown_path(path, &ambient.folder),
        text: Arc::clone(&text),
        problems: vec![from_toml(&error, &text)],
    })?;
    resolve::with_file(ambient, overrides, path, &text, &file)
}
