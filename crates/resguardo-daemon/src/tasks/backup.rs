//! A scheduled backup, and its way to the copies.

use resguardo_model::{Reason, SourceName};
use resguardo_ops::Context;
use resguardo_ops::backup::{self, BackupRequest};

use super::{Sources, ended_with};
use crate::driver::Ended;

pub(super) fn run(ctx: &Context, sources: &dyn Sources, name: &SourceName) -> Ended {
    let source = match sources.ready(name) {
        Ok(source) => source,
        Err(why) => return Ended::Transient(why),
    };
    let request = BackupRequest {
        source: &source,
        reason: Reason::scheduled(),
        note: String::new(),
        commit: String::new(),
        check_integrity: false,
        after_failed_restore: false,
    };
    let done = match backup::backup(ctx, &request) {
        Ok(done) => done,
        Err(error) => return ended_with(&error),
    };
    for note in &done.notes {
        ctx.progress.note(note);
    }
    match sources.copy(ctx, name) {
        Ok(()) => Ended::Done,
        // Another backup would not bring it there any sooner; the next one does, or `copy sync`.
        Err(why) => Ended::Failed(format!("the backup stands; {why}")),
    }
}
