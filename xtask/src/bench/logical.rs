//! A PostgreSQL database by the released command, against what people do today: `pg_dump` through zstd and age,
//! and `pg_restore` of a local file.
//!
//! The database is served from a folder of its own; what is restored goes to a second server, which
//! flushes to the disk as PostgreSQL does by itself.

mod backups;
mod data;
mod peak;
mod restores;

use std::path::PathBuf;

use super::contest;
use super::plan::Plan;
use super::product::Product;
use super::scratch::{self, Scratch};
use super::server::Server;
use crate::failure::Failure;
use data::States;

/// What all three parts work with.
struct Stage<'a> {
    plan: &'a Plan,
    product: &'a Product,
    folder: PathBuf,
    states: States,
    /// Serves one of the states: what is backed up.
    live: Server,
    /// What is restored goes here.
    target: Server,
}

/// Figures as Markdown.
struct Told {
    goals: String,
    table: String,
}

/// Measures, and tells the figures as Markdown.
pub(super) fn run(plan: &Plan, product: &Product, scratch: &Scratch) -> Result<String, Failure> {
    let states = data::states(scratch, plan.size)?;
    let folder = scratch.fresh("logical")?;
    scratch::open_to_all(&folder)?;
    let server = |name| {
        let folder = folder.join(name);
        scratch::make(&folder)?;
        Server::of(&folder)
    };
    let stage = Stage {
        plan,
        product,
        states,
        live: server("live")?,
        target: server("target")?,
        folder,
    };
    stage.live.serve(&stage.states.first)?;
    let data = data::described(&stage.live)?;
    let backups = backups::run(&stage)?;
    let restores = restores::run(&stage)?;
    let mut text = String::from(contest::GOALS);
    text += &backups.goals;
    text += &restores.goals;
    text += &peak::run(&stage)?;
    text += &format!(
        "\nThe data: {data}.\n\n{}\n{}",
        backups.table, restores.table
    );
    Ok(text)
}
