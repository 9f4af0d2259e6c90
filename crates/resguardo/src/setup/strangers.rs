//! Whoever writes into a vault that was joined and is not trusted on this machine: until it is, nothing
//! that it wrote is restored or drilled by name here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use resguardo_model::{SourceName, WriterId};
use resguardo_store::Store;
use resguardo_vault::{Access, Settings, Vault};
use serde_json::{Value, json};

use crate::error::Failure;
use crate::home::Home;
use crate::invocation::Invocation;
use crate::keys::KeyFolder;

/// A writer that is not trusted here, and the sources that it signed backups of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stranger {
    /// Who signs.
    pub writer: WriterId,
    /// What it signs.
    pub sources: BTreeSet<SourceName>,
    /// It was retired here.
    pub retired: bool,
}

impl Stranger {
    /// The shape of `docs/json.md`.
    #[must_use]
    pub fn as_json(&self) -> Value {
        json!({ "writer": self.writer, "sources": self.sources })
    }

    /// What to do about it, in a sentence.
    #[must_use]
    pub fn advice(&self) -> String {
        let sources: Vec<&str> = self.sources.iter().map(SourceName::as_str).collect();
        if self.retired {
            return format!(
                "backups of {} were signed by {} after it was retired here, and are not restored by name: whoever has its key can sign with it",
                sources.join(", "),
                self.writer,
            );
        }
        format!(
            "backups of {} are signed by {writer}, which is not trusted here and not restored by name: if the recovery kit of the host that takes them names it, run `resguardo init --trust {writer}`",
            sources.join(", "),
            writer = self.writer,
        )
    }
}

/// The writers of the vault that are not trusted with these keys.
///
/// # Errors
/// If the vault or the write key cannot be read.
pub fn of_vault(
    invocation: &Invocation,
    home: &Home,
    store: Arc<dyn Store>,
    keys: &KeyFolder,
) -> Result<Vec<Stranger>, Failure> {
    let access = Access {
        trusted_writers: Vec::new(),
        write_key: keys.read_write_key()?,
        identities: None,
    };
    let settings = Settings {
        clock: Arc::clone(&invocation.clock),
        cache: home.cache().to_path_buf(),
        threads: 1,
        compression_level: 1,
        prune_grace: resguardo_vault::PRUNE_GRACE,
    };
    let vault = Vault::open(store, access, settings)?;
    let heads = vault.heads(None)?;
    let mut found: BTreeMap<String, Stranger> = BTreeMap::new();
    for stored in heads.heads.into_iter().filter(|stored| !stored.trusted) {
        found
            .entry(stored.head.writer.to_string())
            .or_insert_with(|| Stranger {
                writer: stored.head.writer,
                sources: BTreeSet::new(),
                retired: vault.retired(stored.head.writer).is_some(),
            })
            .sources
            .insert(stored.head.source);
    }
    Ok(found.into_values().collect())
}
