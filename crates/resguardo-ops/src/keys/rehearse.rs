//! The rehearsal of a lost machine: does the key that is kept elsewhere open the newest backup of every source?

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use resguardo_model::receipt::Verb;
use resguardo_model::{BackupId, Diagnosis, Severity, SourceName};
use resguardo_vault::StoredHead;

use super::{ACTION, action_of};
use crate::catalog::RunState;
use crate::context::Context;
use crate::error::OpsError;
use crate::history;
use crate::receipt::{self, Record, value};
use crate::run::{OpenRun, described};

const REHEARSE: &str = "rehearse";

/// What became of one source's newest backup.
#[derive(Clone, Debug, PartialEq)]
pub struct Rehearsal {
    /// The source.
    pub source: SourceName,
    /// Its newest backup.
    pub backup: BackupId,
    /// When that was taken.
    pub taken_at: Timestamp,
    /// Why the key does not open it; none if it does.
    pub failed: Option<String>,
    /// Bytes of the frames that were opened.
    pub frame_bytes: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// The receipt's key in the vault; none without a write key.
    pub receipt: Option<String>,
}

/// A rehearsal that ran to its end, whatever it showed.
#[derive(Clone, Debug, PartialEq)]
pub struct RehearseDone {
    /// By source.
    pub rehearsals: Vec<Rehearsal>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Opens the manifest and frames of the newest backup of every source, now, with the identity at hand, and
/// signs a receipt of it. `from` says where the identity was taken from, for the receipt.
///
/// # Errors
/// If there is no vault or no identity, or the store cannot be read. A key that does not open is a result.
pub fn rehearse(ctx: &Context, from: &str) -> Result<RehearseDone, OpsError> {
    let vault = ctx.vault()?;
    let heads = history::heads(ctx, None)?;
    let mut newest: BTreeMap<SourceName, StoredHead> = BTreeMap::new();
    for stored in heads.heads.into_iter().filter(|stored| stored.trusted) {
        // By source and sequence: the last one wins.
        newest.insert(stored.head.source.clone(), stored);
    }
    let mut done = RehearseDone {
        rehearsals: Vec::new(),
        notes: Vec::new(),
    };
    for (source, stored) in newest {
        ctx.cancel.check()?;
        let mut run = OpenRun::begin(ctx, Verb::Keys, Some(&source))?;
        run.is_about(Some(&source), Some(stored.head.backup));
        let opened = vault
            .open_snapshot(&stored)
            .and_then(|snapshot| snapshot.try_frames())
            .map_err(OpsError::vault(format!(
                "opening backup {}",
                stored.head.backup
            )));
        let (frame_bytes, failed) = match opened {
            Ok(bytes) => (bytes, None),
            Err(error) if is_the_keys_fault(&error) => (0, Some(described(&error))),
            Err(error) => {
                run.end_with(&error);
                return Err(error);
            }
        };
        let mut rehearsal = Rehearsal {
            source,
            backup: stored.head.backup,
            taken_at: stored.head.taken_at,
            failed,
            frame_bytes,
            seconds: run.seconds(),
            receipt: None,
        };
        rehearsal.receipt = sign(ctx, &run, &rehearsal, &stored, from, &mut done.notes);
        run.has_receipt(rehearsal.receipt.as_deref());
        match &rehearsal.failed {
            None => run.end(RunState::Succeeded, REHEARSE),
            Some(why) => run.end(RunState::Failed, why.clone()),
        }
        done.rehearsals.push(rehearsal);
    }
    done.notes.dedup();
    Ok(done)
}

/// A key that does not fit, or data that is damaged, is what a rehearsal is there to find.
fn is_the_keys_fault(error: &OpsError) -> bool {
    use resguardo_vault::VaultError;
    matches!(
        error,
        OpsError::Vault { source, .. }
            if matches!(**source, VaultError::WrongIdentity { .. } | VaultError::Damaged(_))
    )
}

fn sign(
    ctx: &Context,
    run: &OpenRun<'_>,
    rehearsal: &Rehearsal,
    stored: &StoredHead,
    from: &str,
    notes: &mut Vec<String>,
) -> Option<String> {
    let vault = ctx.vault.as_ref()?;
    let details = [
        (ACTION, value(REHEARSE)),
        ("backup", value(rehearsal.backup)),
        ("identity", value(from)),
        ("recipients", value(vault.identity_recipients())),
        ("frame_bytes", value(rehearsal.frame_bytes)),
        ("seconds", value(rehearsal.seconds)),
        ("failed", value(&rehearsal.failed)),
    ];
    let record = Record {
        run,
        source: &rehearsal.source,
        outcome: match rehearsal.failed {
            None => "succeeded",
            Some(_) => "failed",
        },
        subject: receipt::subjects_of(stored),
        tools: BTreeMap::new(),
        details: details.map(|(name, value)| (name.to_owned(), value)).into(),
        test: None,
    };
    receipt::store_or_note(ctx, record, notes)
}

/// When each source was last rehearsed with success, by receipts of writers that are believed.
///
/// # Errors
/// If there is no vault, or it cannot be read.
pub fn last_rehearsals(ctx: &Context) -> Result<BTreeMap<SourceName, Timestamp>, OpsError> {
    let mut last: BTreeMap<SourceName, Timestamp> = BTreeMap::new();
    for stored in history::receipts(ctx, None)?.receipts {
        let predicate = &stored.statement.predicate;
        let counts = stored.trusted
            && predicate.outcome == "succeeded"
            && action_of(&stored) == Some(REHEARSE);
        if counts {
            let at = last
                .entry(predicate.source.clone())
                .or_insert(predicate.finished_at);
            *at = (*at).max(predicate.finished_at);
        }
    }
    Ok(last)
}

/// Beyond this, a rehearsal says little of where the key is now.
const REHEARSE_EVERY: SignedDuration = SignedDuration::from_hours(180 * 24);
/// Time that a new source has until somebody is asked to rehearse.
const FIRST_REHEARSAL: SignedDuration = SignedDuration::from_hours(30 * 24);

/// What `doctor` says of rehearsals. What keeps the vault from being read was told already.
pub(crate) fn diagnose_rehearsals(ctx: &Context) -> Vec<Diagnosis> {
    let (Ok(last), Ok(heads)) = (last_rehearsals(ctx), history::heads(ctx, None)) else {
        return Vec::new();
    };
    let now = ctx.clock.now();
    let mut oldest: BTreeMap<SourceName, Timestamp> = BTreeMap::new();
    for stored in heads.heads.into_iter().filter(|stored| stored.trusted) {
        let head = stored.head;
        let at = oldest.entry(head.source).or_insert(head.taken_at);
        *at = (*at).min(head.taken_at);
    }
    let each = oldest.into_iter().map(|(source, first)| {
        let subject = format!("key of {source}");
        let next = "take the identity from where it is kept, and run `resguardo keys rehearse --identity FILE`";
        let days = |since: Timestamp| now.duration_since(since).as_hours() / 24;
        let not_ok = |message: String| {
            Diagnosis::not_ok(Severity::Warning, subject.clone(), message, next)
        };
        match last.get(&source) {
            Some(at) if now.duration_since(*at) > REHEARSE_EVERY => {
                not_ok(format!("the identity was last rehearsed {} d ago", days(*at)))
            }
            Some(at) => {
                let message = format!("the identity was last rehearsed {} d ago", days(*at));
                Diagnosis::ok(subject, message)
            }
            None if now.duration_since(first) > FIRST_REHEARSAL => {
                not_ok("whether the identity that is kept elsewhere opens it was never rehearsed".to_owned())
            }
            None => Diagnosis::ok(subject, "the identity was not rehearsed yet: `resguardo keys rehearse`"),
        }
    });
    each.collect()
}
