//! Where a source or a vault lies, seen from the right folder.

use std::path::{Path, PathBuf};

use resguardo_engine::port::Location;
use resguardo_model::{EngineKind, SourceName};

use crate::ambient::Ambient;

/// How a PostgreSQL database is named, where one was named wrongly.
pub const POSTGRES_HINT: &str = "write it as postgresql://USER@HOST:PORT/DATABASE";

/// The engine that a source's URL is for. A driver's name after the scheme counts for nothing:
/// `postgresql+psycopg2://`.
///
/// # Errors
/// The scheme, if no engine of this version knows it.
pub fn engine_of(url: &str) -> Result<EngineKind, String> {
    let Some(scheme) = scheme(url) else {
        return match mistyped(url) {
            Some(shown) => Err(shown.to_owned()),
            None => Ok(EngineKind::Sqlite),
        };
    };
    match scheme.split('+').next().unwrap_or(scheme) {
        "sqlite" | "sqlite3" | "file" => Ok(EngineKind::Sqlite),
        "postgres" | "postgresql" => Ok(EngineKind::Postgres),
        _ => Err(scheme.to_owned()),
    }
}

/// A path that was meant as a URL, as its user and password tell; what of it may be shown.
fn mistyped(url: &str) -> Option<&'static str> {
    let is_path = url.starts_with(['/', '.', '~']) && !url.starts_with("//");
    let colon = url.find(':')?;
    (!is_path && url[colon..].contains('@')).then_some("of a URL without postgresql://")
}

/// Whether it can be read as the URL of a server. Of one that cannot, nothing is shown: any part of it may be
/// the password.
pub fn is_url(url: &str) -> bool {
    url.contains("://") && !Location::new(url).to_string().ends_with('…')
}

/// Whether a PostgreSQL URL says which database it means, or the surroundings do. libpq would take the one
/// that is called like the user, which nobody means.
pub fn names_database(url: &str, ambient: &Ambient) -> bool {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let in_path = place
        .split_once('/')
        .is_some_and(|(_, name)| !name.is_empty());
    let in_parameters = parameters
        .split('&')
        .any(|one| one.starts_with("dbname=") || one.starts_with("service="));
    let around = ["PGDATABASE", "PGSERVICE"];
    in_path
        || in_parameters
        || around
            .into_iter()
            .any(|name| ambient.variable(name).is_some())
}

/// Where a database is, as its engine takes it: a file's path seen from `folder`, or the URL as it stands.
#[must_use]
pub fn locate(engine: EngineKind, url: &str, folder: &Path) -> Location {
    match engine {
        EngineKind::Sqlite => Location::new(sqlite_path(url, folder).display().to_string()),
        _ => Location::new(url),
    }
}

/// The scheme of a URL; a path has none.
fn scheme(url: &str) -> Option<&str> {
    let (scheme, _) = url.split_once(':')?;
    let fits = scheme.len() > 1
        && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    fits.then_some(scheme)
}

/// The path in any of the ways a SQLite database is named: a path, `sqlite:PATH`, `sqlite:///abs`,
/// `file:PATH`, each perhaps with `?parameters`, which are left out.
#[must_use]
pub fn sqlite_path(url: &str, folder: &Path) -> PathBuf {
    let Some(scheme) = scheme(url) else {
        return tidy(&folder.join(url));
    };
    let rest = &url[scheme.len() + 1..];
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let path = rest.split('?').next().unwrap_or(rest);
    tidy(&folder.join(path))
}

/// The same path without `.` in between.
fn tidy(path: &Path) -> PathBuf {
    path.components().collect()
}

/// A vault's URL as the stores take it: a relative folder is made absolute, the rest stays.
#[must_use]
pub fn vault_url(url: &str, folder: &Path) -> String {
    match scheme(url) {
        None => tidy(&folder.join(url)).display().to_string(),
        Some("file") => sqlite_path(url, folder).display().to_string(),
        Some(_) => url.to_owned(),
    }
}

/// What may be shown of a place's URL: without user, password and parameters. A database's URL has a
/// [`Location`] for that, and is left as it is.
#[must_use]
pub fn shown_place(url: &str) -> String {
    let is_place = |scheme: &str| !scheme.starts_with("postgres") && !scheme.starts_with("sqlite");
    let Some((scheme, rest)) = scheme(url)
        .filter(|scheme| is_place(scheme))
        .and_then(|scheme| Some((scheme, url[scheme.len()..].strip_prefix("://")?)))
    else {
        return url.to_owned();
    };
    let (place, hidden) = match rest.split_once(['?', '#']) {
        Some((place, _)) => (place, "?***"),
        None => (rest, ""),
    };
    let host = place.split('/').next().unwrap_or(place);
    // A password may have a slash in it.
    let has_user = host.contains('@') || host.contains(':') && place.contains('@');
    match place.rsplit_once('@').filter(|_| has_user) {
        Some((_, place)) => format!("{scheme}://***@{place}{hidden}"),
        None => format!("{scheme}://{place}{hidden}"),
    }
}

/// A name for the source at `url`: that of the database, or of its file without the ending.
#[must_use]
pub fn name_for(engine: EngineKind, url: &str) -> SourceName {
    if engine == EngineKind::Sqlite {
        return name_for_file(&sqlite_path(url, Path::new("")));
    }
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let place = rest.split(['?', '#']).next().unwrap_or(rest);
    let database = place.rsplit_once('/').map_or("", |(_, database)| database);
    // What stands before an @ may be a password with a slash in it.
    name_of(if database.contains('@') { "" } else { database })
}

