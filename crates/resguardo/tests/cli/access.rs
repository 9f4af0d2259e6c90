//! `vault access`

use crate::world::World;

#[test]
fn who_may_do_what_is_shown_reviewed_and_remembered() {
    let world = World::with_shop();
    world.backup();
    world.run(&["vault", "access"]).exits(0).prints(&[
        "age1",
        "ed25519:",
        "(this machine)",
        "trusted",
        "everybody else",
        "never reviewed",
    ]);
    let before = world.run(&["vault", "access", "--json"]).exits(0).json();
    assert!(before["last_review"].is_null() && before["receipts"].is_null());
    assert_eq!(before["writers"][0]["backups"], 1);
    assert_eq!(before["store"][0]["subject"], "owner");

    world
        .run(&["vault", "access", "--reviewed", "--next", "2020-01-01"])
        .exits(2)
        .complains(&["has passed already"]);
    world
        .run(&["vault", "access", "--by", "Ana"])
        .exits(2)
        .complains(&["--reviewed"]);
    world
        .run(&[
            "vault",
            "access",
            "--reviewed",
            "--by",
            "Ana",
            "--next",
            "2999-06-30",
        ])
        .exits(0)
        .prints(&["reviewed by Ana"]);
    let after = world.run(&["vault", "access", "--json"]).exits(0).json();
    assert_eq!(after["last_review"]["by"], "Ana");
    assert_eq!(after["last_review"]["next"], "2999-06-30");
    world
        .run(&["receipts", "list"])
        .exits(0)
        .prints(&["access"]);
    world.run(&["doctor"]).exits(0).prints(&["by Ana"]);
}

#[test]
fn a_review_needs_a_backup_to_lie_with() {
    let world = World::with_shop();
    world
        .run(&["vault", "access", "--reviewed"])
        .exits(1)
        .complains(&["the vault has no backup yet", "after the first one"]);
}
