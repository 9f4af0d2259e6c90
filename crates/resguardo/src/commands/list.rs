//! `list`: the backups of the vault, and which of them are proven.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use resguardo_model::size::ByteSize;
use resguardo_model::{SourceName, Verdict};
use resguardo_ops::list::{self, Listed, ListedBackup};
use resguardo_vault::{SourceSpace, StoredPin};
use serde_json::{Value, json};

use super::sources_known;
use crate::config::Config;
use crate::config::problem::nearest;
use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::{FromCopy, Invocation, Opened, Reading};
use crate::render::table::table;
use crate::render::{counted, finding_line, time};

const AFTER_HELP: &str = "\
Lists the backups. Needs no key.

Examples:
  resguardo list             every backup, the newest last
  resguardo list shop        those of one source
  resguardo list --json | jq -r '.backups[] | select(.proven_at == null).id'";

/// List the backups, and which of them are proven
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Only those of this source
    name: Option<SourceName>,
    #[command(flatten)]
    from: FromCopy,
}

/// Runs `list`.
///
/// # Errors
/// If the vault cannot be read, or knows no such source, and the config neither.
pub fn run(invocation: &Invocation, args: &Args) -> Result<Exit, Failure> {
    let opened = invocation.open_from(invocation.config()?, Reading::Nothing, &args.from, false)?;
    let listed = list::list(&opened.context, args.name.as_ref())?;
    for finding in &listed.findings {
        invocation.out.warn(&finding_line(finding));
    }
    if let Some(name) = &args.name
        && listed.backups.is_empty()
        && listed.findings.is_empty()
    {
        check_name(&opened, name)?;
    }
    let vault = opened.context.vault()?;
    let (retired, strangers): (Vec<_>, Vec<_>) = listed
        .backups
        .iter()
        .filter(|backup| !backup.trusted)
        .partition(|backup| vault.retired(backup.writer).is_some());
    let (retired, strangers) = (retired.len() as u64, strangers.len() as u64);
    if retired > 0 {
        invocation.out.warn(&format!(
            "{} signed by a writer that was retired here, after that; whoever has its key can sign with it, and nothing restores them",
            counted(retired, "backup is", "backups are")
        ));
    }
    if strangers > 0 {
        invocation.out.warn(&format!(
            "{} signed by a writer that is not trusted here; `resguardo show ID` names it, `resguardo init --trust` believes it",
            counted(strangers, "backup is", "backups are")
        ));
    }
    invocation.out.json(&json!({
        "backups": listed.backups.iter().map(as_json).collect::<Vec<_>>(),
        "sources": listed.space.iter().map(space_json).collect::<Vec<_>>(),
        "findings": listed.findings,
    }));
    if listed.backups.is_empty() {
        invocation.out.print(&match &args.name {
            Some(name) => {
                format!("no backup of {name} yet; take one with `resguardo backup {name}`")
            }
            None => "no backup yet; take one with `resguardo backup`".to_owned(),
        });
        return Ok(Exit::Done);
    }
    print_backups(invocation, &opened, &listed);
    if let Some(total) = total(&listed.space) {
        invocation.out.note(&total);
    }
    Ok(Exit::Done)
}

/// What the backups take in the vault.
fn total(space: &[SourceSpace]) -> Option<String> {
    let named = match space {
        [] => return None,
        [only] => only.source.to_string(),
        several => format!("{} sources", several.len()),
    };
    Some(format!(
        "{named}: {} of {} in {}",
        counted(
            space.iter().map(|one| one.backups).sum(),
            "backup",
            "backups"
        ),
        ByteSize(space.iter().map(|one| one.raw_bytes).sum()),
        ByteSize(space.iter().map(|one| one.stored_bytes).sum())
    ))
}

/// The table.
fn print_backups(invocation: &Invocation, opened: &Opened, listed: &Listed) {
    let now = invocation.clock.now();
    let short = short_ids(&listed.backups);
    let told = listed
        .backups
        .iter()
        .any(|backup| !words(backup).is_empty());
    let has_copies = !opened.config.copies.is_empty();
    let on_servers = listed
        .backups
        .iter()
        .any(|backup| !backup.database.is_empty());
    let pinned = listed.backups.iter().any(|backup| backup.pin.is_some());
    let zone = &opened.context.zone;
    let rows = listed
        .backups
        .iter()
        .map(|backup| {
            let mut row = vec![
                short[&backup.id.to_string()].clone(),
                backup.source.to_string(),
                time::moment(backup.taken_at, &opened.context.zone),
                time::age(backup.taken_at, now),
                ByteSize(backup.raw_bytes).to_string(),
                ByteSize(backup.stored_bytes).to_string(),
                backup.reason.to_string(),
                proven(backup, &opened.context.zone),
            ];
            row.extend(pinned.then(|| {
                backup
                    .pin
                    .as_ref()
                    .map_or_else(String::new, |pin| pin_words(pin, zone))
            }));
            row.extend(has_copies.then(|| copies_of(backup, &opened.config)));
            row.extend(on_servers.then(|| backup.database.clone()));
            row.extend(told.then(|| words(backup)));
            row
        })
        .collect();
    let mut header = vec![
        "ID", "SOURCE", "TAKEN", "AGE", "SIZE", "ADDED", "REASON", "PROVEN",
    ];
    header.extend(pinned.then_some("PINNED"));
    header.extend(has_copies.then_some("COPIES"));
    header.extend(on_servers.then_some("DATABASE"));
    header.extend(told.then_some("NOTE"));
    invocation
        .out
        .print(&table(&invocation.out, &header, &[3, 4, 5], rows));
}

