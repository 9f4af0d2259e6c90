//! What a rebuild from several copies brings back and keeps from being called whole, and what a mend proves of
//! a copy.

use std::sync::Arc;

use jiff::tz::TimeZone;
use resguardo_model::retention::Policy;
use resguardo_model::{BackupId, FindingKind, SourceName};
use resguardo_ops::copy::{self, SyncRequest, Verified};
use resguardo_ops::prune::{self, PruneRequest};
use resguardo_ops::verify::{self, Depth, Scope, VerifyRequest};
use resguardo_ops::{Context, list};
use resguardo_store::{FolderStore, MemoryStore, Store};
use resguardo_vault::{CopyPlace, Vault};

use crate::copies::flip;
use crate::copy::{offsite, over_copy, sync};
use crate::world::World;

fn shop() -> SourceName {
    "shop".parse().unwrap()
}

fn near(world: &World) -> (Arc<MemoryStore>, CopyPlace) {
    let store = Arc::new(MemoryStore::with_clock(world.clock.clone()));
    (store.clone(), CopyPlace::new("near", store))
}

fn back_ups(world: &World, count: i64) -> Vec<BackupId> {
    let mut ids = Vec::new();
    for cents in 0..count {
        world.later(24);
        world.sql(&format!("update orders set cents = {cents} where id = 3"));
        ids.push(world.back_up().id);
    }
    ids
}

pub(crate) fn lose(world: &World) {
    for info in world.store.list("").unwrap() {
        world.store.delete(&info.key).unwrap();
    }
}

fn rebuild(world: &World, ctx: &Context, others: &[CopyPlace]) -> copy::RebuildDone {
    let to = CopyPlace::new("vault", world.store.clone());
    copy::rebuild(&over_copy(world, ctx), "offsite", others, &to, false).unwrap()
}

/// Prunes a source, in the vault or at a copy, to its newest backups.
pub(crate) fn prune_to(ctx: &Context, at: Option<&CopyPlace>, last: u32) {
    let policy = Policy {
        last: Some(last),
        keep_successful: 1,
        ..Policy::floor(TimeZone::UTC)
    };
    let source = shop();
    let request = PruneRequest {
        source: &source,
        environment: "production",
        policy: Some(&policy),
        accept_missing_heads: false,
        dry_run: false,
        copies: &[],
    };
    let over = at.map(|place| copy::at_copy(ctx, place).unwrap());
    let vault = over.as_ref().unwrap_or(ctx).vault().unwrap();
    prune::prune_in(ctx, vault, &request).unwrap();
}

#[test]
fn what_one_copy_pruned_comes_back_from_another() {
    let world = World::new();
    let ctx = world.context();
    let ids = back_ups(&world, 5);
    let offsite = offsite(&world);
    let (nearby, near) = near(&world);
    sync(&ctx, &offsite).unwrap();
    sync(&ctx, &near).unwrap();
    // The copy that is asked first keeps two.
    prune_to(&ctx, Some(&near), 2);
    lose(&world);
    let keys = world.vault_access(true, true);
    let vault = Vault::open_copy(nearby, keys, world.settings()).unwrap();
    let from = Context {
        vault: Some(Arc::new(vault)),
        ..ctx.clone()
    };
    let to = CopyPlace::new("vault", world.store.clone());
    let others = std::slice::from_ref(&offsite);
    let alone = copy::rebuild(&from, "near", &[], &to, false).unwrap();
    assert_eq!(alone.sources[0].parts[0].compared.held.len(), 2);
    let done = copy::rebuild(&from, "near", others, &to, false).unwrap();
    assert!(done.is_whole(), "{done:?}");
    let again = world.context();
    let listed = list::list(&again, None).unwrap();
    let mut came: Vec<BackupId> = listed.backups.iter().map(|one| one.id).collect();
    came.sort_unstable();
    assert_eq!(came, ids);
    let scope = Scope::All;
    let depth = Depth::Bytes;
    let found = verify::verify(&again, &VerifyRequest { scope, depth }).unwrap();
    assert_eq!(found.findings.findings, []);
    assert_eq!(found.findings.whole.len(), 5);
}

