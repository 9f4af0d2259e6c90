//! Copies: what receipts, the list and a rebuild say of them.

use std::sync::Arc;

use jiff::tz::TimeZone;
use resguardo_model::receipt::Verb;
use resguardo_model::retention::Policy;
use resguardo_model::{BackupId, CheckOutcome, FindingKind, SourceName, Verdict};
use resguardo_ops::copy::{self, SyncDone, SyncRequest};
use resguardo_ops::drill::{self, DrillRequest};
use resguardo_ops::error::ErrorKind;
use resguardo_ops::pin::{self, PinRequest};
use resguardo_ops::prune::{self, PruneRequest};
use resguardo_ops::verify::{self, Depth, Scope, VerifyRequest};
use resguardo_ops::{Context, OpsError, Reference, keys, list, receipts, show};
use resguardo_store::wrap::faulty::{Fault, Rule};
use resguardo_store::wrap::{Faulty, Operation};
use resguardo_store::{FolderStore, MemoryStore, Store};
use resguardo_vault::{CopyPlace, Vault};

use crate::world::{World, latest};

fn shop() -> SourceName {
    "shop".parse().unwrap()
}

pub(crate) fn offsite(world: &World) -> CopyPlace {
    let store = FolderStore::create(world.path("offsite")).unwrap();
    CopyPlace::new("offsite", Arc::new(store))
}

pub(crate) fn sync(ctx: &Context, place: &CopyPlace) -> Result<SyncDone, OpsError> {
    let source = shop();
    let request = SyncRequest {
        place,
        source: &source,
        mend: false,
        policy: None,
        begin_anew: false,
    };
    copy::sync(ctx, &request)
}

/// A context over the copy alone, as on a machine whose vault is lost.
pub(crate) fn over_copy(world: &World, ctx: &Context) -> Context {
    let keys = world.vault_access(true, true);
    let store = FolderStore::open(world.path("offsite")).unwrap();
    let vault = Vault::open_copy(Arc::new(store), keys, world.settings()).unwrap();
    Context {
        vault: Some(Arc::new(vault)),
        ..ctx.clone()
    }
}

#[test]
fn the_list_tells_where_each_backup_is_and_the_receipt_how_it_came_there() {
    let world = World::new();
    let ctx = world.context();
    let first = world.back_up();
    let place = offsite(&world);
    let done = sync(&ctx, &place).unwrap();
    assert!(done.is_whole());
    assert_eq!(done.synced.sent.len(), 1);
    world.later(1);
    world.sql("update orders set cents = 7 where id = 3");
    let second = world.back_up();
    let listed = list::list(&ctx, None).unwrap().backups;
    let copies = |id| {
        let line = listed.iter().find(|backup| backup.id == id).unwrap();
        line.copies.clone()
    };
    assert_eq!(copies(first.id), ["memory:", &place.describe()]);
    assert_eq!(copies(second.id), ["memory:"]);
    let behind = copy::behind(&ctx, &place.describe()).unwrap();
    assert_eq!((behind[0].backups, behind[0].of), (1, 2));
    assert_eq!(behind[0].newest, Some(first.taken_at));

    let receipt = receipts::find(&ctx, &done.receipt.unwrap()).unwrap();
    let predicate = &receipt.statement.predicate;
    assert_eq!(
        (predicate.verb, predicate.outcome.as_str()),
        (Verb::Copy, "succeeded")
    );
    assert_eq!(predicate.details["copy"], "offsite");
    assert_eq!(predicate.details["sent"][0]["backup"], first.id.to_string());
    assert_eq!(predicate.details["holds"][0][0], 1);
    let head = first.head_sha256.to_string();
    assert_eq!(receipt.statement.subject[0].digest["sha256"], head);
    let reference: Reference = first.id.to_string().parse().unwrap();
    let shown = show::show(&ctx, &reference).unwrap();
    assert!(shown.receipts.iter().any(|one| one.verb == Verb::Copy));
    assert_eq!(shown.backup.copies.len(), 2);

    sync(&ctx, &place).unwrap();
    let behind = copy::behind(&ctx, &place.describe()).unwrap();
    assert_eq!((behind[0].backups, behind[0].of), (0, 2));
    // The same is told by a catalog that was made anew.
    let rebuilt = Context {
        catalog: resguardo_ops::catalog::Catalog::in_memory().unwrap(),
        ..ctx
    };
    let again = copy::behind(&rebuilt, &place.describe()).unwrap();
    assert_eq!(again, behind);
    world.assert_nothing_left();
}

