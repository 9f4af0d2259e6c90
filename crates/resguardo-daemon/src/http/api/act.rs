//! What is done. Each answer names the command that does the same.

use axum::http::StatusCode;
use jiff::Timestamp;
use jiff::civil::Date;
use resguardo_model::{BackupId, SourceName};
use resguardo_ops::pin::{self, PinRequest};
use resguardo_ops::restore::beside;
use resguardo_ops::{Reference, exception, refer};
use serde_json::{Value, json};

use super::super::answer::Problem;
use super::super::ask::{Ask, Who};
use super::look::no_such_source;
use crate::agenda::{Subject, Task};
use crate::poke::{Answer, Asked, Poke};

/// What was done, as the API tells it.
pub(in super::super) type Done = Result<Value, Problem>;

/// What a shell takes as one word.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

fn poke(ask: &Ask, source: SourceName, task: Task, asked: Asked, command: &str) -> Done {
    let (by, desk) = (asked.by.clone(), &ask.state.house.desk);
    let backup = asked.backup.map(|id| id.to_string());
    let what = backup.unwrap_or_else(|| source.to_string());
    let what = match &asked.to {
        Some(to) => format!("{what} to {to}"),
        None => what,
    };
    let answer = desk.poke(Poke {
        subject: Subject::Source(source.clone()),
        task,
        asked,
    });
    let word = match answer {
        Answer::Begun => "begun",
        Answer::Running => "running",
        Answer::Waits => "waits",
        Answer::Other => {
            let problem =
                Problem::bad(format!("another {} of {source} was asked for", task.word()));
            let problem = problem.with(StatusCode::CONFLICT);
            return Err(problem.hint("ask again when it has ended: see `resguardo status`"));
        }
        Answer::NotConfigured => return Err(no_such_source(&source)),
        Answer::Stopping => {
            let problem = Problem::unreachable("the daemon is stopping");
            return Err(problem.hint("try again when it runs again"));
        }
    };
    desk.note(&format!("{by} asked for a {} of {source}", task.word()));
    ask.did(task.word(), &what, Some(&source));
    Ok(json!({ "answer": word, "source": source, "task": task, "command": command }))
}

fn plain(ask: &Ask, task: Task, keep: bool, command: &str) -> Done {
    let source: SourceName = ask.param("name")?;
    let asked = Asked {
        keep,
        ..Asked::by(ask.who()?.operator())
    };
    let command = command.replace("NAME", source.as_str());
    poke(ask, source, task, asked, &command)
}

/// A backup.
pub(in super::super) fn backup(ask: &Ask) -> Done {
    plain(ask, Task::Backup, false, "resguardo backup NAME")
}

/// A verification.
pub(in super::super) fn verify(ask: &Ask) -> Done {
    plain(ask, Task::Verify, false, "resguardo verify NAME")
}

/// What copies lack is sent to them.
pub(in super::super) fn copy(ask: &Ask) -> Done {
    plain(ask, Task::Copy, false, "resguardo copy sync --source NAME")
}

/// What the retention lets go of is deleted.
pub(in super::super) fn prune(ask: &Ask) -> Done {
    let name: SourceName = ask.param("name")?;
    confirmed(ask, name.as_str())?;
    plain(ask, Task::Prune, false, "resguardo prune NAME")
}

/// A drill of what the config chooses.
pub(in super::super) fn drill(ask: &Ask) -> Done {
    let keep = ask.body.is_true("keep");
    let command = if keep {
        "resguardo drill NAME --keep"
    } else {
        "resguardo drill NAME"
    };
    plain(ask, Task::Drill, keep, command)
}

/// A drill of one backup.
pub(in super::super) fn drill_of(ask: &Ask) -> Done {
    let keep = ask.body.is_true("keep");
    let (id, source) = named(ask)?;
    drill_this(ask, id, source, keep)
}

/// A drill of one backup whose sandbox stays: it takes room until somebody removes it.
pub(in super::super) fn sandbox(ask: &Ask) -> Done {
    let (id, source) = named(ask)?;
    confirmed(ask, source.as_str())?;
    drill_this(ask, id, source, true)
}

fn drill_this(ask: &Ask, id: BackupId, source: SourceName, keep: bool) -> Done {
    let asked = Asked {
        backup: Some(id),
        keep,
        ..Asked::by(ask.who()?.operator())
    };
    let keep = if keep { " --keep" } else { "" };
    poke(
        ask,
        source,
        Task::Drill,
        asked,
        &format!("resguardo drill {id}{keep}"),
    )
}

/// A restore to a new place beside the source. That something is there already is said at once.
pub(in super::super) fn restore(ask: &Ask) -> Done {
    let (id, source) = named(ask)?;
    let name = ask.body.said("to").ok_or_else(|| {
        Problem::bad("a restore wants the name of a database, or of a file, that is not there yet")
    })?;
    let desk = &ask.state.house.desk;
    if desk.policy(&source).is_none() {
        return Err(no_such_source(&source));
    }
    let spec = desk.ready(&source).map_err(Problem::unreachable)?;
    let place = beside::nothing_at(&ask.context()?, &spec, name)?.to_string();
    // Who restores by hand has the password elsewhere.
    let place = quoted(&place.replace(":***@", "@"));
    let asked = Asked {
        backup: Some(id),
        to: Some(name.to_owned()),
        ..Asked::by(ask.who()?.operator())
    };
    let command = format!("resguardo restore {id} --to {place} --create");
    poke(ask, source, Task::Restore, asked, &command)
}

