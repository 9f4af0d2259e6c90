//! Where a copy lies, and how it is opened and begun.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use resguardo_store::{Condition, Key, Store, StoreError};

use crate::error::VaultError;
use crate::layout;
use crate::recipients;
use crate::vault::{
    Access, READER_TEXT, README_TEXT, Role, Settings, Vault, VaultConfig, other_recipients,
};

/// A copy as it is named on this machine.
#[derive(Clone)]
pub struct CopyPlace {
    name: String,
    store: Arc<dyn Store>,
}

impl std::fmt::Debug for CopyPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CopyPlace({}, {})", self.name, self.describe())
    }
}

impl CopyPlace {
    /// The copy called `name` in `store`. Nothing is asked of the store yet.
    #[must_use]
    pub fn new(name: impl Into<String>, store: Arc<dyn Store>) -> Self {
        Self {
            name: name.into(),
            store,
        }
    }

    /// Its name in the config.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is, in words or as a URL, without secrets.
    #[must_use]
    pub fn describe(&self) -> String {
        self.store.describe()
    }
}

impl CopyPlace {
    /// Its `vault.json`; `None` where none was begun. That it is of the right vault is not looked at.
    ///
    /// # Errors
    /// [`VaultError::AtCopy`] if it cannot be asked; what `vault.json` has wrong.
    pub fn config(&self) -> Result<Option<VaultConfig>, VaultError> {
        match Vault::read_config(&*self.store) {
            Ok(config) => Ok(Some(config)),
            Err(VaultError::NotAVault { .. }) => Ok(None),
            Err(error) => Err(at_copy(error, &self.describe())),
        }
    }

    pub(super) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }
}

impl Vault {
    /// Opens a copy where the vault itself is not at hand: for reading only. Its `vault.json` may be an older
    /// one of this vault: [`Vault::unpinned`].
    ///
    /// # Errors
    /// As [`Vault::open_to_read`].
    pub fn open_copy(
        store: Arc<dyn Store>,
        access: Access,
        settings: Settings,
    ) -> Result<Self, VaultError> {
        let role = Role::Copy { primary: None };
        Self::open_as(store, Arc::new(access), settings, role)
    }

    /// Opens a copy of this vault, with the same keys. What is signed goes into this vault.
    ///
    /// # Errors
    /// [`VaultError::NotAVault`] if the copy was not begun; [`VaultError::OtherVault`];
    /// [`VaultError::AtCopy`].
    pub fn copy_at(&self, place: &CopyPlace) -> Result<Self, VaultError> {
        let described = |error| at_copy(error, &place.describe());
        let theirs = Self::read_config(&*place.store).map_err(described)?.vault;
        if theirs != self.id() {
            return Err(VaultError::OtherVault {
                place: place.describe(),
                theirs,
                ours: self.id(),
            });
        }
        let role = Role::Copy {
            primary: Some(self.clone()),
        };
        let (access, settings) = (Arc::clone(self.shared_access()), self.settings().clone());
        Self::open_as(Arc::clone(&place.store), access, settings, role).map_err(described)
    }

    /// As [`Vault::copy_at`]; an empty place is made into a copy first, and a copy whose `vault.json` is an
    /// older one of this vault gets the present one.
    ///
    /// # Errors
    /// As [`Vault::copy_at`], but for `NotAVault`; [`VaultError::NotEmpty`].
    pub fn begin_copy(&self, place: &CopyPlace) -> Result<Self, VaultError> {
        let described = |error| at_copy(error, &place.describe());
        let there = match Self::read_config(&*place.store) {
            Ok(config) if config.vault != self.id() => return self.copy_at(place),
            Ok(config) => Some(config),
            Err(VaultError::NotAVault { .. }) if config_is_absent(&*place.store)? => None,
            Err(other) => return Err(described(other)),
        };
        if there.is_none() {
            refuse_strangers(&*place.store).map_err(described)?;
        }
        let is_right = there.as_ref().is_some_and(|config| match self.own_key() {
            // Where nothing is pinned, nobody knows which of the two is the right one.
            None => true,
            // A vault that a copy brings back knows the history of its recipients better.
            Some(key) if self.is_copy() => other_recipients(config, key).is_none(),
            Some(_) => config == self.config(),
        });
        if !is_right {
            self.put_config(&*place.store, there.is_some())
                .map_err(described)?;
        }
        self.copy_at(place)
    }

