//! The copies of the vault: found by name or URL, and opened in the vault's place.

use std::sync::Arc;

use resguardo_model::VaultId;
use resguardo_model::retention::Policy;
use resguardo_ops::copy;
use resguardo_vault::{CopyPlace, Vault, VaultError};

use super::{Invocation, Opened, Reading};
use crate::config::Config;
use crate::config::copies::CopySettings;
use crate::config::problem::nearest;
use crate::error::Failure;
use crate::exit::Exit;
use crate::home::Home;
use crate::keys::KeyFolder;
use crate::wire::{self, Missing};

/// What a verb that reads backups is told of where to read them.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct FromCopy {
    /// Read from this copy of the vault: its name in the config, or its URL
    #[arg(long = "from", id = "from_copy", value_name = "COPY")]
    copy: Option<String>,
}

impl FromCopy {
    /// The copy, if one is named.
    #[must_use]
    pub fn named(&self) -> Option<&str> {
        self.copy.as_deref()
    }
}

impl Invocation {
    /// The copy of that name, or at that URL.
    ///
    /// # Errors
    /// If no copy is called so, and it is no URL or path.
    pub fn copy_settings(&self, config: &Config, named: &str) -> Result<CopySettings, Failure> {
        let mut copies = config.copies.iter();
        if let Some(copy) = copies.find(|copy| copy.name == named || copy.url == named) {
            return Ok(copy.clone());
        }
        if named.contains(['/', ':']) {
            return Ok(CopySettings::of_url(&self.ambient, named));
        }
        let names: Vec<&str> = config.copies.iter().map(|one| one.name.as_str()).collect();
        if names.is_empty() {
            return Err(
                Failure::user(format!("there is no copy {named}; none is configured"))
                    .hint("name its URL, or add it to the config: [vault] copies = [\"s3://...\"]"),
            );
        }
        let failure = Failure::user(format!(
            "there is no copy {named}; configured: {}",
            names.join(", ")
        ));
        Err(match nearest(named, names.iter().copied()) {
            Some(meant) => failure.hint(format!("did you mean {meant}?")),
            None => failure.hint("name one of them, or a URL"),
        })
    }

    /// A copy's place; nothing is asked of it yet.
    ///
    /// # Errors
    /// If it makes no sense, or a secret cannot be read.
    pub fn copy_place(
        &self,
        config: &Config,
        copy: &CopySettings,
        missing: Missing,
    ) -> Result<CopyPlace, Failure> {
        wire::open_copy(copy, &config.folder, missing, &self.cancel)
    }

    /// The places of all copies of the config, and why those are not among them that make no sense. Nothing is
    /// asked of them yet.
    pub fn copy_places(&self, config: &Config) -> (Vec<CopyPlace>, Vec<(String, Failure)>) {
        let (mut places, mut failed) = (Vec::new(), Vec::new());
        for copy in &config.copies {
            match self.copy_place(config, copy, Missing::Leave) {
                Ok(place) => places.push(place),
                Err(failure) => failed.push((copy.name.clone(), failure)),
            }
        }
        (places, failed)
    }

    /// Opens the vault, or the copy of it that was named. Where something is to be signed, the vault itself
    /// is opened too, if it can be: receipts go there.
    ///
    /// # Errors
    /// As [`Invocation::open_with`], of the copy; if it is of another vault.
    pub fn open_from(
        &self,
        config: Config,
        reading: Reading,
        from: &FromCopy,
        signs: bool,
    ) -> Result<Opened, Failure> {
        let Some(named) = from.named() else {
            return self.open_to_look(config, reading);
        };
        // Whoever needs a backup back waits for no limit.
        let copy = CopySettings {
            bandwidth: None,
            ..self.copy_settings(&config, named)?
        };
        if signs && config.vault.url.is_some() {
            match self.open_to_read(config.clone(), reading) {
                Ok(mut opened) => {
                    let place = self.copy_place(&config, &copy, Missing::Leave)?;
                    opened.context = copy::at_copy(&opened.context, &place)?;
                    self.tell_older(&opened, &copy)?;
                    return Ok(opened);
                }
                Err(failure) if failure.exit == Exit::Interrupted => return Err(failure),
                Err(failure) => self.out.warn(&format!(
                    "the vault itself cannot be opened, so that no receipt of this is signed: {}",
                    failure.message
                )),
            }
        }
        self.open_copy_alone(config, reading, &copy)
    }

