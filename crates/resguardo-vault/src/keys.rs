//! Keys: the write key of a host, and the identities that open what it wrote.
//!
//! Texts in, texts out: where they lie, and with which mode, is the binary's matter. A write key never
//! opens a pack or a manifest; an identity need not be where backups are taken.

use std::fmt;
use std::io::Read as _;

use age::secrecy::{ExposeSecret as _, SecretString};
use age::{Decryptor, Encryptor, IdentityFile, scrypt, x25519};
use data_encoding::HEXLOWER;
use ed25519_dalek::{Signer as _, SigningKey};
use jiff::Timestamp;
use resguardo_model::{VaultId, WriterId};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::piece::ChunkKey;

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
    #[error("{0:?} is no age recipient (age1...)")]
    NotARecipient(String),
    /// There has to be at least one recipient, or nobody could ever read a backup.
    #[error("at least one recipient is needed: without one nobody could read a backup")]
    NoRecipients,
    /// The text is no age identity file.
    #[error("that is no age identity file (AGE-SECRET-KEY-1...): {0}")]
    NotAnIdentity(String),
    /// The identity is protected and no passphrase was given.
    #[error("the identity is protected by a passphrase")]
    PassphraseNeeded,
    /// The passphrase does not open the identity.
    #[error("the passphrase does not open the identity")]
    WrongPassphrase,
    /// The system gave no randomness.
    #[error("no randomness from the system")]
    Random(#[source] getrandom::Error),
}

