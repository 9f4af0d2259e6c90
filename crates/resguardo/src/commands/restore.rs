//! `restore`: a backup or a file into a database, never over data by accident.

use std::path::Path;

use clap::ValueEnum;
use resguardo_engine::port::{Location, RestoreOptions, RestorePart, TargetState};
use resguardo_model::size::ByteSize;
use resguardo_model::{EngineKind, SourceName};
use resguardo_ops::restore::{self, Hooks, RestoreDone, RestoreRequest};
use resguardo_ops::{Origin, Reference};
use resguardo_store::durable::{self, Mode};
use serde_json::{Value, json};

use super::{backup, of_reference};
use crate::config::interpolate::interpolate;
use crate::config::location::{POSTGRES_HINT, engine_of, is_url, names_database, sqlite_path};
use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::{FromCopy, Invocation, Opened, Reading};
use crate::prompt;
use crate::render::{counted, time};

const AFTER_HELP: &str = "\
Restores a backup, or a standard file, into a target.

A target that holds data is refused, unless --clean is given and its name is
typed; then a backup of it is taken first. Digests are checked before the
target is touched.

Examples:
  resguardo restore shop --to new.db              the newest, a new file
  resguardo restore shop@2026-11-20 --to old.db   of that day or before
  resguardo restore latest --to shop.db --clean   over it: asks for its name
  resguardo restore shop --to shop.db --clean --only orders
  resguardo restore shop.sqlite.gz --to new.db    a standard file
  resguardo restore shop --to postgresql://ana@db/shop_new --create
                                                  PostgreSQL, a new database
  resguardo restore latest --vault URL --identity FILE --to PATH
                                                  where there is nothing else";

/// Bring a backup, or a file, back into a database
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The backup, or a file
    #[arg(value_name = "REF|FILE")]
    from: String,
    /// Where to restore to: postgresql://USER@HOST:PORT/DATABASE, or a file; ${NAME} is a variable
    #[arg(long, value_name = "URL|PATH")]
    to: String,
    /// Make the database, or the folders above the file, where they are missing
    #[arg(long)]
    create: bool,
    /// Replace what is there
    #[arg(long)]
    clean: bool,
    /// The target's name, so that it is not asked for
    #[arg(long, value_name = "NAME", requires = "clean")]
    yes_overwrite: Option<String>,
    /// Take no backup of what is replaced
    #[arg(long, requires = "clean")]
    no_safety_backup: bool,
    /// Only this table; may be repeated
    #[arg(long, value_name = "TABLE")]
    only: Vec<String>,
    /// PostgreSQL: the structure and no rows
    #[arg(long, conflicts_with = "data_only")]
    schema_only: bool,
    /// PostgreSQL: rows and sequences, into tables that are there
    #[arg(long)]
    data_only: bool,
    /// PostgreSQL: everything becomes the restoring role's
    #[arg(long)]
    no_owner: bool,
    /// PostgreSQL: leave out grants
    #[arg(long)]
    no_acl: bool,
    /// PostgreSQL: streams at once, 1 to 64 [default: one for each core, at most 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: Option<u8>,
    /// Do what [sources.X.restore] says around it: where the target is the source itself (auto),
    /// always, or never
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    hooks: HooksChoice,
    /// The source that a file is a backup of
    #[arg(long, value_name = "NAME")]
    source: Option<SourceName>,
    #[command(flatten)]
    from_copy: FromCopy,
}

/// When what is configured around a restore is done. No doc comments on the values: clap would spread the
/// whole help over many lines for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum HooksChoice {
    #[default]
    Auto,
    Always,
    Never,
}

impl From<HooksChoice> for Hooks {
    fn from(choice: HooksChoice) -> Self {
        match choice {
            HooksChoice::Auto => Self::AtSource,
            HooksChoice::Always => Self::Always,
            HooksChoice::Never => Self::Never,
        }
    }
}

/// Runs `restore`.
///
/// # Errors
/// If it is refused, or something failed; the message says what state the target is in.
pub fn run(invocation: &Invocation, args: &Args) -> Result<Exit, Failure> {
    let (engine, to) = target(invocation, &args.to)?;
    let origin = origin(invocation, &args.from, args.source.as_ref())?;
    let config = invocation.config_for_use(&[])?;
    let opened = match &origin {
        Origin::File { .. } if config.vault.url.is_none() => {
            invocation.open_without_vault(config)?
        }
        Origin::File { .. } => invocation.open_with(config, Reading::Nothing)?,
        Origin::Backup(_) => {
            invocation.open_from(config, Reading::Backups, &args.from_copy, true)?
        }
    };
    if args.create
        && engine == EngineKind::Sqlite
        && let Some(folder) = Path::new(to.expose()).parent()
    {
        durable::create_folder(folder, Mode::READABLE_FOLDER)?;
    }
    let confirmation = match (&args.yes_overwrite, args.clean) {
        (Some(name), _) => Some(name.clone()),
        (None, true) => typed_name(invocation, &opened, engine, &to)?,
        (None, false) => None,
    };
    let request = RestoreRequest {
        origin,
        sources: &opened.sources,
        to,
        engine,
        options: options(args),
        confirmation,
        safety_backup: !args.no_safety_backup,
        hooks: args.hooks.into(),
    };
    let done = restore::restore(&opened.context, &request)
        .map_err(|error| of_reference(error, &opened))?;
    drop(opened);
    tell(invocation, &done);
    Ok(Exit::Done)
}

