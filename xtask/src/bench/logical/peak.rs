//! Peak memory of our own process, without the tools and servers that it starts: GNU time tells the
//! largest of all. The kernel keeps the highest; it is asked until the process ends.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::super::product::Product;
use super::super::scratch;
use super::super::server::Server;
use super::data::{DATABASE, States};
use crate::failure::Failure;
use crate::step;

const DATABASE_BACK: &str = "peak";

/// Runs every command once; its name, and bytes.
pub(super) fn run(
    product: &Product,
    folder: &Path,
    live: &Server,
    target: &Server,
    states: &States,
) -> Result<Vec<(&'static str, u64)>, Failure> {
    let own = folder.join("peak");
    scratch::make(&own)?;
    let place = product.place(&own);
    let create = format!("create database {DATABASE_BACK} template template0");
    step::output(&mut target.psql("postgres", &[&create]))?;
    let to = target.url(DATABASE_BACK);
    step::run(&mut place.init_for(&live.url(DATABASE)))?;
    let first = measure(&mut place.command(&["backup", "--quiet"]))?;
    live.serve(&states.random)?;
    let second = measure(&mut place.command(&["backup", "--quiet"]))?;
    let restore = ["restore", "shop", "--to", &to, "--quiet"];
    Ok(vec![
        ("`backup`, the first", first),
        ("`backup`, the second", second),
        ("`restore`", measure(&mut place.command(&restore))?),
        (
            "`drill`",
            measure(&mut place.command(&["drill", "shop", "--quiet"]))?,
        ),
    ])
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
