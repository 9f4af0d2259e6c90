//! Compares a restored database with what was known when the backup was taken. One result per statement about
//! it; what could not be asked is an error, and what does not apply is skipped with its reason.
//!
//! Rows are read back as they were read at the source: every table, column by column, in the backup's
//! encoding, counted and digested. Equal digests mean that every row came back as it was. Meanwhile the
//! structure is dumped again and compared with the backup's.

mod amcheck;
mod catalogs;
mod differ;
mod rows;
mod schema;

use std::sync::Arc;

use jiff::Timestamp;
use resguardo_model::{CheckOutcome, CheckResult, Clock};

use super::Surroundings;
use super::inventory::Inventory;
use super::session::{Limits, Session};
use super::settings::Settings;
use super::target::LOCK_TIMEOUT;
use crate::port::{BackupReader, EngineError, Run, SILENCE_TIMEOUT};

const LIMITS: Limits = Limits {
    lock: LOCK_TIMEOUT,
    silence: Some(SILENCE_TIMEOUT),
};

/// What every check is given.
struct Asked<'a> {
    settings: &'a Settings,
    around: &'a Arc<Surroundings>,
    backup: &'a dyn BackupReader,
    /// `None` for a file that somebody else wrote.
    inventory: Option<&'a Inventory>,
    run: Run<'a>,
}

impl Asked<'_> {
    /// Whether it is a dump, an export of ours or another's, which holds what `pg_dump` puts into it.
    fn is_dump(&self) -> bool {
        self.backup.path().is_some()
    }

    fn session(&self) -> Result<Session, EngineError> {
        Session::connect(self.settings, LIMITS, self.run.cancel)
    }
}

/// Every built-in check.
pub(super) fn all(
    settings: &Settings,
    around: &Arc<Surroundings>,
    backup: &dyn BackupReader,
    run: Run<'_>,
) -> Vec<CheckResult> {
    let inventory = match Inventory::read(backup) {
        Ok(inventory) => inventory,
        Err(error) => {
            let expected = "the inventory of the backup can be read";
            return vec![CheckResult::error(rows::COUNTS, expected, error.in_full())];
        }
    };
    let asked = Asked {
        settings,
        around,
        backup,
        inventory: inventory.as_ref(),
        run,
    };
    let (mut results, others) = std::thread::scope(|scope| {
        let others = scope.spawn(|| {
            let mut results = vec![timed(run.clock, || schema::check(&asked))];
            results.extend(catalogs::all(&asked));
            results
        });
        let rows = rows::check(&asked);
        let others = others.join();
        (
            rows,
            others.unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
        )
    });
    results.extend(others);
    results
}

/// Looks for damage in heaps and indexes, page by page.
pub(super) fn deep(settings: &Settings, around: &Arc<Surroundings>, run: Run<'_>) -> CheckResult {
    timed(run.clock, || amcheck::check(settings, around, run))
}

/// A check of a file that nobody took an inventory for.
fn unknown(name: &str) -> CheckResult {
    skipped(
        name,
        "the backup does not say what was in it: Resguardo did not make it",
    )
}

fn skipped(name: &str, why: impl Into<String>) -> CheckResult {
    let mut result = CheckResult::new(name, CheckOutcome::Skipped, "", "");
    result.detail = why.into();
    result
}

/// Runs one check and notes how long it took.
fn timed(clock: &dyn Clock, check: impl FnOnce() -> CheckResult) -> CheckResult {
    let begun = clock.now();
    let mut result = check();
    result.milliseconds = milliseconds(clock, begun);
    result
}

fn milliseconds(clock: &dyn Clock, begun: Timestamp) -> u64 {
    u64::try_from(clock.now().duration_since(begun).as_millis()).unwrap_or(0)
}
