//! Years of backups in some seconds each, with everything going wrong: what `cargo xtask torture` runs.
//!
//! Several sources, hosts and copies over stores in memory; a seed draws what happens next and what goes
//! wrong with it: processes die at any store call, answers are lost, uploads torn, listings stale, clocks
//! wrong, backups stopped for days before their commit; recipients come and go, keys are rotated and stolen,
//! objects are lost at copies, and the vault itself is lost and made again from one. After every step what must be
//! restorable is restored and compared byte for byte, by everybody who is to open it. Schedule and faults hang on
//! the seed alone; keys and ids of age files are random, as they are in life.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a developers' tool that nothing is built from: it reads its arguments and makes scratch folders"
)]

mod act;
mod chance;
mod disaster;
mod judge;
mod readers;
mod records;
mod time;
mod trouble;
mod world;
mod writers;

use std::time::{Duration, Instant};

use jiff::SignedDuration;
use world::{Fate, Tally, World};

/// Whatever went wrong; `main` shows it and the run ends.
type Anything = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str = "torture_worker --seed N --seeds N --days N --minutes M
  lives of so many days, of so many seeds from one on, and no new one after so many minutes (0: no bound)";
/// Steps after which everything is looked at, not the source of the step alone.
const STEPS_BETWEEN: u64 = 150;
/// Lines of the journal that are shown when something is wrong.
const JOURNAL_SHOWN: usize = 60;

fn main() -> Result<(), Anything> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let [
        "--seed",
        first,
        "--seeds",
        seeds,
        "--days",
        days,
        "--minutes",
        minutes,
    ] = words[..]
    else {
        return Err(USAGE.into());
    };
    let (first, seeds, days): (u64, u64, i64) = (first.parse()?, seeds.parse()?, days.parse()?);
    let bound = match minutes.parse::<u64>()? {
        0 => Duration::MAX,
        minutes => Duration::from_secs(60 * minutes),
    };
    let begin = Instant::now();
    let mut all = Tally::default();
    let mut broken = Vec::new();
    for seed in first..first.saturating_add(seeds) {
        match run(seed, days) {
            Ok(lived) => {
                println!("seed {seed}: {lived}");
                all = all + lived;
            }
            Err(error) => {
                println!("seed {seed}: WRONG: {error}");
                broken.push(seed);
            }
        }
        if begin.elapsed() >= bound {
            break;
        }
    }
    let (minutes, seconds) = (
        begin.elapsed().as_secs() / 60,
        begin.elapsed().as_secs() % 60,
    );
    println!("all: {all}; in {minutes} min {seconds} s");
    match broken.is_empty() {
        true => Ok(()),
        false => Err(format!("these seeds found something: {broken:?}").into()),
    }
}

/// One life from one seed.
fn run(seed: u64, days: i64) -> Result<Tally, Anything> {
    let mut world = World::new(seed)?;
    if let Err(error) = live(&mut world, days) {
        let shown = world.journal.len().saturating_sub(JOURNAL_SHOWN);
        let journal = world.journal[shown..].join("\n  ");
        let again = format!("cargo xtask torture --seed {seed} --seeds 1 --days {days}");
        let step = world.tally.steps;
        return Err(format!("{error}\n  {journal}\nat step {step}; again: {again}").into());
    }
    let stood = world
        .attempts
        .values()
        .filter(|one| one.fate != Fate::Perhaps);
    Ok(Tally {
        lives: 1,
        days,
        backups_begun: world.attempts.len(),
        backups_stood: stood.count(),
        ..world.tally
    })
}

fn live(world: &mut World, days: i64) -> Result<(), Anything> {
    let end = world.clocks.now() + SignedDuration::from_hours(24 * days);
    while world.clocks.now() < end {
        world.step()?;
        if world.tally.steps.is_multiple_of(STEPS_BETWEEN) {
            judge::everything(world)?;
        }
    }
    judge::nothing_dead_stays(world)?;
    judge::everything(world)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The short form: some lives of a month.
    #[test]
    fn seeds_live() {
        for seed in 1..=6 {
            run(seed, 30).unwrap();
        }
    }

    /// Seeds that found something once.
    #[test]
    fn found_seeds_live() {
        for (seed, days) in FOUND {
            run(seed, days).unwrap();
        }
    }

    const FOUND: [(u64, i64); 0] = [];
}
