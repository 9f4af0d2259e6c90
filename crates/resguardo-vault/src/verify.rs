//! Verification in three depths. What is wrong is a finding, never an error; what was not looked at is
//! never called whole.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use resguardo_model::{
    BackupId, CancelToken, Finding, FindingKind, Findings, ObjectRef, Progress, Sha256Digest,
    SourceName,
};
use resguardo_store::Key;

use crate::chain::check_chain;
use crate::error::VaultError;
use crate::heads::StoredHead;
use crate::layout;
use crate::reader::{OpenedPack, PACKS_OPEN_MAX};
use crate::vault::Vault;

/// How deep to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Signatures, chains, and that every object is there with its size. No key is needed.
    Heads,
    /// Also the SHA-256 of every object that a head names. No key is needed.
    Digests,
    /// Beyond the heads, that manifests and pack tables open and fit together. An identity is needed.
    Structure,
    /// Also every byte: digest, seal and checksum of every pack.
    Bytes,
}

/// Which backups to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All of them.
    All,
    /// Those of one source.
    Source(SourceName),
    /// These.
    Backups(Vec<BackupId>),
}

impl Selection {
    pub(crate) fn includes(&self, source: Option<&SourceName>, backups: &[BackupId]) -> bool {
        match self {
            Self::All => true,
            Self::Source(wanted) => source == Some(wanted),
            Self::Backups(wanted) => backups.iter().any(|backup| wanted.contains(backup)),
        }
    }
}

impl Vault {
    /// Verifies backups.
    ///
    /// # Errors
    /// Only what keeps it from looking: an unreachable store, a missing or wrong identity, cancellation.
    pub fn verify(
        &self,
        selection: &Selection,
        depth: Depth,
        cancel: &CancelToken,
        progress: &dyn Progress,
    ) -> Result<Findings, VaultError> {
        if depth == Depth::Digests {
            return self.verify_digests(selection, cancel, progress);
        }
        let all = self.heads(match selection {
            Selection::Source(source) => Some(source),
            _ => None,
        })?;
        let mut check = Check {
            vault: self,
            cancel,
            progress,
            findings: Findings::default(),
            hit: BTreeSet::new(),
            whole_chain: !matches!(selection, Selection::Backups(_)),
        };
        for finding in all.findings {
            if selection.includes(finding.source.as_ref(), &finding.backups_hit) {
                check.found(finding);
            }
        }
        let heads: Vec<&StoredHead> = all
            .heads
            .iter()
            // What a stranger signed was found above, and is not looked at any further.
            .filter(|stored| stored.trusted)
            .filter(|stored| selection.includes(Some(&stored.head.source), &[stored.head.backup]))
            .collect();
        check.findings.objects_checked += heads.len() as u64;
        progress.phase("heads");
        let needed = check.presence(&heads)?;
        check.signed_words(&heads)?;
        if *selection == Selection::All {
            let receipts = self.receipts(None)?;
            check.findings.objects_checked += receipts.receipts.len() as u64;
            receipts
                .findings
                .into_iter()
                .for_each(|finding| check.found(finding));
        }
        if depth >= Depth::Structure {
            progress.phase("structure");
            check.structure(&heads, &needed, depth)?;
        }
        if depth >= Depth::Bytes {
            progress.phase("bytes");
            check.bytes(&needed)?;
        }
        let Check {
            mut findings, hit, ..
        } = check;
        findings.whole = heads
            .iter()
            .map(|stored| stored.head.backup)
            .filter(|backup| !hit.contains(backup))
            .collect();
        Ok(findings)
    }
}

/// A pack and the backups that need it.
struct NeededPack {
    object: ObjectRef,
    backups: Vec<BackupId>,
    /// It is there with its size.
    is_there: bool,
}

type NeededPacks = BTreeMap<(SourceName, Sha256Digest), NeededPack>;

struct Check<'a> {
    vault: &'a Vault,
    cancel: &'a CancelToken,
    progress: &'a dyn Progress,
    findings: Findings,
    hit: BTreeSet<BackupId>,
    /// All heads of each source are looked at.
    whole_chain: bool,
}

