//! Sources whose data may be half restored: the last restore into them did not end well.
//!
//! INVARIANT: a source is suspect from the first change that a restore makes to it until one into it ends
//! well, or a backup was taken in spite of it, with which its owner vouches for the data
//! (`a_source_that_is_half_restored_is_not_backed_up`). The machine that restored knows; another one learns of it
//! from the receipt, when it makes its catalog anew.

use resguardo_model::SourceName;

use crate::catalog::{RunRow, RunState};
use crate::context::Context;
use crate::error::OpsError;
use crate::source::SourceSpec;

/// Runs that are looked at.
const RUNS_MAX: u32 = 10_000;

/// The restore that left a source as it should not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Suspicion(RunRow);

impl Suspicion {
    /// What happened, in words.
    pub(crate) fn message(&self, ctx: &Context) -> String {
        let row = &self.0;
        let how = match row.state {
            RunState::Running => "has not ended".to_owned(),
            state => format!("did not end well ({}: {})", state.as_str(), row.message),
        };
        let at = ctx.moment(row.started_at);
        format!("the last restore into it, of {at}, {how}")
    }

    /// What can be done about it.
    pub(crate) fn next(source: &SourceName) -> String {
        format!(
            "restore into it again; or, where its data are as they should be, say so: `resguardo backup {source} --after-failed-restore`"
        )
    }
}

/// Why the data of a source should not be believed, if there is a reason.
///
/// # Errors
/// If the catalog cannot be read.
pub(crate) fn suspicion(ctx: &Context, source: &SourceName) -> Result<Option<Suspicion>, OpsError> {
    let vault = ctx.vault.as_ref().map(|vault| vault.id());
    let rows = ctx.catalog.runs(RUNS_MAX)?;
    // A file may have been restored while the vault was not at hand.
    let of_vault = |row: &RunRow| row.vault.is_none() || row.vault == vault;
    let last = rows
        .into_iter()
        .find(|row| row.changes.as_ref() == Some(source) && of_vault(row));
    Ok(last
        .filter(|row| row.state != RunState::Succeeded)
        .map(Suspicion))
}

/// Refuses a backup of a source that may be half restored: it would be the newest and taken for good.
///
/// # Errors
/// [`OpsError::Refused`].
pub(crate) fn refuse(ctx: &Context, source: &SourceSpec) -> Result<(), OpsError> {
    match suspicion(ctx, &source.name)? {
        None => Ok(()),
        Some(suspicion) => Err(OpsError::Refused {
            place: format!("source {}", source.name),
            why: format!(
                "may be half restored, and was not backed up: {}",
                suspicion.message(ctx)
            ),
            next: Suspicion::next(&source.name),
        }),
    }
}
