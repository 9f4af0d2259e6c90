//! What somebody has to look at, from the moment it is opened until somebody resolves it with a note,
//! whether it is over by then or not.
//!
//! Each opening and each resolution is a receipt in the vault; the catalog's table is their cache, and keeps
//! besides whether the condition holds now.

use jiff::Timestamp;
use resguardo_model::{ExceptionKind, RunId, SourceName, What};
use serde::Serialize;

use crate::context::Context;
use crate::error::OpsError;
use crate::status::{self, Status, Watched};

mod assess;
mod resolve;
mod sign;

pub use assess::assess;
pub use resolve::{ResolveDone, resolve};
pub(crate) use sign::take_in;

/// Something that somebody has to look at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Exception {
    /// Its id: the name of the receipt by which it was opened.
    pub id: RunId,
    /// The source.
    pub source: SourceName,
    /// Of what kind it is.
    pub kind: ExceptionKind,
    /// The facts, of the last time that it happened.
    pub what: What,
    /// How often it happened since it was opened.
    pub times: u32,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it was last seen to hold.
    pub seen_at: Timestamp,
    /// Since when it holds no more; `None`: it does.
    pub good_at: Option<Timestamp>,
    /// Key of the receipt of its opening; `None` where none could be signed.
    pub receipt: Option<String>,
    /// How it was resolved; `None`: it is open.
    pub resolved: Option<Resolved>,
}

/// How an exception was resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Resolved {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// What was found, or done.
    pub note: String,
    /// The name of its receipt.
    pub run: RunId,
    /// Key of its receipt; `None` where none could be signed.
    pub receipt: Option<String>,
}

/// What became of an exception.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// The exception, as it stands now.
    pub exception: Exception,
    /// What changed.
    pub what: Changed,
}

/// What changed of an exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Changed {
    /// It was opened.
    Opened,
    /// It happened again, or holds again, before it was resolved.
    Worse,
    /// It holds no more. It stays open until somebody resolves it.
    Good,
}

/// Looks how the watched sources stand, opens what is new, and tells what changed: what is done after each run
/// and each minute.
///
/// # Errors
/// As [`status::look`] and [`assess`].
pub fn look(ctx: &Context, watched: &[Watched]) -> Result<(Status, Vec<Change>), OpsError> {
    let mut status = status::look(ctx, watched)?;
    let changes = assess(ctx, &status)?;
    // What was opened just now is told as well.
    status.exceptions = open(ctx)?;
    for source in &mut status.sources {
        let open = status.exceptions.iter();
        source.exceptions = open.filter(|one| one.source == source.source).count() as u64;
    }
    Ok((status, changes))
}

/// Those of the vault that nobody has resolved, oldest first.
///
/// # Errors
/// [`OpsError::NoVault`], [`OpsError::Catalog`].
pub fn open(ctx: &Context) -> Result<Vec<Exception>, OpsError> {
    Ok(ctx.catalog.exceptions(ctx.vault()?.id(), false, u32::MAX)?)
}

/// The newest of the vault, resolved or not, newest first.
///
/// # Errors
/// [`OpsError::NoVault`], [`OpsError::Catalog`].
pub fn all(ctx: &Context, exceptions_max: u32) -> Result<Vec<Exception>, OpsError> {
    Ok(ctx
        .catalog
        .exceptions(ctx.vault()?.id(), true, exceptions_max)?)
}
