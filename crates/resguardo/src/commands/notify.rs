//! `notify`: who is told what happens, and whether they can be.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use clap::Subcommand;
use resguardo_daemon::notify::{Pace, Topic};
use resguardo_ops::OpsError;
use resguardo_ops::catalog::outbox::Waiting;
use serde_json::{Value, json};

use crate::config::Config;
use crate::config::notify::EndpointSettings;
use crate::config::problem::nearest;
use crate::error::Failure;
use crate::exit::Exit;
use crate::invocation::Invocation;
use crate::render::table::table;
use crate::render::time;
use crate::telling;

const AFTER_HELP: &str = "\
Shows who is told what happens, by the [notify.X] of the config, and tries
whether they can be told. `resguardo serve` is who tells.

Examples:
  resguardo notify list
  resguardo notify test          a message to everybody
  resguardo notify test team     to one of them";

/// Who is told what happens, and whether they can be
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(subcommand)]
    verb: NotifyVerb,
}

#[derive(Debug, Subcommand)]
enum NotifyVerb {
    /// Everybody who is told, what, and what waits for them
    List,
    /// Send a message, now, and say whether it arrived
    Test {
        /// Only to this one
        name: Option<String>,
    },
}

/// Runs `notify`.
///
/// # Errors
/// If nobody is configured, there is no such endpoint, or one cannot be told.
pub fn run(invocation: &Invocation, args: &Args) -> Result<Exit, Failure> {
    let config = invocation.config()?;
    match &args.verb {
        NotifyVerb::List => list(invocation, config),
        NotifyVerb::Test { name } => test(invocation, &config, name.as_deref()),
    }
}

fn nobody(config: &Config) -> Failure {
    let place = config.file.as_ref().map_or_else(
        || "resguardo.toml".to_owned(),
        |file| file.display().to_string(),
    );
    Failure::user("nobody is told anything: the config has no [notify.X]").hint(format!(
        "add to {place}: [notify.team], below it kind = \"slack\" and url = \"${{SLACK_WEBHOOK}}\"; and notify = [\"team\"] to an environment"
    ))
}

fn list(invocation: &Invocation, config: Config) -> Result<Exit, Failure> {
    let endpoints = telling::all_endpoints(&config);
    if endpoints.is_empty() {
        return Err(nobody(&config));
    }
    let opened = invocation.open_without_vault(config)?;
    let waiting = opened.context.catalog.outbox_waiting();
    let waiting: BTreeMap<String, Waiting> = waiting
        .map_err(OpsError::from)?
        .into_iter()
        .map(|one| (one.endpoint.clone(), one))
        .collect();
    let config = &opened.config;
    let lines: Vec<Line> = endpoints
        .iter()
        .map(|endpoint| Line::of(invocation, config, endpoint, waiting.get(&endpoint.name)))
        .collect();
    let answers: Vec<Value> = lines.iter().map(Line::as_json).collect();
    invocation.out.json(&json!({ "endpoints": answers }));
    let header = [
        "NAME", "KIND", "WHERE", "FOR", "TOLD OF", "WAITING", "GIVEN UP",
    ];
    let rows = lines.iter().map(Line::row).collect();
    invocation
        .out
        .print(&table(&invocation.out, &header, &[5, 6], rows));
    for line in lines.iter().filter(|line| !line.said.is_empty()) {
        let name = &line.endpoint.name;
        invocation.out.note(&format!("{name}: {}", line.said));
    }
    for line in lines.iter().filter(|line| line.environments.is_empty()) {
        invocation.out.note(&format!(
            "{} is told nothing: no environment names it; add notify = [\"{}\"] to one",
            line.endpoint.name, line.endpoint.name
        ));
    }
    Ok(Exit::Done)
}

/// What is shown of an endpoint.
struct Line<'a> {
    endpoint: &'a EndpointSettings,
    place: Result<String, String>,
    /// Or sources, of their own switches.
    environments: Vec<String>,
    on: Vec<&'static str>,
    waiting: u32,
    given_up: u32,
    said: String,
}

