//! A database of Resguardo's own, in which it keeps what several machines share: connected when it is needed,
//! and asked in short statements.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use resguardo_model::CancelToken;

use super::name;
use super::session::{Limits, Session};
use super::settings::{LibpqEnvironment, Settings};
use crate::port::{EngineError, Location};

/// Longest time for one statement, and for the lock that it waits for.
const SILENCE: Duration = Duration::from_secs(10);
const LOCK: Duration = Duration::from_secs(5);
/// Longest time for a connection to stand, where nothing says another.
const CONNECT_SECONDS: &str = "10";

/// A row of an answer, as text; `None` is NULL.
pub type TextRow = Vec<Option<String>>;

/// A database that is asked again and again.
pub struct Database {
    settings: Settings,
    session: Mutex<Option<Session>>,
    /// Nobody raises it: every statement ends by its limit.
    cancel: CancelToken,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Database({})", self.settings)
    }
}

impl Database {
    /// The database at `location`, a URL. Nothing is asked of it yet.
    ///
    /// # Errors
    /// [`EngineError::Unsupported`] if it is no URL of PostgreSQL's.
    pub fn at(location: &Location, environment: &LibpqEnvironment) -> Result<Self, EngineError> {
        let settings = Settings::resolve(location, environment)?;
        Ok(Self {
            settings: settings.or("connect_timeout", CONNECT_SECONDS),
            session: Mutex::new(None),
            cancel: CancelToken::new(),
        })
    }

    /// Its URL without the password.
    #[must_use]
    pub fn describe(&self) -> String {
        self.settings.describe()
    }

    /// What a statement answers. After an error the connection is made anew.
    ///
    /// # Errors
    /// What the server or the connection said. The statement may have been carried out all the same.
    pub fn ask(&self, sql: &str) -> Result<Vec<TextRow>, EngineError> {
        self.with_session(|session| rows(session, sql))
    }

    /// The same for what changes nothing: if the connection turns out to be cut, it is asked again by a new one.
    ///
    /// # Errors
    /// As [`Database::ask`].
    pub fn ask_again(&self, sql: &str) -> Result<Vec<TextRow>, EngineError> {
        let was_connected = self.session().is_some();
        match self.ask(sql) {
            Err(EngineError::Unreachable { .. }) if was_connected => self.ask(sql),
            answer => answer,
        }
    }

    /// Asks several things in one transaction, which is committed if `work` succeeds.
    ///
    /// # Errors
    /// What `work`, the server or the connection said.
    pub fn in_transaction<T, E: From<EngineError>>(
        &self,
        work: impl FnOnce(&dyn Fn(&str) -> Result<Vec<TextRow>, EngineError>) -> Result<T, E>,
    ) -> Result<T, E> {
        // An error drops the session, and its transaction with it.
        self.with_session(|session| {
            session.batch("begin")?;
            let answer = work(&|sql| rows(session, sql))?;
            session.batch("commit")?;
            Ok(answer)
        })
    }

    fn with_session<T, E: From<EngineError>>(
        &self,
        work: impl FnOnce(&Session) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut held = self.session();
        let session = match held.take() {
            Some(session) => session,
            None => {
                let limits = Limits {
                    lock: LOCK,
                    silence: Some(SILENCE),
                };
                Session::connect(&self.settings, limits, &self.cancel)?
            }
        };
        let answer = work(&session)?;
        *held = Some(session);
        Ok(answer)
    }

    fn session(&self) -> std::sync::MutexGuard<'_, Option<Session>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn rows(session: &Session, sql: &str) -> Result<Vec<TextRow>, EngineError> {
    let rows = session.rows(sql)?;
    Ok(rows.iter().map(super::session::Row::values).collect())
}

/// A text in single quotes.
#[must_use]
pub fn literal(text: &str) -> String {
    name::literal(text)
}
