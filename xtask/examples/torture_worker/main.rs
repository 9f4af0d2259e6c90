//! A year of backups in some seconds, with everything going wrong: what `cargo xtask torture` runs.
//!
//! Several sources, hosts and copies over stores in memory; a seed draws what happens next and what goes
//! wrong with it: processes die at any store call, answers are lost, uploads torn, listings stale, clocks
//! wrong, backups stopped for days before their commit. After every step what must be restorable is
//! restored and compared byte for byte. Schedule and faults hang on the seed alone; keys and ids of age
//! files are random, as they are in life.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a developers' tool that nothing is built from: it reads its arguments and makes scratch folders"
)]

mod act;
mod chance;
mod judge;
mod time;
mod trouble;
mod world;

use std::time::{Duration, Instant};

use world::World;

/// Whatever went wrong; `main` shows it and the run ends.
type Anything = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str = "torture_worker --seed N --steps N --minutes M
  runs seed N, then the next ones while minutes are left";
/// Steps after which everything is looked at, not the source of the step alone.
const STEPS_BETWEEN: u64 = 100;
/// Lines of the journal that are shown when something is wrong.
const JOURNAL_SHOWN: usize = 40;

fn main() -> Result<(), Anything> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let ["--seed", seed, "--steps", steps, "--minutes", minutes] = words[..] else {
        return Err(USAGE.into());
    };
    let (first, steps): (u64, u64) = (seed.parse()?, steps.parse()?);
    let left = Duration::from_secs(60 * minutes.parse::<u64>()?);
    let begin = Instant::now();
    for seed in first.. {
        println!("{}", run(seed, steps)?);
        if begin.elapsed() >= left {
            break;
        }
    }
    Ok(())
}

/// One life from one seed.
fn run(seed: u64, steps: u64) -> Result<String, Anything> {
    let mut world = World::new(seed)?;
    let from = world.clocks.now();
    let lived = live(&mut world, steps);
    if let Err(error) = lived {
        let shown = world.journal.len().saturating_sub(JOURNAL_SHOWN);
        let journal = world.journal[shown..].join("\n  ");
        let again = format!("cargo xtask torture --seed {seed} --steps {steps}");
        return Err(format!("seed {seed}: {error}\n  {journal}\nagain: {again}").into());
    }
    let days = world.clocks.now().duration_since(from).as_hours() / 24;
    let stood = world
        .attempts
        .values()
        .filter(|one| one.fate != world::Fate::Perhaps);
    let (stood, begun, tally) = (stood.count(), world.attempts.len(), world.tally);
    Ok(format!(
        "seed {seed}: {steps} steps, {days} days, {stood} of {begun} backups stood, {} removed with {} objects, \
         {} copied, {} restored",
        tally.backups_removed, tally.objects_deleted, tally.backups_copied, tally.restored
    ))
}

fn live(world: &mut World, steps: u64) -> Result<(), Anything> {
    for number in 1..=steps {
        world.step()?;
        if number % STEPS_BETWEEN == 0 {
            judge::everything(world)?;
        }
    }
    judge::nothing_dead_stays(world)?;
    judge::everything(world)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The short form: some lives of a few weeks.
    #[test]
    fn seeds_live() {
        for seed in 1..=6 {
            run(seed, 60).unwrap();
        }
    }

    /// Seeds that found something once.
    #[test]
    fn found_seeds_live() {
        for (seed, steps) in FOUND {
            run(seed, steps).unwrap();
        }
    }

    const FOUND: [(u64, u64); 0] = [];
}
