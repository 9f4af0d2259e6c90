//! The vault and the keys of this machine: made, joined, or found to be there already.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use resguardo_model::WriterId;
use resguardo_store::Store;
use resguardo_store::durable::{self, DurableError, Mode};
use resguardo_vault::{
    Identities, KeyError, Vault, VaultConfig, VaultError, WriteKey, check_recipient,
    generate_identity, protect_identity,
};
use secrecy::SecretString;

use super::plan::Wishes;
use super::remains;
use crate::config::Config;
use crate::error::Failure;
use crate::exit::Exit;
use crate::home::Home;
use crate::invocation::{self, Invocation};
use crate::keys::{KeyFolder, is_protected};
use crate::prompt;

/// The vault and this machine's keys for it, all on disk.
#[derive(Debug)]
pub struct Ready {
    /// `vault.json`.
    pub description: VaultConfig,
    /// It was made by this run.
    pub created: bool,
    /// This machine's keys.
    pub keys: KeyFolder,
    /// Who signs here.
    pub writer: WriterId,
    /// The write key was made by this run.
    pub new_writer: bool,
    /// The identity, if it is on this machine.
    pub identity: Option<PathBuf>,
    /// The identity is protected by a passphrase.
    pub protected: bool,
}

/// Makes the vault in `store`, or joins it, and makes the keys.
///
/// # Errors
/// If a wish makes no sense with what is there, or something cannot be written.
pub fn set_up(
    invocation: &Invocation,
    home: &Home,
    store: &dyn Store,
    wishes: &Wishes,
    config: &Config,
) -> Result<Ready, Failure> {
    for recipient in &wishes.recipients {
        check_recipient(recipient).map_err(|error| {
            Failure::usage(error.to_string())
                .hint("a recipient is the public key that `age-keygen` or `resguardo init` printed")
        })?;
    }
    let nascent = Nascent(home.keys_of_nascent(&store.describe()));
    let now = invocation.clock.now();
    let (description, created) = match Vault::read_config(store) {
        Ok(description) => {
            let ours = nascent
                .recipient()
                .is_some_and(|recipient| description.recipients.contains(&recipient));
            if !ours {
                let keys = KeyFolder::new(home.keys(description.vault));
                join(invocation, &description, &keys, wishes)?;
            }
            (description, false)
        }
        Err(VaultError::NotAVault { .. }) => {
            if let Some(vault) = home
                .vault_at(&store.describe())
                .filter(|_| remains::of_vault(store).is_none())
            {
                let absent = invocation::absent(vault, &store.describe());
                let mut absent = invocation::with_copies(absent, config);
                absent.exit = Exit::Refused;
                if !wishes.new_vault {
                    return Err(absent);
                }
                confirm_new(invocation, wishes, absent)?;
            }
            (create(invocation, store, &nascent, wishes, now)?, true)
        }
        Err(other) => return Err(other.into()),
    };
    let keys = KeyFolder::new(home.keys(description.vault));
    if nascent
        .recipient()
        .is_some_and(|recipient| description.recipients.contains(&recipient))
    {
        nascent.move_into(&keys)?;
    }
    let (writer, new_writer) = write_key(&description, &keys, &wishes.trust, now)?;
    keys.remember_place(&store.describe());
    let identity = Some(keys.identity_path()).filter(|path| path.exists());
    let protected = identity.as_deref().is_some_and(is_protected);
    Ok(Ready {
        description,
        created,
        keys,
        writer,
        new_writer,
        identity,
        protected,
    })
}

/// Another vault where one is gone: nobody gets that without having said so twice.
fn confirm_new(
    invocation: &Invocation,
    wishes: &Wishes,
    mut absent: Failure,
) -> Result<(), Failure> {
    if wishes.yes {
        return Ok(());
    }
    if invocation.ambient.asks {
        invocation.out.warn(&absent.in_a_line());
        let answer = prompt::ask(
            "Begin another vault there, without its backups (yes/no)",
            "no",
        )?;
        if ["yes", "y", "sí", "si", "s"].contains(&answer.to_lowercase().as_str()) {
            return Ok(());
        }
    }
    let hint = absent.hint.take().unwrap_or_default();
    Err(absent.hint(format!(
        "{hint}; without a terminal, --new-vault needs --yes"
    )))
}

