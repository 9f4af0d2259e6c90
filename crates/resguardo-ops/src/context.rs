//! What every use case is given: the vault, the catalog, the engines, the clock and who is watching.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use resguardo_engine::port::{Engine, Run};
use resguardo_model::{BackupId, CancelToken, Clock, EngineKind, Progress, RunId};
use resguardo_vault::Vault;
use ulid::Ulid;

use crate::catalog::Catalog;
use crate::error::OpsError;

/// The engines that there are.
#[derive(Clone, Default)]
pub struct Engines(BTreeMap<EngineKind, Arc<dyn Engine>>);

impl Engines {
    /// No engine yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more.
    #[must_use]
    pub fn with(mut self, engine: Arc<dyn Engine>) -> Self {
        self.0.insert(engine.kind(), engine);
        self
    }

    /// The engine of a kind.
    ///
    /// # Errors
    /// [`OpsError::NoEngine`].
    pub fn get(&self, kind: EngineKind) -> Result<&Arc<dyn Engine>, OpsError> {
        self.0.get(&kind).ok_or(OpsError::NoEngine { kind })
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Arc<dyn Engine>> {
        self.0.values()
    }
}

/// What every use case is given.
#[derive(Clone)]
pub struct Context {
    /// The vault; `None` if none is configured, which is enough to export a file, and to restore or drill one.
    pub vault: Option<Arc<Vault>>,
    /// The cache of the vault, and the history of runs.
    pub catalog: Catalog,
    /// The engines.
    pub engines: Engines,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The time zone in which references like `shop@2026-11-20` are read.
    pub zone: TimeZone,
    /// Raised by a signal.
    pub cancel: CancelToken,
    /// Whoever watches.
    pub progress: Arc<dyn Progress>,
    /// The machine's name.
    pub host: String,
    /// The user's name.
    pub operator: String,
    /// Resguardo's version.
    pub version: String,
    /// Private folder for what runs leave while they run; sandboxes are made below `sandboxes/`.
    pub state: PathBuf,
    /// Where root puts what throwaway servers hold, which do not run as root: every user can traverse it.
    pub annexes: PathBuf,
}

/// An instant for people, in a zone, which it names; its offset where it has no name.
pub(crate) fn moment(at: Timestamp, zone: &TimeZone) -> String {
    let local = at.to_zoned(zone.clone());
    let minute = local.strftime("%Y-%m-%d %H:%M");
    match zone.iana_name() {
        Some(name) => format!("{minute} {name}"),
        None => format!("{minute} {}", local.strftime("%:z")),
    }
}

impl Context {
    /// An instant for people, in their zone, which it names: `2026-11-22 02:00 America/Bogota`.
    #[must_use]
    pub fn moment(&self, at: Timestamp) -> String {
        moment(at, &self.zone)
    }

    /// The vault.
    ///
    /// # Errors
    /// [`OpsError::NoVault`].
    pub fn vault(&self) -> Result<&Arc<Vault>, OpsError> {
        self.vault.as_ref().ok_or(OpsError::NoVault)
    }

    /// What an engine is given for a piece of long work.
    #[must_use]
    pub fn run(&self) -> Run<'_> {
        Run {
            cancel: &self.cancel,
            progress: &*self.progress,
            clock: &*self.clock,
        }
    }

    pub(crate) fn new_run_id(&self) -> Result<RunId, OpsError> {
        Ok(RunId(self.new_ulid()?))
    }

    pub(crate) fn new_backup_id(&self) -> Result<BackupId, OpsError> {
        Ok(BackupId(self.new_ulid()?))
    }

    fn new_ulid(&self) -> Result<Ulid, OpsError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|_| OpsError::NoRandomness)?;
        let milliseconds = u64::try_from(self.clock.now().as_millisecond()).unwrap_or(0);
        Ok(Ulid::from_parts(milliseconds, u128::from_le_bytes(random)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_names_its_zone() {
        let at: Timestamp = "2026-11-22T02:00:00Z".parse().unwrap();
        let named = |zone: &TimeZone| moment(at, zone);
        let bogota = TimeZone::get("America/Bogota").unwrap();
        assert_eq!(named(&bogota), "2026-11-21 21:00 America/Bogota");
        assert_eq!(named(&TimeZone::UTC), "2026-11-22 02:00 UTC");
        let east = TimeZone::fixed(jiff::tz::offset(2));
        assert_eq!(named(&east), "2026-11-22 04:00 +02:00");
    }
}
