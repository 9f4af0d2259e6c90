//! Pins: signed words that a backup is to stay, whatever a policy says. `docs/format.md`, "Pins".
//!
//! They lie in the vault, so that every machine respects them. One that cannot be believed keeps its
//! backup all the same, and is named: who can put it there can make others keep, and never delete.

mod hold;

use bytes::Bytes;
use jiff::Timestamp;
use resguardo_model::{
    BackupId, Finding, FindingKind, Sha256Digest, SourceName, VaultId, WriterId,
};
use resguardo_store::{Condition, Key, ObjectInfo, StoreError};
use serde::{Deserialize, Serialize};

use crate::error::VaultError;
use crate::layout;
use crate::signed::Kind;
use crate::vault::Vault;

pub use self::hold::Pinned;

const KIND: Kind = Kind {
    name: "pin",
    domain: b"resguardo-pin-v1\n",
};
const PIN_BYTES_MAX: u64 = 1 << 20;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PinFile {
    format: u32,
    vault: VaultId,
    source: SourceName,
    backup: BackupId,
    reason: String,
    until: Option<Timestamp>,
    made_at: Timestamp,
    operator: String,
    host: String,
    writer: WriterId,
}

/// A pin before it is signed.
#[derive(Clone, Debug)]
pub struct PinDraft {
    /// The source of the backup.
    pub source: SourceName,
    /// The backup.
    pub backup: BackupId,
    /// Why it is to stay, for people.
    pub reason: String,
    /// Until when; without it, until it is unpinned.
    pub until: Option<Timestamp>,
    /// Who pins it.
    pub operator: String,
    /// Where.
    pub host: String,
}

/// A pin as it lies in the vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPin {
    /// The source of the backup.
    pub source: SourceName,
    /// The backup.
    pub backup: BackupId,
    /// Why it is to stay; of a pin that cannot be believed, why not.
    pub reason: String,
    /// Until when it holds, if not until it is removed.
    pub until: Option<Timestamp>,
    /// When it was made, by whom and where, as far as it can be read.
    pub made: Option<(Timestamp, String, String)>,
    /// Whether it is signed by a writer who is trusted here.
    pub trusted: bool,
    /// The object's key.
    pub key: String,
}

impl StoredPin {
    /// Whether it keeps a backup at `now`.
    #[must_use]
    pub fn keeps(&self, source: &SourceName, backup: BackupId, now: Timestamp) -> bool {
        self.source == *source
            && self.backup == backup
            && self.until.is_none_or(|until| now < until)
    }
}

/// The pins of a vault, and what is wrong with them.
#[derive(Clone, Debug, Default)]
pub struct Pins {
    /// All of them, those that cannot be believed included.
    pub pins: Vec<StoredPin>,
    /// Forged ones, and those of writers who are not trusted here.
    pub findings: Vec<Finding>,
}

impl Vault {
    /// Pins a backup; a pin that it has is replaced.
    ///
    /// # Errors
    /// [`VaultError::NoWriteKey`]; the store's own.
    pub fn put_pin(&self, draft: &PinDraft) -> Result<StoredPin, VaultError> {
        self.put_pin_as(draft).map(|(stored, _)| stored)
    }

    /// The same, with the bytes that lie there now.
    fn put_pin_as(&self, draft: &PinDraft) -> Result<(StoredPin, Bytes), VaultError> {
        let key = self.write_key()?;
        let file = PinFile {
            format: 1,
            vault: self.id(),
            source: draft.source.clone(),
            backup: draft.backup,
            reason: draft.reason.clone(),
            until: draft.until,
            made_at: self.settings().clock.now(),
            operator: draft.operator.clone(),
            host: draft.host.clone(),
            writer: key.writer(),
        };
        let at = layout::pin(&draft.source, draft.backup);
        let bytes = Bytes::from(KIND.sign(&file, key));
        self.store().put(&at, bytes.clone(), Condition::Always)?;
        Ok((stored(&at, file, true), bytes))
    }

