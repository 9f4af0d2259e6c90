//! Who tells people what happens, for as long as it serves.

use std::sync::Arc;
use std::time::Duration;

use resguardo_daemon::notify::{Herald, Notifier};
use resguardo_daemon::{Sources, Watch};
use resguardo_ops::Context;

use super::configured::Configured;
use super::log::Log;
use crate::error::Failure;
use crate::invocation::Invocation;
use crate::telling::{self, Addresses};

/// How long it may take, at the end, to write down what people are to be told.
const WITHIN: Duration = Duration::from_secs(5);

pub(super) struct Tells {
    notifier: Arc<Notifier>,
    herald: Arc<Herald>,
}

impl Tells {
    pub(super) fn start(
        invocation: &Invocation,
        context: &Context,
        configured: &Arc<Configured>,
        log: &Arc<Log>,
    ) -> Result<Self, Failure> {
        let no_thread = |error: std::io::Error| {
            Failure::user("people cannot be told: there is no thread for it").because(&error)
        };
        let current = Arc::clone(configured);
        let addresses = Arc::new(Addresses::new(invocation, move || current.now()));
        let notes = Arc::clone(log);
        let notifier = telling::start(&addresses, context, move |line| notes.line(line));
        let notifier = notifier.map_err(no_thread)?;
        let (before, current, notes) = (context.clone(), Arc::clone(configured), Arc::clone(log));
        let herald = Herald::start(
            move || telling::exceptions(&current.context(&before)?, &current.now()),
            Arc::clone(&notifier),
            Arc::clone(&context.clock),
            move |line| notes.line(line),
        );
        Ok(Self {
            notifier,
            herald: herald.map_err(no_thread)?,
        })
    }

    /// Whoever watches already, and people.
    pub(super) fn watch(&self, watch: Arc<dyn Watch>, context: &Context) -> Arc<dyn Watch> {
        telling::watching(watch, &self.notifier, Arc::clone(&self.herald), context)
    }

    /// Writes down what was told. What was not sent yet is sent after the next start.
    pub(super) fn stop(&self) {
        self.notifier.stop(WITHIN);
    }
}
