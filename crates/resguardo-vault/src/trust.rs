//! Whom this host believes: writers that are pinned, and of retired ones what was known of them then.
//!
//! Asked of every signed object with its digest, not of its writer alone: whoever stole a retired writer's
//! key can date what it signs back, but cannot make it one of the objects that were pinned.

use std::collections::BTreeSet;

use jiff::Timestamp;
use resguardo_model::{FindingKind, Sha256Digest, WriterId};

use crate::error::VaultError;
use crate::head;
use crate::keys::{RetiredWriter, WriteKey};
use crate::layout;
use crate::receipt::verify_envelope;
use crate::vault::Vault;

impl Vault {
    /// Whether an object with this digest that `writer` signed is believed here. Without any pin every
    /// writer is.
    #[must_use]
    pub fn trusts(&self, writer: WriterId, sha256: &Sha256Digest) -> bool {
        if let Some(retired) = self.retired(writer) {
            return retired.known.contains(sha256);
        }
        let access = self.access();
        let pinned = access
            .write_key
            .as_ref()
            .is_some_and(|key| key.trusted_writers().contains(&writer));
        pinned || access.trusted_writers.contains(&writer) || !self.pins_writers()
    }

    /// This host's write key: what it pins and whom it believes.
    #[must_use]
    pub fn own_key(&self) -> Option<&WriteKey> {
        self.access().write_key.as_ref()
    }

    /// The recipients that the identities at hand stand for; what a plugin holds is not among them.
    #[must_use]
    pub fn identity_recipients(&self) -> &[String] {
        let identities = self.access().identities.as_ref();
        identities.map_or(&[], |identities| identities.recipients())
    }

    /// What is kept of a writer that was retired here.
    #[must_use]
    pub fn retired(&self, writer: WriterId) -> Option<&RetiredWriter> {
        let key = self.access().write_key.as_ref()?;
        key.retired_writers()
            .iter()
            .find(|one| one.writer == writer)
    }

    /// The finding about an object of a writer that is not believed, and the end of its sentence.
    pub(crate) fn why_not_trusted(&self, writer: WriterId) -> (FindingKind, &'static str) {
        match self.retired(writer) {
            Some(_) => (
                FindingKind::WriterRetired,
                "which was retired here before it was seen",
            ),
            None => (FindingKind::WriterUnknown, "which is not trusted here"),
        }
    }

    /// Digests of everything in the vault that `writer` signed; with `before`, of what the store had by
    /// then, by the store's clock: what an object says of its own time is its writer's word.
    ///
    /// # Errors
    /// The store's own.
    pub fn signed_by(
        &self,
        writer: WriterId,
        before: Option<Timestamp>,
    ) -> Result<BTreeSet<Sha256Digest>, VaultError> {
        let listed = self.store().list("")?;
        let signed: Vec<_> = listed
            .into_iter()
            .filter(|info| layout::may_be_signed(&info.key))
            .filter(|info| info.bytes <= crate::heads::HEAD_BYTES_MAX)
            .filter(|info| before.is_none_or(|before| info.modified_at < before))
            .collect();
        let found = self.in_parallel(&signed, |info| match self.store().get(&info.key) {
            Ok(bytes) => Ok(names_writer(&bytes, writer).then(|| Sha256Digest::of(&bytes))),
            // Removed since it was listed.
            Err(resguardo_store::StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        })?;
        Ok(found.into_iter().flatten().collect())
    }
}

/// Whether an object is one of `writer`. Heads and receipts are read; of other signed objects it is enough
/// that they name it, because whoever reads them checks the signature before asking whom to believe.
fn names_writer(bytes: &[u8], writer: WriterId) -> bool {
    if let Ok(head) = head::parse(bytes) {
        return head.writer == writer;
    }
    if let Ok((_, by)) = verify_envelope(bytes) {
        return by == writer;
    }
    let name = writer.to_string();
    bytes
        .windows(name.len())
        .any(|window| window == name.as_bytes())
}
