//! Inventory and facts, from the snapshot.

use std::collections::BTreeMap;

use resguardo_model::{EngineKind, SourceFacts, TableFacts};
use serde_json::{Value, json};

use super::rows::Planned;
use super::schema::Schema;
use crate::port::EngineError;
use crate::postgres::catalog;
use crate::postgres::inventory::{FORMAT, Inventory};
use crate::postgres::properties;
use crate::postgres::session::Session;
use crate::postgres::tools::Tools;

/// The inventory, its rows not counted yet.
///
/// # Errors
/// If the catalog cannot be asked.
pub(super) fn inventory(
    session: &Session,
    tables: Vec<Planned>,
    tools: &Tools,
) -> Result<Inventory, EngineError> {
    let database = catalog::database(session)?;
    Ok(Inventory {
        format: FORMAT,
        database: database.name,
        owner: database.owner,
        server_version: session.version().number,
        pg_dump: tools.version().to_owned(),
        encoding: database.encoding,
        locale_provider: database.locale_provider,
        collate: database.collate,
        ctype: database.ctype,
        locale: database.locale,
        icu_rules: database.icu_rules,
        tables: tables.into_iter().map(|planned| planned.table).collect(),
        indexes: catalog::indexes(session)?,
        sequences: catalog::sequences(session)?,
        matviews: catalog::matviews(session)?,
        extensions: catalog::extensions(session)?,
        roles: catalog::roles(session)?,
        properties: Some(properties::of(session)?),
        invalid: catalog::invalid(session)?,
        large_objects: None,
        migration: catalog::migration(session)?,
        left_out: catalog::left_out(session)?,
        unread: catalog::unread(session)?,
        tablespaces: catalog::tablespaces(session)?,
    })
}

/// What the manifest keeps, from a finished inventory.
///
/// # Errors
/// If the catalog cannot be asked.
pub(super) fn facts(
    session: &Session,
    inventory: &Inventory,
    schema: Schema,
) -> Result<SourceFacts, EngineError> {
    let table = |table: &crate::postgres::inventory::Table| TableFacts {
        name: table.shown(),
        rows: table.rows,
        rows_digest: Some(table.digest.clone()),
    };
    Ok(SourceFacts {
        engine: EngineKind::Postgres,
        server_version: session.version().to_string(),
        schema_sha256: schema.sha256,
        tables: inventory.tables.iter().map(table).collect(),
        details: details(
            inventory,
            catalog::database(session)?.bytes,
            catalog::system_identifier(session)?,
            &catalog::preloaded(session)?,
        ),
    })
}

fn details(
    inventory: &Inventory,
    bytes: u64,
    system_identifier: Option<String>,
    preloaded: &[String],
) -> BTreeMap<String, Value> {
    let mut details = BTreeMap::new();
    let mut add = |name: &str, value: Value| details.insert(name.to_owned(), value);
    add("database", json!(inventory.database));
    if let Some(system_identifier) = system_identifier {
        add("system_identifier", json!(system_identifier));
    }
    add("size_bytes", json!(bytes));
    add("server_version_num", json!(inventory.server_version));
    add("encoding", json!(inventory.encoding));
    add("locale_provider", json!(inventory.locale_provider));
    add("collate", json!(inventory.collate));
    add("ctype", json!(inventory.ctype));
    if let Some(locale) = &inventory.locale {
        add("locale", json!(locale));
    }
    if let Some(rules) = &inventory.icu_rules {
        add("icu_rules", json!(rules));
    }
    let extensions: BTreeMap<_, _> = inventory
        .extensions
        .iter()
        .map(|extension| (extension.name.clone(), extension.version.clone()))
        .collect();
    add("extensions", json!(extensions));
    if !preloaded.is_empty() {
        add("shared_preload_libraries", json!(preloaded));
    }
    let roles: Vec<_> = inventory.roles.iter().map(|role| &role.name).collect();
    add("roles", json!(roles));
    add("sequences", json!(inventory.sequences.len()));
    let objects = inventory.large_objects.as_ref();
    add("large_objects", json!(objects.map_or(0, |o| o.count)));
    if let Some(migration) = &inventory.migration {
        add("migration", json!(migration));
    }
    if !inventory.left_out.is_empty() {
        add("left_out", json!(inventory.left_out));
    }
    add("pg_dump", json!(inventory.pg_dump));
    details
}
