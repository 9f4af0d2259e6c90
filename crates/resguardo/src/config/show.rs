//! `config show`: every value with its origin. Secrets were hidden when the values were read.

use std::path::Path;

use super::{Config, Entry, Origin};

/// The origin of an entry in words: `flag --vault`, `env DATABASE_URL`, `resguardo.toml:9`, `default`.
#[must_use]
pub fn origin(entry: &Entry, file: Option<&Path>) -> String {
    let Origin::File { line, variables } = &entry.origin else {
        return entry.origin.to_string();
    };
    let name = file.map_or_else(|| "file".into(), |path| path.display().to_string());
    if variables.is_empty() {
        format!("{name}:{line}")
    } else {
        format!("{name}:{line}, env {}", variables.join(", "))
    }
}

/// The entries as JSON: `{"key","value","origin"}` each.
#[must_use]
pub fn as_json(config: &Config) -> serde_json::Value {
    config
        .entries
        .iter()
        .map(|entry| {
            serde_json::json!({
                "key": entry.key,
                "value": entry.value,
                "origin": origin(entry, config.file.as_deref()),
            })
        })
        .collect()
}

/// A value on one line.
#[must_use]
pub fn value(entry: &Entry) -> String {
    match &entry.value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(items) => items
            .iter()
            .map(|item| {
                item.as_str()
                    .map_or_else(|| item.to_string(), str::to_owned)
            })
            .collect::<Vec<_>>()
            .join(", "),
        other => other.to_string(),
    }
}
