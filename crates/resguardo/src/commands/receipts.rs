//! `receipts`: the signed records, listed, shown and checked.

use std::path::Path;

use clap::Subcommand;
use resguardo_model::SourceName;
use resguardo_ops::ErrorKind;
use resguardo_ops::receipts::{self, FileVerified, ReceiptSummary};
use serde_json::{Value, json};

use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::{Invocation, Opened, Reading};
use crate::render::table::table;
use crate::render::{about_object, counted, finding_line, time};

const AFTER_HELP: &str = "\
Lists, shows and checks receipts: in-toto statements in DSSE envelopes, signed
with Ed25519, each naming the one before it.

Examples:
  resguardo receipts list shop
  resguardo receipts show 01jd8kq2v3       one; --raw: the signed envelope
  resguardo receipts verify                signatures, chains, whole vault
  resguardo receipts verify 01jd8kq2v3     one receipt of the vault
  resguardo receipts verify receipt.json   one file, offline, without a vault";

/// List, show and check the signed receipts
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(subcommand)]
    verb: ReceiptsVerb,
}

#[derive(Debug, Subcommand)]
enum ReceiptsVerb {
    /// List them, oldest first
    List {
        /// Only those of this source
        name: Option<SourceName>,
    },
    /// Show one
    Show {
        /// Its run, or the beginning of it
        run: String,
        /// The signed envelope as it is stored
        #[arg(long)]
        raw: bool,
    },
    /// Check signatures and chains
    Verify {
        /// Files to check offline, or runs [default: every receipt of the vault]
        #[arg(value_name = "FILE|RUN")]
        names: Vec<String>,
    },
}

/// Runs `receipts`.
///
/// # Errors
/// If the vault or a file cannot be read. A forged receipt is no error, but exit code 3.
pub fn run(invocation: &Invocation, args: &Args) -> Result<Exit, Failure> {
    match &args.verb {
        ReceiptsVerb::List { name } => list(invocation, name.as_ref()),
        ReceiptsVerb::Show { run, raw } => show(invocation, run, *raw),
        ReceiptsVerb::Verify { names } if names.is_empty() => verify_vault(invocation),
        ReceiptsVerb::Verify { names } => verify_named(invocation, names),
    }
}

/// The shape of `docs/json.md`.
pub fn summary_json(receipt: &ReceiptSummary) -> Value {
    json!({
        "run": receipt.run,
        "key": receipt.key,
        "sha256": receipt.sha256,
        "verb": receipt.verb,
        "source": receipt.source,
        "backup": receipt.backup,
        "outcome": receipt.outcome,
        "started_at": receipt.started_at,
        "finished_at": receipt.finished_at,
        "sequence": receipt.sequence,
        "writer": receipt.writer,
        "trusted": receipt.trusted,
    })
}

fn list(invocation: &Invocation, name: Option<&SourceName>) -> Result<Exit, Failure> {
    let opened = invocation.open_to_look(invocation.config()?, Reading::Nothing)?;
    let listed = receipts::list(&opened.context, name)?;
    for finding in &listed.findings {
        invocation.out.warn(&finding_line(finding));
    }
    invocation.out.json(&json!({
        "receipts": listed.receipts.iter().map(summary_json).collect::<Vec<_>>(),
        "findings": listed.findings,
    }));
    if listed.receipts.is_empty() {
        invocation.out.print("no receipt yet");
        return Ok(Exit::Done);
    }
    let rows = listed
        .receipts
        .iter()
        .map(|receipt| {
            vec![
                receipt.run.to_string(),
                receipt.source.to_string(),
                receipt.verb.word().to_owned(),
                receipt.outcome.clone(),
                time::moment(receipt.finished_at, &opened.context.zone),
                receipt.sequence.to_string(),
            ]
        })
        .collect();
    let header = [
        "RECEIPT", "SOURCE", "VERB", "OUTCOME", "FINISHED", "SEQUENCE",
    ];
    invocation
        .out
        .print(&table(&invocation.out, &header, &[5], rows));
    Ok(Exit::Done)
}

fn show(invocation: &Invocation, run: &str, raw: bool) -> Result<Exit, Failure> {
    let opened = invocation.open_to_look(invocation.config()?, Reading::Nothing)?;
    let found = receipts::find(&opened.context, run)?;
    if raw {
        invocation
            .out
            .print(String::from_utf8_lossy(&found.bytes).trim_end());
    } else {
        let statement = serde_json::to_string_pretty(&found.statement).unwrap_or_default();
        invocation.out.print(&statement);
    }
    invocation.out.json(&json!({
        "key": found.key,
        "sha256": found.sha256,
        "trusted": found.trusted,
        "statement": found.statement,
        "envelope": serde_json::from_slice::<Value>(&found.bytes).unwrap_or_default(),
    }));
    Ok(Exit::Done)
}

