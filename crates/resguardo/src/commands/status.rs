//! `status`: how every source stands against what its environment promises, worst first.

mod watched;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use resguardo_model::size::ByteSize;
use resguardo_model::{Concern, Measure, SourceName, Standing, Verdict};
use resguardo_ops::status::{self, SourceStatus, Status};
use serde_json::json;

pub use watched::watched;

use super::{no_source, no_such_source, plan};
use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::{Invocation, Reading};
use crate::render::table::{pairs, table};
use crate::render::{Output, counted, finding_line, time};

const AFTER_HELP: &str = "\
Shows of each source the age of what could be restored and the time that a
restore takes, against RPO and RTO, and when a drill last proved it. Needs no
key. Exit code 3 if a promise does not hold.

  ok            as it has to be
  at_risk       it holds, and is about not to
  never_proven  no drill ever passed: nobody knows
  breached      what was promised does not hold

Examples:
  resguardo status             every source, the worst first
  resguardo status shop        all about one
  resguardo status --json | jq '.sources[] | select(.standing != \"ok\")'";

/// Show how each source stands against what was promised
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Only this source, with everything that is known of it
    name: Option<SourceName>,
}

/// Runs `status`.
///
/// # Errors
/// If there is no vault, no source, or the catalog cannot be read. What does not hold is no error, but exit
/// code 3.
pub fn run(invocation: &Invocation, args: &Args) -> Result<Exit, Failure> {
    let config = invocation.config()?;
    if config.sources.is_empty() {
        return Err(no_source(&config));
    }
    if let Some(name) = &args.name
        && config.sources.iter().all(|source| source.name != *name)
    {
        return Err(no_such_source(&config, name));
    }
    let jobs = plan::jobs(&config);
    let opened = invocation.open_with(config, Reading::Nothing)?;
    let mut all = watched(&opened.config, &jobs, &opened.context);
    all.retain(|one| args.name.as_ref().is_none_or(|name| one.source == *name));
    let mut status = status::look(&opened.context, &all)?;
    let wanted = |name: &SourceName| args.name.as_ref().is_none_or(|only| name == only);
    status.exceptions.retain(|one| wanted(&one.source));
    status
        .findings
        .retain(|one| one.source.as_ref().is_none_or(wanted));
    tell(&invocation.out, &status);
    invocation.out.json(&json!(status));
    let zone = &opened.context.zone;
    match (&args.name, &status.sources[..]) {
        (Some(_), [only]) => print_one(&invocation.out, only, status.at, zone),
        _ => print_all(&invocation.out, &status, zone),
    }
    let is_breached = |one: &SourceStatus| one.standing == Standing::Breached;
    if status.sources.iter().any(is_breached) {
        return Ok(Exit::Findings);
    }
    Ok(Exit::Done)
}

/// What a person must know beside the table.
fn tell(out: &Output, status: &Status) {
    if let Some(why) = &status.unreachable {
        out.warn(&format!(
            "the vault cannot be reached, this is what was known of it last: {why}"
        ));
    }
    for finding in &status.findings {
        out.warn(&finding_line(finding));
    }
    let open = status.exceptions.len() as u64;
    if open > 0 {
        out.note(&format!(
            "{} open: see `resguardo exceptions`",
            counted(open, "exception is", "exceptions are")
        ));
    }
}

fn print_all(out: &Output, status: &Status, zone: &TimeZone) {
    let rows: Vec<Vec<String>> = status
        .sources
        .iter()
        .map(|one| {
            vec![
                one.source.to_string(),
                painted(out, one.standing),
                measured(one.rpo),
                measured(one.rto),
                proven(one, zone),
                why(one),
            ]
        })
        .collect();
    let header = ["SOURCE", "STANDING", "RPO", "RTO", "PROVEN", "WHY"];
    out.print(&table(out, &header, &[], rows));
}

