//! `serve`: what is due by schedule is done, until it is told to stop.

mod service_manager;

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use resguardo_daemon::{
    Around, CatalogMemory, Job, OpsWork, Outcome, Settings, Sources, Standing, Task, Watch,
};
use resguardo_model::duration::Span;
use resguardo_model::{Progress, SourceName};
use resguardo_ops::{Context, SourceSpec};
use resguardo_store::exclusive::Exclusive;

use self::service_manager::ServiceManager;
use super::{copy, plan};
use crate::config::Config;
use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::{Invocation, Opened, Reading};
use crate::render::Output;

const AFTER_HELP: &str = "\
Takes backups and drills by the schedules of the config, in the foreground,
until SIGTERM or Ctrl-C. `resguardo plan` shows what comes.

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
}

/// Runs `serve`.
///
/// # Errors
/// If there is nothing to do, the vault cannot be opened, or another one runs.
pub fn run(invocation: &Invocation, args: &Args) -> Result<Exit, Failure> {
    let config = invocation.config()?;
    let jobs = plan::jobs(&config);
    if jobs.is_empty() {
        return Err(Failure::user("there is nothing to do by schedule").hint(
            "add to the environment of a source: schedule = \"daily 02:00\", and see it with `resguardo plan`",
        ));
    }
    let opened = invocation.open_with(config, Reading::IfAtHand)?;
    let place = opened.context.state.join("serve.lock");
    let Some(_alone) = Exclusive::take(&place)? else {
        return Err(Failure::new(
            Exit::Locked,
            "another `resguardo serve` does this already, with the same RESGUARDO_HOME",
        )
        .hint("end that one, or give this one a home of its own"));
    };
    if let Some(why) = without_identity(&jobs, &opened.context, opened.unread_identity.as_ref()) {
        invocation.out.warn(&why);
    }
    let log = Arc::new(Log {
        out: invocation.out.clone(),
        zone: opened.config.zone.clone(),
        clock: Arc::clone(&invocation.clock),
        manager: ServiceManager::of(&invocation.ambient),
        told: Mutex::new(None),
    });
    let stop = opened.context.cancel.clone();
    let configured = Configured {
        invocation: invocation.quietly(),
        config: opened.config.clone(),
        log: Arc::clone(&log),
    };
    let context = opened.context.clone();
    let around = Around {
        memory: Arc::new(CatalogMemory {
            catalog: context.catalog.clone(),
            clock: Arc::clone(&context.clock),
        }),
        clock: Arc::clone(&context.clock),
        work: Arc::new(OpsWork {
            context,
            sources: Arc::new(configured),
        }),
        watch: Arc::clone(&log) as Arc<dyn Watch>,
        stop,
    };
    let settings = Settings {
        runs_max: usize::from(args.runs),
        grace: args.grace.into(),
    };
    log.line(&format!("serving {} by schedule", told(jobs.len())));
    let all_ended = resguardo_daemon::run::run(jobs, &around, settings)
        .map_err(|why| Failure::user(format!("what was done before cannot be read: {why}")))?;
    if all_ended {
        return Ok(Exit::Done);
    }
    Err(Failure::new(
        Exit::Interrupted,
        format!("not every run ended within {}", args.grace),
    )
    .hint("they are said to have died at the next start, and tried again"))
}

fn told(jobs: usize) -> String {
    crate::render::counted(jobs as u64, "job", "jobs")
}

/// Drills that cannot read what they are to restore.
fn without_identity(jobs: &[Job], context: &Context, unread: Option<&Failure>) -> Option<String> {
    let drills = jobs.iter().any(|job| job.task == Task::Drill);
    let can_read = context.vault.as_ref().is_some_and(|vault| vault.can_read());
    if !drills || can_read {
        return None;
    }
    let why = unread.map(|failure| format!(": {}", failure.message));
    Some(format!(
        "drills are scheduled and there is no identity here that opens backups{}; they will fail",
        why.unwrap_or_default()
    ))
}

/// What is configured, with references read anew for each run.
struct Configured {
    invocation: Invocation,
    config: Config,
    log: Arc<Log>,
}

