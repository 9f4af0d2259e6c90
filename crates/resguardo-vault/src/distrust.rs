//! Packs that were read and found damaged: the next backup stores again what they held.
//!
//! A list in the cache, one digest a line. Lost with the cache, damage is found again by the next
//! verification or drill.

use std::collections::HashSet;
use std::io::Write as _;

use resguardo_model::{Finding, FindingKind, Sha256Digest, SourceName};

use crate::error::VaultError;
use crate::layout;
use crate::vault::Vault;

pub(crate) const FILE: &str = "damaged-packs";

impl Vault {
    /// Remembers the pack of a finding, if it is about a damaged pack.
    #[expect(
        clippy::disallowed_methods,
        reason = "a cache: a loss of power may lose it"
    )]
    pub(crate) fn distrust_pack_of(&self, finding: &Finding) {
        let damaged = matches!(
            finding.kind,
            FindingKind::PackDamaged | FindingKind::PackUnreadable
        );
        let (Some(source), true) = (&finding.source, damaged) else {
            return;
        };
        let Some(pack) = finding
            .object
            .parse()
            .ok()
            .and_then(|key| layout::pack_digest(&key))
        else {
            return;
        };
        if self.distrusted_packs(source).contains(&pack) {
            return;
        }
        let folder = self.cache_of(source);
        let append = || -> std::io::Result<()> {
            std::fs::create_dir_all(&folder)?;
            let mut file = std::fs::File::options()
                .create(true)
                .append(true)
                .open(folder.join(FILE))?;
            writeln!(file, "{pack}")
        };
        // Not remembered, it is found again.
        let _ = append();
    }

    /// As [`Vault::distrust_pack_of`], for an error on its way to the caller.
    pub(crate) fn distrust(&self, error: VaultError) -> VaultError {
        if let VaultError::Damaged(finding) = &error {
            self.distrust_pack_of(finding);
        }
        error
    }

    /// Packs of a source that were found damaged.
    pub(crate) fn distrusted_packs(&self, source: &SourceName) -> HashSet<Sha256Digest> {
        let text = std::fs::read_to_string(self.cache_of(source).join(FILE)).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }
}
