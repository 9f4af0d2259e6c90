//! What is configured at present, for runs that begin now: references are read anew for each.

use std::sync::{Arc, PoisonError, RwLock};

use resguardo_daemon::{ConfiguredCopy, Rules, Sources};
use resguardo_model::{CancelToken, SourceName};
use resguardo_ops::{Context, SourceSpec};
use secrecy::SecretString;

use super::copy;
use crate::config::{Config, EnvironmentSettings};
use crate::error::Failure;
use crate::invocation::{Invocation, Reading};
use crate::secret;
use crate::wire::Missing;

/// The configuration that holds, until it is read again.
pub(super) struct Configured {
    invocation: Invocation,
    config: RwLock<Arc<Config>>,
}

impl Configured {
    pub(super) fn new(invocation: Invocation, config: Config) -> Self {
        Self {
            invocation,
            config: RwLock::new(Arc::new(config)),
        }
    }

    /// From now on `config` holds; runs that have begun may see either.
    pub(super) fn set(&self, config: Config) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    pub(super) fn now(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The secret of the client of `[http.oidc]` of `config`, as it is now.
    ///
    /// # Errors
    /// Why it cannot be read, in a line.
    pub(super) fn oidc_secret(&self, config: &Config) -> Result<SecretString, String> {
        let secret = config.oidc.as_ref().and_then(|oidc| oidc.secret.as_ref());
        let reference = secret.ok_or_else(|| "it is not in the config any more".to_owned())?;
        let reference = reference.as_ref().map_err(Clone::clone)?;
        let cancel = &self.invocation.cancel;
        secret::read(reference, &config.folder, cancel).map_err(|failure| failure.in_a_line())
    }

    fn with_references(&self, name: &SourceName, cancel: &CancelToken) -> Config {
        let names = std::slice::from_ref(name);
        let invocation = self.invocation.until(cancel);
        invocation.with_references(Config::clone(&self.now()), names)
    }
}

impl Sources for Configured {
    fn context(&self, before: &Context) -> Result<Context, String> {
        let config = self.now();
        let vault = self
            .invocation
            .until(&before.cancel)
            .vault_now(&config, Reading::IfAtHand)
            .map_err(|failure| failure.in_a_line())?;
        Ok(Context {
            vault: Some(Arc::new(vault)),
            zone: config.zone.clone(),
            ..before.clone()
        })
    }

    fn ready(&self, name: &SourceName, cancel: &CancelToken) -> Result<SourceSpec, String> {
        let config = self.with_references(name, cancel);
        match config.source(name) {
            Ok(Some(source)) => Ok(source.clone()),
            Ok(None) => Err(format!("the source {name} is not configured")),
            Err(error) => Err(Failure::from(error).in_a_line()),
        }
    }

    fn anywhere(&self, name: &SourceName, cancel: &CancelToken) -> Option<SourceSpec> {
        let all = self.with_references(name, cancel).sources_anywhere();
        all.into_iter().find(|source| source.name == *name)
    }

    fn rules(&self, name: &SourceName) -> Option<Rules> {
        let config = self.now();
        let source = config.sources.iter().find(|source| source.name == *name)?;
        let environment = source.elsewhere.environment.clone();
        let nothing = EnvironmentSettings::default();
        let settings = config.environments.get(&environment).unwrap_or(&nothing);
        Some(Rules {
            retention: settings.retention.clone(),
            depth: settings.plans.depth,
            choice: settings.plans.choice,
            environment,
        })
    }

    fn copies(&self, name: &SourceName, cancel: &CancelToken) -> Vec<ConfiguredCopy> {
        let config = self.now();
        let invocation = self.invocation.until(cancel);
        let copies = config.copies.iter().map(|settings| ConfiguredCopy {
            name: settings.name.clone(),
            place: invocation
                .copy_place(&config, settings, Missing::Begin)
                .map_err(|failure| failure.in_a_line()),
            policy: copy::policy_of(&config, settings, name),
        });
        copies.collect()
    }
}
