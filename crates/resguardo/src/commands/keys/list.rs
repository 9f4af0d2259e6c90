//! `keys list`.

use resguardo_ops::copy::{self, Lacks};
use resguardo_ops::keys::{self, KeysListed, RecipientListed, WriterListed, WriterState};
use serde_json::{Value, json};

use crate::config::KeyPlace;
use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::{Invocation, Opened, Reading};
use crate::render::about_object;
use crate::render::table::{pairs, table};
use crate::render::time;

/// Runs `keys list`.
pub(super) fn run(invocation: &Invocation) -> Result<Exit, Failure> {
    let opened = invocation.open_to_look(invocation.config()?, Reading::IfAtHand)?;
    let listed = keys::list(&opened.context)?;
    let rehearsed = keys::last_rehearsals(&opened.context)?;
    for finding in &listed.findings {
        invocation
            .out
            .warn(&format!("{}: {}", finding.object, about_object(finding)));
    }
    let (write_key, identity) = places(&opened);
    let copies = copies_of(invocation, &opened)?;
    invocation.out.json(&json!({
        "recipients": listed.recipients.iter().map(|one| recipient_json(one, &listed)).collect::<Vec<_>>(),
        "writers": listed.writers.iter().map(writer_json).collect::<Vec<_>>(),
        "backups": listed.backups,
        "write_key": write_key,
        "identity": identity,
        "copies": copies.iter().map(copy_json).collect::<Vec<_>>(),
        "rehearsed": rehearsed,
        "findings": listed.findings,
    }));
    print(invocation, &opened, &listed);
    let none = || "none".to_owned();
    invocation.out.print("");
    invocation.out.print(&pairs(&[
        ("write key", write_key.unwrap_or_else(none)),
        ("identity", identity.unwrap_or_else(none)),
    ]));
    for (name, lacks) in &copies {
        match lacks {
            Ok(Some(lacks)) if !lacks.nothing() => invocation.out.warn(&format!(
                "the copy {name} does not know yet of {}: `resguardo copy sync {name}`",
                lacks.words()
            )),
            Ok(_) => {}
            Err(failure) => invocation.out.note(&format!(
                "what the copy {name} knows of the keys could not be asked: {}",
                failure.in_a_line()
            )),
        }
    }
    Ok(Exit::Done)
}

/// What each copy of the config lacks of the keys, by its name.
type OfCopy = (String, Result<Option<Lacks>, Failure>);

fn copies_of(invocation: &Invocation, opened: &Opened) -> Result<Vec<OfCopy>, Failure> {
    let (places, failed) = invocation.copy_places(&opened.config);
    let asked = copy::lacks_of_each(&opened.context, &places)?;
    let asked = places.iter().zip(asked);
    let asked = asked.map(|(place, lacks)| (place.name().to_owned(), lacks.map_err(Failure::from)));
    let failed = failed
        .into_iter()
        .map(|(name, failure)| (name, Err(failure)));
    Ok(asked.chain(failed).collect())
}

fn copy_json((name, lacks): &OfCopy) -> Value {
    let known = lacks.as_ref().ok().and_then(Option::as_ref);
    json!({
        "copy": name,
        "begun": lacks.as_ref().ok().map(Option::is_some),
        "lacks": known.map(|lacks| json!({
            "recipients": lacks.recipients,
            "retired": lacks.retired,
            "headers": lacks.headers,
        })),
        "error": lacks.as_ref().err().map(Failure::in_a_line),
    })
}

/// Where this machine's keys are, those that are there.
fn places(opened: &Opened) -> (Option<String>, Option<String>) {
    let settings = &opened.config.vault;
    let keys = opened.keys.as_ref();
    let in_folder = |path: std::path::PathBuf| path.exists().then(|| path.display().to_string());
    let named = |place: &Option<crate::config::Setting<KeyPlace>>| {
        place.as_ref().map(|setting| setting.value.to_string())
    };
    (
        named(&settings.write_key).or_else(|| in_folder(keys?.write_key_path())),
        named(&settings.identity).or_else(|| in_folder(keys?.identity_path())),
    )
}

fn recipient_json(one: &RecipientListed, listed: &KeysListed) -> Value {
    json!({
        "recipient": one.recipient,
        "since": one.since,
        "retired_at": one.until,
        "here": one.is_here,
        "opens": one.opens,
        "of": listed.backups,
        "oldest_opened": one.oldest_opened,
    })
}

fn writer_json(one: &WriterListed) -> Value {
    json!({
        "writer": one.writer,
        "state": one.state.as_str(),
        "retired_at": one.retired_at,
        "hosts": one.hosts,
        "backups": one.backups,
        "refused": one.refused,
        "newest": one.newest,
    })
}

fn print(invocation: &Invocation, opened: &Opened, listed: &KeysListed) {
    let out = &invocation.out;
    let zone = &opened.context.zone;
    let moment = |at: Option<jiff::Timestamp>| {
        at.map_or_else(|| "-".to_owned(), |at| time::moment(at, zone))
    };
    let rows = listed.recipients.iter().map(|one| {
        let state = match one.until {
            Some(at) => format!("retired {}", time::moment(at, zone)),
            None => "reads".to_owned(),
        };
        vec![
            one.recipient.clone(),
            state,
            one.since
                .map_or_else(|| "the beginning".to_owned(), |at| time::moment(at, zone)),
            format!("{} of {}", one.opens, listed.backups),
            moment(one.oldest_opened),
            if one.is_here { "here" } else { "" }.to_owned(),
        ]
    });
    let header = ["RECIPIENT", "STATE", "SINCE", "OPENS", "FROM", "IDENTITY"];
    out.print(&table(out, &header, &[], rows.collect()));
    out.print("");
    let rows = listed.writers.iter().map(|one| {
        let state = match (one.state, one.retired_at) {
            (WriterState::Retired, Some(at)) => format!("retired {}", time::moment(at, zone)),
            (WriterState::Own, _) => "this machine".to_owned(),
            (state, _) => state.as_str().to_owned(),
        };
        let backups = match one.refused {
            0 => one.backups.to_string(),
            refused => format!("{}, {refused} refused", one.backups),
        };
        let hosts: Vec<&str> = one.hosts.iter().map(String::as_str).collect();
        vec![
            one.writer.to_string(),
            state,
            backups,
            moment(one.newest),
            hosts.join(", "),
        ]
    });
    let header = ["WRITER", "STATE", "BACKUPS", "NEWEST", "HOSTS"];
    out.print(&table(out, &header, &[], rows.collect()));
}
