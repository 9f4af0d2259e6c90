//! The processes of one running server: the postmaster and its children, each in a session of its own.

use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a server may take to start or to stop.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A running postmaster; stopped at once when it is dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
}

impl Process {
    pub(super) fn new(child: Child) -> Self {
        Self { child }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has it ended?
    pub(super) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Ends it by a signal: INT (fast), QUIT (at once, but it cleans up after itself).
    ///
    /// # Panics
    /// If it does not end in time.
    pub(super) fn stop(mut self, signal: Signal) {
        self.send(signal);
        assert!(self.ends_within(PATIENCE), "the server does not stop");
    }

    /// Kills it and all its children, as a power cut would.
    pub(super) fn kill(mut self) {
        self.kill_family();
        let _ = self.child.wait();
    }

    /// Sends a signal to the postmaster and all its children.
    pub(super) fn signal_family(&self, signal: Signal) {
        self.send(signal);
        for pid in self.children() {
            let _ = kill_process(pid, signal);
        }
    }

    /// Returns when all of them are gone: a server that starts again refuses to while one of them is left.
    fn kill_family(&self) {
        // Stopped first, it can start no more children.
        self.send(Signal::STOP);
        within(PATIENCE, || "Tt".contains(state(self.pid()).unwrap_or('T')));
        let children = self.children();
        self.send(Signal::KILL);
        for pid in &children {
            let _ = kill_process(*pid, Signal::KILL);
        }
        within(PATIENCE, || {
            children.iter().all(|pid| {
                let state = state(pid.as_raw_nonzero().get().unsigned_abs());
                state.is_none_or(|state| "ZX".contains(state))
            })
        });
    }

    fn send(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.pid()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }

    fn children(&self) -> Vec<Pid> {
        let own = self.pid().to_string();
        let Ok(processes) = std::fs::read_dir("/proc") else {
            return Vec::new();
        };
        processes
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter_map(|number: i32| {
                let parent = after_name(number.unsigned_abs(), 1)?;
                (parent == own).then(|| Pid::from_raw(number))?
            })
            .collect()
    }

    fn ends_within(&mut self, patience: Duration) -> bool {
        within(patience, || self.has_ended())
    }
}

/// Waits until something is so; whether it came to be.
fn within(patience: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while began.elapsed() < patience {
        if is_so() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

/// The kernel's letter for what a process does: `R` runs, `T` stopped, `Z` ended. None if there is none.
fn state(pid: u32) -> Option<char> {
    after_name(pid, 0)?.chars().next()
}

/// A field of a process's `stat`, counted from the one after its name, which may hold anything.
fn after_name(pid: u32, field: usize) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields = stat.rsplit(')').next()?;
    fields.split_whitespace().nth(field).map(str::to_owned)
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_some()) {
            return;
        }
        // It may have been paused.
        self.signal_family(Signal::CONT);
        self.send(Signal::QUIT);
        if !self.ends_within(Duration::from_secs(10)) {
            self.kill_family();
            let _ = self.child.wait();
        }
    }
}
