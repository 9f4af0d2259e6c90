//! Who is told what happens, from the configuration: for the daemon, for `notify`, and around a run of the
//! command line.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use resguardo_daemon::notify::{
    Directory, Endpoint, Event, FactName, Letter, Notifier, Office, Outbox, Pace, Redactor, Route,
    Rules, Topic, Turns, What,
};
use resguardo_model::SourceName;
use resguardo_ops::Context;
use resguardo_ops::report::Language;
use secrecy::SecretString;

use crate::config::Config;
use crate::config::late::at_hand;
use crate::config::notify::EndpointSettings;
use crate::error::Failure;
use crate::invocation::Invocation;
use crate::secret;

/// Longest time that a run of the command line is held up by a switch that does not answer.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// What is configured, read anew for each message.
pub struct Addresses {
    invocation: Invocation,
    config: Box<dyn Fn() -> Arc<Config> + Send + Sync>,
}

impl Addresses {
    /// Those of the configuration that `config` gives at the time.
    #[must_use]
    pub fn new(
        invocation: &Invocation,
        config: impl Fn() -> Arc<Config> + Send + Sync + 'static,
    ) -> Self {
        Self {
            invocation: invocation.quietly(),
            config: Box::new(config),
        }
    }
}

impl Directory for Addresses {
    fn rules(&self, source: &SourceName) -> Option<Rules> {
        rules(&(self.config)(), source)
    }

    fn endpoint(&self, name: &str) -> Result<Option<Endpoint>, String> {
        let config = (self.config)();
        let settings = settings(&config, name);
        settings
            .map(|settings| ready(&self.invocation, &config, &settings))
            .transpose()
    }

    fn secrets(&self) -> Vec<SecretString> {
        secrets(&(self.config)())
    }
}

/// An endpoint, with its secrets as they are now.
///
/// # Errors
/// What cannot be read, or makes no sense, in a line.
pub fn ready(
    invocation: &Invocation,
    config: &Config,
    settings: &EndpointSettings,
) -> Result<Endpoint, String> {
    settings.ready(
        |reference| {
            secret::read(reference, &config.folder, &invocation.cancel)
                .map_err(|failure| failure.in_a_line())
        },
        |path: &Path| {
            std::fs::read_to_string(path)
                .map_err(|error| Failure::io("reading", path, &error).in_a_line())
        },
    )
}

/// What holds for a source; `None` if it is not configured.
#[must_use]
pub fn rules(config: &Config, source: &SourceName) -> Option<Rules> {
    let settings = config.sources.iter().find(|one| one.name == *source)?;
    let environment = &settings.elsewhere.environment;
    let said = config.environments.get(environment);
    let notify = said.map(|said| said.notify.clone()).unwrap_or_default();
    let usual = notify.language.unwrap_or(Language::En);
    let named = notify.to.iter();
    let named = named.filter_map(|name| config.notify.endpoints.get(name));
    let mut routes: Vec<Route> = named.map(|endpoint| route(endpoint, usual)).collect();
    for (task, _) in config.notify.pings.get(source).into_iter().flatten() {
        routes.push(Route {
            endpoint: ping_name(source, task),
            topics: Topic::of_pings(),
            tasks: BTreeSet::from([(*task).to_owned()]),
            language: usual,
            is_ping: true,
        });
    }
    let zone = said.and_then(|said| said.zone.clone());
    Some(Rules {
        environment: environment.clone(),
        zone: zone.unwrap_or_else(|| config.zone.clone()),
        remind: notify.remind,
        routes,
    })
}

fn route(endpoint: &EndpointSettings, usual: Language) -> Route {
    Route {
        endpoint: endpoint.name.clone(),
        topics: endpoint.on.clone(),
        tasks: endpoint.tasks.clone(),
        language: endpoint.language.unwrap_or(usual),
        is_ping: endpoint.kind_word() == "ping",
    }
}

/// The name of a source's own switch; no endpoint of the config has a colon in its name.
fn ping_name(source: &SourceName, task: &str) -> String {
    format!("ping:{source}:{task}")
}

/// The endpoint of a name: one of the config, or a source's own switch.
fn settings(config: &Config, name: &str) -> Option<EndpointSettings> {
    let Some((source, task)) = name
        .strip_prefix("ping:")
        .and_then(|rest| rest.split_once(':'))
    else {
        return config.notify.endpoints.get(name).cloned();
    };
    let source: SourceName = source.parse().ok()?;
    let url = config.notify.pings.get(&source)?.get(task)?;
    Some(EndpointSettings::ping(name.to_owned(), url.clone()))
}

/// Every endpoint: those of the config, and the sources' own switches.
#[must_use]
pub fn all_endpoints(config: &Config) -> Vec<EndpointSettings> {
    let mut all: Vec<EndpointSettings> = config.notify.endpoints.values().cloned().collect();
    for (source, pings) in &config.notify.pings {
        for (task, url) in pings {
            all.push(EndpointSettings::ping(ping_name(source, task), url.clone()));
        }
    }
    all
}

