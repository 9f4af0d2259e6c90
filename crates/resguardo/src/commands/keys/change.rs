//! `keys add`, `keys retire`, `keys trust`.

use jiff::Timestamp;
use resguardo_model::WriterId;
use resguardo_vault::{
    KeyError, RecipientChange, RecipientsChanged, canonical_recipient, change_recipients,
};
use serde_json::json;

use super::{Ground, Left, reach_copies, signed_everywhere};
use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::{Invocation, Reading};

fn recipient_of(text: &str) -> Result<String, Failure> {
    canonical_recipient(text).map_err(|error| {
        let hint = match error {
            KeyError::SecretAsRecipient => {
                "name its public key: `age-keygen -y FILE` prints it; if the secret was seen, make a new one"
            }
            _ => "a recipient is the public key that `age-keygen` printed, or the line of an SSH .pub file",
        };
        Failure::usage(error.to_string()).hint(hint)
    })
}

/// `keys add`.
pub(super) fn add(
    invocation: &Invocation,
    text: &str,
    instead_of: Option<&str>,
    old_backups: bool,
) -> Result<Exit, Failure> {
    let recipient = recipient_of(text)?;
    let change = match instead_of {
        Some(old) => RecipientChange::Replace(recipient.clone(), recipient_of(old)?),
        None => RecipientChange::Add(recipient.clone()),
    };
    let done = change_here(invocation, &change)?;
    let out = &invocation.out;
    if !done.stored && !done.pinned {
        out.say(&format!("{recipient} is a recipient already"));
    } else if done.stored {
        out.say(&format!("{recipient} reads what is backed up from now on"));
        out.note("every other host that takes backups stops until `resguardo keys add` is run there with the same recipient");
    } else {
        out.say(&format!(
            "{recipient} was added elsewhere, and is accepted on this machine now"
        ));
    }
    if old_backups {
        return leave(
            invocation,
            &done,
            ("add-recipient", &recipient),
            (Some(&recipient), &[]),
        );
    }
    if done.pinned {
        out.note(&format!(
            "backups that are there already stay closed to it, and the next backup of each source is a whole one; to open the old ones to it: `resguardo keys add '{recipient}' --old-backups`"
        ));
    }
    leave(
        invocation,
        &done,
        ("add-recipient", &recipient),
        (None, &[]),
    )
}

/// `keys retire RECIPIENT`.
pub(super) fn retire_recipient(
    invocation: &Invocation,
    text: &str,
    without: &[String],
) -> Result<Exit, Failure> {
    let recipient = recipient_of(text)?;
    let ground = Ground::find(invocation)?;
    let there = ground.key.recipients().contains(&recipient);
    if !there {
        return Err(
            Failure::user(format!("{recipient} is no recipient of this vault"))
                .hint("see the recipients with `resguardo keys list`"),
        );
    }
    if ground.key.recipients().len() == 1 {
        return Err(Failure::user(format!(
            "{recipient} is the last recipient: without one nobody could read what is backed up"
        ))
        .hint(format!(
            "add the one that takes its place first, with `resguardo keys add age1...`, or do both at once: `resguardo keys add age1... --instead-of '{recipient}'`"
        )));
    }
    reach_copies(invocation, &ground.config, without)?;
    let change = RecipientChange::Retire(recipient.clone());
    let done = change_on(invocation, ground, &change)?;
    invocation.out.say(&format!(
        "{recipient} reads nothing that is backed up from now on; what it could read before stays readable to it"
    ));
    if done.stored {
        invocation.out.note("every other host that takes backups stops until `resguardo keys retire` is run there with the same recipient");
    }
    leave(
        invocation,
        &done,
        ("retire-recipient", &recipient),
        (None, without),
    )
}

fn change_here(
    invocation: &Invocation,
    change: &RecipientChange,
) -> Result<RecipientsChanged, Failure> {
    change_on(invocation, Ground::find(invocation)?, change)
}

/// `vault.json` first, then the pin.
pub(super) fn change_on(
    invocation: &Invocation,
    mut ground: Ground,
    change: &RecipientChange,
) -> Result<RecipientsChanged, Failure> {
    let now = invocation.clock.now();
    let done = change_recipients(&*ground.store, &mut ground.key, change, now)?;
    if done.pinned {
        ground.store_key(&ground.key)?;
    }
    Ok(done)
}

pub(super) fn leave(
    invocation: &Invocation,
    done: &RecipientsChanged,
    about: (&str, &str),
    (old_backups, without): (Option<&str>, &[String]),
) -> Result<Exit, Failure> {
    let mut left = Left::of(invocation, about, old_backups)?;
    left.tell_copies(invocation, without)?;
    if done.stored || done.pinned {
        left.kit_is_older();
    }
    let mut answer = json!({
        "action": about.0,
        "key": about.1,
        "recipients": done.recipients,
        "vault_changed": done.stored,
        "pinned": done.pinned,
    });
    left.add_to(&mut answer);
    invocation.out.json(&answer);
    Ok(left.tell(invocation))
}

/// `keys retire WRITER`.
pub(super) fn retire_writer(
    invocation: &Invocation,
    writer: WriterId,
    signed_before: Option<Timestamp>,
    without: &[String],
) -> Result<Exit, Failure> {
    let mut ground = Ground::find(invocation)?;
    let opened = invocation.open(Reading::Nothing)?;
    reach_copies(invocation, &ground.config, without)?;
    let before = (signed_before, without);
    let (signed, warnings) = signed_everywhere(invocation, &opened, writer, before)?;
    let (kept, refused) = (signed.known.len(), signed.refused);
    let retired = ground
        .key
        .retire_writer(writer, signed.known, invocation.clock.now());
    retired.map_err(|error| {
        let hint = match error {
            KeyError::OwnWriter(_) => {
                "put a new key in its place with `resguardo keys rotate writer`"
            }
            _ => "see the writers with `resguardo keys list`",
        };
        Failure::from(error).hint(hint)
    })?;
    ground.store_key(&ground.key)?;
    let word = writer.to_string();
    let mut left = Left::of(invocation, ("retire-writer", &word), None)?;
    left.kit_is_older();
    left.recorded.notes.extend(warnings);
    let mut answer =
        json!({ "action": "retire-writer", "key": word, "kept": kept, "refused": refused });
    left.add_to(&mut answer);
    invocation.out.json(&answer);
    invocation.out.say(&format!(
        "{writer} is retired on this machine: {kept} heads and receipts of it stay believed, nothing else of it is"
    ));
    invocation
        .out
        .note("run the same command on every other host that trusts it");
    Ok(left.tell(invocation))
}

/// `keys trust`.
pub(super) fn trust(
    invocation: &Invocation,
    writer: WriterId,
    again: bool,
) -> Result<Exit, Failure> {
    let mut ground = Ground::find(invocation)?;
    let known = ground.key.trusted_writers().contains(&writer);
    if !known {
        match again {
            true => ground.key.trust_again(writer)?,
            false => ground.key.trust(writer)?,
        }
        ground.store_key(&ground.key)?;
    }
    let word = writer.to_string();
    let mut left = Left::of(invocation, ("trust-writer", &word), None)?;
    if !known {
        left.kit_is_older();
    }
    let mut answer = json!({ "action": "trust-writer", "key": word, "already": known });
    left.add_to(&mut answer);
    invocation.out.json(&answer);
    invocation
        .out
        .say(&format!("{writer} is believed on this machine"));
    Ok(left.tell(invocation))
}
