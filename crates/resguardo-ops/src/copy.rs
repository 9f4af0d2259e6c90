//! `copy`: further vaults that hold the same backups. Sent, verified, compared, and a lost vault made
//! again from one of them.
//!
//! Each synchronisation is a run of one source and one copy, with a receipt in the vault itself: what was
//! sent, how it was verified, and what the copy held in the end. Those receipts are what `list` and
//! `doctor` know of copies; `copy status` asks the copies themselves.

mod holdings;
mod known;
mod lacks;
mod pins;
mod reach;
mod rebuild;
mod remedy;
mod settle;
mod status;
mod stretches;
mod sync;
mod verified;

use std::sync::Arc;

use resguardo_model::SourceName;
use resguardo_vault::VaultError;
pub use resguardo_vault::{CopyPlace, Vault};

pub(crate) use holdings::holdings;
pub use known::{Behind, behind};
pub(crate) use known::{Copied, KnownCopies, behind_of, receipts_there};
pub use lacks::{Lacks, lacks_of_each};
pub(crate) use reach::at_once;
pub use reach::{not_tried, open_each, refresh_each, status_of_each, unreached};
pub use rebuild::{
    Came, RebuildDone, Rebuilt, Unsettled, left_behind_json, rebuild, settle_command,
};
pub use remedy::Remedy;
pub use settle::{SettleDone, settle};
pub use status::{CopyStatus, SourceStatus, status};
pub(crate) use stretches::Stretches;
pub use sync::{SyncDone, SyncRequest, sync};
pub use verified::{Verified, diagnose_verified, mending};

use crate::context::Context;
use crate::error::OpsError;
pub use crate::error::hint_of_absent;
use crate::history;

/// The same context over a copy of its vault: what is read comes from the copy, and receipts go into the
/// vault itself.
///
/// # Errors
/// [`OpsError::Vault`] if the copy is none, is of another vault, or cannot be reached.
pub fn at_copy(ctx: &Context, place: &CopyPlace) -> Result<Context, OpsError> {
    let copy = opened(ctx.vault()?, place)?;
    Ok(Context {
        vault: Some(Arc::new(copy)),
        ..ctx.clone()
    })
}

/// A copy of the vault, which was begun.
fn opened(vault: &Vault, place: &CopyPlace) -> Result<Vault, OpsError> {
    vault.copy_at(place).map_err(|error| match error {
        VaultError::NotAVault { .. } => OpsError::CopyAbsent {
            name: place.name().to_owned(),
            place: place.describe(),
        },
        other => OpsError::vault(format!("opening the copy {}", place.name()))(other),
    })
}

/// Brings a copy the present `vault.json`, where it was begun and has another; answers whether it had.
///
/// # Errors
/// [`OpsError::CopyAbsent`]; [`OpsError::Vault`] if it is of another vault, or cannot be reached.
pub fn refresh(ctx: &Context, place: &CopyPlace) -> Result<bool, OpsError> {
    let vault = ctx.vault()?;
    opened(vault, place)?;
    vault.refresh_copy(place).map_err(OpsError::vault(format!(
        "bringing vault.json to the copy {}",
        place.name()
    )))
}

/// Opens a copy of the vault; `None` where none was begun yet.
///
/// # Errors
/// [`OpsError::CopyGone`] if the place held the copy before and is empty now; [`OpsError::Vault`] if it is of
/// another vault, or cannot be reached.
pub fn open_begun(ctx: &Context, place: &CopyPlace) -> Result<Option<Vault>, OpsError> {
    match ctx.vault()?.copy_at(place) {
        Ok(copy) => Ok(Some(copy)),
        Err(VaultError::NotAVault { .. }) => {
            refuse_gone(ctx, place)?;
            Ok(None)
        }
        Err(error) => Err(OpsError::vault(format!(
            "opening the copy {}",
            place.name()
        ))(error)),
    }
}

/// A place that holds no vault and held this copy before is one that something happened to.
fn refuse_gone(ctx: &Context, place: &CopyPlace) -> Result<(), OpsError> {
    let heads = history::heads(ctx, None)?.heads;
    let known = history::copies(ctx, &history::sources_of(&heads))?;
    match known.knows(&place.describe()) {
        true => Err(OpsError::CopyGone {
            name: place.name().to_owned(),
            place: place.describe(),
        }),
        false => Ok(()),
    }
}

/// The sources of the vault, in the order of their names.
///
/// # Errors
/// If the vault cannot be read.
pub fn sources(ctx: &Context) -> Result<Vec<SourceName>, OpsError> {
    let heads = history::heads(ctx, None)?.heads;
    Ok(history::sources_of(&heads).into_iter().collect())
}