fn options(args: &Args) -> RestoreOptions {
    RestoreOptions {
        clean: args.clean,
        only: args.only.clone(),
        create: args.create,
        part: match (args.schema_only, args.data_only) {
            (true, _) => RestorePart::Structure,
            (_, true) => RestorePart::Data,
            (false, false) => RestorePart::All,
        },
        no_owner: args.no_owner,
        no_acl: args.no_acl,
        jobs: args.jobs.map(usize::from),
        ..RestoreOptions::default()
    }
}

/// Where `--to` points, seen from the folder the program was started in.
fn target(invocation: &Invocation, to: &str) -> Result<(EngineKind, Location), Failure> {
    let replaced = interpolate(to, |name| invocation.ambient.variable(name));
    let (place, variables) = replaced.map_err(|error| Failure::usage(format!("--to: {error}")))?;
    let engine = engine_of(&place).map_err(|scheme| {
        Failure::usage(format!(
            "--to: there is no engine {scheme}; this version has postgres and sqlite"
        ))
        .hint(format!(
            "name a file: --to restored.db; a PostgreSQL database: {POSTGRES_HINT}"
        ))
    })?;
    if engine == EngineKind::Sqlite {
        let path = invocation
            .ambient
            .absolute(&sqlite_path(&place, Path::new("")));
        return Ok((engine, Location::new(path.display().to_string())));
    }
    if !is_url(&place) {
        return Err(Failure::usage("--to is no URL of a database").hint(POSTGRES_HINT));
    }
    if !names_database(&place, &invocation.ambient) {
        return Err(Failure::usage("--to names no database").hint(POSTGRES_HINT));
    }
    let location = Location::new(place);
    if variables.is_empty() && location.to_string() != location.expose() {
        invocation.out.warn(
            "everybody on this machine can see the password in --to; a variable hides it: --to '${NAME}', or PGPASSWORD, or ~/.pgpass",
        );
    }
    Ok((engine, location))
}

/// A name of a backup, unless it can only be a file.
pub fn origin(
    invocation: &Invocation,
    text: &str,
    source: Option<&SourceName>,
) -> Result<Origin, Failure> {
    let parsed = text.parse::<Reference>();
    let path = invocation.ambient.absolute(Path::new(text));
    match parsed {
        Ok(reference) => Ok(Origin::Backup(reference)),
        Err(_) if is_dump(&path) => Ok(Origin::File {
            path,
            source: source.cloned(),
        }),
        Err(_) if text.contains(['/', '.']) && !text.contains('@') => {
            Err(Failure::user(format!("{} does not exist", path.display()))
                .hint("name a file, or a backup: see `resguardo list`"))
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether a file lies there, or the folder that `pg_dump --format=directory` writes.
pub fn is_dump(path: &Path) -> bool {
    path.is_file() || path.join("toc.dat").is_file()
}

/// Shows what is at the target and asks for its name.
fn typed_name(
    invocation: &Invocation,
    opened: &Opened,
    engine: EngineKind,
    to: &Location,
) -> Result<Option<String>, Failure> {
    if !invocation.ambient.asks {
        return Ok(None);
    }
    let seen = restore::inspect(&opened.context, engine, to, &opened.sources)?;
    let TargetState::Occupied { name, contents } = &seen.state else {
        return Ok(None);
    };
    invocation
        .out
        .error_line(&format!("{} holds {contents}", seen.place));
    if let Some(source) = &seen.is_source {
        invocation
            .out
            .error_line(&format!("it is the source {source} itself"));
    }
    let question = format!("Type {name} to replace it");
    prompt::ask_unless(&question, &invocation.cancel).map(Some)
}

fn tell(invocation: &Invocation, done: &RestoreDone) {
    let out = &invocation.out;
    if let Some(safety) = &done.safety_backup {
        out.say(&format!("before it was replaced, {}", backup::line(safety)));
    }
    out.say(&format!(
        "restored {} into {}: {}, {} in {}",
        done.origin,
        done.target,
        counted(done.tables, "table", "tables"),
        ByteSize(done.bytes),
        time::length(done.seconds),
    ));
    let steps: Vec<String> = done
        .steps
        .iter()
        .map(|step| format!("{} {}", step.name, time::length(step.seconds)))
        .collect();
    if !steps.is_empty() {
        out.say(&format!("  steps: {}", steps.join(", ")));
    }
    for note in &done.notes {
        out.note(note);
    }
    out.json(&as_json(done));
}

fn as_json(done: &RestoreDone) -> Value {
    json!({
        "run": done.run,
        "origin": done.origin,
        "backup": done.backup,
        "source": done.source,
        "taken_at": done.taken_at,
        "target": done.target,
        "tables": done.tables,
        "bytes": done.bytes,
        "seconds": done.seconds,
        "safety_backup": done.safety_backup.as_ref().map(backup::as_json),
        "steps": done.steps,
        "receipt": done.receipt,
        "notes": done.notes,
    })
}
