//! The pages and the API of a daemon: what its server is given, and when it looks anew.

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use resguardo_daemon::board::{About, Board};
use resguardo_daemon::http::{Accounts, Desk, House, HttpError, Seen, Server, Settings};
use resguardo_daemon::oidc::{Provider, SecretReader};
use resguardo_daemon::{Answer, Feed, Handle, Job, Poke, Running, Sources, Standing, Watch};
use resguardo_model::retention::Policy;
use resguardo_model::{CancelToken, Clock, SourceName};
use resguardo_ops::catalog::Catalog;
use resguardo_ops::copy::CopyPlace;
use resguardo_ops::users::session;
use resguardo_ops::{Context, OpsError, SourceSpec};

use super::configured::Configured;
use super::log::Log;
use super::sight::Sight;
use crate::error::Failure;
use crate::exit::Exit;

/// How long the feed of runs is waited for, where nothing runs.
const NAP: std::time::Duration = std::time::Duration::from_secs(600);
/// How often readers are told of runs, at most.
const TELL_EVERY: std::time::Duration = std::time::Duration::from_millis(250);

/// What the server is made of.
pub(super) struct Parts {
    pub(super) context: Context,
    pub(super) configured: Arc<Configured>,
    pub(super) log: Arc<Log>,
    pub(super) feed: Arc<Feed>,
    pub(super) handle: Handle,
    pub(super) sight: Arc<Sight>,
}

/// A server that runs, and whoever tells its readers of runs.
pub(super) struct Front {
    server: Server,
    feed: Arc<Feed>,
    stop: CancelToken,
    teller: Option<std::thread::JoinHandle<()>>,
}

