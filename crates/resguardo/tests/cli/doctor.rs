//! `doctor`

use std::os::unix::fs::PermissionsExt as _;

use crate::world::World;

#[test]
fn all_is_well() {
    let world = World::with_shop();
    world.backup();
    world.run(&["drill"]).exits(0);
    world.run(&["doctor"]).exits(0).prints(&[
        "resguardo: version",
        "config: resguardo.toml",
        "store: conditional put works",
        "write key:",
        "source shop",
    ]);
    let answer = world.run(&["doctor", "--json"]).exits(0).json();
    for diagnosis in answer["diagnoses"].as_array().unwrap() {
        assert_ne!(diagnosis["severity"], "problem", "{diagnosis}");
    }
    assert!(
        world.objects("_probe", "").is_empty(),
        "nothing of the trial is left"
    );
}

#[test]
fn each_problem_with_its_next_command() {
    let world = World::with_shop();
    std::fs::set_permissions(
        world.keys().join("identity.txt"),
        std::fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    world.add_to_config(
        "[sources.gone]\nurl = \"gone.db\"\n\n[sources.unset]\nurl = \"${NOT_SET}\"\n",
    );
    world.run(&["doctor"]).exits(3).prints(&[
        "PROBLEM  identity",
        "mode 0644",
        "next: chmod 600",
        "source gone",
        "gone.db",
        "source unset",
        "NOT_SET is not set",
    ]);
}

#[test]
fn without_a_vault() {
    let world = World::new();
    world
        .run(&["doctor"])
        .exits(3)
        .prints(&["no vault is configured", "next: resguardo init"]);
    world
        .run(&["doctor", "--vault", "./nowhere"])
        .exits(3)
        .prints(&["holds no vault"]);
    assert!(!world.path("nowhere").exists(), "looking makes no folders");
}
