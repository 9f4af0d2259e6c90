//! URLs that were mistyped: nobody may read the password that stands somewhere in them, neither on the
//! terminal nor in what is kept.

use std::os::unix::fs::PermissionsExt as _;

use crate::world::World;

const URLS: [&str; 9] = [
    "postgres:/ana:s3cret@127.0.0.1:5/shop",
    "postgresql:ana:s3cret@127.0.0.1:5/shop",
    "postgres://ana:s3cret127.0.0.1:5/shop",
    "postgres://ana:5/s3cret@127.0.0.1:5/shop",
    "postgres://ana:s3cret@127.0.0.1:five/shop",
    "//ana:s3cret@127.0.0.1:5/shop",
    "ana:s3cret@127.0.0.1:5/shop",
    "u:s3cret@127.0.0.1:5/shop",
    "postgres//ana:s3cret@127.0.0.1:5/shop",
];

/// Runs it, and looks for the password in whatever it says.
fn fails_in_silence(world: &World, arguments: &[&str]) {
    let ran = world.run(arguments);
    assert!(matches!(ran.code, 1..=3), "{arguments:?}: {}", ran.code);
    let all = format!("{}{}", ran.stdout, ran.stderr);
    assert!(!all.contains("s3cret"), "{arguments:?}\n{all}");
    assert!(!ran.stderr.is_empty() || ran.code == 3, "{arguments:?}");
}

#[test]
fn no_password_of_a_mistyped_url_is_shown_or_kept() {
    for url in URLS {
        let world = World::with_shop();
        world.backup();
        fails_in_silence(&world, &["restore", "shop", "--to", url]);
        world.add_to_config(&format!("[sources.other]\nurl = \"{url}\"\n"));
        for arguments in [
            &["backup", "other"][..],
            &["doctor"],
            &["doctor", "--json"],
            &["backup", "other", "--json"],
        ] {
            fails_in_silence(&world, arguments);
        }
        let shown = world.run(&["config", "show"]);
        let all = format!("{}{}", shown.stdout, shown.stderr);
        assert!(!all.contains("s3cret"), "{url}\n{all}");
        for file in ["catalog.db", "catalog.db-wal"] {
            // SQLite removes its log where the last run ended well.
            let bytes = std::fs::read(world.home().join(file)).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains("s3cret"), "{url} in {file}");
        }
    }
}

#[test]
fn no_password_of_a_variable_is_shown() {
    for url in URLS {
        let world = World::new().with("DATABASE_URL", url);
        for arguments in [
            &["init", "--vault", "vault", "--yes"][..],
            &["config", "show"],
            &["backup"],
            &["doctor"],
        ] {
            let ran = world.run(arguments);
            let all = format!("{}{}", ran.stdout, ran.stderr);
            assert!(!all.contains("s3cret"), "{arguments:?}\n{all}");
        }
    }
}

#[test]
fn a_url_without_its_quotes_is_repeated_without_its_password() {
    let world = World::with_shop();
    world.add_to_config("[sources.other]\nurl = postgres://ana:s3cret@db/shop\n");
    fails_in_silence(&world, &["backup"]);
}

#[test]
fn nobody_else_reads_the_catalog() {
    let world = World::with_shop();
    let catalog = world.home().join("catalog.db");
    let mode = || std::fs::metadata(&catalog).unwrap().permissions().mode() & 0o777;
    world.backup();
    assert_eq!(mode(), 0o600);
    // One that an earlier version made.
    std::fs::set_permissions(&catalog, std::fs::Permissions::from_mode(0o644)).unwrap();
    world.run(&["list"]).exits(0);
    assert_eq!(mode(), 0o600);
}
