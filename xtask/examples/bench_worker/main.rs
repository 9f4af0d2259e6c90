//! The child that `cargo xtask bench` measures where no command exists yet: it writes a folder of
//! PostgreSQL's files through the vault, reads it back, and fills a vault with many small backups.
//!
//! An example, and no part of `xtask` itself, because `xtask` starts before the project's crates build.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a developers' tool that nothing is built from: it reads its arguments and makes scratch folders"
)]

mod history;
mod pages;
mod place;
mod scale;
mod snapshots;
mod year;

use std::path::Path;

use place::LEVEL;

/// Whatever went wrong; `main` shows it and the measurement ends.
type Anything = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str = "bench_worker
  keys <vault> <keys>                       make a vault and its keys
  backup <vault> <keys> <data folder> [zstd level]
                                            take a backup of a PostgreSQL data folder at rest
  restore <vault> <keys> <empty folder>     bring the newest one back, durable, digests compared
  day <vault> <keys> <data folder> <instant>
                                            as backup, of data of that instant
  retain <vault> <keys> <instant>           prune by 14 days, 8 weeks, 12 months as of then, without a
                                            grace; tells the days that are kept, and what the newest needs
  history <vault> <keys> <sources> <days>   write heads and receipts of daily backups, without the packs
  snapshots <vault> <keys> <sources> <each> take many backups of a few bytes, with receipts
  grow <vault> <keys> <bytes> <page bytes> <generation> <changed of a million, or every-other>
                                            take a backup of page files that are made as they are read
  read <vault> <keys>                       read the newest backup as streams";

fn main() -> Result<(), Anything> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["keys", vault, keys] => place::make(Path::new(vault), Path::new(keys)),
        ["backup", vault, keys, data] => {
            let vault = place::open(Path::new(vault), Path::new(keys), LEVEL)?;
            pages::back_up(&vault, Path::new(data), place::description())
        }
        ["backup", vault, keys, data, level] => {
            let vault = place::open(Path::new(vault), Path::new(keys), level.parse()?)?;
            pages::back_up(&vault, Path::new(data), place::description())
        }
        ["restore", vault, keys, to] => {
            let vault = place::open(Path::new(vault), Path::new(keys), LEVEL)?;
            pages::restore(&vault, Path::new(to))
        }
        ["day", vault, keys, data, at] => {
            let vault = place::open(Path::new(vault), Path::new(keys), LEVEL)?;
            pages::back_up(&vault, Path::new(data), place::description_at(at.parse()?))
        }
        ["retain", vault, keys, at] => {
            let grace = jiff::SignedDuration::ZERO;
            let vault = place::open_with(Path::new(vault), Path::new(keys), LEVEL, grace)?;
            year::retain(&vault, at.parse()?)
        }
        ["history", vault, keys, sources, days] => {
            let (vault, keys) = (Path::new(vault), Path::new(keys));
            history::write(vault, keys, sources.parse()?, days.parse()?)
        }
        ["snapshots", vault, keys, sources, each] => {
            let vault = place::open(Path::new(vault), Path::new(keys), LEVEL)?;
            snapshots::take(&vault, sources.parse()?, each.parse()?)
        }
        ["grow", vault, keys, bytes, page_bytes, generation, changes] => {
            let vault = place::open(Path::new(vault), Path::new(keys), LEVEL)?;
            let changes = match changes {
                "every-other" => scale::Changes::EveryOther,
                some => scale::Changes::PerMillion(some.parse()?),
            };
            let shape = scale::Shape {
                bytes: bytes.parse()?,
                page_bytes: page_bytes.parse()?,
                generation: generation.parse()?,
                changes,
            };
            scale::back_up(&vault, shape)
        }
        ["read", vault, keys] => {
            scale::read(&place::open(Path::new(vault), Path::new(keys), LEVEL)?)
        }
        _ => Err(USAGE.into()),
    }
}
