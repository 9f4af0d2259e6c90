//! The `.meta.json` that lies beside an exported database, and the names by which such files find each
//! other. Pure, but for reading the small file itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use resguardo_model::{EngineKind, Sha256Digest, SourceFacts, TableFacts};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::failure::{other, place};
use crate::beside::{hash_of, read_if_there};
use crate::port::EngineError;

/// Version of the file's own format.
pub(super) const FORMAT: u32 = 1;
/// Endings of a database, without `.gz`.
const ENDINGS: [&str; 3] = [".sqlite", ".sqlite3", ".db"];
/// What [`EngineError::UnknownFormat`] lists.
pub(super) const KNOWN: &str = ".sqlite, .sqlite3, .db, and each of them with .gz";
/// Largest file that is read as one of those that lie beside a database.
const BESIDE_BYTES_MAX: u64 = 16 << 20;

/// What an export says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Meta {
    /// [`FORMAT`].
    pub(super) format: u32,
    /// Name of the file that it describes.
    pub(super) file: String,
    /// SHA-256 of that file as it lies there, compressed or not: what `sha256sum` prints.
    pub(super) sha256: Sha256Digest,
    /// Its size.
    pub(super) bytes: u64,
    /// SHA-256 of the database.
    pub(super) database_sha256: Sha256Digest,
    /// Size of the database.
    pub(super) database_bytes: u64,
    /// Size of a page.
    pub(super) page_size: u64,
    /// Number of pages.
    pub(super) page_count: u64,
    /// Every table with its rows.
    pub(super) tables: Vec<TableFacts>,
    /// Digest of the schema.
    pub(super) schema_sha256: Sha256Digest,
    /// The instant of the snapshot.
    pub(super) taken_at: Timestamp,
    /// Version of Resguardo that wrote it.
    pub(super) resguardo: String,
    /// Version of SQLite that read the source.
    pub(super) sqlite: String,
    /// The other facts of the source.
    #[serde(default)]
    pub(super) details: BTreeMap<String, Value>,
}

impl Meta {
    /// The facts as a manifest would hold them.
    pub(super) fn facts(&self) -> SourceFacts {
        SourceFacts {
            engine: EngineKind::Sqlite,
            server_version: self.sqlite.clone(),
            schema_sha256: self.schema_sha256,
            tables: self.tables.clone(),
            details: self.details.clone(),
        }
    }
}

/// The names of a database file and of what may lie beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    /// The file's own name.
    pub(super) file: String,
    /// The database's name: without `.gz`.
    pub(super) database: String,
    /// The name without any ending.
    stem: String,
    /// The file is compressed.
    pub(super) gzip: bool,
}

impl Names {
    /// The names of `path`; none if its ending is not one of a database.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let file = path.file_name()?.to_str()?.to_owned();
        let (database, gzip) = match strip_ending(&file, ".gz") {
            Some(database) => (database.to_owned(), true),
            None => (file.clone(), false),
        };
        let stem = ENDINGS
            .iter()
            .find_map(|ending| strip_ending(&database, ending))?;
        Some(Self {
            stem: stem.to_owned(),
            file,
            database,
            gzip,
        })
    }

    /// The `.meta.json` that an export writes: `shop.meta.json` for `shop.sqlite.gz`.
    pub(super) fn meta(&self) -> String {
        format!("{}.meta.json", self.stem)
    }

    /// Every name under which a `.meta.json` of this file is looked for.
    fn metas(&self) -> Vec<String> {
        let mut names = vec![
            self.meta(),
            format!("{}.meta.json", self.database),
            format!("{}.meta.json", self.file),
        ];
        names.dedup();
        names
    }
}

/// The text before an ending, which is not the whole name; capitals do not matter.
fn strip_ending<'a>(name: &'a str, ending: &str) -> Option<&'a str> {
    let at = name.len().checked_sub(ending.len())?;
    let tail = name.get(at..)?;
    (at > 0 && tail.eq_ignore_ascii_case(ending)).then(|| &name[..at])
}

/// What lies beside a file and says which hash it must have.
#[derive(Debug)]
pub(super) struct Beside {
    /// Where it was read.
    pub(super) path: PathBuf,
    /// The hash, in lower-case hexadecimal digits, if one is named.
    pub(super) sha256: Option<String>,
    /// All of it, if an export of ours wrote it.
    pub(super) meta: Option<Meta>,
}

