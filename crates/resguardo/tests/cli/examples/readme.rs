//! What the READMEs of the examples say, compared with their configs and with the program: each line of a runbook names a
//! key that is set, a check that is there, a command that exists, or what is not done yet.

use std::collections::BTreeSet;

use super::{ALL, Example};
use crate::world::World;

const NOT_YET: &str = "todavía no: ";

/// The rows of the table in a README: the line of the runbook, and what does it.
fn rows(example: Example) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(example.folder().join("README.md")).unwrap();
    let table = text.lines().filter_map(|line| {
        let cells = line.strip_prefix("| ")?.strip_suffix(" |")?;
        let (line, done) = cells.split_once(" | ")?;
        Some((line.to_owned(), done.to_owned()))
    });
    table.skip(1).collect()
}

fn code(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// What the config sets, and the names of its checks.
fn configured(example: Example) -> (World, BTreeSet<String>, BTreeSet<String>) {
    let world = example
        .on("production")
        .with("DATABASE_URL", "postgresql://respaldo@127.0.0.1:9/base");
    let shown = world.run(&["config", "show", "--json"]).exits(0).json();
    let mut keys = BTreeSet::new();
    let mut checks = BTreeSet::new();
    for value in shown["values"].as_array().unwrap() {
        let key = value["key"].as_str().unwrap().to_owned();
        // A default is nothing that the config does.
        if value["origin"] == "default" {
            continue;
        }
        if key.contains(".checks[") && key.ends_with(".name") {
            checks.insert(value["value"].as_str().unwrap().to_owned());
        }
        keys.insert(key);
    }
    (world, keys, checks)
}

/// The words of a command up to its first argument.
fn verbs(command: &str) -> Vec<&str> {
    let groups = ["copy", "exceptions", "keys", "receipts", "vault"];
    let mut words = command.split_whitespace().skip(1);
    let verb = words.next().unwrap();
    let mut verbs = vec![verb];
    if groups.contains(&verb) {
        verbs.extend(words.next().filter(|word| !word.starts_with('-')));
    }
    verbs
}

#[test]
fn each_line_of_a_runbook_names_what_does_it() {
    let mut known = BTreeSet::new();
    for example in ALL {
        let (world, keys, checks) = configured(example);
        let rows = rows(example);
        assert!(rows.len() > 20, "{}: {}", example.name, rows.len());
        let mut named = BTreeSet::new();
        for (line, done) in &rows {
            let at = format!("{}: {line} | {done}", example.name);
            let mut answers = usize::from(done.contains(NOT_YET));
            for code in code(done) {
                if let Some(check) = code.strip_prefix("checks: ") {
                    assert!(checks.contains(check), "no check {check}: {at}");
                    named.insert(check);
                    answers += 1;
                } else if code.starts_with("resguardo ") {
                    let mut words = verbs(code);
                    words.push("--help");
                    if known.insert(words.join(" ")) {
                        world.run(&words).exits(0);
                    }
                    answers += 1;
                } else if is_key(code) {
                    assert!(keys.contains(code), "no key {code}: {at}");
                    answers += 1;
                }
            }
            assert!(
                answers > 0 || done.starts_with("siempre") || done.contains("todo simulacro"),
                "nothing does it: {at}"
            );
        }
        let unnamed: Vec<&String> = checks
            .iter()
            .filter(|check| !named.contains(check.as_str()))
            .collect();
        assert!(unnamed.is_empty(), "{}: {unnamed:?}", example.name);
    }
}

fn is_key(code: &str) -> bool {
    let tables = ["environments.", "sources.", "vault.", "notify."];
    tables.iter().any(|table| code.starts_with(table))
}

#[test]
fn what_the_config_does_by_schedule_is_in_the_table() {
    for example in ALL {
        let (_, keys, _) = configured(example);
        let text = std::fs::read_to_string(example.folder().join("README.md")).unwrap();
        let promised = keys.iter().filter(|key| {
            key.starts_with("environments.production.")
                && (key.ends_with("schedule")
                    || key.ends_with(".rto")
                    || key.contains(".retention."))
        });
        for key in promised {
            assert!(
                text.contains(&format!("`{key}`")),
                "{}: {key}",
                example.name
            );
        }
    }
}

#[test]
fn what_is_not_done_yet_is_not_configured() {
    for example in ALL {
        let text = std::fs::read_to_string(example.folder().join("resguardo.toml")).unwrap();
        for word in ["redis", "mysql", "bucket ="] {
            assert!(
                !text.contains(&format!("engine = \"{word}\"")),
                "{}",
                example.name
            );
        }
        let not_yet = rows(example)
            .into_iter()
            .filter(|(_, done)| done.contains(NOT_YET));
        assert!(not_yet.count() > 0, "{}", example.name);
    }
}