    /// Brings a copy that was begun the present `vault.json`; answers whether it had another.
    ///
    /// # Errors
    /// As [`Vault::copy_at`].
    pub fn refresh_copy(&self, place: &CopyPlace) -> Result<bool, VaultError> {
        let copy = self.copy_at(place)?;
        if copy.config() == self.config() {
            return Ok(false);
        }
        self.put_config(&*place.store, true)
            .map_err(|error| at_copy(error, &place.describe()))?;
        Ok(true)
    }

    /// `vault.json` as it lies here, byte for byte. Where a copy has an older one, the one that names who is
    /// pinned here.
    fn config_to_carry(&self) -> Result<Bytes, VaultError> {
        if let (Some(what), Some(key)) = (self.unpinned(), self.own_key()) {
            if !self.is_copy() {
                return Err(VaultError::ConfigChanged { what });
            }
            let now = self.settings().clock.now();
            return Ok(recipients::with_pinned(self.config(), key, now));
        }
        let config = self.store().get(&layout::key(layout::VAULT))?;
        // What was opened was compared with the pin; what lies there now may be another's.
        if serde_json::from_slice::<VaultConfig>(&config).ok().as_ref() != Some(self.config()) {
            let what = "it changed after the vault was opened".to_owned();
            return Err(VaultError::ConfigChanged { what });
        }
        Ok(config)
    }

    /// Puts `vault.json`; it is the last object of a new copy.
    fn put_config(&self, store: &dyn Store, replace: bool) -> Result<(), VaultError> {
        let key = layout::key(layout::VAULT);
        let config = self.config_to_carry()?;
        for (name, text) in [(layout::README, README_TEXT), (layout::READER, READER_TEXT)] {
            let body = Bytes::from_static(text.as_bytes());
            store.put(&layout::key(name), body, Condition::Always)?;
        }
        let condition = match store.capabilities().conditional_put && !replace {
            true => Condition::Absent,
            false => Condition::Always,
        };
        match store.put(&key, config.clone(), condition) {
            // Another machine began the same copy in this moment.
            Err(StoreError::ConditionFailed { .. }) if store.get(&key)? == config => Ok(()),
            other => Ok(other.map(|_| ())?),
        }
    }

    /// Whether it is a copy: receipts of what is done here go into the vault itself.
    #[must_use]
    pub fn is_copy(&self) -> bool {
        matches!(self.role(), Role::Copy { .. })
    }

    /// No backup is taken into a copy.
    pub(crate) fn refuse_copy(&self) -> Result<(), VaultError> {
        if self.is_copy() {
            return Err(VaultError::OnlyACopy {
                place: self.store().describe(),
            });
        }
        Ok(())
    }
}

/// A `vault.json` that cannot be read is something else than none.
fn config_is_absent(store: &dyn Store) -> Result<bool, VaultError> {
    match store.stat(&layout::key(layout::VAULT)) {
        Ok(_) => Ok(false),
        Err(StoreError::NotFound { .. } | StoreError::NoSuchPlace { .. }) => Ok(true),
        Err(other) => Err(at_copy(other.into(), &store.describe())),
    }
}

/// What a run that was stopped left behind is none of a stranger.
fn refuse_strangers(store: &dyn Store) -> Result<(), VaultError> {
    let own: BTreeSet<Key> = [layout::README, layout::READER]
        .map(layout::key)
        .into_iter()
        .collect();
    let is_strange = |key: &Key| !own.contains(key) && !key.as_str().starts_with("_probe/");
    let listed = store.list("")?;
    match listed.into_iter().find(|info| is_strange(&info.key)) {
        Some(info) => Err(VaultError::NotEmpty {
            place: store.describe(),
            object: info.key.to_string(),
        }),
        None => Ok(()),
    }
}

/// The error of a copy's store, told from one of the vault's own.
pub(crate) fn at_copy(error: VaultError, place: &str) -> VaultError {
    match error {
        VaultError::Store(source) => VaultError::AtCopy {
            place: place.to_owned(),
            source,
        },
        other => other,
    }
}
