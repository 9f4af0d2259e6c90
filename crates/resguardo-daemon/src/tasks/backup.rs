//! A backup, and its way to the copies.

use resguardo_model::Reason;
use resguardo_ops::backup::{self, BackupRequest};

use super::{Of, copy, ended_with};
use crate::driver::Ended;
use crate::poke::Asked;

pub(super) fn run(of: &Of<'_>, asked: Option<&Asked>) -> Ended {
    let ctx = of.ctx;
    let source = match of.sources.ready(of.source, &ctx.cancel) {
        Ok(source) => source,
        Err(_) if ctx.cancel.is_cancelled() => return Ended::Interrupted,
        Err(why) => return Ended::Transient(why),
    };
    let request = BackupRequest {
        source: &source,
        reason: asked.map_or_else(Reason::scheduled, |_| Reason::manual()),
        note: String::new(),
        commit: String::new(),
        check_integrity: false,
        after_failed_restore: false,
    };
    let done = match backup::backup(ctx, &request) {
        Ok(done) => done,
        Err(error) => return ended_with(&error),
    };
    of.tell(&done.notes);
    match copy::run(of) {
        ended @ (Ended::Done | Ended::Interrupted) => ended,
        // Another backup would not bring it there any sooner; the next one does, or a copy.
        Ended::Failed(why) | Ended::Transient(why) | Ended::Locked(why) => {
            Ended::Failed(format!("the backup of {} stands; {why}", of.source))
        }
    }
}
