//! What a recovery kit has to tell, gathered from the config, the vault and the keys of this machine; and what
//! a page that was made before does not tell.

use std::path::PathBuf;

use jiff::Timestamp;
use resguardo_model::{EngineKind, WriterId};
use resguardo_vault::{VaultConfig, WriteKey};

use super::{CopyNamed, Kit};
use crate::config::Config;
use crate::keys::is_protected;

/// The name of the page, beside the config.
pub const FILE: &str = "recovery-kit.md";

/// What a page is made of.
#[derive(Debug)]
pub struct About<'a> {
    /// Where the vault and its copies are.
    pub config: &'a Config,
    /// `vault.json`.
    pub description: &'a VaultConfig,
    /// The write key, which says whom this machine believes.
    pub key: &'a WriteKey,
    /// The identity, if it is on this machine.
    pub identity: Option<PathBuf>,
    /// The sources and their engines.
    pub sources: Vec<(String, Option<EngineKind>)>,
    /// The machine.
    pub host: String,
    /// The time.
    pub now: Timestamp,
}

impl About<'_> {
    /// The page.
    #[must_use]
    pub fn kit(self) -> Kit {
        let first_of = |kind: EngineKind| {
            let mut all = self.sources.iter();
            all.find(|(_, engine)| *engine == Some(kind))
                .map(|(name, _)| name.clone())
        };
        let url = self.config.vault.url.as_ref();
        Kit {
            vault: self.description.vault,
            place: url.map(|url| url.value.clone()).unwrap_or_default(),
            copies: copies_of(self.config),
            recipients: self.description.recipients.clone(),
            writer: self.key.writer(),
            other_writers: others_of(self.key),
            host: self.host,
            protected: self.identity.as_deref().is_some_and(is_protected),
            identity: self.identity.map(|path| path.display().to_string()),
            postgres: first_of(EngineKind::Postgres),
            sqlite: first_of(EngineKind::Sqlite),
            sources: self.sources.into_iter().map(|(name, _)| name).collect(),
            made_at: self.now,
        }
    }
}

/// The sources of a config.
#[must_use]
pub fn sources_of(config: &Config) -> Vec<(String, Option<EngineKind>)> {
    let all = config.sources.iter();
    all.map(|source| (source.name.to_string(), Some(source.elsewhere.engine)))
        .collect()
}

/// What a page does not name and should: recipients, writers, copies. Nothing of a page of another vault.
#[must_use]
pub fn missing(
    page: &str,
    config: &Config,
    description: &VaultConfig,
    key: Option<&WriteKey>,
) -> Vec<String> {
    if !page.contains(&description.vault.to_string()) {
        return Vec::new();
    }
    let recipients = description.recipients.iter();
    let recipients = recipients.map(|one| (one.clone(), format!("the recipient {one}")));
    let writers = key.into_iter().flat_map(|key| {
        let others = others_of(key).into_iter().map(|(writer, _)| writer);
        std::iter::once(key.writer()).chain(others)
    });
    let writers = writers.map(|writer| (writer.to_string(), format!("the writer {writer}")));
    let copies = copies_of(config).into_iter();
    let copies = copies.map(|copy| (copy.place, format!("the copy {}", copy.name)));
    recipients
        .chain(writers)
        .chain(copies)
        .filter(|(needle, _)| !page.contains(needle))
        .map(|(_, words)| words)
        .collect()
}

fn copies_of(config: &Config) -> Vec<CopyNamed> {
    let all = config.copies.iter();
    all.map(|copy| CopyNamed {
        name: copy.name.clone(),
        place: copy.url.clone(),
    })
    .collect()
}

/// Whom a key believes besides itself, and since when no more.
fn others_of(key: &WriteKey) -> Vec<(WriterId, Option<Timestamp>)> {
    let own = key.writer();
    let trusted = key.trusted_writers().iter().map(|writer| (*writer, None));
    let retired = key.retired_writers().iter();
    let retired = retired.map(|one| (one.writer, Some(one.retired_at)));
    trusted
        .chain(retired)
        .filter(|(writer, _)| *writer != own)
        .collect()
}