fn name_for_file(path: &Path) -> SourceName {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy());
    name_of(&stem.unwrap_or_default())
}

/// `text` in the letters of a name.
fn name_of(text: &str) -> SourceName {
    let name: String = text
        .to_lowercase()
        .chars()
        .map(|letter| match letter {
            'a'..='z' | '0'..='9' | '_' => letter,
            _ => '-',
        })
        .take(63)
        .collect();
    name.trim_matches(['-', '_'])
        .parse()
        .unwrap_or_else(|_| "database".parse().expect("a literal that is a name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_place_neither_password_nor_parameter_is_shown() {
        for (url, shown) in [
            ("https://ana:s3cret@host:9000/a", "https://***@host:9000/a"),
            ("https://ana:s3/cr@et@host", "https://***@host"),
            ("https://s3cret@host", "https://***@host"),
            ("s3://bucket/shop?token=s3cret", "s3://bucket/shop?***"),
            ("https://host/#s3cret", "https://host/?***"),
            ("https://host:9000", "https://host:9000"),
            ("s3://bucket/a@b", "s3://bucket/a@b"),
            ("/srv/odd?name@here", "/srv/odd?name@here"),
            ("cmd:pass show a?b", "cmd:pass show a?b"),
        ] {
            assert_eq!(shown_place(url), shown);
        }
    }

    #[test]
    fn every_way_to_name_a_database() {
        for (url, path) in [
            ("shop.db", "/etc/r/shop.db"),
            ("./data/shop.db", "/etc/r/data/shop.db"),
            ("/srv/shop.db", "/srv/shop.db"),
            ("sqlite:shop.db", "/etc/r/shop.db"),
            ("sqlite:///srv/shop.db", "/srv/shop.db"),
            ("file:./dev.db?connection_limit=1", "/etc/r/dev.db"),
            ("file:///srv/shop.db", "/srv/shop.db"),
            ("odd?name.db", "/etc/r/odd?name.db"),
            ("./a:b@c.db", "/etc/r/a:b@c.db"),
        ] {
            assert_eq!(
                sqlite_path(url, Path::new("/etc/r")),
                Path::new(path),
                "{url}"
            );
            assert_eq!(engine_of(url), Ok(EngineKind::Sqlite), "{url}");
        }
        for url in [
            "postgres://db/shop",
            "postgresql://u:p@db:5433/shop?sslmode=require",
            "postgresql+psycopg2://db/shop",
        ] {
            assert_eq!(engine_of(url), Ok(EngineKind::Postgres), "{url}");
            let seen = locate(EngineKind::Postgres, url, Path::new("/etc/r"));
            assert_eq!(seen.expose(), url);
        }
        for (url, scheme) in [
            ("postgress://db/shop", "postgress"),
            ("localhost:5432/shop", "localhost"),
            ("//ana:s3cret@db/shop", "of a URL without postgresql://"),
            ("u:s3cret@db/shop", "of a URL without postgresql://"),
            ("postgres//u:s3cret@db", "of a URL without postgresql://"),
        ] {
            assert_eq!(engine_of(url), Err(scheme.to_owned()));
        }
    }

    #[test]
    fn a_database_that_is_not_named() {
        let nothing = Ambient::default();
        let around = Ambient {
            variables: [("PGDATABASE".to_owned(), "shop".to_owned())].into(),
            ..Ambient::default()
        };
        for (url, named) in [
            ("postgres://ana@db/shop", true),
            ("postgres://ana@db?dbname=shop", true),
            ("postgres:///?service=shop", true),
            ("postgres://ana@db", false),
            ("postgres://ana@db/", false),
            ("postgres://ana@db/?sslmode=require", false),
        ] {
            assert_eq!(names_database(url, &nothing), named, "{url}");
            assert!(names_database(url, &around), "{url}");
        }
    }

    #[test]
    fn a_vault_keeps_its_url_and_a_folder_becomes_absolute() {
        for (url, out) in [
            ("vault", "/srv/vault"),
            ("/mnt/vault", "/mnt/vault"),
            ("file:///mnt/vault", "/mnt/vault"),
            ("s3://bucket/a", "s3://bucket/a"),
        ] {
            assert_eq!(vault_url(url, Path::new("/srv")), out, "{url}");
        }
    }

    #[test]
    fn names_for_files() {
        for (path, name) in [
            ("/srv/Shop.sqlite", "shop"),
            ("mi tienda.db", "mi-tienda"),
            ("ñandú.db", "and"),
            ("ñ.db", "database"),
        ] {
            assert_eq!(name_for(EngineKind::Sqlite, path).as_str(), name, "{path}");
        }
        for (url, name) in [
            ("postgresql://u:p/w@db:5432/Shop?sslmode=require", "shop"),
            ("postgresql://u@db:5432/Shop?sslmode=require", "shop"),
            ("postgres://db/mi%20tienda", "mi-20tienda"),
            ("postgres://db", "database"),
            ("postgres://ana:s3/cret@db", "database"),
            ("postgres:///?service=shop", "database"),
        ] {
            assert_eq!(name_for(EngineKind::Postgres, url).as_str(), name, "{url}");
        }
    }
}