impl Check<'_> {
    fn found(&mut self, finding: Finding) {
        self.vault.distrust_pack_of(&finding);
        self.hit.extend(&finding.backups_hit);
        self.findings.findings.push(finding);
    }

    /// An error that is a finding is kept as one; others end the verification.
    fn keep(&mut self, error: VaultError, backups: &[BackupId]) -> Result<(), VaultError> {
        match error {
            VaultError::Damaged(mut finding) => {
                finding.backups_hit = backups.to_vec();
                self.found(*finding);
                Ok(())
            }
            other => Err(other),
        }
    }

    /// Checks the prune records, pins and further headers of the heads' sources, and that no head is missing
    /// below one that was pruned.
    fn signed_words(&mut self, heads: &[&StoredHead]) -> Result<(), VaultError> {
        let mut sources: BTreeMap<&SourceName, Vec<&StoredHead>> = BTreeMap::new();
        for stored in heads {
            sources.entry(&stored.head.source).or_default().push(stored);
        }
        for (source, heads) in sources {
            let records = self.vault.prune_records(source)?;
            // Of some of the heads alone the chain tells nothing.
            let chain = match self.whole_chain {
                true => check_chain(&heads, &records.holes),
                false => Vec::new(),
            };
            let pins = self.vault.pins(Some(source))?.findings;
            let headers = self.vault.malformed_bundles(source)?;
            let all = chain.into_iter().chain(records.findings);
            let all = all.chain(pins).chain(headers);
            for finding in all {
                if !self.findings.findings.contains(&finding) {
                    self.found(finding);
                }
            }
        }
        Ok(())
    }

    /// Checks that what the heads name is there with its size.
    fn presence(&mut self, heads: &[&StoredHead]) -> Result<NeededPacks, VaultError> {
        let mut needed = NeededPacks::new();
        let mut sizes: HashMap<&SourceName, HashMap<Key, u64>> = HashMap::new();
        let mut index_seen = HashSet::new();
        for stored in heads {
            self.cancel.check()?;
            let head = &stored.head;
            if !sizes.contains_key(&head.source) {
                let listed = self.vault.store().list(head.source.as_str())?;
                sizes.insert(
                    &head.source,
                    listed
                        .into_iter()
                        .map(|info| (info.key, info.bytes))
                        .collect(),
                );
            }
            let there = &sizes[&head.source];
            let manifest = layout::manifest(&head.source, head.backup);
            let manifest_kinds = (FindingKind::ManifestMissing, FindingKind::ManifestDamaged);
            let hit = [head.backup];
            let missing = absence(there, &manifest, head.manifest.bytes, manifest_kinds, &hit);
            missing.into_iter().for_each(|finding| self.found(finding));
            for part in &head.index {
                let Some(key) = layout::index(&head.source, &part.name) else {
                    continue;
                };
                // A lost index costs the next backup its cheapness; no backup is hit by it.
                let kinds = (FindingKind::IndexMissing, FindingKind::IndexDamaged);
                if !index_seen.insert(key.clone()) {
                    continue;
                }
                let missing = absence(there, &key, part.bytes, kinds, &[]);
                missing.into_iter().for_each(|finding| self.found(finding));
            }
            for object in &head.packs {
                let fresh = NeededPack {
                    object: object.clone(),
                    backups: Vec::new(),
                    is_there: true,
                };
                needed
                    .entry((head.source.clone(), object.sha256))
                    .or_insert(fresh)
                    .backups
                    .push(head.backup);
            }
            self.findings.objects_checked += 1 + head.index.len() as u64;
        }
        for ((source, sha256), pack) in &mut needed {
            let key = layout::pack(source, sha256);
            let kinds = (FindingKind::PackMissing, FindingKind::PackTruncated);
            if let Some(finding) = absence(
                &sizes[source],
                &key,
                pack.object.bytes,
                kinds,
                &pack.backups,
            ) {
                pack.is_there = false;
                self.found(finding);
            }
        }
        self.findings.objects_checked += needed.len() as u64;
        Ok(needed)
    }

    /// Opens manifests and pack tables and checks that every extent lies in a frame.
    fn structure(
        &mut self,
        heads: &[&StoredHead],
        needed: &NeededPacks,
        depth: Depth,
    ) -> Result<(), VaultError> {
        // At the depth of bytes the packs are read as a whole later; frames are compared there.
        let mut frames: HashMap<Sha256Digest, Vec<u32>> = HashMap::new();
        let mut looked_at = HashSet::new();
        for (number, stored) in heads.iter().enumerate() {
            self.cancel.check()?;
            self.progress.bytes(number as u64, Some(heads.len() as u64));
            let head = &stored.head;
            let snapshot = match self.vault.open_snapshot(stored) {
                Ok(snapshot) => snapshot,
                Err(error) => {
                    self.keep(error, &[head.backup])?;
                    continue;
                }
            };
            self.findings.bytes_read += head.manifest.bytes;
            for pack in &head.packs {
                let entry = &needed[&(head.source.clone(), pack.sha256)];
                if entry.is_there && looked_at.insert(pack.sha256) {
                    let table = OpenedPack::fetch(self.vault, &head.source, pack, 0);
                    match table {
                        Ok(pack) => {
                            let sizes = pack
                                .table()
                                .frames()
                                .iter()
                                .map(|frame| frame.raw_bytes)
                                .collect();
                            frames.insert(entry.object.sha256, sizes);
                        }
                        // The pack's own bytes are looked at below, with a better finding.
                        Err(VaultError::Damaged(_)) if depth == Depth::Bytes => {}
                        Err(error) => self.keep(error, &entry.backups)?,
                    }
                }
            }
            self.extents(stored, &snapshot, &frames);
        }
        Ok(())
    }

    fn extents(
        &mut self,
        stored: &StoredHead,
        snapshot: &crate::reader::Snapshot,
        frames: &HashMap<Sha256Digest, Vec<u32>>,
    ) {
        let manifest = snapshot.manifest();
        for file in &manifest.files {
            let outside = file.extents.iter().find(|extent| {
                let Some(sizes) = frames.get(&manifest.header.packs[extent.pack as usize].sha256)
                else {
                    return false;
                };
                let end = u64::from(extent.frame_offset) + extent.length;
                sizes
                    .get(extent.frame as usize)
                    .is_none_or(|size| end > u64::from(*size))
            });
            if let Some(extent) = outside {
                let object = layout::manifest(&stored.head.source, stored.head.backup).to_string();
                self.found(Finding {
                    kind: FindingKind::ManifestMalformed,
                    source: Some(stored.head.source.clone()),
                    message: format!(
                        "{object}: {} at {} points outside frame {} of pack {}",
                        file.path, extent.file_offset, extent.frame, extent.pack
                    ),
                    object,
                    backups_hit: vec![stored.head.backup],
                });
            }
        }
    }

    /// Reads every needed pack: digest, seal, table, every frame. A few packs at a time.
    fn bytes(&mut self, needed: &NeededPacks) -> Result<(), VaultError> {
        let packs: Vec<_> = needed.iter().filter(|(_, pack)| pack.is_there).collect();
        let threads = self.vault.settings().threads.clamp(1, PACKS_OPEN_MAX);
        let mut done = 0;
        for some in packs.chunks(threads) {
            self.cancel.check()?;
            let check = |((source, _), pack): &(&(SourceName, Sha256Digest), &NeededPack)| {
                (
                    check_pack(self.vault, source, &pack.object),
                    pack.backups.clone(),
                    pack.object.bytes,
                )
            };
            let check = &check;
            let results: Vec<_> = std::thread::scope(|scope| {
                let running: Vec<_> = some
                    .iter()
                    .map(|one| scope.spawn(move || check(one)))
                    .collect();
                running
                    .into_iter()
                    .map(|thread| thread.join().expect("checking does not panic"))
                    .collect()
            });
            for (result, backups, bytes) in results {
                self.findings.bytes_read += bytes;
                if let Err(error) = result {
                    self.keep(error, &backups)?;
                }
            }
            done += some.len() as u64;
            self.progress.bytes(done, Some(packs.len() as u64));
        }
        Ok(())
    }
}

