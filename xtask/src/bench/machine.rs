//! On what machine, when, and by which command something was measured.

use std::fs;
use std::process::Command;

use super::plan::{Part, Plan};
use crate::failure::Failure;
use crate::step;

/// One paragraph below a part's figures.
pub(super) fn line(plan: &Plan, part: Part, commit: &str) -> Result<String, Failure> {
    let date = step::output(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]))?;
    let kernel = step::output(Command::new("uname").arg("-r"))?;
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let os = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let cores = cpuinfo
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let mut disk = Command::new("findmnt");
    let disk = step::output(disk.args(["-n", "-o", "FSTYPE", "-T", "."])).unwrap_or_default();
    // These measure by themselves how often is enough.
    let (rounds, again) = match part {
        Part::Overview | Part::Scale => ("One round".to_owned(), String::new()),
        _ => (
            format!("{} rounds, medians", plan.runs),
            format!(" --runs {}", plan.runs),
        ),
    };
    Ok(format!(
        "{rounds}, on {}, commit {}; {} cores of {}, {:.0} GB of memory, {}, {}, Linux {}. \
         Again: `cargo xtask bench {}{again}`.",
        date.trim(),
        commit,
        cores,
        field(&cpuinfo, "model name", ':'),
        field(&meminfo, "MemTotal", ':')
            .split_whitespace()
            .next()
            .and_then(|kibibytes| kibibytes.parse::<f64>().ok())
            .map_or(f64::NAN, |kibibytes| kibibytes * 1024.0 / 1e9),
        disk.trim(),
        field(&os, "PRETTY_NAME", '=').trim_matches('"'),
        kernel.trim(),
        part.word(),
    ))
}

/// The value of the first line that begins with `name`.
fn field<'a>(text: &'a str, name: &str, divider: char) -> &'a str {
    text.lines()
        .find(|line| line.starts_with(name))
        .and_then(|line| line.split_once(divider))
        .map_or("unknown", |(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_kernels_files_are_found() {
        let text = "MemTotal:       24683084 kB\nMemFree: 1 kB\n";
        assert_eq!(field(text, "MemTotal", ':'), "24683084 kB");
        assert_eq!(field(text, "Swap", ':'), "unknown");
    }
}
