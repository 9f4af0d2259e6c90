//! A PostgreSQL database by the released command, against what people do today: `pg_dump` through zstd and age,
//! and `pg_restore` of a local file.
//!
//! The database is served from a folder of its own; what is restored goes to a second server, which
//! flushes to the disk as PostgreSQL does by itself.

mod backups;
mod data;
mod peak;
mod restores;

use super::plan::Plan;
use super::product::Product;
use super::scratch::{self, Scratch};
use super::server::Server;
use crate::failure::Failure;

/// What our process may use at most.
const PEAK_BYTES_MAX: u64 = 300_000_000;

/// Measures, and tells the figures as Markdown.
pub(super) fn run(plan: &Plan, product: &Product, scratch: &Scratch) -> Result<String, Failure> {
    let states = data::states(scratch, plan.size)?;
    let folder = scratch.fresh("logical")?;
    scratch::open_to_all(&folder)?;
    let [live, target] = ["live", "target"].map(|name| folder.join(name));
    for folder in [&live, &target] {
        scratch::make(folder)?;
    }
    let live = Server::of(&live)?;
    let first = backups::run(plan, product, &folder, &live, &states)?;
    let target = Server::of(&target)?;
    let back = restores::run(plan, product, &folder, &live, &target, &states)?;
    let peaks = peak::run(product, &folder, &live, &target, &states)?;

    let mut text = String::from(super::contest::GOALS);
    text += &first.goals;
    text += &back.goals;
    for (what, bytes) in peaks {
        text += &super::contest::goal(
            &format!("peak memory of our process, {what}"),
            "under 300 MB",
            &format!("{} MB", super::contest::megabytes(bytes)),
            bytes < PEAK_BYTES_MAX,
        );
    }
    text += &format!(
        "\nThe data: {}.\n\n{}\n{}",
        first.data, first.table, back.table
    );
    Ok(text)
}
