//! `man`: the manual pages, made from the same text as the help.

use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use resguardo_store::durable::{self, Mode};
use serde_json::json;

use crate::cli::Cli;
use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::Invocation;

const AFTER_HELP: &str = "\
Writes the manual pages: resguardo.1 and one for each verb.

Example:
  resguardo man --out /usr/local/share/man/man1";

/// Write the manual pages
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The folder to write them into
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Runs `man`.
///
/// # Errors
/// If the folder cannot be written.
pub fn run(invocation: &Invocation, args: &Args) -> Result<Exit, Failure> {
    let folder = invocation.ambient.absolute(&args.out);
    durable::create_folder(&folder, Mode::READABLE_FOLDER)?;
    let mut command = Cli::command();
    command.build();
    let mut written = Vec::new();
    write_page(&folder, command.clone(), &mut written)?;
    for verb in command
        .get_subcommands()
        .filter(|verb| verb.get_name() != "help")
    {
        write_page(&folder, verb.clone(), &mut written)?;
    }
    invocation
        .out
        .say(&format!("{} pages in {}", written.len(), folder.display()));
    invocation.out.json(&json!({ "pages": written }));
    Ok(Exit::Done)
}

fn write_page(
    folder: &Path,
    command: clap::Command,
    written: &mut Vec<PathBuf>,
) -> Result<(), Failure> {
    let name = command
        .get_display_name()
        .unwrap_or_else(|| command.get_name())
        .to_owned();
    let path = folder.join(format!("{name}.1"));
    let mut page = Vec::new();
    clap_mangen::Man::new(command.version(env!("CARGO_PKG_VERSION")))
        .render(&mut page)
        .map_err(|error| Failure::io("writing", &path, &error))?;
    durable::write(&path, &page, Mode::READABLE)?;
    written.push(path);
    Ok(())
}
