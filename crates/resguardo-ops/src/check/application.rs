//! Applications that checks ask: each distinct command is started once on a port of its own, and
//! ended with its whole group when the checks are over.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::Restored;
use crate::run::described;
use resguardo_engine::process::Process;

/// How often a port is tried.
const POLL: Duration = Duration::from_millis(25);
/// How long one try may take.
const CONNECT: Duration = Duration::from_millis(500);

pub(super) struct Applications<'a> {
    restored: &'a Restored<'a>,
    /// What became of each command.
    started: BTreeMap<String, Result<Application, String>>,
}

/// A running application.
pub(super) struct Application {
    process: Process,
    pub(super) port: u16,
}

impl Application {
    /// Whether it is still there: another one that got hold of its port must not answer for it.
    pub(super) fn is_running(&self) -> bool {
        matches!(self.process.has_exited(), Ok(false))
    }

    /// What it has said so far.
    pub(super) fn said(&self) -> String {
        self.process.output().said().to_owned()
    }
}

impl<'a> Applications<'a> {
    pub(super) fn new(restored: &'a Restored<'a>) -> Self {
        Self {
            restored,
            started: BTreeMap::new(),
        }
    }

    /// The application of a command; started at the first call, with its port ready.
    pub(super) fn get(&mut self, line: &str) -> Result<&Application, String> {
        if !self.started.contains_key(line) {
            let started = start(self.restored, line);
            self.started.insert(line.to_owned(), started);
        }
        self.started[line].as_ref().map_err(Clone::clone)
    }
}

fn start(restored: &Restored<'_>, line: &str) -> Result<Application, String> {
    let port = free_port().map_err(|error| format!("no port is free: {error}"))?;
    let command = restored
        .command(line)
        .with_variables([("PORT".to_owned(), port.to_string())]);
    let process = Process::start(&command, restored.log).map_err(|error| described(&error))?;
    let mut application = Application { process, port };
    match wait_until_ready(restored, &application) {
        Ok(()) => Ok(application),
        Err(why) => {
            let output = application.process.end();
            Err(match output.said() {
                "" => format!("{} {why}", command.name()),
                said => format!("{} {why}; it said: {said}", command.name()),
            })
        }
    }
}

fn wait_until_ready(restored: &Restored<'_>, application: &Application) -> Result<(), String> {
    let limit = restored.spec.drill.ready_timeout;
    let begun = Instant::now();
    loop {
        if !application.is_running() {
            return Err("ended before it was ready".to_owned());
        }
        if restored.ctx.cancel.is_cancelled() {
            return Err("was interrupted before it was ready".to_owned());
        }
        if accepts(application.port) {
            return Ok(());
        }
        if begun.elapsed() >= limit {
            return Err(format!("was not ready after {} s", limit.as_secs()));
        }
        std::thread::sleep(POLL);
    }
}

fn accepts(port: u16) -> bool {
    let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    [v4, v6]
        .iter()
        .any(|address| TcpStream::connect_timeout(address, CONNECT).is_ok())
}

/// A port that was free a moment ago. If somebody else takes it, the application cannot, and ends.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}
