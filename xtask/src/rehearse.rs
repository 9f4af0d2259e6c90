//! `cargo xtask rehearse`: `resguardo serve` with each of `examples/` on real servers, for some minutes.
//!
//! The work is done by an example, `rehearse_worker`, because `xtask` starts before the project's crates
//! build.

use crate::failure::Failure;
use crate::tools::{Install, Tools, User};
use crate::{step, workspace};

pub(crate) const USAGE: &str = "rehearse [NAME...] [--minutes M] [--no-install]   \
    serve each project of examples/ on a real server for M minutes (10), with everything due each minute or two, all at once";

/// What is to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Plan {
    names: Vec<String>,
    minutes: u64,
    install: Install,
}

impl Plan {
    fn parse(words: &[String]) -> Result<Self, Failure> {
        let mut plan = Self {
            names: Vec::new(),
            minutes: 10,
            install: Install::Missing,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let unknown = || Failure::UnknownFlag {
                verb: "rehearse",
                flag: word.clone(),
            };
            match word.as_str() {
                "--no-install" => plan.install = Install::Nothing,
                "--minutes" => {
                    let number = words.next().and_then(|number| number.parse().ok());
                    plan.minutes = number.filter(|number| *number > 0).ok_or_else(unknown)?;
                }
                name if name.starts_with('-') => return Err(unknown()),
                name => plan.names.push(name.to_owned()),
            }
        }
        Ok(plan)
    }
}

pub(crate) fn run(words: &[String]) -> Result<(), Failure> {
    let plan = Plan::parse(words)?;
    let root = workspace::root();
    let tools = Tools::of(&root);
    tools.ensure(User::Tests, plan.install)?;
    // Both at once: the same dependencies, built once. The worker finds the product beside itself.
    let mut build = tools.command("cargo");
    build
        .current_dir(&root)
        .args(["build", "--package", "resguardo", "--package", "xtask"])
        .args(["--bin", "resguardo", "--example", "rehearse_worker"]);
    step::run(&mut build)?;
    let worker = workspace::target(&root).join("debug/examples/rehearse_worker");
    let mut worker = tools.command(&worker.to_string_lossy());
    worker
        .current_dir(&root)
        .args(["--minutes", &plan.minutes.to_string()])
        .args(&plan.names);
    step::run(&mut worker)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags;

    fn parse(text: &str) -> Result<Plan, Failure> {
        Plan::parse(&flags::words(text))
    }

    #[test]
    fn minutes_are_a_number_and_all_else_is_a_name() {
        let plan = parse("obyra --minutes 3 puranatura").expect("known flags");
        assert_eq!(plan.names, ["obyra", "puranatura"]);
        assert_eq!((plan.minutes, plan.install == Install::Missing), (3, true));
        for text in ["--minutes", "--minutes x", "--minutes 0", "--hours 1"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
