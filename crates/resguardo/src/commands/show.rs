//! `show`: everything that is known of one backup.

use resguardo_model::size::ByteSize;
use resguardo_model::{FileKind, Verdict};
use resguardo_ops::Reference;
use resguardo_ops::backup::{COMMIT, DATABASE, MIGRATION};
use resguardo_ops::show::{self, Contents, ShowDone};
use serde_json::{Value, json};

use super::{list, of_reference};
use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::{FromCopy, Invocation, Reading};
use crate::render::table::{pairs, table};
use crate::render::{counted, time};

const AFTER_HELP: &str = "\
Shows one backup: when and why it was taken, what is in it, and its receipts.
What is in it only an identity opens.

Examples:
  resguardo show latest
  resguardo show shop@2026-11-20    the newest of that day or before
  resguardo show 01jd8kq2v3 --json";

/// Show everything that is known of one backup
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The backup
    #[arg(value_name = "REF")]
    backup: String,
    #[command(flatten)]
    from: FromCopy,
}

/// Runs `show`.
///
/// # Errors
/// If there is no such backup.
pub fn run(invocation: &Invocation, args: &Args) -> Result<Exit, Failure> {
    let reference: Reference = args.backup.parse()?;
    let opened =
        invocation.open_from(invocation.config()?, Reading::IfAtHand, &args.from, false)?;
    let mut done =
        show::show(&opened.context, &reference).map_err(|error| of_reference(error, &opened))?;
    if let (Err(why), Some(unread)) = (&mut done.contents, &opened.unread_identity) {
        *why = unread.in_a_line();
    }
    invocation.out.json(&as_json(&done));
    print(invocation, &done, &opened.context.zone);
    Ok(Exit::Done)
}

fn print(invocation: &Invocation, done: &ShowDone, zone: &jiff::tz::TimeZone) {
    let (backup, head) = (&done.backup, &done.head.head);
    let out = &invocation.out;
    let trust = if backup.trusted {
        ""
    } else {
        " (not pinned on this machine)"
    };
    let proven = match (backup.proven_at, backup.last_drill) {
        (Some(at), _) => time::moment(at, zone),
        (None, Some(last)) if last.verdict == Verdict::Error => {
            "no: its last drill ended with an error".to_owned()
        }
        (None, Some(_)) => "no: its last drill failed".to_owned(),
        (None, None) => format!(
            "not yet; prove it with `resguardo drill {}`",
            &backup.id.to_string()[..10]
        ),
    };
    let mut rows = vec![
        ("backup", backup.id.to_string()),
        ("source", format!("{} ({})", backup.source, backup.engine)),
        ("taken", time::moment(backup.taken_at, zone)),
        ("reason", backup.reason.to_string()),
        ("size", ByteSize(backup.raw_bytes).to_string()),
        (
            "stored",
            format!(
                "{} added; {} of {} needed",
                ByteSize(backup.stored_bytes),
                counted(head.packs.len() as u64, "pack", "packs"),
                ByteSize(head.packs.iter().map(|pack| pack.bytes).sum()),
            ),
        ),
        (
            "deleting it",
            format!("frees {}", ByteSize(backup.frees_bytes)),
        ),
        ("head", done.head.sha256.to_string()),
        ("manifest", head.manifest.sha256.to_string()),
        ("writer", format!("{}{trust}", backup.writer)),
        ("proven", proven),
    ];
    if let Some(lock) = &done.lock {
        let until = lock.until.map_or_else(
            || "until it is lifted".to_owned(),
            |until| format!("until {}", time::moment(until, zone)),
        );
        let mode = lock
            .mode
            .map_or_else(String::new, |mode| format!(" ({mode})"));
        rows.push(("locked", format!("by the store, {until}{mode}")));
    }
    if let Some(pin) = &backup.pin {
        rows.push(("pinned", list::pin_words(pin, zone)));
    }
    if let Ok(contents) = &done.contents {
        rows.extend(origin_rows(contents));
    }
    out.print(&pairs(&rows));
    match &done.contents {
        Ok(contents) => print_contents(invocation, contents),
        Err(why) => out.note(&format!("what is in it cannot be shown: {why}")),
    }
    if !done.receipts.is_empty() {
        out.print("");
        let rows = done
            .receipts
            .iter()
            .map(|receipt| {
                vec![
                    receipt.run.to_string(),
                    receipt.verb.word().to_owned(),
                    receipt.outcome.clone(),
                    time::moment(receipt.finished_at, zone),
                ]
            })
            .collect();
        out.print(&table(
            out,
            &["RECEIPT", "VERB", "OUTCOME", "FINISHED"],
            &[],
            rows,
        ));
    }
}

