//! A database as the place of a restore: one of the user's, or a sandbox of a drill.

use std::sync::Arc;
use std::time::Duration;

use resguardo_model::{CancelToken, CheckResult};

use super::session::Limits;
use super::settings::Settings;
use super::{Surroundings, check, contents, identity, maintenance, pooler, restore, statement};
use crate::port::{
    Allowed, BackupReader, EngineError, Location, Maintenance, RestoreOptions, Restored, Rows, Run,
    SILENCE_TIMEOUT, Target, TargetState,
};

/// Longest wait for a lock of somebody else's, where nobody says another.
pub(super) const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// A database that need not exist.
pub(super) struct DatabaseTarget {
    pub(super) settings: Settings,
    pub(super) around: Arc<Surroundings>,
    /// A throwaway one: nothing in it has to survive a loss of power, and everything in it may be replaced.
    pub(super) sandbox: bool,
    /// What the roles that a restore makes are marked with: they go with the database.
    pub(super) role_comment: Option<String>,
}

impl DatabaseTarget {
    /// A target at `location`.
    ///
    /// # Errors
    /// If the location is no URL of PostgreSQL's.
    pub(super) fn at(location: &Location, around: &Arc<Surroundings>) -> Result<Self, EngineError> {
        Ok(Self {
            settings: Settings::resolve(location, &around.libpq)?,
            around: Arc::clone(around),
            sandbox: false,
            role_comment: None,
        })
    }

    /// The target of one drill.
    pub(super) fn sandbox(settings: Settings, around: &Arc<Surroundings>) -> Self {
        Self {
            settings,
            around: Arc::clone(around),
            sandbox: true,
            role_comment: None,
        }
    }
}

impl Target for DatabaseTarget {
    fn describe(&self) -> String {
        self.settings.describe()
    }

    fn state(&self) -> Result<TargetState, EngineError> {
        let limits = Limits {
            lock: LOCK_TIMEOUT,
            silence: Some(SILENCE_TIMEOUT),
        };
        match pooler::two_sessions(&self.settings, limits, &CancelToken::new()) {
            Ok((session, _)) => contents::state(&session),
            Err(EngineError::Missing { .. }) => Ok(TargetState::Missing),
            Err(error) => Err(error),
        }
    }

    fn is_same_as(&self, location: &Location) -> bool {
        let other = Settings::resolve(location, &self.around.libpq);
        other.is_ok_and(|other| identity::is_same(&self.settings, &other))
    }

    fn restore(
        &self,
        backup: &dyn BackupReader,
        options: &RestoreOptions,
        run: Run<'_>,
    ) -> Result<Restored, EngineError> {
        restore::restore(self, backup, options, run)
    }

    fn check(
        &self,
        backup: &dyn BackupReader,
        _allowed: Allowed,
        run: Run<'_>,
    ) -> Vec<CheckResult> {
        check::all(&self.settings, &self.around, backup, run)
    }

    fn check_deeply(&self, run: Run<'_>) -> Vec<CheckResult> {
        vec![check::deep(&self.settings, &self.around, run)]
    }

    fn execute(&self, script: &str, timeout: Duration, run: Run<'_>) -> Result<(), EngineError> {
        statement::execute(&self.settings, script, timeout, run)
    }

    fn query(
        &self,
        sql: &str,
        rows_max: usize,
        timeout: Duration,
        run: Run<'_>,
    ) -> Result<Rows, EngineError> {
        statement::ask(&self.settings, sql, rows_max, timeout, run)
    }

    fn begin_maintenance(&self, run: Run<'_>) -> Result<Maintenance, EngineError> {
        maintenance::begin(&self.settings, run)
    }

    fn end_maintenance(&self, run: Run<'_>) -> Result<(), EngineError> {
        maintenance::end(&self.settings, run)
    }

    fn environment(&self) -> Vec<(String, String)> {
        statement::environment(&self.settings)
    }

    fn foreign_variables(&self) -> Vec<String> {
        Settings::foreign_variables().map(str::to_owned).collect()
    }

    fn close(self: Box<Self>) -> Result<(), EngineError> {
        Ok(())
    }
}
