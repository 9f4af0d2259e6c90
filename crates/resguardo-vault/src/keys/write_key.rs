//! A host's write key: what it signs with, what it pins, and whom it no longer believes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use age::secrecy::ExposeSecret as _;
use age::x25519;
use data_encoding::HEXLOWER;
use ed25519_dalek::{Signer as _, SigningKey};
use jiff::Timestamp;
use resguardo_model::{Sha256Digest, VaultId, WriterId};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::KeyError;
use super::recipient::{Recipients, check_all, resolve};
use crate::piece::ChunkKey;

/// A host's key for writing: it signs, names pieces, and opens this host's own index objects.
#[derive(Clone)]
pub struct WriteKey {
    created_at: Timestamp,
    vault: VaultId,
    signing: SigningKey,
    chunk: ChunkKey,
    index: x25519::Identity,
    recipients: Vec<String>,
    added: BTreeMap<String, Timestamp>,
    trusted_writers: Vec<WriterId>,
    retired_writers: Vec<RetiredWriter>,
}

/// A writer that was believed once. What it had signed by then stays believed, by its digest; nothing else
/// of it is, however old it says to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetiredWriter {
    /// Who it was.
    pub writer: WriterId,
    /// When it was retired here.
    pub retired_at: Timestamp,
    /// SHA-256 of each of its heads, receipts and other signed objects that were known then.
    pub known: BTreeSet<Sha256Digest>,
}

impl fmt::Debug for WriteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteKey")
            .field("vault", &self.vault)
            .field("writer", &self.writer())
            .finish_non_exhaustive()
    }
}

/// `docs/format.md`, "Keys".
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WriteKeyFile {
    format: u32,
    vault: VaultId,
    created_at: Timestamp,
    writer_secret: Zeroizing<String>,
    chunk_key: Zeroizing<String>,
    index_identity: Zeroizing<String>,
    recipients: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    recipients_added: BTreeMap<String, Timestamp>,
    trusted_writers: Vec<WriterId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    retired_writers: Vec<RetiredWriter>,
}

