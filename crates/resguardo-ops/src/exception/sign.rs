//! The receipts of exceptions: signed after the catalog knows of them, and read back by whoever does not.

use std::collections::BTreeMap;

use resguardo_model::receipt::{Statement, Verb};
use resguardo_model::{RunId, VaultId, What};
use resguardo_vault::StoredReceipt;
use serde::Deserialize;

use super::{Exception, Resolved};
use crate::audit;
use crate::context::Context;
use crate::error::OpsError;
use crate::receipt::{self, Record, value};
use crate::run::{OpenRun, described};

const OPENED: &str = "opened";
const RESOLVED: &str = "resolved";

/// Signs what was opened and resolved and has no receipt. What cannot be signed now stays for the next time.
pub(super) fn sign(ctx: &Context, vault: VaultId) -> Result<(), OpsError> {
    if ctx.vault()?.writer().is_none() {
        return Ok(());
    }
    // What people did waits for the same write key.
    audit::sign_or_note(ctx);
    let now = ctx.clock.now();
    let unsigned = ctx
        .catalog
        .with_exceptions(vault, |exceptions| exceptions.claim_unsigned(now))?;
    for exception in &unsigned {
        let opening = exception.receipt.is_none().then_some(None);
        let resolution = exception
            .resolved
            .as_ref()
            .filter(|resolved| resolved.receipt.is_none());
        for of in opening.into_iter().chain(resolution.map(Some)) {
            match sign_one(ctx, exception, of) {
                Ok(receipt) => {
                    ctx.catalog
                        .signed(exception.id, of.is_some(), receipt.as_deref())?
                }
                // The claim lapses, and somebody tries again.
                Err(error) => ctx.progress.note(&format!(
                    "the exception {} of {} is not signed yet: {}",
                    exception.kind.word(),
                    exception.source,
                    described(&error)
                )),
            }
        }
    }
    Ok(())
}

fn sign_one(
    ctx: &Context,
    exception: &Exception,
    resolved: Option<&Resolved>,
) -> Result<Option<String>, OpsError> {
    let (id, at, outcome) = match resolved {
        Some(resolved) => (resolved.run, resolved.at, RESOLVED),
        None => (exception.id, exception.opened_at, OPENED),
    };
    // Somebody may have signed it and died before he said so.
    let key = format!("{}/receipts/{id}.json", exception.source);
    let vault = ctx.vault()?;
    if let Ok(parsed) = key.parse()
        && vault.store().get(&parsed).is_ok()
    {
        return Ok(Some(key));
    }
    let mut details = BTreeMap::from([
        ("exception".to_owned(), value(exception.id)),
        ("what".to_owned(), value(&exception.what)),
        ("opened_at".to_owned(), value(exception.opened_at)),
    ]);
    if let Some(resolved) = resolved {
        details.insert("note".to_owned(), value(&resolved.note));
        details.insert("by".to_owned(), value(&resolved.by));
        details.insert("resolved_at".to_owned(), value(resolved.at));
    }
    let run = OpenRun::unlisted(ctx, id, Verb::Exception, at);
    receipt::store(
        ctx,
        Record {
            run: &run,
            source: &exception.source,
            outcome,
            subject: Vec::new(),
            tools: BTreeMap::new(),
            details,
            test: None,
        },
    )
}

/// Of a receipt, what it says of an exception.
#[derive(Deserialize)]
struct Said {
    exception: RunId,
    what: What,
    opened_at: jiff::Timestamp,
    #[serde(default)]
    note: String,
    #[serde(default)]
    by: String,
    resolved_at: Option<jiff::Timestamp>,
}

/// Takes over what trusted receipts say of exceptions and the catalog does not know.
pub(crate) fn take_in(
    ctx: &Context,
    vault: VaultId,
    receipts: &[StoredReceipt],
) -> Result<(), OpsError> {
    let told: Vec<(&StoredReceipt, Said)> = receipts
        .iter()
        .filter(|receipt| receipt.trusted)
        .filter_map(|receipt| Some((receipt, said(&receipt.statement)?)))
        .collect();
    if told.is_empty() {
        return Ok(());
    }
    ctx.catalog.with_exceptions(vault, |exceptions| {
        for (receipt, said) in &told {
            let predicate = &receipt.statement.predicate;
            let known = exceptions.get(said.exception)?;
            let mut one = known.clone().unwrap_or_else(|| Exception {
                id: said.exception,
                source: predicate.source.clone(),
                kind: said.what.kind(),
                what: said.what.clone(),
                times: 1,
                opened_at: said.opened_at,
                seen_at: said.opened_at,
                good_at: None,
                receipt: None,
                resolved: None,
            });
            if predicate.outcome == OPENED {
                one.receipt = Some(receipt.key.clone());
            } else if one
                .resolved
                .as_ref()
                .is_none_or(|by| by.run == predicate.run)
            {
                one.resolved = Some(Resolved {
                    at: said.resolved_at.unwrap_or(predicate.finished_at),
                    by: said.by.clone(),
                    note: said.note.clone(),
                    run: predicate.run,
                    receipt: Some(receipt.key.clone()),
                });
            }
            if known.as_ref() != Some(&one) {
                exceptions.put(&one)?;
            }
        }
        Ok(())
    })?;
    Ok(())
}

fn said(statement: &Statement) -> Option<Said> {
    let predicate = &statement.predicate;
    let is_one = predicate.verb == Verb::Exception
        && [OPENED, RESOLVED].contains(&predicate.outcome.as_str());
    let fields: serde_json::Map<_, _> = predicate.details.clone().into_iter().collect();
    is_one.then(|| serde_json::from_value(fields.into()).ok())?
}
