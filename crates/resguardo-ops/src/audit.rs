//! What was done here, by whom and from where: logins, changes of users and tokens, and what was asked for by the
//! pages and the API.
//!
//! It is written down in the catalog at once, and signed into the vault by whoever next holds a write key: the
//! daemon at its next look, or the command itself. Each lies with the source that it is about; what is about none
//! lies with the first source of the vault.
//!
//! Never holds a password, a token, or what a request said besides names. What was refused is told in the log alone.

use std::collections::BTreeMap;

use jiff::Timestamp;
use resguardo_model::receipt::{Statement, Verb};
use resguardo_model::{RunId, SourceName};
use resguardo_vault::StoredReceipt;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::catalog::{Catalog, CatalogError};
use crate::context::Context;
use crate::error::OpsError;
use crate::history;
use crate::receipt::{self, Record, value};
use crate::run::{OpenRun, described};

/// How everything ends that is written down.
const DONE: &str = "done";

/// Something that was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its id: the name of its receipt.
    pub id: RunId,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub who: String,
    /// From where: an address, or the machine whose command line it was.
    pub origin: String,
    /// What: `login`, `users add`, `backup`, ...
    pub what: String,
    /// To what; may be empty.
    pub object: String,
    /// The source that it is about; `None`: none.
    pub source: Option<SourceName>,
    /// `done`.
    pub outcome: String,
    /// Key of its receipt; `None`: it is not signed yet.
    pub receipt: Option<String>,
}

/// Something that somebody has just done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deed<'a> {
    /// By whom.
    pub who: &'a str,
    /// From where.
    pub origin: &'a str,
    /// What.
    pub what: &'a str,
    /// To what; may be empty.
    pub object: &'a str,
    /// The source that it is about.
    pub source: Option<&'a SourceName>,
}

/// Writes it down. It is signed by [`sign`].
///
/// # Errors
/// [`OpsError::NoRandomness`], [`OpsError::Catalog`].
pub fn note(catalog: &Catalog, deed: &Deed<'_>, now: Timestamp) -> Result<(), OpsError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_| OpsError::NoRandomness)?;
    let milliseconds = u64::try_from(now.as_millisecond()).unwrap_or(0);
    let entry = Entry {
        id: RunId(Ulid::from_parts(milliseconds, u128::from_le_bytes(random))),
        at: now,
        who: deed.who.to_owned(),
        origin: deed.origin.to_owned(),
        what: deed.what.to_owned(),
        object: deed.object.to_owned(),
        source: deed.source.cloned(),
        outcome: DONE.to_owned(),
        receipt: None,
    };
    Ok(catalog.add_audit(&entry)?)
}

/// The newest, newest first.
///
/// # Errors
/// If the catalog cannot be read.
pub fn newest(catalog: &Catalog, entries_max: u32) -> Result<Vec<Entry>, CatalogError> {
    catalog.audit(entries_max)
}

/// When each user last logged in.
///
/// # Errors
/// If the catalog cannot be read.
pub fn last_logins(catalog: &Catalog) -> Result<BTreeMap<String, Timestamp>, CatalogError> {
    catalog.last_logins()
}

/// Signs what was done and has no receipt. What cannot be signed now stays for the next time: no write key, or no
/// source with which it could lie.
///
/// # Errors
/// If the vault or the catalog cannot be read.
pub fn sign(ctx: &Context) -> Result<(), OpsError> {
    let vault = ctx.vault()?;
    if vault.writer().is_none() || vault.is_copy() || !ctx.catalog.has_unsigned_audit()? {
        return Ok(());
    }
    let heads = history::heads(ctx, None)?.heads;
    let Some(first) = history::sources_of(&heads).into_iter().next() else {
        return Ok(());
    };
    let mut all = Ok(());
    for entry in ctx.catalog.claim_unsigned_audit(ctx.clock.now())? {
        let source = entry.source.as_ref().unwrap_or(&first);
        // After one that cannot be signed the others are let go of, for the next who looks.
        let signed = match &all {
            Ok(()) => sign_one(ctx, &entry, source),
            Err(_) => Ok(None),
        };
        let key = signed.as_ref().ok().and_then(Option::as_deref);
        ctx.catalog.audit_signed(entry.id, key)?;
        if let Err(error) = signed {
            all = Err(error);
        }
    }
    all
}

/// As [`sign`]; that it could not be done is told, and stops nothing.
pub(crate) fn sign_or_note(ctx: &Context) {
    if let Err(error) = sign(ctx) {
        let why = described(&error);
        ctx.progress
            .note(&format!("what was done here is not signed yet: {why}"));
    }
}

fn sign_one(ctx: &Context, entry: &Entry, source: &SourceName) -> Result<Option<String>, OpsError> {
    // Somebody may have signed it and died before he said so.
    let key = format!("{source}/receipts/{}.json", entry.id);
    if let Ok(parsed) = key.parse()
        && ctx.vault()?.store().get(&parsed).is_ok()
    {
        return Ok(Some(key));
    }
    let details = BTreeMap::from([
        ("at".to_owned(), value(entry.at)),
        ("who".to_owned(), value(&entry.who)),
        ("from".to_owned(), value(&entry.origin)),
        ("what".to_owned(), value(&entry.what)),
        ("object".to_owned(), value(&entry.object)),
        ("about".to_owned(), value(&entry.source)),
    ]);
    let run = OpenRun::unlisted(ctx, entry.id, Verb::Audit, entry.at);
    receipt::store(
        ctx,
        Record {
            run: &run,
            source,
            outcome: &entry.outcome,
            subject: Vec::new(),
            tools: BTreeMap::new(),
            details,
            test: None,
        },
    )
}

/// Of a receipt, what it says was done.
#[derive(Deserialize)]
struct Said {
    at: Timestamp,
    who: String,
    from: String,
    what: String,
    #[serde(default)]
    object: String,
    about: Option<SourceName>,
}

/// Takes over what trusted receipts tell and the catalog does not know.
pub(crate) fn take_in(ctx: &Context, receipts: &[StoredReceipt]) -> Result<(), OpsError> {
    let trusted = receipts.iter().filter(|receipt| receipt.trusted);
    let told: Vec<Entry> = trusted.filter_map(told).collect();
    if told.is_empty() {
        return Ok(());
    }
    Ok(ctx.catalog.take_audit(&told)?)
}

fn told(receipt: &StoredReceipt) -> Option<Entry> {
    let predicate = &receipt.statement.predicate;
    let said = said(&receipt.statement)?;
    Some(Entry {
        id: predicate.run,
        at: said.at,
        who: said.who,
        origin: said.from,
        what: said.what,
        object: said.object,
        source: said.about,
        outcome: predicate.outcome.clone(),
        receipt: Some(receipt.key.clone()),
    })
}

fn said(statement: &Statement) -> Option<Said> {
    let predicate = &statement.predicate;
    let fields: serde_json::Map<_, _> = predicate.details.clone().into_iter().collect();
    (predicate.verb == Verb::Audit).then(|| serde_json::from_value(fields.into()).ok())?
}
