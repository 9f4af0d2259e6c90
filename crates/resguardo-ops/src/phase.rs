//! Phases of a run: shown live as they begin, and timed.

use std::time::Instant;

use resguardo_model::Progress;
use serde::{Deserialize, Serialize};

/// How long a phase took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhaseTime {
    /// `select`, `restore`, `provision`, `migrate`, `checks` or `destroy`.
    pub name: String,
    /// Its length in seconds.
    pub seconds: f64,
}

/// Times phases one after the other. What is measured is the machine's monotonic clock: the injected
/// one says what day it is, and may be set.
pub(crate) struct Phases<'a> {
    progress: &'a dyn Progress,
    done: Vec<PhaseTime>,
    running: Option<(&'static str, Instant)>,
}

impl<'a> Phases<'a> {
    pub(crate) fn new(progress: &'a dyn Progress) -> Self {
        Self {
            progress,
            done: Vec::new(),
            running: None,
        }
    }

    /// Ends the phase before and begins `name`.
    pub(crate) fn begin(&mut self, name: &'static str) {
        self.end();
        self.progress.phase(name);
        self.running = Some((name, Instant::now()));
    }

    /// Ends the running phase, if there is one.
    pub(crate) fn end(&mut self) {
        if let Some((name, since)) = self.running.take() {
            self.done.push(PhaseTime {
                name: name.to_owned(),
                seconds: since.elapsed().as_secs_f64(),
            });
        }
    }

    /// The phases so far, the running one left out.
    pub(crate) fn times(&self) -> &[PhaseTime] {
        &self.done
    }
}
