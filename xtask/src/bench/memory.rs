//! Peak memory of the commands, on the database of the SQLite part.

use std::path::Path;

use super::contest::{self, Contestant, Outcome, Step, hold};
use super::plan::Plan;
use super::product::Product;
use super::scratch::{self, Scratch};
use super::{shop, sqlite};
use crate::failure::Failure;

/// What no command may pass.
const PEAK_BYTES_MAX: u64 = 300_000_000;

/// Measures, and tells the figures as Markdown.
pub(super) fn run(plan: &Plan, product: &Product, scratch: &Scratch) -> Result<String, Failure> {
    let states = shop::states(scratch, plan.size)?;
    let folder = scratch.fresh("memory")?;
    let live = folder.join("shop.db");
    let restored = folder.join("restored.db");
    sqlite::copy(&states.first, &live)?;
    let place = product.place(&folder);
    let to = restored.display().to_string();
    let commands: [(&'static str, &[&str]); 8] = [
        ("`backup`, the first", &["backup", "--quiet"]),
        ("`backup`, the second", &["backup", "--quiet"]),
        ("`restore`", &["restore", "shop", "--to", &to, "--quiet"]),
        (
            "`verify --depth bytes`",
            &["verify", "--depth", "bytes", "--quiet"],
        ),
        (
            "`verify --depth structure`",
            &["verify", "--depth", "structure", "--quiet"],
        ),
        ("`drill`", &["drill", "--quiet"]),
        ("`list`", &["list"]),
        ("`receipts verify`", &["receipts", "verify"]),
    ];
    let mut contestants = [Contestant {
        name: "Resguardo",
        store: place.vault(),
        leftovers: vec![
            place.home(),
            folder.join("resguardo.toml"),
            folder.join("recovery-kit.md"),
            restored.clone(),
        ],
        prepare: vec![place.init(&live)],
        steps: commands
            .iter()
            .map(|(_, words)| place.command(words))
            .collect(),
    }];
    let first = || sqlite::copy(&states.first, &live);
    let second = || sqlite::copy(&states.second, &live);
    let nothing = || Ok(());
    let steps: Vec<Step<'_>> = commands
        .iter()
        .enumerate()
        .map(|(number, (name, _))| Step {
            name,
            reads: live.clone(),
            before: match number {
                0 => &first,
                1 => &second,
                _ => &nothing,
            },
            after: &|_| Ok(()),
        })
        .collect();
    let outcome = hold(&mut contestants, &steps, plan.runs, &folder.join("time"))?;
    same(&restored, &live)?;

    let names: Vec<&str> = steps.iter().map(|step| step.name).collect();
    Ok(table(&names, &outcome))
}

fn table(names: &[&str], outcome: &Outcome) -> String {
    let mut text =
        String::from("| command | seconds | peak memory, MB | under 300 MB |\n|---|---|---|---|\n");
    for (number, name) in names.iter().enumerate() {
        let series = outcome.of(0, number);
        let word = if series.peak_bytes() < PEAK_BYTES_MAX {
            "yes"
        } else {
            "**no**"
        };
        text += &format!(
            "| {name} | {:.2} | **{}** | {word} |\n",
            series.seconds(),
            contest::megabytes(series.peak_bytes())
        );
    }
    text += "\nThe highest peak of all rounds counts.\n";
    text
}

/// That what was measured did what it should.
fn same(restored: &Path, live: &Path) -> Result<(), Failure> {
    let mut compare = std::process::Command::new("cmp");
    if crate::step::succeeds(compare.arg(restored).arg(live)) {
        scratch::remove(restored)
    } else {
        Err(Failure::Differs {
            path: restored.to_owned(),
        })
    }
}