#[test]
fn a_run_in_which_nothing_happened_leaves_no_receipt() {
    let world = World::new();
    let ctx = world.context();
    world.back_up();
    let place = offsite(&world);
    sync(&ctx, &place).unwrap();
    let receipts = world.keys("receipts").len();
    for _ in 0..2 {
        let done = sync(&ctx, &place).unwrap();
        assert_eq!(done.receipt, None);
        assert_eq!(done.notes, [""; 0]);
    }
    assert_eq!(world.keys("receipts").len(), receipts);
}

#[test]
fn what_is_read_from_a_copy_is_told_in_the_vault() {
    let world = World::new();
    let ctx = world.context();
    world.back_up();
    let place = offsite(&world);
    sync(&ctx, &place).unwrap();
    let at_copy = copy::at_copy(&ctx, &place).unwrap();
    let source = world.shop();
    let request = DrillRequest {
        origin: latest(),
        sources: std::slice::from_ref(&source),
        keep: false,
    };
    let done = drill::drill(&at_copy, &request).unwrap();
    assert_eq!(done.verdict, Verdict::Passed);
    assert!(
        done.checks
            .iter()
            .any(|check| check.outcome == CheckOutcome::Passed)
    );
    let receipt = receipts::find(&ctx, &done.receipt.unwrap()).unwrap();
    let place_told = &receipt.statement.predicate.details["place"];
    assert_eq!(*place_told, place.describe());
    // It is a proof of the backup like any other.
    assert!(
        list::list(&ctx, None).unwrap().backups[0]
            .proven_at
            .is_some()
    );
    let request = VerifyRequest {
        scope: Scope::All,
        depth: Depth::Digests,
    };
    let found = verify::verify(&at_copy, &request).unwrap();
    assert_eq!(found.findings.findings, []);
    assert_eq!(found.receipts.len(), 1);
    // Nobody takes backups into a copy.
    let error = crate::world::take(&at_copy, &source).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
}

#[test]
fn a_copy_that_is_gone_is_not_begun_again_by_accident() {
    let world = World::new();
    let ctx = world.context();
    world.back_up();
    sync(&ctx, &offsite(&world)).unwrap();
    std::fs::remove_dir_all(world.path("offsite")).unwrap();
    let place = offsite(&world);
    let error = sync(&ctx, &place).unwrap_err();
    assert!(matches!(error, OpsError::CopyGone { .. }), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Vault);
    assert!(error.hint().unwrap().contains("copy sync offsite --new"));
    let source = shop();
    let request = SyncRequest {
        place: &place,
        source: &source,
        mend: false,
        policy: None,
        begin_anew: true,
    };
    assert_eq!(copy::sync(&ctx, &request).unwrap().synced.sent.len(), 1);
}

#[test]
fn another_vault_is_refused_and_a_copy_that_refuses_is_told() {
    let (world, other) = (World::new(), World::new());
    let ctx = world.context();
    world.back_up();
    let theirs = CopyPlace::new("theirs", other.store.clone());
    let error = sync(&ctx, &theirs).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    let denied = Faulty::new(MemoryStore::new())
        .with(Rule::from(1, Fault::Denied).on(Operation::Put).key("packs"));
    let denied = CopyPlace::new("denied", Arc::new(denied));
    let error = sync(&ctx, &denied).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Vault);
    let told = receipts::find(&ctx, "latest").unwrap().statement.predicate;
    assert_eq!((told.verb, told.outcome.as_str()), (Verb::Copy, "failed"));
    assert!(
        told.details["error"]
            .as_str()
            .unwrap()
            .contains("access denied")
    );
    let status = copy::status(&ctx, &theirs).unwrap();
    assert_eq!(status.sources.unwrap_err().kind(), ErrorKind::Refused);
}

