//! `vault`: what concerns the vault as a whole.

use clap::Subcommand;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use resguardo_ops::access::{self, Access, Review, Reviewed};
use serde_json::{Value, json};

use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::{Invocation, Reading};
use crate::render::table::{pairs, table};
use crate::render::{Output, time};

const AFTER_HELP: &str = "\
Who can read the backups, who writes them, and what the store says of who may
read, write and delete in it. With --reviewed it is written down in a signed
receipt that somebody looked; `doctor` reminds when --next has passed.

Examples:
  resguardo vault access
  resguardo vault access --reviewed --by Ana --next 2027-06-30";

/// The vault as a whole: who may do what in it
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(subcommand)]
    verb: VaultVerb,
}

#[derive(Debug, Subcommand)]
enum VaultVerb {
    /// Who can read, write and delete, as far as keys, signatures and the store tell
    Access(AccessArgs),
}

#[derive(Debug, clap::Args)]
struct AccessArgs {
    /// Write down that it was reviewed
    #[arg(long)]
    reviewed: bool,
    /// Who reviewed it [default: the user]
    #[arg(long, value_name = "NAME", requires = "reviewed")]
    by: Option<String>,
    /// The day until which the next review is due
    #[arg(long, value_name = "DATE", requires = "reviewed")]
    next: Option<Date>,
}

/// Runs `vault`.
///
/// # Errors
/// If the vault cannot be read; `--reviewed` without a write key, or with a day that has passed.
pub fn run(invocation: &Invocation, args: &Args) -> Result<Exit, Failure> {
    match &args.verb {
        VaultVerb::Access(args) => look(invocation, args),
    }
}

fn look(invocation: &Invocation, args: &AccessArgs) -> Result<Exit, Failure> {
    // A review of recipients that nobody here knows would vouch for them.
    let opened = match args.reviewed {
        true => invocation.open(Reading::IfAtHand)?,
        false => invocation.open_to_look(invocation.config()?, Reading::IfAtHand)?,
    };
    let context = &opened.context;
    let today = invocation.clock.now().to_zoned(context.zone.clone()).date();
    if let Some(next) = args.next.filter(|next| *next <= today) {
        return Err(Failure::usage(format!("--next {next} has passed already")));
    }
    let seen = access::look(context)?;
    let by = args.by.as_deref().unwrap_or(&context.operator);
    let reviewed = if args.reviewed {
        let reviewed = access::review(context, &seen, by, args.next)?;
        if reviewed.receipts.is_empty() {
            return Err(Failure::user(
                reviewed
                    .notes
                    .first()
                    .map_or("no receipt was made", String::as_str),
            )
            .hint("review it on a machine that takes backups, after the first one"));
        }
        Some(reviewed)
    } else {
        None
    };
    invocation.out.json(&as_json(&seen, reviewed.as_ref()));
    print(&invocation.out, &seen, &context.zone);
    if reviewed.is_none() {
        print_review(&invocation.out, seen.last_review.as_ref(), &context.zone);
    }
    for note in seen
        .notes
        .iter()
        .chain(reviewed.iter().flat_map(|reviewed| &reviewed.notes))
    {
        invocation.out.note(note);
    }
    if reviewed.is_some() {
        let next = args.next.map_or_else(String::new, |day| {
            format!("; the next review is due on {day}")
        });
        invocation
            .out
            .say(&format!("reviewed by {by}, with a signed receipt{next}"));
    }
    Ok(Exit::Done)
}

fn print(out: &Output, seen: &Access, zone: &TimeZone) {
    out.print("Who can read: whoever holds the secret half of one of these");
    for recipient in &seen.recipients {
        out.print(&format!("  {recipient}"));
    }
    out.print("");
    out.print("Who writes");
    let rows = seen.writers.iter().map(|writer| {
        let standing = match (writer.retired, writer.trusted) {
            (true, _) => "retired",
            (false, true) => "trusted",
            (false, false) => "NOT TRUSTED",
        };
        let own = if seen.own_writer == Some(writer.writer) {
            " (this machine)"
        } else {
            ""
        };
        vec![
            format!("{}{own}", writer.writer),
            standing.to_owned(),
            writer.backups.to_string(),
            writer.receipts.to_string(),
            writer
                .last_at
                .map_or_else(|| "never".to_owned(), |at| time::moment(at, zone)),
        ]
    });
    let header = ["WRITER", "STANDING", "BACKUPS", "RECEIPTS", "LAST"];
    out.print(&table(out, &header, &[2, 3], rows.collect()));
    if !seen.store.is_empty() {
        out.print("");
        out.print("What the store says");
        let rows: Vec<(&str, String)> = seen
            .store
            .iter()
            .map(|says| {
                let words = if says.concern {
                    out.dubious(&format!("{} (look at it)", says.says))
                } else {
                    says.says.clone()
                };
                (says.subject.as_str(), words)
            })
            .collect();
        out.print(&pairs(&rows));
    }
}

/// The review before, where none is made now.
fn print_review(out: &Output, last: Option<&Review>, zone: &TimeZone) {
    out.print("");
    out.print(&match last {
        Some(review) => format!("last reviewed {}", in_words(review, zone)),
        None => {
            "never reviewed: write it down with `resguardo vault access --reviewed --next DATE`"
                .to_owned()
        }
    });
}

fn in_words(review: &Review, zone: &TimeZone) -> String {
    let next = review
        .next
        .map_or_else(String::new, |day| format!(", next due on {day}"));
    format!("{} by {}{next}", time::moment(review.at, zone), review.by)
}

fn as_json(seen: &Access, reviewed: Option<&Reviewed>) -> Value {
    let writers = seen.writers.iter().map(|writer| {
        json!({
            "writer": writer.writer,
            "trusted": writer.trusted,
            "retired": writer.retired,
            "backups": writer.backups,
            "receipts": writer.receipts,
            "sources": writer.sources,
            "last_at": writer.last_at,
        })
    });
    let store = seen
        .store
        .iter()
        .map(|says| json!({ "subject": says.subject, "says": says.says, "concern": says.concern }));
    json!({
        "recipients": seen.recipients,
        "writers": writers.collect::<Vec<_>>(),
        "own_writer": seen.own_writer,
        "can_read": seen.can_read,
        "store": store.collect::<Vec<_>>(),
        "last_review": seen.last_review.as_ref().map(|review| json!({
            "at": review.at,
            "by": review.by,
            "next": review.next.map(|day| day.to_string()),
        })),
        "receipts": reviewed.map(|reviewed| &reviewed.receipts),
        "notes": seen.notes,
    })
}