fn create(
    invocation: &Invocation,
    store: &dyn Store,
    nascent: &Nascent,
    wishes: &Wishes,
    now: Timestamp,
) -> Result<VaultConfig, Failure> {
    let there = store.list("").map_err(VaultError::from)?;
    // What a half-done `init` leaves behind, and probes that a bucket locks as soon as they are there.
    let is_ours =
        |key: &str| ["README.txt", "read_vault.py"].contains(&key) || key.starts_with("_probe/");
    if let Some(stranger) = there.iter().find(|object| !is_ours(object.key.as_str())) {
        if let Some(failure) = remains::of_vault(store) {
            return Err(failure);
        }
        return Err(Failure::new(
            Exit::Refused,
            format!(
                "{} is not empty and holds no vault: there is {}",
                store.describe(),
                stranger.key
            ),
        )
        .hint("name a new or empty place with --vault URL"));
    }
    let mut recipients = wishes.recipients.clone();
    if wishes.write_only {
        if recipients.is_empty() {
            return Err(Failure::usage("--write-only needs at least one --recipient: without one nobody could read a backup")
                .hint("make an identity where it is safe, with `age-keygen`, and name its public key"));
        }
    } else if let Some(path) = &wishes.identity {
        recipients.extend(nascent.adopt(invocation, path, &recipients)?);
    } else {
        recipients.insert(0, nascent.generate(invocation, wishes, now)?);
    }
    recipients.dedup();
    Ok(Vault::create(store, recipients, &*invocation.clock)?)
}

/// Checks that this host may trust the vault that is already there, and takes over the identity.
fn join(
    invocation: &Invocation,
    description: &VaultConfig,
    keys: &KeyFolder,
    wishes: &Wishes,
) -> Result<(), Failure> {
    let named: BTreeSet<&String> = wishes.recipients.iter().collect();
    let there: BTreeSet<&String> = description.recipients.iter().collect();
    if !named.is_empty() && named != there {
        return Err(Failure::new(
            Exit::Vault,
            format!(
                "the vault encrypts to other recipients than those that were named: {}",
                description.recipients.join(", ")
            ),
        )
        .hint("compare with the recovery kit; name all of them, or none, with --recipient"));
    }
    let known = keys.write_key_path().exists();
    if named.is_empty() && !known {
        invocation.out.note(&format!(
            "joining vault {}; backups of this machine will be readable by {}",
            description.vault,
            description.recipients.join(", ")
        ));
        if invocation.ambient.asks && !wishes.yes {
            let answer = prompt::ask(
                "Are these the recipients of your recovery kit (yes/no)",
                "no",
            )?;
            if !["yes", "y", "sí", "si", "s"].contains(&answer.to_lowercase().as_str()) {
                return Err(Failure::user("the vault was not joined")
                    .hint("name the recipients with --recipient"));
            }
        }
    }
    match &wishes.identity {
        Some(path) => adopt_identity(invocation, path, keys),
        None if wishes.write_only || known => Ok(()),
        None => Err(Failure::usage("there is a vault already, and this machine has no identity for it").hint(
            "join it with --identity FILE, to read and write, or with --write-only, to take backups only",
        )),
    }
}

fn adopt_identity(invocation: &Invocation, path: &Path, keys: &KeyFolder) -> Result<(), Failure> {
    let file = read_identity_file(invocation, path)?;
    match keys.create_identity(&file) {
        Err(DurableError::AlreadyThere { path })
            if std::fs::read(&path).is_ok_and(|there| there == file) =>
        {
            Ok(())
        }
        other => Ok(other?),
    }
}

fn read_identity_file(invocation: &Invocation, path: &Path) -> Result<Vec<u8>, Failure> {
    let path = invocation.ambient.absolute(path);
    let file =
        std::fs::read(&path).map_err(|error| Failure::io("reading the identity", &path, &error))?;
    match Identities::parse(&file, None) {
        Ok(_) | Err(KeyError::PassphraseNeeded) => Ok(file),
        Err(error) => Err(Failure::user(format!("{}: {error}", path.display()))
            .hint("an identity file is what `age-keygen -o FILE` writes")),
    }
}

