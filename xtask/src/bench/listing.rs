//! `list` of a vault with 5,000 backups, without a catalog and with one.

use std::path::{Path, PathBuf};

use super::contest::{self, Contestant, Step, hold};
use super::plan::{Plan, Size};
use super::product::{Place, Product};
use super::scratch::{self, Scratch};
use crate::failure::Failure;
use crate::step;

/// Seconds that `list` may take.
const SECONDS_MAX: f64 = 1.0;

/// Measures, and tells the figures as Markdown.
pub(super) fn run(plan: &Plan, product: &Product, scratch: &Scratch) -> Result<String, Failure> {
    let (sources, each) = match plan.size {
        Size::Full => (10, 500),
        Size::Small => (3, 20),
    };
    let recipe = format!("{sources} sources of {each} backups, 1");
    let folder = scratch.once("list", &recipe, |folder| {
        fill(product, folder, sources, each)
    })?;
    let place = product.place(&folder);
    let backups = count(&place)?;
    if backups != sources * each {
        let answer = format!("{backups} backups instead of {}", sources * each);
        return Err(Failure::Answer {
            command: "resguardo list --json".to_owned(),
            answer,
        });
    }
    // The store is no contestant's own here: it is the data, and stays.
    let mut contestants = [Contestant {
        name: "Resguardo",
        store: folder.join("nothing"),
        leftovers: Vec::new(),
        prepare: Vec::new(),
        steps: vec![
            place.command(&["list", "--json"]),
            place.command(&["list", "--json"]),
            place.command(&["list"]),
        ],
    }];
    let forget = || forget_catalog(&place.home());
    let step = |name, before| Step {
        name,
        reads: place.vault(),
        before,
        after: &|_| Ok(()),
    };
    let steps = [
        step(
            "`list --json`, no catalog",
            &forget as &dyn Fn() -> Result<(), Failure>,
        ),
        step("`list --json`, with the catalog", &|| Ok(())),
        step("`list`, with the catalog", &|| Ok(())),
    ];
    let outcome = hold(&mut contestants, &steps, plan.runs, &folder.join("time"))?;

    let mut text = String::from(contest::GOALS);
    for (number, step) in steps.iter().enumerate() {
        let series = outcome.of(0, number);
        text += &contest::goal(
            step.name,
            "under 1 s",
            &format!(
                "{:.2} s ({:.2} - {:.2}), {} MB at most",
                series.seconds(),
                series.fastest(),
                series.slowest(),
                contest::megabytes(series.peak_bytes())
            ),
            series.seconds() < SECONDS_MAX,
        );
    }
    text += &format!(
        "\nThe data: {sources} sources of {each} backups each, with a receipt for each and a drill of every tenth; \
         {} objects.\n",
        scratch::files(&place.vault())?.len()
    );
    Ok(text)
}

/// A vault without backups, and the empty database that its source is.
pub(super) fn begun(product: &Product, folder: &Path) -> Result<(Place, PathBuf), Failure> {
    let place = product.place(folder);
    let database = folder.join("shop.db");
    let mut sqlite = std::process::Command::new("sqlite3");
    step::output(
        sqlite
            .arg(&database)
            .arg("create table orders (id integer primary key)"),
    )?;
    step::output(&mut place.init(&database))?;
    Ok((place, database))
}

/// Fills a vault with so many sources of so many backups each.
pub(super) fn fill(
    product: &Product,
    folder: &Path,
    sources: usize,
    each: usize,
) -> Result<(), Failure> {
    let (place, _) = begun(product, folder)?;
    let (vault, keys) = (place.vault(), place.keys()?);
    let (sources, each) = (sources.to_string(), each.to_string());
    let words = [
        Path::new("snapshots"),
        &vault,
        &keys,
        Path::new(&sources),
        Path::new(&each),
    ];
    step::run(&mut product.worker(&words))
}

fn count(place: &Place) -> Result<usize, Failure> {
    let listed = step::output(&mut place.command(&["list", "--json", "--quiet"]))?;
    Ok(listed.matches("\"proven_at\":").count())
}

pub(super) fn forget_catalog(home: &Path) -> Result<(), Failure> {
    for (path, _) in scratch::files(home)? {
        let name = path.display().to_string();
        if name.starts_with("catalog.db") {
            scratch::remove(&home.join(path))?;
        }
    }
    Ok(())
}
