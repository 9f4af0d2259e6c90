//! `exceptions`: what somebody has to look at, until somebody resolves it with a note.

use clap::Subcommand;
use jiff::tz::TimeZone;
use resguardo_model::{Verdict, What};
use resguardo_ops::exception::{self, Exception};
use serde_json::json;

use super::plan;
use super::status::watched;
use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::{Invocation, Opened, Reading};
use crate::render::table::table;
use crate::render::{counted, time};

/// How many are shown with --all.
const SHOWN_MAX: u32 = 1000;

const AFTER_HELP: &str = "\
A drill that failed or is overdue, a promise that does not hold, a run that
failed: each opens an exception, which stays until somebody resolves it with a
note, whether it is over by then or not. Both are signed into the vault.

Examples:
  resguardo exceptions                those that are open
  resguardo exceptions --all          those that were resolved too
  resguardo exceptions resolve 01jd8kq2v3 --note \"disk replaced, drilled\"";

/// Show what somebody has to look at, and resolve it
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP, args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<ExceptionsVerb>,
    /// Those that were resolved too, the newest first
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Subcommand)]
enum ExceptionsVerb {
    /// Resolve one with a note
    Resolve {
        /// Its id, or the beginning of it
        id: String,
        /// What was found, or done
        #[arg(long, value_name = "TEXT")]
        note: String,
    },
}

/// Runs `exceptions`.
///
/// # Errors
/// If the vault or the catalog cannot be read, there is no such exception, or the note is none.
pub fn run(invocation: &Invocation, args: &Args) -> Result<Exit, Failure> {
    match &args.verb {
        None => list(invocation, args.all),
        Some(ExceptionsVerb::Resolve { id, note }) => resolve(invocation, id, note),
    }
}

/// The catalog, with what is wrong now and what others wrote into the vault.
fn looked(invocation: &Invocation) -> Result<Opened, Failure> {
    let config = invocation.config()?;
    let jobs = plan::jobs(&config);
    let opened = invocation.open_with(config, Reading::Nothing)?;
    let watched = watched(&opened.config, &jobs, &opened.context);
    let (status, _) = exception::look(&opened.context, &watched)?;
    if let Some(why) = &status.unreachable {
        invocation.out.warn(&format!(
            "the vault cannot be reached, this is what was known of it last: {why}"
        ));
    }
    Ok(opened)
}

fn list(invocation: &Invocation, all: bool) -> Result<Exit, Failure> {
    let opened = looked(invocation)?;
    let found = if all {
        exception::all(&opened.context, SHOWN_MAX)?
    } else {
        exception::open(&opened.context)?
    };
    invocation.out.json(&json!({ "exceptions": found }));
    if found.is_empty() {
        invocation.out.print(if all {
            "no exception was ever opened"
        } else {
            "no exception is open"
        });
        return Ok(Exit::Done);
    }
    let zone = &opened.context.zone;
    let rows = found
        .iter()
        .map(|one| {
            let id = one.id.to_string();
            vec![
                id[..12].to_owned(),
                one.source.to_string(),
                one.kind.word().to_owned(),
                time::moment(one.opened_at, zone),
                state(one, zone),
                words(&one.what, zone),
            ]
        })
        .collect();
    let header = ["ID", "SOURCE", "KIND", "OPENED", "STATE", "WHAT"];
    let text = table(&invocation.out, &header, &[], rows);
    invocation.out.print(&text);
    Ok(Exit::Done)
}

fn resolve(invocation: &Invocation, id: &str, note: &str) -> Result<Exit, Failure> {
    let opened = looked(invocation)?;
    let answer = exception::resolve(&opened.context, id, note)?;
    let done = &answer.exception;
    invocation.out.json(&json!({
        "exception": done,
        "was_resolved": answer.was_resolved,
    }));
    let Some(resolved) = &done.resolved else {
        return Ok(Exit::Done);
    };
    let said = format!("{} of {}", done.kind.word(), done.source);
    if answer.was_resolved {
        invocation.out.print(&format!(
            "{said} was resolved before, by {}: {}",
            resolved.by, resolved.note
        ));
    } else {
        let said = invocation.out.good(&said);
        invocation.out.say(&format!("{said}: resolved"));
    }
    if resolved.receipt.is_none() {
        invocation.out.warn(
            "it is not signed into the vault yet: whoever looks next with a write key does that",
        );
    }
    Ok(Exit::Done)
}

fn state(one: &Exception, zone: &TimeZone) -> String {
    match (&one.resolved, one.good_at) {
        (Some(resolved), _) => format!(
            "resolved by {}: {}",
            resolved.by,
            first_line(&resolved.note)
        ),
        (None, Some(at)) => format!("over since {}", time::moment(at, zone)),
        (None, None) if one.times > 1 => format!("holds, {} times", one.times),
        (None, None) => "holds".to_owned(),
    }
}

fn first_line(note: &str) -> &str {
    note.lines().next().unwrap_or_default()
}

/// One line about it.
fn words(what: &What, zone: &TimeZone) -> String {
    let moment = |at| time::moment(at, zone);
    match what {
        What::DrillFailed {
            verdict,
            checks,
            at,
            ..
        } => {
            let how = if *verdict == Verdict::Error {
                "could not be carried out"
            } else {
                "failed"
            };
            let checks = if checks.is_empty() {
                String::new()
            } else {
                format!(": {}", checks.join(", "))
            };
            format!("the drill of {} {how}{checks}", moment(*at))
        }
        What::DrillOverdue { due, proven_at } => {
            let proven = proven_at.map_or("never proven".to_owned(), |at| {
                format!("last proven {}", moment(at))
            });
            format!("a drill was due {}, {proven}", moment(*due))
        }
        What::RunFailed { verb, message, .. } => {
            format!("{} failed: {}", verb.word(), first_line(message))
        }
        What::RpoBreached { newest, .. } => match newest {
            Some(at) => format!("what could be restored is of {}", moment(*at)),
            None => "nothing could be restored".to_owned(),
        },
        What::RtoBreached { seconds, at, .. } => {
            format!(
                "the drill of {} took {}",
                moment(*at),
                time::length(*seconds)
            )
        }
        What::CopyBehind { copies, backups } => {
            let lacks = counted(*backups, "backup", "backups");
            format!("{} lacks {lacks}", copies.join(", "))
        }
        What::VerifyFindings {
            findings, message, ..
        } => {
            let count = counted(*findings, "finding", "findings");
            format!("{count}: {}", first_line(message))
        }
        What::BackupOverdue { due, .. } => format!("a backup was due {}", moment(*due)),
    }
}
