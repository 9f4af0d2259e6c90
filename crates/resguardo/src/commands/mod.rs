//! The verbs, one file each: flags, one call into ops, the answer rendered.

pub mod backup;
pub mod catalog;
pub mod completions;
pub mod config;
pub mod copy;
pub mod demo;
pub mod doctor;
pub mod drill;
pub mod exceptions;
pub mod init;
pub mod keys;
pub mod list;
pub mod man;
pub mod metrics;
pub mod notify;
pub mod pin;
pub mod plan;
pub mod prune;
pub mod receipts;
pub mod restore;
pub mod serve;
pub mod show;
pub mod status;
pub mod tokens;
pub mod users;
pub mod vault;
pub mod verify;

use std::collections::BTreeSet;

use resguardo_model::SourceName;
use resguardo_ops::{OpsError, SourceSpec, list as listing};

use crate::cli::Command;
use crate::config::Config;
use crate::config::problem::nearest;
use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::{Invocation, Opened};

/// Runs one verb.
///
/// # Errors
/// Whatever kept it from doing what was asked.
pub fn run(invocation: &Invocation, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Init(args) => init::run(invocation, &args),
        Command::Doctor(args) => doctor::run(invocation, &args),
        Command::Config(args) => config::run(invocation, &args),
        Command::Copy(args) => copy::run(invocation, &args),
        Command::Backup(args) => backup::run(invocation, &args),
        Command::List(args) => list::run(invocation, &args),
        Command::Show(args) => show::run(invocation, &args),
        Command::Verify(args) => verify::run(invocation, &args),
        Command::Vault(args) => vault::run(invocation, &args),
        Command::Restore(args) => restore::run(invocation, &args),
        Command::Drill(args) => drill::run(invocation, &args),
        Command::Prune(args) => prune::run(invocation, &args),
        Command::Pin(args) => pin::run(invocation, &args),
        Command::Unpin(args) => pin::run_unpin(invocation, &args),
        Command::Keys(args) => keys::run(invocation, args),
        Command::Receipts(args) => receipts::run(invocation, &args),
        Command::Catalog(args) => catalog::run(invocation, &args),
        Command::Notify(args) => notify::run(invocation, &args),
        Command::Plan(args) => plan::run(invocation, &args),
        Command::Status(args) => status::run(invocation, &args),
        Command::Metrics(args) => metrics::run(invocation, &args),
        Command::Exceptions(args) => exceptions::run(invocation, &args),
        Command::Serve(args) => serve::run(invocation, &args),
        Command::Users(args) => users::run(invocation, &args),
        Command::Tokens(args) => tokens::run(invocation, &args),
        Command::Demo(args) => demo::run(invocation, &args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(invocation, &args),
    }
}

/// The configured sources of these names; all of them if no name is given.
///
/// # Errors
/// If there is none of that name, or none at all.
fn chosen_sources<'a>(
    config: &'a Config,
    names: &[SourceName],
) -> Result<Vec<&'a SourceSpec>, Failure> {
    if names.is_empty() {
        let all = config.all_sources()?;
        if all.is_empty() {
            return Err(no_source(config));
        }
        return Ok(all);
    }
    names
        .iter()
        .map(|name| {
            config
                .source(name)?
                .ok_or_else(|| no_such_source(config, name))
        })
        .collect()
}

/// There is nothing to be backed up or drilled.
fn no_source(config: &Config) -> Failure {
    let failure = Failure::user("no source is configured");
    match &config.file {
        Some(file) => failure.hint(format!(
            "add to {}: [sources.shop] and below it url = \"postgresql://USER@HOST:PORT/DATABASE\", or the path of a SQLite database",
            file.display()
        )),
        None => failure.hint("set DATABASE_URL, or write a config with `resguardo init --source NAME=URL`"),
    }
}

/// What went wrong with a backup that was named; with the source that was meant, where one is near.
fn of_reference(error: OpsError, opened: &Opened) -> Failure {
    let OpsError::NoSuchBackup { reference, .. } = &error else {
        return error.into();
    };
    let word = reference.split(['@', ':']).next().unwrap_or(reference);
    let known = sources_known(opened);
    let meant = if known.contains(word) {
        None
    } else {
        nearest(word, known.iter().map(String::as_str))
            .map(|meant| format!("did you mean {meant}?"))
    };
    let failure = Failure::from(error);
    match meant {
        Some(meant) => failure.hint(meant),
        None => failure,
    }
}

/// The sources of the config and of the vault.
fn sources_known(opened: &Opened) -> BTreeSet<String> {
    let configured = opened.config.sources.iter().map(|source| &source.name);
    let mut known: BTreeSet<String> = configured.map(ToString::to_string).collect();
    // What cannot be read now was said by whoever asked before.
    if let Ok(listed) = listing::list(&opened.context, None) {
        known.extend(
            listed
                .backups
                .iter()
                .map(|backup| backup.source.to_string()),
        );
    }
    known
}

/// There is no such source in the config.
fn no_such_source(config: &Config, name: &SourceName) -> Failure {
    let known: Vec<&str> = config
        .sources
        .iter()
        .map(|source| source.name.as_str())
        .collect();
    let message = if known.is_empty() {
        format!("there is no source {name}; none is configured")
    } else {
        format!(
            "there is no source {name}; configured: {}",
            known.join(", ")
        )
    };
    let failure = Failure::user(message);
    match nearest(name.as_str(), known.iter().copied()) {
        Some(meant) => failure.hint(format!("did you mean {meant}?")),
        None => failure.hint("see the sources with `resguardo config show`"),
    }
}
