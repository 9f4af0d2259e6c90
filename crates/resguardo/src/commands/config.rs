//! `config`: the effective configuration, and the schema of the file.

use clap::Subcommand;
use serde_json::json;

use crate::config::file::ConfigFile;
use crate::config::show;
use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::Invocation;
use crate::render::table::table;

const AFTER_HELP: &str = "\
Shows the effective configuration, or the JSON Schema of resguardo.toml.

A value comes from a flag, else RESGUARDO_VAULT or RESGUARDO_IDENTITY, else
the file, else AWS_*, else the default. Without a file, DATABASE_URL,
BACKUP_DIR and BACKUP_RETENTION_DAYS are read.

Examples:
  resguardo config show             every value with its origin, no secrets
  resguardo config schema           a JSON Schema for your editor";

/// Show the effective configuration
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(subcommand)]
    verb: ConfigVerb,
}

#[derive(Debug, Subcommand)]
enum ConfigVerb {
    /// Print every value with its origin
    Show,
    /// Print the JSON Schema of resguardo.toml
    Schema,
}

/// Runs `config`.
///
/// # Errors
/// If the configuration makes no sense.
pub fn run(invocation: &Invocation, args: &Args) -> Result<Exit, Failure> {
    match args.verb {
        ConfigVerb::Show => show_all(invocation),
        ConfigVerb::Schema => {
            let schema = schemars::schema_for!(ConfigFile);
            let text = serde_json::to_string_pretty(&schema).unwrap_or_default();
            invocation.out.print(&text);
            invocation.out.json(schema.as_value());
            Ok(Exit::Done)
        }
    }
}

fn show_all(invocation: &Invocation) -> Result<Exit, Failure> {
    let config = invocation.config()?;
    let home = invocation.home()?;
    invocation.out.json(&json!({
        "file": config.file,
        "home": { "cache": home.cache(), "origin": home.origin },
        "values": show::as_json(&config),
    }));
    match &config.file {
        Some(file) => invocation.out.print(&format!("# {}", file.display())),
        None => invocation
            .out
            .print("# no config file: the environment and defaults"),
    }
    let rows = config
        .entries
        .iter()
        .map(|entry| {
            vec![
                entry.key.clone(),
                show::value(entry),
                show::origin(entry, config.file.as_deref()),
            ]
        })
        .collect();
    invocation.out.print(&table(
        &invocation.out,
        &["KEY", "VALUE", "ORIGIN"],
        &[],
        rows,
    ));
    if config.vault.url.is_none() {
        invocation
            .out
            .note("no vault is configured: `resguardo init` sets one up");
    }
    Ok(Exit::Done)
}
