//! A vault that was made again from its copy: it is the primary from now on.

use std::sync::Arc;

use resguardo_model::Finding;
use resguardo_model::FindingKind;

use super::CopyPlace;
use crate::error::VaultError;
use crate::vault::{Role, Vault};

impl Vault {
    /// Opens a place as the vault itself, with the keys of this copy of it.
    ///
    /// # Errors
    /// As [`Vault::open`]; [`VaultError::OtherVault`].
    pub fn primary_at(&self, place: &CopyPlace) -> Result<Self, VaultError> {
        // Asks what lies there first.
        self.copy_at(place)?;
        let (access, settings) = (Arc::clone(self.shared_access()), self.settings().clone());
        let vault = Self::open_as(Arc::clone(place.store()), access, settings, Role::Primary)?;
        match vault.unpinned() {
            Some(what) => Err(VaultError::ConfigChanged { what }),
            None => Ok(vault),
        }
    }

    /// What this machine remembers and the vault does not hold: backups that no copy had when the vault
    /// was made again. They are told once and then forgotten, for nobody can bring them back.
    ///
    /// # Errors
    /// The store's own.
    pub fn take_leave_of_lost(&self) -> Result<Vec<Finding>, VaultError> {
        let mut lost = self.heads(None)?.findings;
        lost.retain(|finding| finding.kind == FindingKind::HeadRolledBack);
        for finding in &lost {
            if let Some(source) = &finding.source {
                self.forget_remembered(source);
            }
        }
        Ok(lost)
    }
}
