//! `keys rotate`: a new key in the place of this machine's own.
//!
//! Write order, writer: the leases of all sources are held, so that no run signs with the old key meanwhile;
//! the write key's file is replaced in one step. Identity: the file first, with the new identity before the
//! old ones, marked as taking the old one's place; then `vault.json`; then the pin. Stopped in between, the same command goes on with what it finds.

use jiff::Timestamp;
use resguardo_ops::keys;
use resguardo_vault::{
    Identities, RecipientChange, RecipientState, Vault, generate_identity, is_protected,
};
use serde_json::json;
use zeroize::Zeroizing;

use super::change::{change_on, leave};
use super::passphrase::{plain_text, replace};
use super::{Ground, Left, reach_copies, signed_everywhere};
use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::{Invocation, Reading};

/// `keys rotate writer`.
pub(super) fn writer(
    invocation: &Invocation,
    signed_before: Option<Timestamp>,
    without: &[String],
) -> Result<Exit, Failure> {
    let ground = Ground::find(invocation)?;
    let opened = invocation.open(Reading::Nothing)?;
    reach_copies(invocation, &ground.config, without)?;
    let old = ground.key.writer();
    let configured = ground.config.sources.iter().map(|one| one.name.clone());
    let leases = keys::hold_all_sources(&opened.context, configured)?;
    let (signed, warnings) = signed_everywhere(invocation, &opened, old, (signed_before, without))?;
    let (kept, refused) = (signed.known.len(), signed.refused);
    let next = ground.key.successor(signed.known, invocation.clock.now())?;
    ground.store_key(&next)?;
    drop(leases);
    let new = next.writer();
    let out = &invocation.out;
    out.say(&format!(
        "this machine signs as {new} now; {kept} heads and receipts of {old} stay believed here"
    ));
    // Without the limit, the other hosts would believe what a thief signed after it.
    let before = signed_before.map_or_else(String::new, |at| format!(" --signed-before {at}"));
    out.note(&format!("on every other host that trusts this one: `resguardo keys trust {new}`, then `resguardo keys retire {old}{before}`"));
    out.note("the next backup of each source is a whole one");
    let mut left = Left::of(invocation, ("rotate-writer", &new.to_string()), None)?;
    left.kit_is_older();
    left.recorded.notes.extend(warnings);
    let mut answer = json!({
        "action": "rotate-writer",
        "key": new,
        "retired": old,
        "kept": kept,
        "refused": refused,
    });
    left.add_to(&mut answer);
    out.json(&answer);
    Ok(left.tell(invocation))
}

/// The comment before a new identity in the file: whose place it takes. Only what bears it was made by a run
/// that was stopped; any other first identity may be one that was retired.
fn mark(new: &str, old: &str) -> String {
    format!("# {new} takes the place of {old}\n")
}

/// `keys rotate identity`.
pub(super) fn identity(
    invocation: &Invocation,
    old_backups: bool,
    without: &[String],
) -> Result<Exit, Failure> {
    let ground = Ground::find(invocation)?;
    reach_copies(invocation, &ground.config, without)?;
    let place = ground.identity_place()?;
    let path = place
        .file()
        .expect("a file, says identity_place")
        .to_owned();
    let file =
        std::fs::read(&path).map_err(|error| Failure::io("reading the identity", &path, &error))?;
    let passphrase = match is_protected(&file) {
        true => invocation.passphrase(&ground.config, true)?,
        false => None,
    };
    let plain = plain_text(invocation, &ground.config, &path)?;
    let held = Identities::parse(&plain, None)?;
    let pinned = ground.key.recipients();
    let old = held.recipients().iter().find(|one| pinned.contains(one));
    let Some(old) = old.cloned() else {
        return Err(Failure::user(format!(
            "{place} opens nothing that is backed up now: it is no recipient's"
        ))
        .hint("see the recipients with `resguardo keys list`"));
    };
    let begun = held.recipients().first();
    let begun =
        begun.filter(|first| **first != old && plain.starts_with(mark(first, &old).as_bytes()));
    let events = Vault::read_config(&*ground.store)?.recipients_changed;
    // The vault's word can only refuse one: it was a recipient, and was retired.
    let begun = begun.filter(|first| {
        !events
            .iter()
            .any(|event| event.recipient == **first && event.state == RecipientState::Retired)
    });
    let new = match begun {
        Some(begun) => begun.clone(),
        None => {
            let (text, new) = generate_identity(invocation.clock.now());
            let mark = mark(&new, &old);
            let both = Zeroizing::new([mark.as_bytes(), text.as_bytes(), &plain[..]].concat());
            replace(&path, &both, passphrase.as_ref())?;
            new
        }
    };
    let change = RecipientChange::Replace(new.clone(), old.clone());
    let done = change_on(invocation, ground, &change)?;
    let out = &invocation.out;
    out.say(&format!(
        "backups are readable by {new} from now on, in the place of {old}"
    ));
    out.say(&format!(
        "{place} holds both: the old one still opens the old backups"
    ));
    out.note("copies of that file that are kept elsewhere hold the old identity only: put a new copy there NOW");
    out.note(&format!(
        "on every other host that takes backups: `resguardo keys add {new} --instead-of {old}`"
    ));
    let wished = old_backups.then_some(new.as_str());
    leave(
        invocation,
        &done,
        ("rotate-identity", &new),
        (wished, without),
    )
}
