//! `drill`: proves that a backup comes back.

use std::path::{Path, PathBuf};

use resguardo_model::{CheckOutcome, CheckResult, SourceName, Verdict};
use resguardo_ops::drill::{self, DrillDone, DrillRequest};
use resguardo_ops::report::{self, Format, Language};
use resguardo_ops::{Origin, Reference};
use resguardo_store::durable::{self, Mode};
use serde_json::json;

use super::restore::is_dump;
use super::{no_source, no_such_source, of_reference};
use crate::cli::Lang;
use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::{FromCopy, Invocation, Opened, Reading};
use crate::render::table::table;
use crate::render::{Output, time};
use crate::telling::Pings;

const AFTER_HELP: &str = "\
Restores a backup into a private sandbox, compares it with what was there
when it was taken, provisions and migrates it, runs the checks, measures RTO
and RPO, destroys the sandbox, and signs a receipt.

Examples:
  resguardo drill                            the newest backup of every source
  resguardo drill shop --report drill.html   with a report; --lang es: Spanish
  resguardo drill shop@2026-11-20            an older one
  resguardo drill --file shop.sqlite.gz --source shop

A drill that does not pass ends with exit code 3, and says what did not pass
with --quiet too. Its receipt is signed either way.";

/// Prove that a backup comes back: restore it into a sandbox, check it, time it, sign it
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// A source, or a backup [default: the newest backup of every source]
    #[arg(value_name = "NAME|REF", conflicts_with = "file")]
    what: Option<String>,
    /// Drill a standard file instead
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The source that the file is a backup of: its checks and objectives apply
    #[arg(long, value_name = "NAME", requires = "file")]
    source: Option<SourceName>,
    /// Write a report, as Markdown or HTML by its ending
    #[arg(long, value_name = "FILE.md|FILE.html")]
    report: Option<PathBuf>,
    /// Keep the sandbox
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    from_copy: FromCopy,
}

/// Runs `drill`.
///
/// # Errors
/// If there is no such backup or source, or it was interrupted. That a check fails is no error, but exit
/// code 3.
pub fn run(invocation: &Invocation, args: &Args) -> Result<Exit, Failure> {
    let report = args
        .report
        .as_deref()
        .map(|path| Report::planned(invocation, path))
        .transpose()?;
    let (opened, origins) = opened(invocation, args)?;
    let mut drills = Vec::new();
    let mut exit = Exit::Done;
    let mut first_failure: Option<Failure> = None;
    let several = origins.len() > 1;
    for origin in origins {
        let request = DrillRequest {
            origin,
            sources: &opened.sources,
            keep: args.keep,
        };
        let done = match one(invocation, &opened, &request) {
            Ok(done) => done,
            Err(failure) => {
                let interrupted = failure.exit == Exit::Interrupted;
                if let Some(earlier) = first_failure.replace(failure) {
                    earlier.print(&invocation.out);
                }
                if interrupted {
                    break;
                }
                continue;
            }
        };
        if done.verdict != Verdict::Passed {
            exit = Exit::Findings;
        }
        tell(&invocation.out, &done, &opened);
        if let Some(report) = &report
            && let Err(failure) = report.write(invocation, several, &done)
        {
            // The drill was done and its receipt is signed: neither its verdict nor the drills of the
            // other sources may be lost with its page.
            failure.print(&invocation.out);
            if exit == Exit::Done {
                exit = failure.exit;
            }
        }
        drills.push(json!(done));
    }
    invocation.out.json(&json!({ "drills": drills }));
    match first_failure {
        Some(failure) => Err(failure),
        None => Ok(exit),
    }
}

/// One drill, and a ping to the switches of its source before and after it.
fn one(
    invocation: &Invocation,
    opened: &Opened,
    request: &DrillRequest<'_>,
) -> Result<DrillDone, Failure> {
    let pings = match &request.origin {
        Origin::Backup(Reference::LatestOf(name)) => {
            Some(Pings::begin(invocation, &opened.config, name, "drill"))
        }
        _ => None,
    };
    let outcome =
        drill::drill(&opened.context, request).map_err(|error| of_reference(error, opened));
    if let Some(pings) = pings {
        let not_passed = Failure::new(Exit::Findings, "the drill did not pass");
        pings.end(match &outcome {
            Ok(done) if done.verdict == Verdict::Passed => Ok(()),
            Ok(_) => Err(&not_passed),
            Err(failure) => Err(failure),
        });
    }
    outcome
}

