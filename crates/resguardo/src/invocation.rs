//! One run of the program: flags, surroundings, output, and what is opened from them.

mod copies;
mod shared;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use resguardo_model::{CancelToken, Clock, NoProgress, Progress, SourceName, SystemClock, VaultId};
use resguardo_ops::catalog::Catalog;
use resguardo_ops::{Context, SourceSpec};
use resguardo_store::durable::{self, Mode};
use resguardo_store::{Store, StoreError};
use resguardo_vault::{
    Access, Identities, KeyNow, Settings, Vault, VaultConfig, VaultError, WriteKey,
};
use secrecy::SecretString;

use crate::ambient::Ambient;
use crate::cli::Global;
use crate::config::load::{self, Overrides};
use crate::config::{Config, KeyPlace};
use crate::error::Failure;
use crate::exit::Exit;
use crate::home::Home;
use crate::keys::{self, KeyFolder};
use crate::prompt;
use crate::render::Output;
use crate::render::progress::{PlainProgress, TerminalProgress};
use crate::secret;
use crate::setup::remains;
use crate::wire;

pub use copies::{FromCopy, policy_at, with_copies};

/// One run of the program.
pub struct Invocation {
    /// What surrounds it.
    pub ambient: Ambient,
    /// Flags of every verb.
    pub global: Global,
    /// Where and how to print.
    pub out: Output,
    /// Raised by signals, once `Opened` listens for them.
    pub cancel: CancelToken,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Whether a verb reads what only an identity opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// No: the identity is not even looked for.
    Nothing,
    /// If it is at hand without a question.
    IfAtHand,
    /// Yes. The vault says what is missing if there is none.
    Backups,
}

/// The vault with everything a verb needs.
pub struct Opened {
    /// The effective configuration.
    pub config: Config,
    /// Every source that can be used at present.
    pub sources: Vec<SourceSpec>,
    /// What ops is given.
    pub context: Context,
    /// The keys of this machine for it.
    pub keys: Option<KeyFolder>,
    /// Why an identity that is there was not read, where the verb can do without
    /// ([`Reading::IfAtHand`]).
    pub unread_identity: Option<Failure>,
}

impl Invocation {
    /// A run with the machine's clock.
    #[must_use]
    pub fn new(ambient: Ambient, global: Global) -> Self {
        Self {
            out: Output::new(&ambient, &global),
            ambient,
            global,
            cancel: CancelToken::new(),
            clock: Arc::new(SystemClock),
        }
    }

    /// The same, for work that is told of in another way: nothing but errors is printed.
    #[must_use]
    pub fn quietly(&self) -> Self {
        Self {
            ambient: self.ambient.clone(),
            global: Global {
                quiet: true,
                ..self.global.clone()
            },
            out: Output {
                silent: true,
                ..self.out.clone()
            },
            cancel: self.cancel.clone(),
            clock: Arc::clone(&self.clock),
        }
    }

    /// The same, for work that is told to stop by another order.
    #[must_use]
    pub fn until(&self, cancel: &CancelToken) -> Self {
        Self {
            ambient: self.ambient.clone(),
            global: self.global.clone(),
            out: self.out.clone(),
            cancel: cancel.clone(),
            clock: Arc::clone(&self.clock),
        }
    }

    /// What the command line says about the configuration.
    #[must_use]
    pub fn overrides(&self) -> Overrides {
        Overrides {
            config: self.global.config.clone(),
            vault: self.global.vault.clone(),
            identity: self.global.identity.clone(),
        }
    }

    /// The effective configuration.
    ///
    /// # Errors
    /// If it makes no sense.
    pub fn config(&self) -> Result<Config, Failure> {
        Ok(load::load(&self.ambient, &self.overrides())?)
    }

    /// The effective configuration, with what `file:` and `cmd:` references of these sources stand for; of
    /// all sources if none is named.
    ///
    /// # Errors
    /// If it makes no sense. A reference that cannot be read is an error once its source is used.
    pub fn config_for_use(&self, names: &[SourceName]) -> Result<Config, Failure> {
        Ok(self.with_references(self.config()?, names))
    }

