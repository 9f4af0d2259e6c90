//! The vault: an encrypted, deduplicating repository of backups over any object store.
//!
//! `docs/format.md` specifies every byte; `docs/threat-model.md` says what it defends against. The way
//! in is [`Vault`]; a backup is written with [`SnapshotWriter`] and read with [`Snapshot`].
//!
//! # Write order and commit point
//!
//! lease; packs; index; manifest; (lease still ours?) **head**; lease removed; receipt. Each is durable
//! before the next is begun. Stopped anywhere before the head, the vault holds objects that no head
//! names, and no backup more than before; stopped after it, the backup stands.
//!
//! INVARIANT: no object but `vault.json` and a lease is ever overwritten with other content
//! (`tests/crash.rs`).

mod bounded;
mod chain;
mod copy;
mod cut;
mod distrust;
mod error;
mod frame;
mod head;
mod headers;
mod heads;
mod index;
mod keys;
mod layout;
mod lease;
mod manifest;
mod map;
mod pack;
mod piece;
mod pin;
mod prune;
mod reader;
mod receipt;
mod recipients;
mod seal;
mod signed;
mod space;
mod trust;
mod vault;
mod verify;
mod writer;

pub use copy::{
    Compared, CopyPlace, Elsewhere, LeftBehind, Numbered, Replaced, SentBackup, SettleRequest,
    Settled, Side, SyncRequest, Synced,
};
pub use error::VaultError;
pub use headers::Given;
pub use heads::{Heads, StoredHead};
pub use keys::{
    Dialogue, Identities, KeyError, NoDialogue, RetiredWriter, WriteKey, canonical_recipient,
    check_recipient, generate_identity, is_protected, open_identity, protect_identity,
};
pub use lease::Lease;
pub use pin::{PinDraft, Pinned, Pins, StoredPin};
pub use prune::{
    Amount, DeadObjects, KeptBecause, PRUNE_GRACE, PruneOptions, PruneOutcome, PruneRecords,
};
pub use reader::Snapshot;
pub use receipt::{
    ReceiptDraft, ReceiptError, Receipts, ReceiptsHeld, StoredReceipt, verify_envelope,
};
pub use recipients::{
    RecipientChange, RecipientEvent, RecipientSpan, RecipientState, RecipientsChanged,
    change_recipients, span_of, spans_of,
};
pub use resguardo_store::ObjectInfo;
pub use space::{BackupSpace, SourceSpace, Space};
pub use vault::{Access, KeyNow, Settings, Vault, VaultConfig};
pub use verify::{Depth, Selection};
pub use writer::{Committed, Description, FileWriter, SnapshotWriter};

/// The parsers of bytes from outside, for the fuzz targets.
#[doc(hidden)]
pub mod parsers {
    pub use crate::head::parse as head;
    pub use crate::headers::bundle_objects;
    pub use crate::index::parse as index;
    pub use crate::manifest::parse as manifest;
    pub use crate::pack::PackTable;
    pub use crate::pin::is_pin;
    pub use crate::prune::{buried, holes_of, is_record};
}
