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

/// Measures, and tells the figures as Markdown.
pub(super) fn run(plan: &Plan, product: &Product, scratch: &Scratch) -> Result<String, Failure> {
    let mut text = curve(plan, product, scratch)?;
    text += "\n";
    text += &pieces(plan, product, scratch)?;
    text += "\n";
    text += &many(plan, product, scratch)?;
    Ok(text)
}

/// One row for each size: the first backup, the next one, and the one after the local map was lost.
fn curve(plan: &Plan, product: &Product, scratch: &Scratch) -> Result<String, Failure> {
    let sizes: &[u64] = match plan.size {
        Size::Full => &[4, 16, 64, 256, 1024],
        Size::Small => &[1, 2],
    };
    let mut text = String::from(
        "| page files, GiB | first backup, s (peak MB) | next backup, s (peak MB) | next, map lost, s (peak MB) | map, MB | vault, MB |\n\
         |---|---|---|---|---|---|\n",
    );
    for size in sizes {
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
        text += &format!(
            "| {size} | {} | {} | {} | {} | {} |\n",
            cell(first),
            cell(second),
            cell(third),
            contest::megabytes(map),
            contest::megabytes(bytes_below(&vault)?),
        );
        scratch::remove(&folder)?;
    }
    text += &format!(
        "\nPages of 8 KiB in files of 1 GiB, made as they are read; {CHANGED} of a million change between two backups. \
         Peak memory is to stay below {} MB.\n",
        PEAK_BYTES_MAX / 1_000_000
    );
    Ok(text)
}

/// A source no two pages of which lie side by side in the vault.
fn pieces(plan: &Plan, product: &Product, scratch: &Scratch) -> Result<String, Failure> {
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
    let whole = grow("0")?;
    let apart = grow("1")?;
    let read = measure(
        &product.worker(&[Path::new("read"), &vault, &keys]),
        &report,
    )?;
    let restored = folder.join("restored");
    scratch::make(&restored)?;
    let words = [Path::new("restore"), &vault, &keys, &restored];
    let restore = measure(&product.worker(&words), &report)?;
    scratch::remove(&folder)?;
    Ok(format!(
        "| {millions} million extents | seconds | peak memory, MB | under {} MB |\n|---|---|---|---|\n{}{}{}{}",
        PEAK_BYTES_MAX / 1_000_000,
        row("backup before: all pages in order", whole),
        row("backup that changes every other page", apart),
        row("reading it as streams", read),
        row("restoring it", restore),
    ))
}

/// Two hundred sources of fifty backups.
fn many(plan: &Plan, product: &Product, scratch: &Scratch) -> Result<String, Failure> {
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
    let mut text = format!(
        "| {} backups of {sources} sources | seconds | peak memory, MB | in {SECONDS_MAX} s, under {} MB |\n|---|---|---|---|\n",
        sources * each,
        PEAK_BYTES_MAX / 1_000_000
    );
    listing::forget_catalog(&place.home())?;
    for (name, words) in commands {
        let sample = measure(&place.command(words), &report)?;
        let fits = sample.seconds < SECONDS_MAX && sample.peak_bytes < PEAK_BYTES_MAX;
        text += &line(name, sample, fits);
    }
    Ok(text)
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
        "| {name} | {:.2} | **{}** | {} |\n",
        sample.seconds,
        contest::megabytes(sample.peak_bytes),
        if fits { "yes" } else { "**no**" }
    )
}