    /// `config` with what `file:` and `cmd:` references of these sources stand for now.
    pub fn with_references(&self, mut config: Config, names: &[SourceName]) -> Config {
        let folder = config.folder.clone();
        config.read_references(names, |reference| {
            secret::read(reference, &folder, &self.cancel).map_err(|failure| failure.in_a_line())
        });
        config
    }

    /// This machine's folders.
    ///
    /// # Errors
    /// If there is no home.
    pub fn home(&self) -> Result<Home, Failure> {
        Ok(Home::find(&self.ambient)?)
    }

    /// Whoever shows the progress.
    #[must_use]
    pub fn progress(&self) -> Arc<dyn Progress> {
        if self.global.json || self.global.quiet {
            Arc::new(NoProgress)
        } else if self.ambient.stderr_terminal {
            Arc::new(TerminalProgress::new())
        } else {
            Arc::new(PlainProgress::new(self.out.clone()))
        }
    }

    /// The store of the configured vault.
    ///
    /// # Errors
    /// If none is configured or the settings make no sense.
    pub fn store(&self, config: &Config) -> Result<Arc<dyn Store>, Failure> {
        wire::open_store(
            &config.vault,
            &config.folder,
            wire::Missing::Leave,
            &self.cancel,
        )
    }

    /// The identity that is to be used: the one that was named, else the one in the keys folder. The
    /// second answer is why one that is there was not read, where that is no error.
    ///
    /// # Errors
    /// If one was named and cannot be read, or is protected and nobody knows the passphrase.
    fn identities(
        &self,
        config: &Config,
        keys: &KeyFolder,
        reading: Reading,
    ) -> Result<(Option<Identities>, Option<Failure>), Failure> {
        let named = config
            .vault
            .identity
            .as_ref()
            .map(|setting| setting.value.clone());
        let place = match (reading, named) {
            (Reading::Nothing, _) => return Ok((None, None)),
            (_, Some(place)) => place,
            (_, None) if keys.identity_path().exists() => KeyPlace::File(keys.identity_path()),
            (_, None) => return Ok((None, None)),
        };
        match self.read_identity(config, &place, reading) {
            Ok(identities) => Ok((Some(identities), None)),
            Err(failure) if reading == Reading::IfAtHand => Ok((None, Some(failure))),
            Err(failure) => Err(failure),
        }
    }

    fn read_identity(
        &self,
        config: &Config,
        place: &KeyPlace,
        reading: Reading,
    ) -> Result<Identities, Failure> {
        let passphrase = || self.passphrase(config, reading == Reading::Backups);
        let dialogue = prompt::dialogue(&self.ambient, &self.out);
        keys::read_identity(place, &config.folder, &self.cancel, &dialogue, passphrase)
    }

    /// The passphrase of the identity: from `--passphrase-file`, the environment, the config, or a question
    /// where one may be asked.
    ///
    /// # Errors
    /// If a place of it cannot be read.
    pub fn passphrase(&self, config: &Config, ask: bool) -> Result<Option<SecretString>, Failure> {
        let file = self.global.passphrase_file.as_deref();
        if let Some(given) = prompt::given_passphrase(&self.ambient, file)? {
            return Ok(Some(given));
        }
        match &config.vault.passphrase {
            Some(reference) => secret::read(reference, &config.folder, &self.cancel).map(Some),
            None if ask => prompt::passphrase(&self.ambient, None),
            None => Ok(None),
        }
    }

    /// The write key, from where the config keeps it, or from the keys folder.
    ///
    /// # Errors
    /// If it is named and not there, cannot be read, or is no write key.
    pub fn write_key(
        &self,
        config: &Config,
        keys: &KeyFolder,
    ) -> Result<Option<WriteKey>, Failure> {
        match &config.vault.write_key {
            Some(place) => {
                keys::read_write_key(&place.value, &config.folder, &self.cancel).map(Some)
            }
            None => keys.read_write_key(),
        }
    }