impl Configured {
    fn with_references(&self, name: &SourceName) -> Config {
        let names = std::slice::from_ref(name);
        self.invocation.with_references(self.config.clone(), names)
    }
}

impl Sources for Configured {
    fn context(&self, before: &Context) -> Result<Context, String> {
        let vault = self
            .invocation
            .vault_now(&self.config, Reading::IfAtHand)
            .map_err(|failure| failure.in_a_line())?;
        Ok(Context {
            vault: Some(Arc::new(vault)),
            ..before.clone()
        })
    }

    fn ready(&self, name: &SourceName) -> Result<SourceSpec, String> {
        let config = self.with_references(name);
        match config.source(name) {
            Ok(Some(source)) => Ok(source.clone()),
            Ok(None) => Err(format!("the source {name} is not configured")),
            Err(error) => Err(Failure::from(error).in_a_line()),
        }
    }

    fn anywhere(&self, name: &SourceName) -> Option<SourceSpec> {
        let all = self.with_references(name).sources_anywhere();
        all.into_iter().find(|source| source.name == *name)
    }

    fn copy(&self, ctx: &Context, source: &SourceName) -> Result<(), String> {
        let opened = Opened {
            config: self.config.clone(),
            sources: Vec::new(),
            context: ctx.clone(),
            keys: None,
            unread_identity: None,
        };
        match copy::after_backup(&self.invocation, &opened, source) {
            (_, None) => Ok(()),
            (_, Some(failure)) => Err(failure.in_a_line()),
        }
    }

    fn progress(&self, name: &SourceName, task: Task) -> Arc<dyn Progress> {
        Arc::new(Notes {
            log: Arc::clone(&self.log),
            about: format!("{} of {name}", task.word()),
        })
    }
}

/// Notes of a run, and nothing of its progress.
struct Notes {
    log: Arc<Log>,
    about: String,
}

impl Progress for Notes {
    fn phase(&self, _name: &str) {}

    fn bytes(&self, _done: u64, _total: Option<u64>) {}

    fn note(&self, text: &str) {
        self.log.line(&format!("{}: {text}", self.about));
    }
}

/// A line for everything that happens, with its time; and a word to whoever manages the process.
struct Log {
    out: Output,
    zone: TimeZone,
    clock: Arc<dyn resguardo_model::Clock>,
    manager: ServiceManager,
    /// What was said last of what it waits for.
    told: Mutex<Option<Timestamp>>,
}

impl Log {
    fn line(&self, text: &str) {
        let now = self.clock.now().to_zoned(self.zone.clone());
        self.out
            .error_line(&format!("{} {text}", now.strftime("%Y-%m-%dT%H:%M:%S%:z")));
    }

    fn moment(&self, at: Timestamp) -> String {
        crate::render::time::moment(at, &self.zone)
    }
}

impl Watch for Log {
    fn waits(&self, until: Option<Timestamp>) {
        self.manager.is_alive();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = until
            && *told != until
        {
            *told = until;
            self.manager.is_ready(&format!("next: {}", self.moment(at)));
        }
    }

    fn begins(&self, job: &Job) {
        self.line(&format!("{} of {} begins", job.task.word(), job.source));
    }

    fn ended(&self, standing: &Standing) {
        let (Job { source, task, .. }, state) = (&standing.job, &standing.state);
        let Some(last) = &state.last else { return };
        let how = match last.outcome {
            Outcome::Succeeded => {
                let took = last.ended_at.duration_since(last.began_at);
                let took = crate::render::time::length(took.as_secs_f64());
                format!("done in {took}")
            }
            Outcome::Failed => format!("failed: {}", last.message),
            Outcome::Interrupted | Outcome::Died => last.message.clone(),
        };
        let again = state
            .retry_at
            .map(|at| format!("; again at {}", self.moment(at)));
        let again = again.unwrap_or_default();
        self.line(&format!("{} of {source}: {how}{again}", task.word()));
    }

    fn note(&self, line: &str) {
        self.line(line);
    }

    fn stops(&self, running: usize) {
        self.manager.stops();
        let of = crate::render::counted(running as u64, "run", "runs");
        self.line(&format!("stopping; {of} to end"));
    }
}
