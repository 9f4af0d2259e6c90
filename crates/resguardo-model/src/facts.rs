//! What an engine knows about the data of a backup, taken from the very snapshot that is stored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{EngineKind, Sha256Digest};

/// Facts kept in the manifest and compared by every drill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceFacts {
    /// The kind of source.
    pub engine: EngineKind,
    /// Version of the server or library that read the source, as it names itself.
    pub server_version: String,
    /// Digest of the schema in the engine's own canonical order.
    pub schema_sha256: Sha256Digest,
    /// Every table, in the order of its name.
    pub tables: Vec<TableFacts>,
    /// Facts of this engine alone (SQLite: `page_size`, `page_count`, `user_version`, ...).
    #[serde(default)]
    pub details: BTreeMap<String, Value>,
}

/// One table as it was in the snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableFacts {
    /// The table's name, qualified by its schema where the engine has schemas.
    pub name: String,
    /// Number of rows.
    pub rows: u64,
    /// Order-independent digest of the rows, for logical engines. An engine that restores files byte
    /// by byte proves its rows by the file's digest and leaves this out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_digest: Option<String>,
}

impl SourceFacts {
    /// Rows of all tables together.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }
}
