//! What a prune leaves because something holds it: a copy's own policy, a pin there, a lock of the store.

use std::sync::Arc;

use resguardo_model::BackupId;
use resguardo_model::retention::Policy;
use resguardo_ops::copy::{self, SyncRequest};
use resguardo_ops::pin::{self, PinRequest};
use resguardo_ops::prune::{PruneRequest, prune_in};
use resguardo_ops::{Reference, receipts, show};
use resguardo_store::MemoryStore;
use resguardo_vault::CopyPlace;

use super::{assert_whole, days, details, left, prune, run, shop, take_days};
use crate::world::World;

#[test]
fn a_copy_keeps_by_its_own_policy_and_pins_hold_there_too() {
    let world = World::new();
    let ids = take_days(&world, 6);
    let ctx = world.context();
    let place = CopyPlace::new(
        "offsite",
        Arc::new(MemoryStore::with_clock(world.clock.clone())),
    );
    let sync = || {
        let request = SyncRequest {
            place: &place,
            source: &shop(),
            mend: false,
            policy: None,
            begin_anew: false,
        };
        copy::sync(&ctx, &request).unwrap()
    };
    sync();
    let at_copy = || -> Vec<BackupId> {
        let copy = ctx.vault().unwrap().copy_at(&place).unwrap();
        let heads = copy.heads(Some(&shop())).unwrap();
        assert_eq!(heads.findings, []);
        heads
            .heads
            .iter()
            .map(|stored| stored.head.backup)
            .collect()
    };
    let prune_copy = |policy: &Policy| {
        let copy = ctx.vault().unwrap().copy_at(&place).unwrap();
        let request = PruneRequest {
            source: &shop(),
            environment: "production",
            policy: Some(policy),
            accept_missing_heads: false,
            dry_run: false,
            copies: &[],
        };
        prune_in(&ctx, &copy, &request).unwrap()
    };
    prune(&world, &days(2));
    sync();
    assert_eq!(at_copy(), ids, "a deletion does not follow");
    let done = prune_copy(&days(4));
    assert_eq!(at_copy(), ids[2..]);
    assert_eq!(left(&world), ids[4..]);
    let (outcome, details) = details(&ctx, &done.receipt.unwrap());
    assert_eq!(outcome, "succeeded");
    assert_eq!(details["store"], place.describe());
    sync();
    assert_eq!(
        at_copy(),
        ids[2..],
        "what was pruned there is not sent again"
    );
    assert_eq!(receipts::list(&ctx, None).unwrap().findings, []);

    // A pin of the vault that the copy has not got yet keeps there as well.
    let named: Reference = ids[4].to_string().parse().unwrap();
    let request = PinRequest {
        backup: &named,
        reason: "audit",
        until: None,
        copies: &[],
    };
    pin::pin(&ctx, &request).unwrap();
    world.later(24);
    let newer = take_days(&world, 2);
    sync();
    prune_copy(&days(1));
    assert_eq!(at_copy(), [ids[4], newer[0], newer[1]]);
    pin::unpin(&ctx, &named, std::slice::from_ref(&place)).unwrap();
    prune_copy(&days(1));
    assert_eq!(at_copy(), newer);
}

#[test]
fn what_the_store_locks_stays_and_its_date_is_told() {
    let world = World::new();
    let until = "2026-12-01T00:00:00Z".parse().unwrap();
    let mut ids = take_days(&world, 5);
    let locked = ids.split_off(2);
    world.store.lock_until(&locked[0].to_string(), until);
    let ctx = world.context();
    let words = "the store keeps it until 2026-12-01 00:00 UTC";
    let foreseen = run(&ctx, Some(&days(1)), true).unwrap();
    let done = run(&ctx, Some(&days(1)), false).unwrap();
    assert_eq!(left(&world), locked);
    for told in [&foreseen, &done] {
        let stays = told.backups.iter().find(|one| one.id == locked[0]).unwrap();
        assert_eq!(
            (stays.kept, &stays.why[..]),
            (true, &[words.to_owned()][..])
        );
        assert_eq!(stays.kept_until, Some(until));
        let goes = told.backups.iter().filter(|one| !one.kept);
        assert_eq!(goes.map(|one| one.id).collect::<Vec<_>>(), ids);
    }
    assert_eq!(foreseen.freed_bytes, done.freed_bytes);
    assert!(
        done.notes.iter().any(|note| note.ends_with(words)),
        "{:?}",
        done.notes
    );
    let reference = locked[0].to_string().parse().unwrap();
    let shown = show::show(&ctx, &reference).unwrap().lock.unwrap();
    assert_eq!(shown.until, Some(until));
    assert_whole(&world);
    world.later(24 * 10);
    prune(&world, &days(1));
    assert_eq!(left(&world), locked[1..]);
}
