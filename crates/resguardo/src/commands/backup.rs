//! `backup`: a recovery point of each source, or a standard file.

use std::path::PathBuf;

use resguardo_model::size::ByteSize;
use resguardo_model::{EngineKind, Reason, SourceName};
use resguardo_ops::SourceSpec;
use resguardo_ops::backup::{self, BackupDone, BackupRequest};
use serde_json::{Value, json};

use super::{chosen_sources, copy};
use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::{Invocation, Opened, Reading};
use crate::render::{counted, time};
use crate::telling::Pings;

const AFTER_HELP: &str = "\
Takes a backup of each source: the changed pages or rows only, encrypted,
whole by itself.

Examples:
  resguardo backup                               every source of the config
  resguardo backup shop --reason pre-migration   one source, and why
  resguardo backup shop --commit \"$(git rev-parse HEAD)\"
                                                 with what ran on it
  resguardo backup shop --out 'shop-<time>.sqlite.gz'
                                                 a standard file; PostgreSQL:
                                                 .dump or .sql[.gz|.zst]";

/// Take a backup
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The sources [default: every one that is configured]
    names: Vec<SourceName>,
    /// Why it is taken: one word, kept with the backup
    #[arg(long, value_name = "WORD", default_value = "manual")]
    reason: Reason,
    /// Anything worth remembering, kept with the backup
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    /// The commit of the application that runs on the data, kept with the backup
    #[arg(long, value_name = "SHA", default_value = "")]
    commit: String,
    /// PostgreSQL: streams at once, 1 to 64 [default: one for each core, at most 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: Option<u8>,
    /// Check the source's integrity first
    #[arg(long)]
    check: bool,
    /// The data are as they should be, although the last restore into the source did not end well
    #[arg(long, conflicts_with = "out")]
    after_failed_restore: bool,
    /// Do not send it to the copies now; `resguardo copy sync` does later
    #[arg(long, conflicts_with = "out")]
    no_copy: bool,
    /// Write a standard file instead; `<time>` in the name is replaced
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Runs `backup`.
///
/// # Errors
/// The first failure; the sources after it are still backed up.
pub fn run(invocation: &Invocation, args: &Args) -> Result<Exit, Failure> {
    if let Some(out) = &args.out {
        return export(invocation, args, out);
    }
    let config = invocation.config_for_use(&args.names)?;
    chosen_sources(&config, &args.names)?;
    let opened = invocation.open_with(config, Reading::Nothing)?;
    let sources = chosen_sources(&opened.config, &args.names)?;
    let mut answers = Vec::new();
    let mut first_failure: Option<Failure> = None;
    for source in sources {
        let pings = Pings::begin(invocation, &opened.config, &source.name, "backup");
        let outcome = one(&opened, args, source);
        pings.end(outcome.as_ref().map(|_| ()));
        match outcome {
            Ok(done) => {
                invocation.out.say(&line(&done));
                for note in &done.notes {
                    invocation.out.note(note);
                }
                let mut answer = as_json(&done);
                if !args.no_copy {
                    let (copies, failure) = copy::after_backup(invocation, &opened, &done.source);
                    answer["copies"] = json!(copies);
                    if let Some(failure) = failure
                        && let Some(earlier) = first_failure.replace(failure)
                    {
                        earlier.print(&invocation.out);
                    }
                }
                answers.push(answer);
                if invocation.cancel.is_cancelled() {
                    break;
                }
            }
            Err(failure) => {
                let interrupted = failure.exit == Exit::Interrupted;
                if let Some(earlier) = first_failure.replace(failure) {
                    earlier.print(&invocation.out);
                }
                if interrupted {
                    break;
                }
            }
        }
    }
    invocation.out.json(&json!({ "backups": answers }));
    match first_failure {
        Some(failure) => Err(failure),
        None => Ok(Exit::Done),
    }
}

fn one(opened: &Opened, args: &Args, source: &SourceSpec) -> Result<BackupDone, Failure> {
    let source = &with_jobs(source, args)?;
    let request = BackupRequest {
        source,
        reason: args.reason.clone(),
        note: args.note.clone(),
        commit: args.commit.clone(),
        check_integrity: args.check,
        after_failed_restore: args.after_failed_restore,
    };
    Ok(backup::backup(&opened.context, &request)?)
}

/// The source with what the flags say about it.
fn with_jobs(source: &SourceSpec, args: &Args) -> Result<SourceSpec, Failure> {
    let mut source = source.clone();
    if let Some(jobs) = args.jobs {
        if source.engine == EngineKind::Sqlite {
            return Err(Failure::usage(format!(
                "--jobs means nothing for SQLite, which the source {} is one of",
                source.name
            )));
        }
        source.jobs = Some(usize::from(jobs));
    }
    Ok(source)
}

/// One line for a person.
pub fn line(done: &BackupDone) -> String {
    format!(
        "{}: backup {} of {} in {}, {}; {} added in {}",
        done.source,
        &done.id.to_string()[..10],
        ByteSize(done.raw_bytes),
        counted(done.tables, "table", "tables"),
        counted(done.rows, "row", "rows"),
        ByteSize(done.stored_bytes),
        time::length(done.seconds),
    )
}

/// The shape of `docs/json.md`.
pub fn as_json(done: &BackupDone) -> Value {
    json!({
        "id": done.id,
        "source": done.source,
        "reason": done.reason,
        "stored_bytes": done.stored_bytes,
        "raw_bytes": done.raw_bytes,
        "seconds": done.seconds,
        "taken_at": done.taken_at,
        "tables": done.tables,
        "rows": done.rows,
        "head_sha256": done.head_sha256,
        "run": done.run,
        "receipt": done.receipt,
        "notes": done.notes,
    })
}

fn export(invocation: &Invocation, args: &Args, out: &std::path::Path) -> Result<Exit, Failure> {
    let config = invocation.config_for_use(&args.names)?;
    let sources = chosen_sources(&config, &args.names)?;
    let [source] = sources.as_slice() else {
        return Err(
            Failure::usage("--out writes one source into one file, and several are meant")
                .hint("name the source: resguardo backup NAME --out FILE"),
        );
    };
    let mut source = with_jobs(source, args)?;
    source.check_integrity |= args.check;
    let opened = invocation.open_without_vault(config)?;
    let done = backup::export(&opened.context, &source, &invocation.ambient.absolute(out))?;
    drop(opened);
    for path in &done.paths {
        invocation.out.print(&path.display().to_string());
    }
    invocation.out.json(&json!({
        "exports": [{ "source": done.source, "paths": done.paths, "seconds": done.seconds }]
    }));
    Ok(Exit::Done)
}
