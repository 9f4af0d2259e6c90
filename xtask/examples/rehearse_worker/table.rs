//! What happened, a line for each project, and what should not have.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Anything;
use crate::config::every_minutes;
use crate::project::{Project, Served};

pub(crate) const HEADER: &str = "\
| project | backup | copy | verify | drill | prune | not succeeded | exceptions | backups left | messages, pings | memory, at most | processor | stopped in |
|---|---|---|---|---|---|---|---|---|---|---|---|---|";

/// A line of the table.
pub(crate) struct Row {
    name: &'static str,
    /// The tasks that are due, and how often each succeeded.
    done: BTreeMap<&'static str, u64>,
    /// Runs that ended otherwise, in words.
    others: Vec<String>,
    exceptions: usize,
    backups: usize,
    is_proven: bool,
    heard: (usize, usize),
    rss_max_kib: u64,
    cpu_seconds: f64,
    stop_seconds: f64,
    end: String,
    log: String,
}

impl Row {
    pub(crate) fn of(project: &Project, served: &Served) -> Result<Self, Anything> {
        let list = |answer: &Value, name: &str| -> Vec<Value> {
            answer[name].as_array().cloned().unwrap_or_default()
        };
        let runs = list(
            &project.answer(&["catalog", "runs", "--limit", "1000"])?,
            "runs",
        );
        let mut done: BTreeMap<&'static str, u64> =
            project.tasks()?.into_iter().map(|task| (task, 0)).collect();
        let mut others = Vec::new();
        for run in &runs {
            let (verb, state) = (run["verb"].as_str().unwrap_or(""), run["state"].as_str());
            match (done.get_mut(verb), state) {
                (Some(count), Some("succeeded")) => *count += 1,
                (None, Some("succeeded")) => {}
                _ => others.push(format!(
                    "{verb} {}: {}",
                    state.unwrap_or("?"),
                    run["message"].as_str().unwrap_or("")
                )),
            }
        }
        let status = project.answer(&["status"])?;
        Ok(Self {
            name: project.example.name,
            done,
            others,
            exceptions: list(&project.answer(&["exceptions"])?, "exceptions").len(),
            backups: list(&project.answer(&["list"])?, "backups").len(),
            is_proven: status["sources"][0]["proven"].is_object(),
            heard: (project.ear.heard("/slack"), project.ear.heard("/latido")),
            rss_max_kib: served.rss_max_kib,
            cpu_seconds: served.cpu_seconds,
            stop_seconds: served.stop_seconds,
            end: served.status.to_string(),
            log: std::fs::read_to_string(&served.log)?,
        })
    }

    pub(crate) fn line(&self) -> String {
        let count = |task: &str| match self.done.get(task) {
            Some(count) => count.to_string(),
            None => "-".to_owned(),
        };
        format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {}, {} | {} MB | {:.0} s | {:.1} s |",
            self.name,
            count("backup"),
            count("copy"),
            count("verify"),
            count("drill"),
            count("prune"),
            self.others.len(),
            self.exceptions,
            self.backups,
            self.heard.0,
            self.heard.1,
            self.rss_max_kib / 1024,
            self.cpu_seconds,
            self.stop_seconds
        )
    }

    /// What should not have happened in so many minutes. A run that the end interrupted is none of it.
    pub(crate) fn faults(&self, minutes: u64) -> Vec<String> {
        let mut faults = Vec::new();
        for (task, count) in &self.done {
            let least = (minutes / every_minutes(task))
                .saturating_sub(1)
                .div_ceil(2);
            if *count < least {
                faults.push(format!(
                    "{task} succeeded {count} times, and {least} at least were to come"
                ));
            }
        }
        let interrupted = |other: &&String| other.contains(" interrupted: ");
        faults.extend(
            self.others
                .iter()
                .filter(|other| !interrupted(other))
                .cloned(),
        );
        if self.others.iter().filter(interrupted).count() > 1 {
            faults.push("more than one run was interrupted".to_owned());
        }
        if self.exceptions > 0 {
            faults.push(format!("{} exceptions are open", self.exceptions));
        }
        if !self.is_proven {
            faults.push("nothing is proven".to_owned());
        }
        if self.end != "exit status: 0" {
            faults.push(format!("serve ended with {}", self.end));
        }
        if !faults.is_empty() {
            faults.push(format!("its log:\n{}", self.log));
        }
        faults
            .into_iter()
            .map(|fault| format!("{}: {fault}", self.name))
            .collect()
    }
}
