//! The heads of a vault: which backups there are, and whether they are what their writers signed, in
//! the order in which they were signed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use resguardo_model::{BackupId, Finding, FindingKind, Head, Sha256Digest, SourceName};
use resguardo_store::{ObjectInfo, StoreError};
use serde::{Deserialize, Serialize};

use crate::chain::check_chain;
use crate::error::VaultError;
use crate::head::{self, HeadError};
use crate::layout;
use crate::prune::Holes;
use crate::vault::Vault;

/// A head as it lies in the vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredHead {
    /// What it says; its signature is good.
    pub head: Head,
    /// SHA-256 of the object.
    pub sha256: Sha256Digest,
    /// The object's key.
    pub key: String,
    /// Whether its writer is trusted here. Without any pin every writer is, which is said by
    /// [`Vault::pins_writers`].
    pub trusted: bool,
}

/// The heads of a vault, and what is wrong with them.
#[derive(Clone, Debug, Default)]
pub struct Heads {
    /// Heads whose signature and place are right, by source and sequence.
    pub heads: Vec<StoredHead>,
    /// Everything else.
    pub findings: Vec<Finding>,
}

impl Vault {
    /// All heads, of one source or of all.
    ///
    /// # Errors
    /// The store's own; whatever is wrong with a head is a finding.
    pub fn heads(&self, source: Option<&SourceName>) -> Result<Heads, VaultError> {
        self.heads_known(source, &|_| None)
    }

    /// As [`Vault::heads`]; heads that `known` returns for their key are not fetched again, because
    /// heads do not change.
    ///
    /// # Errors
    /// As [`Vault::heads`].
    pub fn heads_known(
        &self,
        source: Option<&SourceName>,
        known: &(dyn Fn(&str) -> Option<StoredHead> + Sync),
    ) -> Result<Heads, VaultError> {
        let prefix = source.map(layout::snapshots).unwrap_or_default();
        let listed = self.store().list(&prefix)?;
        let records: Vec<ObjectInfo> = listed
            .iter()
            .filter(|info| layout::prune_place(&info.key).is_some())
            .cloned()
            .collect();
        let places: Vec<_> = listed
            .into_iter()
            .filter_map(|info| layout::head_place(&info.key).map(|place| (info, place)))
            .collect();
        let read = self.in_parallel(&places, |(info, (source, backup))| {
            match known(info.key.as_str()) {
                Some(head) => Ok(Some(Ok(StoredHead {
                    trusted: self.trusts(head.head.writer, &head.sha256),
                    ..head
                }))),
                None => match self.read_head(info, source, *backup) {
                    // Removed since it was listed.
                    Err(VaultError::Store(StoreError::NotFound { .. })) => Ok(None),
                    other => other.map(Some),
                },
            }
        })?;
        let mut all = Heads::default();
        for result in read.into_iter().flatten() {
            match result {
                Ok(head) => all.heads.push(head),
                Err(finding) => all.findings.push(finding),
            }
        }
        self.add_unlisted(source, &mut all)?;
        all.heads.sort_by(|a, b| {
            (&a.head.source, a.head.sequence, a.head.backup).cmp(&(
                &b.head.source,
                b.head.sequence,
                b.head.backup,
            ))
        });
        self.check_order(source, &records, &mut all)?;
        Ok(all)
    }

