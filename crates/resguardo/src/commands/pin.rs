//! `pin` and `unpin`: a backup stays, whatever the retention says.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use resguardo_ops::Reference;
use resguardo_ops::pin::{self, PinDone, PinRequest};
use serde_json::json;

use super::of_reference;
use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::{Invocation, Reading};
use crate::render::time;

const AFTER_HELP: &str = "\
A pinned backup is deleted by no `prune`, on no machine, until it is unpinned
or its date has passed. The pin is signed, and lies in the vault and its
copies.

Examples:
  resguardo pin shop@2026-12-31 --reason \"closing of 2026\" --until 2032-12-31
  resguardo pin 01jd8kq2v3 --reason \"before the big import\"
  resguardo unpin 01jd8kq2v3";

/// Keep a backup, whatever the retention says
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The backup
    #[arg(value_name = "REF")]
    backup: String,
    /// Why it is to stay; one line
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// The last day on which it is kept [default: until it is unpinned]
    #[arg(long, value_name = "DATE", value_parser = a_day)]
    until: Option<Date>,
}

/// Take the pin of a backup away
#[derive(Debug, clap::Args)]
pub struct UnpinArgs {
    /// The backup
    #[arg(value_name = "REF")]
    backup: String,
}

/// Runs `pin`.
///
/// # Errors
/// If there is no such backup, or the pin makes no sense.
pub fn run(invocation: &Invocation, args: &Args) -> Result<Exit, Failure> {
    let backup: Reference = args.backup.parse()?;
    let opened = invocation.open(Reading::Nothing)?;
    let zone = &opened.context.zone;
    let until = match args.until {
        Some(day) => Some(end_of(day, zone)?),
        None => None,
    };
    let (copies, failed) = invocation.copy_places(&opened.config);
    let request = PinRequest {
        backup: &backup,
        reason: &args.reason,
        until,
        copies: &copies,
    };
    let mut done =
        pin::pin(&opened.context, &request).map_err(|error| of_reference(error, &opened))?;
    done.notes.extend(failed.iter().map(|(name, failure)| {
        format!(
            "the copy {name} has not got the pin: {}; send it with `resguardo copy sync {name}`",
            failure.in_a_line()
        )
    }));
    let until = match args.until {
        Some(day) => format!("through {day}"),
        None => format!("until `resguardo unpin {}`", short(&done)),
    };
    answer(invocation, &done, zone, &format!("is kept {until}"));
    Ok(Exit::Done)
}

/// Runs `unpin`.
///
/// # Errors
/// If there is no such backup, or this machine may not delete in the vault.
pub fn run_unpin(invocation: &Invocation, args: &UnpinArgs) -> Result<Exit, Failure> {
    let backup: Reference = args.backup.parse()?;
    let opened = invocation.open(Reading::Nothing)?;
    let (copies, failed) = invocation.copy_places(&opened.config);
    let mut done = pin::unpin(&opened.context, &backup, &copies)
        .map_err(|error| of_reference(error, &opened))?;
    done.notes.extend(failed.iter().map(|(name, failure)| {
        format!(
            "the copy {name} may keep it pinned: {}",
            failure.in_a_line()
        )
    }));
    let how = if done.was_pinned {
        "is pinned no more"
    } else {
        "was not pinned"
    };
    answer(invocation, &done, &opened.context.zone, how);
    Ok(Exit::Done)
}

/// A day, as it is written.
fn a_day(text: &str) -> Result<Date, String> {
    text.parse()
        .map_err(|_| "a day is written like 2032-12-31 (year, month, day)".to_owned())
}

/// The first instant after a day.
fn end_of(day: Date, zone: &TimeZone) -> Result<Timestamp, Failure> {
    let end = day
        .tomorrow()
        .and_then(|next| next.to_zoned(zone.clone()))
        .map(|start| start.timestamp());
    end.map_err(|_| Failure::usage(format!("{day} is no day until which anything is kept")))
}

fn short(done: &PinDone) -> String {
    done.id.to_string()[..10].to_owned()
}

fn answer(invocation: &Invocation, done: &PinDone, zone: &TimeZone, how: &str) {
    let out = &invocation.out;
    out.say(&format!(
        "{}: backup {} of {} {how}",
        done.source,
        short(done),
        time::moment(done.taken_at, zone)
    ));
    for note in &done.notes {
        out.note(note);
    }
    out.json(&json!({
        "backup": done.id,
        "source": done.source,
        "pinned": done.pinned,
        "was_pinned": done.was_pinned,
        "run": done.run,
        "receipt": done.receipt,
        "notes": done.notes,
    }));
}
