//! `cargo xtask fuzz`: every fuzz target, guided by coverage, for as long as is wanted.
//!
//! With libFuzzer, which comes with the crate bolero, and the stable compiler: what a fuzzer needs of it is
//! asked for in `RUSTFLAGS`. What was found new lies below `target/fuzz`; a few of the inputs that together reach
//! everything that was reached are kept as the target's corpus (`tests/__fuzz__`). An input that
//! breaks a target ends the run and is kept there too, so that the tests run it from then on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::failure::Failure;
use crate::{step, workspace};

pub(crate) const USAGE: &str = "fuzz [TARGET] [--minutes M]   \
    every fuzz target, or those whose name has the word in it, M minutes in all (default: 5)";

/// What the compiler is told: `cfg` for bolero, counters and comparisons for libFuzzer.
const FLAGS: &str = "--cfg fuzzing --cfg fuzzing_libfuzzer -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";
/// Longest input that is made.
const INPUT_BYTES_MAX: &str = "-max_len=16384";
/// Largest input that is kept in the repository, and how many of a target.
const KEPT_BYTES_MAX: u64 = 4096;
const KEPT_MAX: usize = 24;

/// Crates with targets, and the words that name the test binary to cargo.
const PLACES: [(&str, &[&str], &str); 6] = [
    ("resguardo-vault", &["--test", "fuzz"], ""),
    ("resguardo-model", &["--test", "fuzz"], ""),
    ("resguardo-engine", &["--test", "fuzz"], ""),
    ("resguardo-store", &["--test", "fuzz"], ""),
    ("resguardo-ops", &["--test", "fuzz"], ""),
    ("resguardo", &["--bin", "resguardo"], "config::fuzz::"),
];

/// What is to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Plan {
    word: String,
    minutes: u64,
}

impl Plan {
    fn parse(words: &[String]) -> Result<Self, Failure> {
        let unknown = |flag: &String| Failure::UnknownFlag {
            verb: "fuzz",
            flag: flag.clone(),
        };
        let mut plan = Self {
            word: String::new(),
            minutes: 5,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--minutes" {
                let number = words.next().ok_or_else(|| unknown(word))?;
                plan.minutes = number.parse().map_err(|_| unknown(number))?;
            } else if word.starts_with('-') || !plan.word.is_empty() {
                return Err(unknown(word));
            } else {
                plan.word.clone_from(word);
            }
        }
        Ok(plan)
    }
}

/// A target: a test of a crate, and its kept inputs.
struct Target {
    place: usize,
    name: String,
    corpus: PathBuf,
}

