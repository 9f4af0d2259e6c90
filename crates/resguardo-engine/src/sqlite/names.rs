//! The names by which an exported database and what lies beside it find each other. Pure, but for reading those
//! small files themselves.

use std::path::Path;

use crate::beside::{other_file, read_if_there};
use crate::meta::Beside;
use crate::port::EngineError;

/// Endings of a database, without `.gz`.
const ENDINGS: [&str; 3] = [".sqlite", ".sqlite3", ".db"];
/// What [`EngineError::UnknownFormat`] lists.
pub(super) const KNOWN: &str = ".sqlite, .sqlite3, .db, and each of them with .gz";
/// Largest file that is read as one of those that lie beside a database.
const BESIDE_BYTES_MAX: u64 = 16 << 20;

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

    /// The `.meta.json` that an export writes: `shop.sqlite.gz.meta.json` for `shop.sqlite.gz`, so that
    /// databases of several endings can lie together.
    pub(super) fn meta(&self) -> String {
        format!("{}.meta.json", self.file)
    }

    /// Every name under which a `.meta.json` of this file is looked for.
    fn metas(&self) -> Vec<String> {
        let mut names = vec![
            self.meta(),
            format!("{}.meta.json", self.database),
            format!("{}.meta.json", self.stem),
        ];
        if !self.gzip {
            // What somebody decompressed: its hash lies there too.
            names.push(format!("{}.gz.meta.json", self.file));
        }
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

/// Reads everything that lies beside `file` and speaks of it.
///
/// # Errors
/// If such a file cannot be read or understood: it is then not known whether the database is whole.
pub(super) fn beside(file: &Path, names: &Names) -> Result<Vec<Beside>, EngineError> {
    let mut found = Vec::new();
    for (position, name) in names.metas().into_iter().enumerate() {
        let path = file.with_file_name(name);
        if let Some(text) = read_if_there(&path, BESIDE_BYTES_MAX)? {
            // `shop.sqlite.meta.json` may be that of `shop.sqlite`, which lies here too.
            let other = other_file(&text, &names.file);
            let lies_here = other.is_some_and(|other| file.with_file_name(other).exists());
            if position == 0 || !lies_here {
                found.push(Beside::parse(path, &text)?);
            }
        }
    }
    found.extend(Beside::of_sums(file, &names.file, BESIDE_BYTES_MAX)?);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::beside::hash_of;

    #[test]
    fn names_by_their_endings() {
        for (name, database, meta, gzip) in [
            (
                "shop.sqlite.gz",
                "shop.sqlite",
                "shop.sqlite.gz.meta.json",
                true,
            ),
            ("shop-1.2.db", "shop-1.2.db", "shop-1.2.db.meta.json", false),
            ("S.SQLITE3.GZ", "S.SQLITE3", "S.SQLITE3.GZ.meta.json", true),
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
}
