//! On a terminal: questions, the typed name, progress. The terminal is one that `script` makes.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::world::{Ran, World, ask, shop};

/// Runs the binary on a terminal of its own, and types `input`. Everything it prints comes on one
/// stream there.
pub fn on_terminal(world: &World, arguments: &str, input: &str) -> Ran {
    let line = format!("{} {arguments}", env!("CARGO_BIN_EXE_resguardo"));
    let plain = world.command(&[]);
    let mut child = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .current_dir(world.path(""))
        .env_clear()
        .envs(
            plain
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keyboard = child.stdin.take().unwrap();
    keyboard.write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    drop(keyboard);
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[test]
fn init_asks_what_it_needs_to_know() {
    let world = World::new();
    shop(&world.path("tienda.db"), 10);
    // Vault, database and name by their defaults; no passphrase.
    on_terminal(&world, "init", "\n\n\n\n").exits(0).prints(&[
        "Where should backups be stored",
        "[./vault]",
        "[./tienda.db]",
        "[tienda]",
        "Passphrase",
        "resguardo backup",
    ]);
    world.run(&["backup"]).exits(0).prints(&["tienda: backup"]);
}

#[test]
fn the_name_of_the_target_has_to_be_typed() {
    let world = World::with_shop();
    world.backup();
    shop(&world.path("live.db"), 42);
    on_terminal(&world, "restore latest --to live.db --clean", "yes\n")
        .exits(7)
        .prints(&["2 tables", "Type live.db to replace it"]);
    assert_eq!(
        ask(&world.path("live.db"), "select count(*) from customers"),
        "42"
    );
    on_terminal(&world, "restore latest --to live.db --clean", "live.db\n").exits(0);
    assert_eq!(
        ask(&world.path("live.db"), "select count(*) from customers"),
        "500"
    );
}

#[test]
fn colours_unless_no_color() {
    let world = World::with_shop();
    world.backup();
    let coloured = on_terminal(&world, "list", "").exits(0);
    assert!(coloured.stdout.contains("\u{1b}[1m"), "{}", coloured.stdout);
    let world = world.with("NO_COLOR", "1");
    let plain = on_terminal(&world, "list", "").exits(0);
    assert!(!plain.stdout.contains('\u{1b}'), "{}", plain.stdout);
}

#[test]
fn the_phases_of_a_drill_are_shown_with_their_times() {
    let world = World::with_shop();
    world.backup();
    let ran = on_terminal(&world, "drill", "").exits(0);
    for phase in ["select", "restore", "checks", "destroy"] {
        assert!(
            ran.stdout.contains(&format!("  {phase} ")),
            "{phase}: {}",
            ran.stdout
        );
    }
}
