//! What died: runs whose process is gone are marked, and what they left behind on this machine is
//! removed. What they left in the vault names no head, and does no harm.

use std::path::PathBuf;

use crate::catalog::{RunRow, RunState};
use crate::context::Context;
use crate::error::OpsError;
use crate::sandbox;

/// What a sweep found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Runs that died, as they stand in the catalog now.
    pub runs: Vec<RunRow>,
    /// Sandboxes that were removed.
    pub sandboxes: Vec<PathBuf>,
}

/// Marks what died and removes its sandboxes. Every verb that writes begins with this; what cannot be
/// swept is told to whoever watches and stops nothing.
///
/// # Errors
/// [`OpsError::Cancelled`].
pub fn sweep(ctx: &Context) -> Result<Swept, OpsError> {
    ctx.cancel.check()?;
    let (sandboxes, errors) = sandbox::sweep(&ctx.state);
    for folder in &sandboxes {
        ctx.progress.note(&format!(
            "removed the sandbox of a run that died: {}",
            folder.display()
        ));
    }
    for error in errors {
        ctx.progress.note(&crate::run::described(&error));
    }
    Ok(Swept {
        runs: mark_dead(ctx),
        sandboxes,
    })
}

/// Runs of this machine that nobody runs any more.
fn mark_dead(ctx: &Context) -> Vec<RunRow> {
    let running = match ctx.catalog.running() {
        Ok(running) => running,
        Err(error) => {
            ctx.progress.note(&crate::run::described(&error));
            return Vec::new();
        }
    };
    let mut died = Vec::new();
    for mut row in running {
        let Some(process) = &row.process else {
            continue;
        };
        if row.host != ctx.host || process.is_alive() {
            continue;
        }
        row.message = format!("its process {} ended without a word", process.pid);
        row.state = RunState::Died;
        row.finished_at = Some(ctx.clock.now());
        if let Err(error) = ctx.catalog.put_run(&row) {
            ctx.progress.note(&crate::run::described(&error));
            continue;
        }
        let of = row.source.as_ref().map(|source| format!(" of {source}"));
        ctx.progress.note(&format!(
            "the {}{} that began at {} died: {}",
            row.verb.word(),
            of.unwrap_or_default(),
            ctx.moment(row.started_at),
            row.message
        ));
        died.push(row);
    }
    died
}
