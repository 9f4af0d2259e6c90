//! Findings: what a check of the vault found wrong. Bad data is a result, not an error.

use serde::{Deserialize, Serialize};

use crate::{BackupId, SourceName};

/// The name of a finding, stable in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// `vault.json` differs from what this host pinned.
    VaultConfigChanged,
    /// A head is no head: not JSON, wrong version of a minor field, other vault or source.
    HeadMalformed,
    /// A head's signature does not match its writer.
    HeadForged,
    /// A head signed by a writer that this host does not trust.
    WriterUnknown,
    /// A head or receipt of a writer that was retired here, and that was not known then.
    WriterRetired,
    /// A head lies under another backup's name: an old head was put back in a newer one's place.
    HeadReplayed,
    /// The head that a later one names as its predecessor is gone.
    HeadMissing,
    /// The head that a later one names as its predecessor has other content.
    HeadChanged,
    /// Two heads of one source have the same number.
    HeadForked,
    /// The newest head that this host wrote is gone: the vault was rolled back.
    HeadRolledBack,
    /// A pack that a head names is not there.
    PackMissing,
    /// A pack has another size than its head says.
    PackTruncated,
    /// A pack's bytes are not those that its name promises (bit rot, or packs swapped).
    PackDamaged,
    /// A pack's frames do not decode, or its table does not match them.
    PackUnreadable,
    /// The manifest that a head names is not there.
    ManifestMissing,
    /// The manifest's bytes are not those that its head names.
    ManifestDamaged,
    /// The manifest opens but its content breaks the format.
    ManifestMalformed,
    /// An index object that a head names is not there; the next backup is a whole one.
    IndexMissing,
    /// An index object's bytes are not those that its head names.
    IndexDamaged,
    /// A receipt's signature does not match its writer, or it is no receipt.
    ReceiptForged,
    /// A receipt that a later one names as its predecessor is gone.
    ReceiptMissing,
    /// A prune record's signature does not match its writer, or it is no prune record: it explains
    /// nothing.
    PruneRecordForged,
    /// A pin's signature does not match its writer, or it is no pin. It keeps its backup all the same.
    PinForged,
    /// A bundle of further headers is none, is cut off, or belongs elsewhere: it opens nothing.
    HeadersMalformed,
    /// A receipt, prune record, bundle or pin is another at a copy than in the vault, and neither may
    /// replace the other.
    RecordDiffers,
}

/// One thing that is wrong, with the backups that it hits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Its stable name.
    pub kind: FindingKind,
    /// The source in whose folder it lies, if it lies in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceName>,
    /// The key of the object in the vault.
    pub object: String,
    /// One sentence: what was expected and what was found.
    pub message: String,
    /// Backups that cannot be restored in full because of it.
    pub backups_hit: Vec<BackupId>,
}

/// The answer of a verification. What was not looked at is not in `whole`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// Everything that was found wrong, in the order of its discovery.
    pub findings: Vec<Finding>,
    /// Backups that were looked at and that no finding hits.
    pub whole: Vec<BackupId>,
    /// Objects looked at.
    pub objects_checked: u64,
    /// Stored bytes read for it.
    pub bytes_read: u64,
}
