//! `verify`

use crate::world::World;

#[test]
fn a_whole_vault_in_every_depth() {
    let world = World::with_shop();
    let id = world.backup();
    for depth in ["heads", "structure", "bytes"] {
        let answer = world
            .run(&["verify", "--all", "--depth", depth, "--json"])
            .exits(0)
            .json();
        assert_eq!(answer["findings"], serde_json::json!([]), "{depth}");
        assert_eq!(answer["whole"], serde_json::json!([id]), "{depth}");
    }
    world
        .run(&["verify", "shop"])
        .exits(0)
        .prints(&["nothing is wrong", "1 backup is whole"]);
    world.run(&["verify", "--source", "shop"]).exits(0);
}

#[test]
fn a_missing_pack_is_found_without_a_key() {
    let world = World::with_shop();
    let id = world.backup();
    std::fs::remove_file(world.keys().join("identity.txt")).unwrap();
    std::fs::remove_file(&world.objects("shop/packs", ".age")[0]).unwrap();
    let answer = world
        .run(&["verify", "--depth", "heads", "--json"])
        .exits(3)
        .json();
    assert_eq!(answer["findings"][0]["kind"], "pack-missing");
    assert_eq!(
        answer["findings"][0]["backups_hit"],
        serde_json::json!([id])
    );
}

#[test]
fn where_no_backup_is_hit_none_has_to_be_taken() {
    let world = World::with_shop();
    for _ in 0..3 {
        world.backup();
    }
    std::fs::remove_file(&world.objects("shop/receipts", ".json")[1]).unwrap();
    let ran = world
        .run(&["verify"])
        .exits(3)
        .prints(&["receipt-missing", "no backup is hit"]);
    assert!(!ran.stdout.contains("take a new backup"), "{}", ran.stdout);
    std::fs::remove_file(&world.objects("shop/packs", ".age")[0]).unwrap();
    world
        .run(&["verify"])
        .exits(3)
        .prints(&["pack-missing", "take a new backup of what is hit"]);
}
