//! Peak memory of our own process, without the tools and servers that it starts: GNU time tells the
//! largest of all. The kernel keeps the highest; it is asked until the process ends.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::super::contest;
use super::super::scratch;
use super::Stage;
use super::data::DATABASE;
use crate::failure::Failure;
use crate::step;

/// What our process may use at most.
const PEAK_BYTES_MAX: u64 = 300_000_000;

/// Where the restore goes to.
const DATABASE_BACK: &str = "peak";

/// Runs every command once; rows of the table of goals.
pub(super) fn run(stage: &Stage<'_>) -> Result<String, Failure> {
    let own = stage.folder.join("peak");
    scratch::make(&own)?;
    let place = stage.product.place(&own);
    let create = format!("create database {DATABASE_BACK} template template0");
    step::output(&mut stage.target.psql("postgres", &[&create]))?;
    let to = stage.target.url(DATABASE_BACK);
    step::run(&mut place.init_for(&stage.live.url(DATABASE)))?;
    let states = &stage.states;
    let commands: [(&str, &Path, &[&str]); 4] = [
        ("`backup`, the first", &states.first, &["backup"]),
        ("`backup`, the second", &states.random, &["backup"]),
        (
            "`restore`",
            &states.random,
            &["restore", "shop", "--to", &to],
        ),
        ("`drill`", &states.random, &["drill", "shop"]),
    ];
    let mut rows = String::new();
    for (what, state, words) in commands {
        stage.live.serve(state)?;
        let bytes = measure(place.command(words).arg("--quiet"))?;
        rows += &contest::goal(
            &format!("peak memory of our process, {what}"),
            "under 300 MB",
            &format!("{} MB", contest::megabytes(bytes)),
            bytes < PEAK_BYTES_MAX,
        );
    }
    Ok(rows)
}

fn measure(command: &mut Command) -> Result<u64, Failure> {
    let text = step::shown(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|source| Failure::Start {
            command: text.clone(),
            source,
        })?;
    let path = format!("/proc/{}/status", child.id());
    let mut highest = 0;
    loop {
        let status = std::fs::read_to_string(&path).unwrap_or_default();
        highest = highest.max(peak(&status).unwrap_or(0));
        let ended = child.try_wait().map_err(|source| Failure::Start {
            command: text.clone(),
            source,
        })?;
        match ended {
            Some(status) if status.success() => return Ok(highest),
            Some(status) => {
                return Err(Failure::Exit {
                    command: text,
                    status,
                });
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// The highest resident memory of a process by its `status`, in bytes.
fn peak(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_line_is_read() {
        assert_eq!(
            peak("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t1 kB\n"),
            Some(2_097_152)
        );
        assert_eq!(peak("Name:\tzombie\n"), None);
    }
}
