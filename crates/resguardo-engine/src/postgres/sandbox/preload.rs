//! Libraries that a server loads as it starts, without which some extensions cannot be made or asked: those of the
//! source's that have an extension's name. What they would do by themselves (jobs, requests), they must not do in a
//! drill: such a server runs no background workers.

use std::path::Path;

use resguardo_model::SourceFacts;
use serde_json::Value;

use crate::port::EngineError;
use crate::postgres::session::Session;

/// Ends the name of a library's file.
const FILE_END: &str = ".so";

/// The libraries that the source's extensions need.
pub(super) fn needed(facts: Option<&SourceFacts>) -> Vec<String> {
    let detail = |name: &str| facts.and_then(|facts| facts.details.get(name));
    let Some(Value::Array(loaded)) = detail("shared_preload_libraries") else {
        return Vec::new();
    };
    let extensions = detail("extensions").and_then(Value::as_object);
    let is_needed = |library: &&str| {
        extensions.is_some_and(|extensions| extensions.contains_key(bare(library)))
    };
    let loaded = loaded.iter().filter_map(Value::as_str);
    loaded
        .filter(is_needed)
        .map(|one| bare(one).to_owned())
        .collect()
}

/// The name of a library without the folder that all of them lie in.
fn bare(library: &str) -> &str {
    library.strip_prefix("$libdir/").unwrap_or(library)
}

/// Which of them the server of `session` has, and which it lacks.
///
/// # Errors
/// If it cannot be asked where they lie.
pub(super) fn parted(
    session: &Session,
    needed: &[String],
) -> Result<(Vec<String>, Vec<String>), EngineError> {
    let rows = session.rows("select setting from pg_catalog.pg_config where name = 'PKGLIBDIR'")?;
    let folder = rows.first().map_or("", |row| row.text(0));
    let is_there = |name: &String| Path::new(folder).join(format!("{name}{FILE_END}")).exists();
    Ok(needed.iter().cloned().partition(is_there))
}

/// The settings that load them, for a server on which `database` is restored.
pub(super) fn settings(libraries: &[String], database: &str) -> Vec<(&'static str, String)> {
    let quoted: Vec<_> = libraries
        .iter()
        .map(|name| format!("\"{}\"", name.replace('"', "\"\"")))
        .collect();
    let mut settings = vec![
        ("shared_preload_libraries", quoted.join(",")),
        ("max_worker_processes", "0".to_owned()),
    ];
    if libraries.iter().any(|name| name == "pg_cron") {
        // It can be made in no other database.
        settings.push(("cron.database_name", database.to_owned()));
    }
    settings
}

/// What is to be told of those that are not loaded.
pub(super) fn told(libraries: &[String], why: &str) -> String {
    format!(
        "the source loads {} as it starts, the sandbox does not: {why}",
        libraries.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use resguardo_model::{EngineKind, Sha256Digest};
    use serde_json::json;

    use super::*;

    #[test]
    fn what_an_extension_needs_is_loaded_and_nothing_else() {
        let mut facts = SourceFacts {
            engine: EngineKind::Postgres,
            server_version: "15.4".to_owned(),
            schema_sha256: Sha256Digest::of(b""),
            tables: Vec::new(),
            details: [(
                "extensions".to_owned(),
                json!({"pg_cron": "1.6", "vector": "0.8"}),
            )]
            .into(),
        };
        assert!(needed(Some(&facts)).is_empty());
        facts.details.insert(
            "shared_preload_libraries".to_owned(),
            json!(["auto_explain", "$libdir/pg_cron"]),
        );
        let needed = needed(Some(&facts));
        assert_eq!(needed, ["pg_cron"]);
        let settings = settings(&needed, "shop");
        assert_eq!(settings[0].1, "\"pg_cron\"");
        assert!(settings.contains(&("max_worker_processes", "0".to_owned())));
        assert!(settings.contains(&("cron.database_name", "shop".to_owned())));
    }
}