fn opened(invocation: &Invocation, args: &Args) -> Result<(Opened, Vec<Origin>), Failure> {
    if let Some(file) = &args.file {
        let config = invocation.config_for_use(&[])?;
        if let Some(name) = &args.source
            && config.source(name)?.is_none()
        {
            return Err(no_such_source(&config, name));
        }
        let path = invocation.ambient.absolute(file);
        if !is_dump(&path) {
            return Err(Failure::user(format!("{} does not exist", path.display())));
        }
        let origin = Origin::File {
            path,
            source: args.source.clone(),
        };
        let opened = if config.vault.url.is_some() {
            invocation.open_with(config, Reading::Nothing)?
        } else {
            invocation.open_without_vault(config)?
        };
        return Ok((opened, vec![origin]));
    }
    let config = invocation.config_for_use(&[])?;
    let anywhere = |mut opened: Opened| {
        opened.sources = opened.config.sources_anywhere();
        opened
    };
    if let Some(what) = &args.what {
        let reference: Reference = what.parse()?;
        let opened = invocation.open_from(config, Reading::Backups, &args.from_copy, true)?;
        return Ok((anywhere(opened), vec![Origin::Backup(reference)]));
    }
    let opened = anywhere(invocation.open_from(config, Reading::Backups, &args.from_copy, true)?);
    if opened.sources.is_empty() {
        return Err(no_source(&opened.config));
    }
    let origins = opened
        .sources
        .iter()
        .map(|source| Origin::Backup(Reference::LatestOf(source.name.clone())))
        .collect();
    Ok((opened, origins))
}

fn format_of(path: &Path) -> Result<Format, Failure> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("md" | "markdown") => Ok(Format::Markdown),
        Some("html" | "htm") => Ok(Format::Html),
        _ => Err(Failure::usage(format!(
            "--report {}: the ending says no format",
            path.display()
        ))
        .hint("end its name with .md or .html")),
    }
}

/// The report that was asked for.
struct Report {
    path: PathBuf,
    format: Format,
}

impl Report {
    /// Looks before the drill, which may take hours, whether its report has a place.
    fn planned(invocation: &Invocation, path: &Path) -> Result<Self, Failure> {
        let format = format_of(path)?;
        let path = invocation.ambient.absolute(path);
        let folder = path.parent().unwrap_or(&invocation.ambient.folder);
        if !folder.is_dir() {
            return Err(Failure::user(format!(
                "the report cannot be written: there is no folder {}",
                folder.display()
            ))
            .hint(format!("make it with `mkdir -p {}`", folder.display())));
        }
        Ok(Self { path, format })
    }

    /// Of several reports each has its source in its name.
    fn path_of(&self, several: bool, done: &DrillDone) -> PathBuf {
        let (true, Some(source)) = (several, &done.source) else {
            return self.path.clone();
        };
        let stem = self.path.file_stem().unwrap_or_default().to_string_lossy();
        let ending = self.path.extension().unwrap_or_default().to_string_lossy();
        self.path
            .with_file_name(format!("{stem}-{source}.{ending}"))
    }

    fn write(
        &self,
        invocation: &Invocation,
        several: bool,
        done: &DrillDone,
    ) -> Result<(), Failure> {
        let language = match invocation.global.lang {
            Lang::En => Language::En,
            Lang::Es => Language::Es,
        };
        let text = report::render(done, self.format, language);
        let path = self.path_of(several, done);
        durable::write(&path, text.as_bytes(), Mode::READABLE)?;
        invocation.out.say(&format!("  report: {}", path.display()));
        Ok(())
    }
}

