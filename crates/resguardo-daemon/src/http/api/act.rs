//! What is done. Each answer names the command that does the same.

use jiff::Timestamp;
use jiff::civil::Date;
use resguardo_model::{BackupId, SourceName};
use resguardo_ops::pin::{self, PinRequest};
use resguardo_ops::{Reference, refer};
use serde_json::json;

use super::super::answer::{Answer, Problem, json_of};
use super::super::ask::{Ask, Who};
use super::super::desk::{Taken, Wish};
use super::look::no_such_source;
use crate::agenda::Task;

/// What a shell takes as one word.
pub(super) fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

fn wish(ask: &Ask, wish: Wish, command: &str) -> Answer {
    let source = wish.source.clone();
    let task = wish.task.word();
    let who = ask.who()?.operator();
    let taken = ask.state.house.desk.wish(wish);
    match taken {
        Taken::NotConfigured => return Err(no_such_source(&source)),
        Taken::Stopping => {
            let problem = Problem::unreachable("the daemon is stopping");
            return Err(problem.hint("try again when it runs again"));
        }
        Taken::Begun | Taken::Running | Taken::Waits => {}
    }
    let line = format!("{who} asked for a {task} of {source}");
    ask.state.house.desk.note(&line);
    json_of(&json!({ "answer": taken, "source": source, "task": task, "command": command }))
}

fn plain(ask: &Ask, task: Task, keep: bool, command: &str) -> Answer {
    let source: SourceName = ask.param("name")?;
    let wished = Wish {
        source: source.clone(),
        task,
        backup: None,
        keep,
        by: ask.who()?.operator(),
    };
    wish(ask, wished, &command.replace("NAME", source.as_str()))
}

/// A backup.
pub(super) fn backup(ask: &Ask) -> Answer {
    plain(ask, Task::Backup, false, "resguardo backup NAME")
}

/// A verification.
pub(super) fn verify(ask: &Ask) -> Answer {
    plain(ask, Task::Drill, false, "resguardo verify NAME")
}

/// A drill of what the config chooses.
pub(super) fn drill(ask: &Ask) -> Answer {
    let keep = ask.body.is_true("keep");
    let command = if keep {
        "resguardo drill NAME --keep"
    } else {
        "resguardo drill NAME"
    };
    plain(ask, Task::Drill, keep, command)
}

/// A drill of one backup.
pub(super) fn drill_of(ask: &Ask) -> Answer {
    let (id, source) = named(ask)?;
    let keep = ask.body.is_true("keep");
    let command = format!("resguardo drill {id}{}", if keep { " --keep" } else { "" });
    let wished = Wish {
        source,
        task: Task::Drill,
        backup: Some(id),
        keep,
        by: ask.who()?.operator(),
    };
    wish(ask, wished, &command)
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
pub(super) fn pin(ask: &Ask) -> Answer {
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
    ask.state.house.desk.look();
    let until = day.map(|day| format!(" --until {day}")).unwrap_or_default();
    let command = format!("resguardo pin {id} --reason {}{until}", quoted(reason));
    json_of(&pinned(&done, &command))
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
pub(super) fn unpin(ask: &Ask) -> Answer {
    let (id, source) = named(ask)?;
    confirmed(ask, source.as_str())?;
    let copies = ask.state.house.desk.copies();
    let done = pin::unpin(&ask.context()?, &reference(id)?, &copies)?;
    ask.state.house.desk.look();
    json_of(&pinned(&done, &format!("resguardo unpin {id}")))
}

/// What is dangerous wants the name typed.
pub(super) fn confirmed(ask: &Ask, name: &str) -> Result<(), Problem> {
    if ask.body.said("confirm") == Some(name) {
        return Ok(());
    }
    let who = ask.who.as_ref().map_or_else(String::new, Who::operator);
    let line = format!("{who} did not type {name}; nothing was done");
    ask.state.house.desk.note(&line);
    let problem = Problem::bad("this takes protection away, and wants the name of the source");
    Err(problem.hint(format!("give confirm = {name}")))
}

fn pinned(done: &pin::PinDone, command: &str) -> serde_json::Value {
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
