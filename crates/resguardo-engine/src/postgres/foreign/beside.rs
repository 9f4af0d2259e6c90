//! What lies beside a dump and speaks of it: `NAME.sha256`, and the `.meta.json` that an export writes.

use std::path::Path;

use crate::beside::{other_file, read_if_there};
use crate::meta::Beside;
use crate::port::EngineError;

/// Largest file that is read as one of those that lie beside a dump.
const BYTES_MAX: u64 = 64 << 20;
/// Endings that a name of a `.meta.json` may lack.
const ENDINGS: [&str; 8] = [
    ".gz", ".zst", ".sql", ".dump", ".tar", ".backup", ".pgdump", ".custom",
];

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
            if position == 0 || other_file(&text, &name).is_none() {
                found.push(Beside::parse(path, &text)?);
            }
        }
    }
    found.extend(Beside::of_sums(file, &name, BYTES_MAX)?);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::beside::hash_of;

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
        assert_eq!(other_file(text, "shop.sql.gz").as_deref(), Some("shop.sql"));
        assert_eq!(other_file(text, "shop.sql"), None);
        assert_eq!(other_file(r#"{"sha256": "ab"}"#, "shop.sql.gz"), None);
    }

    #[test]
    fn a_hash_in_each_form() {
        let hash = "a".repeat(64);
        for text in [hash.clone(), format!("{hash} *x/shop.dump\n")] {
            assert_eq!(hash_of(&text, "shop.dump"), Some(hash.clone()), "{text}");
        }
        assert_eq!(hash_of(&format!("{hash}  other"), "shop.dump"), None);
    }
}
