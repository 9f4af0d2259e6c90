//! Help, completions, manual pages, usage.

use crate::world::World;

const VERBS: [&str; 21] = [
    "init",
    "doctor",
    "config",
    "backup",
    "list",
    "show",
    "verify",
    "restore",
    "drill",
    "prune",
    "pin",
    "unpin",
    "keys",
    "receipts",
    "catalog",
    "status",
    "exceptions",
    "metrics",
    "demo",
    "completions",
    "man",
];

#[test]
fn every_verb_has_help_that_fits_the_terminal() {
    let world = World::new();
    world
        .run(&["--help"])
        .exits(0)
        .prints(&["First steps:", "Exit codes:", "backup"]);
    for verb in VERBS {
        let ran = world.run(&[verb, "--help"]).exits(0);
        assert!(ran.stdout.contains("Usage: resguardo"), "{}", ran.stdout);
        for line in ran.stdout.lines() {
            assert!(line.chars().count() <= 120, "{verb}: {line}");
        }
    }
    world.run(&["--version"]).exits(0).prints(&["resguardo 0."]);
}

#[test]
fn usage_errors_end_with_2() {
    let world = World::new();
    world.run(&[]).exits(2);
    world.run(&["bakcup"]).exits(2).complains(&["backup"]);
    world
        .run(&["backup", "--reason", "Two Words"])
        .exits(2)
        .complains(&["is not a reason"]);
    world
        .run(&["verify", "--depth", "deep"])
        .exits(2)
        .complains(&["heads", "structure", "bytes"]);
}

#[test]
fn completions_for_each_shell() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish"] {
        world
            .run(&["completions", shell])
            .exits(0)
            .prints(&["resguardo", "drill", "restore"]);
    }
}

#[test]
fn manual_pages() {
    let world = World::new();
    world.run(&["man", "--out", "pages"]).exits(0);
    for verb in VERBS {
        let page =
            std::fs::read_to_string(world.path(&format!("pages/resguardo-{verb}.1"))).unwrap();
        let title = format!(".TH RESGUARDO-{}", verb.to_uppercase());
        assert!(page.contains(&title), "{title}: {page}");
        assert!(
            page.contains(&format!("resguardo\\-{verb} \\- ")),
            "{verb}: {page}"
        );
        assert!(!page.contains("EXTRA"), "{verb}");
    }
    let page = std::fs::read_to_string(world.path("pages/resguardo-drill.1")).unwrap();
    let examples = page.split_once(".nf").unwrap().1;
    assert!(
        examples.contains("  resguardo drill                            the newest backup"),
        "columns stay: {examples}"
    );
    assert!(world.path("pages/resguardo.1").is_file());
}
