//! What lies beside a dump and speaks of it: `NAME.sha256`, and the `.meta.json` that an export writes.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use resguardo_model::SourceFacts;
use serde_json::Value;

use crate::beside::{hash_of, read_if_there};
use crate::port::EngineError;

/// Version of our own `.meta.json`.
const FORMAT: u64 = 1;
/// Largest file that is read as one of those that lie beside a dump.
const BYTES_MAX: u64 = 64 << 20;
/// Endings that a name of a `.meta.json` may lack.
const ENDINGS: [&str; 8] = [
    ".gz", ".zst", ".sql", ".dump", ".tar", ".backup", ".pgdump", ".custom",
];

/// One such file.
#[derive(Debug)]
pub(super) struct Beside {
    /// Where it was read.
    pub(super) path: PathBuf,
    /// The hash, in lower-case hexadecimal digits, if one is named.
    pub(super) sha256: Option<String>,
    /// What an export of ours knew of the data.
    pub(super) facts: Option<SourceFacts>,
    /// The instant of its data.
    pub(super) taken_at: Option<Timestamp>,
}

/// Reads everything that lies beside `file`.
///
/// # Errors
/// If something is there that cannot be read or understood.
pub(super) fn read(file: &Path) -> Result<Vec<Beside>, EngineError> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let mut found = Vec::new();
    for (position, meta) in metas(&name).into_iter().enumerate() {
        let path = file.with_file_name(meta);
        if let Some(text) = read_if_there(&path, BYTES_MAX)? {
            // `shop.sql.meta.json` may be that of `shop.sql`, which lies here too.
            if position == 0 || !is_of_another(&text, &name) {
                found.push(parse_meta(path, &text)?);
            }
        }
    }
    let path = file.with_file_name(format!("{name}.sha256"));
    if let Some(text) = read_if_there(&path, BYTES_MAX)? {
        let sha256 = hash_of(&text, &name).ok_or_else(|| EngineError::Corrupt {
            place: path.display().to_string(),
            why: format!("it names no SHA-256 of {name}"),
        })?;
        found.push(Beside {
            path,
            sha256: Some(sha256),
            facts: None,
            taken_at: None,
        });
    }
    Ok(found)
}

/// `shop.sql.gz.meta.json`, `shop.sql.meta.json`, `shop.meta.json`.
fn metas(name: &str) -> Vec<String> {
    let mut names = vec![format!("{name}.meta.json")];
    let mut rest = name;
    while let Some(shorter) = ENDINGS.iter().find_map(|ending| rest.strip_suffix(ending)) {
        names.push(format!("{shorter}.meta.json"));
        rest = shorter;
    }
    names
}

/// Whether a `.meta.json` names another file as its own.
fn is_of_another(text: &str, name: &str) -> bool {
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    let file = value.get("file").and_then(Value::as_str);
    file.is_some_and(|file| file != name)
}

/// Ours are read whole; of a foreign one only the field `sha256` is known.
fn parse_meta(path: PathBuf, text: &str) -> Result<Beside, EngineError> {
    let corrupt = |why: String| EngineError::Corrupt {
        place: path.display().to_string(),
        why,
    };
    let value: Value = serde_json::from_str(text).map_err(|error| corrupt(error.to_string()))?;
    let sha256 = value.get("sha256").and_then(Value::as_str);
    let sha256 = sha256.map(str::to_ascii_lowercase);
    let mut beside = Beside {
        path: path.clone(),
        sha256,
        facts: None,
        taken_at: None,
    };
    if value.get("resguardo").is_some() {
        let format = value.get("format").and_then(Value::as_u64);
        if format != Some(FORMAT) {
            let format = format.map_or("?".to_owned(), |format| format.to_string());
            let why = format!("it is of format {format}, this Resguardo reads {FORMAT}");
            return Err(corrupt(why));
        }
        beside.facts = field(&value, "facts").map_err(|error| corrupt(error.to_string()))?;
        beside.taken_at = field(&value, "taken_at").map_err(|error| corrupt(error.to_string()))?;
    }
    Ok(beside)
}

fn field<T: serde::de::DeserializeOwned>(
    value: &Value,
    name: &str,
) -> Result<Option<T>, serde_json::Error> {
    serde_json::from_value(value.get(name).cloned().unwrap_or(Value::Null))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_what_lies_beside() {
        assert_eq!(
            metas("shop.sql.gz"),
            [
                "shop.sql.gz.meta.json",
                "shop.sql.meta.json",
                "shop.meta.json"
            ]
        );
        assert_eq!(metas("shop"), ["shop.meta.json"]);
    }

    #[test]
    fn what_is_of_another_file_is_left() {
        let text = r#"{"file": "shop.sql", "sha256": "ab"}"#;
        assert!(is_of_another(text, "shop.sql.gz"));
        assert!(!is_of_another(text, "shop.sql"));
        assert!(!is_of_another(r#"{"sha256": "ab"}"#, "shop.sql.gz"));
    }

    #[test]
    fn a_hash_in_each_form() {
        let hash = "a".repeat(64);
        for text in [hash.clone(), format!("{hash} *x/shop.dump\n")] {
            assert_eq!(hash_of(&text, "shop.dump"), Some(hash.clone()), "{text}");
        }
        assert_eq!(hash_of(&format!("{hash}  other"), "shop.dump"), None);
    }

    #[test]
    fn a_meta_file_of_ours_tells_facts_and_a_foreign_one_its_hash() {
        let beside = parse_meta("m".into(), r#"{"sha256": "AB"}"#).unwrap();
        assert_eq!(beside.sha256.as_deref(), Some("ab"));
        assert!(beside.facts.is_none());
        let text = r#"{"resguardo": "1", "format": 1, "taken_at": "2026-01-02T03:04:05Z"}"#;
        let beside = parse_meta("m".into(), text).unwrap();
        assert_eq!(
            beside.taken_at,
            Some("2026-01-02T03:04:05Z".parse().unwrap())
        );
        assert!(parse_meta("m".into(), r#"{"resguardo": "1", "format": 2}"#).is_err());
    }
}
