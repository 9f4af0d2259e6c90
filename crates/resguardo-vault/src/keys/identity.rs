//! Identities: the secret keys that open backups. X25519, SSH keys, and whatever an age plugin holds.

use std::fmt;
use std::io::Read as _;
use std::sync::Arc;

use age::armor::{ArmoredWriter, Format};
use age::secrecy::{ExposeSecret as _, SecretString};
use age::{Decryptor, Encryptor, plugin, scrypt, ssh, x25519};
use jiff::Timestamp;
use zeroize::Zeroizing;

use super::KeyError;
use super::dialogue::{Callbacks, Dialogue, NoDialogue};
use super::recipient::plugin_binary;

/// Age identities: they open everything in a vault that is sealed to one of their recipients.
pub struct Identities {
    all: Vec<Box<dyn age::Identity + Send + Sync>>,
    recipients: Vec<String>,
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identities({})", self.all.len())
    }
}

impl Identities {
    /// Reads an identity file: one of age, plain or encrypted with a passphrase (`age -p`, binary or
    /// armored), or an SSH private key.
    ///
    /// # Errors
    /// [`KeyError::PassphraseNeeded`], [`KeyError::WrongPassphrase`], [`KeyError::NotAnIdentity`],
    /// [`KeyError::PluginMissing`].
    pub fn parse(file: &[u8], passphrase: Option<&SecretString>) -> Result<Self, KeyError> {
        Self::parse_with(file, passphrase, Arc::new(NoDialogue))
    }

    /// As [`Identities::parse`]; what plugins say and ask goes through `dialogue`.
    ///
    /// # Errors
    /// As [`Identities::parse`].
    pub fn parse_with(
        file: &[u8],
        passphrase: Option<&SecretString>,
        dialogue: Arc<dyn Dialogue>,
    ) -> Result<Self, KeyError> {
        let plain = open_identity(file, passphrase)?;
        if is_ssh(&plain) {
            return Self::of_ssh(&plain, passphrase);
        }
        let text = std::str::from_utf8(&plain)
            .map_err(|_| KeyError::NotAnIdentity("it is no text".to_owned()))?;
        let mut read = Self {
            all: Vec::new(),
            recipients: Vec::new(),
        };
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                read.add(line, number + 1, &dialogue)?;
            }
        }
        if read.all.is_empty() {
            return Err(KeyError::NotAnIdentity("it holds none".to_owned()));
        }
        Ok(read)
    }

    /// One line of an identity file. No error repeats it: it may be a secret with a typing error.
    fn add(
        &mut self,
        line: &str,
        number: usize,
        dialogue: &Arc<dyn Dialogue>,
    ) -> Result<(), KeyError> {
        if let Ok(identity) = line.parse::<x25519::Identity>() {
            self.recipients.push(identity.to_public().to_string());
            self.all.push(Box::new(identity));
            return Ok(());
        }
        if let Ok(identity) = line.parse::<plugin::Identity>() {
            let name = identity.plugin().to_owned();
            let opened =
                plugin::IdentityPluginV1::new(&name, &[identity], Callbacks(Arc::clone(dialogue)));
            let opened = opened.map_err(|_| KeyError::PluginMissing(plugin_binary(&name)))?;
            self.all.push(Box::new(opened));
            return Ok(());
        }
        let why = if super::check_recipient(line).is_ok() {
            format!("line {number} is a recipient, which is a public key")
        } else if line.starts_with('{') {
            format!("line {number} begins like JSON; a write key opens no backup")
        } else {
            format!("line {number} is none")
        };
        Err(KeyError::NotAnIdentity(why))
    }

    fn of_ssh(file: &[u8], passphrase: Option<&SecretString>) -> Result<Self, KeyError> {
        let refused = |why: &dyn fmt::Display| KeyError::NotAnIdentity(why.to_string());
        let read = ssh::Identity::from_buffer(file, None)
            .map_err(|_| refused(&"the SSH key cannot be read"))?;
        let recipient = ssh::Recipient::try_from(read.clone());
        let opened = match read {
            ssh::Identity::Encrypted(key) => {
                let passphrase = passphrase.ok_or(KeyError::PassphraseNeeded)?;
                let opened = key.decrypt(passphrase.clone());
                ssh::Identity::from(opened.map_err(|_| KeyError::WrongPassphrase)?)
            }
            ssh::Identity::Unsupported(_) => {
                return Err(refused(
                    &"an SSH key of a kind that cannot decrypt; ssh-ed25519 and ssh-rsa can",
                ));
            }
            plain @ ssh::Identity::Unencrypted(_) => plain,
        };
        Ok(Self {
            all: vec![Box::new(opened)],
            recipients: recipient.map(|one| one.to_string()).into_iter().collect(),
        })
    }

    /// The recipients that these identities stand for. What a plugin holds is not among them.
    #[must_use]
    pub fn recipients(&self) -> &[String] {
        &self.recipients
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &dyn age::Identity> {
        self.all
            .iter()
            .map(|identity| &**identity as &dyn age::Identity)
    }
}

