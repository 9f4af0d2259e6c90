//! Which process is meant: its number alone is given to another one some day.

use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process};
use serde::{Deserialize, Serialize};

/// A process and when it started, so that another one with the same number is not taken for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessMark {
    /// Its number; of a child also its group's.
    pub pid: u32,
    /// The boot and the moment after it at which it started, as the kernel tells them; empty where it does not.
    pub started: String,
}

impl ProcessMark {
    /// This very process.
    #[must_use]
    pub fn own() -> Self {
        Self::of(std::process::id())
    }

    /// The process that has the number `pid` now.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        Self {
            pid,
            started: started(pid).unwrap_or_default(),
        }
    }

    /// Whether that process still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        if self.started.is_empty() {
            return as_pid(self.pid).is_some_and(|pid| test_kill_process(pid).is_ok());
        }
        started(self.pid).is_some_and(|started| started == self.started)
    }

    /// Ends the group that the process leads, if it is still that process, and its children that left the
    /// group: each process of a PostgreSQL server leads a group of its own.
    pub fn end_group(&self) {
        if self.is_alive()
            && let Some(pid) = as_pid(self.pid)
        {
            // It may have ended between the two lines; there is nothing left to do then. Stopped first, it
            // starts no more children.
            let _ = kill_process_group(pid, Signal::STOP);
            let children = children_of(self.pid);
            let _ = kill_process_group(pid, Signal::KILL);
            for child in children {
                let _ = kill_process(child, Signal::KILL);
            }
        }
    }
}

/// The children of a process, where the system has `/proc`. In `/proc/PID/stat` the fourth field is the parent.
fn children_of(parent: u32) -> Vec<Pid> {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let numbers = processes
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_child = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let found = after_name.split_ascii_whitespace().nth(1);
        found.is_some_and(|found| found.parse() == Ok(parent))
    };
    numbers.filter(is_child).filter_map(as_pid).collect()
}

pub(super) fn as_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// Boot and start time of a process that is no zombie. Fields of `/proc/PID/stat`: the third is the
/// state, the 22nd the start in clock ticks since the boot; the second, the name, may hold spaces.
pub(super) fn started(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace();
    let state = fields.next()?;
    let ticks = fields.nth(18)?;
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    (!matches!(state, "Z" | "X")).then(|| format!("{}:{ticks}", boot.trim()))
}
