//! `cargo xtask torture`: simulated years of backups in which everything goes wrong, from seeds.
//!
//! The work is done by an example, `torture_worker`, because `xtask` starts before the project's crates
//! build. Its short form is a test of its own and runs with all others.

use std::process::Command;

use crate::failure::Failure;
use crate::{step, workspace};

pub(crate) const USAGE: &str = "torture [--seeds N] [--seed N] [--days D] [--hours H | --minutes M]   \
    simulated years of a vault from a seed on, none begun after H hours (default: 10 years from seed 1)
  torture --schedules N   a simulated year of N schedules against a naive model";

/// What is to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    seed: u64,
    seeds: u64,
    days: u64,
    minutes: u64,
}

impl Plan {
    fn parse(words: &[String]) -> Result<Self, Failure> {
        let mut plan = Self {
            seed: 1,
            seeds: 10,
            days: 365,
            minutes: 0,
        };
        for pair in words.chunks(2) {
            let unknown = || Failure::UnknownFlag {
                verb: "torture",
                flag: pair.join(" "),
            };
            let [flag, number] = pair else {
                return Err(unknown());
            };
            let number: u64 = number.parse().map_err(|_| unknown())?;
            match flag.as_str() {
                "--seed" => plan.seed = number,
                "--seeds" => plan.seeds = number,
                "--days" => plan.days = number,
                "--minutes" => plan.minutes = number,
                "--hours" => plan.minutes = number.saturating_mul(60),
                _ => return Err(unknown()),
            }
        }
        Ok(plan)
    }
}

pub(crate) fn run(words: &[String]) -> Result<(), Failure> {
    if let [flag, number] = words
        && flag == "--schedules"
        && number.parse().is_ok_and(|number: u32| number > 0)
    {
        return schedules(number);
    }
    let plan = Plan::parse(words)?;
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(workspace::root())
        .args(["run", "--quiet", "--profile", "torture"])
        .args(["--package", "xtask", "--example", "torture_worker", "--"])
        .args(["--seed", &plan.seed.to_string()])
        .args(["--seeds", &plan.seeds.to_string()])
        .args(["--days", &plan.days.to_string()])
        .args(["--minutes", &plan.minutes.to_string()]);
    step::run(&mut cargo)
}

/// A test that runs with all others, with so many schedules instead of a few.
fn schedules(number: &str) -> Result<(), Failure> {
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(workspace::root())
        .env("RESGUARDO_TEST_SCHEDULES", number)
        .args(["test", "--package", "resguardo-daemon", "--lib"])
        .args(["schedules_of_a_year_agree", "--", "--nocapture"]);
    step::run(&mut cargo)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags;

    fn parse(text: &str) -> Result<Plan, Failure> {
        Plan::parse(&flags::words(text))
    }

    #[test]
    fn flags_have_numbers() {
        let plan = parse("--hours 2 --seed 77 --seeds 3").expect("known flags");
        let expected = Plan {
            seed: 77,
            seeds: 3,
            days: 365,
            minutes: 120,
        };
        assert_eq!(plan, expected);
        for text in ["--seed", "--seed x", "--years 1", "7", "--days -1"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
