//! How far it goes: a growing source of page files, one that lies in ten million pieces, and a vault of ten
//! thousand backups.

use std::path::Path;

use super::contest;
use super::listing;
use super::measure::{Sample, measure};
use super::plan::{Plan, Size};
use super::product::Product;
use super::scratch::{self, Scratch};
use crate::failure::Failure;
use crate::step;

/// What no command may pass.
const PEAK_BYTES_MAX: u64 = 500_000_000;
/// Seconds that are still "in seconds".
const SECONDS_MAX: f64 = 10.0;
const GIB: u64 = 1 << 30;
/// Of a million pages, those that change between two backups.
const CHANGED: &str = "1000";

/// Measures, and tells the figures as Markdown. Each row is printed as it comes, and what takes hours comes
/// last: a run that is stopped has told what it measured.
pub(super) fn run(plan: &Plan, product: &Product, scratch: &Scratch) -> Result<String, Failure> {
    let mut told = Told::default();
    many(plan, product, scratch, &mut told)?;
    told.line("");
    pieces(plan, product, scratch, &mut told)?;
    told.line("");
    curve(plan, product, scratch, &mut told)?;
    Ok(told.0)
}

/// What was printed already.
#[derive(Default)]
struct Told(String);

impl Told {
    fn line(&mut self, line: &str) {
        println!("{line}");
        self.0 += line;
        self.0 += "\n";
    }
}

/// One row for each size: the first backup, the next one, and the one after the local map was lost.
fn curve(
    plan: &Plan,
    product: &Product,
    scratch: &Scratch,
    told: &mut Told,
) -> Result<(), Failure> {
    let sizes: &[u64] = match plan.size {
        Size::Full => &[4, 16, 64, 256, 1024],
        Size::Small => &[1, 2],
    };
    told.line("| page files, GiB | first backup, s (peak MB) | next backup, s (peak MB) | next, map lost, s (peak MB) | map, MB | vault, MB |");
    told.line("|---|---|---|---|---|---|");
    for size in sizes.iter().filter(|size| **size <= plan.gib_max) {
        let folder = scratch.fresh("scale")?;
        let (vault, keys) = (folder.join("vault"), folder.join("keys"));
        step::run(&mut product.worker(&[Path::new("keys"), &vault, &keys]))?;
        let grow = |generation: &str| {
            let bytes = (size * GIB).to_string();
            let words = ["8192", generation, CHANGED].map(Path::new);
            let place = [Path::new("grow"), &vault, &keys, Path::new(&bytes)];
            let command = product.worker(&[&place[..], &words[..]].concat());
            measure(&command, &folder.join("time"))
        };
        let (first, second) = (grow("0")?, grow("1")?);
        let map = bytes_below(&keys.join("cache"))?;
        scratch::remove(&keys.join("cache"))?;
        let third = grow("2")?;
        told.line(&format!(
            "| {size} | {} | {} | {} | {} | {} |",
            cell(first),
            cell(second),
            cell(third),
            contest::megabytes(map),
            contest::megabytes(bytes_below(&vault)?),
        ));
        scratch::remove(&folder)?;
    }
    told.line("");
    told.line(&format!(
        "Pages of 8 KiB in files of 1 GiB, made as they are read; {CHANGED} of a million change between two backups. \
         Peak memory is to stay below {} MB.",
        PEAK_BYTES_MAX / 1_000_000
    ));
    Ok(())
}

/// A source no two pages of which lie side by side in the vault.
fn pieces(
    plan: &Plan,
    product: &Product,
    scratch: &Scratch,
    told: &mut Told,
) -> Result<(), Failure> {
    let millions: u64 = match plan.size {
        Size::Full => 10,
        Size::Small => 1,
    };
    let folder = scratch.fresh("scale")?;
    let (vault, keys) = (folder.join("vault"), folder.join("keys"));
    step::run(&mut product.worker(&[Path::new("keys"), &vault, &keys]))?;
    let bytes = (millions * 1_000_000 * 512).to_string();
    let report = folder.join("time");
    let grow = |generation: &str| {
        let place = [Path::new("grow"), &vault, &keys, Path::new(&bytes)];
        let words = ["512", generation, "every-other"].map(Path::new);
        measure(&product.worker(&[&place[..], &words[..]].concat()), &report)
    };
    told.line(&format!(
        "| {millions} million extents | seconds | peak memory, MB | under {} MB |",
        PEAK_BYTES_MAX / 1_000_000
    ));
    told.line("|---|---|---|---|");
    told.line(&row("backup before: all pages in order", grow("0")?));
    told.line(&row("backup that changes every other page", grow("1")?));
    scratch::remove(&keys.join("cache"))?;
    told.line(&row("the same, map lost", grow("2")?));
    let read = product.worker(&[Path::new("read"), &vault, &keys]);
    told.line(&row("reading it as streams", measure(&read, &report)?));
    let restored = folder.join("restored");
    scratch::make(&restored)?;
    let restore = product.worker(&[Path::new("restore"), &vault, &keys, &restored]);
    told.line(&row("restoring it", measure(&restore, &report)?));
    scratch::remove(&folder)
}

/// Two hundred sources of fifty backups.
fn many(plan: &Plan, product: &Product, scratch: &Scratch, told: &mut Told) -> Result<(), Failure> {
    let (sources, each) = match plan.size {
        Size::Full => (200, 50),
        Size::Small => (5, 4),
    };
    let recipe = format!("{sources} sources of {each} backups, 1");
    let folder = scratch.once("many", &recipe, |folder| {
        listing::fill(product, folder, sources, each)
    })?;
    let place = product.place(&folder);
    let report = folder.join("time");
    let commands: [(&str, &[&str]); 5] = [
        ("`list --json`, no catalog", &["list", "--json"]),
        ("`list --json`", &["list", "--json"]),
        ("`list shop-000`", &["list", "shop-000"]),
        (
            "`verify --all --depth heads`",
            &["verify", "--all", "--depth", "heads", "--json"],
        ),
        ("`receipts verify`", &["receipts", "verify"]),
    ];
    told.line(&format!(
        "| {} backups of {sources} sources | seconds | peak memory, MB | in {SECONDS_MAX} s, under {} MB |",
        sources * each,
        PEAK_BYTES_MAX / 1_000_000
    ));
    told.line("|---|---|---|---|");
    listing::forget_catalog(&place.home())?;
    for (name, words) in commands {
        let sample = measure(&place.command(words), &report)?;
        let fits = sample.seconds < SECONDS_MAX && sample.peak_bytes < PEAK_BYTES_MAX;
        told.line(&line(name, sample, fits));
    }
    Ok(())
}

fn bytes_below(folder: &Path) -> Result<u64, Failure> {
    Ok(scratch::files(folder)?
        .into_iter()
        .map(|(_, bytes)| bytes)
        .sum())
}

fn cell(sample: Sample) -> String {
    let fits = if sample.peak_bytes < PEAK_BYTES_MAX {
        ""
    } else {
        " **no**"
    };
    format!(
        "{:.1} ({}{fits})",
        sample.seconds,
        contest::megabytes(sample.peak_bytes)
    )
}

fn row(name: &str, sample: Sample) -> String {
    line(name, sample, sample.peak_bytes < PEAK_BYTES_MAX)
}

fn line(name: &str, sample: Sample, fits: bool) -> String {
    format!(
        "| {name} | {:.2} | **{}** | {} |",
        sample.seconds,
        contest::megabytes(sample.peak_bytes),
        if fits { "yes" } else { "**no**" }
    )
}
