//! A record that differs between the vault and a copy: somebody says which is kept, and a receipt says so.
//!
//! The vault keeps what is replaced before it replaces it; the receipt, which comes last, names where.

use std::collections::BTreeMap;

use resguardo_model::receipt::Verb;
use resguardo_model::{RunId, Sha256Digest, SourceName};
use resguardo_vault::{CopyPlace, Replaced, SettleRequest, Settled, Side, Vault};
use serde_json::Value;

use super::opened;
use crate::catalog::RunState;
use crate::context::Context;
use crate::error::OpsError;
use crate::receipt::{self, Record, value};
use crate::run::OpenRun;

/// A record that was settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettleDone {
    /// The run.
    pub run: RunId,
    /// The object.
    pub object: String,
    /// SHA-256 of the record that both sides hold now.
    pub kept: Sha256Digest,
    /// What it replaced, and where that lies now; `None` if nothing was there.
    pub replaced: Option<Replaced>,
    /// What could not be judged of what is kept, a sentence each.
    pub unjudged: Vec<String>,
    /// Key of the receipt.
    pub receipt: Option<String>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Puts the record of one side in the place of the other side's. What is replaced is kept beside it.
///
/// # Errors
/// [`OpsError::Refused`] if it is no record, both sides hold the same, or the one to be kept is not good.
/// [`OpsError::Vault`]: a side cannot be reached or written, or another run is at work where something is replaced.
pub fn settle(
    ctx: &Context,
    place: &CopyPlace,
    object: &str,
    keep: Side,
) -> Result<SettleDone, OpsError> {
    let refused = |why: &str, next: &str| OpsError::Refused {
        place: object.to_owned(),
        why: why.to_owned(),
        next: next.to_owned(),
    };
    let (source, key) = Vault::record_named(object).ok_or_else(|| {
        refused(
            "is no receipt, prune record, bundle of headers or pin",
            "what is damaged of backups is sent again with `resguardo copy sync --mend`",
        )
    })?;
    let vault = ctx.vault()?;
    let copy = opened(vault, place)?;
    let mut run = OpenRun::begin(ctx, Verb::Copy, Some(&source))?;
    let doing = || OpsError::vault(format!("settling {object}"));
    let request = SettleRequest {
        source: &source,
        key: &key,
        keep,
        run: run.id(),
        host: &ctx.host,
        pid: std::process::id(),
    };
    let settled = match vault.settle(&copy, &request).map_err(doing()) {
        Ok(Settled::NothingToSettle) => Err(refused(
            "is the same in the vault and at the copy",
            "nothing is to be settled",
        )),
        Ok(Settled::NotGood(why)) => Err(refused(
            &format!("was left as it is: {why}"),
            "keep the other side's",
        )),
        Ok(Settled::Done {
            kept,
            replaced,
            unjudged,
        }) => Ok(SettleDone {
            run: run.id(),
            object: object.to_owned(),
            kept,
            replaced,
            unjudged,
            receipt: None,
            notes: Vec::new(),
        }),
        Err(error) => Err(error),
    };
    let mut done = match settled {
        Ok(done) => done,
        Err(error) => {
            run.end_with(&error);
            return Err(error);
        }
    };
    if keep == Side::Copy {
        forget(ctx, vault, object, &mut done);
    }
    done.receipt = tell(ctx, &run, (&source, place), keep, &mut done);
    run.has_receipt(done.receipt.as_deref());
    run.end(RunState::Succeeded, "");
    Ok(done)
}

/// What was replaced in the vault is not what this catalog remembers any more.
fn forget(ctx: &Context, vault: &Vault, object: &str, done: &mut SettleDone) {
    let receipt = std::iter::once(object);
    if let Err(error) = ctx.catalog.forget_receipts(vault.id(), receipt) {
        done.notes.push(format!(
            "this machine still shows what was replaced; `resguardo catalog rebuild` mends that: {error}"
        ));
    }
}

fn tell(
    ctx: &Context,
    run: &OpenRun<'_>,
    (source, place): (&SourceName, &CopyPlace),
    keep: Side,
    done: &mut SettleDone,
) -> Option<String> {
    let side = match keep {
        Side::Vault => "vault",
        Side::Copy => "copy",
    };
    let replaced = done.replaced.as_ref();
    let details: BTreeMap<String, Value> = [
        ("copy", value(place.name())),
        ("place", value(place.describe())),
        ("settled", value(&done.object)),
        ("keeps", value(side)),
        ("kept_sha256", value(done.kept)),
        ("replaced_sha256", value(replaced.map(|one| one.sha256))),
        ("replaced_bytes", value(replaced.map(|one| one.bytes))),
        ("replaced_place", value(replaced.map(|one| &one.place))),
        ("replaced_objects", value(replaced.map(|one| &one.objects))),
        ("unjudged", value(&done.unjudged)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let record = Record {
        run,
        source,
        outcome: "succeeded",
        subject: Vec::new(),
        tools: BTreeMap::new(),
        details,
        test: None,
    };
    receipt::store_or_note(ctx, record, &mut done.notes)
}