/// What no text may have in it, as far as it is known without asking anybody.
#[must_use]
pub fn secrets(config: &Config) -> Vec<SecretString> {
    let mut secrets: Vec<SecretString> = Vec::new();
    for endpoint in all_endpoints(config) {
        secrets.extend(endpoint.secrets_at_hand());
    }
    let client = config.oidc.as_ref().and_then(|oidc| oidc.secret.as_ref());
    secrets.extend(client.and_then(at_hand));
    let specs = config
        .sources
        .iter()
        .filter_map(|source| source.spec.as_ref().ok());
    for spec in specs {
        let url = spec.location.expose();
        // A path or a URL without a password is no secret, and names what people are told of.
        if url.contains("://") && url.contains('@') {
            secrets.push(SecretString::from(url.to_owned()));
        }
    }
    let stores = config.copies.iter().map(|copy| &copy.store);
    for store in stores.chain(std::iter::once(&config.vault.store)) {
        let of_store = [
            &store.access_key,
            &store.secret_key,
            &store.session_token,
            &store.google_token,
            &store.account_key,
            &store.sas_token,
        ];
        let known = of_store.into_iter().flatten();
        secrets.extend(known.filter_map(|secret| at_hand(&Ok(secret.clone()))));
    }
    secrets
}

/// A message that somebody asked for, to see whether it arrives.
#[must_use]
pub fn test_letter(
    invocation: &Invocation,
    config: &Config,
    endpoint: &EndpointSettings,
) -> Letter {
    let now = invocation.clock.now();
    let event = Event::new(What::Test, now);
    let language = endpoint.language.unwrap_or(match invocation.global.lang {
        crate::cli::Lang::En => Language::En,
        crate::cli::Lang::Es => Language::Es,
    });
    let redactor = Redactor::new(secrets(config));
    let mut letter = Letter::new(&event, language, &config.zone, &redactor, now);
    letter.host.clone_from(&invocation.ambient.host);
    letter.delivery = format!("test-{}-{}", endpoint.name, now.as_millisecond());
    letter
}

/// Tells what the daemon sees. What the config says is read from `addresses`.
///
/// # Errors
/// If there can be no thread for it.
pub fn start(
    addresses: &Arc<Addresses>,
    context: &Context,
    turns: Option<Arc<dyn Turns>>,
    note: impl Fn(&str) + Send + Sync + 'static,
) -> std::io::Result<Arc<Notifier>> {
    Notifier::start(Office {
        turns,
        directory: Arc::clone(addresses) as Arc<dyn Directory>,
        outbox: Outbox::of(context.catalog.clone()),
        clock: Arc::clone(&context.clock),
        pace: Pace::default(),
        host: context.host.clone(),
        note: Arc::new(note),
    })
}

/// The switches that are pinged around a run of the command line, where there is no daemon that does it. They
/// hold it up by a few seconds at most and never change how it ends.
pub struct Pings<'a> {
    invocation: &'a Invocation,
    event: Event,
    endpoints: Vec<Endpoint>,
    zone: TimeZone,
    redactor: Redactor,
}

impl<'a> Pings<'a> {
    /// Says that a run of `task` begins, without waiting for anybody.
    pub fn begin(
        invocation: &'a Invocation,
        config: &Config,
        source: &SourceName,
        task: &str,
    ) -> Self {
        let now = invocation.clock.now();
        let mut event = Event::new(What::RunBegan, now);
        event.began_at = Some(now);
        event.source = Some(source.clone());
        event.task = Some(task.to_owned());
        let routes = rules(config, source).map(|rules| rules.routes);
        let routes = routes.into_iter().flatten();
        let mut endpoints = Vec::new();
        for route in routes.filter(|route| route.is_ping && route.wants(&event)) {
            let ready = settings(config, &route.endpoint)
                .map(|settings| ready(invocation, config, &settings));
            match ready {
                Some(Ok(endpoint)) => endpoints.push(Endpoint {
                    timeout: endpoint.timeout.min(PING_TIMEOUT),
                    ..endpoint
                }),
                Some(Err(why)) => warn(invocation, &route.endpoint, &why),
                None => {}
            }
        }
        let pings = Self {
            invocation,
            event,
            endpoints,
            zone: config.zone.clone(),
            redactor: Redactor::new(secrets(config)),
        };
        for endpoint in pings.endpoints.clone() {
            let letter = pings.letter(&pings.event);
            // Whoever does not hear it hears how the run ended.
            std::thread::spawn(move || drop(endpoint.deliver(&letter)));
        }
        pings
    }

    /// Says how it ended; nothing of one that was interrupted.
    pub fn end(self, outcome: Result<(), &Failure>) {
        let now = self.invocation.clock.now();
        let mut event = match outcome {
            Ok(()) => Event::new(What::RunSucceeded, now),
            Err(failure) if failure.exit == crate::exit::Exit::Interrupted => return,
            Err(failure) => {
                Event::new(What::RunFailed, now).with(FactName::Message, failure.in_a_line())
            }
        };
        event.source.clone_from(&self.event.source);
        event.task.clone_from(&self.event.task);
        event.began_at = self.event.began_at;
        let letter = self.letter(&event);
        for endpoint in &self.endpoints {
            let done = endpoint.deliver_within(&letter, PING_TIMEOUT, Arc::new(()));
            if let Err(refused) = done {
                warn(self.invocation, &endpoint.name, &refused.why);
            }
        }
    }

    fn letter(&self, event: &Event) -> Letter {
        Letter::new(event, Language::En, &self.zone, &self.redactor, event.at)
    }
}

fn warn(invocation: &Invocation, endpoint: &str, why: &str) {
    let line = format!("{endpoint} was not pinged: {why}");
    invocation.out.warn(&line);
}
