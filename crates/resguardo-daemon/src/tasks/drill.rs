//! A scheduled drill, of the newest backup.

use resguardo_model::{CheckOutcome, SourceName, Verdict};
use resguardo_ops::drill::{self, DrillRequest};
use resguardo_ops::{Context, OpsError, Origin, Reference};

use super::{Sources, ended_with};
use crate::driver::Ended;

pub(super) fn run(ctx: &Context, sources: &dyn Sources, name: &SourceName) -> Ended {
    let Some(source) = sources.anywhere(name) else {
        return Ended::Failed(format!("the source {name} is not configured any more"));
    };
    let request = DrillRequest {
        origin: Origin::Backup(Reference::LatestOf(name.clone())),
        sources: &[source],
        keep: false,
    };
    let done = match drill::drill(ctx, &request) {
        Ok(done) => done,
        // The first one is still to come.
        Err(error @ OpsError::NoSuchBackup { .. }) => return Ended::Transient(error.to_string()),
        Err(error) => return ended_with(&error),
    };
    for note in &done.notes {
        ctx.progress.note(note);
    }
    if done.verdict == Verdict::Passed {
        return Ended::Done;
    }
    let bad = done
        .checks
        .iter()
        .filter(|check| matches!(check.outcome, CheckOutcome::Failed | CheckOutcome::Error));
    let names: Vec<&str> = bad.map(|check| check.name.as_str()).collect();
    Ended::Failed(match names.as_slice() {
        [] => "the drill did not pass".to_owned(),
        names => format!("the drill did not pass: {}", names.join(", ")),
    })
}
