//! `plan`: what comes next by schedule.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use resguardo_daemon::{Due, Job, Plan, Subject, Task};
use resguardo_model::SourceName;
use serde_json::{Value, json};

use super::no_such_source;
use crate::config::schedule::Plans;
use crate::config::{Config, SourceSettings};
use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::Invocation;
use crate::render::table::table;
use crate::render::time;

const AFTER_HELP: &str = "\
Shows when backups, drills, verifications, prunes and copies are due, by the
schedules of the config. Runs nothing.

A time of day that the clock skips in spring comes once, when the gap ends;
one that it shows twice in autumn comes once, the first time.

Examples:
  resguardo plan              the next time of everything
  resguardo plan shop -n 10   ten times of one source";

/// Show what is due next
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Only of these sources
    names: Vec<SourceName>,
    /// So many times of each
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    count: u16,
}

/// A time of a job.
struct Coming<'a> {
    job: &'a Job,
    plan: &'a Plan,
    due: Due,
}

/// Runs `plan`.
///
/// # Errors
/// If the config makes no sense, or has no such source.
pub fn run(invocation: &Invocation, args: &Args) -> Result<Exit, Failure> {
    let config = invocation.config()?;
    let names: Vec<&SourceName> = config.sources.iter().map(|source| &source.name).collect();
    if let Some(unknown) = args.names.iter().find(|name| !names.contains(name)) {
        return Err(no_such_source(&config, unknown));
    }
    let wanted = |name: &SourceName| args.names.is_empty() || args.names.contains(name);
    let jobs: Vec<Job> = jobs(&config)
        .into_iter()
        .filter(|job| job.plan.is_some() && job.subject.source().is_some_and(wanted))
        .collect();
    let now = invocation.clock.now();
    let coming = coming(&jobs, now, args.count);
    invocation.out.json(&json!({
        "runs": coming.iter().map(|coming| as_json(&config, coming)).collect::<Vec<_>>(),
    }));
    // Where nothing has labels, every machine takes everything, and nobody needs to be told.
    let has_labels = config
        .sources
        .iter()
        .any(|source| !source.labels.is_empty());
    let rows = coming.iter().map(|coming| {
        let by = has_labels.then(|| taken_by(&config, coming.job));
        row(coming, now).into_iter().chain(by).collect()
    });
    let rows: Vec<Vec<String>> = rows.collect();
    if !rows.is_empty() {
        let mut header = vec!["BEGINS", "ZONE", "IN", "SOURCE", "WHAT", "SCHEDULE"];
        header.extend(has_labels.then_some("TAKEN BY"));
        invocation
            .out
            .print(&table(&invocation.out, &header, &[2], rows));
    }
    for name in names.into_iter().filter(|name| wanted(name)) {
        if !jobs.iter().any(|job| job.subject.source() == Some(name)) {
            invocation.out.print(&format!(
                "{name} has no schedule: its environment, {}, says none",
                environment_of(&config, name)
            ));
        }
    }
    if config.sources.is_empty() {
        return Err(super::no_source(&config));
    }
    Ok(Exit::Done)
}

/// Everything that is done to the sources, by schedule or when somebody asks for it, in the order of the sources.
pub fn jobs(config: &Config) -> Vec<Job> {
    let nothing = Plans::default();
    let mut jobs = Vec::new();
    for source in &config.sources {
        let environment = config.environments.get(&source.elsewhere.environment);
        let plans = environment.map_or(&nothing, |settings| &settings.plans);
        jobs.extend(Task::OF_SOURCES.map(|task| Job {
            subject: Subject::Source(source.name.clone()),
            task,
            plan: plans.of(task).cloned(),
            limits: plans.limits,
        }));
    }
    jobs
}

fn environment_of(config: &Config, name: &SourceName) -> String {
    let source = config.sources.iter().find(|source| source.name == *name);
    source.map_or_else(String::new, |source| source.elsewhere.environment.clone())
}

/// The next times of every job, the first one first.
fn coming(jobs: &[Job], now: Timestamp, count: u16) -> Vec<Coming<'_>> {
    let mut all = Vec::new();
    for job in jobs {
        let mut after = now;
        for _ in 0..count {
            let (Some(plan), Some(due)) = (&job.plan, job.next(after)) else {
                break;
            };
            after = due.scheduled;
            all.push(Coming { job, plan, due });
        }
    }
    all.sort_by(|a, b| {
        let key = |coming: &Coming<'_>| (coming.due, coming.job.subject.clone(), coming.job.task);
        key(a).cmp(&key(b))
    });
    all
}

fn row(coming: &Coming<'_>, now: Timestamp) -> Vec<String> {
    let plan = coming.plan;
    vec![
        time::moment(coming.due.begins, &plan.zone),
        zone_name(&plan.zone, coming.due.begins),
        time::age(now, coming.due.begins),
        coming.job.subject.to_string(),
        coming.job.task.word().to_owned(),
        plan.schedule.to_string(),
    ]
}

/// The zone's name, or its offset where it has none.
fn zone_name(zone: &TimeZone, at: Timestamp) -> String {
    match zone.iana_name() {
        Some(name) => name.to_owned(),
        None => zone.to_offset(at).to_string(),
    }
}

/// The source of a job, as it is configured.
fn source_of<'a>(config: &'a Config, job: &Job) -> Option<&'a SourceSettings> {
    let mut sources = config.sources.iter();
    sources.find(|source| Some(&source.name) == job.subject.source())
}

/// Which machines take it, in words.
fn taken_by(config: &Config, job: &Job) -> String {
    match source_of(config, job) {
        Some(source) if !source.labels.is_empty() => {
            let here = if config.takes(source) {
                ""
            } else {
                ", not here"
            };
            format!("{}{here}", source.labels.join(" or "))
        }
        _ => "any machine".to_owned(),
    }
}

fn as_json(config: &Config, coming: &Coming<'_>) -> Value {
    let plan = coming.plan;
    let source = source_of(config, coming.job);
    json!({
        "source": coming.job.subject,
        "task": coming.job.task,
        "scheduled_at": coming.due.scheduled,
        "begins_at": coming.due.begins,
        "timezone": zone_name(&plan.zone, coming.due.begins),
        "schedule": plan.schedule,
        "labels": source.map_or(&[][..], |source| &source.labels),
        "taken_here": source.is_some_and(|source| config.takes(source)),
    })
}
