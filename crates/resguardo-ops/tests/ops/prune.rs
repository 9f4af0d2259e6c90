//! Pruning by policy, and pins: what goes, what never goes, and what is left when something breaks off.

mod held;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use resguardo_engine::port::{Location, RestoreOptions};
use resguardo_model::receipt::Verb;
use resguardo_model::retention::{Policy, Tier};
use resguardo_model::{BackupId, EngineKind, SourceName};
use resguardo_ops::catalog::RunState;
use resguardo_ops::pin::{self, PinRequest};
use resguardo_ops::prune::{self, PruneDone, PruneRequest};
use resguardo_ops::restore::{self, Hooks, RestoreRequest};
use resguardo_ops::verify::{self, Depth, Scope, VerifyRequest};
use resguardo_ops::{Context, ErrorKind, OpsError, Origin, Reference, list, receipts};
use resguardo_store::Store;
use resguardo_store::wrap::{Call, Fault, Faulty, Operation, Record, Rule};
use resguardo_testkit::FakeClock;

use crate::world::{Watcher, World, run_drill, take};

fn days(count: u32) -> Policy {
    Policy::floor(TimeZone::UTC).with(Tier::Daily, count)
}

fn shop() -> SourceName {
    "shop".parse().unwrap()
}

fn run(ctx: &Context, policy: Option<&Policy>, dry_run: bool) -> Result<PruneDone, OpsError> {
    prune::prune(
        ctx,
        &PruneRequest {
            source: &shop(),
            environment: "production",
            policy,
            accept_missing_heads: false,
            dry_run,
            copies: &[],
        },
    )
}

fn prune(world: &World, policy: &Policy) -> PruneDone {
    run(&world.context(), Some(policy), false).unwrap()
}

/// So many backups, a day apart, each of other data. The clock stands at the last.
fn take_days(world: &World, count: u32) -> Vec<BackupId> {
    let ids = (0..count).map(|number| {
        if number > 0 {
            world.later(24);
        }
        world.sql(&format!(
            "update customer set name = 'day {number}' where id <= 10"
        ));
        world.back_up().id
    });
    ids.collect()
}

fn left(world: &World) -> Vec<BackupId> {
    let listed = list::list(&world.context(), None).unwrap();
    assert_eq!(listed.findings, [], "the chain of heads is explained");
    listed.backups.iter().map(|backup| backup.id).collect()
}

fn assert_whole(world: &World) {
    let request = VerifyRequest {
        scope: Scope::All,
        depth: Depth::Bytes,
    };
    let done = verify::verify(&world.context(), &request).unwrap();
    assert_eq!(done.findings.findings, []);
    let whole: BTreeSet<_> = done.findings.whole.into_iter().collect();
    assert_eq!(whole, left(world).into_iter().collect());
}

fn details(ctx: &Context, key: &str) -> (String, serde_json::Value) {
    let predicate = receipts::find(ctx, key).unwrap().statement.predicate;
    let details = serde_json::to_value(&predicate.details).unwrap();
    (predicate.outcome, details)
}

