//! `keys rehearse`.

use resguardo_ops::keys::{self, Rehearsal, RehearseDone};
use serde_json::{Value, json};

use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::{Invocation, Reading};
use crate::render::time;

/// Runs `keys rehearse`.
pub(super) fn run(invocation: &Invocation) -> Result<Exit, Failure> {
    let opened = invocation.open_to_look(invocation.config()?, Reading::Backups)?;
    let named = opened.config.vault.identity.is_some();
    let from = if named { "named" } else { "keys folder" };
    let done = keys::rehearse(&opened.context, from)?;
    let out = &invocation.out;
    out.json(&as_json(&done, from));
    for one in &done.rehearsals {
        let about = format!("{} of {}", one.backup, one.source);
        match &one.failed {
            None => out.say(&format!(
                "{} backup {about}, taken {}, in {}",
                out.good("opens"),
                time::moment(one.taken_at, &opened.context.zone),
                time::length(one.seconds)
            )),
            Some(why) => out.print(&format!(
                "{} backup {about}: {why}",
                out.bad("does not open")
            )),
        }
    }
    for note in &done.notes {
        out.note(note);
    }
    if done.rehearsals.is_empty() {
        out.print("there is no backup to open yet; take one with `resguardo backup`");
        return Ok(Exit::Done);
    }
    if !named {
        out.note("that was the identity of this machine; the copy that is kept elsewhere is rehearsed with --identity FILE");
    }
    let all_open = done.rehearsals.iter().all(|one| one.failed.is_none());
    Ok(if all_open { Exit::Done } else { Exit::Findings })
}

fn as_json(done: &RehearseDone, from: &str) -> Value {
    json!({
        "identity": from,
        "rehearsals": done.rehearsals.iter().map(rehearsal_json).collect::<Vec<_>>(),
        "notes": done.notes,
    })
}

fn rehearsal_json(one: &Rehearsal) -> Value {
    json!({
        "source": one.source,
        "backup": one.backup,
        "taken_at": one.taken_at,
        "opened": one.failed.is_none(),
        "failed": one.failed,
        "frame_bytes": one.frame_bytes,
        "seconds": one.seconds,
        "receipt": one.receipt,
    })
}
