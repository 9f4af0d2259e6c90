//! What has one place: concrete adapters in `wire.rs`; printing, the environment and the home folder
//! in crate `resguardo`. Tests are free.

use super::remark::Remark;
use super::source::{Source, words};

/// An adapter and the crate that it lives in.
const ADAPTERS: [(&str, &str); 5] = [
    ("FolderStore", "resguardo-store"),
    ("S3Store", "resguardo-store"),
    ("MemoryStore", "resguardo-store"),
    ("SqliteEngine", "resguardo-engine"),
    ("PostgresEngine", "resguardo-engine"),
];

const WIRE: &str = "crates/resguardo/src/wire.rs";

const PRINTING: [&str; 5] = ["print", "println", "eprint", "eprintln", "dbg"];

/// Crates that meet the user or the developer; all others are told what to know.
const AT_THE_EDGE: [&str; 2] = ["resguardo", "xtask"];

pub(super) fn check(source: &Source) -> Vec<Remark> {
    let at_the_edge = AT_THE_EDGE.contains(&source.crate_name());
    words(&source.code)
        .filter(|word| !source.in_test(word.at))
        .filter_map(|word| {
            let after = &source.code[word.end()..];
            let why = adapter(source, word.text).or_else(|| {
                if at_the_edge {
                    return None;
                }
                printing(word.text, after).or_else(|| surroundings(word.text, after))
            })?;
            Some(Remark::violation(&source.path, source.line(word.at), why))
        })
        .collect()
}

fn adapter(source: &Source, word: &str) -> Option<String> {
    let (name, home) = ADAPTERS.iter().find(|(name, _)| *name == word)?;
    (source.crate_name() != *home && source.path != WIRE)
        .then(|| format!("{name} is named outside {WIRE}: take the port"))
}

fn printing(word: &str, after: &str) -> Option<String> {
    (PRINTING.contains(&word) && after.starts_with('!') && !after.starts_with("!="))
        .then(|| format!("{word}! outside crate resguardo: return what there is to say"))
}

/// The environment's variables, arguments and folders; constants of the platform are free.
fn surroundings(word: &str, after: &str) -> Option<String> {
    let asked = match word {
        "env" => after
            .strip_prefix("::")
            .is_some_and(|rest| !rest.starts_with("consts")),
        "home_dir" | "data_dir" | "config_dir" | "ProjectDirs" | "BaseDirs" => true,
        _ => false,
    };
    asked.then(|| {
        format!("{word}: environment and home are read in crate resguardo and handed down")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(&Source::parse(path, text))
            .iter()
            .map(|remark| remark.line)
            .collect()
    }

    #[test]
    fn adapters_are_named_only_where_they_are_wired() {
        let text = "fn a() {\n    let s = FolderStore::open(p);\n}\n#[cfg(test)]\nmod tests {\n    use x::FolderStore;\n}\n";
        assert_eq!(lines("crates/resguardo-vault/src/a.rs", text), [2]);
        assert_eq!(lines("crates/resguardo/src/commands/backup.rs", text), [2]);
        assert!(lines("crates/resguardo/src/wire.rs", text).is_empty());
        assert!(lines("crates/resguardo-store/src/folder.rs", text).is_empty());
        assert!(lines("crates/resguardo-vault/tests/a.rs", text).is_empty());
    }

    #[test]
    fn comments_and_texts_name_what_they_like() {
        let text =
            "/// As [`FolderStore`].\nconst A: &str = \"println!(S3Store) std::env::var\";\n";
        assert!(lines("crates/resguardo-vault/src/a.rs", text).is_empty());
    }

    #[test]
    fn only_the_edge_prints() {
        let text = "fn a() {\n    println!(\"x\");\n    let print = 1 != 2;\n}\n";
        assert_eq!(lines("crates/resguardo-ops/src/a.rs", text), [2]);
        assert!(lines("crates/resguardo/src/render/a.rs", text).is_empty());
    }

    #[test]
    fn only_the_edge_asks_the_environment() {
        for text in [
            "use std::env::var;",
            "let a = env::args();",
            "std::env::home_dir()",
        ] {
            assert!(
                !lines("crates/resguardo-ops/src/a.rs", text).is_empty(),
                "{text}"
            );
            assert!(
                lines("crates/resguardo/src/a.rs", text).is_empty(),
                "{text}"
            );
        }
        for text in [
            "env!(\"CARGO_PKG_VERSION\")",
            "std::env::consts::OS",
            "let env = 1;",
        ] {
            assert!(
                lines("crates/resguardo-ops/src/a.rs", text).is_empty(),
                "{text}"
            );
        }
    }
}
