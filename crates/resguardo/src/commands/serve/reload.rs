//! Signals of a daemon: on SIGHUP it reads its config again; on SIGINT and SIGTERM it looks at once that it is to
//! stop, which [`crate::signal`] has told it.

use std::sync::Arc;

use resguardo_daemon::{Handle, Job};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::configured::Configured;
use super::front::Front;
use super::log::Log;
use super::scheduled;
use super::sight::Sight;
use crate::config::Config;
use crate::error::Failure;
use crate::invocation::Invocation;
use crate::wire;

/// Reads the config again for a daemon that runs.
pub(super) struct Reload {
    pub(super) front: Option<Arc<Front>>,
    pub(super) sight: Arc<Sight>,
    pub(super) invocation: Invocation,
    pub(super) configured: Arc<Configured>,
    pub(super) log: Arc<Log>,
    pub(super) handle: Handle,
    /// Labels of the command line.
    pub(super) labels: Vec<String>,
}

/// Those that come from now on are heard once somebody listens, and end nothing before.
pub(super) fn signals() -> Signals {
    Signals::new([SIGHUP, SIGINT, SIGTERM]).expect("these signals can be handled")
}

impl Reload {
    /// Listens for signals, until what it answers is dropped.
    pub(super) fn listen(self, mut signals: Signals) -> Listening {
        let handle = signals.handle();
        let thread = std::thread::spawn(move || {
            for signal in signals.forever() {
                match signal {
                    SIGHUP => self.reload(),
                    _ => self.handle.look(),
                }
            }
        });
        Listening {
            handle,
            thread: Some(thread),
        }
    }

    fn reload(&self) {
        self.log.manager.reloads();
        let lines = match self.read() {
            Ok((config, jobs)) => {
                let count = scheduled(&jobs);
                self.log.set_zone(config.zone.clone());
                self.configured.set(config);
                // Before what now begins.
                self.log
                    .line(&format!("the config was read again: {count} by schedule"));
                self.handle.replace(jobs);
                Vec::new()
            }
            Err(failure) => {
                let holds = "the config was not read again, and the old one holds:".to_owned();
                std::iter::once(holds).chain(failure.in_lines()).collect()
            }
        };
        if let Some(front) = &self.front
            && let Err(error) = front.reload()
        {
            let line = Failure::from(error).in_a_line();
            self.log
                .line(&format!("the certificate was not read again: {line}"));
        }
        self.sight.poke();
        self.log.is_reloaded();
        for line in lines {
            self.log.line(&line);
        }
    }

    fn read(&self) -> Result<(Config, Vec<Job>), Failure> {
        let config = super::labelled(self.invocation.config()?, &self.labels);
        if let (Some(file), None) = (&self.configured.now().file, &config.file) {
            let file = file.display();
            return Err(Failure::user(format!("the config file {file} is gone")));
        }
        let jobs = super::jobs(&config);
        super::has_work(&config, &jobs, self.front.is_some())?;
        if config.vault.url.is_none() {
            return Err(wire::no_vault());
        }
        Ok((config, jobs))
    }
}

/// Whoever listens.
pub(super) struct Listening {
    handle: signal_hook::iterator::Handle,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            // If it panicked, that was said by then.
            let _ = thread.join();
        }
    }
}
