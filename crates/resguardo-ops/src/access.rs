//! `vault access`: who can read, write and delete, as far as keys, signatures and the store tell; and the
//! reviews of it, each a receipt with every source.
//!
//! What the store does not say is left out, never guessed. The store itself is asked; what heads and
//! receipts say of writers comes from the vault.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use resguardo_model::receipt::Verb;
use resguardo_model::{Diagnosis, Severity, SourceName, WriterId};
use serde_json::{Value, json};

use crate::catalog::RunState;
use crate::context::Context;
use crate::error::OpsError;
use crate::history;
use crate::receipt::{self, Record, value};
use crate::run::OpenRun;

/// Fields of a review's receipt.
const REVIEWED_BY: &str = "reviewed_by";
const NEXT: &str = "next";

/// Who can do what.
#[derive(Clone, Debug, PartialEq)]
pub struct Access {
    /// Whoever holds an identity of one of these reads every backup that is sealed from now on.
    pub recipients: Vec<String>,
    /// Whoever signed something in the vault, or is pinned here.
    pub writers: Vec<WriterSeen>,
    /// The writer of this host, if it has a write key.
    pub own_writer: Option<WriterId>,
    /// This host has an identity.
    pub can_read: bool,
    /// What the store says: subject, words, and whether more may than should.
    pub store: Vec<StoreSays>,
    /// The newest review.
    pub last_review: Option<Review>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// A writer, and what it left in the vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterSeen {
    /// The writer.
    pub writer: WriterId,
    /// This host believes what it signs.
    pub trusted: bool,
    /// It was retired here: only what was known of it then is believed.
    pub retired: bool,
    /// Backups that it signed.
    pub backups: u64,
    /// Receipts that it signed.
    pub receipts: u64,
    /// Of which sources.
    pub sources: BTreeSet<SourceName>,
    /// When it last signed anything, by its own clock.
    pub last_at: Option<Timestamp>,
}

/// One thing that the store says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSays {
    /// What it speaks of.
    pub subject: String,
    /// What it says.
    pub says: String,
    /// More may than should.
    pub concern: bool,
}

/// A review that somebody made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// The day until which the next one is due.
    pub next: Option<Date>,
}

/// A review that was written down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reviewed {
    /// Keys of its receipts, one for each source.
    pub receipts: Vec<String>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Looks who can read, write and delete.
///
/// # Errors
/// If there is no vault, or it cannot be read. A store that says nothing is a note.
pub fn look(ctx: &Context) -> Result<Access, OpsError> {
    let vault = ctx.vault()?;
    let mut notes = Vec::new();
    let store = match vault.store().access() {
        Ok(facts) => facts
            .into_iter()
            .map(|fact| StoreSays {
                subject: fact.subject,
                says: fact.says,
                concern: fact.concern,
            })
            .collect(),
        Err(error) => {
            notes.push(format!(
                "the store was asked in vain: {}",
                crate::run::described(&error)
            ));
            Vec::new()
        }
    };
    if store.is_empty() && notes.is_empty() {
        notes.push("the store does not say who may do what".to_owned());
    }
    Ok(Access {
        recipients: vault.config().recipients.clone(),
        writers: writers(ctx)?,
        own_writer: vault.writer(),
        can_read: vault.can_read(),
        store,
        last_review: last_review(ctx)?,
        notes,
    })
}

fn writers(ctx: &Context) -> Result<Vec<WriterSeen>, OpsError> {
    let vault = ctx.vault()?;
    let mut seen: BTreeMap<WriterId, WriterSeen> = BTreeMap::new();
    let new = |writer| WriterSeen {
        writer,
        trusted: false,
        retired: vault.retired(writer).is_some(),
        backups: 0,
        receipts: 0,
        sources: BTreeSet::new(),
        last_at: None,
    };
    for stored in history::heads(ctx, None)?.heads {
        let writer = seen
            .entry(stored.head.writer)
            .or_insert_with(|| new(stored.head.writer));
        writer.backups += 1;
        writer.trusted |= stored.trusted;
        writer.last_at = writer.last_at.max(Some(stored.head.finished_at));
        writer.sources.insert(stored.head.source);
    }
    for stored in history::receipts(ctx, None)?.receipts {
        let predicate = stored.statement.predicate;
        let writer = seen
            .entry(predicate.writer)
            .or_insert_with(|| new(predicate.writer));
        writer.receipts += 1;
        writer.trusted |= stored.trusted;
        writer.last_at = writer.last_at.max(Some(predicate.finished_at));
        writer.sources.insert(predicate.source);
    }
    if let Some(own) = vault.writer() {
        seen.entry(own).or_insert_with(|| WriterSeen {
            trusted: true,
            ..new(own)
        });
    }
    Ok(seen.into_values().collect())
}

