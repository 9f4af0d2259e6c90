//! What is to be measured, how often, and on how much data.

use crate::failure::Failure;

/// A part of the benchmarks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// PostgreSQL's files through the vault, against pgBackRest.
    Postgres,
    /// A PostgreSQL database, against `pg_dump` and `pg_restore`.
    Logical,
    /// A SQLite database, against `.backup` with zstd and age, and with restic.
    Sqlite,
    /// Peak memory of the commands.
    Memory,
    /// `list` of a vault with thousands of backups.
    List,
    /// The dashboard over many sources, and the daemon that serves it.
    Overview,
    /// A year of daily backups with a retention, against daily full ones and pgBackRest. Only if it is named.
    Year,
    /// Page files up to a terabyte, ten million extents, ten thousand backups. Takes hours: only by name.
    Scale,
}

impl Part {
    pub(super) const ALL: [Self; 8] = [
        Self::Postgres,
        Self::Logical,
        Self::Sqlite,
        Self::Memory,
        Self::List,
        Self::Overview,
        Self::Year,
        Self::Scale,
    ];

    /// All but the long ones.
    fn usual() -> Vec<Self> {
        let usual = |part: &Self| ![Self::Year, Self::Scale].contains(part);
        Self::ALL.into_iter().filter(usual).collect()
    }

    /// The word on the command line.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Postgres => "pg",
            Self::Logical => "logical",
            Self::Sqlite => "sqlite",
            Self::Memory => "memory",
            Self::List => "list",
            Self::Overview => "overview",
            Self::Year => "year",
            Self::Scale => "scale",
        }
    }
}

/// How much data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// What the figures are about.
    Full,
    /// Enough to see that everything works.
    Small,
}

/// What is to be measured.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) parts: Vec<Part>,
    /// How often; the median counts.
    pub(super) runs: usize,
    pub(super) size: Size,
    /// Page files of `scale` that are larger than so many GiB are left out.
    pub(super) gib_max: u64,
    pub(super) no_install: bool,
    /// Measure the binaries that an earlier run built, though the sources may have changed since.
    pub(super) built: bool,
}

impl Plan {
    /// Reads the words behind `bench`.
    ///
    /// # Errors
    /// If one of them says nothing.
    pub(super) fn parse(words: &[String]) -> Result<Self, Failure> {
        let mut plan = Self {
            parts: Vec::new(),
            runs: 3,
            size: Size::Full,
            gib_max: u64::MAX,
            no_install: false,
            built: false,
        };
        let mut words = words.iter().map(String::as_str);
        while let Some(word) = words.next() {
            let unknown = |flag: &str| Failure::UnknownFlag {
                verb: "bench",
                flag: flag.to_owned(),
            };
            match word {
                "all" => plan.parts = Part::usual(),
                "--no-install" => plan.no_install = true,
                "--built" => plan.built = true,
                "--size" => match words.next() {
                    Some("small") => plan.size = Size::Small,
                    other => return Err(unknown(&format!("--size {}", other.unwrap_or_default()))),
                },
                "--gib-max" => match words.next().unwrap_or_default() {
                    number if number.parse().is_ok_and(|gib: u64| gib > 0) => {
                        plan.gib_max = number.parse().unwrap_or(plan.gib_max);
                    }
                    other => return Err(unknown(&format!("--gib-max {other}"))),
                },
                "--runs" => match words.next().unwrap_or_default() {
                    number if number.parse().is_ok_and(|runs: usize| runs > 0) => {
                        plan.runs = number.parse().unwrap_or(plan.runs);
                    }
                    other => return Err(unknown(&format!("--runs {other}"))),
                },
                word => match Part::ALL.into_iter().find(|part| part.word() == word) {
                    Some(part) if !plan.parts.contains(&part) => plan.parts.push(part),
                    Some(_) => {}
                    None => return Err(unknown(word)),
                },
            }
        }
        if plan.parts.is_empty() {
            plan.parts = Part::usual();
        }
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags;

    fn parse(text: &str) -> Result<Plan, Failure> {
        Plan::parse(&flags::words(text))
    }

    #[test]
    fn without_words_everything_is_measured_three_times() {
        let plan = parse("").expect("nothing to refuse");
        assert_eq!((plan.parts.len(), plan.runs, plan.size), (6, 3, Size::Full));
    }

    #[test]
    fn parts_are_named_and_measured_once() {
        let plan = parse("list pg list --runs 5 --size small --built").expect("known words");
        assert_eq!(plan.parts, [Part::List, Part::Postgres]);
        assert_eq!((plan.runs, plan.size, plan.built), (5, Size::Small, true));
        let plan = parse("scale --gib-max 64").expect("known words");
        assert_eq!((plan.parts, plan.gib_max), (vec![Part::Scale], 64));
    }

    #[test]
    fn words_that_say_nothing_are_refused() {
        for text in [
            "mysql",
            "--runs 0",
            "--runs",
            "--size big",
            "--size",
            "--gib-max 0",
            "--gib-max all",
            "--gib-max",
        ] {
            let failure = parse(text).expect_err(text);
            assert!(
                failure.to_string().starts_with("bench: no flag"),
                "{failure}"
            );
        }
    }
}