fn verify_vault(invocation: &Invocation) -> Result<Exit, Failure> {
    let opened = invocation.open_to_look(invocation.config()?, Reading::Nothing)?;
    let listed = receipts::list(&opened.context, None)?;
    let strangers = listed
        .receipts
        .iter()
        .filter(|receipt| !receipt.trusted)
        .count();
    invocation.out.json(&json!({
        "receipts": listed.receipts.len(),
        "untrusted": strangers,
        "findings": listed.findings,
    }));
    for finding in &listed.findings {
        invocation.out.print(&format!(
            "{}: {}",
            invocation.out.bad(&finding.object),
            about_object(finding)
        ));
    }
    if strangers > 0 {
        invocation.out.warn(&format!(
            "{} signed by a writer that is not pinned on this machine",
            counted(strangers as u64, "receipt is", "receipts are")
        ));
    }
    if listed.findings.is_empty() {
        let count = counted(listed.receipts.len() as u64, "receipt", "receipts");
        invocation.out.say(&format!(
            "{}: {count}, every signature holds and no chain has a hole",
            invocation.out.good("ok")
        ));
        return Ok(Exit::Done);
    }
    Ok(Exit::Findings)
}

fn verify_named(invocation: &Invocation, names: &[String]) -> Result<Exit, Failure> {
    let mut exit = Exit::Done;
    let mut answers = Vec::new();
    let mut opened = None;
    for name in names {
        let path = invocation.ambient.absolute(Path::new(name));
        let (verified, trusted) = if path.is_file() || name.contains(['/', '.']) {
            (receipts::verify_file(&path)?, None)
        } else {
            let opened = match &mut opened {
                Some(opened) => opened,
                none => {
                    none.insert(invocation.open_to_look(invocation.config()?, Reading::Nothing)?)
                }
            };
            verify_run(opened, name)?
        };
        invocation
            .out
            .print(&verified_line(invocation, name, &verified, trusted));
        if verified.statement.is_err() {
            exit = Exit::Findings;
        }
        answers.push(json!({
            "path": name,
            "ok": verified.statement.is_ok(),
            "writer": verified.writer,
            "trusted": trusted,
            "statement": verified.statement.as_ref().ok(),
            "error": verified.statement.as_ref().err(),
        }));
    }
    invocation.out.json(&json!({ "files": answers }));
    if exit == Exit::Done {
        invocation
            .out
            .note("a signature says who signed; whether to trust that writer is for you to say, and whether one is missing only `resguardo receipts verify`");
    }
    Ok(exit)
}

/// One receipt of the vault, read from it now. A forged one is an answer, not an error.
fn verify_run(opened: &Opened, run: &str) -> Result<(FileVerified, Option<bool>), Failure> {
    let mut trusted = None;
    let (statement, writer, path) = match receipts::find(&opened.context, run) {
        Ok(found) => {
            let writer = found.statement.predicate.writer;
            trusted = Some(found.trusted);
            (Ok(found.statement), Some(writer), found.key)
        }
        Err(error) if error.kind() == ErrorKind::Findings => {
            (Err(error.to_string()), None, run.to_owned())
        }
        Err(error) => return Err(error.into()),
    };
    let verified = FileVerified {
        path: path.into(),
        statement,
        writer,
    };
    Ok((verified, trusted))
}

fn verified_line(
    invocation: &Invocation,
    name: &str,
    verified: &FileVerified,
    trusted: Option<bool>,
) -> String {
    let out = &invocation.out;
    match (&verified.statement, verified.writer) {
        (Ok(statement), Some(writer)) => {
            let predicate = &statement.predicate;
            let trust = match trusted {
                Some(true) => ", which is trusted here",
                Some(false) => ", which is not trusted here",
                None => "",
            };
            format!(
                "{} {name}: {} of {} {}, {}, signed by {writer}{trust}",
                out.good("ok"),
                predicate.verb.word(),
                predicate.source,
                predicate.outcome,
                time::moment(predicate.finished_at, &invocation.ambient.zone),
            )
        }
        (Err(why), _) => format!("{} {name}: {why}", out.bad("bad")),
        (Ok(_), None) => format!("{} {name}: no signature", out.bad("bad")),
    }
}
