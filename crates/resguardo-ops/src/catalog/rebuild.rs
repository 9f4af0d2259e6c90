//! Makes the catalog anew from the vault alone: heads, receipts, and the runs that receipts speak of.
//! Runs that left no receipt stay as they are; nobody else knows of them.

use resguardo_model::SourceName;
use resguardo_model::receipt::Verb;
use resguardo_vault::StoredReceipt;
use serde_json::Value;

use super::{RunRow, RunState};
use crate::backup::AFTER_FAILED_RESTORE;
use crate::context::Context;
use crate::error::OpsError;
use crate::history;
use crate::restore::CHANGES;

/// What a rebuild found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Heads in the vault.
    pub heads: u64,
    /// Receipts in the vault.
    pub receipts: u64,
    /// Runs that the catalog did not know.
    pub runs_added: u64,
    /// Heads and receipts that something is wrong with.
    pub findings: u64,
}

/// Rebuilds the catalog from the vault.
///
/// # Errors
/// If the vault cannot be read, or the catalog not written.
pub fn rebuild(ctx: &Context) -> Result<Rebuilt, OpsError> {
    let vault = ctx.vault()?;
    ctx.progress.phase("rebuild");
    ctx.catalog.forget_vault(vault.id())?;
    let heads = history::heads(ctx, None)?;
    ctx.cancel.check()?;
    let receipts = history::receipts(ctx, None)?;
    // Neither exceptions nor what people did are runs: reading their receipts took them over.
    let runs = receipts.receipts.iter().filter(|receipt| {
        let verb = receipt.statement.predicate.verb;
        !matches!(verb, Verb::Exception | Verb::Audit)
    });
    let rows: Vec<RunRow> = runs.map(run_of).collect();
    Ok(Rebuilt {
        heads: heads.heads.len() as u64,
        receipts: receipts.receipts.len() as u64,
        runs_added: ctx.catalog.add_runs(rows.iter())?,
        findings: (heads.findings.len() + receipts.findings.len()) as u64,
    })
}

/// The source whose data a run changed, or vouched for.
fn changes_of(receipt: &StoredReceipt) -> Option<SourceName> {
    let predicate = &receipt.statement.predicate;
    let detail = |name: &str| predicate.details.get(name);
    match predicate.verb {
        Verb::Restore => detail(CHANGES)?.as_str()?.parse().ok(),
        Verb::Backup => {
            let vouches = detail(AFTER_FAILED_RESTORE).and_then(Value::as_bool);
            (vouches == Some(true)).then(|| predicate.source.clone())
        }
        _ => None,
    }
}

fn run_of(receipt: &StoredReceipt) -> RunRow {
    let predicate = &receipt.statement.predicate;
    RunRow {
        run: predicate.run,
        vault: Some(predicate.vault),
        verb: predicate.verb,
        source: Some(predicate.source.clone()),
        backup: history::backup_of(&receipt.statement),
        state: match predicate.outcome.as_str() {
            "succeeded" | "passed" => RunState::Succeeded,
            "interrupted" => RunState::Interrupted,
            _ => RunState::Failed,
        },
        started_at: predicate.started_at,
        finished_at: Some(predicate.finished_at),
        host: predicate.host.clone(),
        operator: predicate.operator.clone(),
        process: None,
        message: match predicate.details.get("error").and_then(Value::as_str) {
            Some(error) => error.to_owned(),
            None => predicate.outcome.clone(),
        },
        receipt: Some(receipt.key.clone()),
        changes: changes_of(receipt),
    }
}