#[test]
fn a_damaged_backup_does_not_reach_the_copy_and_is_told() {
    let world = World::new();
    let ctx = world.context();
    world.back_up();
    let pack = world.store.list("shop/packs").unwrap()[0].key.clone();
    world.store.delete(&pack).unwrap();
    let place = offsite(&world);
    let done = sync(&ctx, &place).unwrap();
    assert!(!done.is_whole());
    assert_eq!(done.synced.findings[0].kind, FindingKind::PackMissing);
    let receipt = receipts::find(&ctx, &done.receipt.unwrap()).unwrap();
    assert_eq!(receipt.statement.predicate.outcome, "failed");
    let behind = copy::behind(&ctx, &place.describe()).unwrap();
    assert_eq!((behind[0].backups, behind[0].of), (1, 1));
    let status = copy::status(&ctx, &place).unwrap().sources.unwrap();
    assert_eq!((status[0].held, status[0].missing.len()), (0, 1));
}

#[test]
fn a_lost_vault_is_made_again_and_what_no_copy_has_is_named() {
    let world = World::new();
    let ctx = world.context();
    let first = world.back_up();
    let place = offsite(&world);
    sync(&ctx, &place).unwrap();
    world.later(1);
    let second = world.back_up();
    // The vault is lost with the second backup.
    for info in world.store.list("").unwrap() {
        world.store.delete(&info.key).unwrap();
    }
    let lost = over_copy(&world, &ctx);
    let to = CopyPlace::new("vault", world.store.clone());
    let done = copy::rebuild(&lost, "offsite", &[], &to, false).unwrap();
    assert!(done.is_whole());
    assert_eq!(done.lost.len(), 1);
    assert_eq!(done.lost[0].backups_hit, [second.id]);
    assert_eq!(done.receipts.len(), 1);
    let again = world.context();
    let backups = list::list(&again, None).unwrap();
    assert_eq!(backups.findings, []);
    let ids: Vec<_> = backups.backups.iter().map(|backup| backup.id).collect();
    assert_eq!(ids, [first.id]);
    world.later(1);
    world.back_up();
    assert_eq!(sync(&again, &place).unwrap().synced.sent.len(), 1);
    let request = VerifyRequest {
        scope: Scope::All,
        depth: Depth::Bytes,
    };
    let found = verify::verify(&again, &request).unwrap();
    assert_eq!(found.findings.findings, []);
    assert_eq!(found.findings.whole.len(), 2);
}

/// Pins the newest backup.
fn pin_latest(ctx: &Context, copies: &[CopyPlace]) -> pin::PinDone {
    let request = PinRequest {
        backup: &"shop".parse().unwrap(),
        reason: "audit",
        until: None,
        copies,
    };
    pin::pin(ctx, &request).unwrap()
}

fn rebuild_lost(world: &World, ctx: &Context) -> copy::RebuildDone {
    for info in world.store.list("").unwrap() {
        world.store.delete(&info.key).unwrap();
    }
    let to = CopyPlace::new("vault", world.store.clone());
    copy::rebuild(&over_copy(world, ctx), "offsite", &[], &to, false).unwrap()
}

fn pinned(ctx: &Context) -> Vec<BackupId> {
    let pins = ctx.vault().unwrap().pins(None).unwrap().pins;
    pins.iter().map(|pin| pin.backup).collect()
}