    /// Whether the head of a backup is there, asked for by its name: a pin that was put while a prune was at work
    /// may have come too late.
    ///
    /// # Errors
    /// The store's own.
    pub fn head_stands(&self, source: &SourceName, backup: BackupId) -> Result<bool, VaultError> {
        match self.store().stat(&layout::head(source, backup)) {
            Ok(_) => Ok(true),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes the pin of a backup, and tells whether there was one.
    ///
    /// # Errors
    /// The store's own.
    pub fn remove_pin(&self, source: &SourceName, backup: BackupId) -> Result<bool, VaultError> {
        let at = layout::pin(source, backup);
        match self.store().stat(&at) {
            Ok(_) => {}
            Err(StoreError::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        self.store().delete(&at)?;
        Ok(true)
    }

    /// Puts the pin of a backup at a copy as it lies here, byte for byte. One that is not there any more is not
    /// sent.
    ///
    /// # Errors
    /// [`VaultError::AtCopy`]; this vault's own store's.
    pub fn send_pin(
        &self,
        copy: &Self,
        source: &SourceName,
        backup: BackupId,
    ) -> Result<(), VaultError> {
        let at = layout::pin(source, backup);
        let bytes = match self.store().get(&at) {
            Err(StoreError::NotFound { .. }) => return Ok(()),
            read => read?,
        };
        let sent = copy.store().put(&at, bytes, Condition::Always);
        sent.map(|_| ()).map_err(|source| VaultError::AtCopy {
            place: copy.store().describe(),
            source,
        })
    }

    /// The pin of a backup, asked for by its name.
    pub(crate) fn pin_of(
        &self,
        source: &SourceName,
        backup: BackupId,
    ) -> Result<Option<StoredPin>, VaultError> {
        let key = layout::pin(source, backup);
        let info = match self.store().stat(&key) {
            Ok(info) => info,
            Err(StoreError::NotFound { .. } | StoreError::NoSuchPlace { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let pin = self.pin_at(&info, source, backup)?;
        Ok(pin.map(|(pin, _)| pin))
    }

    fn pin_at(
        &self,
        info: &ObjectInfo,
        source: &SourceName,
        backup: BackupId,
    ) -> Result<Option<(StoredPin, Option<Finding>)>, VaultError> {
        if info.bytes > PIN_BYTES_MAX {
            let what = "it is too large for a pin".to_owned();
            return Ok(Some(unbelievable(&info.key, source, backup, what)));
        }
        match self.store().get(&info.key) {
            // Removed since it was listed.
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
            Ok(bytes) => Ok(Some(self.read_pin(&info.key, source, backup, &bytes))),
        }
    }

    /// The pins of one source or of all. No key is needed.
    ///
    /// # Errors
    /// The store's own. What is wrong with a pin is a finding.
    pub fn pins(&self, source: Option<&SourceName>) -> Result<Pins, VaultError> {
        let listed = self
            .store()
            .list(&source.map(layout::pins).unwrap_or_default())?;
        let places: Vec<_> = listed
            .into_iter()
            .filter_map(|info| layout::pin_place(&info.key).map(|place| (info, place)))
            .collect();
        let read = self.in_parallel(&places, |(info, (source, backup))| {
            self.pin_at(info, source, *backup)
        })?;
        let mut pins = Pins::default();
        for (pin, finding) in read.into_iter().flatten() {
            pins.pins.push(pin);
            pins.findings.extend(finding);
        }
        Ok(pins)
    }

    pub(crate) fn read_pin(
        &self,
        key: &Key,
        source: &SourceName,
        backup: BackupId,
        bytes: &[u8],
    ) -> (StoredPin, Option<Finding>) {
        let file: PinFile = match KIND.open(bytes) {
            Ok(file) => file,
            Err(error) => return unbelievable(key, source, backup, error.to_string()),
        };
        if file.vault != self.id() || file.source != *source || file.backup != backup {
            let what = "it belongs elsewhere".to_owned();
            return unbelievable(key, source, backup, what);
        }
        if self.trusts(file.writer, &Sha256Digest::of(bytes)) {
            return (stored(key, file, true), None);
        }
        let (kind, why) = self.why_not_trusted(file.writer);
        let what = format!("it is signed by {}, {why}", file.writer);
        let found = finding(kind, key, source, &what);
        (stored(key, file, false), Some(found))
    }
}

/// Whether the bytes are a pin, for the fuzz targets.
#[doc(hidden)]
#[must_use]
pub fn is_pin(bytes: &[u8]) -> bool {
    KIND.open::<PinFile>(bytes).is_ok()
}

fn stored(key: &Key, file: PinFile, trusted: bool) -> StoredPin {
    StoredPin {
        source: file.source,
        backup: file.backup,
        reason: file.reason,
        // What a stranger says of its end would be a stranger's leave to delete.
        until: file.until.filter(|_| trusted),
        made: Some((file.made_at, file.operator, file.host)),
        trusted,
        key: key.to_string(),
    }
}

fn unbelievable(
    key: &Key,
    source: &SourceName,
    backup: BackupId,
    what: String,
) -> (StoredPin, Option<Finding>) {
    let finding = finding(FindingKind::PinForged, key, source, &what);
    let pin = StoredPin {
        source: source.clone(),
        backup,
        reason: what,
        until: None,
        made: None,
        trusted: false,
        key: key.to_string(),
    };
    (pin, Some(finding))
}

fn finding(kind: FindingKind, key: &Key, source: &SourceName, what: &str) -> Finding {
    Finding {
        kind,
        source: Some(source.clone()),
        object: key.to_string(),
        message: format!("{key}: {what}; it keeps its backup all the same"),
        backups_hit: Vec::new(),
    }
}