/// Who took it, where, with what.
fn origin_rows(contents: &Contents) -> Vec<(&'static str, String)> {
    let header = &contents.header;
    let mut rows = vec![
        ("host", header.host.clone()),
        ("operator", header.operator.clone()),
        ("resguardo", header.resguardo.clone()),
        (
            "read by",
            format!("{} {}", header.facts.engine, header.facts.server_version),
        ),
    ];
    if !header.note.is_empty() {
        rows.push(("note", header.note.clone()));
    }
    let details = &header.facts.details;
    let texts = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if let Some(database) = details.get(DATABASE) {
        rows.push(("database", texts(database)));
    }
    if let Some(commit) = details.get(COMMIT) {
        rows.push(("commit", texts(commit)));
    }
    if let Some(migration) = details.get(MIGRATION).filter(|value| !value.is_null()) {
        let (table, version) = (texts(&migration["table"]), texts(&migration["version"]));
        rows.push(("migration", format!("{version} ({table})")));
    }
    if let Some(Value::Array(left_out)) = details.get("left_out") {
        rows.extend(left_out.iter().map(|what| ("left out", texts(what))));
    }
    rows
}

fn print_contents(invocation: &Invocation, contents: &Contents) {
    let out = &invocation.out;
    let header = &contents.header;
    out.print("");
    let files = contents
        .files
        .iter()
        .map(|file| {
            let kind = match file.kind {
                FileKind::Pages { page_bytes } => format!("pages of {page_bytes}"),
                FileKind::Stream => "stream".to_owned(),
            };
            vec![
                file.path.to_string(),
                ByteSize(file.bytes).to_string(),
                kind,
                file.sha256.to_string(),
            ]
        })
        .collect();
    out.print(&table(
        out,
        &["FILE", "SIZE", "KIND", "SHA-256"],
        &[1],
        files,
    ));
    out.print("");
    let tables = header
        .facts
        .tables
        .iter()
        .map(|table| vec![table.name.clone(), table.rows.to_string()])
        .collect();
    out.print(&table(out, &["TABLE", "ROWS"], &[1], tables));
}

fn as_json(done: &ShowDone) -> Value {
    let head = &done.head.head;
    let contents = done.contents.as_ref().ok();
    let mut backup = list::as_json(&done.backup);
    backup["head_sha256"] = json!(done.head.sha256);
    backup["manifest"] = json!(head.manifest);
    backup["sequence"] = json!(head.sequence);
    backup["packs"] = json!(head.packs);
    backup["locked"] = json!(
        done.lock
            .as_ref()
            .map(|lock| json!({ "until": lock.until, "mode": lock.mode }))
    );
    json!({
        "backup": backup,
        "manifest": contents.map(|contents| &contents.header),
        "files": contents.map(|contents| {
            contents
                .files
                .iter()
                .map(|file| json!({
                    "path": file.path,
                    "kind": file.kind,
                    "bytes": file.bytes,
                    "sha256": file.sha256,
                    "extents": file.extents,
                }))
                .collect::<Vec<_>>()
        }),
        "contents_error": done.contents.as_ref().err(),
        "receipts": done.receipts.iter().map(super::receipts::summary_json).collect::<Vec<_>>(),
    })
}
