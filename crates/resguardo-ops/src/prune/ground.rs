//! What a plan rests on: the heads that stand, what drills proved of them, and who pinned them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use resguardo_model::retention::{Candidate, Pinned};
use resguardo_model::{BackupId, Finding, SourceName, Verdict};
use resguardo_vault::{CopyPlace, StoredHead, StoredPin, Vault, VaultError};

use crate::context::Context;
use crate::copy;
use crate::error::OpsError;
use crate::history::{self, Drills};
use crate::run::described;

/// Everything that is known of the backups of one source.
pub(super) struct Ground {
    pub(super) heads: Vec<StoredHead>,
    /// What is wrong with heads and pins.
    pub(super) findings: Vec<Finding>,
    drills: BTreeMap<BackupId, Drills>,
    pins: Vec<StoredPin>,
    /// Copies whose pins could not be read.
    pub(super) notes: Vec<String>,
}

impl Ground {
    /// Read from the vault now, not from what the catalog remembers. A backup that is pinned anywhere is pinned;
    /// a copy that cannot be asked is a note.
    pub(super) fn read(
        ctx: &Context,
        vault: &Vault,
        source: &SourceName,
        copies: &[CopyPlace],
    ) -> Result<Self, OpsError> {
        let doing = |what: &str| format!("reading the {what} of {source}");
        let heads = vault
            .heads(Some(source))
            .map_err(OpsError::vault(doing("heads")))?;
        let pins = vault
            .pins(Some(source))
            .map_err(OpsError::vault(doing("pins")))?;
        let mut pinned = pins.pins;
        if vault.is_copy() {
            // A pin that no copy has got yet holds for copies as well.
            let at_vault = ctx.vault()?.pins(Some(source));
            pinned.extend(at_vault.map_err(OpsError::vault(doing("pins")))?.pins);
        }
        let mut notes = Vec::new();
        let here = vault.store().describe();
        let copies = copies.iter().filter(|place| place.describe() != here);
        let copies: Vec<&CopyPlace> = copies.collect();
        let of_vault = ctx.vault()?;
        let asked = copy::at_once(&copies, |place| of_vault.copy_at(place)?.pins(Some(source)));
        for (place, answer) in copies.iter().zip(asked) {
            match answer {
                Ok(there) => pinned.extend(there.pins),
                Err(VaultError::NotAVault { .. }) => {}
                Err(error) => notes.push(format!(
                    "{source}: the pins at the copy {} could not be read: {}",
                    place.name(),
                    described(&error)
                )),
            }
        }
        let drills = history::drills(ctx, &BTreeSet::from([source.clone()]))?;
        let mut findings = heads.findings;
        findings.extend(pins.findings);
        Ok(Self {
            heads: heads.heads,
            findings,
            drills,
            pins: pinned,
            notes,
        })
    }

    pub(super) fn candidates(&self) -> Vec<Candidate> {
        self.heads
            .iter()
            .map(|stored| self.candidate(stored))
            .collect()
    }

    fn candidate(&self, stored: &StoredHead) -> Candidate {
        let head = &stored.head;
        // What a drill says of a stranger's backup is not asked: it stays as it is.
        let drills = self.drills.get(&head.backup).filter(|_| stored.trusted);
        let last = drills.and_then(|drills| drills.last);
        // Of several the one that holds longest.
        let pins = self.pins.iter().filter(|pin| pin.backup == head.backup);
        let pin = pins.max_by_key(|pin| pin.until.unwrap_or(Timestamp::MAX));
        Candidate {
            id: head.backup,
            taken_at: head.taken_at,
            sequence: head.sequence,
            reason: head.reason.clone(),
            trusted: stored.trusted,
            proven: drills.is_some_and(|drills| drills.proven_at.is_some()),
            failed_since: last.is_some_and(|last| last.verdict == Verdict::Failed),
            pin: pin.map(|pin| Pinned {
                reason: pin.reason.clone(),
                until: pin.until,
            }),
        }
    }
}
