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

/// The page of one command. Its last words (examples, depths, exit codes) are set as they stand: their
/// columns carry meaning.
fn page(name: &str, command: clap::Command) -> std::io::Result<Vec<u8>> {
    let version = concat!("resguardo ", env!("CARGO_PKG_VERSION"));
    let last_words = command.get_after_help().map(ToString::to_string);
    let has_verbs = command.has_subcommands();
    let man = clap_mangen::Man::new(command)
        .title(name.to_uppercase())
        .source(version);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if has_verbs {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(text) = last_words {
        page.extend_from_slice(b".SH NOTES\n.nf\n");
        for line in text.lines() {
            page.extend_from_slice(verbatim(line).as_bytes());
            page.push(b'\n');
        }
        page.extend_from_slice(b".fi\n");
    }
    Ok(page)
}

/// A line that roff prints as it stands: no command, no hyphen that may break, no escape.
fn verbatim(line: &str) -> String {
    let escaped = line
        .replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('\'', "\\(aq");
    if escaped.starts_with('.') {
        format!("\\&{escaped}")
    } else {
        escaped
    }
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
    let page = page(&name, command).map_err(|error| Failure::io("writing", &path, &error))?;
    durable::write(&path, &page, Mode::READABLE)?;
    written.push(path);
    Ok(())
}