/// That an object is there with its size; else the finding, of the first kind or the second.
fn absence(
    there: &HashMap<Key, u64>,
    key: &Key,
    bytes: u64,
    (missing, other_size): (FindingKind, FindingKind),
    backups: &[BackupId],
) -> Option<Finding> {
    let (kind, message) = match there.get(key) {
        Some(found) if *found == bytes => return None,
        Some(found) => (
            other_size,
            format!("{key}: it has {found} bytes, its head says {bytes}"),
        ),
        None => (missing, format!("{key}: it is not in the vault")),
    };
    let source = key
        .as_str()
        .split('/')
        .next()
        .and_then(|source| source.parse().ok());
    Some(Finding {
        kind,
        source,
        object: key.to_string(),
        message,
        backups_hit: backups.to_vec(),
    })
}

fn check_pack(vault: &Vault, source: &SourceName, object: &ObjectRef) -> Result<(), VaultError> {
    let key = layout::pack(source, &object.sha256);
    let bytes = crate::reader::fetch_whole(vault, &key, object)?;
    let found = Sha256Digest::of(&bytes);
    if found != object.sha256 {
        let what =
            format!("its SHA-256 is {found}: its bytes are not those that its name promises");
        return Err(crate::seal::damaged(&key, FindingKind::PackDamaged, what));
    }
    let mut pack = OpenedPack::of_bytes(vault, (source, &key, &object.sha256), bytes)?;
    for number in (0_u32..).take(pack.table().frames().len()) {
        pack.decode(number)?;
    }
    Ok(())
}
