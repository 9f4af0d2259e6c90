//! One run of a verb in the catalog: opened before the work, closed with what became of it.

use std::time::Instant;

use jiff::Timestamp;
use resguardo_model::receipt::Verb;
use resguardo_model::{BackupId, RunId, SourceName};

use crate::catalog::{RunRow, RunState};
use crate::context::Context;
use crate::error::{ErrorKind, OpsError};
use resguardo_engine::process::ProcessMark;

/// An open run. Dropped without [`OpenRun::end`], it is written down as failed.
pub(crate) struct OpenRun<'a> {
    ctx: &'a Context,
    row: RunRow,
    begun: Instant,
    ended: bool,
}

impl<'a> OpenRun<'a> {
    /// Opens a run. A catalog that cannot be written is told to whoever watches and stops nothing: a
    /// backup is worth more than its line in a list.
    pub(crate) fn begin(
        ctx: &'a Context,
        verb: Verb,
        source: Option<&SourceName>,
    ) -> Result<Self, OpsError> {
        let run = Self {
            ctx,
            row: RunRow {
                run: ctx.new_run_id()?,
                vault: ctx.vault.as_ref().map(|vault| vault.id()),
                verb,
                source: source.cloned(),
                backup: None,
                state: RunState::Running,
                started_at: ctx.clock.now(),
                finished_at: None,
                host: ctx.host.clone(),
                operator: ctx.operator.clone(),
                process: Some(ProcessMark::own()),
                message: String::new(),
                receipt: None,
                changes: None,
            },
            begun: Instant::now(),
            ended: false,
        };
        run.write();
        ctx.progress.began(run.row.run);
        Ok(run)
    }

    /// A run that the catalog has no line of: what is signed with it is told elsewhere.
    pub(crate) fn unlisted(ctx: &'a Context, id: RunId, verb: Verb, at: Timestamp) -> Self {
        Self {
            ctx,
            row: RunRow {
                run: id,
                vault: ctx.vault.as_ref().map(|vault| vault.id()),
                verb,
                source: None,
                backup: None,
                state: RunState::Succeeded,
                started_at: at,
                finished_at: None,
                host: ctx.host.clone(),
                operator: ctx.operator.clone(),
                process: None,
                message: String::new(),
                receipt: None,
                changes: None,
            },
            begun: Instant::now(),
            ended: true,
        }
    }

    pub(crate) fn id(&self) -> RunId {
        self.row.run
    }

    pub(crate) fn verb(&self) -> Verb {
        self.row.verb
    }

    pub(crate) fn started_at(&self) -> Timestamp {
        self.row.started_at
    }

    /// Seconds since it began, by the monotonic clock.
    pub(crate) fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    /// Tells what it turned out to be about.
    pub(crate) fn is_about(&mut self, source: Option<&SourceName>, backup: Option<BackupId>) {
        self.row.source = source.cloned();
        self.row.backup = backup;
        self.write();
    }

    /// From now on it changes a source; `None`: it left everything as it was.
    pub(crate) fn changes(&mut self, source: Option<&SourceName>) {
        self.row.changes = source.cloned();
        self.write();
    }

    /// The source that it changes or vouches for, as far as that is known.
    pub(crate) fn changed(&self) -> Option<&SourceName> {
        self.row.changes.as_ref()
    }

    /// Names its receipt.
    pub(crate) fn has_receipt(&mut self, key: Option<&str>) {
        self.row.receipt = key.map(ToOwned::to_owned);
    }

    /// Closes it.
    pub(crate) fn end(mut self, state: RunState, message: impl Into<String>) {
        self.close(state, message.into());
    }

    /// Closes it with the error that it ended with.
    pub(crate) fn end_with(self, error: &OpsError) {
        self.end(state_of(error), described(error));
    }

    fn close(&mut self, state: RunState, message: String) {
        self.row.state = state;
        self.row.message = message;
        if let (RunState::Interrupted, Some(why)) = (state, self.ctx.cancel.limit()) {
            self.row.state = RunState::Failed;
            why.clone_into(&mut self.row.message);
            // Its receipt says that it was interrupted; a drill that failed is told by what its receipt says.
            self.row.receipt = None;
        }
        self.row.finished_at = Some(self.ctx.clock.now());
        self.ended = true;
        self.write();
    }

    fn write(&self) {
        if let Err(error) = self.ctx.catalog.put_run(&self.row) {
            self.ctx
                .progress
                .note(&format!("this run is missing in the catalog: {error}"));
        }
    }
}

impl Drop for OpenRun<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.close(RunState::Failed, "it ended without a word".to_owned());
        }
    }
}

/// Writes down a run that failed before it could begin, or of which no other line says so: it stands among the runs
/// like any other.
///
/// # Errors
/// [`OpsError::NoRandomness`].
pub fn failed_to_begin(
    ctx: &Context,
    verb: Verb,
    source: &SourceName,
    why: &str,
) -> Result<(), OpsError> {
    OpenRun::begin(ctx, verb, Some(source))?.end(RunState::Failed, why);
    Ok(())
}

/// The state of a run that ended with `error`.
pub(crate) fn state_of(error: &OpsError) -> RunState {
    if error.kind() == ErrorKind::Interrupted || error.is_of_another_run() {
        RunState::Interrupted
    } else {
        RunState::Failed
    }
}

/// An error with its causes in one line.
pub fn described(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        // Transparent layers repeat the words of what they carry.
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use std::sync::Arc;

    use resguardo_model::{CancelToken, Cancelled, NoProgress};
    use resguardo_testkit::clock::FakeClock;

    use super::*;
    use crate::catalog::Catalog;
    use crate::context::Engines;

    fn context() -> Context {
        Context {
            vault: None,
            catalog: Catalog::in_memory().unwrap(),
            engines: Engines::new(),
            clock: Arc::new(FakeClock::at("2026-11-22T02:00:00Z")),
            zone: jiff::tz::TimeZone::UTC,
            cancel: CancelToken::new(),
            progress: Arc::new(NoProgress),
            host: "h".to_owned(),
            operator: "o".to_owned(),
            version: "0".to_owned(),
            state: std::path::PathBuf::new(),
            annexes: std::path::PathBuf::new(),
        }
    }

    fn stopped(ctx: &Context) -> RunRow {
        let shop = "shop".parse().unwrap();
        let mut run = OpenRun::begin(ctx, Verb::Drill, Some(&shop)).unwrap();
        run.has_receipt(Some("shop/receipts/1.json"));
        run.end_with(&OpsError::from(Cancelled));
        let [row] = &ctx.catalog.runs(2).unwrap()[..] else {
            panic!("one run")
        };
        row.clone()
    }

    #[test]
    fn what_somebody_stopped_was_interrupted_and_what_took_too_long_failed() {
        let ctx = context();
        ctx.cancel.cancel();
        let row = stopped(&ctx);
        assert_eq!(row.state, RunState::Interrupted);
        assert!(row.receipt.is_some());

        let ctx = context();
        let why = "it took longer than its deadline of 4h";
        ctx.cancel.cancel_beyond_limit(why);
        let row = stopped(&ctx);
        assert_eq!((row.state, row.message.as_str()), (RunState::Failed, why));
        assert_eq!(
            row.receipt, None,
            "a failed drill with a receipt is told by it"
        );
    }
}
