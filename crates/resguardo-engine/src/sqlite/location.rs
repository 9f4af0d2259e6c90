//! Reads the forms in which people write where a SQLite database is. Pure: looks at no file.

use std::path::PathBuf;

use crate::port::{EngineError, Location};

const EXPECTED: &str = "the path of a SQLite database";

/// The path that a location names: `PATH`, `sqlite:PATH`, `sqlite:///abs`, `sqlite://PATH`, `file:PATH`
/// or `file:///abs`. Parameters after `?` belong to drivers (Prisma, `SQLAlchemy`) and are left out in
/// the forms with a scheme; nothing is percent-decoded, as those drivers do not either.
///
/// # Errors
/// [`EngineError::NotThatKind`] for another scheme, an in-memory database or no path at all.
pub(super) fn path_of(location: &Location) -> Result<PathBuf, EngineError> {
    let text = location.expose();
    let refused = |why: String| EngineError::NotThatKind {
        place: location.to_string(),
        expected: EXPECTED,
        why,
    };
    let rest = text
        .strip_prefix("sqlite:")
        .or_else(|| text.strip_prefix("sqlite3:"))
        .or_else(|| text.strip_prefix("file:"));
    let path = match rest {
        Some(rest) => {
            let rest = rest.strip_prefix("//").unwrap_or(rest);
            rest.split_once('?').map_or(rest, |(path, _)| path)
        }
        None => {
            if let Some((scheme, _)) = text.split_once("://") {
                return Err(refused(format!("it is a URL of {scheme}")));
            }
            text
        }
    };
    if path.is_empty() {
        return Err(refused("it names no file".to_owned()));
    }
    if path == ":memory:" {
        return Err(refused(
            "a database in memory cannot be reached from outside".to_owned(),
        ));
    }
    if path.contains('\0') {
        return Err(refused("it holds a zero byte".to_owned()));
    }
    Ok(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_names_its_path() {
        for (text, path) in [
            ("shop.sqlite", "shop.sqlite"),
            ("./a b/ñ?.db", "./a b/ñ?.db"),
            ("sqlite:shop.db", "shop.db"),
            ("sqlite:./shop.db", "./shop.db"),
            ("sqlite:///var/lib/shop.db", "/var/lib/shop.db"),
            ("sqlite://shop.db", "shop.db"),
            ("sqlite3:shop.db", "shop.db"),
            ("file:./dev.db?connection_limit=1", "./dev.db"),
            ("file:/abs/dev.db", "/abs/dev.db"),
            ("file:///abs/dev.db?mode=ro", "/abs/dev.db"),
        ] {
            assert_eq!(
                path_of(&Location::new(text)).ok(),
                Some(PathBuf::from(path)),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_path_is_refused_by_name() {
        for (text, why) in [
            ("postgres://ana:s3cret@db/shop", "a URL of postgres"),
            ("", "no file"),
            ("sqlite:", "no file"),
            (":memory:", "in memory"),
            ("sqlite::memory:", "in memory"),
        ] {
            let error = path_of(&Location::new(text)).expect_err(text).to_string();
            assert!(error.contains(why), "{error}");
            assert!(!error.contains("s3cret"));
        }
    }
}