    /// Opens the configured vault.
    ///
    /// # Errors
    /// If there is none, it cannot be reached, or a key cannot be read.
    pub fn open(&self, reading: Reading) -> Result<Opened, Failure> {
        self.open_with(self.config()?, reading)
    }

    /// Opens the vault that `config` names.
    ///
    /// # Errors
    /// As [`Invocation::open`].
    pub fn open_with(&self, config: Config, reading: Reading) -> Result<Opened, Failure> {
        let opened = self.open_to_read(config, reading)?;
        pinned(opened.context.vault()?)?;
        Ok(opened)
    }

    /// Opens the vault that `config` names to look at what it holds: nothing is sealed, so it matters little to
    /// whom. Recipients that are others than those pinned here are told, loudly.
    ///
    /// # Errors
    /// As [`Invocation::open`], but for those recipients.
    pub fn open_to_look(&self, config: Config, reading: Reading) -> Result<Opened, Failure> {
        let opened = self.open_to_read(config, reading)?;
        if let Some(what) = opened.context.vault()?.unpinned() {
            self.out.warn(&format!(
                "vault.json is not what this machine expects: {what}. What is there is read all the same, and no backup is taken. If this place is a copy, `resguardo copy sync` brings it up to date; if recipients were changed on another host, run the same `resguardo keys add` or `retire` here; if nobody did, somebody wants to read your backups"
            ));
        }
        Ok(opened)
    }

    /// The same without a word about recipients.
    fn open_to_read(&self, config: Config, reading: Reading) -> Result<Opened, Failure> {
        let home = self.home()?;
        let (vault, keys, unread_identity) = self.vault(&config, &home, reading)?;
        let context = self.context(&config, Some(vault), home.state())?;
        Ok(Opened {
            sources: config.usable_sources().cloned().collect(),
            config,
            context,
            keys: Some(keys),
            unread_identity,
        })
    }

    /// The vault that `config` names, with the keys as they are now, for a process that lives long.
    ///
    /// # Errors
    /// As [`Invocation::open`].
    pub fn vault_now(&self, config: &Config, reading: Reading) -> Result<Vault, Failure> {
        let (vault, _, _) = self.vault(config, &self.home()?, reading)?;
        pinned(&vault)?;
        Ok(vault)
    }

    fn vault(
        &self,
        config: &Config,
        home: &Home,
        reading: Reading,
    ) -> Result<(Vault, KeyFolder, Option<Failure>), Failure> {
        self.vault_in(self.store(config)?, config, home, reading)
    }

    /// The vault that `store` holds.
    pub(crate) fn vault_in(
        &self,
        store: Arc<dyn Store>,
        config: &Config,
        home: &Home,
        reading: Reading,
    ) -> Result<(Vault, KeyFolder, Option<Failure>), Failure> {
        let description =
            describe(&*store, home).map_err(|failure| copies::with_copies(failure, config))?;
        let keys = KeyFolder::new(home.keys(description.vault));
        keys.remember_place(&store.describe());
        let (access, unread_identity) = self.access(config, &keys, description.vault, reading)?;
        let vault = Vault::open_to_read(store, access, self.settings(config, home))?;
        let vault = vault.signing_by(self.key_now(config, &keys));
        Ok((vault, keys, unread_identity))
    }

    /// Reads the write key's file again. What a command gives is not asked for once more: no rotation of this
    /// machine reaches it.
    fn key_now(&self, config: &Config, keys: &KeyFolder) -> Box<KeyNow> {
        let place = config
            .vault
            .write_key
            .as_ref()
            .map(|place| place.value.clone());
        let (keys, folder) = (keys.clone(), config.folder.clone());
        let cancel = self.cancel.clone();
        Box::new(move || {
            let read = match &place {
                None => match keys.read_write_key() {
                    Ok(None) => return Err("its file is gone".into()),
                    read => read,
                },
                Some(place) if place.file().is_none() => Ok(None),
                Some(place) => crate::keys::read_write_key(place, &folder, &cancel).map(Some),
            };
            read.map_err(|mut failure| {
                failure.hint = None;
                failure.in_a_line().into()
            })
        })
    }

