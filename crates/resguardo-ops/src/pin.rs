//! `pin` and `unpin`: a backup is kept whatever the retention says, on every machine.
//!
//! The pin lies signed in the vault, durable before its receipt; after it, it is asked whether a prune is at work, and
//! whether the backup is still there. What keeps a backup is written by
//! whoever may write to the vault; to take it away needs the right to delete there.

use std::collections::BTreeMap;

use jiff::Timestamp;
use resguardo_model::receipt::Verb;
use resguardo_model::{BackupId, RunId, SourceName};
use resguardo_vault::{CopyPlace, PinDraft, Pinned, StoredHead, VaultError};

use crate::catalog::RunState;
use crate::context::Context;
use crate::copy;
use crate::error::OpsError;
use crate::receipt::{self, Record, value};
use crate::refer::{self, Reference};
use crate::run::{OpenRun, described};

/// Longest reason, in characters.
const REASON_CHARACTERS_MAX: usize = 500;

/// A pin to be made.
#[derive(Clone, Debug)]
pub struct PinRequest<'a> {
    /// The backup.
    pub backup: &'a Reference,
    /// Why it is to stay.
    pub reason: &'a str,
    /// The first instant at which it holds no more; `None`: until it is unpinned.
    pub until: Option<Timestamp>,
    /// Where the pin is put as well.
    pub copies: &'a [CopyPlace],
}

/// A pin that was made, or taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinDone {
    /// The run.
    pub run: RunId,
    /// The backup.
    pub id: BackupId,
    /// Its source.
    pub source: SourceName,
    /// When it was taken.
    pub taken_at: Timestamp,
    /// Whether it is pinned now.
    pub pinned: bool,
    /// Whether it was pinned before.
    pub was_pinned: bool,
    /// Key of its receipt.
    pub receipt: Option<String>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Pins a backup, in the vault and then at its copies; a pin that it has is replaced. A copy that could not be
/// reached is a note: the next synchronisation brings the pin there.
///
/// # Errors
/// [`OpsError::BadPin`] if reason or end make no sense; as [`refer::resolve`]; without a write key;
/// [`OpsError::NoSuchBackup`] if a prune took the backup away meanwhile; [`OpsError::Vault`] (locked) while one is at
/// work on the source: nothing was changed then.
pub fn pin(ctx: &Context, request: &PinRequest<'_>) -> Result<PinDone, OpsError> {
    let reason = request.reason.trim();
    let bad = |why: &str| {
        Err(OpsError::BadPin {
            why: why.to_owned(),
        })
    };
    if reason.is_empty() {
        return bad("a pin needs a reason");
    }
    if reason.chars().count() > REASON_CHARACTERS_MAX || reason.chars().any(char::is_control) {
        return bad("the reason of a pin is one line of at most 500 characters");
    }
    if request.until.is_some_and(|until| until <= ctx.clock.now()) {
        return bad("the pin would be over already");
    }
    let details = [("reason", value(reason)), ("until", value(request.until))];
    let mut notes = Vec::new();
    let mut done = change(ctx, request.backup, true, &details, |head, run| {
        let vault = ctx.vault()?;
        let doing = || OpsError::vault(format!("pinning {}", head.head.backup));
        let before = vault.pins(Some(&head.head.source)).map_err(doing())?;
        let was_pinned = before.pins.iter().any(|pin| pin.backup == head.head.backup);
        let draft = PinDraft {
            source: head.head.source.clone(),
            backup: head.head.backup,
            reason: reason.to_owned(),
            until: request.until,
            operator: ctx.operator.clone(),
            host: ctx.host.clone(),
        };
        let pid = std::process::id();
        match vault.pin(&draft, run, pid).map_err(doing())? {
            Pinned::Holds(_) => {}
            Pinned::Gone => return Err(pruned(head)),
        }
        let sent = copy::at_once(request.copies, |place| {
            let copy = vault.copy_at(place)?;
            vault.send_pin(&copy, &draft.source, draft.backup)?;
            copy.no_prune_is_at_work(&draft.source, (run, &draft.host, pid))
        });
        for (place, there) in request.copies.iter().zip(sent) {
            match there {
                // One that was never begun gets the pin with the backups.
                Ok(()) | Err(VaultError::NotAVault { .. }) => {}
                Err(VaultError::Locked { .. }) => notes.push(format!(
                    "the copy {name} is being pruned at this moment: it may not keep the backup; see with `resguardo list` \
                     when that is done, and send it again with `resguardo copy sync {name}`",
                    name = place.name(),
                )),
                Err(error) => notes.push(format!(
                    "the copy {name} has not got the pin: {}; send it with `resguardo copy sync {name}`",
                    described(&error),
                    name = place.name(),
                )),
            }
        }
        Ok(was_pinned)
    })?;
    done.notes.extend(notes);
    Ok(done)
}

