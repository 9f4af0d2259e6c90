//! A place where a vault was and is not: a disk that is not mounted. Nothing new is begun there unseen.

use crate::world::World;

const KNOWN: [&str; 2] = ["holds no vault, and this machine knows vault", "mounted"];

#[test]
fn a_vault_that_is_gone_is_missed() {
    let world = World::with_shop();
    world.backup();
    std::fs::rename(world.path("vault"), world.path("elsewhere")).unwrap();
    // The place itself is gone, and then an empty folder: the mount point.
    for verb in ["backup", "list"] {
        world.run(&[verb]).exits(5).complains(&KNOWN);
    }
    std::fs::create_dir(world.path("vault")).unwrap();
    for verb in ["backup", "list"] {
        world.run(&[verb]).exits(5).complains(&KNOWN);
    }
    world.run(&["doctor"]).exits(3).prints(&KNOWN);
    world.run(&["init", "--yes"]).exits(7).complains(&KNOWN);
    assert!(!world.path("vault/vault.json").exists());
    // Mounted again, everything is as it was.
    std::fs::remove_dir_all(world.path("vault")).unwrap();
    std::fs::rename(world.path("elsewhere"), world.path("vault")).unwrap();
    world.backup();
    let listed = world.run(&["list", "--json"]).exits(0).json();
    assert_eq!(listed["backups"].as_array().unwrap().len(), 2);
}

#[test]
fn whoever_wants_another_vault_there_says_so() {
    let world = World::with_shop();
    std::fs::remove_dir_all(world.path("vault")).unwrap();
    world
        .run(&["init", "--yes"])
        .exits(7)
        .complains(&["--new-vault"]);
    // Without a terminal nobody was asked.
    world
        .run(&["init", "--new-vault"])
        .exits(7)
        .complains(&["--yes"]);
    world.run(&["init", "--new-vault", "--yes"]).exits(0);
    world.backup();
}
