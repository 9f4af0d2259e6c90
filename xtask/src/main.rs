//! `cargo xtask <verb>`: the habits of the project. One verb, one file.
//!
//! Must never depend on the project's own crates: it starts before they are built.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a developers' tool: it prints, starts other tools and writes files that git keeps"
)]

mod bench;
mod check;
mod failure;
mod flags;
mod fuzz;
mod generate;
mod rehearse;
mod step;
mod test;
mod tidy;
mod tools;
mod torture;
mod verb;
mod workspace;

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match verb::run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {}", failure.with_causes());
            ExitCode::FAILURE
        }
    }
}