pub(crate) fn run(words: &[String]) -> Result<(), Failure> {
    let plan = Plan::parse(words)?;
    let root = workspace::root();
    let targets = targets(&root, &plan.word)?;
    if targets.is_empty() {
        return Err(Failure::UnknownFlag {
            verb: "fuzz",
            flag: plan.word,
        });
    }
    let count = u64::try_from(targets.len()).unwrap_or(u64::MAX);
    let each = Duration::from_secs((plan.minutes * 60 / count).max(1));
    let mut failed = Vec::new();
    let mut built: Option<(usize, PathBuf)> = None;
    for target in &targets {
        let binary = match built.take() {
            Some((place, binary)) if place == target.place => binary,
            _ => build(&root, target.place)?,
        };
        eprintln!("xtask: {} for {} s", target.name, each.as_secs());
        let ended = fuzz(&root, &binary, target, each);
        built = Some((target.place, binary));
        if let Err(failure) = ended {
            eprintln!("xtask: {}", failure.with_causes());
            failed.push(target.name.clone());
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(Failure::Broken {
            targets: failed.join(", "),
        }),
    }
}

/// The targets of all crates whose name has `word` in it: the folders of kept inputs name them.
fn targets(root: &Path, word: &str) -> Result<Vec<Target>, Failure> {
    let mut targets = Vec::new();
    for (place, (package, _, _)) in PLACES.iter().enumerate() {
        let folder = root.join("crates").join(package).join("tests/__fuzz__");
        for name in names_in(&folder)? {
            if name.contains(word) {
                let corpus = folder.join(&name).join("corpus");
                targets.push(Target {
                    place,
                    name,
                    corpus,
                });
            }
        }
    }
    Ok(targets)
}

fn names_in(folder: &Path) -> Result<Vec<String>, Failure> {
    let failed = |source| Failure::Read {
        path: folder.to_owned(),
        source,
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        names.push(
            entry
                .map_err(failed)?
                .file_name()
                .to_string_lossy()
                .into_owned(),
        );
    }
    names.sort();
    Ok(names)
}

fn fuzz(root: &Path, binary: &Path, target: &Target, time: Duration) -> Result<(), Failure> {
    let scratch = workspace::target(root).join("fuzz").join(&target.name);
    let (found, merged, broken, odd) = (
        scratch.join("found"),
        scratch.join("merged"),
        scratch.join("broken"),
        scratch.join("odd"),
    );
    if merged.exists() {
        fs::remove_dir_all(&merged).map_err(|source| Failure::Write {
            path: merged.clone(),
            source,
        })?;
    }
    for folder in [&found, &merged, &broken, &odd] {
        make(folder)?;
    }
    let prefix = format!("{}/", broken.display());
    let seconds = time.as_secs();
    let ran = libfuzzer(
        binary,
        target,
        &format!(
            "{} {} -max_total_time={seconds} {INPUT_BYTES_MAX} -timeout=10 -rss_limit_mb=2048 \
             -print_final_stats=1 -artifact_prefix={prefix}",
            found.display(),
            target.corpus.display()
        ),
    );
    for name in names_in(&broken)? {
        copy(&broken.join(&name), &target.corpus.join(&name))?;
    }
    ran?;
    libfuzzer(
        binary,
        target,
        &format!(
            "-merge=1 {INPUT_BYTES_MAX} -artifact_prefix={}/ {} {} {}",
            odd.display(),
            merged.display(),
            target.corpus.display(),
            found.display()
        ),
    )?;
    keep(&merged, &target.corpus)
}

/// Runs a target with libFuzzer's words.
fn libfuzzer(binary: &Path, target: &Target, words: &str) -> Result<(), Failure> {
    let mut command = Command::new(binary);
    command
        .current_dir(target.corpus.parent().unwrap_or(&target.corpus))
        .env("BOLERO_LIBFUZZER_ARGS", words)
        .args(["--exact", "--nocapture", "--test-threads=1"])
        .arg(format!("{}{}", PLACES[target.place].2, target.name));
    step::run(&mut command)
}

/// Builds the test binary of a crate once: what is edited meanwhile changes nothing.
fn build(root: &Path, place: usize) -> Result<PathBuf, Failure> {
    let (package, binary, _) = PLACES[place];
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(root)
        .env("RUSTFLAGS", FLAGS)
        .env("CARGO_TARGET_DIR", workspace::target(root).join("fuzz-build"))
        .args(["test", "--no-run", "--profile", "torture"])
        .args(["--message-format", "json-render-diagnostics"])
        // Named, so that the flags are not those of build scripts.
        .args(["--target", &host()?, "--package", package])
        .args(binary);
    let told = step::output(&mut cargo)?;
    executable(&told).ok_or_else(|| Failure::Silent {
        command: step::shown(&cargo),
    })
}

/// The binary that cargo names last in its messages.
fn executable(messages: &str) -> Option<PathBuf> {
    let named = messages.lines().rev().find_map(|line| {
        let (_, rest) = line.split_once("\"executable\":\"")?;
        rest.split_once('"').map(|(path, _)| path)
    });
    named.map(PathBuf::from)
}

fn host() -> Result<String, Failure> {
    let mut rustc = Command::new("rustc");
    let told = step::output(rustc.args(["--print", "host-tuple"]))?;
    Ok(told.trim().to_owned())
}

/// Keeps new inputs of every size, as long as there are few.
fn keep(merged: &Path, corpus: &Path) -> Result<(), Failure> {
    let mut room = KEPT_MAX.saturating_sub(names_in(corpus)?.len());
    let mut new: Vec<(u64, String)> = names_in(merged)?
        .into_iter()
        .filter_map(|name| Some((fs::metadata(merged.join(&name)).ok()?.len(), name)))
        .filter(|(bytes, _)| (1..=KEPT_BYTES_MAX).contains(bytes))
        .collect();
    new.sort();
    let had: Vec<Vec<u8>> = names_in(corpus)?
        .iter()
        .filter_map(|name| fs::read(corpus.join(name)).ok())
        .collect();
    let step = (new.len() / room.max(1)).max(1);
    for (_, name) in new.into_iter().step_by(step) {
        let is_known = fs::read(merged.join(&name)).is_ok_and(|bytes| had.contains(&bytes));
        if room == 0 || is_known {
            continue;
        }
        copy(&merged.join(&name), &corpus.join(&name))?;
        room -= 1;
    }
    Ok(())
}

fn make(folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(|source| Failure::Write {
        path: folder.to_owned(),
        source,
    })
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    fs::copy(from, to)
        .map(|_| ())
        .map_err(|source| Failure::Write {
            path: to.to_owned(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags;

    fn parse(text: &str) -> Result<Plan, Failure> {
        Plan::parse(&flags::words(text))
    }

    #[test]
    fn words_and_minutes() {
        let plan = parse("manifest --minutes 60").expect("a word and a flag");
        assert_eq!((plan.word.as_str(), plan.minutes), ("manifest", 60));
        for text in ["--minutes", "--minutes x", "--hours 1", "a b"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_binary_is_in_cargos_messages() {
        let messages = "{\"reason\":\"compiler-artifact\",\"executable\":null}\n\
            {\"reason\":\"compiler-artifact\",\"executable\":\"/t/deps/fuzz-1\",\"fresh\":true}\n\
            {\"reason\":\"build-finished\",\"success\":true}\n";
        assert_eq!(executable(messages), Some("/t/deps/fuzz-1".into()));
        assert_eq!(executable("{}"), None);
    }

    #[test]
    fn every_place_has_targets() {
        let all = targets(&workspace::root(), "").expect("the workspace can be read");
        for (place, (package, ..)) in PLACES.iter().enumerate() {
            assert!(all.iter().any(|target| target.place == place), "{package}");
        }
        for target in all {
            let kept = names_in(&target.corpus).expect("its corpus can be read");
            assert!((1..=2 * KEPT_MAX).contains(&kept.len()), "{}", target.name);
        }
    }
}
