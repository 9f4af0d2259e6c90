//! What the server holds while it runs.

use std::sync::Arc;

use jiff::Timestamp;
use resguardo_model::Clock;
use resguardo_ops::catalog::Catalog;
use tokio::sync::Semaphore;

use super::desk::{Desk, Seen};
use super::events::Streams;
use super::oidc::Knocks;
use super::refusals::Refusals;
use super::server::Settings;
use super::tries::Tries;
use crate::board::Board;
use crate::oidc::Provider;

/// Passwords that are hashed at once: each takes 19 MiB.
const HASHES_MAX: usize = 2;
/// Questions to the vault and the catalog at once.
const QUESTIONS_MAX: usize = 4;
/// Logins at once for which another service is asked.
const LOGINS_MAX: usize = 4;
/// Requests that wait for their turn, of each kind.
const WAITING_MAX: usize = 32;

/// Where users, sessions and tokens are kept: one handle to read and one to write, so that no reader waits for
/// a writer.
#[derive(Clone)]
pub struct Accounts {
    /// To read.
    pub read: Catalog,
    /// To write.
    pub write: Catalog,
}

/// What the server is given.
#[derive(Clone)]
pub struct House {
    /// What is shown.
    pub board: Arc<Board<Seen>>,
    /// Whoever runs the daemon.
    pub desk: Arc<dyn Desk>,
    /// Who may come in.
    pub accounts: Accounts,
    /// The service that lets people in as well; it takes effect where it is known what browsers call the server.
    pub provider: Option<Arc<Provider>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The version of the program.
    pub version: String,
}

/// So many at once, and so many that wait.
pub(super) struct Pool {
    turns: Semaphore,
    places: Semaphore,
}

impl Pool {
    fn new(at_once: usize) -> Self {
        Self {
            turns: Semaphore::new(at_once),
            places: Semaphore::new(at_once + WAITING_MAX),
        }
    }

    /// Does blocking work when it is its turn; `None`: too many wait already, or it panicked.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let _place = self.places.try_acquire().ok()?;
        let _turn = self.turns.acquire().await.ok()?;
        tokio::task::spawn_blocking(work).await.ok()
    }
}

/// The server's state.
pub(super) struct State {
    pub(super) house: House,
    pub(super) settings: Settings,
    pub(super) tries: Tries,
    pub(super) refusals: Refusals,
    pub(super) passwords: Pool,
    pub(super) questions: Pool,
    pub(super) provider: Pool,
    pub(super) knocks: Knocks,
    pub(super) streams: Streams,
}

impl State {
    pub(super) fn new(house: House, settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            house,
            settings,
            tries: Tries::default(),
            refusals: Refusals::default(),
            passwords: Pool::new(HASHES_MAX),
            questions: Pool::new(QUESTIONS_MAX),
            provider: Pool::new(LOGINS_MAX),
            knocks: Knocks::new(),
            streams: Streams::default(),
        })
    }

    pub(super) fn now(&self) -> Timestamp {
        self.house.clock.now()
    }
}
