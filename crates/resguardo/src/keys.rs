//! The keys of one vault on this machine: `<home>/keys/<vault id>/write-key.json` and `identity.txt`,
//! both 0600, both outside the vault. The only module that reads or writes them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use resguardo_model::{CancelToken, Diagnosis, Severity};
use resguardo_store::durable::{self, DurableError, Mode};
use resguardo_vault::{Dialogue, Identities, KeyError, WriteKey};
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::config::KeyPlace;
use crate::error::Failure;
use crate::secret;

/// The file that names the vault's place.
const PLACE: &str = "place";

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

    /// Remembers where the vault of these keys is, so that nothing else is made there unseen. Nothing
    /// depends on it: what cannot be written is left.
    pub fn remember_place(&self, place: &str) {
        let path = self.0.join(PLACE);
        let known = std::fs::read_to_string(&path).unwrap_or_default();
        if known != place && self.0.is_dir() {
            let _ = durable::write(&path, place.as_bytes(), Mode::PRIVATE);
        }
    }

    /// Where the vault of these keys was last.
    #[must_use]
    pub fn place(&self) -> Option<String> {
        std::fs::read_to_string(self.0.join(PLACE)).ok()
    }

    /// The write key, if there is one.
    ///
    /// # Errors
    /// If it is there and cannot be read, or is no write key.
    pub fn read_write_key(&self) -> Result<Option<WriteKey>, Failure> {
        match read_write_key_file(&self.write_key_path()) {
            Ok(text) => parse_write_key(&text, &self.write_key_path().display()).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::io(
                "reading the write key",
                &self.write_key_path(),
                &error,
            )),
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

    /// What `doctor` says of the write key's file.
    #[must_use]
    pub fn diagnose_write_key(&self) -> Diagnosis {
        diagnose_file("write key", &self.write_key_path()).unwrap_or_else(|| {
            Diagnosis::not_ok(
                Severity::Warning,
                "write key",
                "there is none here: no backups can be taken, and no receipts signed",
                "resguardo init --write-only --recipient age1...",
            )
        })
    }

    /// What `doctor` says of the identity's file: the one that was `named`, else the one in this folder.
    #[must_use]
    pub fn diagnose_identity(&self, named: Option<&Path>) -> Diagnosis {
        let path = named.map_or_else(|| self.identity_path(), Path::to_path_buf);
        diagnose_file("identity", &path).unwrap_or_else(|| match named {
            Some(path) => Diagnosis::not_ok(
                Severity::Problem,
                "identity",
                format!("{} is not there", path.display()),
                "name the identity's file with --identity FILE; the recovery kit says where it is kept",
            ),
            None => Diagnosis::not_ok(
                Severity::Warning,
                "identity",
                "it is not on this machine: backups can be taken, not read",
                "to drill and restore here, name it with --identity FILE",
            ),
        })
    }
}

/// What there is to say of a file with a secret in it; nothing where there is no file.
fn diagnose_file(subject: &str, path: &Path) -> Option<Diagnosis> {
    let problem = |message: String, next: String| {
        Some(Diagnosis::not_ok(Severity::Problem, subject, message, next))
    };
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => problem(
            format!(
                "{} has mode {:04o}: others on this machine may read it",
                path.display(),
                metadata.permissions().mode() & 0o7777
            ),
            format!("chmod 600 {}", path.display()),
        ),
        Ok(metadata) => Some(Diagnosis::ok(
            subject,
            format!(
                "{} is there, mode {:04o}",
                path.display(),
                metadata.permissions().mode() & 0o7777
            ),
        )),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => problem(
            format!("{}: {error}", path.display()),
            format!("ls -l {}", path.display()),
        ),
    }
}

/// Whether the identity in `path` opens with a passphrase only.
#[must_use]
pub fn is_protected(path: &Path) -> bool {
    std::fs::read(path).is_ok_and(|file| {
        matches!(
            Identities::parse(&file, None),
            Err(KeyError::PassphraseNeeded)
        )
    })
}

fn read_write_key_file(path: &Path) -> std::io::Result<Zeroizing<String>> {
    std::fs::read_to_string(path).map(Zeroizing::new)
}

fn parse_write_key(text: &str, place: &dyn std::fmt::Display) -> Result<WriteKey, Failure> {
    WriteKey::from_json(text).map_err(|error| {
        Failure::user(format!("{place}: {error}"))
            .hint("put the write key back from its copy, or move it away and make a new one with `resguardo init`")
    })
}

/// Reads the write key from where the config keeps it.
///
/// # Errors
/// If it is not there, cannot be read, or is no write key.
pub fn read_write_key(
    place: &KeyPlace,
    folder: &Path,
    cancel: &CancelToken,
) -> Result<WriteKey, Failure> {
    let text = match place {
        KeyPlace::File(path) => read_write_key_file(path)
            .map_err(|error| Failure::io("reading the write key", path, &error))?,
        KeyPlace::Command(line) => secret::read_all(line, folder, cancel)?,
    };
    parse_write_key(&text, place)
}

/// Writes a write key to where the config keeps it.
///
/// # Errors
/// If a command keeps it, or the file cannot be written; the old one is there then.
pub fn replace_write_key_at(place: &KeyPlace, key: &WriteKey) -> Result<(), Failure> {
    match place {
        KeyPlace::File(path) => Ok(durable::write(
            path,
            key.to_json().as_bytes(),
            Mode::PRIVATE,
        )?),
        KeyPlace::Command(_) => Err(not_writable(place)),
    }
}

/// A key that a command keeps cannot be changed from here.
#[must_use]
pub fn not_writable(place: &KeyPlace) -> Failure {
    Failure::user(format!("the write key comes from {place}, where nothing can be written to"))
        .hint("put it into a private file, name that with RESGUARDO_WRITE_KEY=FILE for this one command, and put the changed file back into the secret store")
}

/// Reads an identity.
///
/// # Errors
/// If it is not there, unreadable, no identity, or protected and `passphrase` is not given or wrong.
pub fn read_identity(
    place: &KeyPlace,
    folder: &Path,
    cancel: &CancelToken,
    dialogue: &Arc<dyn Dialogue>,
    passphrase: impl FnOnce() -> Result<Option<SecretString>, Failure>,
) -> Result<Identities, Failure> {
    let file = read_identity_text(place, folder, cancel)?;
    let named = |error: KeyError| {
        let mut failure = Failure::from(error);
        failure.message = format!("{place}: {}", failure.message);
        failure
    };
    match Identities::parse_with(&file, None, Arc::clone(dialogue)) {
        Err(KeyError::PassphraseNeeded) => match passphrase()? {
            Some(given) => {
                Identities::parse_with(&file, Some(&given), Arc::clone(dialogue)).map_err(named)
            }
            None => Err(named(KeyError::PassphraseNeeded)),
        },
        other => other.map_err(named),
    }
}

/// The bytes of an identity, protected or not.
///
/// # Errors
/// If it is not there or cannot be read.
pub fn read_identity_text(
    place: &KeyPlace,
    folder: &Path,
    cancel: &CancelToken,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    match place {
        KeyPlace::File(path) => std::fs::read(path).map(Zeroizing::new).map_err(|error| {
            Failure::io("reading the identity", path, &error).hint(
                "name the identity's file with --identity FILE; the recovery kit says where it is kept",
            )
        }),
        KeyPlace::Command(line) => {
            let text = secret::read_all(line, folder, cancel)?;
            Ok(Zeroizing::new(text.as_bytes().to_vec()))
        }
    }
}