#[test]
fn a_pin_is_at_the_copies_at_once_and_comes_back_from_there() {
    let world = World::new();
    let ctx = world.context();
    let first = world.back_up();
    let place = offsite(&world);
    sync(&ctx, &place).unwrap();
    let denied = Faulty::new(MemoryStore::new()).with(Rule::from(1, Fault::Denied));
    let denied = CopyPlace::new("far", Arc::new(denied));
    let copies = [place.clone(), denied];
    let done = pin_latest(&ctx, &copies);
    assert_eq!(done.notes.len(), 1, "{:?}", done.notes);
    assert!(done.notes[0].contains("the copy far has not got the pin"));
    assert!(done.notes[0].contains("resguardo copy sync far"));
    assert_eq!(pinned(&copy::at_copy(&ctx, &place).unwrap()), [first.id]);
    let done = rebuild_lost(&world, &ctx);
    assert_eq!(done.notes, [""; 0]);
    assert_eq!(pinned(&world.context()), [first.id]);
}

#[test]
fn a_pin_that_no_copy_had_is_named_when_the_vault_is_made_again() {
    let world = World::new();
    let ctx = world.context();
    let first = world.back_up();
    sync(&ctx, &offsite(&world)).unwrap();
    pin_latest(&ctx, &[]);
    let done = rebuild_lost(&world, &ctx);
    let named = format!("resguardo pin {} --reason", first.id);
    assert!(
        done.notes.len() == 1 && done.notes[0].contains(&named),
        "{:?}",
        done.notes
    );
    assert!(done.notes[0].contains("(audit)"));
}

#[test]
fn a_pin_at_a_copy_keeps_in_the_vault() {
    let world = World::new();
    let ctx = world.context();
    let first = world.back_up();
    let place = offsite(&world);
    sync(&ctx, &place).unwrap();
    pin_latest(&ctx, std::slice::from_ref(&place));
    let vault = ctx.vault().unwrap();
    vault.remove_pin(&shop(), first.id).unwrap();
    for _ in 0..2 {
        world.later(24);
        world.back_up();
    }
    let policy = Policy {
        last: Some(1),
        keep_successful: 1,
        ..Policy::floor(TimeZone::UTC)
    };
    let source = shop();
    let prune = |copies: &[CopyPlace]| {
        let request = PruneRequest {
            source: &source,
            environment: "production",
            policy: Some(&policy),
            accept_missing_heads: false,
            dry_run: true,
            copies,
        };
        let done = prune::prune(&ctx, &request).unwrap();
        let one = done.backups.into_iter().find(|one| one.id == first.id);
        one.unwrap().kept
    };
    assert!(!prune(&[]));
    assert!(prune(&[place]));
}

#[test]
fn what_a_copy_holds_is_told_again_when_its_receipts_are_lost() {
    let world = World::new();
    let ctx = world.context();
    let first = world.back_up();
    let place = offsite(&world);
    sync(&ctx, &place).unwrap();
    // The receipt of this sync lies in the vault alone.
    let places = |ctx: &Context| {
        let listed = list::list(ctx, None).unwrap().backups;
        let line = listed.into_iter().find(|backup| backup.id == first.id);
        line.unwrap().copies
    };
    rebuild_lost(&world, &ctx);
    let again = world.context();
    assert_eq!(places(&again), ["memory:", &place.describe()]);
    for info in world.store.list("shop/receipts").unwrap() {
        world.store.delete(&info.key).unwrap();
    }
    let again = Context {
        catalog: resguardo_ops::catalog::Catalog::in_memory().unwrap(),
        ..ctx
    };
    assert_eq!(places(&again), ["memory:"]);
    let done = sync(&again, &place).unwrap();
    assert_eq!(done.synced.objects, 0);
    assert!(done.receipt.is_some());
    assert_eq!(places(&again), ["memory:", &place.describe()]);
    assert_eq!(sync(&again, &place).unwrap().receipt, None);
}

#[test]
fn what_a_writer_signed_is_asked_of_the_copies_too() {
    let world = World::new();
    let ctx = world.context();
    let first = world.back_up();
    let place = offsite(&world);
    sync(&ctx, &place).unwrap();
    let vault = ctx.vault().unwrap();
    let head = vault.heads(None).unwrap().heads.remove(0);
    world.store.delete(&head.key.parse().unwrap()).unwrap();
    let denied = Faulty::new(MemoryStore::new()).with(Rule::from(1, Fault::Denied));
    let denied = CopyPlace::new("far", Arc::new(denied));
    let writer = vault.writer().unwrap();
    let alone = keys::signed_by(&ctx, writer, None, &[]).unwrap();
    assert!(!alone.known.contains(&first.head_sha256));
    let all = keys::signed_by(&ctx, writer, None, &[place, denied]).unwrap();
    assert!(all.known.contains(&first.head_sha256));
    assert!(all.known.is_superset(&alone.known));
    assert_eq!(all.unreached.len(), 1);
    assert_eq!(all.unreached[0].0, "far");
}