/// A host's key for writing: it signs, names pieces, and opens this host's own index objects.
pub struct WriteKey {
    created_at: Timestamp,
    vault: VaultId,
    signing: SigningKey,
    chunk: ChunkKey,
    index: x25519::Identity,
    recipients: Vec<String>,
    trusted_writers: Vec<WriterId>,
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
    trusted_writers: Vec<WriterId>,
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
        parse_recipients(&recipients)?;
        let signing = SigningKey::from_bytes(&*random()?);
        let writer = WriterId(signing.verifying_key().to_bytes());
        Ok(Self {
            created_at: now,
            vault,
            signing,
            chunk: ChunkKey::new(*random()?),
            index: x25519::Identity::generate(),
            recipients,
            trusted_writers: vec![writer],
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
        parse_recipients(&file.recipients)?;
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
            trusted_writers: file.trusted_writers,
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
            trusted_writers: self.trusted_writers.clone(),
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

    /// The pinned recipients.
    #[must_use]
    pub fn recipients(&self) -> &[String] {
        &self.recipients
    }

    /// The writers whose heads and receipts are believed here.
    #[must_use]
    pub fn trusted_writers(&self) -> &[WriterId] {
        &self.trusted_writers
    }

    /// Believes another writer from now on.
    pub fn trust(&mut self, writer: WriterId) {
        if !self.trusted_writers.contains(&writer) {
            self.trusted_writers.push(writer);
        }
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

    /// The recipients, parsed.
    pub(crate) fn age_recipients(&self) -> Vec<x25519::Recipient> {
        parse_recipients(&self.recipients).expect("checked when the key was made or read")
    }
}

/// Whether `message` was signed by `writer`.
pub(crate) fn signed_by(writer: WriterId, message: &[u8], signature: &[u8; 64]) -> bool {
    ed25519_dalek::VerifyingKey::from_bytes(&writer.0).is_ok_and(|key| {
        key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(signature))
            .is_ok()
    })
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

fn parse_recipients(recipients: &[String]) -> Result<Vec<x25519::Recipient>, KeyError> {
    if recipients.is_empty() {
        return Err(KeyError::NoRecipients);
    }
    let parse = |text: &String| {
        text.parse()
            .map_err(|_| KeyError::NotARecipient(text.clone()))
    };
    recipients.iter().map(parse).collect()
}

/// Whether the text is a recipient that a vault can have.
///
/// # Errors
/// [`KeyError::NotARecipient`].
pub fn check_recipient(text: &str) -> Result<(), KeyError> {
    parse_recipients(&[text.to_owned()]).map(|_| ())
}

/// Age identities: they open everything in a vault.
pub struct Identities(Vec<Box<dyn age::Identity + Send + Sync>>);

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identities({})", self.0.len())
    }
}

impl Identities {
    /// Reads an age identity file, plain or encrypted with a passphrase (`age -p`, binary or armored).
    ///
    /// # Errors
    /// [`KeyError::PassphraseNeeded`], [`KeyError::WrongPassphrase`], [`KeyError::NotAnIdentity`].
    pub fn parse(file: &[u8], passphrase: Option<&SecretString>) -> Result<Self, KeyError> {
        let plain = if is_protected(file) {
            open_protected(file, passphrase.ok_or(KeyError::PassphraseNeeded)?)?
        } else {
            Zeroizing::new(file.to_vec())
        };
        let identities = IdentityFile::from_buffer(&plain[..])
            .map_err(|error| KeyError::NotAnIdentity(error.to_string()))?
            .into_identities()
            .map_err(|error| KeyError::NotAnIdentity(error.to_string()))?;
        if identities.is_empty() {
            return Err(KeyError::NotAnIdentity("it holds none".to_owned()));
        }
        Ok(Self(identities))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &dyn age::Identity> {
        self.0
            .iter()
            .map(|identity| &**identity as &dyn age::Identity)
    }
}

const AGE_MAGIC: &[u8] = b"age-encryption.org/v1";
const ARMOR_MAGIC: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";

fn is_protected(file: &[u8]) -> bool {
    file.starts_with(AGE_MAGIC) || file.trim_ascii_start().starts_with(ARMOR_MAGIC)
}

fn open_protected(file: &[u8], passphrase: &SecretString) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let broken = |error: &dyn fmt::Display| KeyError::NotAnIdentity(error.to_string());
    let decryptor =
        Decryptor::new(age::armor::ArmoredReader::new(file)).map_err(|error| broken(&error))?;
    if !decryptor.is_scrypt() {
        return Err(broken(&"it is encrypted to a key, not with a passphrase"));
    }
    let identity = scrypt::Identity::new(passphrase.clone());
    let mut reader = decryptor
        .decrypt(std::iter::once(&identity as &dyn age::Identity))
        .map_err(|error| match error {
            age::DecryptError::NoMatchingKeys
            | age::DecryptError::DecryptionFailed
            | age::DecryptError::KeyDecryptionFailed => KeyError::WrongPassphrase,
            other => broken(&other),
        })?;
    let mut plain = Zeroizing::new(Vec::new());
    reader
        .read_to_end(&mut plain)
        .map_err(|error| broken(&error))?;
    Ok(plain)
}

/// Makes a new identity: the text of its file, as `age-keygen` writes it, and its recipient.
#[must_use]
pub fn generate_identity(now: Timestamp) -> (Zeroizing<String>, String) {
    let identity = x25519::Identity::generate();
    let recipient = identity.to_public().to_string();
    let secret = identity.to_string();
    let text = format!(
        "# created: {now}\n# public key: {recipient}\n{}\n",
        secret.expose_secret()
    );
    (Zeroizing::new(text), recipient)
}

/// Encrypts an identity file with a passphrase, as `age -p` does.
///
/// # Errors
/// [`KeyError::NotAnIdentity`] if encrypting fails.
pub fn protect_identity(text: &str, passphrase: &SecretString) -> Result<Vec<u8>, KeyError> {
    use std::io::Write as _;
    let seal = || -> std::io::Result<Vec<u8>> {
        let mut writer =
            Encryptor::with_user_passphrase(passphrase.clone()).wrap_output(Vec::new())?;
        writer.write_all(text.as_bytes())?;
        writer.finish()
    };
    seal().map_err(|error| KeyError::NotAnIdentity(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn identities_plain_and_protected() {
        let (text, _) = generate_identity(Timestamp::UNIX_EPOCH);
        assert!(Identities::parse(text.as_bytes(), None).is_ok());
        let passphrase = SecretString::from("correct horse".to_owned());
        let protected = protect_identity(&text, &passphrase).unwrap();
        assert!(matches!(
            Identities::parse(&protected, None),
            Err(KeyError::PassphraseNeeded)
        ));
        let wrong = SecretString::from("wrong".to_owned());
        assert!(matches!(
            Identities::parse(&protected, Some(&wrong)),
            Err(KeyError::WrongPassphrase)
        ));
        assert!(Identities::parse(&protected, Some(&passphrase)).is_ok());
        for bad in [
            &b""[..],
            b"hello",
            b"AGE-SECRET-KEY-1NOPE",
            b"# only a comment\n",
        ] {
            assert!(
                matches!(
                    Identities::parse(bad, None),
                    Err(KeyError::NotAnIdentity(_))
                ),
                "{bad:?}"
            );
        }
    }
}
