//! Contestants do the same steps on the same data, taking turns.
//!
//! Step by step, so that all of them meet the machine in the same state; the one that begins changes
//! from round to round.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::measure::{Sample, measure, median, settle};
use super::scratch::{bytes_in, make, remove};
use crate::failure::Failure;
use crate::step;

/// One way of doing it.
pub(super) struct Contestant {
    pub(super) name: &'static str,
    /// Where its backups lie; removed before every round.
    pub(super) store: PathBuf,
    /// What else it leaves that a round must not find.
    pub(super) leftovers: Vec<PathBuf>,
    /// What is run once a round, unmeasured.
    pub(super) prepare: Vec<Command>,
    /// One command for each step.
    pub(super) steps: Vec<Command>,
}

/// What all contestants do at the same point of a round.
pub(super) struct Step<'a> {
    pub(super) name: &'static str,
    /// What it reads besides the contestant's own store.
    pub(super) reads: PathBuf,
    /// Brings the data into the state that the step is about.
    pub(super) before: &'a dyn Fn() -> Result<(), Failure>,
    /// Looks at what a contestant, by its position, has done.
    pub(super) after: &'a dyn Fn(usize) -> Result<(), Failure>,
}

/// What a contestant took for a step, over all rounds.
#[derive(Clone, Debug, Default)]
pub(super) struct Series {
    samples: Vec<Sample>,
    added: Vec<u64>,
}

impl Series {
    pub(super) fn seconds(&self) -> f64 {
        median(self.samples.iter().map(|sample| sample.seconds))
    }

    pub(super) fn fastest(&self) -> f64 {
        self.samples
            .iter()
            .map(|sample| sample.seconds)
            .fold(f64::INFINITY, f64::min)
    }

    pub(super) fn slowest(&self) -> f64 {
        self.samples
            .iter()
            .map(|sample| sample.seconds)
            .fold(0.0, f64::max)
    }

    pub(super) fn cpu_seconds(&self) -> f64 {
        median(self.samples.iter().map(|sample| sample.cpu_seconds))
    }

    /// The highest of all rounds.
    pub(super) fn peak_bytes(&self) -> u64 {
        self.samples
            .iter()
            .map(|sample| sample.peak_bytes)
            .max()
            .unwrap_or(0)
    }

    /// Bytes that the store grew by, the median.
    pub(super) fn added_bytes(&self) -> u64 {
        let mut added = self.added.clone();
        added.sort_unstable();
        added
            .get(added.len().saturating_sub(1) / 2)
            .copied()
            .unwrap_or(0)
    }
}

/// Figures by contestant, then by step.
pub(super) struct Outcome {
    series: Vec<Vec<Series>>,
}

impl Outcome {
    pub(super) fn of(&self, contestant: usize, step: usize) -> &Series {
        &self.series[contestant][step]
    }
}

/// Runs the rounds.
///
/// # Errors
/// If any command of any contestant fails, or what it did is not right.
pub(super) fn hold(
    contestants: &mut [Contestant],
    steps: &[Step<'_>],
    rounds: usize,
    report: &Path,
) -> Result<Outcome, Failure> {
    let mut series = vec![vec![Series::default(); steps.len()]; contestants.len()];
    for round in 0..rounds {
        for contestant in contestants.iter_mut() {
            begin(contestant)?;
        }
        for (number, step) in steps.iter().enumerate() {
            (step.before)()?;
            for turn in 0..contestants.len() {
                let position = (turn + round) % contestants.len();
                let contestant = &contestants[position];
                eprintln!(
                    "xtask: round {}, {}: {}",
                    round + 1,
                    step.name,
                    contestant.name
                );
                settle(&[&step.reads, &contestant.store])?;
                let before = bytes_in(&contestant.store)?;
                let sample = measure(&contestant.steps[number], report)?;
                let after = bytes_in(&contestant.store)?;
                (step.after)(position)?;
                series[position][number].samples.push(sample);
                series[position][number]
                    .added
                    .push(after.saturating_sub(before));
            }
        }
    }
    Ok(Outcome { series })
}

fn begin(contestant: &mut Contestant) -> Result<(), Failure> {
    remove(&contestant.store)?;
    for path in &contestant.leftovers {
        remove(path)?;
    }
    if let Some(parent) = contestant.store.parent() {
        make(parent)?;
    }
    for command in &mut contestant.prepare {
        step::output(command)?;
    }
    Ok(())
}

/// Whole megabytes, or one more digit below ten.
pub(super) fn megabytes(bytes: u64) -> String {
    let megabytes = bytes as f64 / 1e6;
    if megabytes < 10.0 {
        format!("{megabytes:.1}")
    } else {
        format!("{megabytes:.0}")
    }
}

/// A goal and what came of it, as a row of a table: `| what | goal | got | reached |`.
pub(super) fn goal(what: &str, goal: &str, got: &str, reached: bool) -> String {
    let word = if reached { "yes" } else { "**no**" };
    format!("| {what} | {goal} | {got} | {word} |\n")
}

/// The head of a table of goals.
pub(super) const GOALS: &str = "| what | at least | measured | reached |\n|---|---|---|---|\n";

/// How many times faster, as a row of a table of goals.
pub(super) fn faster(what: &str, least: f64, ours: &Series, peer: &Series) -> String {
    let ratio = peer.seconds() / ours.seconds();
    goal(
        what,
        &format!("{least} x faster"),
        &format!(
            "{ratio:.2} x ({:.2} s to {:.2} s)",
            ours.seconds(),
            peer.seconds()
        ),
        ratio >= least,
    )
}

/// A table of everything measured: a row for each step and contestant.
pub(super) fn table(contestants: &[Contestant], steps: &[Step<'_>], outcome: &Outcome) -> String {
    let mut text = String::from(
        "| step | who | seconds (from - to) | processor seconds | added, MB | peak memory, MB |\n\
         |---|---|---|---|---|---|\n",
    );
    for (number, step) in steps.iter().enumerate() {
        for (position, contestant) in contestants.iter().enumerate() {
            let series = outcome.of(position, number);
            text.push_str(&format!(
                "| {} | {} | **{:.2}** ({:.2} - {:.2}) | {:.2} | {} | {} |\n",
                step.name,
                contestant.name,
                series.seconds(),
                series.fastest(),
                series.slowest(),
                series.cpu_seconds(),
                megabytes(series.added_bytes()),
                megabytes(series.peak_bytes()),
            ));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(seconds: &[f64]) -> Series {
        let sample = |seconds: &f64| Sample {
            seconds: *seconds,
            ..Sample::default()
        };
        Series {
            samples: seconds.iter().map(sample).collect(),
            added: vec![3, 1, 2],
        }
    }

    #[test]
    fn a_goal_is_judged_by_the_medians() {
        let (ours, peer) = (series(&[1.0, 9.0, 2.0]), series(&[4.0, 4.0, 4.0]));
        assert_eq!(
            faster("reading", 2.0, &ours, &peer),
            "| reading | 2 x faster | 2.00 x (2.00 s to 4.00 s) | yes |\n"
        );
        assert!(faster("reading", 2.1, &ours, &peer).ends_with("| **no** |\n"));
        assert_eq!(ours.added_bytes(), 2);
    }
}