/// A verification of the source of a backup.
pub(in super::super) fn verify_of(ask: &Ask) -> Done {
    let (_, source) = named(ask)?;
    let asked = Asked::by(ask.who()?.operator());
    let command = format!("resguardo verify {source}");
    poke(ask, source, Task::Verify, asked, &command)
}

/// The backup of the path, and its source.
fn named(ask: &Ask) -> Result<(BackupId, SourceName), Problem> {
    let id: BackupId = ask.param("id")?;
    let reference = reference(id)?;
    let stored = refer::resolve(&ask.context()?, &reference)?;
    Ok((id, stored.head.source))
}

fn reference(id: BackupId) -> Result<Reference, Problem> {
    id.to_string().parse().map_err(Problem::from)
}

/// A pin.
pub(in super::super) fn pin(ask: &Ask) -> Done {
    let id: BackupId = ask.param("id")?;
    let reason = ask
        .body
        .said("reason")
        .ok_or_else(|| Problem::bad("a pin needs a reason"))?;
    let day = match ask.body.said("until") {
        None => None,
        Some(text) => Some(text.parse::<Date>().map_err(|_| {
            Problem::bad("until is the last day on which it is kept, like 2032-12-31")
        })?),
    };
    let until = day.map(|day| end_of(ask, day)).transpose()?;
    let copies = ask.state.house.desk.copies();
    let request = PinRequest {
        backup: &reference(id)?,
        reason,
        until,
        copies: &copies,
    };
    let done = pin::pin(&ask.context()?, &request)?;
    ask.did("pin", &id.to_string(), Some(&done.source));
    ask.state.house.desk.look();
    let until = day.map(|day| format!(" --until {day}")).unwrap_or_default();
    let command = format!("resguardo pin {id} --reason {}{until}", quoted(reason));
    Ok(pinned(&done, &command))
}

/// The first instant after a day.
fn end_of(ask: &Ask, day: Date) -> Result<Timestamp, Problem> {
    let zone = ask.state.house.desk.zone();
    let end = day.tomorrow().and_then(|next| next.to_zoned(zone));
    let end =
        end.map_err(|_| Problem::bad(format!("{day} is no day until which anything is kept")))?;
    Ok(end.timestamp())
}

/// Takes a pin away.
pub(in super::super) fn unpin(ask: &Ask) -> Done {
    let (id, source) = named(ask)?;
    confirmed(ask, source.as_str())?;
    let copies = ask.state.house.desk.copies();
    let done = pin::unpin(&ask.context()?, &reference(id)?, &copies)?;
    ask.did("unpin", &id.to_string(), Some(&done.source));
    ask.state.house.desk.look();
    Ok(pinned(&done, &format!("resguardo unpin {id}")))
}

/// Resolves an exception.
pub(in super::super) fn resolve(ask: &Ask) -> Done {
    let id = ask.params.get("exception").unwrap_or_default();
    let note = ask
        .body
        .said("note")
        .ok_or_else(|| Problem::bad("a note says what was found, or done"))?;
    let done = exception::resolve(&ask.context()?, id, note)?;
    ask.did("resolve", id, Some(&done.exception.source));
    ask.state.house.desk.look();
    let command = format!("resguardo exceptions resolve {id} --note {}", quoted(note));
    Ok(
        json!({ "exception": done.exception, "was_resolved": done.was_resolved, "command": command }),
    )
}

/// What is dangerous wants the name typed.
fn confirmed(ask: &Ask, name: &str) -> Result<(), Problem> {
    if ask.body.said("confirm") == Some(name) {
        return Ok(());
    }
    let who = ask.who.as_ref().map_or_else(String::new, Who::operator);
    let line = format!("{who} did not type {name}; nothing was done");
    ask.state.house.desk.note(&line);
    let problem = Problem::bad("this takes protection away, and wants the name of the source");
    Err(problem.hint(format!("give confirm = {name}")))
}

fn pinned(done: &pin::PinDone, command: &str) -> Value {
    json!({
        "backup": done.id,
        "source": done.source,
        "pinned": done.pinned,
        "was_pinned": done.was_pinned,
        "run": done.run,
        "receipt": done.receipt,
        "notes": done.notes,
        "command": command,
    })
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_command_can_be_pasted() {
        assert_eq!(quoted("shop"), "shop");
        assert_eq!(quoted("before the import"), "'before the import'");
        assert_eq!(quoted("it's; rm -rf $HOME"), r"'it'\''s; rm -rf $HOME'");
        assert_eq!(quoted(""), "''");
    }
}
