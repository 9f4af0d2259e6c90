//! `keys`: who may read and who is believed, listed; and the rehearsal with the key that is kept elsewhere.
//!
//! Changing keys is the binary's work, because key files are; [`record`] leaves the receipts of it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use resguardo_model::receipt::Verb;
use resguardo_model::{Finding, Sha256Digest, SourceName, WriterId};
use resguardo_vault::{CopyPlace, Lease, ReceiptsHeld, StoredHead, StoredReceipt, Vault, span_of};
use serde_json::Value;

use crate::catalog::RunState;
use crate::context::Context;
use crate::copy;
use crate::error::OpsError;
use crate::history;
use crate::receipt::{self, Record, value};
use crate::run::{OpenRun, described};

mod rehearse;

pub(crate) use rehearse::diagnose_rehearsals;
pub use rehearse::{Rehearsal, RehearseDone, last_rehearsals, rehearse};

/// In `details` of a receipt: what was done with keys.
pub(crate) const ACTION: &str = "action";

/// A recipient, and what it should open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipientListed {
    /// The public key.
    pub recipient: String,
    /// Since when backups are sealed to it; none: since the vault was made.
    pub since: Option<Timestamp>,
    /// When it was retired; none: it is one now.
    pub until: Option<Timestamp>,
    /// An identity that is at hand here stands for it.
    pub is_here: bool,
    /// Backups that it should open, by what the vault tells of itself.
    pub opens: usize,
    /// The oldest of them.
    pub oldest_opened: Option<Timestamp>,
}

/// What a writer is to this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriterState {
    /// It is this host's own.
    Own,
    /// It is believed.
    Trusted,
    /// It was believed once: what was known of it then still is.
    Retired,
    /// It is not believed.
    Unknown,
}

impl WriterState {
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Trusted => "trusted",
            Self::Retired => "retired",
            Self::Unknown => "unknown",
        }
    }
}

/// A writer, and what it signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterListed {
    /// The public key.
    pub writer: WriterId,
    /// What it is to this host.
    pub state: WriterState,
    /// When it was retired here.
    pub retired_at: Option<Timestamp>,
    /// Machines that its receipts name.
    pub hosts: BTreeSet<String>,
    /// Backups that it signed.
    pub backups: usize,
    /// Those that are not believed here.
    pub refused: usize,
    /// When it took the newest of them.
    pub newest: Option<Timestamp>,
}

/// The keys of a vault.
#[derive(Clone, Debug, PartialEq)]
pub struct KeysListed {
    /// Those of now first, then those that were retired.
    pub recipients: Vec<RecipientListed>,
    /// This host's own first.
    pub writers: Vec<WriterListed>,
    /// Backups that there are, of writers that are believed.
    pub backups: usize,
    /// What is wrong with heads and receipts.
    pub findings: Vec<Finding>,
}

/// Lists the keys. Needs none.
///
/// # Errors
/// If there is no vault, or it cannot be read.
pub fn list(ctx: &Context) -> Result<KeysListed, OpsError> {
    let vault = ctx.vault()?;
    let heads = history::heads(ctx, None)?;
    let receipts = history::receipts(ctx, None)?;
    let believed: Vec<&StoredHead> = heads.heads.iter().filter(|one| one.trusted).collect();
    let mut known: Vec<&String> = vault.config().recipients.iter().collect();
    for event in &vault.config().recipients_changed {
        if !known.contains(&&event.recipient) {
            known.push(&event.recipient);
        }
    }
    let recipients = known
        .into_iter()
        .map(|recipient| recipient_of(vault, recipient, &believed))
        .collect::<Result<_, OpsError>>()?;
    let mut findings = heads.findings;
    findings.extend(receipts.findings);
    Ok(KeysListed {
        recipients,
        writers: writers(vault, &heads.heads, &receipts.receipts),
        backups: believed.len(),
        findings,
    })
}