impl WriteKey {
    /// Makes a new key that trusts itself.
    ///
    /// # Errors
    /// [`KeyError::NoRecipients`], [`KeyError::NotARecipient`], [`KeyError::Random`].
    pub fn generate(
        vault: VaultId,
        recipients: Vec<String>,
        now: Timestamp,
    ) -> Result<Self, KeyError> {
        check_all(&recipients)?;
        let signing = SigningKey::from_bytes(&*random()?);
        let writer = WriterId(signing.verifying_key().to_bytes());
        Ok(Self {
            created_at: now,
            vault,
            signing,
            chunk: ChunkKey::new(*random()?),
            index: x25519::Identity::generate(),
            recipients,
            added: BTreeMap::new(),
            trusted_writers: vec![writer],
            retired_writers: Vec::new(),
        })
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// [`KeyError::NotAWriteKey`], [`KeyError::NewerFormat`], [`KeyError::NotARecipient`].
    pub fn from_json(text: &str) -> Result<Self, KeyError> {
        let refused = |why: &dyn fmt::Display| KeyError::NotAWriteKey(why.to_string());
        let format = serde_json::from_str::<serde_json::Value>(text)
            .map_err(|error| refused(&error))?["format"]
            .as_u64();
        match format.map(u32::try_from) {
            Some(Ok(1)) => {}
            Some(Ok(newer)) if newer > 1 => return Err(KeyError::NewerFormat(newer)),
            _ => return Err(refused(&"it states no format")),
        }
        let file: WriteKeyFile = serde_json::from_str(text).map_err(|error| refused(&error))?;
        check_all(&file.recipients)?;
        Ok(Self {
            created_at: file.created_at,
            vault: file.vault,
            signing: SigningKey::from_bytes(
                &*secret_bytes(&file.writer_secret).ok_or_else(|| refused(&"writer_secret"))?,
            ),
            chunk: ChunkKey::new(
                *secret_bytes(&file.chunk_key).ok_or_else(|| refused(&"chunk_key"))?,
            ),
            index: file
                .index_identity
                .parse()
                .map_err(|_| refused(&"index_identity"))?,
            recipients: file.recipients,
            added: file.recipients_added,
            trusted_writers: file.trusted_writers,
            retired_writers: file.retired_writers,
        })
    }

    /// The file's text.
    #[must_use]
    pub fn to_json(&self) -> Zeroizing<String> {
        let file = WriteKeyFile {
            format: 1,
            vault: self.vault,
            created_at: self.created_at,
            writer_secret: Zeroizing::new(HEXLOWER.encode(self.signing.as_bytes())),
            chunk_key: Zeroizing::new(HEXLOWER.encode(self.chunk.bytes())),
            index_identity: Zeroizing::new(self.index.to_string().expose_secret().to_owned()),
            recipients: self.recipients.clone(),
            recipients_added: self.added.clone(),
            trusted_writers: self.trusted_writers.clone(),
            retired_writers: self.retired_writers.clone(),
        };
        let mut text =
            serde_json::to_string_pretty(&file).expect("strings and numbers always serialise");
        text.push('\n');
        Zeroizing::new(text)
    }

    /// The writer that it signs as.
    #[must_use]
    pub fn writer(&self) -> WriterId {
        WriterId(self.signing.verifying_key().to_bytes())
    }

    /// The vault that it is for.
    #[must_use]
    pub fn vault(&self) -> VaultId {
        self.vault
    }

    /// When it was made.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// The pinned recipients.
    #[must_use]
    pub fn recipients(&self) -> &[String] {
        &self.recipients
    }

    /// When a recipient was pinned here, if that was after the key was made.
    #[must_use]
    pub fn recipient_added_at(&self, recipient: &str) -> Option<Timestamp> {
        self.added.get(recipient).copied()
    }

    /// Pins other recipients. Those that are new are known to be so since `now`, and pieces get other ids from then
    /// on: nothing that was stored before is built upon, whatever the clock said then or says later.
    ///
    /// # Errors
    /// [`KeyError::NoRecipients`], [`KeyError::NotARecipient`], [`KeyError::Random`].
    pub fn pin_recipients(
        &mut self,
        recipients: Vec<String>,
        now: Timestamp,
    ) -> Result<(), KeyError> {
        check_all(&recipients)?;
        if recipients.iter().any(|one| !self.recipients.contains(one)) {
            self.chunk = ChunkKey::new(*random()?);
        }
        self.added.retain(|one, _| recipients.contains(one));
        for recipient in &recipients {
            if !self.recipients.contains(recipient) {
                self.added.insert(recipient.clone(), now);
            }
        }
        self.recipients = recipients;
        Ok(())
    }

    /// The writers whose heads and receipts are believed here.
    #[must_use]
    pub fn trusted_writers(&self) -> &[WriterId] {
        &self.trusted_writers
    }

    /// The writers that were believed here once.
    #[must_use]
    pub fn retired_writers(&self) -> &[RetiredWriter] {
        &self.retired_writers
    }

    /// Believes another writer from now on.
    ///
    /// # Errors
    /// [`KeyError::RetiredWriter`]: whoever stole its key could sign again.
    pub fn trust(&mut self, writer: WriterId) -> Result<(), KeyError> {
        if self.retired_writers.iter().any(|one| one.writer == writer) {
            return Err(KeyError::RetiredWriter(writer));
        }
        if !self.trusted_writers.contains(&writer) {
            self.trusted_writers.push(writer);
        }
        Ok(())
    }

    /// Believes a writer in full that was retired, whoever holds its key by now.
    ///
    /// # Errors
    /// None that [`WriteKey::trust`] does not have but for the retirement.
    pub fn trust_again(&mut self, writer: WriterId) -> Result<(), KeyError> {
        self.retired_writers.retain(|one| one.writer != writer);
        self.trust(writer)
    }

    /// Believes nothing more of a writer than what is `known` of it.
    ///
    /// # Errors
    /// [`KeyError::OwnWriter`], [`KeyError::UnknownWriter`].
    pub fn retire_writer(
        &mut self,
        writer: WriterId,
        known: BTreeSet<Sha256Digest>,
        now: Timestamp,
    ) -> Result<(), KeyError> {
        if writer == self.writer() {
            return Err(KeyError::OwnWriter(writer));
        }
        if !self.trusted_writers.contains(&writer) {
            return Err(KeyError::UnknownWriter(writer));
        }
        self.trusted_writers.retain(|one| *one != writer);
        self.retired_writers.push(RetiredWriter {
            writer,
            retired_at: now,
            known,
        });
        Ok(())
    }

    /// A key that takes this one's place on the host: everything secret is new, everything pinned stays,
    /// and this one's writer is retired with what is `known` of it. The next backup is a whole one.
    ///
    /// # Errors
    /// [`KeyError::Random`].
    pub fn successor(
        &self,
        known: BTreeSet<Sha256Digest>,
        now: Timestamp,
    ) -> Result<Self, KeyError> {
        let mut next = Self::generate(self.vault, self.recipients.clone(), now)?;
        next.added.clone_from(&self.added);
        next.retired_writers.clone_from(&self.retired_writers);
        for writer in &self.trusted_writers {
            next.trust(*writer)?;
        }
        next.retire_writer(self.writer(), known, now)?;
        Ok(next)
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.signing.sign(message).to_bytes()
    }

    pub(crate) fn chunk_key(&self) -> &ChunkKey {
        &self.chunk
    }

    pub(crate) fn index_identity(&self) -> &x25519::Identity {
        &self.index
    }

    /// The recipients, ready to be sealed to.
    pub(crate) fn age_recipients(&self) -> Result<Recipients, KeyError> {
        resolve(&self.recipients)
    }
}

fn random() -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes).map_err(KeyError::Random)?;
    Ok(bytes)
}