/// Reads everything that lies beside `file` and speaks of it.
///
/// # Errors
/// If such a file cannot be read or understood: it is then not known whether the database is whole.
pub(super) fn beside(file: &Path, names: &Names) -> Result<Vec<Beside>, EngineError> {
    let mut found = Vec::new();
    for name in names.metas() {
        let path = file.with_file_name(name);
        if let Some(text) = read_if_there(&path, BESIDE_BYTES_MAX)? {
            found.push(parse_meta(path, &text)?);
        }
    }
    let path = file.with_file_name(format!("{}.sha256", names.file));
    if let Some(text) = read_if_there(&path, BESIDE_BYTES_MAX)? {
        let sha256 = hash_of(&text, &names.file).ok_or_else(|| EngineError::Corrupt {
            place: place(&path),
            why: format!("it names no SHA-256 of {}", names.file),
        })?;
        found.push(Beside {
            path,
            sha256: Some(sha256),
            meta: None,
        });
    }
    Ok(found)
}

/// Ours are read whole; of a foreign one only the field `sha256` is known.
fn parse_meta(path: PathBuf, text: &str) -> Result<Beside, EngineError> {
    let value: Value = serde_json::from_str(text).map_err(|error| EngineError::Corrupt {
        place: place(&path),
        why: error.to_string(),
    })?;
    let sha256 = value.get("sha256").and_then(Value::as_str);
    let sha256 = sha256.map(str::to_ascii_lowercase);
    let mut meta = None;
    if value.get("resguardo").is_some() {
        match value.get("format").and_then(Value::as_u64) {
            Some(format) if format == u64::from(FORMAT) => {}
            format => {
                let format = format.map_or("?".to_owned(), |format| format.to_string());
                let why = format!("it is of format {format}, this Resguardo reads {FORMAT}");
                return Err(other("reading", &path, why));
            }
        }
        let ours = serde_json::from_value(value).map_err(|error| EngineError::Corrupt {
            place: place(&path),
            why: error.to_string(),
        })?;
        meta = Some(ours);
    }
    Ok(Beside { path, sha256, meta })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_by_their_endings() {
        for (name, database, meta, gzip) in [
            ("shop.sqlite.gz", "shop.sqlite", "shop.meta.json", true),
            ("shop-1.2.db", "shop-1.2.db", "shop-1.2.meta.json", false),
            ("S.SQLITE3.GZ", "S.SQLITE3", "S.meta.json", true),
        ] {
            let names = Names::of(&Path::new("/x").join(name)).expect(name);
            assert_eq!(names.database, database);
            assert_eq!(names.meta(), meta);
            assert_eq!(names.gzip, gzip);
        }
        for name in ["shop.dump", "shop.gz", ".db", "db", "shop.sql", "ñ"] {
            assert_eq!(Names::of(Path::new(name)), None, "{name}");
        }
    }

    #[test]
    fn a_hash_is_found_in_each_form() {
        let hash = "a".repeat(64);
        let other = "b".repeat(64);
        for text in [
            hash.clone(),
            format!("{}  shop.db\n", hash.to_uppercase()),
            format!("{hash} *shop.db"),
            format!("{hash}  ./backups/shop.db"),
            format!("{other}  other.db\n{hash}  shop.db\n"),
        ] {
            assert_eq!(hash_of(&text, "shop.db"), Some(hash.clone()), "{text}");
        }
        for text in ["", "hola", &format!("{hash}  other.db"), &hash[1..]] {
            assert_eq!(hash_of(text, "shop.db"), None, "{text}");
        }
    }

    #[test]
    fn a_meta_file_of_a_newer_format_is_refused_by_name() {
        let text = r#"{"resguardo": "9.0.0", "format": 2, "sha256": "aa"}"#;
        let error = parse_meta("shop.meta.json".into(), text).expect_err("newer");
        let cause = std::error::Error::source(&error).expect("a cause");
        assert!(cause.to_string().contains("format 2"), "{cause}");
    }

    #[test]
    fn a_foreign_meta_file_gives_its_hash_alone() {
        let beside = parse_meta("m".into(), r#"{"sha256": "AB", "size": 3}"#).unwrap();
        assert_eq!(beside.sha256.as_deref(), Some("ab"));
        assert!(beside.meta.is_none());
        assert!(parse_meta("m".into(), "{").is_err());
    }
}