fn tell(out: &Output, done: &DrillDone, opened: &Opened) {
    let name = done
        .source
        .as_ref()
        .map(ToString::to_string)
        .or_else(|| done.file.as_ref().map(|file| file.display().to_string()))
        .unwrap_or_default();
    let verdict = match done.verdict {
        Verdict::Passed => out.good("PASSED"),
        Verdict::Failed => out.bad("FAILED"),
        Verdict::Error => out.bad("ERROR"),
    };
    let of = match (done.backup, done.taken_at) {
        (Some(backup), Some(at)) => {
            format!(
                " backup {} of {}",
                &backup.to_string()[..10],
                time::moment(at, &opened.context.zone)
            )
        }
        (Some(backup), None) => format!(" backup {backup}"),
        (None, _) => String::new(),
    };
    // Under cron with --quiet somebody still has to learn what did not come back, and why.
    let told = match done.verdict {
        Verdict::Passed => Output::say,
        Verdict::Failed | Verdict::Error => Output::print,
    };
    told(out, &format!("{name}: {verdict}{of}"));
    out.say(&format!(
        "  {}   {}",
        measured(
            "RTO",
            done.rto_seconds,
            done.objectives.rto.map(|span| span.to_string())
        ),
        measured(
            "RPO",
            done.rpo_seconds,
            done.objectives.rpo.map(|span| span.to_string())
        ),
    ));
    let phases: Vec<String> = done
        .phases
        .iter()
        .map(|phase| format!("{} {}", phase.name, time::length(phase.seconds)))
        .collect();
    out.say(&format!("  phases: {}", phases.join(", ")));
    tell_checks(out, done, told);
    if let Some(folder) = &done.kept_at {
        // Under cron with --quiet, too: nobody else removes it.
        out.print(&format!("  sandbox kept: {}", folder.display()));
    }
    match &done.receipt {
        Some(receipt) => out.say(&format!("  receipt: {receipt}")),
        None => out.note("no receipt was signed: that takes a write key and a source"),
    }
    for note in &done.notes {
        out.note(note);
    }
}

/// With `--quiet` only the checks that did not pass.
fn tell_checks(out: &Output, done: &DrillDone, told: fn(&Output, &str)) {
    let rows = done
        .checks
        .iter()
        .filter(|check| !out.quiet || is_bad(check))
        .map(row)
        .collect();
    for line in table(out, &["CHECK", "OUTCOME", "EXPECTED", "ACTUAL"], &[], rows).lines() {
        told(out, &format!("  {line}"));
    }
    for check in done
        .checks
        .iter()
        .filter(|check| check.outcome != CheckOutcome::Passed && !check.detail.is_empty())
        .filter(|check| !out.quiet || is_bad(check))
    {
        told(
            out,
            &format!(
                "  {}: {}",
                check.name,
                check.detail.trim().replace('\n', "\n    ")
            ),
        );
    }
}

fn is_bad(check: &CheckResult) -> bool {
    matches!(check.outcome, CheckOutcome::Failed | CheckOutcome::Error)
}

fn measured(name: &str, seconds: Option<f64>, objective: Option<String>) -> String {
    let seconds = seconds.map_or_else(|| "unknown".to_owned(), time::length);
    match objective {
        Some(objective) => format!("{name} {seconds} (objective {objective})"),
        None => format!("{name} {seconds}"),
    }
}

fn row(check: &CheckResult) -> Vec<String> {
    let outcome = match check.outcome {
        CheckOutcome::Passed => "passed",
        CheckOutcome::Failed => "FAILED",
        CheckOutcome::Skipped => "skipped",
        CheckOutcome::Error => "ERROR",
    };
    vec![
        check.name.clone(),
        outcome.to_owned(),
        shortened(&check.expected),
        shortened(&check.actual),
    ]
}

fn shortened(text: &str) -> String {
    const CHARACTERS_MAX: usize = 36;
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= CHARACTERS_MAX {
        return line.to_owned();
    }
    let start: String = line.chars().take(CHARACTERS_MAX - 1).collect();
    format!("{start}…")
}
