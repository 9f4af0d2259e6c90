//! `list`: the backups of the vault, and which of them are proven.

use resguardo_model::size::ByteSize;
use resguardo_model::{SourceName, Verdict};
use resguardo_ops::list::{self, ListedBackup};
use serde_json::{Value, json};

use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::{Invocation, Reading};
use crate::render::table::table;
use crate::render::{counted, time};

const AFTER_HELP: &str = "\
Lists the backups. Needs no key.

Examples:
  resguardo list                    every backup, the newest last
  resguardo list shop               those of one source
  resguardo list --json | jq -r '.backups[] | select(.proven_at == null) | .id'";

/// List the backups, and which of them are proven
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Only those of this source
    name: Option<SourceName>,
}

/// Runs `list`.
///
/// # Errors
/// If the vault cannot be read.
pub fn run(invocation: &Invocation, args: &Args) -> Result<Exit, Failure> {
    let opened = invocation.open(Reading::Nothing)?;
    let listed = list::list(&opened.context, args.name.as_ref())?;
    for finding in &listed.findings {
        invocation
            .out
            .warn(&format!("{}: {}", finding.object, finding.message));
    }
    let strangers = listed.backups.iter().filter(|backup| !backup.trusted);
    let strangers = strangers.count() as u64;
    if strangers > 0 {
        invocation.out.warn(&format!(
            "{} signed by a writer that is not trusted here; `resguardo show ID` names it, `resguardo init --trust` believes it",
            counted(strangers, "backup is", "backups are")
        ));
    }
    invocation.out.json(&json!({
        "backups": listed.backups.iter().map(as_json).collect::<Vec<_>>(),
        "findings": listed.findings,
    }));
    if listed.backups.is_empty() {
        invocation
            .out
            .print("no backup yet; take one with `resguardo backup`");
        return Ok(Exit::Done);
    }
    let now = invocation.clock.now();
    let rows = listed
        .backups
        .iter()
        .map(|backup| {
            vec![
                short_id(backup, &listed.backups),
                backup.source.to_string(),
                time::moment(backup.taken_at, &opened.context.zone),
                time::age(backup.taken_at, now),
                ByteSize(backup.raw_bytes).to_string(),
                ByteSize(backup.stored_bytes).to_string(),
                backup.reason.to_string(),
                proven(backup, &opened.context.zone),
            ]
        })
        .collect();
    let header = [
        "ID", "SOURCE", "TAKEN", "AGE", "SIZE", "ADDED", "REASON", "PROVEN",
    ];
    invocation
        .out
        .print(&table(&invocation.out, &header, &[3, 4, 5], rows));
    Ok(Exit::Done)
}

/// The shortest beginning, of at least the ten characters of its time, that only this backup has.
fn short_id(backup: &ListedBackup, all: &[ListedBackup]) -> String {
    let id = backup.id.to_string();
    let length = all
        .iter()
        .filter(|other| other.id != backup.id)
        .map(|other| {
            let other = other.id.to_string();
            let same = id
                .bytes()
                .zip(other.bytes())
                .take_while(|(a, b)| a == b)
                .count();
            same + 1
        })
        .fold(10, usize::max);
    id[..length.min(id.len())].to_owned()
}

fn proven(backup: &ListedBackup, zone: &jiff::tz::TimeZone) -> String {
    match (&backup.proven_at, &backup.last_drill) {
        (Some(at), Some(last)) if last.verdict != Verdict::Passed => {
            format!("{}, then a drill failed", time::moment(*at, zone))
        }
        (Some(at), _) => time::moment(*at, zone),
        (None, Some(_)) => "drill failed".to_owned(),
        (None, None) => "not yet".to_owned(),
    }
}

/// The shape of `docs/json.md`.
pub fn as_json(backup: &ListedBackup) -> Value {
    json!({
        "id": backup.id,
        "source": backup.source,
        "engine": backup.engine,
        "taken_at": backup.taken_at,
        "finished_at": backup.finished_at,
        "reason": backup.reason,
        "raw_bytes": backup.raw_bytes,
        "stored_bytes": backup.stored_bytes,
        "writer": backup.writer,
        "trusted": backup.trusted,
        "proven_at": backup.proven_at,
        "last_drill": backup.last_drill.map(|last| json!({ "at": last.at, "verdict": last.verdict })),
        "copies": backup.copies,
    })
}
