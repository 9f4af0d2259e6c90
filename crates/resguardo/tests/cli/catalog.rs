//! `catalog`

use crate::world::World;

#[test]
fn made_anew_from_the_vault_alone() {
    let world = World::with_shop();
    let id = world.backup();
    world.run(&["drill"]).exits(0);
    for name in ["catalog.db", "catalog.db-wal", "catalog.db-shm"] {
        let _ = std::fs::remove_file(world.home().join(name));
    }
    let answer = world.run(&["catalog", "rebuild", "--json"]).exits(0).json();
    assert_eq!(answer["heads"], 1);
    assert_eq!(answer["receipts"], 2);
    let runs = world.run(&["catalog", "runs", "--json"]).exits(0).json();
    assert_eq!(runs["runs"].as_array().unwrap().len(), 2);
    let listed = world.run(&["list", "--json"]).exits(0).json();
    assert_eq!(listed["backups"][0]["id"], serde_json::json!(id));
    assert!(listed["backups"][0]["proven_at"].is_string());
}

#[test]
fn a_damaged_catalog_is_begun_anew() {
    let world = World::with_shop();
    world.backup();
    for name in ["catalog.db-wal", "catalog.db-shm"] {
        let _ = std::fs::remove_file(world.home().join(name));
    }
    std::fs::write(
        world.home().join("catalog.db"),
        b"not a database at all, not even close",
    )
    .unwrap();
    world
        .run(&["list"])
        .exits(0)
        .complains(&["the catalog was damaged"]);
}

#[test]
fn the_history_of_runs() {
    let world = World::with_shop();
    world
        .run(&["catalog", "runs"])
        .exits(0)
        .prints(&["no run yet"]);
    world.backup();
    world
        .run(&["catalog", "runs"])
        .exits(0)
        .prints(&["RUN", "backup", "succeeded"]);
}
