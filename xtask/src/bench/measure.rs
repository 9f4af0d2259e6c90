//! Runs one command and measures it from outside: time by our clock, processor time and peak memory by
//! GNU time, which asks the kernel.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::failure::Failure;
use crate::step;

/// What one run of a command took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sample {
    /// From start to end.
    pub(super) seconds: f64,
    /// Of all cores, in user and system mode, children included.
    pub(super) cpu_seconds: f64,
    /// Peak memory of its largest process.
    pub(super) peak_bytes: u64,
}

/// Runs a command and measures it; its standard output is thrown away.
///
/// # Errors
/// If it cannot be started or does not end well.
pub(super) fn measure(command: &Command, report: &Path) -> Result<Sample, Failure> {
    let text = step::shown(command);
    let mut timed = Command::new("/usr/bin/time");
    timed.args(["-q", "-f", "%U %S %M", "-o"]).arg(report);
    timed.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => timed.env(name, value),
            None => timed.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        timed.current_dir(folder);
    }
    let begin = Instant::now();
    let status = timed
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .map_err(|source| Failure::Start {
            command: text.clone(),
            source,
        })?;
    let seconds = begin.elapsed().as_secs_f64();
    if !status.success() {
        return Err(Failure::Exit {
            command: text,
            status,
        });
    }
    let told = std::fs::read_to_string(report).map_err(|source| Failure::Read {
        path: report.to_owned(),
        source,
    })?;
    let (cpu_seconds, peak_bytes) = parse(&told).ok_or(Failure::Answer {
        command: "/usr/bin/time".to_owned(),
        answer: told,
    })?;
    let sample = Sample {
        seconds,
        cpu_seconds,
        peak_bytes,
    };
    eprintln!(
        "xtask: {seconds:.2} s, {cpu_seconds:.2} s of processor, {} MB: {text}",
        peak_bytes / 1_000_000
    );
    Ok(sample)
}

/// Seconds in user and system mode, and KiB.
fn parse(told: &str) -> Option<(f64, u64)> {
    let mut words = told.lines().last()?.split_whitespace();
    let user: f64 = words.next()?.parse().ok()?;
    let system: f64 = words.next()?.parse().ok()?;
    let kibibytes: u64 = words.next()?.parse().ok()?;
    Some((user + system, kibibytes * 1024))
}

/// Lets the disk come to rest, and brings what will be read into the page cache.
pub(super) fn settle(warm: &[&Path]) -> Result<(), Failure> {
    let run = |command: &mut Command| {
        let text = step::shown(command);
        if step::succeeds(command) {
            Ok(())
        } else {
            Err(Failure::Silent { command: text })
        }
    };
    for path in warm.iter().filter(|path| path.exists()) {
        let mut read = Command::new("find");
        read.arg("-L")
            .arg(path)
            .args(["-type", "f", "-exec", "cat", "{}", "+"]);
        run(&mut read)?;
    }
    run(&mut Command::new("sync"))
}

/// The middle of some figures; of an even number the lower of the two.
pub(super) fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len().saturating_sub(1) / 2;
    figures.get(middle).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_read_and_anything_else_refused() {
        assert_eq!(parse("1.50 0.25 2048\n"), Some((1.75, 2_097_152)));
        assert_eq!(parse("Command exited\n1 2 3\n"), Some((3.0, 3072)));
        assert_eq!(parse("1.50 0.25"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn the_median_is_one_of_the_figures() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.0);
        assert!(median([]).is_nan());
    }
}