/// The newest review that a trusted writer signed.
///
/// # Errors
/// If the receipts cannot be read.
pub fn last_review(ctx: &Context) -> Result<Option<Review>, OpsError> {
    let receipts = history::receipts(ctx, None)?.receipts;
    let reviews = receipts
        .iter()
        .filter(|receipt| receipt.trusted)
        .map(|receipt| &receipt.statement.predicate)
        .filter(|predicate| predicate.verb == Verb::Access && predicate.outcome == "succeeded");
    let newest = reviews.max_by_key(|predicate| predicate.finished_at);
    Ok(newest.map(|predicate| Review {
        at: predicate.finished_at,
        by: text(&predicate.details, REVIEWED_BY).unwrap_or_else(|| predicate.operator.clone()),
        next: text(&predicate.details, NEXT).and_then(|day| day.parse().ok()),
    }))
}

fn text(details: &BTreeMap<String, Value>, name: &str) -> Option<String> {
    details.get(name)?.as_str().map(ToOwned::to_owned)
}

/// Writes down that `access` was reviewed: a receipt with every source of the vault.
///
/// # Errors
/// If the vault cannot be read, or has no backup yet with which a receipt could lie.
pub fn review(
    ctx: &Context,
    access: &Access,
    by: &str,
    next: Option<Date>,
) -> Result<Reviewed, OpsError> {
    let mut reviewed = Reviewed::default();
    let heads = history::heads(ctx, None)?.heads;
    let writers: Vec<String> = access
        .writers
        .iter()
        .map(|seen| seen.writer.to_string())
        .collect();
    let store: Vec<Value> = access
        .store
        .iter()
        .map(|says| json!({ "subject": says.subject, "says": says.says, "concern": says.concern }))
        .collect();
    for source in history::sources_of(&heads) {
        let mut run = OpenRun::begin(ctx, Verb::Access, Some(&source))?;
        let details = BTreeMap::from([
            (REVIEWED_BY.to_owned(), value(by)),
            (NEXT.to_owned(), value(next.map(|day| day.to_string()))),
            ("recipients".to_owned(), value(&access.recipients)),
            ("writers".to_owned(), value(&writers)),
            ("store".to_owned(), Value::from(store.clone())),
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
            &mut reviewed.notes,
        );
        run.has_receipt(key.as_deref());
        let state = if key.is_some() {
            RunState::Succeeded
        } else {
            RunState::Failed
        };
        reviewed.receipts.extend(key);
        run.end(state, "who may do what was reviewed");
    }
    reviewed.notes.dedup();
    if reviewed.receipts.is_empty() && reviewed.notes.is_empty() {
        reviewed
            .notes
            .push("no receipt was made: the vault has no backup yet".to_owned());
    }
    Ok(reviewed)
}

/// What `doctor` says of reviews: nothing before the first one.
pub(crate) fn diagnose(ctx: &Context, found: &mut Vec<Diagnosis>) {
    // Receipts that cannot be read are told elsewhere.
    let Ok(Some(review)) = last_review(ctx) else {
        return;
    };
    let today = ctx.clock.now().to_zoned(ctx.zone.clone()).date();
    let (day, by) = (review.at.to_zoned(ctx.zone.clone()).date(), &review.by);
    let message = format!("who may do what was last reviewed on {day} by {by}");
    found.push(match review.next {
        Some(next) if next < today => Diagnosis::not_ok(
            Severity::Warning,
            "access",
            format!("{message}; the next review was due on {next}"),
            "look with `resguardo vault access`, then write it down with --reviewed --next DATE",
        ),
        _ => Diagnosis::ok("access", message),
    });
}
