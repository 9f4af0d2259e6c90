//! A new place beside a source: a database that its server does not have yet, or a file in its folder. So whoever may
//! ask for a restore by the pages names no server, no password and no path.

use std::path::Path;

use resguardo_engine::port::{Location, RestoreOptions, TargetState};
use resguardo_model::{BackupId, EngineKind};

use super::{Hooks, RestoreDone, RestoreRequest, inspect, restore};
use crate::context::Context;
use crate::error::OpsError;
use crate::origin::Origin;
use crate::refer::Reference;
use crate::source::SourceSpec;

/// Bytes of a name: those of one in PostgreSQL.
const NAME_BYTES_MAX: usize = 63;

/// The place of that name beside a source.
///
/// # Errors
/// [`OpsError::Refused`], if it is no plain name, or the source has no place beside it.
pub fn beside(source: &SourceSpec, name: &str) -> Result<Location, OpsError> {
    let refused = |why: &str, next: &str| OpsError::Refused {
        place: name.to_owned(),
        why: why.to_owned(),
        next: next.to_owned(),
    };
    let is_file = source.engine == EngineKind::Sqlite;
    let may_begin =
        |c: char| c.is_ascii_lowercase() || (is_file && c.is_ascii_alphanumeric()) || c == '_';
    let may_follow =
        |c: char| may_begin(c) || c.is_ascii_digit() || (is_file && (c == '.' || c == '-'));
    if name.len() > NAME_BYTES_MAX || !name.starts_with(may_begin) || !name.chars().all(may_follow)
    {
        return Err(match is_file {
            true => refused(
                "is no plain name of a file",
                "use letters, digits and . _ -",
            ),
            false => refused("is no plain name of a database", "use a-z, 0-9 and _"),
        });
    }
    let own = source.location.expose();
    let elsewhere = || {
        refused(
            "cannot be named beside the source",
            "restore it on the command line: see `resguardo restore --help`",
        )
    };
    if is_file {
        let folder = Path::new(own).parent().ok_or_else(elsewhere)?;
        return Ok(Location::new(folder.join(name).display().to_string()));
    }
    let (scheme, rest) = own.split_once("://").ok_or_else(elsewhere)?;
    let (before, query) = rest
        .split_once('?')
        .map_or((rest, None), |(before, query)| (before, Some(query)));
    let authority = before
        .split_once('/')
        .map_or(before, |(authority, _)| authority);
    // A name in the query would hold instead of the new one.
    let is_name = |pair: &str| {
        pair.split('=')
            .next()
            .is_some_and(|key| key.eq_ignore_ascii_case("dbname"))
    };
    if query.is_some_and(|query| query.split('&').any(is_name)) || rest.contains('#') {
        return Err(elsewhere());
    }
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    Ok(Location::new(format!(
        "{scheme}://{authority}/{name}{query}"
    )))
}

/// The same, if nothing is there.
///
/// # Errors
/// [`OpsError::Refused`], if something is, be it empty; or if that cannot be found out.
pub fn nothing_at(ctx: &Context, source: &SourceSpec, name: &str) -> Result<Location, OpsError> {
    let to = beside(source, name)?;
    let found = inspect(ctx, source.engine, &to, std::slice::from_ref(source))?;
    let holds = match found.state {
        TargetState::Missing => return Ok(to),
        TargetState::Empty => "is there already".to_owned(),
        TargetState::Occupied { contents, .. } => format!("is there already ({contents})"),
    };
    Err(OpsError::Refused {
        place: found.place,
        why: format!("{holds}; nothing was touched"),
        next: "name another one".to_owned(),
    })
}

/// Restores a backup to the place of that name beside its source.
///
/// # Errors
/// [`OpsError::Refused`], if something is there; or those of [`restore`].
pub fn restore_beside(
    ctx: &Context,
    source: &SourceSpec,
    backup: BackupId,
    name: &str,
) -> Result<RestoreDone, OpsError> {
    let request = RestoreRequest {
        origin: Origin::Backup(Reference::Word(backup.to_string())),
        sources: std::slice::from_ref(source),
        to: nothing_at(ctx, source, name)?,
        engine: source.engine,
        options: RestoreOptions {
            create: true,
            ..RestoreOptions::default()
        },
        confirmation: None,
        safety_backup: true,
        hooks: Hooks::Never,
    };
    restore(ctx, &request)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use super::*;

    fn source(engine: EngineKind, url: &str) -> SourceSpec {
        SourceSpec::new("shop".parse().unwrap(), engine, Location::new(url))
    }

    #[test]
    fn a_database_is_named_on_the_same_server_and_a_file_in_the_same_folder() {
        for (url, expected) in [
            (
                "postgresql://ana:s3@db:5432/shop",
                "postgresql://ana:s3@db:5432/shop_new",
            ),
            (
                "postgres://db/shop?sslmode=require",
                "postgres://db/shop_new?sslmode=require",
            ),
            (
                "postgresql:///shop?host=/run/pg",
                "postgresql:///shop_new?host=/run/pg",
            ),
            ("postgresql://db", "postgresql://db/shop_new"),
        ] {
            let to = beside(&source(EngineKind::Postgres, url), "shop_new").unwrap();
            assert_eq!(to.expose(), expected);
        }
        let file = source(EngineKind::Sqlite, "/srv/shop/shop.db");
        let to = beside(&file, "Shop-2026.db").unwrap();
        assert_eq!(to.expose(), "/srv/shop/Shop-2026.db");
    }

    #[test]
    fn what_is_no_plain_name_leads_nowhere() {
        let long = "a".repeat(64);
        for name in [
            "",
            "Shop",
            "shop new",
            "shop/x",
            "../x",
            "..",
            ".",
            ".x",
            "-x",
            "shop?host=evil",
            "shop'",
            "ñ",
            "a\0b",
            "1shop",
            &long,
        ] {
            let source = source(EngineKind::Postgres, "postgresql://db/shop");
            assert!(
                matches!(beside(&source, name), Err(OpsError::Refused { .. })),
                "{name:?}"
            );
        }
        for name in ["", "a/b", "../x", "..", ".x", "a b", "a\0b", "-x", &long] {
            let source = source(EngineKind::Sqlite, "/srv/shop/shop.db");
            assert!(
                matches!(beside(&source, name), Err(OpsError::Refused { .. })),
                "{name:?}"
            );
        }
        for url in [
            "postgresql://db/shop?dbname=other",
            "postgresql://db/shop?x=1&DBNAME=o",
            "host=db dbname=shop",
            "postgresql://db/shop#x",
        ] {
            assert!(
                beside(&source(EngineKind::Postgres, url), "new").is_err(),
                "{url}"
            );
        }
    }
}
