//! The `.meta.json` that lies beside an exported file: of one shape for every engine. Pure, but for writing the
//! small file itself.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use resguardo_model::{Sha256Digest, SourceFacts};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::beside::{hash_of, read_if_there};
use crate::durable;
use crate::port::{Captured, EngineError, FileDigest};

/// Version of the file's own format.
const FORMAT: u32 = 2;

/// What an export says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Meta {
    /// [`FORMAT`].
    pub(crate) format: u32,
    /// Name of the file that it describes.
    pub(crate) file: String,
    /// SHA-256 of that file as it lies there, compressed or not: what `sha256sum` prints.
    pub(crate) sha256: Sha256Digest,
    /// Its size in bytes.
    pub(crate) bytes: u64,
    /// What is inside, where the file is a database or a compressed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) database: Option<Inside>,
    /// The instant of the snapshot.
    pub(crate) taken_at: Timestamp,
    /// Version of Resguardo that wrote it.
    pub(crate) resguardo: String,
    /// Names and versions of libraries and tools that took part.
    pub(crate) tools: BTreeMap<String, String>,
    /// What is known of the data in that snapshot.
    pub(crate) facts: SourceFacts,
    /// What the engine's own checks compare, in its own format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) inventory: Option<Value>,
}

/// A database as it is inside a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inside {
    /// SHA-256 of all of it.
    pub(crate) sha256: Sha256Digest,
    /// Its size in bytes.
    pub(crate) bytes: u64,
}

impl Meta {
    /// Of the file `out`, which was written from `captured`.
    pub(crate) fn of(out: &Path, written: FileDigest, captured: Captured) -> Self {
        let name = out.file_name().unwrap_or_default();
        Self {
            format: FORMAT,
            file: name.to_string_lossy().into_owned(),
            sha256: written.sha256,
            bytes: written.bytes,
            database: None,
            taken_at: captured.taken_at,
            resguardo: env!("CARGO_PKG_VERSION").to_owned(),
            tools: captured.tools.into_iter().collect(),
            facts: captured.facts,
            inventory: None,
        }
    }

    /// Writes and flushes it, for its owner alone.
    ///
    /// # Errors
    /// The system's answer.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let mut file = durable::create_private(path)?;
        serde_json::to_writer_pretty(&mut file, self)?;
        file.write_all(b"\n")?;
        file.sync_all()
    }
}

/// What lies beside a file and says which hash it must have.
#[derive(Debug)]
pub(crate) struct Beside {
    /// Where it was read.
    pub(crate) path: PathBuf,
    /// The hash, in lower-case hexadecimal digits, if one is named.
    pub(crate) sha256: Option<String>,
    /// All of it, if an export of ours wrote it.
    pub(crate) meta: Option<Meta>,
}

impl Beside {
    /// What `NAME.sha256`, as `sha256sum` writes it, says of `file` of that name; `None` if there is none.
    ///
    /// # Errors
    /// If it is there and names no hash of it.
    pub(crate) fn of_sums(
        file: &Path,
        name: &str,
        bytes_max: u64,
    ) -> Result<Option<Self>, EngineError> {
        let path = file.with_file_name(format!("{name}.sha256"));
        let Some(text) = read_if_there(&path, bytes_max)? else {
            return Ok(None);
        };
        let sha256 = hash_of(&text, name).ok_or_else(|| EngineError::Corrupt {
            place: path.display().to_string(),
            why: format!("it names no SHA-256 of {name}"),
        })?;
        Ok(Some(Self {
            path,
            sha256: Some(sha256),
            meta: None,
        }))
    }

    /// What the text of a `.meta.json` says. Ours are read whole; of a foreign one only the field `sha256` is
    /// known.
    ///
    /// # Errors
    /// [`EngineError::Corrupt`], or [`EngineError::Unsupported`] where it is of another format: it is then not
    /// known whether the file is whole.
    pub(crate) fn parse(path: PathBuf, text: &str) -> Result<Self, EngineError> {
        let place = path.display().to_string();
        let corrupt = |why: String| EngineError::Corrupt {
            place: place.clone(),
            why,
        };
        let value: Value =
            serde_json::from_str(text).map_err(|error| corrupt(error.to_string()))?;
        let sha256 = value.get("sha256").and_then(Value::as_str);
        let sha256 = sha256.map(str::to_ascii_lowercase);
        if value.get("resguardo").is_none() {
            return Ok(Self {
                path,
                sha256,
                meta: None,
            });
        }
        let format = value.get("format").and_then(Value::as_u64);
        if format != Some(u64::from(FORMAT)) {
            let format = format.map_or("?".to_owned(), |format| format.to_string());
            return Err(EngineError::Unsupported {
                place,
                why: format!("it is of format {format}, this Resguardo reads {FORMAT}"),
                next: "use the version of Resguardo that wrote it, or take it away to go by the file alone"
                    .to_owned(),
            });
        }
        let meta = serde_json::from_value(value).map_err(|error| corrupt(error.to_string()))?;
        Ok(Self {
            path,
            sha256,
            meta: Some(meta),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_another_format_is_refused_by_name() {
        for format in ["1", "3"] {
            let text = format!(r#"{{"resguardo": "9.0.0", "format": {format}, "sha256": "aa"}}"#);
            let error = Beside::parse("shop.meta.json".into(), &text).expect_err("another");
            let words = error.to_string();
            assert!(words.contains(&format!("of format {format}")), "{words}");
        }
    }

    #[test]
    fn a_foreign_one_gives_its_hash_alone() {
        let beside = Beside::parse("m".into(), r#"{"sha256": "AB", "size": 3}"#).unwrap();
        assert_eq!(beside.sha256.as_deref(), Some("ab"));
        assert!(beside.meta.is_none());
        assert!(Beside::parse("m".into(), "{").is_err());
    }
}