#[test]
fn damage_in_the_vault_is_mended_from_the_copy() {
    let world = World::new();
    let ctx = world.context();
    world.back_up();
    let place = offsite(&world);
    sync(&ctx, &place).unwrap();
    let pack = world.store.list("shop/packs").unwrap()[0].key.clone();
    let mut bytes = world.store.get(&pack).unwrap().to_vec();
    bytes[100] ^= 1;
    let always = resguardo_store::Condition::Always;
    world.store.put(&pack, bytes.into(), always).unwrap();
    let done = copy::rebuild(
        &over_copy(&world, &ctx),
        "offsite",
        &[],
        &CopyPlace::new("vault", world.store.clone()),
        true,
    )
    .unwrap();
    assert_eq!(done.sources[0].parts[0].mended, [pack.to_string()]);
    let request = VerifyRequest {
        scope: Scope::All,
        depth: Depth::Bytes,
    };
    let found = verify::verify(&world.context(), &request).unwrap();
    assert_eq!(found.findings.findings, []);
}

#[test]
fn a_copy_keeps_what_its_own_retention_says() {
    let world = World::new();
    let ctx = world.context();
    for day in 0..4 {
        world.later(24 * i64::from(day > 0));
        world.sql(&format!("update orders set cents = {day} where id = 3"));
        world.back_up();
    }
    // Its clock has to be that of the test: prune looks at both.
    let store = MemoryStore::with_clock(world.clock.clone());
    let place = CopyPlace::new("offsite", Arc::new(store));
    let source = shop();
    let policy = Policy {
        last: Some(2),
        keep_successful: 1,
        ..Policy::floor(TimeZone::UTC)
    };
    let request = SyncRequest {
        place: &place,
        source: &source,
        mend: false,
        policy: Some(&policy),
        begin_anew: false,
    };
    let first = copy::sync(&ctx, &request).unwrap();
    assert_eq!(
        (first.synced.sent.len(), first.synced.unwanted.len()),
        (2, 2)
    );
    let behind = || copy::behind(&ctx, &place.describe()).unwrap().remove(0);
    assert_eq!((behind().backups, behind().of), (0, 2));
    // Later it keeps less, and the vault keeps what it has.
    let fewer = Policy {
        last: Some(1),
        ..policy.clone()
    };
    let vault = ctx.vault.as_ref().unwrap();
    let at_copy = vault.copy_at(&place).unwrap();
    let pruned = prune::prune_in(
        &ctx,
        &at_copy,
        &PruneRequest {
            source: &source,
            environment: "local",
            policy: Some(&fewer),
            accept_missing_heads: false,
            dry_run: false,
            copies: &[],
        },
    )
    .unwrap();
    assert_eq!(pruned.backups.iter().filter(|one| !one.kept).count(), 1);
    assert_eq!((behind().backups, behind().of), (0, 1));
    assert_eq!(list::list(&ctx, None).unwrap().backups.len(), 4);
    assert_eq!(at_copy.heads(None).unwrap().findings, []);
    // What was pruned there is not sent again, whatever is kept from now on.
    let again = sync(&ctx, &place).unwrap();
    assert_eq!(again.synced.sent, []);
    assert!(again.is_whole());
    let told = receipts::find(&ctx, &pruned.receipt.unwrap()).unwrap();
    let details = told.statement.predicate.details;
    assert_eq!(details["place"], place.describe());
    assert_eq!(details["holds"][0][0], 4);
    assert_eq!(details["holds"].as_array().unwrap().len(), 1);
}