impl<'a> Line<'a> {
    fn of(
        invocation: &Invocation,
        config: &Config,
        endpoint: &'a EndpointSettings,
        waiting: Option<&Waiting>,
    ) -> Self {
        let place = telling::ready(invocation, config, endpoint).map(|ready| ready.place());
        let mut environments: Vec<String> = config
            .environments
            .iter()
            .filter(|(_, settings)| settings.notify.to.contains(&endpoint.name))
            .map(|(name, _)| name.clone())
            .collect();
        if let Some((source, _)) = endpoint
            .name
            .strip_prefix("ping:")
            .and_then(|rest| rest.split_once(':'))
        {
            environments.push(source.to_owned());
        }
        let last = waiting.map(|one| one.said.clone()).unwrap_or_default();
        let said = match &place {
            Ok(_) => last,
            Err(why) => why.clone(),
        };
        Self {
            endpoint,
            place,
            environments,
            on: endpoint.on.iter().copied().map(Topic::word).collect(),
            waiting: waiting.map_or(0, |one| one.waiting),
            given_up: waiting.map_or(0, |one| one.given_up),
            said,
        }
    }

    fn as_json(&self) -> Value {
        json!({
            "name": self.endpoint.name,
            "kind": self.endpoint.kind_word(),
            "place": self.place.as_ref().ok(),
            "environments": self.environments,
            "on": self.on,
            "tasks": self.endpoint.tasks,
            "waiting": self.waiting,
            "given_up": self.given_up,
            "message": Some(&self.said).filter(|said| !said.is_empty()),
        })
    }

    fn row(&self) -> Vec<String> {
        vec![
            self.endpoint.name.clone(),
            self.endpoint.kind_word().to_owned(),
            self.place.clone().unwrap_or_else(|_| "-".to_owned()),
            self.environments.join(", "),
            self.on.join(", "),
            self.waiting.to_string(),
            self.given_up.to_string(),
        ]
    }
}

fn test(invocation: &Invocation, config: &Config, name: Option<&str>) -> Result<Exit, Failure> {
    let all = telling::all_endpoints(config);
    if all.is_empty() {
        return Err(nobody(config));
    }
    let chosen: Vec<&EndpointSettings> = all
        .iter()
        .filter(|endpoint| name.is_none_or(|name| endpoint.name == name))
        .collect();
    if let (Some(name), []) = (name, chosen.as_slice()) {
        let known: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
        let message = format!(
            "there is no endpoint {name}; configured: {}",
            known.join(", ")
        );
        let failure = Failure::user(message);
        return Err(match nearest(name, known.iter().copied()) {
            Some(meant) => failure.hint(format!("did you mean {meant}?")),
            None => failure.hint("see who is told with `resguardo notify list`"),
        });
    }
    let mut answers = Vec::new();
    let mut failures: Vec<Failure> = Vec::new();
    for endpoint in chosen {
        let begun = Instant::now();
        let outcome = one(invocation, config, endpoint);
        let seconds = begun.elapsed().as_secs_f64();
        answers.push(json!({
            "endpoint": endpoint.name,
            "kind": endpoint.kind_word(),
            "delivered": outcome.is_ok(),
            "message": outcome.as_ref().err().map(|failure| &failure.message),
            "seconds": seconds,
        }));
        match outcome {
            Ok(()) => invocation.out.say(&format!(
                "{} was told, in {}",
                endpoint.name,
                time::length(seconds)
            )),
            Err(failure) => failures.push(failure),
        }
    }
    invocation.out.json(&json!({ "told": answers }));
    // The last one is what the command ends with.
    let last = failures.pop();
    for failure in &failures {
        failure.print(&invocation.out);
    }
    last.map_or(Ok(Exit::Done), Err)
}

fn one(
    invocation: &Invocation,
    config: &Config,
    endpoint: &EndpointSettings,
) -> Result<(), Failure> {
    let name = &endpoint.name;
    let ready = telling::ready(invocation, config, endpoint)
        .map_err(|why| Failure::user(format!("{name} cannot be told: {why}")))?;
    let letter = telling::test_letter(invocation, config, endpoint);
    ready
        .deliver_within(&letter, Pace::default().try_max, Arc::new(()))
        .map_err(|refused| {
            Failure::new(
                Exit::Unreachable,
                format!("{name} was not told: {}", refused.why),
            )
            .hint(format!(
                "put it right in the config, and try again with `resguardo notify test {name}`"
            ))
        })
}