fn recipient_of(
    vault: &Vault,
    recipient: &str,
    heads: &[&StoredHead],
) -> Result<RecipientListed, OpsError> {
    let (since, until) = span_of(vault.config(), recipient);
    let mut listed = RecipientListed {
        recipient: recipient.to_owned(),
        since,
        until,
        is_here: vault
            .identity_recipients()
            .iter()
            .any(|here| here == recipient),
        opens: 0,
        oldest_opened: None,
    };
    for stored in heads {
        let opens = vault
            .should_open(recipient, &stored.head)
            .map_err(OpsError::vault("reading the further headers of the vault"))?;
        if opens {
            listed.opens += 1;
            let at = stored.head.taken_at;
            listed.oldest_opened = Some(listed.oldest_opened.map_or(at, |oldest| oldest.min(at)));
        }
    }
    Ok(listed)
}

fn writers(vault: &Vault, heads: &[StoredHead], receipts: &[StoredReceipt]) -> Vec<WriterListed> {
    let mut all = Writers {
        vault,
        all: BTreeMap::new(),
    };
    if let Some(key) = vault.own_key() {
        for writer in key.trusted_writers() {
            all.of(*writer);
        }
        for retired in key.retired_writers() {
            all.of(retired.writer);
        }
    }
    for stored in heads {
        let listed = all.of(stored.head.writer);
        listed.backups += 1;
        listed.refused += usize::from(!stored.trusted);
        listed.newest = listed.newest.max(Some(stored.head.taken_at));
    }
    for stored in receipts {
        let predicate = &stored.statement.predicate;
        let listed = all.of(predicate.writer);
        listed.hosts.insert(predicate.host.clone());
    }
    let mut all: Vec<_> = all.all.into_values().collect();
    all.sort_by_key(|listed| (listed.state as u8, std::cmp::Reverse(listed.newest)));
    all
}

struct Writers<'a> {
    vault: &'a Vault,
    all: BTreeMap<WriterId, WriterListed>,
}

impl Writers<'_> {
    fn of(&mut self, writer: WriterId) -> &mut WriterListed {
        let vault = self.vault;
        self.all.entry(writer).or_insert_with(|| WriterListed {
            writer,
            state: state_of(vault, writer),
            retired_at: vault.retired(writer).map(|retired| retired.retired_at),
            hosts: BTreeSet::new(),
            backups: 0,
            refused: 0,
            newest: None,
        })
    }
}

fn state_of(vault: &Vault, writer: WriterId) -> WriterState {
    let Some(key) = vault.own_key() else {
        return WriterState::Unknown;
    };
    if key.writer() == writer {
        WriterState::Own
    } else if vault.retired(writer).is_some() {
        WriterState::Retired
    } else if key.trusted_writers().contains(&writer) {
        WriterState::Trusted
    } else {
        WriterState::Unknown
    }
}

/// What was made readable of one source.
#[derive(Clone, Debug)]
pub struct GivenOf {
    /// The source.
    pub source: SourceName,
    /// What of it.
    pub given: resguardo_vault::Given,
}

/// Lets `recipients` open the backups that stand, of every source.
///
/// # Errors
/// If there is no identity that opens them, or the vault cannot be read or written.
pub fn give_old_backups(ctx: &Context, recipients: &[String]) -> Result<Vec<GivenOf>, OpsError> {
    let vault = ctx.vault()?;
    let heads = history::heads(ctx, None)?.heads;
    let mut all = Vec::new();
    ctx.progress.phase("further headers");
    for source in history::sources_of(&heads) {
        let given = vault
            .give_old_backups(&source, recipients, &ctx.cancel, &*ctx.progress)
            .map_err(OpsError::vault(format!(
                "making the old backups of {source} readable"
            )))?;
        all.push(GivenOf { source, given });
    }
    Ok(all)
}

