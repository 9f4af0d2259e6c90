//! Keys: the write key of a host, and the identities that open what it wrote.
//!
//! Texts in, texts out: where they lie, and with which mode, is the binary's matter. A write key never
//! opens a pack or a manifest; an identity need not be where backups are taken. No error repeats a key.

mod dialogue;
mod identity;
mod recipient;
mod write_key;

pub use dialogue::{Dialogue, NoDialogue};
pub use identity::{Identities, generate_identity, is_protected, open_identity, protect_identity};
pub(crate) use recipient::{Recipients, as_dyn, resolve};
pub use recipient::{canonical_recipient, check_recipient};
pub use write_key::{RetiredWriter, WriteKey};

use resguardo_model::WriterId;

/// What is wrong with a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The write key's text is not one.
    #[error("the write key cannot be read: {0}")]
    NotAWriteKey(String),
    /// The write key is of a newer Resguardo.
    #[error("the write key has format {0}, this version of Resguardo reads format 1")]
    NewerFormat(u32),
    /// The text is no age recipient.
    #[error("{0:?} is no age recipient (age1..., ssh-ed25519 ..., ssh-rsa ...)")]
    NotARecipient(String),
    /// The text is a secret key where a public one belongs. It is not repeated.
    #[error(
        "that is a secret key, and a recipient is a public one; whoever saw it can read backups that are sealed to it"
    )]
    SecretAsRecipient,
    /// An SSH key of a kind that age does not encrypt to.
    #[error("{kind} keys cannot be recipients: {why}")]
    UnsupportedSshKey {
        /// The kind of key.
        kind: String,
        /// Why.
        why: &'static str,
    },
    /// The age plugin of a recipient or an identity is not installed.
    #[error("the age plugin {0} is not in PATH")]
    PluginMissing(String),
    /// There has to be at least one recipient, or nobody could ever read a backup.
    #[error("at least one recipient is needed: without one nobody could read a backup")]
    NoRecipients,
    /// The text is no age identity file.
    #[error("that is no identity (AGE-SECRET-KEY-1..., AGE-PLUGIN-..., or an SSH key): {0}")]
    NotAnIdentity(String),
    /// The identity is protected and no passphrase was given.
    #[error("the identity is protected by a passphrase")]
    PassphraseNeeded,
    /// The passphrase does not open the identity.
    #[error("the passphrase does not open the identity")]
    WrongPassphrase,
    /// A writer cannot retire itself: its host would not believe its own backups.
    #[error("{0} is this host's own writer")]
    OwnWriter(WriterId),
    /// A writer that is not trusted here cannot be retired here.
    #[error("{0} is not among the writers that are trusted here")]
    UnknownWriter(WriterId),
    /// A writer that was retired here is believed in full again only where that is said.
    #[error("{0} was retired here: what it signed since then is not believed")]
    RetiredWriter(WriterId),
    /// The system gave no randomness.
    #[error("no randomness from the system")]
    Random(#[source] getrandom::Error),
}

/// Whether `message` was signed by `writer`.
pub(crate) fn signed_by(writer: WriterId, message: &[u8], signature: &[u8; 64]) -> bool {
    ed25519_dalek::VerifyingKey::from_bytes(&writer.0).is_ok_and(|key| {
        key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(signature))
            .is_ok()
    })
}
