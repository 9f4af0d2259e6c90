//! Makes the database that a restore fills, as the source's was, and drops it again if the restore fails.

use std::time::Duration;

use crate::port::EngineError;
use crate::postgres::inventory::Inventory;
use crate::postgres::name;
use crate::postgres::pooler;
use crate::postgres::session::{Limits, Session};
use crate::postgres::settings::Settings;
use resguardo_model::CancelToken;

/// Databases from which others are made and dropped: every server has them.
const MAINTENANCE: [&str; 2] = ["postgres", "template1"];
/// Longest time for a database to be made or dropped.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A session on the same server that is not in the database of `settings`.
///
/// # Errors
/// Why there is none.
pub(in crate::postgres) fn beside(
    settings: &Settings,
    limits: Limits,
    cancel: &CancelToken,
) -> Result<Session, EngineError> {
    let mut first = None;
    for database in MAINTENANCE {
        if database == settings.database() {
            continue;
        }
        match pooler::two_sessions(&settings.with_database(database), limits, cancel) {
            Ok((session, _)) => return Ok(session),
            Err(error @ EngineError::Unsupported { .. }) => return Err(error),
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.expect("the two names differ"))
}

/// Makes the database; its encoding and collation are those of the source, if that is known.
///
/// # Errors
/// [`EngineError::Denied`] if this role may not.
pub(in crate::postgres) fn create(
    beside: &Session,
    database: &str,
    inventory: Option<&Inventory>,
    owner: Option<&str>,
) -> Result<(), EngineError> {
    let mut sql = format!("create database {}", name::identifier(database));
    if let Some(owner) = owner {
        sql.push_str(&format!(" owner {}", name::identifier(owner)));
    }
    if let Some(inventory) = inventory {
        sql.push_str(&kind(inventory, beside.version().major()));
    }
    beside.batch_within(&sql, TIMEOUT)
}

/// What a database is that is like the source's, on a server of `major`.
fn kind(inventory: &Inventory, major: u32) -> String {
    let mut sql = format!(
        " template template0 encoding {} lc_collate {} lc_ctype {}",
        name::literal(&inventory.encoding),
        name::literal(&inventory.collate),
        name::literal(&inventory.ctype)
    );
    let locale = inventory.locale.as_deref().map(name::literal);
    match (inventory.locale_provider.as_str(), locale) {
        ("i", Some(locale)) => {
            sql.push_str(&format!(" locale_provider icu icu_locale {locale}"));
            if let Some(rules) = &inventory.icu_rules {
                sql.push_str(&format!(" icu_rules {}", name::literal(rules)));
            }
        }
        ("b", Some(locale)) => {
            sql.push_str(&format!(" locale_provider builtin builtin_locale {locale}"));
        }
        // The default of a newer server may be another one.
        _ if major >= 15 => sql.push_str(" locale_provider libc"),
        _ => {}
    }
    sql
}

/// Drops the database with whoever is in it.
///
/// # Errors
/// If it is still there.
pub(in crate::postgres) fn drop(beside: &Session, database: &str) -> Result<(), EngineError> {
    let quoted = name::identifier(database);
    beside.batch_within(
        &format!("drop database if exists {quoted} with (force)"),
        TIMEOUT,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_like_the_sources() {
        let mut inventory = Inventory {
            encoding: "LATIN1".to_owned(),
            collate: "de_DE".to_owned(),
            ctype: "C".to_owned(),
            locale_provider: "c".to_owned(),
            ..crate::postgres::restore::empty_inventory()
        };
        assert_eq!(
            kind(&inventory, 14),
            " template template0 encoding 'LATIN1' lc_collate 'de_DE' lc_ctype 'C'"
        );
        assert!(kind(&inventory, 18).ends_with(" locale_provider libc"));
        inventory.locale_provider = "i".to_owned();
        inventory.locale = Some("de-u-co-phonebk".to_owned());
        assert!(
            kind(&inventory, 16).ends_with(" locale_provider icu icu_locale 'de-u-co-phonebk'")
        );
        inventory.locale_provider = "b".to_owned();
        assert!(kind(&inventory, 18).contains(" locale_provider builtin builtin_locale "));
    }
}
