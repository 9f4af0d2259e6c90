//! `serve`: what is due by schedule is done, until it is told to stop.

mod configured;
mod front;
mod log;
#[cfg(test)]
mod month;
mod reload;
mod service_manager;
mod sight;
mod tells;
mod together;

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::tz::TimeZone;
use resguardo_daemon::run::{LOOK, channel};
use resguardo_daemon::{
    Around, CatalogMemory, CatalogQueue, Feed, Job, Limits, Monotonic, OpsWork, Plan, Queue,
    Settings, Sources, Subject, Task, Watch,
};
use resguardo_model::SourceName;
use resguardo_model::duration::Span;
use resguardo_ops::catalog::shared::SharedCatalog;
use resguardo_ops::verify::Depth;
use resguardo_ops::{Context, OpsError, recover};
use resguardo_store::exclusive::Exclusive;
use resguardo_vault::Vault;

use self::configured::Configured;
use self::front::{Front, Noticing, Parts};
use self::log::{Log, Notes};
use self::reload::Reload;
use self::service_manager::ServiceManager;
use self::sight::Sight;
use self::tells::Tells;
use self::together::Together;
use super::{copy, plan};
use crate::config::Config;
use crate::config::catalog::is_label;
use crate::config::schedule::Plans;
use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::{Invocation, Opened, Reading};
use crate::telling;

const AFTER_HELP: &str = "\
Does what the schedules of the config say, in the foreground, until SIGTERM or
Ctrl-C: backups, drills, verifications, prunes, copies. `resguardo plan` shows
what comes. On SIGHUP it reads the config again; one that makes no sense is
told, and the old one holds.

One run at a time for a source. What was missed while nothing ran is made up
for once; what fails for a reason that may go away is tried again after a
while. Stopped, it gives runs the time of --grace to end themselves; one that
dies with it is said to have died at the next start, and tried again.

contrib/resguardo.service is a unit for systemd.";

/// Do what is due by schedule, until told to stop
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Runs at once, of different sources
    #[arg(long, value_name = "NUMBER", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    runs: u16,
    /// How long runs have to end themselves when it is told to stop
    #[arg(long, value_name = "TIME", default_value = "60s")]
    grace: Span,
    /// Serve the pages and the API there, like 127.0.0.1:8372 [default: http.listen of the config]
    #[arg(long, value_name = "ADDRESS", value_parser = crate::config::pages::address)]
    listen: Option<SocketAddr>,
    /// What this machine can reach, in place of serve.labels of the config; again for another one
    #[arg(long, value_name = "LABEL", value_parser = label)]
    label: Vec<String>,
}

fn label(text: &str) -> Result<String, String> {
    if is_label(text) {
        return Ok(text.to_owned());
    }
    Err("a label is 1 to 63 of a-z, 0-9, _ and -".to_owned())
}

/// Runs `serve`.
///
/// # Errors
/// If there is nothing to do, the vault cannot be opened, or another one runs.
pub fn run(invocation: &Invocation, args: &Args) -> Result<Exit, Failure> {
    let config = labelled(invocation.config()?, &args.label);
    let jobs = jobs(&config);
    let pages = front::settings(args.listen, &config);
    if let Some(settings) = &pages {
        settings.check()?;
    }
    has_work(&config, &jobs, pages.is_some())?;
    let opened = invocation.open_with(config, Reading::IfAtHand)?;
    let signals = reload::signals();
    let place = opened.context.state.join("serve.lock");
    let Some(_alone) = Exclusive::take(&place)? else {
        return Err(Failure::new(
            Exit::Locked,
            "another `resguardo serve` does this already, with the same RESGUARDO_HOME",
        )
        .hint("end that one, or give this one a home of its own"));
    };
    if let Some(why) = without_identity(&opened) {
        invocation.out.warn(&why);
    }
    let log = Arc::new(Log::new(
        invocation.out.clone(),
        Arc::clone(&invocation.clock),
        ServiceManager::of(&invocation.ambient),
        opened.config.zone.clone(),
    ));
    let shared = invocation.shared_catalog(&opened.config, opened.context.vault()?.id())?;
    let shared = shared.map(Arc::new);
    if let Some(shared) = &shared {
        shared.prepare().map_err(OpsError::from)?;
        log.line(&format!("sharing the work by {}", shared.describe()));
    }
    let context = Context {
        progress: Arc::new(Notes(Arc::clone(&log))),
        ..opened.context
    };
    // What died with an earlier one is gone before anything begins.
    recover::sweep(&context)?;
    let configured = Arc::new(Configured::new(invocation.quietly(), opened.config));
    let together = shared.clone().map(|shared| Arc::new(Together::by(shared)));
    let tells = Tells::start(invocation, &context, &configured, &log, together.clone())?;
    let sight = Sight::start(&context, &configured, tells.herald(), together);
    let sight = sight.map_err(|error| Failure::user("looking how all stands").because(&error))?;
    let noticing = Noticing {
        log: Arc::clone(&log),
        sight: Arc::clone(&sight),
    };
    let watch = tells.watch(Arc::new(noticing), &context);
    let around = around(&context, &configured, shared.as_ref(), watch);
    let settings = Settings {
        runs_max: usize::from(args.runs),
        grace: args.grace.into(),
        look: LOOK,
    };
    let (handle, inbox) = channel();
    let parts = || Parts {
        context: context.clone(),
        configured: Arc::clone(&configured),
        log: Arc::clone(&log),
        feed: Arc::clone(&around.feed),
        handle: handle.clone(),
        sight: Arc::clone(&sight),
    };
    let front = pages
        .map(|settings| Front::start(settings, parts()))
        .transpose()?;
    let front = front.map(Arc::new);
    let reload = Reload {
        front: front.clone(),
        sight: Arc::clone(&sight),
        invocation: invocation.quietly(),
        configured: Arc::clone(&configured),
        log: Arc::clone(&log),
        handle: handle.clone(),
        labels: args.label.clone(),
    };
    let listening = reload.listen(signals);
    log.line(&format!("serving {} by schedule", scheduled(&jobs)));
    let all_ended = resguardo_daemon::run::run(jobs, inbox, &around, settings)
        .map_err(|why| Failure::user(format!("what was done before cannot be read: {why}")))?;
    drop(listening);
    drop(front);
    drop((around, sight));
    tells.stop();
    if all_ended {
        return Ok(Exit::Done);
    }
    Err(Failure::new(
        Exit::Interrupted,
        format!("not every run ended within {}", args.grace),
    )
    .hint("they are said to have died at the next start, and tried again"))
}

