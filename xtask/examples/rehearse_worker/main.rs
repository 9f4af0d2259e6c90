//! `resguardo serve` with each project of `examples/`, on a real server, for some minutes: what `cargo xtask rehearse`
//! runs.
//!
//! The config of `production` is the project's own, but that everything is due each minute or two and nothing is put
//! off. The databases are real and small, and change while they are served; messages and pings go to a server of ours. In
//! the end every run has to have succeeded, often enough, no exception is open, and the daemon has ended in time.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a developers' tool that nothing is built from: it starts the product and prints"
)]

mod config;
mod ear;
mod project;
mod table;

use std::path::{Path, PathBuf};
use std::time::Duration;

use project::{Example, Project};
use table::Row;

/// Whatever went wrong; `main` shows it and the run ends.
type Anything = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str = "rehearse_worker --minutes M [NAME...]";

fn main() -> Result<(), Anything> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [flag, minutes, names @ ..] = &words[..] else {
        return Err(USAGE.into());
    };
    if flag != "--minutes" {
        return Err(USAGE.into());
    }
    let minutes: u64 = minutes.parse()?;
    let mut examples = Example::ALL.to_vec();
    if let Some(unknown) = names
        .iter()
        .find(|name| !examples.iter().any(|one| one.name == **name))
    {
        return Err(format!("there is no example {unknown}").into());
    }
    examples.retain(|example| names.is_empty() || names.iter().any(|name| name == example.name));
    let binary = binary()?;
    let rehearsals: Vec<_> = examples
        .into_iter()
        .map(|example| {
            let binary = binary.clone();
            std::thread::spawn(move || rehearse(example, &binary, minutes))
        })
        .collect();
    let mut faults = Vec::new();
    println!("{}", table::HEADER);
    for rehearsal in rehearsals {
        match rehearsal.join() {
            Ok(Ok(row)) => {
                println!("{}", row.line());
                faults.extend(row.faults(minutes));
            }
            Ok(Err(error)) => faults.push(error.to_string()),
            Err(_) => faults.push("it panicked".to_owned()),
        }
    }
    if faults.is_empty() {
        return Ok(());
    }
    Err(faults.join("\n").into())
}

/// The product, beside this example.
fn binary() -> Result<PathBuf, Anything> {
    let own = std::env::current_exe()?;
    let folder = own.parent().and_then(Path::parent);
    let binary = folder
        .ok_or("an example lies in a folder")?
        .join("resguardo");
    if !binary.is_file() {
        return Err(format!("{} is not built", binary.display()).into());
    }
    Ok(binary)
}

fn rehearse(example: Example, binary: &Path, minutes: u64) -> Result<Row, Anything> {
    let project = Project::set_up(example, binary)?;
    let served = project.serve(Duration::from_secs(60 * minutes))?;
    Row::of(&project, &served)
}
