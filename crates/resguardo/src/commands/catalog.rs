//! `catalog`: the local cache of the vault, and the history of runs.

use clap::Subcommand;
use resguardo_ops::OpsError;
use resguardo_ops::catalog;
use resguardo_ops::recover;
use serde_json::json;

use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::{Invocation, Reading};
use crate::render::table::table;
use crate::render::{counted, time};

const AFTER_HELP: &str = "\
Rebuilds the catalog, or shows the history of runs. The catalog holds nothing
that the vault does not, but the runs that left no receipt.

Examples:
  resguardo catalog rebuild
  resguardo catalog runs --limit 100";

/// The local cache of the vault, and the history of runs
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(subcommand)]
    verb: CatalogVerb,
}

#[derive(Debug, Subcommand)]
enum CatalogVerb {
    /// Make it anew from the vault alone
    Rebuild,
    /// The history of runs, the newest first: what succeeded, failed, was interrupted or died
    Runs {
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 30)]
        limit: u32,
    },
}

/// Runs `catalog`.
///
/// # Errors
/// If the vault or the catalog cannot be read.
pub fn run(invocation: &Invocation, args: &Args) -> Result<Exit, Failure> {
    match args.verb {
        CatalogVerb::Rebuild => rebuild(invocation),
        CatalogVerb::Runs { limit } => runs(invocation, limit),
    }
}

fn rebuild(invocation: &Invocation) -> Result<Exit, Failure> {
    let opened = invocation.open_to_look(invocation.config()?, Reading::Nothing)?;
    let rebuilt = catalog::rebuild(&opened.context)?;
    drop(opened);
    invocation.out.json(&json!({
        "heads": rebuilt.heads,
        "receipts": rebuilt.receipts,
        "runs_added": rebuilt.runs_added,
        "findings": rebuilt.findings,
    }));
    invocation.out.say(&format!(
        "the catalog knows {} and {} again; {} added to the history",
        counted(rebuilt.heads, "backup", "backups"),
        counted(rebuilt.receipts, "receipt", "receipts"),
        counted(rebuilt.runs_added, "run", "runs"),
    ));
    if rebuilt.findings > 0 {
        invocation.out.warn(&format!(
            "{} in the vault; see `resguardo verify --all`",
            counted(rebuilt.findings, "finding", "findings")
        ));
    }
    Ok(Exit::Done)
}

fn runs(invocation: &Invocation, limit: u32) -> Result<Exit, Failure> {
    let config = invocation.config()?;
    let opened = if config.vault.url.is_some() {
        invocation.open_to_look(config, Reading::Nothing)?
    } else {
        invocation.open_without_vault(config)?
    };
    recover::sweep(&opened.context)?;
    let runs = opened.context.catalog.runs(limit).map_err(OpsError::from)?;
    invocation.out.json(&json!({ "runs": runs }));
    if runs.is_empty() {
        invocation.out.print("no run yet");
        return Ok(Exit::Done);
    }
    let rows = runs
        .iter()
        .map(|run| {
            vec![
                run.run.to_string(),
                run.verb.word().to_owned(),
                run.source
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
                run.state.as_str().to_owned(),
                time::moment(run.started_at, &opened.context.zone),
                run.message.lines().next().unwrap_or_default().to_owned(),
            ]
        })
        .collect();
    let header = ["RUN", "VERB", "SOURCE", "STATE", "STARTED", "MESSAGE"];
    invocation
        .out
        .print(&table(&invocation.out, &header, &[], rows));
    Ok(Exit::Done)
}