impl Front {
    /// Begins to serve.
    ///
    /// # Errors
    /// If the address cannot be had, or is not to be served.
    pub(super) fn start(settings: Settings, parts: Parts) -> Result<Self, Failure> {
        let Parts {
            context,
            configured,
            log,
            feed,
            handle,
            sight,
        } = parts;
        let stop = CancelToken::new();
        let clock = Arc::clone(&context.clock);
        // A handle of its own to read: a page does not wait for what a backup writes.
        let read = Catalog::open_or_in_memory(&context.state.join("catalog.db"))
            .map_err(OpsError::from)?;
        let accounts = Accounts {
            read,
            write: context.catalog.clone(),
        };
        // Whom the config does not let in any more, or in another role, has to knock again.
        session::end_vouched(&accounts.write)
            .map_err(|error| Failure::user("ending sessions of before").because(&error))?;
        let no_thread =
            |error: std::io::Error| Failure::user("starting the server").because(&error);
        let board = sight.board();
        let desk = Arc::new(Counter {
            sight,
            configured: Arc::clone(&configured),
            log: Arc::clone(&log),
            handle,
            feed: Arc::clone(&feed),
        });
        let provider = provider(&configured, &clock)?;
        let house = House {
            board: Arc::clone(&board),
            desk,
            accounts,
            provider,
            clock,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let secure = settings.certificate.is_some();
        let server = Server::start(settings, house)?;
        let teller = tell(Arc::clone(&feed), board, stop.clone()).map_err(no_thread)?;
        let scheme = if secure { "https" } else { "http" };
        log.line(&format!("pages at {scheme}://{}", server.address()));
        Ok(Self {
            server,
            feed,
            stop,
            teller: Some(teller),
        })
    }

    /// Reads the certificate again.
    pub(super) fn reload(&self) -> Result<(), HttpError> {
        self.server.reload()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.stop.cancel();
        self.feed.wake();
        self.server.stop();
        if let Some(teller) = self.teller.take() {
            // If it panicked, that was said by then.
            let _ = teller.join();
        }
    }
}

/// Who lets people in as well, by the config. Its secret is read anew for each login.
fn provider(
    configured: &Arc<Configured>,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Arc<Provider>>, Failure> {
    let config = configured.now();
    let Some(settings) = &config.oidc else {
        return Ok(None);
    };
    let ready = settings.ready(|path| {
        std::fs::read_to_string(path).map_err(|error| Failure::io("reading", path, &error))
    })?;
    let secret = settings.secret.is_some().then(|| {
        // The reference of the start: another config may name another service.
        let (configured, config) = (Arc::clone(configured), Arc::clone(&config));
        let read: Box<SecretReader> = Box::new(move || configured.oidc_secret(&config));
        read
    });
    let provider = Provider::new(ready, secret, Arc::clone(clock));
    let provider = provider.map_err(|error| Failure::user(error.to_string()))?;
    Ok(Some(Arc::new(provider)))
}

/// Tells readers of runs that move, and that everything may be otherwise once one has ended.
fn tell(
    feed: Arc<Feed>,
    board: Arc<Board<Seen>>,
    stop: CancelToken,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    let work = move || {
        let mut seen = 0;
        let mut known: Vec<u64> = Vec::new();
        while !stop.is_cancelled() {
            let version = feed.wait(seen, NAP);
            if version == seen {
                continue;
            }
            let (version, running) = feed.running();
            seen = version;
            let now: Vec<u64> = running.iter().map(|run| run.key).collect();
            let ended = known.iter().filter(|key| !now.contains(key));
            for key in ended.chain(&now) {
                board.tell(About::Run(*key));
            }
            known = now;
            std::thread::sleep(TELL_EVERY);
        }
    };
    std::thread::Builder::new()
        .name("teller".to_owned())
        .spawn(work)
}

/// What the server asks of the daemon.
struct Counter {
    sight: Arc<Sight>,
    configured: Arc<Configured>,
    log: Arc<Log>,
    handle: Handle,
    feed: Arc<Feed>,
}

impl Desk for Counter {
    fn context(&self) -> Result<Context, String> {
        let seen = self.sight.context();
        seen.ok_or_else(|| "the vault was not looked at yet".to_owned())
    }

    fn copies(&self) -> Vec<CopyPlace> {
        let names = self.configured.now();
        // The place is the same for every source.
        let Some(first) = names.sources.first() else {
            return Vec::new();
        };
        let copies = self.configured.copies(&first.name, &CancelToken::new());
        copies
            .into_iter()
            .filter_map(|copy| copy.place.ok())
            .collect()
    }

    fn policy(&self, source: &SourceName) -> Option<(String, Option<Policy>)> {
        let rules = self.configured.rules(source)?;
        Some((rules.environment, rules.retention))
    }

    fn ready(&self, source: &SourceName) -> Result<SourceSpec, String> {
        self.configured.ready(source, &CancelToken::new())
    }

    fn poke(&self, poke: Poke) -> Answer {
        self.handle.poke(poke)
    }

    fn zone(&self) -> TimeZone {
        self.configured.now().zone.clone()
    }

    fn note(&self, line: &str) {
        self.log.line(line);
    }

    fn running(&self) -> Vec<Running> {
        self.feed.running().1
    }

    fn ended(&self, is_it: &dyn Fn(&Running) -> bool) -> Option<Running> {
        self.feed.ended(is_it)
    }

    fn look(&self) {
        self.sight.poke();
    }
}

/// Watches for the log, and has everything looked at anew once a run has ended.
pub(super) struct Noticing {
    pub(super) log: Arc<Log>,
    pub(super) sight: Arc<Sight>,
}

impl Watch for Noticing {
    fn waits(&self, until: Option<Timestamp>) {
        self.log.waits(until);
    }

    fn begins(&self, job: &Job) {
        self.log.begins(job);
    }

    fn ended(&self, standing: &Standing) {
        self.log.ended(standing);
        self.sight.poke();
    }

    fn others(&self) {
        self.sight.poke();
    }

    fn note(&self, line: &str) {
        self.log.note(line);
    }

    fn stops(&self, running: usize) {
        self.log.stops(running);
    }
}

/// Where to serve, by the command line and the config; `None`: nowhere.
pub(super) fn settings(
    listen: Option<SocketAddr>,
    config: &crate::config::Config,
) -> Option<Settings> {
    let configured = config.http.clone();
    match (listen, configured) {
        (None, None) => None,
        (Some(listen), None) => Some(Settings::on(listen)),
        (None, Some(settings)) => Some(settings),
        (Some(listen), Some(settings)) => Some(Settings { listen, ..settings }),
    }
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        let hint = match &error {
            HttpError::Public { .. } => {
                "listen on 127.0.0.1, or set in [http] of the config tls = { cert = \"...\", key = \"...\" }, or behind_proxy = true where a proxy speaks TLS"
            }
            HttpError::NoOrigin => {
                "set in [http] of the config url = \"https://resguardo.example.com\""
            }
            HttpError::Listen { .. } => {
                "is another one listening there? choose another port with --listen"
            }
            HttpError::Pem { .. } | HttpError::Certificate { .. } => {
                "cert and key of [http] are files in PEM: the certificate with those above it, and its key"
            }
            HttpError::Start(_) | HttpError::Tls(_) => {
                "this is the machine's: see its limits of threads and files"
            }
        };
        let exit = if matches!(error, HttpError::Public { .. }) {
            Exit::Usage
        } else {
            Exit::User
        };
        let failure = Self::new(exit, error.to_string());
        let failure = match std::error::Error::source(&error) {
            Some(cause) => failure.because(cause),
            None => failure,
        };
        failure.hint(hint)
    }
}
