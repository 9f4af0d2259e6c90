//! Who tells people what happens, for as long as it serves.

use std::sync::Arc;
use std::time::Duration;

use resguardo_daemon::Watch;
use resguardo_daemon::notify::{Herald, Notifier, Telling, Turns};
use resguardo_ops::Context;

use super::configured::Configured;
use super::log::Log;
use super::together::Together;
use crate::error::Failure;
use crate::invocation::Invocation;
use crate::telling::{self, Addresses};

/// How long it may take, at the end, to write down what people are to be told.
const WITHIN: Duration = Duration::from_secs(5);

pub(super) struct Tells {
    notifier: Arc<Notifier>,
    herald: Arc<Herald>,
    together: Option<Arc<Together>>,
}

impl Tells {
    pub(super) fn start(
        invocation: &Invocation,
        context: &Context,
        configured: &Arc<Configured>,
        log: &Arc<Log>,
        together: Option<Arc<Together>>,
    ) -> Result<Self, Failure> {
        let no_thread = |error: std::io::Error| {
            Failure::user("people cannot be told: there is no thread for it").because(&error)
        };
        let current = Arc::clone(configured);
        let addresses = Arc::new(Addresses::new(invocation, move || current.now()));
        let notes = Arc::clone(log);
        let turns = together.as_ref();
        let turns = turns.map(|one| Arc::clone(&one.shared) as Arc<dyn Turns>);
        let notifier = telling::start(&addresses, context, turns, move |line| notes.line(line));
        let notifier = notifier.map_err(no_thread)?;
        let notes = Arc::clone(log);
        let clock = Arc::clone(&context.clock);
        let catalog = context.catalog.clone();
        let note = move |line: &str| notes.line(line);
        let herald = Herald::new(Arc::clone(&notifier), clock, catalog, note);
        Ok(Self {
            notifier,
            herald,
            together,
        })
    }

    /// Who is told of each look at the exceptions.
    pub(super) fn herald(&self) -> Arc<Herald> {
        Arc::clone(&self.herald)
    }

    /// Whoever watches already, and people.
    pub(super) fn watch(&self, watch: Arc<dyn Watch>, context: &Context) -> Arc<dyn Watch> {
        Arc::new(Telling {
            watch,
            notifier: Arc::clone(&self.notifier),
            clock: Arc::clone(&context.clock),
        })
    }

    /// Writes down what was told. What was not sent yet is sent after the next start.
    pub(super) fn stop(&self) {
        self.notifier.stop(WITHIN);
        if let Some(together) = &self.together {
            together.ends();
        }
    }
}
