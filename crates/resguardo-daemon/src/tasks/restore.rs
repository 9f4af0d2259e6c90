//! A backup to a new place beside its source: only when somebody asks for it, and over nothing.

use resguardo_ops::restore::beside;

use super::{Of, ended_with};
use crate::driver::Ended;
use crate::poke::Asked;

pub(super) fn run(of: &Of<'_>, asked: Option<&Asked>) -> Ended {
    let (ctx, name) = (of.ctx, of.source);
    let wanted = asked.and_then(|asked| asked.backup.zip(asked.to.as_deref()));
    let Some((backup, to)) = wanted else {
        return Ended::Failed("nobody said which backup is restored, and where to".to_owned());
    };
    let source = match of.sources.ready(name, &ctx.cancel) {
        Ok(source) => source,
        Err(why) => return Ended::Transient(why),
    };
    let done = match beside::restore_beside(ctx, &source, backup, to) {
        Ok(done) => done,
        Err(error) => return ended_with(&error),
    };
    of.tell(&done.notes);
    let line = format!("restored {} into {}", done.origin, done.target);
    ctx.progress.note(&line);
    Ended::Done
}
