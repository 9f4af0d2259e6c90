//! `demo`: the main job on a shop that is made up.

use serde_json::json;

use crate::demo;
use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::Invocation;

const AFTER_HELP: &str = "\
Shows the main job on a shop that is made up, in a private temporary folder:
backup, changes, second backup, disaster, drill, restore, receipts. Each step
names the command that does it on your own database.

Example:
  resguardo demo --keep        and look around in the folder afterwards";

/// See the main job on a shop that is made up
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Keep the folder
    #[arg(long)]
    keep: bool,
}

/// Runs `demo`.
///
/// # Errors
/// If a step fails; then something is wrong with this machine, or with Resguardo.
pub fn run(invocation: &Invocation, args: &Args) -> Result<Exit, Failure> {
    let shown = demo::show(invocation, args.keep)?;
    invocation.out.json(&json!({
        "folder": shown.folder,
        "steps": shown
            .steps
            .iter()
            .map(|step| json!({ "command": step.command, "seconds": step.seconds }))
            .collect::<Vec<_>>(),
        "whole_again": shown.whole_again,
    }));
    Ok(if shown.whole_again {
        Exit::Done
    } else {
        Exit::Findings
    })
}
