//! Copies: further stores that hold the same vault, object by object the same bytes.
//!
//! A copy has the same `vault.json`, so whatever opens the vault opens its copy. It is filled by
//! [`Vault::sync`] and by nothing else: no backup is taken into it, and no receipt is signed into it
//! ([`crate::VaultError::OnlyACopy`]).
//!
//! # Write order
//!
//! Of a new copy: `README.txt`, `read_vault.py`, `vault.json`. Of each source, under the lease *of the
//! copy*: packs; index objects and manifests; (lease still ours?) the head, which is the commit at the
//! copy as well; after all heads `headers/`, `pins/`, `prunes/` and `receipts/`. Each is durable before the
//! next is begun. Stopped anywhere, the next run sends what is missing, for objects are named by their
//! content or by ids: what was sent is not sent again.
//!
//! INVARIANT: an object whose bytes are not those that a head of a trusted writer names is never sent
//! (`tests/copy.rs`, `damage_at_the_primary_is_never_copied`).
//!
//! INVARIANT: no good receipt, prune record or bundle at the copy is ever overwritten, and a pin by a later one
//! of a trusted writer alone (`tests/copy_records.rs`, `records_that_are_good_at_the_copy_are_never_overwritten`).
//!
//! INVARIANT: nothing is ever deleted, at either side (`tests/copy.rs`, `a_deletion_does_not_follow`;
//! `tests/copy_records.rs`, `leaving_backups_out_deletes_nothing_and_accepts_no_other_hole`). Stopped
//! at any call, the next run makes the copy whole (`tests/copy_crash.rs`).

mod bring;
mod compare;
mod digests;
mod dispute;
mod place;
mod primary;
mod send;
mod settle;
mod side;
mod standing;
mod sync;

pub use compare::{Compared, Numbered};
pub use place::CopyPlace;
pub(crate) use place::at_copy;
pub use settle::{Replaced, SettleRequest, Settled, Side};
pub use sync::{Elsewhere, LeftBehind, SentBackup, SyncRequest, Synced};