    /// Opens a copy without the vault that it is a copy of.
    ///
    /// # Errors
    /// As [`Invocation::open_with`].
    pub fn open_copy_alone(
        &self,
        config: Config,
        reading: Reading,
        copy: &CopySettings,
    ) -> Result<Opened, Failure> {
        let home = self.home()?;
        let missing = Missing::Leave;
        let store = wire::open_place(
            &copy.url,
            &copy.store,
            &config.folder,
            missing,
            &self.cancel,
        )?;
        let description = Vault::read_config(&*store).map_err(|error| {
            let is_gone = matches!(error, VaultError::NotAVault { .. });
            let failure = super::at_place(error.into(), &*store);
            match is_gone {
                true => failure.hint(copy::hint_of_absent(&copy.name)),
                false => failure,
            }
        })?;
        if let Some(ours) = self.expected(&config, &home)
            && ours != description.vault
        {
            let (place, theirs) = (store.describe(), description.vault);
            let other = VaultError::OtherVault {
                place,
                theirs,
                ours,
            };
            let hint = format!(
                "that is no copy of your vault; to read that other vault, name it with --vault {}",
                copy.url
            );
            return Err(Failure::from(other).hint(hint));
        }
        let keys = KeyFolder::new(home.keys(description.vault));
        let (access, unread_identity) = self.access(&config, &keys, description.vault, reading)?;
        let vault = Vault::open_copy(Arc::clone(&store), access, self.settings(&config, &home))?;
        let context = self.context(&config, Some(vault), home.state())?;
        let opened = Opened {
            sources: config.usable_sources().cloned().collect(),
            config,
            context,
            keys: Some(keys),
            unread_identity,
        };
        self.tell_older(&opened, copy)?;
        Ok(opened)
    }

    /// The vault that the config means: the one that this machine knows there, else what lies there.
    fn expected(&self, config: &Config, home: &Home) -> Option<VaultId> {
        config.vault.url.as_ref()?;
        let store = self.store(config).ok()?;
        let known = home.vault_at(&store.describe());
        known.or_else(|| Some(Vault::read_config(&*store).ok()?.vault))
    }

    fn tell_older(&self, opened: &Opened, copy: &CopySettings) -> Result<(), Failure> {
        if let Some(what) = opened.context.vault()?.unpinned() {
            self.out.note(&format!(
                "the copy {} has an older vault.json: {what}; nothing that is read depends on it, and `resguardo copy sync {}` brings it up to date",
                copy.name, copy.name
            ));
        }
        Ok(())
    }
}

/// What a copy keeps of the sources of an environment: what it says itself, else what holds for the vault.
#[must_use]
pub fn policy_at(config: &Config, copy: &CopySettings, environment: &str) -> Option<Policy> {
    let environment = config.environments.get(environment);
    let zone = environment.and_then(|settings| settings.zone.clone());
    match &copy.retention {
        Some(policy) => Some(Policy {
            zone: zone.unwrap_or_else(|| policy.zone.clone()),
            ..policy.clone()
        }),
        None => environment.and_then(|settings| settings.retention.clone()),
    }
}

/// The vault is gone or cannot be reached: its copies hold the same.
#[must_use]
pub fn with_copies(mut failure: Failure, config: &Config) -> Failure {
    let names: Vec<&str> = config.copies.iter().map(|one| one.name.as_str()).collect();
    if failure.exit != Exit::Vault || names.is_empty() {
        return failure;
    }
    let copies = format!(
        "a copy holds the same backups: add --from {} to restore, drill, verify, list or show; `resguardo copy rebuild --from {}` makes the vault again",
        names.join(" or "),
        names.join(" --from ")
    );
    failure.hint = Some(match failure.hint.take() {
        Some(hint) => format!("{copies}; {hint}"),
        None => copies,
    });
    failure
}