fn print_one(out: &Output, one: &SourceStatus, now: Timestamp, zone: &TimeZone) {
    let moment = |at: Option<Timestamp>| at.map_or("-".to_owned(), |at| time::moment(at, zone));
    let mut rows = vec![
        ("source", one.source.to_string()),
        ("environment", one.environment.clone()),
        ("standing", painted(out, one.standing)),
    ];
    if !one.concerns.is_empty() {
        rows.push(("why", why(one)));
    }
    rows.push(("rpo", measured(one.rpo)));
    rows.push(("rto", measured(one.rto)));
    rows.push(("proven", proven(one, zone)));
    if let Some(drill) = &one.last_drill {
        let verdict = match drill.verdict {
            Verdict::Passed => "passed",
            Verdict::Failed => "failed",
            Verdict::Error => "ended with an error",
        };
        let at = time::moment(drill.at, zone);
        rows.push(("last drill", format!("{at}, {verdict}")));
    }
    if let Some(backup) = &one.last_backup {
        let said = format!(
            "{}, {}, {} in {}",
            time::moment(backup.taken_at, zone),
            time::ago(backup.taken_at, now),
            ByteSize(backup.raw_bytes),
            time::length(backup.seconds)
        );
        rows.push(("last backup", said));
    }
    let stored = format!(
        "{}, {} in the vault",
        one.backups,
        ByteSize(one.stored_bytes)
    );
    rows.push(("backups", stored));
    for copy in &one.copies {
        let said = match copy.behind {
            0 => format!("{}: has every backup", copy.name),
            behind => format!(
                "{}: lacks {}",
                copy.name,
                counted(behind, "backup", "backups")
            ),
        };
        rows.push(("copy", said));
    }
    rows.push(("next backup", moment(one.next_backup)));
    rows.push(("next drill", moment(one.next_drill)));
    if let Some(forecast) = &one.forecast {
        rows.push(("forecast", forecast_words(forecast, zone)));
    }
    rows.push(("exceptions", one.exceptions.to_string()));
    out.print(&pairs(&rows));
}

/// When the drill will take longer than the RTO.
fn forecast_words(forecast: &status::Forecast, zone: &TimeZone) -> String {
    let month = |at: Timestamp| at.to_zoned(zone.clone()).strftime("%Y-%m").to_string();
    let latest = forecast.latest.map_or_else(
        || "perhaps never".to_owned(),
        |latest| format!("{} at the latest", month(latest)),
    );
    format!(
        "drills pass the RTO in {} (not before {}, {latest})",
        month(forecast.crosses_at),
        month(forecast.earliest)
    )
}

fn painted(out: &Output, standing: Standing) -> String {
    match standing {
        Standing::Ok => out.good(standing.word()),
        Standing::AtRisk => out.dubious(standing.word()),
        Standing::NeverProven => out.pale(standing.word()),
        Standing::Breached => out.bad(standing.word()),
    }
}

/// What was measured, of what was promised.
fn measured(measure: Measure) -> String {
    let target = measure.target_seconds.map(whole);
    match (measure.seconds, target) {
        (Some(seconds), Some(target)) => format!("{} of {target}", time::length(seconds)),
        (Some(seconds), None) => time::length(seconds),
        (None, Some(target)) => format!("? of {target}"),
        (None, None) => "?".to_owned(),
    }
}

/// A target, as it is written: `24h`, `90m`.
fn whole(seconds: u64) -> String {
    match seconds {
        0 => "0s".to_owned(),
        _ if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        _ if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

fn proven(one: &SourceStatus, zone: &TimeZone) -> String {
    let proven = one.proven.as_ref();
    proven.map_or("never".to_owned(), |proven| time::moment(proven.at, zone))
}

fn why(one: &SourceStatus) -> String {
    let words: Vec<&str> = one.concerns.iter().map(|concern| words(*concern)).collect();
    words.join("; ")
}

fn words(concern: Concern) -> &'static str {
    match concern {
        Concern::NoBackup => "nothing could be restored",
        Concern::RpoPassed => "what could be restored is older than the RPO",
        Concern::RpoNear => "the RPO is almost used up",
        Concern::BackupOverdue => "a backup is overdue",
        Concern::BackupLate => "a backup is late",
        Concern::BackupFailed => "the last backup failed",
        Concern::RtoPassed => "a restore takes longer than the RTO",
        Concern::RtoNear => "a restore takes almost the RTO",
        Concern::RtoForecast => "drills are about to take longer than the RTO",
        Concern::NeverProven => "no drill ever passed",
        Concern::DrillFailed => "the last drill failed",
        Concern::DrillError => "the last drill could not be carried out",
        Concern::DrillOverdue => "a drill is overdue",
        Concern::DrillLate => "a drill is late",
        Concern::CopyBehind => "a copy is behind",
        Concern::Findings => "something is wrong in the vault",
    }
}