/// What a pin says: until when, and why.
pub fn pin_words(pin: &StoredPin, zone: &jiff::tz::TimeZone) -> String {
    match pin.until {
        Some(until) => format!("until {}: {}", last_day(until, zone), pin.reason),
        None => pin.reason.clone(),
    }
}

/// The last day before `end`, which is the first instant that is not meant any more.
fn last_day(end: Timestamp, zone: &jiff::tz::TimeZone) -> Date {
    let moment = SignedDuration::from_nanos(1);
    let last = end.checked_sub(moment).unwrap_or(end);
    last.to_zoned(zone.clone()).date()
}

fn space_json(space: &SourceSpace) -> Value {
    json!({
        "source": space.source,
        "backups": space.backups,
        "raw_bytes": space.raw_bytes,
        "stored_bytes": space.stored_bytes,
        "shared_bytes": space.shared_bytes,
    })
}

/// A source without backups has to be configured at least; else its name is a slip.
fn check_name(opened: &Opened, name: &SourceName) -> Result<(), Failure> {
    let known = sources_known(opened);
    if known.contains(name.as_str()) {
        return Ok(());
    }
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    if names.is_empty() {
        return Err(Failure::user(format!(
            "there is no source {name}; none is configured, and the vault holds no backup"
        ))
        .hint("see the sources with `resguardo config show`"));
    }
    let failure = Failure::user(format!(
        "there is no source {name}; known here: {}",
        names.join(", ")
    ));
    Err(match nearest(name.as_str(), names.iter().copied()) {
        Some(meant) => failure.hint(format!("did you mean {meant}?")),
        None => failure.hint("see all backups with `resguardo list`"),
    })
}

/// Of each id the shortest beginning, of at least the ten characters of its time, that no other id has.
fn short_ids(all: &[ListedBackup]) -> BTreeMap<String, String> {
    let ids: BTreeSet<String> = all.iter().map(|backup| backup.id.to_string()).collect();
    let ids: Vec<&String> = ids.iter().collect();
    // In order, the ids that share the longest beginning are neighbours.
    let shared = |a: &str, b: &str| a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let short = ids.iter().enumerate().map(|(at, id)| {
        let before = at.checked_sub(1).map_or(0, |at| shared(ids[at], id));
        let after = ids.get(at + 1).map_or(0, |next| shared(next, id));
        let length = (before.max(after) + 1).clamp(10, id.len());
        ((*id).clone(), id[..length].to_owned())
    });
    short.collect()
}

/// The note and the commit of a backup, on one line.
fn words(backup: &ListedBackup) -> String {
    const COMMIT_MAX: usize = 10;
    let commit: String = backup.commit.chars().take(COMMIT_MAX).collect();
    let note = backup.note.lines().next().unwrap_or_default();
    match (note.is_empty(), commit.is_empty()) {
        (_, true) => note.to_owned(),
        (true, false) => commit,
        (false, false) => format!("{note} ({commit})"),
    }
}

/// The copies that hold a backup, as far as receipts tell.
fn copies_of(backup: &ListedBackup, config: &Config) -> String {
    let configured = config.copies.iter();
    let names: Vec<String> = configured
        .filter(|copy| backup.copies.contains(&copy.url) || backup.copy_names.contains(&copy.name))
        .map(|copy| {
            let is_damaged =
                backup.damaged_at.contains(&copy.url) || backup.damaged_names.contains(&copy.name);
            match is_damaged {
                true => format!("{} (damaged)", copy.name),
                false => copy.name.clone(),
            }
        })
        .collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

fn proven(backup: &ListedBackup, zone: &jiff::tz::TimeZone) -> String {
    match (&backup.proven_at, &backup.last_drill) {
        (Some(at), Some(last)) if last.verdict != Verdict::Passed => {
            let how = match last.verdict {
                Verdict::Error => "a drill ended with an error",
                Verdict::Failed | Verdict::Passed => "a drill failed",
            };
            format!("{}, then {how}", time::moment(*at, zone))
        }
        (Some(at), _) => time::moment(*at, zone),
        (None, Some(last)) if last.verdict == Verdict::Error => "drill error".to_owned(),
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
        "note": backup.note,
        "commit": backup.commit,
        "migration": backup.migration,
        "database": (!backup.database.is_empty()).then_some(&backup.database),
        "copies": backup.copies,
        "damaged_at": backup.damaged_at,
        "frees_bytes": backup.frees_bytes,
        "pinned": backup.pin.as_ref().map(|pin| json!({
            "reason": pin.reason,
            "until": pin.until,
            "trusted": pin.trusted,
        })),
    })
}