/// The write key that is there, or a new one that pins the vault as it is.
fn write_key(
    description: &VaultConfig,
    keys: &KeyFolder,
    trust: &[WriterId],
    now: Timestamp,
) -> Result<(WriterId, bool), Failure> {
    if let Some(mut key) = keys.read_write_key()? {
        if trust
            .iter()
            .any(|writer| !key.trusted_writers().contains(writer))
        {
            for writer in trust {
                key.trust(*writer)?;
            }
            keys.replace_write_key(&key)?;
        }
        return Ok((key.writer(), false));
    }
    let mut key = WriteKey::generate(description.vault, description.recipients.clone(), now)?;
    for writer in trust {
        key.trust(*writer)?;
    }
    keys.create_write_key(&key)?;
    Ok((key.writer(), true))
}

/// The identity of a vault that has no id yet: on disk before the vault is made, moved to its place
/// afterwards. A run that died in between leaves it to the next.
struct Nascent(PathBuf);

impl Nascent {
    fn recipient(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.0.join("recipient.txt")).ok()?;
        self.folder()
            .identity_path()
            .exists()
            .then(|| text.trim().to_owned())
    }

    fn folder(&self) -> KeyFolder {
        KeyFolder::new(self.0.clone())
    }

    fn keep(&self, file: &[u8], recipient: &str) -> Result<(), Failure> {
        durable::create_folder(&self.0, Mode::PRIVATE_FOLDER)?;
        durable::write(
            &self.0.join("recipient.txt"),
            recipient.as_bytes(),
            Mode::PRIVATE,
        )?;
        Ok(durable::write(
            &self.folder().identity_path(),
            file,
            Mode::PRIVATE,
        )?)
    }

    /// A new identity, or the one of a run that died.
    fn generate(
        &self,
        invocation: &Invocation,
        wishes: &Wishes,
        now: Timestamp,
    ) -> Result<String, Failure> {
        if let Some(recipient) = self.recipient() {
            return Ok(recipient);
        }
        let passphrase = self.passphrase(invocation, wishes)?;
        let (text, recipient) = generate_identity(now);
        let file = match passphrase {
            Some(passphrase) => protect_identity(&text, &passphrase)?,
            None => text.as_bytes().to_vec(),
        };
        self.keep(&file, &recipient)?;
        Ok(recipient)
    }

    fn passphrase(
        &self,
        invocation: &Invocation,
        wishes: &Wishes,
    ) -> Result<Option<SecretString>, Failure> {
        let file = invocation.global.passphrase_file.as_deref();
        match prompt::given_passphrase(&invocation.ambient, file)? {
            Some(given) => Ok(Some(given)),
            None if invocation.ambient.asks && !wishes.yes => prompt::new_passphrase(),
            None => Ok(None),
        }
    }

    /// An identity that exists already. Its recipient is told by its file's own comment; where that is
    /// missing or sealed, by `--recipient`.
    fn adopt(
        &self,
        invocation: &Invocation,
        path: &Path,
        named: &[String],
    ) -> Result<Option<String>, Failure> {
        let file = read_identity_file(invocation, path)?;
        let told = String::from_utf8_lossy(&file)
            .lines()
            .find_map(|line| line.strip_prefix("# public key: "))
            .map(|recipient| recipient.trim().to_owned());
        let recipient = match (told, named) {
            (Some(recipient), _) => recipient,
            (None, [first, ..]) => first.clone(),
            (None, []) => {
                return Err(Failure::usage(format!(
                    "{} does not say its public key",
                    path.display()
                ))
                .hint("name it with --recipient age1...; `age-keygen -y FILE` prints it"));
            }
        };
        self.keep(&file, &recipient)?;
        Ok(Some(recipient).filter(|recipient| !named.contains(recipient)))
    }

    fn move_into(&self, keys: &KeyFolder) -> Result<(), Failure> {
        durable::create_folder(keys.path(), Mode::PRIVATE_FOLDER)?;
        if !keys.identity_path().exists() {
            durable::rename(&self.folder().identity_path(), &keys.identity_path())?;
        }
        durable::remove(&self.folder().identity_path())?;
        durable::remove(&self.0.join("recipient.txt"))?;
        std::fs::remove_dir(&self.0).map_err(|error| Failure::io("removing", &self.0, &error))
    }
}
