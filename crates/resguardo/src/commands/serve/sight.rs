//! How everything stands, as one thread sees it: for the pages, and for whoever tells people.
//!
//! There is one look a minute and after each run, however many want to know.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use resguardo_daemon::board::{Board, Look, Looker};
use resguardo_daemon::http::{Planned, Seen};
use resguardo_daemon::notify::Herald;
use resguardo_daemon::{CatalogMemory, Job, Memory, Sources};
use resguardo_model::CancelToken;
use resguardo_ops::exception::{self, Exception};
use resguardo_ops::status::{self, Status};
use resguardo_ops::{Context, OpsError};

use super::configured::Configured;
use super::together::Together;
use crate::commands::plan;
use crate::commands::status::watched;

/// How long the last look has to end when all is to stop.
const WITHIN: Duration = Duration::from_secs(5);
/// Exceptions that are looked through for news, the newest first.
const EXCEPTIONS_MAX: u32 = 1000;

/// Whoever looks, and what was seen.
pub(super) struct Sight {
    board: Arc<Board<Seen>>,
    eyes: Arc<Eyes>,
    looker: Looker,
    stop: CancelToken,
}

impl Sight {
    /// Begins to look, until it is dropped.
    ///
    /// # Errors
    /// If there is no thread for it.
    pub(super) fn start(
        context: &Context,
        configured: &Arc<Configured>,
        herald: Arc<Herald>,
        together: Option<Arc<Together>>,
    ) -> std::io::Result<Arc<Self>> {
        let clock = Arc::clone(&context.clock);
        let board = Board::new(clock.now());
        let eyes = Arc::new(Eyes {
            context: context.clone(),
            configured: Arc::clone(configured),
            herald,
            together,
            seen: RwLock::new(None),
        });
        let stop = CancelToken::new();
        let look = Arc::clone(&eyes) as Arc<dyn Look<Seen>>;
        let looker = Looker::start(Arc::clone(&board), look, clock, stop.clone())?;
        Ok(Arc::new(Self {
            board,
            eyes,
            looker,
            stop,
        }))
    }

    /// Where what was seen is put up.
    pub(super) fn board(&self) -> Arc<Board<Seen>> {
        Arc::clone(&self.board)
    }

    /// What the last look that saw something looked with.
    pub(super) fn context(&self) -> Option<Context> {
        let seen = &self.eyes.seen;
        let seen = seen.read().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }

    /// Something has changed: it looks anew.
    pub(super) fn poke(&self) {
        self.looker.poke();
    }
}

impl Drop for Sight {
    fn drop(&mut self) {
        self.stop.cancel();
        // A look at a vault that does not answer ends with the process.
        self.looker.end(WITHIN);
    }
}

/// Looks how everything stands, and keeps what it looked with.
struct Eyes {
    context: Context,
    configured: Arc<Configured>,
    herald: Arc<Herald>,
    /// Other machines; one of them and us opens exceptions and tells.
    together: Option<Arc<Together>>,
    seen: RwLock<Option<Context>>,
}

impl Look<Seen> for Eyes {
    fn look(&self) -> Result<Seen, String> {
        let (seen, exceptions) = self.see();
        let exceptions = exceptions.as_ref();
        self.herald
            .saw(exceptions.map(Vec::as_slice).map_err(String::as_str));
        seen
    }
}

impl Eyes {
    /// How everything stands, and the newest exceptions; each is there where the other is not.
    fn see(&self) -> (Result<Seen, String>, Result<Vec<Exception>, String>) {
        let config = self.configured.now();
        let context = match self.configured.context(&self.context) {
            Ok(context) => context,
            Err(why) => return (Err(why.clone()), Err(why)),
        };
        let jobs = plan::jobs(&config);
        let watched = watched(&config, &jobs, &context);
        let in_a_line = |error: OpsError| resguardo_ops::described(&error);
        let together = self.together.as_ref();
        let leads = together.map_or(Ok(true), |one| one.leads(&context.catalog));
        let (status, exceptions) = match leads {
            Ok(true) => match exception::look(&context, &watched) {
                Ok((status, _)) => {
                    let all = exception::all(&context, EXCEPTIONS_MAX);
                    (Ok(status), all.map_err(in_a_line))
                }
                // A catalog that takes no exceptions hides nothing else.
                Err(error) => (status::look(&context, &watched), Err(in_a_line(error))),
            },
            Ok(false) => (status::look(&context, &watched), Ok(Vec::new())),
            Err(why) => (status::look(&context, &watched), Err(why)),
        };
        let seen = |status: Status| self.seen(status, &jobs, context);
        (status.map(seen).map_err(in_a_line), exceptions)
    }

    fn seen(&self, status: Status, jobs: &[Job], context: Context) -> Seen {
        let vault = context.vault().map(|vault| vault.store().describe());
        let seen = Seen {
            status,
            plan: self.plan(jobs),
            vault: vault.unwrap_or_default(),
        };
        *self.seen.write().unwrap_or_else(PoisonError::into_inner) = Some(context);
        seen
    }

    fn plan(&self, jobs: &[Job]) -> Vec<Planned> {
        let memory = CatalogMemory {
            catalog: self.context.catalog.clone(),
            clock: Arc::clone(&self.context.clock),
        };
        let now = self.context.clock.now();
        let planned = jobs.iter().map(|job| {
            let state = memory.state(&job.subject, job.task).ok().flatten();
            let after: Timestamp = state.as_ref().map_or(now, |state| state.handled.max(now));
            Planned {
                source: job.subject.source().cloned(),
                task: job.task.word().to_owned(),
                next: job.next(after).map(|due| due.begins),
                state,
            }
        });
        planned.collect()
    }
}