/// Takes the leases of all sources, and holds their receipts, so that no run signs anything while a key is
/// replaced: of those that have backups, receipts or a lease in the vault, and of the `configured` ones, whose
/// first backup may begin at any moment.
///
/// # Errors
/// If a run holds one, or the vault cannot be read or written.
pub fn hold_all_sources(
    ctx: &Context,
    configured: impl IntoIterator<Item = SourceName>,
) -> Result<Held, OpsError> {
    let vault = ctx.vault()?;
    let heads = history::heads(ctx, None)?.heads;
    let run = ctx.new_run_id()?;
    let mut sources = history::sources_of(&heads);
    let at_work = vault.sources_at_work();
    sources.extend(at_work.map_err(OpsError::vault("listing the leases of the vault"))?);
    sources.extend(configured);
    let leases = sources.iter().map(|source| {
        let lease = vault.acquire_lease_to_add(source, run, &ctx.host, std::process::id());
        lease.map_err(OpsError::vault(format!("holding {source}")))
    });
    let leases = leases.collect::<Result<_, _>>()?;
    let receipts = vault.hold_receipts(&sources);
    Ok(Held {
        _leases: leases,
        _receipts: receipts.map_err(OpsError::vault("holding the receipts"))?,
    })
}

/// While it lives, nothing is signed on this machine: [`hold_all_sources`].
pub struct Held {
    _leases: Vec<Lease>,
    _receipts: ReceiptsHeld,
}

/// What a writer signed, at the vault and at its copies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signed {
    /// Digests of its heads, receipts and other signed objects.
    pub known: BTreeSet<Sha256Digest>,
    /// Its backups in the vault that are not among them: nobody believes them once it is retired.
    pub refused: u64,
    /// Copies that could not be asked, each with the cause.
    pub unreached: Vec<(String, String)>,
}

/// Digests of everything that `writer` signed; with `before`, of what the stores had by then. A copy may keep
/// longer than the vault. One that was never begun holds nothing.
///
/// # Errors
/// If the vault cannot be read.
pub fn signed_by(
    ctx: &Context,
    writer: WriterId,
    before: Option<Timestamp>,
    copies: &[CopyPlace],
) -> Result<Signed, OpsError> {
    let vault = ctx.vault()?;
    let known = vault.signed_by(writer, before);
    let mut signed = Signed {
        known: known.map_err(OpsError::vault(format!(
            "reading what {writer} signed in the vault"
        )))?,
        refused: 0,
        unreached: Vec::new(),
    };
    let asked = copy::at_once(copies, |place| {
        let copy = copy::open_begun(ctx, place)?;
        let known = copy.map(|copy| copy.signed_by(writer, before)).transpose();
        known.map_err(OpsError::vault(format!(
            "reading what {writer} signed there"
        )))
    });
    for (place, there) in copies.iter().zip(asked) {
        match there {
            Ok(there) => signed.known.extend(there.unwrap_or_default()),
            Err(error) => {
                let cause = described(&error);
                signed.unreached.push((place.name().to_owned(), cause));
            }
        }
    }
    let heads = history::heads(ctx, None)?.heads;
    let refused = heads
        .iter()
        .filter(|stored| stored.head.writer == writer && !signed.known.contains(&stored.sha256));
    signed.refused = refused.count() as u64;
    Ok(signed)
}

/// What was left behind of a change of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Keys of the receipts, one for each source.
    pub receipts: Vec<String>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Leaves a receipt of a change of keys with every source of the vault. The change stands already, so what
/// goes wrong is a note.
///
/// # Errors
/// If the vault cannot be read.
pub fn record(ctx: &Context, action: &str, what: &str) -> Result<Recorded, OpsError> {
    let mut recorded = Recorded::default();
    let heads = history::heads(ctx, None)?.heads;
    for source in history::sources_of(&heads) {
        let mut run = OpenRun::begin(ctx, Verb::Keys, Some(&source))?;
        let details = BTreeMap::from([
            (ACTION.to_owned(), value(action)),
            ("key".to_owned(), value(what)),
        ]);
        let key = receipt::store_or_note(
            ctx,
            Record {
                run: &run,
                source: &source,
                outcome: "succeeded",
                subject: Vec::new(),
                tools: BTreeMap::new(),
                details,
                test: None,
            },
            &mut recorded.notes,
        );
        run.has_receipt(key.as_deref());
        recorded.receipts.extend(key);
        run.end(RunState::Succeeded, action);
    }
    recorded.notes.dedup();
    Ok(recorded)
}

fn action_of(receipt: &StoredReceipt) -> Option<&str> {
    let predicate = &receipt.statement.predicate;
    if predicate.verb != Verb::Keys {
        return None;
    }
    predicate.details.get(ACTION).and_then(Value::as_str)
}