const AGE_MAGIC: &[u8] = b"age-encryption.org/v1";
const ARMOR_MAGIC: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";
const SSH_MAGIC: [&[u8]; 2] = [
    b"-----BEGIN OPENSSH PRIVATE KEY-----",
    b"-----BEGIN RSA PRIVATE KEY-----",
];

/// Whether an age identity file is encrypted with a passphrase.
#[must_use]
pub fn is_protected(file: &[u8]) -> bool {
    file.starts_with(AGE_MAGIC) || file.trim_ascii_start().starts_with(ARMOR_MAGIC)
}

fn is_ssh(file: &[u8]) -> bool {
    SSH_MAGIC.iter().any(|magic| file.starts_with(magic))
}

/// The text of an identity file, without its passphrase if it has one. An SSH key's own passphrase stays.
///
/// # Errors
/// [`KeyError::PassphraseNeeded`], [`KeyError::WrongPassphrase`], [`KeyError::NotAnIdentity`].
pub fn open_identity(
    file: &[u8],
    passphrase: Option<&SecretString>,
) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    if !is_protected(file) {
        return Ok(Zeroizing::new(file.to_vec()));
    }
    let passphrase = passphrase.ok_or(KeyError::PassphraseNeeded)?;
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

/// Encrypts an identity file with a passphrase, as `age -p -a` does: text, so that whatever keeps texts
/// (a password manager, a secret store) can keep it.
///
/// # Errors
/// [`KeyError::NotAnIdentity`] if encrypting fails.
pub fn protect_identity(text: &str, passphrase: &SecretString) -> Result<Vec<u8>, KeyError> {
    use std::io::Write as _;
    let seal = || -> std::io::Result<Vec<u8>> {
        let armor = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?;
        let mut writer = Encryptor::with_user_passphrase(passphrase.clone()).wrap_output(armor)?;
        writer.write_all(text.as_bytes())?;
        writer.finish()?.finish()
    };
    seal().map_err(|error| KeyError::NotAnIdentity(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(std::str::from_utf8(&protected).is_ok(), "it is text");
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

    #[test]
    fn what_is_no_identity_is_named_and_not_repeated() {
        let (text, recipient) = generate_identity(Timestamp::UNIX_EPOCH);
        let read = Identities::parse(text.as_bytes(), None).unwrap();
        assert_eq!(read.recipients(), std::slice::from_ref(&recipient));
        let secret = text.lines().last().unwrap().replace("KEY-1", "KEY-1Q");
        for (file, word) in [
            (recipient.as_str(), "a public key"),
            ("{\"format\": 1}", "a write key opens no backup"),
            (secret.as_str(), "line 1 is none"),
            (
                "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n",
                "the SSH key cannot be read",
            ),
        ] {
            let error = Identities::parse(file.as_bytes(), None)
                .unwrap_err()
                .to_string();
            assert!(error.contains(word), "{error}");
            assert!(!error.contains(&secret), "{error}");
        }
    }
}
