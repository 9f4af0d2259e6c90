//! The keys of one vault on this machine: `<home>/keys/<vault id>/write-key.json` and `identity.txt`,
//! both 0600, both outside the vault. The only module that reads or writes them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use resguardo_model::{Diagnosis, Severity};
use resguardo_store::durable::{self, DurableError, Mode};
use resguardo_vault::{Identities, KeyError, WriteKey};
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::error::Failure;

/// The folder of one vault's keys. It need not exist.
#[derive(Clone, Debug)]
pub struct KeyFolder(PathBuf);

impl KeyFolder {
    /// The keys in `folder`.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where the write key is.
    #[must_use]
    pub fn write_key_path(&self) -> PathBuf {
        self.0.join("write-key.json")
    }

    /// Where the identity is, if it is on this machine.
    #[must_use]
    pub fn identity_path(&self) -> PathBuf {
        self.0.join("identity.txt")
    }

    /// The write key, if there is one.
    ///
    /// # Errors
    /// If it is there and cannot be read, or is no write key.
    pub fn read_write_key(&self) -> Result<Option<WriteKey>, Failure> {
        let path = self.write_key_path();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::io("reading the write key", &path, &error)),
        };
        match WriteKey::from_json(&text) {
            Ok(key) => Ok(Some(key)),
            Err(error) => Err(Failure::user(format!("{}: {error}", path.display()))
                .hint("put the write key back from its copy, or move it away and make a new one with `resguardo init`")),
        }
    }

    /// Writes the write key. Fails if there is one: it is the only one that can extend this host's
    /// history.
    ///
    /// # Errors
    /// [`DurableError::AlreadyThere`] and others.
    pub fn create_write_key(&self, key: &WriteKey) -> Result<(), DurableError> {
        durable::create_folder(&self.0, Mode::PRIVATE_FOLDER)?;
        durable::create_new(
            &self.write_key_path(),
            key.to_json().as_bytes(),
            Mode::PRIVATE,
        )
    }

    /// Writes the write key with other writers that it trusts.
    ///
    /// # Errors
    /// If it cannot be written; the old one is there then.
    pub fn replace_write_key(&self, key: &WriteKey) -> Result<(), DurableError> {
        durable::write(
            &self.write_key_path(),
            key.to_json().as_bytes(),
            Mode::PRIVATE,
        )
    }

    /// Writes the identity, where none may be yet.
    ///
    /// # Errors
    /// [`DurableError::AlreadyThere`] and others.
    pub fn create_identity(&self, file: &[u8]) -> Result<(), DurableError> {
        durable::create_folder(&self.0, Mode::PRIVATE_FOLDER)?;
        durable::create_new(&self.identity_path(), file, Mode::PRIVATE)
    }

    /// What `doctor` says of the two files.
    #[must_use]
    pub fn diagnose(&self) -> Vec<Diagnosis> {
        let mut found = Vec::new();
        for (subject, path, missing) in [
            (
                "write key",
                self.write_key_path(),
                "no backups can be taken here, and no receipts signed",
            ),
            (
                "identity",
                self.identity_path(),
                "it is not on this machine: backups can be taken, not read",
            ),
        ] {
            found.push(match std::fs::metadata(&path) {
                Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => Diagnosis::not_ok(
                    Severity::Problem,
                    subject,
                    format!(
                        "{} has mode {:04o}: others on this machine may read it",
                        path.display(),
                        metadata.permissions().mode() & 0o7777
                    ),
                    format!("chmod 600 {}", path.display()),
                ),
                Ok(_) => Diagnosis::ok(subject, format!("{} is there, mode 0600", path.display())),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    Diagnosis::not_ok(Severity::Warning, subject, missing, next_for(subject))
                }
                Err(error) => Diagnosis::not_ok(
                    Severity::Problem,
                    subject,
                    format!("{}: {error}", path.display()),
                    format!("ls -l {}", path.display()),
                ),
            });
        }
        found
    }
}

fn next_for(subject: &str) -> &'static str {
    if subject == "identity" {
        "to drill and restore here, name it with --identity FILE"
    } else {
        "resguardo init --write-only --recipient age1..."
    }
}

/// Reads an identity file.
///
/// # Errors
/// If it is not there, unreadable, no identity, or protected and `passphrase` is not given or wrong.
pub fn read_identity(
    path: &Path,
    passphrase: impl FnOnce() -> Result<Option<SecretString>, Failure>,
) -> Result<Identities, Failure> {
    let file = std::fs::read(path).map_err(|error| {
        Failure::io("reading the identity", path, &error).hint(
            "name the identity's file with --identity FILE; the recovery kit says where it is kept",
        )
    })?;
    let named = |error: KeyError| {
        let mut failure = Failure::from(error);
        failure.message = format!("{}: {}", path.display(), failure.message);
        failure
    };
    match Identities::parse(&file, None) {
        Err(KeyError::PassphraseNeeded) => match passphrase()? {
            Some(passphrase) => Identities::parse(&file, Some(&passphrase)).map_err(named),
            None => Err(named(KeyError::PassphraseNeeded)),
        },
        other => other.map_err(named),
    }
}
