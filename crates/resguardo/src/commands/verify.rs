//! `verify`: what is stored is what was promised.

use clap::ValueEnum;
use resguardo_model::size::ByteSize;
use resguardo_model::{Findings, SourceName};
use resguardo_ops::Reference;
use resguardo_ops::verify::{self, Depth, Scope, VerifyDone, VerifyRequest};
use serde_json::json;

use super::of_reference;
use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::{FromCopy, Invocation, Reading};
use crate::render::{Output, about_object, counted, time};

const AFTER_HELP: &str = "\
Checks what is stored in the vault, without restoring it.

Depths:
  heads      signatures, order and chain of the heads; every object is there
             (needs no key)
  digests    also the SHA-256 of every object (needs no key)
  structure  manifests and pack tables open, and every extent lies where it
             says (needs an identity)
  bytes      every stored byte is read, decrypted, decoded and compared

Examples:
  resguardo verify                   every backup, every byte
  resguardo verify --depth heads     quick, on a machine without an identity
  resguardo verify shop@2026-11-20

Findings end with exit code 3. They name the backups that they hit, and those
that are whole.";

/// Check what is stored in the vault
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// One backup [default: all]
    #[arg(value_name = "REF", conflicts_with_all = ["all", "source"])]
    backup: Option<String>,
    /// Every backup of every source, and the receipts
    #[arg(long, conflicts_with = "source")]
    all: bool,
    /// Every backup of one source
    #[arg(long, value_name = "NAME")]
    source: Option<SourceName>,
    /// How deep
    #[arg(long, value_enum, default_value_t = DepthArg::Bytes)]
    depth: DepthArg,
    #[command(flatten)]
    from: FromCopy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DepthArg {
    Heads,
    Digests,
    Structure,
    Bytes,
}

impl DepthArg {
    /// The depth, and what it reads.
    pub fn parts(self) -> (Depth, Reading) {
        match self {
            Self::Heads => (Depth::Heads, Reading::Nothing),
            Self::Digests => (Depth::Digests, Reading::Nothing),
            Self::Structure => (Depth::Structure, Reading::Backups),
            Self::Bytes => (Depth::Bytes, Reading::Backups),
        }
    }
}

/// Runs `verify`.
///
/// # Errors
/// If the vault cannot be read. What is found wrong is no error, but exit code 3.
pub fn run(invocation: &Invocation, args: &Args) -> Result<Exit, Failure> {
    let scope = match (&args.backup, &args.source) {
        (Some(reference), _) => Scope::Backup(reference.parse::<Reference>()?),
        (None, Some(source)) => Scope::Source(source.clone()),
        (None, None) => Scope::All,
    };
    let (depth, reading) = args.depth.parts();
    let opened = invocation.open_from(invocation.config()?, reading, &args.from, true)?;
    let done = verify::verify(&opened.context, &VerifyRequest { scope, depth })
        .map_err(|error| of_reference(error, &opened))?;
    for note in &done.notes {
        invocation.out.note(note);
    }
    invocation.out.json(&as_json(&done));
    print(&invocation.out, &done);
    Ok(if done.findings.findings.is_empty() {
        Exit::Done
    } else {
        Exit::Findings
    })
}

/// The shape of `docs/json.md`.
pub fn as_json(done: &VerifyDone) -> serde_json::Value {
    let mut answer = json!(done.findings);
    answer["orphans"] = done
        .orphans
        .iter()
        .map(|(source, dead)| json!({ "source": source, "objects": dead.objects, "bytes": dead.bytes }))
        .collect();
    answer["run"] = json!(done.run);
    answer["seconds"] = json!(done.seconds);
    answer["receipts"] = json!(done.receipts);
    answer["notes"] = json!(done.notes);
    answer
}

/// What was found, for people.
pub fn print(out: &Output, done: &VerifyDone) {
    let Findings {
        findings,
        whole,
        objects_checked,
        bytes_read,
    } = &done.findings;
    for finding in findings {
        let kind = serde_json::to_value(finding.kind).unwrap_or_default();
        out.print(&format!(
            "{} {}: {}",
            out.bad(kind.as_str().unwrap_or("finding")),
            finding.object,
            about_object(finding)
        ));
        if !finding.backups_hit.is_empty() {
            let hit: Vec<String> = finding
                .backups_hit
                .iter()
                .map(ToString::to_string)
                .collect();
            out.print(&format!("  backups hit: {}", hit.join(", ")));
        }
    }
    if !findings.is_empty() && !whole.is_empty() {
        let whole: Vec<String> = whole.iter().map(ToString::to_string).collect();
        out.print(&format!("whole: {}", whole.join(", ")));
    }
    let looked = format!(
        "{} whole; {} and {} read in {}",
        counted(whole.len() as u64, "backup is", "backups are"),
        counted(*objects_checked, "object checked", "objects checked"),
        ByteSize(*bytes_read),
        time::length(done.seconds),
    );
    if findings.is_empty() {
        out.say(&format!("{}: {looked}", out.good("nothing is wrong")));
    } else {
        out.print(&format!(
            "{}: {looked}",
            out.bad(&counted(findings.len() as u64, "finding", "findings"))
        ));
        out.print(
            if findings
                .iter()
                .any(|finding| !finding.backups_hit.is_empty())
            {
                "take a new backup of what is hit: `resguardo backup`"
            } else {
                "no backup is hit"
            },
        );
    }
}
