//! `[catalog]`, `[serve]` and labels, from what is written to who takes what.

use std::time::Duration;

use resguardo_engine::port::Location;
use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::file::{CatalogFile, Leaf};
use super::interpolate::SecretRef;
use super::late::LateSecret;
use super::location::POSTGRES_HINT;
use super::problem::Problem;
use super::resolver::Resolver;
use super::{Config, SourceSettings};

/// Seconds that a machine may be silent.
const LEASE_SECONDS: u64 = 60;
const LEASE_SECONDS_MIN: u64 = 5;
const LEASE_SECONDS_MAX: u64 = 60 * 60;
/// Longest label, in bytes.
const LABEL_BYTES_MAX: usize = 63;

/// What several machines share.
#[derive(Clone, Debug)]
pub struct CatalogSettings {
    /// Where it is; or why that cannot be told at present.
    pub url: LateSecret,
    /// How long a machine may be silent.
    pub lease: Duration,
}

impl Config {
    /// Whether this machine takes a source.
    #[must_use]
    pub fn takes(&self, source: &SourceSettings) -> bool {
        let can = |label: &String| self.labels.contains(label);
        source.labels.is_empty() || source.labels.iter().any(can)
    }
}

impl Resolver<'_> {
    /// What `[catalog]` says. A variable that is not set keeps nobody from taking backups by hand.
    pub(super) fn catalog(&mut self, file: &CatalogFile) -> CatalogSettings {
        let url = match self.replaced(&file.url) {
            Ok(setting) => {
                let reference = SecretRef::parse(setting.value);
                let shown = match &reference {
                    SecretRef::Value(url) => {
                        self.checked(&file.url, url.expose_secret());
                        Location::new(url.expose_secret()).to_string()
                    }
                    other => other.shown(),
                };
                self.record("catalog.url", Value::from(shown), setting.origin);
                Ok(reference)
            }
            Err(problem) => {
                self.record_unset("catalog.url".to_owned(), &file.url);
                Err(problem.message)
            }
        };
        let lease = self.length("catalog.lease", file.lease.as_ref(), LEASE_SECONDS);
        if let Some(leaf) = &file.lease
            && !(LEASE_SECONDS_MIN..=LEASE_SECONDS_MAX).contains(&lease.as_secs())
        {
            let message = format!("{} is no time to wait for a machine", leaf.get().as_str());
            self.problems
                .push(Problem::at(leaf.span(), message, "5s to 1h"));
        }
        CatalogSettings { url, lease }
    }

    fn checked(&mut self, leaf: &Leaf<String>, url: &str) {
        if url.starts_with("postgresql://") || url.starts_with("postgres://") {
            return;
        }
        let message = "the shared catalog is a PostgreSQL database";
        let problem = Problem::at(leaf.span(), message, "postgresql://...");
        self.problems.push(problem.with_hint(format!(
            "{POSTGRES_HINT}; a single machine needs no [catalog]"
        )));
    }

    /// Labels, each a word.
    pub(super) fn labels(&mut self, key: &str, leaf: Option<&Leaf<Vec<String>>>) -> Vec<String> {
        let (Some(leaf), Some(labels)) = (leaf, self.optional(key, leaf)) else {
            return Vec::new();
        };
        for label in labels.iter().filter(|label| !is_label(label)) {
            let message = format!("{label:?} is no label");
            let words = "1 to 63 of a-z, 0-9, _ and -";
            self.problems.push(Problem::at(leaf.span(), message, words));
        }
        labels
    }
}

/// Whether it is a label.
#[must_use]
pub fn is_label(text: &str) -> bool {
    let fits = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    !text.is_empty() && text.len() <= LABEL_BYTES_MAX && text.bytes().all(fits)
}