    /// Asks by name for the newest heads that this host took and the listing lacks: a listing that lags
    /// behind must not make the next backup a second one with the same number.
    fn add_unlisted(&self, source: Option<&SourceName>, all: &mut Heads) -> Result<(), VaultError> {
        for pinned in self.remembered_heads(source) {
            let key = layout::head(&pinned.source, pinned.backup);
            let is_listed = all.heads.iter().any(|head| head.key == key.as_str())
                || all
                    .findings
                    .iter()
                    .any(|finding| finding.object == key.as_str());
            if is_listed {
                continue;
            }
            let read = self
                .store()
                .stat(&key)
                .map_err(VaultError::from)
                .and_then(|info| self.read_head(&info, &pinned.source, Some(pinned.backup)));
            match read {
                Ok(Ok(head)) => all.heads.push(head),
                Ok(Err(finding)) => all.findings.push(finding),
                Err(VaultError::Store(
                    StoreError::NotFound { .. } | StoreError::NoSuchPlace { .. },
                )) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(crate) fn read_head(
        &self,
        info: &ObjectInfo,
        source: &SourceName,
        backup: Option<BackupId>,
    ) -> Result<Result<StoredHead, Finding>, VaultError> {
        let key = &info.key;
        let finding = |kind, what: String| Finding {
            kind,
            source: Some(source.clone()),
            object: key.to_string(),
            message: format!("{key}: {what}"),
            backups_hit: backup.into_iter().collect(),
        };
        if info.bytes > HEAD_BYTES_MAX {
            let what = format!("{} bytes are no head", info.bytes);
            return Ok(Err(finding(FindingKind::HeadMalformed, what)));
        }
        // By its range: a head that swelled since it was listed fills no memory.
        let bytes = self.store().get_range(key, 0..info.bytes)?;
        let head = match head::parse(&bytes) {
            Ok(head) => head,
            Err(HeadError::NewerFormat { format, writer })
                if self.trusts(writer, &Sha256Digest::of(&bytes)) =>
            {
                return Err(VaultError::NewerFormat {
                    object: key.to_string(),
                    format,
                });
            }
            Err(HeadError::Forged) => {
                return Ok(Err(finding(
                    FindingKind::HeadForged,
                    HeadError::Forged.to_string(),
                )));
            }
            Err(malformed) => {
                return Ok(Err(finding(
                    FindingKind::HeadMalformed,
                    malformed.to_string(),
                )));
            }
        };
        if head.vault != self.id() || head.source != *source || Some(head.backup) != backup {
            let what = format!(
                "it is the head of {} of {} in vault {}",
                head.backup, head.source, head.vault
            );
            return Ok(Err(finding(FindingKind::HeadReplayed, what)));
        }
        let sha256 = Sha256Digest::of(&bytes);
        let trusted = self.trusts(head.writer, &sha256);
        Ok(Ok(StoredHead {
            head,
            sha256,
            key: key.to_string(),
            trusted,
        }))
    }

    /// Checks writers, the chain of each source, and that the newest own head is still there.
    fn check_order(
        &self,
        source: Option<&SourceName>,
        records: &[ObjectInfo],
        all: &mut Heads,
    ) -> Result<(), VaultError> {
        let mut by_source: BTreeMap<&SourceName, Vec<&StoredHead>> = BTreeMap::new();
        let mut findings = Vec::new();
        for stored in &all.heads {
            if stored.trusted {
                by_source
                    .entry(&stored.head.source)
                    .or_default()
                    .push(stored);
            } else {
                let (kind, why) = self.why_not_trusted(stored.head.writer);
                let what = format!("it is signed by {}, {why}", stored.head.writer);
                findings.push(head_finding(kind, stored, &what));
            }
        }
        let remembered = self.remembered_heads(source);
        for pinned in &remembered {
            by_source.entry(&pinned.source).or_default();
        }
        for (of, heads) in &by_source {
            let gone: Vec<&RememberedHead> = remembered
                .iter()
                .filter(|pinned| pinned.source == **of && !pinned.is_among(&all.heads))
                .collect();
            if gone.is_empty() && check_chain(heads, &Holes::default()).is_empty() {
                continue;
            }
            // Something is missing: perhaps it was pruned.
            let records = match source {
                Some(source) => self.prune_records(source),
                None => self.read_prune_records(of, records),
            }?;
            findings.extend(check_chain(heads, &records.holes));
            let gone = gone
                .iter()
                .filter(|pinned| !pinned.is_explained(&records.holes));
            findings.extend(gone.map(|pinned| Finding {
                kind: FindingKind::HeadRolledBack,
                source: Some(pinned.source.clone()),
                object: layout::head(&pinned.source, pinned.backup).to_string(),
                message: format!(
                    "backup {} of {}, the newest that this host took, is gone: the vault was rolled back",
                    pinned.backup, pinned.source
                ),
                backups_hit: vec![pinned.backup],
            }));
        }
        all.findings.extend(findings);
        Ok(())
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a cache: a loss of power may lose it"
    )]
    /// Remembers the newest head that this host wrote, so that a vault that is rolled back is noticed,
    /// and those that were found to be gone before: the alarm lasts. It lies in the cache; lost with
    /// it, the chain of heads is still checked.
    pub(crate) fn remember_head(
        &self,
        head: &StoredHead,
        gone: &[RememberedHead],
        cache: &std::path::Path,
    ) {
        let mut pins = gone.to_vec();
        pins.push(RememberedHead {
            source: head.head.source.clone(),
            backup: head.head.backup,
            sha256: head.sha256,
            sequence: Some(head.head.sequence),
        });
        let json = serde_json::to_vec(&pins).expect("strings always serialise");
        let write = || -> std::io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(cache)?;
            std::io::Write::write_all(&mut file, &json)?;
            file.persist(cache.join(REMEMBERED))
                .map(|_| ())
                .map_err(|error| error.error)
        };
        // The backup stands; without the file only a rollback of this very head goes unnoticed.
        let _ = write();
    }

    /// Forgets which heads of a source were seen, and which of its packs were found damaged.
    pub(crate) fn forget_remembered(&self, source: &SourceName) {
        for file in [REMEMBERED, crate::distrust::FILE] {
            // There may be none; one that stays raises the same alarm again.
            let _ = std::fs::remove_file(self.cache_of(source).join(file));
        }
    }

    /// The sources of which this host remembers a head that it wrote, whatever is listed of them now.
    #[must_use]
    pub fn remembered_sources(&self) -> BTreeSet<SourceName> {
        let heads = self.remembered_heads(None);
        heads.into_iter().map(|pinned| pinned.source).collect()
    }

    fn remembered_heads(&self, source: Option<&SourceName>) -> Vec<RememberedHead> {
        let read = |folder: PathBuf| -> Option<Vec<RememberedHead>> {
            serde_json::from_slice(&std::fs::read(folder.join(REMEMBERED)).ok()?).ok()
        };
        if let Some(source) = source {
            return read(self.cache_of(source)).unwrap_or_default();
        }
        let folders = std::fs::read_dir(self.cache_root())
            .into_iter()
            .flatten()
            .flatten();
        folders
            .filter_map(|folder| read(folder.path()))
            .flatten()
            .collect()
    }

    /// Heads that this host wrote, or missed before, and that are not among those of the source now,
    /// nor pruned.
    pub(crate) fn gone_heads(
        &self,
        source: &SourceName,
        heads: &[StoredHead],
        pruned: &Holes,
    ) -> Vec<RememberedHead> {
        let mut pins = self.remembered_heads(Some(source));
        pins.retain(|pin| !pin.is_among(heads) && !pin.is_explained(pruned));
        pins
    }
}

/// `docs/format.md`, "Limits".
pub(crate) const HEAD_BYTES_MAX: u64 = 64 << 20;
const REMEMBERED: &str = "last-head.json";

/// A head that this host wrote.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RememberedHead {
    source: SourceName,
    backup: BackupId,
    sha256: Sha256Digest,
    /// Its number, if it was remembered by a version that knows of prunes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sequence: Option<u64>,
}

impl RememberedHead {
    fn is_among(&self, heads: &[StoredHead]) -> bool {
        heads.iter().any(|stored| stored.sha256 == self.sha256)
    }

    fn is_explained(&self, pruned: &Holes) -> bool {
        match self.sequence {
            Some(sequence) => pruned.explain(sequence, &self.sha256),
            None => pruned.iter().any(|hole| hole.sha256 == self.sha256),
        }
    }
}

pub(crate) fn head_finding(kind: FindingKind, stored: &StoredHead, what: &str) -> Finding {
    Finding {
        kind,
        source: Some(stored.head.source.clone()),
        object: stored.key.clone(),
        message: format!("{}: {what}", stored.key),
        backups_hit: vec![stored.head.backup],
    }
}