    /// The keys with which a vault is opened, and why an identity that is there was not read.
    fn access(
        &self,
        config: &Config,
        keys: &KeyFolder,
        vault: VaultId,
        reading: Reading,
    ) -> Result<(Access, Option<Failure>), Failure> {
        let write_key = self.write_key(config, keys)?;
        let (identities, unread_identity) = self.identities(config, keys, reading)?;
        if write_key.is_none() {
            self.out.warn(&if config.vault.trusted_writers.is_empty() {
                format!("this machine has no write key for vault {vault}: no writer is pinned here, and no receipt will be signed")
            } else {
                format!("this machine has no write key for vault {vault}: no receipt will be signed")
            });
        }
        let access = Access {
            trusted_writers: config.vault.trusted_writers.clone(),
            write_key,
            identities,
        };
        Ok((access, unread_identity))
    }

    fn settings(&self, config: &Config, home: &Home) -> Settings {
        Settings {
            clock: Arc::clone(&self.clock),
            cache: home.cache().to_path_buf(),
            threads: std::thread::available_parallelism().map_or(2, usize::from),
            compression_level: config.vault.compression_level,
            prune_grace: config.vault.prune_grace(),
        }
    }

    /// What is needed without a vault: to export, or to restore and drill a file.
    ///
    /// # Errors
    /// If there is no home.
    pub fn open_without_vault(&self, config: Config) -> Result<Opened, Failure> {
        let context = self.context(&config, None, self.home()?.state())?;
        Ok(Opened {
            sources: config.usable_sources().cloned().collect(),
            config,
            context,
            keys: None,
            unread_identity: None,
        })
    }

    fn context(
        &self,
        config: &Config,
        vault: Option<Vault>,
        state: &Path,
    ) -> Result<Context, Failure> {
        durable::create_folder(state, Mode::PRIVATE_FOLDER)?;
        let catalog = Catalog::open_or_in_memory(&state.join("catalog.db"))
            .map_err(resguardo_ops::OpsError::from)?;
        for note in catalog.notes() {
            self.out.warn(note);
        }
        crate::signal::watch(&self.cancel);
        Ok(Context {
            vault: vault.map(Arc::new),
            catalog,
            engines: wire::engines(state, &self.ambient),
            clock: Arc::clone(&self.clock),
            zone: config.zone.clone(),
            cancel: self.cancel.clone(),
            progress: self.progress(),
            host: self.ambient.host.clone(),
            operator: self.ambient.operator.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            state: PathBuf::from(state),
            annexes: PathBuf::from(wire::ANNEXES),
        })
    }
}

/// Nothing is done to a vault whose recipients are others than those pinned here.
fn pinned(vault: &Vault) -> Result<(), VaultError> {
    match vault.unpinned() {
        Some(what) => Err(VaultError::ConfigChanged { what }),
        None => Ok(()),
    }
}

/// A vault that this machine knows is not where it was.
#[must_use]
pub fn absent(vault: VaultId, place: &str) -> Failure {
    Failure::new(
        Exit::Vault,
        format!("{place} holds no vault, and this machine knows vault {vault} there"),
    )
    .hint("is the disk mounted, and the place the right one? `resguardo init --new-vault` begins another vault there, without the backups of the old one")
}

/// Reads `vault.json`.
///
/// # Errors
/// What keeps it from being read, with the place.
pub fn describe(store: &dyn Store, home: &Home) -> Result<VaultConfig, Failure> {
    Vault::read_config(store).map_err(|error| {
        let is_gone = matches!(
            error,
            VaultError::NotAVault { .. } | VaultError::Store(StoreError::NoSuchPlace { .. })
        );
        if is_gone {
            let place = store.describe();
            let known = || home.vault_at(&place).map(|vault| absent(vault, &place));
            if let Some(failure) = remains::of_vault(store).or_else(known) {
                return failure;
            }
        }
        at_place(error.into(), store)
    })
}

fn at_place(mut failure: Failure, store: &dyn Store) -> Failure {
    let place = store.describe();
    if !failure.message.contains(&place) {
        failure.message = format!("vault {place}: {}", failure.message);
    }
    failure
}
