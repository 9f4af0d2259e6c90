//! The command line: global flags and the verbs. Each verb's flags are in its own file.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::commands::{
    backup, catalog, completions, config, copy, demo, doctor, drill, exceptions, init, keys, list,
    man, metrics, notify, pin, plan, prune, receipts, restore, serve, show, status, tokens, users,
    vault, verify,
};

const ABOUT: &str = "\
Backups that are proven to restore.

Resguardo takes backups of databases into an encrypted, deduplicated vault,
restores them into a sandbox, checks every row, measures how long that took,
and signs a receipt of it.";

const AFTER_HELP: &str = "\
First steps:
  resguardo demo                            see all of it on a made-up shop
  resguardo init --vault ./vault --source shop=shop.db
  resguardo backup                          take a backup of every source
  resguardo drill                           prove that it comes back
  resguardo restore shop --to restored.db   get it back

A backup is named by the beginning of its id, latest, shop, shop:latest or
shop@2026-11-20.

Exit codes: 0 done, 1 user error, 2 usage, 3 findings (data bad, a check
failed), 4 source or target unreachable, 5 vault, 6 locked, 7 refused for
safety, 130 interrupted.";

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "resguardo",
    version,
    about = ABOUT,
    after_help = AFTER_HELP,
    max_term_width = 100
)]
pub struct Cli {
    /// Flags of every verb.
    #[command(flatten)]
    pub global: Global,
    /// The verb.
    #[command(subcommand)]
    pub command: Command,
}

/// When to use colours; `auto`: on a terminal, unless `NO_COLOR` is set. No doc comments on the values:
/// clap would spread the whole help over many lines for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    #[default]
    Auto,
    Always,
    Never,
}

/// The language of reports and of the recovery kit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Lang {
    #[default]
    En,
    Es,
}

/// Flags of every verb.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The config file [default: ./resguardo.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The vault: a folder, s3://bucket/prefix, gs:// or az://
    #[arg(long, global = true, value_name = "URL")]
    pub vault: Option<String>,
    /// The identity that opens backups
    #[arg(long, global = true, value_name = "FILE")]
    pub identity: Option<PathBuf>,
    /// A file whose first line is the passphrase of the identity
    #[arg(long, global = true, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Print the answer as JSON (docs/json.md)
    #[arg(long, global = true)]
    pub json: bool,
    /// The language of reports and of the recovery kit
    #[arg(long, global = true, value_name = "LANG", value_enum, default_value_t)]
    pub lang: Lang,
    /// No progress, no notes
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Colours (auto: on a terminal, unless NO_COLOR is set)
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t)]
    pub color: ColorChoice,
}

/// The verbs. Each one's first line of help is the doc comment of its flags.
#[derive(Debug, Subcommand)]
pub enum Command {
    Init(init::Args),
    Doctor(doctor::Args),
    Config(config::Args),
    Backup(backup::Args),
    List(list::Args),
    Show(show::Args),
    Verify(verify::Args),
    Vault(vault::Args),
    Restore(restore::Args),
    Drill(drill::Args),
    Prune(prune::Args),
    Pin(pin::Args),
    Unpin(pin::UnpinArgs),
    Keys(keys::Args),
    Receipts(receipts::Args),
    Copy(copy::Args),
    Catalog(catalog::Args),
    Plan(plan::Args),
    Status(status::Args),
    Exceptions(exceptions::Args),
    Metrics(metrics::Args),
    Notify(notify::Args),
    Serve(serve::Args),
    Users(users::Args),
    Tokens(tokens::Args),
    Demo(demo::Args),
    Completions(completions::Args),
    Man(man::Args),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Cli;

    /// Examples have columns; wrapped ones are not read by anybody.
    #[test]
    fn the_last_words_of_every_help_fit_a_small_terminal() {
        const COLUMNS_MAX: usize = 78;
        let command = Cli::command();
        for verb in std::iter::once(&command).chain(command.get_subcommands()) {
            let words = verb.get_after_help().map(ToString::to_string);
            for line in words.unwrap_or_default().lines() {
                let columns = line.chars().count();
                assert!(columns <= COLUMNS_MAX, "{}: {line}", verb.get_name());
            }
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