fn around(
    context: &Context,
    configured: &Arc<Configured>,
    shared: Option<&Arc<SharedCatalog>>,
    watch: Arc<dyn Watch>,
) -> Around {
    let queue = |catalog: &Arc<SharedCatalog>| {
        let catalog = Arc::clone(catalog);
        Arc::new(CatalogQueue { catalog }) as Arc<dyn Queue>
    };
    let its = Arc::clone(configured);
    let secrets = move || telling::secrets(&its.now());
    Around {
        queue: shared.map(queue),
        memory: Arc::new(CatalogMemory {
            catalog: context.catalog.clone(),
            clock: Arc::clone(&context.clock),
        }),
        clock: Arc::clone(&context.clock),
        stopwatch: Arc::new(Monotonic::new()),
        work: Arc::new(OpsWork {
            context: context.clone(),
            sources: Arc::clone(configured) as Arc<dyn Sources>,
        }),
        watch,
        feed: Arc::new(Feed::new(Arc::clone(&context.clock)).hiding(secrets)),
        stop: context.cancel.clone(),
    }
}

/// Everything that is done by schedule or may be asked for, and what the daemon does on its own.
fn jobs(config: &Config) -> Vec<Job> {
    let mut jobs = plan::jobs(config);
    let takes = |name: &SourceName| {
        let mut sources = config.sources.iter();
        sources.any(|source| source.name == *name && config.takes(source))
    };
    jobs.retain(|job| job.subject.source().is_none_or(takes));
    jobs.push(Job {
        subject: Subject::Machine,
        task: Task::Sweep,
        plan: Some(Plan {
            schedule: "hourly".parse().expect("it is a schedule"),
            zone: TimeZone::UTC,
            windows: Vec::new(),
            jitter: None,
        }),
        limits: Limits::default(),
    });
    jobs
}

/// With the labels of the command line, if it names any.
fn labelled(config: Config, labels: &[String]) -> Config {
    if labels.is_empty() {
        return config;
    }
    Config {
        labels: labels.to_vec(),
        ..config
    }
}

/// Refuses jobs that nobody configured, where no pages are served either.
fn has_work(config: &Config, jobs: &[Job], serves_pages: bool) -> Result<(), Failure> {
    if serves_pages || !jobs.iter().all(is_own) {
        return Ok(());
    }
    if !plan::jobs(config).iter().all(is_own) {
        let message = "there is nothing to do by schedule on this machine: it has none of the labels of the sources";
        return Err(Failure::user(message).hint(
            "give it one with --label or labels of [serve]; `resguardo plan` shows who takes what",
        ));
    }
    Err(Failure::user("there is nothing to do by schedule").hint(
        "add to the environment of a source: schedule = \"daily 02:00\", and see it with `resguardo plan`",
    ))
}

/// Whether nobody configured it to be done.
fn is_own(job: &Job) -> bool {
    job.plan.is_none() || job.subject == Subject::Machine
}

/// How many jobs are done by schedule, in words.
fn scheduled(jobs: &[Job]) -> String {
    let count = jobs.iter().filter(|job| !is_own(job)).count();
    crate::render::counted(count as u64, "job", "jobs")
}

/// Drills that cannot read what they are to restore, and verifications that go as deep.
fn without_identity(opened: &Opened) -> Option<String> {
    let can_read = |vault: &Arc<Vault>| vault.can_read();
    if opened.context.vault.as_ref().is_some_and(can_read) {
        return None;
    }
    let plans = opened.config.environments.values();
    let reads = |plans: &Plans| {
        let is_deep = matches!(plans.depth, Depth::Structure | Depth::Bytes);
        plans.drill.is_some() || plans.verify.is_some() && is_deep
    };
    if !plans.into_iter().any(|settings| reads(&settings.plans)) {
        return None;
    }
    let unread = opened.unread_identity.as_ref();
    let why = unread.map(|failure| format!(": {}", failure.message));
    Some(format!(
        "drills, or verifications that read backups, are scheduled and there is no identity here that opens backups{}; they will fail",
        why.unwrap_or_default()
    ))
}
