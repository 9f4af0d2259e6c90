//! Each example is loaded in each of its environments, and does by itself what its runbook says.

use std::collections::BTreeSet;

use super::{ALL, COMERCIAL, Example, INVENTARIO, OBYRA, PURANATURA, SAGO_FACTU};

/// What is done by schedule, with the schedules, in a zone.
fn planned(example: Example, environment: &str) -> BTreeSet<(String, String, String)> {
    let world = example
        .on(environment)
        .with("DATABASE_URL", "postgresql://respaldo@127.0.0.1:9/base");
    let answer = world.run(&["plan", "--json"]).exits(0).json();
    let runs = answer["runs"].as_array().unwrap().iter();
    let word = |run: &serde_json::Value, field: &str| run[field].as_str().unwrap().to_owned();
    runs.map(|run| {
        assert_eq!(run["source"], example.source);
        (
            word(run, "task"),
            word(run, "schedule"),
            word(run, "timezone"),
        )
    })
    .collect()
}

#[track_caller]
fn plans(example: Example, environment: &str, zone: &str, expected: &[(&str, &str)]) {
    let expected: BTreeSet<(String, String, String)> = expected
        .iter()
        .map(|(task, schedule)| ((*task).to_owned(), (*schedule).to_owned(), zone.to_owned()))
        .collect();
    assert_eq!(planned(example, environment), expected, "{}", example.name);
}

#[test]
fn production() {
    plans(
        INVENTARIO,
        "production",
        "America/Bogota",
        &[
            ("backup", "daily 02:00"),
            ("copy", "daily 06:00"),
            ("verify", "weekly saturday 05:00"),
            ("drill", "monthly first sunday 04:00"),
            ("prune", "weekly sunday 05:30"),
        ],
    );
    plans(
        OBYRA,
        "production",
        "America/Argentina/Buenos_Aires",
        &[
            ("backup", "daily 02:00"),
            ("copy", "every 6h"),
            ("verify", "monthly 15 05:00"),
            ("drill", "0 4 1 1,4,7,10 *"),
            ("prune", "weekly sunday 06:00"),
        ],
    );
    plans(
        SAGO_FACTU,
        "production",
        "America/Lima",
        &[
            ("backup", "0 3 * * *"),
            ("verify", "weekly saturday 05:00"),
            ("drill", "monthly 1 05:00"),
            ("prune", "weekly sunday 05:00"),
        ],
    );
    plans(
        COMERCIAL,
        "production",
        "America/Bogota",
        &[
            ("backup", "daily 02:00"),
            ("copy", "daily 06:00"),
            ("verify", "weekly sunday 05:30"),
            ("drill", "monthly first sunday 04:00"),
            ("prune", "daily 05:00"),
        ],
    );
    plans(
        PURANATURA,
        "production",
        "America/Santo_Domingo",
        &[
            ("backup", "daily 01:30"),
            ("copy", "daily 04:00"),
            ("verify", "weekly monday 05:00"),
            ("drill", "0 4 15 1,4,7,10 *"),
            ("prune", "weekly sunday 05:00"),
        ],
    );
}

#[test]
fn staging_is_drilled_every_month() {
    for example in ALL {
        let planned = planned(example, "staging");
        let tasks: BTreeSet<&str> = planned.iter().map(|(task, ..)| task.as_str()).collect();
        assert_eq!(
            tasks,
            BTreeSet::from(["backup", "drill", "prune"]),
            "{}",
            example.name
        );
        let (_, drill, _) = planned.iter().find(|(task, ..)| task == "drill").unwrap();
        assert!(drill.starts_with("monthly "), "{drill}");
    }
}

#[test]
fn nothing_is_done_by_itself_on_the_machine_of_a_developer() {
    for example in ALL {
        assert_eq!(planned(example, "local"), BTreeSet::new());
        let world = example.on("local");
        world
            .run(&["plan"])
            .exits(0)
            .prints(&["has no schedule: its environment, local, says none"]);
    }
}

#[test]
fn a_machine_that_does_not_say_what_it_is_is_refused() {
    for example in ALL {
        for (environment, says) in [
            ("", "the environment variable ENTORNO is not set"),
            ("producction", "did you mean production?"),
        ] {
            let world = example.on(environment);
            for verb in ["plan", "backup", "serve"] {
                world
                    .run(&[verb])
                    .exits(1)
                    .complains(&[says, "resguardo.toml"]);
            }
        }
    }
}