#[test]
fn a_vault_that_lacks_a_head_is_not_whole() {
    let world = World::new();
    let ctx = world.context();
    let ids = back_ups(&world, 3);
    let place = offsite(&world);
    let (_, near) = near(&world);
    sync(&ctx, &place).unwrap();
    sync(&ctx, &near).unwrap();
    let there = FolderStore::open(world.path("offsite")).unwrap();
    let head = format!("shop/snapshots/{}.head.json", ids[1])
        .parse()
        .unwrap();
    there.delete(&head).unwrap();
    lose(&world);
    let done = rebuild(&world, &ctx, &[]);
    assert!(!done.is_whole());
    let unsettled = &done.sources[0].unsettled;
    assert_eq!(unsettled.len(), 1, "{unsettled:?}");
    assert_eq!(unsettled[0].finding.kind, FindingKind::HeadMissing);
    assert!(unsettled[0].next.contains("resguardo copy rebuild --from"));
    // Another copy has the head: what the first lacks is no matter.
    let done = rebuild(&world, &ctx, std::slice::from_ref(&near));
    assert!(done.is_whole(), "{done:?}");
}

fn verify_at(ctx: &Context, place: &CopyPlace) -> usize {
    let at_copy = copy::at_copy(ctx, place).unwrap();
    let (scope, depth) = (Scope::All, Depth::Digests);
    let done = verify::verify(&at_copy, &VerifyRequest { scope, depth }).unwrap();
    done.findings.findings.len()
}

fn verified(ctx: &Context, place: &CopyPlace) -> Verified {
    let status = copy::status(ctx, place).unwrap().sources.unwrap();
    status[0].verified.clone().unwrap()
}

fn mend(ctx: &Context, place: &CopyPlace) -> copy::SyncDone {
    let source = shop();
    let request = SyncRequest {
        place,
        source: &source,
        mend: true,
        policy: None,
        begin_anew: false,
    };
    copy::sync(ctx, &request).unwrap()
}

#[test]
fn a_mend_takes_nothing_back_of_what_the_copy_alone_has() {
    let world = World::new();
    let ctx = world.context();
    let ids = back_ups(&world, 3);
    let place = offsite(&world);
    sync(&ctx, &place).unwrap();
    prune_to(&ctx, None, 2);
    let there = FolderStore::open(world.path("offsite")).unwrap();
    let manifests = there.list("shop/snapshots").unwrap();
    let manifest_of = |id: BackupId| {
        let mut keys = manifests.iter().map(|info| info.key.clone());
        let is_its = |key: &resguardo_store::Key| {
            let key = key.as_str();
            key.contains(&id.to_string()) && !key.ends_with(".head.json")
        };
        keys.find(is_its).unwrap()
    };
    flip(&there, &manifest_of(ids[0]));
    flip(&there, &manifest_of(ids[2]));
    assert_eq!(verify_at(&ctx, &place), 2);
    let found = verified(&ctx, &place);
    assert_eq!(found.findings.len(), 2);
    let next = copy::mending(&ctx, "offsite", &found.findings).unwrap();
    assert!(next.contains("copy sync offsite --mend"), "{next}");
    assert!(next.contains(&format!("nothing to mend these with: {}", ids[0])));
    world.later(1);
    let done = mend(&ctx, &place);
    assert!(done.is_whole());
    assert_eq!(done.synced.mended.len(), 1);
    let left = verified(&ctx, &place);
    assert_eq!(left.findings.len(), 1);
    assert_eq!(left.findings[0].backups_hit, [ids[0]]);
    assert_eq!(left.at, found.at, "not every byte was read");
    let next = copy::mending(&ctx, "offsite", &left.findings).unwrap();
    assert!(!next.contains("--mend"), "{next}");
}