#[test]
fn what_the_policy_lets_go_goes_and_the_rest_comes_back() {
    let world = World::new();
    let ids = take_days(&world, 9);
    let foreseen = run(&world.context(), Some(&days(4)), true).unwrap();
    assert_eq!(left(&world), ids, "a dry run deletes nothing");
    let done = prune(&world, &days(4));
    assert_eq!(left(&world), ids[5..]);
    let told = |done: &PruneDone| {
        let backups = done.backups.iter();
        backups
            .map(|one| (one.id, one.kept, one.why.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(told(&foreseen), told(&done), "the plan is what was done");
    assert_eq!(foreseen.freed_bytes, done.freed_bytes);
    assert!(done.freed_bytes > 0);
    let newest = done.backups.last().unwrap();
    assert_eq!(
        newest.why,
        ["daily 2026-11-30", "one of the last 2 backups"]
    );
    assert_eq!(
        done.backups[0].why,
        ["daily 2026-11-22 is beyond the newest 4 days"]
    );
    assert_whole(&world);

    // The receipt says the same, and is whole.
    let ctx = world.context();
    let (outcome, details) = details(&ctx, &done.receipt.unwrap());
    assert_eq!(outcome, "succeeded");
    assert_eq!(details["retention"], "daily 4");
    assert_eq!(details["timezone"], "UTC");
    assert_eq!(details["kept"].as_array().unwrap().len(), 4);
    assert_eq!(details["deleted"][0]["id"], serde_json::json!(ids[0]));
    assert_eq!(
        details["deleted"][0]["why"][0],
        "daily 2026-11-22 is beyond the newest 4 days"
    );
    assert_eq!(receipts::list(&ctx, None).unwrap().findings, []);

    // Dead objects go after the grace, and a second prune has no backup to delete.
    world.later(25);
    let again = prune(&world, &days(4));
    assert_eq!(left(&world), ids[5..]);
    assert_eq!(again.objects.deleted.bytes, done.objects.waiting.bytes);
    assert!(again.objects.deleted.bytes > 0);
    assert_eq!(again.objects.waiting.bytes, 0);
    assert_whole(&world);
    for id in &ids[5..] {
        let out = world.path(&format!("{id}.sqlite"));
        let reference: Reference = id.to_string().parse().unwrap();
        let request = RestoreRequest {
            origin: Origin::Backup(reference),
            sources: &[],
            to: Location::new(out.to_str().unwrap()),
            engine: EngineKind::Sqlite,
            options: RestoreOptions::default(),
            confirmation: None,
            safety_backup: false,
            hooks: Hooks::default(),
        };
        restore::restore(&ctx, &request).unwrap();
        assert!(out.exists());
    }
}

#[test]
fn a_dry_run_and_a_source_without_a_policy_write_nothing() {
    let world = World::new();
    take_days(&world, 3);
    let keys = world.keys("");
    run(&world.context(), Some(&days(1)), true).unwrap();
    assert_eq!(world.keys(""), keys);
    let done = run(&world.context(), None, false).unwrap();
    assert_eq!(world.keys(""), keys);
    assert_eq!((done.policy, done.run, done.freed_bytes), (None, None, 0));
    assert!(
        done.backups
            .iter()
            .all(|one| one.kept && one.why == ["no retention is set"])
    );
}

#[test]
fn failed_runs_and_time_that_passes_delete_nothing() {
    let world = World::new();
    take_days(&world, 5);
    let policy = Policy {
        within: Some("3d".parse().unwrap()),
        ..Policy::floor(TimeZone::UTC)
    };
    prune(&world, &policy);
    let kept = left(&world);
    assert_eq!(kept.len(), 3);
    let shop = std::fs::read(world.database()).unwrap();
    std::fs::remove_file(world.database()).unwrap();
    for _ in 0..20 {
        world.later(24);
        take(&world.context(), &world.shop()).unwrap_err();
        prune(&world, &policy);
    }
    assert_eq!(left(&world), kept);
    // Backups go on, and what is old goes again.
    std::fs::write(world.database(), shop).unwrap();
    world.back_up();
    prune(&world, &policy);
    assert_eq!(left(&world).len(), 2);
}

#[test]
fn the_last_proven_backup_and_the_last_two_stay() {
    let world = World::new();
    let proven = take_days(&world, 2)[1];
    run_drill(&world.context(), &world.shop()).unwrap();
    world.later(24);
    let newer = take_days(&world, 4);
    let done = prune(&world, &days(1));
    assert_eq!(left(&world), [proven, newer[2], newer[3]]);
    let causes = |id| {
        done.backups
            .iter()
            .find(|one| one.id == id)
            .unwrap()
            .why
            .clone()
    };
    assert_eq!(causes(proven), ["the last proven backup"]);
    assert_eq!(causes(newer[2]), ["one of the last 2 backups"]);
    // A newer one is proven: the old one has done its duty.
    run_drill(&world.context(), &world.shop()).unwrap();
    prune(&world, &days(1));
    assert_eq!(left(&world), newer[2..]);
}

#[test]
fn a_backup_that_is_pruned_while_it_is_pinned_is_not_called_pinned() {
    let world = World::new();
    let id = world.back_up().id;
    let inner = world.store.clone();
    let pruned = Record::new(world.store.clone(), move |call: Call| {
        if call.operation == Operation::Put && call.key.contains("/pins/") {
            let head = format!("shop/snapshots/{id}.head.json");
            inner.delete(&head.parse().unwrap()).unwrap();
        }
    });
    let request = PinRequest {
        backup: &id.to_string().parse().unwrap(),
        reason: "contract 7",
        until: None,
        copies: &[],
    };
    let refused = pin::pin(&world.context_over(Arc::new(pruned)), &request).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("pruned while it was being pinned"),
        "{refused}"
    );
    assert_eq!(world.keys("/pins/"), [""; 0], "the pin is taken back");
}

#[test]
fn a_pin_is_not_promised_while_a_prune_is_at_work() {
    let world = World::new();
    let ctx = world.context();
    let id = world.back_up().id;
    let place = crate::copy::offsite(&world);
    crate::copy::sync(&ctx, &place).unwrap();
    let reference = id.to_string().parse().unwrap();
    let request = PinRequest {
        backup: &reference,
        reason: "contract 7",
        until: None,
        copies: std::slice::from_ref(&place),
    };
    let vault = ctx.vault().unwrap();
    let run: resguardo_model::RunId = "01jd8kq2v3abcdefghjkmnpqrs".parse().unwrap();
    let lease = vault.acquire_lease(&shop(), run, "elsewhere", std::process::id());
    let refused = pin::pin(&ctx, &request).unwrap_err();
    assert_eq!(refused.kind(), resguardo_ops::ErrorKind::Locked);
    assert_eq!(world.keys("/pins/"), [""; 0], "nothing was changed");
    drop(lease);
    // A copy that is being pruned gets the pin, and may not keep the backup.
    let there = vault.copy_at(&place).unwrap();
    let lease = there.acquire_lease(&shop(), run, "elsewhere", std::process::id());
    let done = pin::pin(&ctx, &request).unwrap();
    assert!(
        done.notes[0].contains("being pruned at this moment"),
        "{:?}",
        done.notes
    );
    drop(lease);
    assert_eq!(there.pins(Some(&shop())).unwrap().pins.len(), 1);
    let again = pin::pin(&ctx, &request).unwrap();
    assert_eq!((again.was_pinned, again.notes), (true, Vec::new()));
}

#[test]
fn a_pinned_backup_stays_until_its_day_has_passed_and_all_of_it_has_a_receipt() {
    let world = World::new();
    let ids = take_days(&world, 6);
    let ctx = world.context();
    let named: Vec<Reference> = ids
        .iter()
        .map(|id| id.to_string().parse().unwrap())
        .collect();
    let request = |backup, until: Option<&str>| PinRequest {
        backup,
        reason: " contract 7 ",
        until: until.map(|until| until.parse().unwrap()),
        copies: &[],
    };
    let pinned = pin::pin(&ctx, &request(&named[0], None)).unwrap();
    assert!(pinned.pinned && !pinned.was_pinned);
    pin::pin(&ctx, &request(&named[1], Some("2026-12-05T00:00:00Z"))).unwrap();
    let done = prune(&world, &days(2));
    assert_eq!(left(&world), [ids[0], ids[1], ids[4], ids[5]]);
    assert_eq!(done.backups[0].why, ["pinned: contract 7"]);
    assert_eq!(done.backups[1].why, ["pinned until 2026-12-04: contract 7"]);
    let listed = list::list(&ctx, None).unwrap();
    assert_eq!(listed.backups[0].pin.as_ref().unwrap().reason, "contract 7");
    assert!(listed.backups[2].pin.is_none());

    world.later(24 * 9);
    let newer = take_days(&world, 2);
    prune(&world, &days(2));
    assert_eq!(
        left(&world),
        [ids[0], newer[0], newer[1]],
        "the second pin is over"
    );
    let unpinned = pin::unpin(&ctx, &named[0], &[]).unwrap();
    assert!(unpinned.was_pinned && !unpinned.pinned);
    assert!(!pin::unpin(&ctx, &named[0], &[]).unwrap().was_pinned);
    prune(&world, &days(2));
    assert_eq!(left(&world), newer);
    let all = receipts::list(&ctx, None).unwrap();
    assert_eq!(all.findings, []);
    let pins = all
        .receipts
        .iter()
        .filter(|receipt| receipt.verb == Verb::Pin);
    assert_eq!(
        pins.count(),
        3,
        "that nothing was unpinned leaves no receipt"
    );
}

#[test]
fn pins_that_make_no_sense_are_refused() {
    let world = World::new();
    world.back_up();
    let ctx = world.context();
    let shop: Reference = "shop".parse().unwrap();
    let past = Some("2026-11-22T01:00:00Z".parse().unwrap());
    for (reason, until) in [("", None), (" ", None), ("a\nb", None), ("a", past)] {
        let request = PinRequest {
            backup: &shop,
            reason,
            until,
            copies: &[],
        };
        let error = pin::pin(&ctx, &request).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{reason:?}: {error}");
    }
    let request = PinRequest {
        backup: &shop,
        reason: "a",
        until: None,
        copies: &[],
    };
    let without_key = Context {
        vault: Some(Arc::new(world.vault_with(false, None))),
        ..ctx
    };
    assert_eq!(
        pin::pin(&without_key, &request).unwrap_err().kind(),
        ErrorKind::User
    );
    assert_eq!(
        pin::unpin(&without_key, &shop, &[]).unwrap_err().kind(),
        ErrorKind::User
    );
    assert_eq!(
        run(&without_key, Some(&days(1)), false).unwrap_err().kind(),
        ErrorKind::User
    );
    assert_eq!(world.keys("/pins/"), [""; 0]);
}

#[test]
fn a_clock_that_is_far_from_the_stores_decides_nothing() {
    let world = World::new();
    let ids = take_days(&world, 4);
    for (hours, words) in [
        (3, "3 h ahead of"),
        (-3, "3 h behind"),
        (24 * 30, "30 d ahead of"),
    ] {
        let clock = FakeClock::at("2026-11-25T02:00:00Z");
        clock.advance(SignedDuration::from_hours(hours));
        let ctx = Context {
            clock: Arc::new(clock),
            ..world.context()
        };
        let error = run(&ctx, Some(&days(1)), false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.hint().unwrap().contains("timedatectl"));
        world.assert_nothing_left();
    }
    assert_eq!(left(&world), ids);
    let minutes = FakeClock::at("2026-11-25T02:59:00Z");
    let ctx = Context {
        clock: Arc::new(minutes),
        ..world.context()
    };
    run(&ctx, Some(&days(1)), false).unwrap();
    assert_eq!(left(&world), ids[2..]);
}

#[test]
fn stopped_at_every_phase_and_run_again() {
    for phase in ["prune shop", "heads of shop", "objects of shop"] {
        let world = World::new();
        let ids = take_days(&world, 5);
        world.clock.advance(SignedDuration::from_mins(1));
        let mut ctx = world.context();
        let cancel = ctx.cancel.clone();
        ctx.progress = Watcher::new(move |begun| {
            if begun == phase {
                cancel.cancel();
            }
        });
        let error = run(&ctx, Some(&days(2)), false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Interrupted, "{phase}: {error}");
        world.assert_nothing_left();
        let row = &world.catalog.runs(1).unwrap()[0];
        assert_eq!((row.verb, row.state), (Verb::Prune, RunState::Interrupted));
        // What the receipt says is gone is what is gone.
        let ctx = world.context();
        let (outcome, details) = details(&ctx, row.receipt.as_ref().unwrap());
        assert_eq!(outcome, "interrupted", "{phase}");
        let gone = details["deleted"].as_array().unwrap().len();
        assert_eq!(left(&world).len(), 5 - gone, "{phase}");
        assert_whole(&world);

        prune(&world, &days(2));
        world.later(25);
        prune(&world, &days(2));
        assert_eq!(left(&world), ids[3..], "{phase}");
        assert_whole(&world);
        let packs = list::list(&ctx, None).unwrap().space[0].stored_bytes;
        let stored: u64 = ["/packs/", "/index/", ".manifest.age"]
            .iter()
            .flat_map(|part| world.keys(part))
            .map(|key| world.store.stat(&key.parse().unwrap()).unwrap().bytes)
            .sum();
        assert_eq!(stored, packs, "{phase}: nothing dead is left");
    }
}

#[test]
fn a_host_that_may_not_delete_takes_nothing_away() {
    let world = World::new();
    let ids = take_days(&world, 4);
    let denied =
        Faulty::new(world.store.clone()).with(Rule::from(1, Fault::Denied).on(Operation::Delete));
    let ctx = world.context_over(Arc::new(denied));
    let error = run(&ctx, Some(&days(1)), false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Vault, "{error}");
    let hint = error.hint().unwrap();
    assert!(hint.contains("may delete"), "{hint}");
    let mut cause = std::error::Error::source(&error);
    let mut said = error.to_string();
    while let Some(error) = cause {
        said = format!("{said}: {error}");
        cause = error.source();
    }
    assert!(said.contains("delete"), "{said}");
    // Its own lease is left as well, and lapses.
    world.later(1);
    assert_eq!(left(&world), ids);
    assert_whole(&world);
}

#[test]
fn a_source_that_is_being_backed_up_is_left_alone() {
    let world = World::new();
    let ids = take_days(&world, 4);
    let ctx = world.context();
    let vault = world.vault_with(true, None);
    let run_id = "01jd8kq2v3abcdefghjkmnpqrs".parse().unwrap();
    let lease = vault
        .acquire_lease(&shop(), run_id, "elsewhere", 1)
        .unwrap();
    let error = run(&ctx, Some(&days(1)), false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
    run(&ctx, Some(&days(1)), true).unwrap();
    drop(lease);
    assert_eq!(left(&world), ids);
    prune(&world, &days(1));
    assert_eq!(left(&world), ids[2..]);
}

#[test]
fn backups_of_strangers_are_neither_counted_nor_deleted() {
    let world = World::new();
    let ids = take_days(&world, 3);
    world.later(24);
    let stranger = Context {
        vault: Some(Arc::new(world.vault_of_a_stranger())),
        ..world.context()
    };
    let theirs = take(&stranger, &world.shop()).unwrap().id;
    let done = prune(&world, &days(1));
    let of = |id| done.backups.iter().find(|one| one.id == id).unwrap();
    assert_eq!(of(theirs).why, ["its writer is not trusted here"]);
    assert_eq!(
        of(ids[2]).why,
        ["daily 2026-11-24", "one of the last 2 backups"]
    );
    let all: Vec<_> = list::list(&world.context(), None)
        .unwrap()
        .backups
        .iter()
        .map(|backup| backup.id)
        .collect();
    assert_eq!(all, [ids[1], ids[2], theirs]);
}
