//! `completions`: what the shell needs to complete flags and verbs.

use std::io::Write as _;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::error::Failure;
use crate::exit::Exit;

const AFTER_HELP: &str = "\
Prints completions for a shell.

Examples:
  resguardo completions bash > /etc/bash_completion.d/resguardo
  resguardo completions zsh > \"${fpath[1]}/_resguardo\"
  resguardo completions fish > ~/.config/fish/completions/resguardo.fish";

/// Print completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The shell
    shell: Shell,
}

/// Runs `completions`.
///
/// # Errors
/// Never: a reader that goes away wants no more.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "resguardo", &mut script);
    let _ = std::io::stdout().lock().write_all(&script);
    Ok(Exit::Done)
}
