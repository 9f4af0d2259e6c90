//! What the copies lack of a source is sent to them.

use resguardo_ops::copy::{self, SyncRequest};

use super::{ConfiguredCopy, Of, ended_with, worst};
use crate::driver::Ended;

/// One copy after the other: what goes wrong with one stops the others as little as it stops a backup.
pub(super) fn run(of: &Of<'_>) -> Ended {
    let mut ends = Vec::new();
    for copy in of.sources.copies(of.source, &of.ctx.cancel) {
        let ended = one(of, &copy);
        let is_interrupted = ended == Ended::Interrupted;
        ends.push(named(&copy.name, ended));
        if is_interrupted {
            break;
        }
    }
    worst(ends)
}

fn one(of: &Of<'_>, copy: &ConfiguredCopy) -> Ended {
    let place = match &copy.place {
        Ok(place) => place,
        Err(_) if of.ctx.cancel.is_cancelled() => return Ended::Interrupted,
        Err(why) => return Ended::Transient(why.clone()),
    };
    let request = SyncRequest {
        place,
        source: of.source,
        mend: false,
        policy: copy.policy.as_ref(),
        begin_anew: false,
    };
    match copy::sync(of.ctx, &request) {
        Ok(done) => {
            of.tell(&done.notes);
            match done.is_whole() {
                true => Ended::Done,
                false => Ended::Failed("it does not have everything".to_owned()),
            }
        }
        Err(error) => ended_with(&error),
    }
}

/// With the copy's name and the command that does the same.
fn named(name: &str, ended: Ended) -> Ended {
    let told = |why: String| {
        format!("the copy {name} is behind: {why}; send it later with `resguardo copy sync {name}`")
    };
    match ended {
        Ended::Failed(why) => Ended::Failed(told(why)),
        Ended::Transient(why) => Ended::Transient(told(why)),
        Ended::Locked(why) => Ended::Locked(told(why)),
        ended @ (Ended::Done | Ended::Interrupted) => ended,
    }
}
