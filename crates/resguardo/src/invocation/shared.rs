//! What several machines share, opened from the config.

use resguardo_model::VaultId;
use resguardo_ops::OpsError;
use resguardo_ops::catalog::shared::{Location, SharedCatalog};
use secrecy::ExposeSecret as _;

use super::Invocation;
use crate::config::Config;
use crate::error::Failure;
use crate::{secret, wire};

impl Invocation {
    /// The shared catalog of the config, for a vault; `None`: there is none. Nothing is asked of it yet.
    ///
    /// # Errors
    /// If its URL cannot be read, or makes no sense.
    pub fn shared_catalog(
        &self,
        config: &Config,
        vault: VaultId,
    ) -> Result<Option<SharedCatalog>, Failure> {
        let Some(settings) = &config.catalog else {
            return Ok(None);
        };
        let unread = |why: &str| {
            Failure::user(format!("the url of [catalog]: {why}"))
                .hint("set what it names, then run the same command again")
        };
        let reference = settings.url.as_ref().map_err(|why| unread(why))?;
        let url = secret::read(reference, &config.folder, &self.cancel)
            .map_err(|failure| unread(&failure.in_a_line()))?;
        let catalog = SharedCatalog::at(
            &Location::new(url.expose_secret()),
            &wire::libpq(&self.ambient),
            vault,
            &self.ambient.host,
            settings.lease,
        );
        Ok(Some(catalog.map_err(OpsError::from)?))
    }
}
