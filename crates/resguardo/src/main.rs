//! `resguardo`: parses the command line, runs one verb, and ends with its exit code.

#![allow(unreachable_pub, reason = "nothing imports a binary")]

mod ambient;
mod cli;
mod commands;
mod config;
mod demo;
mod error;
mod exit;
mod home;
mod invocation;
mod keys;
mod kit;
mod prompt;
mod render;
mod secret;
mod setup;
mod signal;
mod telling;
mod template;
mod wire;

use clap::Parser as _;

fn main() -> std::process::ExitCode {
    let cli = cli::Cli::parse();
    let invocation = invocation::Invocation::new(ambient::Ambient::capture(), cli.global);
    let exit = match commands::run(&invocation, cli.command) {
        Ok(exit) => exit,
        Err(failure) => {
            failure.print(&invocation.out);
            failure.exit
        }
    };
    std::process::ExitCode::from(exit.code())
}