/// A prune took the backup away while it was being pinned.
fn pruned(head: &StoredHead) -> OpsError {
    OpsError::NoSuchBackup {
        reference: format!("{}@{}", head.head.source, head.head.backup),
        there_is: "it was pruned while it was being pinned".to_owned(),
    }
}

/// Takes the pin of a backup away, in the vault and then at its copies; that there is none is no error. A
/// copy where it could not be done is a note: the backup stays there.
///
/// # Errors
/// As [`refer::resolve`]; [`OpsError::Vault`] if the store does not let this host delete.
pub fn unpin(ctx: &Context, backup: &Reference, copies: &[CopyPlace]) -> Result<PinDone, OpsError> {
    let mut notes = Vec::new();
    let mut done = change(ctx, backup, false, &[], |head, _| {
        let vault = ctx.vault()?;
        let doing = OpsError::vault(format!("unpinning {}", head.head.backup));
        // Whoever cannot say who he is changes nothing.
        if vault.writer().is_none() {
            return Err(doing(VaultError::NoWriteKey));
        }
        let (source, backup) = (&head.head.source, head.head.backup);
        let mut was_pinned = vault.remove_pin(source, backup).map_err(doing)?;
        let removed = copy::at_once(copies, |place| {
            vault.copy_at(place)?.remove_pin(source, backup)
        });
        for (place, there) in copies.iter().zip(removed) {
            match there {
                Ok(pinned) => was_pinned |= pinned,
                // One that was never begun holds no pin.
                Err(VaultError::NotAVault { .. }) => {}
                Err(error) => notes.push(format!(
                    "the copy {} may keep it pinned: {}",
                    place.name(),
                    described(&error)
                )),
            }
        }
        Ok(was_pinned)
    })?;
    done.notes.extend(notes);
    Ok(done)
}

fn change(
    ctx: &Context,
    backup: &Reference,
    pinned: bool,
    details: &[(&str, serde_json::Value)],
    work: impl FnOnce(&StoredHead, RunId) -> Result<bool, OpsError>,
) -> Result<PinDone, OpsError> {
    let head = refer::resolve(ctx, backup)?;
    let mut run = OpenRun::begin(ctx, Verb::Pin, Some(&head.head.source))?;
    run.is_about(Some(&head.head.source), Some(head.head.backup));
    let was_pinned = match work(&head, run.id()) {
        Ok(was_pinned) => was_pinned,
        Err(error) => {
            run.end_with(&error);
            return Err(error);
        }
    };
    let mut done = PinDone {
        run: run.id(),
        id: head.head.backup,
        source: head.head.source.clone(),
        taken_at: head.head.taken_at,
        pinned,
        was_pinned,
        receipt: None,
        notes: Vec::new(),
    };
    if pinned || was_pinned {
        let common = [
            ("backup", value(done.id)),
            ("pinned", value(pinned)),
            ("was_pinned", value(was_pinned)),
        ];
        let record = Record {
            run: &run,
            source: &done.source,
            outcome: "succeeded",
            subject: receipt::subjects_of(&head),
            tools: BTreeMap::new(),
            details: common
                .iter()
                .chain(details)
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
            test: None,
        };
        done.receipt = receipt::store_or_note(ctx, record, &mut done.notes);
    }
    run.has_receipt(done.receipt.as_deref());
    run.end(RunState::Succeeded, "");
    Ok(done)
}