fn secret_bytes(hex: &str) -> Option<Zeroizing<[u8; 32]>> {
    let bytes = Zeroizing::new(HEXLOWER.decode(hex.as_bytes()).ok()?);
    Some(Zeroizing::new(bytes.as_slice().try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate_identity;
    use crate::keys::signed_by;

    fn vault() -> VaultId {
        "01jd8kq2v3m4n5p6q7r8s9t0vw".parse().unwrap()
    }

    #[test]
    fn a_write_key_survives_its_file() {
        let (_, recipient) = generate_identity(Timestamp::UNIX_EPOCH);
        let key =
            WriteKey::generate(vault(), vec![recipient.clone()], Timestamp::UNIX_EPOCH).unwrap();
        let read = WriteKey::from_json(&key.to_json()).unwrap();
        assert_eq!(read.writer(), key.writer());
        assert_eq!(read.recipients(), [recipient]);
        assert_eq!(read.chunk_key().bytes(), key.chunk_key().bytes());
        let signature = read.sign(b"message");
        assert!(signed_by(key.writer(), b"message", &signature));
        assert!(!signed_by(key.writer(), b"massage", &signature));
        assert!(!format!("{key:?}").contains(&HEXLOWER.encode(key.chunk_key().bytes())));
    }

    #[test]
    fn refuses_what_is_no_key() {
        let (_, recipient) = generate_identity(Timestamp::UNIX_EPOCH);
        let json = WriteKey::generate(vault(), vec![recipient], Timestamp::UNIX_EPOCH)
            .unwrap()
            .to_json();
        assert!(matches!(
            WriteKey::generate(vault(), vec![], Timestamp::UNIX_EPOCH),
            Err(KeyError::NoRecipients)
        ));
        assert!(matches!(
            WriteKey::generate(vault(), vec!["age1nope".into()], Timestamp::UNIX_EPOCH),
            Err(KeyError::NotARecipient(_))
        ));
        let newer = json.replace("\"format\": 1", "\"format\": 2");
        assert!(matches!(
            WriteKey::from_json(&newer),
            Err(KeyError::NewerFormat(2))
        ));
        for broken in [
            "",
            "{}",
            "[]",
            &json.replace("chunk_key", "chunky"),
            &json.replace("AGE-SECRET-KEY-1", ""),
        ] {
            assert!(
                matches!(WriteKey::from_json(broken), Err(KeyError::NotAWriteKey(_))),
                "{broken}"
            );
        }
    }

    #[test]
    fn a_retired_writer_is_believed_in_what_is_known_of_it_alone() {
        let (_, recipient) = generate_identity(Timestamp::UNIX_EPOCH);
        let now = Timestamp::UNIX_EPOCH;
        let mut key = WriteKey::generate(vault(), vec![recipient.clone()], now).unwrap();
        let other = WriteKey::generate(vault(), vec![recipient], now).unwrap();
        let known = BTreeSet::from([Sha256Digest::of(b"an old head")]);
        assert!(matches!(
            key.retire_writer(key.writer(), known.clone(), now),
            Err(KeyError::OwnWriter(_))
        ));
        assert!(matches!(
            key.retire_writer(other.writer(), known.clone(), now),
            Err(KeyError::UnknownWriter(_))
        ));
        key.trust(other.writer()).unwrap();
        key.retire_writer(other.writer(), known.clone(), now)
            .unwrap();
        let read = WriteKey::from_json(&key.to_json()).unwrap();
        assert_eq!(read.trusted_writers(), [key.writer()]);
        assert_eq!(read.retired_writers()[0].known, known);
        let mut again = WriteKey::from_json(&key.to_json()).unwrap();
        assert!(matches!(
            again.trust(other.writer()),
            Err(KeyError::RetiredWriter(writer)) if writer == other.writer()
        ));
        assert_eq!(again.retired_writers(), key.retired_writers());
        again.trust_again(other.writer()).unwrap();
        assert_eq!(again.trusted_writers(), [key.writer(), other.writer()]);
        assert!(again.retired_writers().is_empty());

        let next = read.successor(BTreeSet::new(), now).unwrap();
        assert_eq!(next.trusted_writers(), [next.writer()]);
        let retired: Vec<_> = next
            .retired_writers()
            .iter()
            .map(|one| one.writer)
            .collect();
        assert_eq!(retired, [other.writer(), key.writer()]);
        assert_ne!(next.chunk_key().bytes(), key.chunk_key().bytes());
    }

    #[test]
    fn when_a_recipient_was_added_is_remembered() {
        let recipients: Vec<String> = (0..3)
            .map(|_| generate_identity(Timestamp::UNIX_EPOCH).1)
            .collect();
        let now = Timestamp::UNIX_EPOCH;
        let mut key = WriteKey::generate(vault(), recipients[..1].to_vec(), now).unwrap();
        let later = now + jiff::SignedDuration::from_secs(9);
        let chunk = *key.chunk_key().bytes();
        key.pin_recipients(recipients[..2].to_vec(), later).unwrap();
        assert_ne!(*key.chunk_key().bytes(), chunk, "nothing old is built upon");
        let chunk = *key.chunk_key().bytes();
        let mut key = WriteKey::from_json(&key.to_json()).unwrap();
        assert_eq!(key.recipient_added_at(&recipients[0]), None);
        assert_eq!(key.recipient_added_at(&recipients[1]), Some(later));
        key.pin_recipients(recipients[..1].to_vec(), later).unwrap();
        assert_eq!(key.recipient_added_at(&recipients[1]), None);
        assert_eq!(*key.chunk_key().bytes(), chunk);
        assert!(key.pin_recipients(vec![], later).is_err());
    }
}
