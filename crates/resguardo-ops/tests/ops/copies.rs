//! What is known of copies by receipts: which backups they hold, and what was found wrong there.

use std::sync::Arc;

use resguardo_model::{FindingKind, Severity, SourceName};
use resguardo_ops::copy::{self, SyncRequest, Verified};
use resguardo_ops::verify::{self, Depth, Scope, VerifyRequest};
use resguardo_ops::{Context, list, show};
use resguardo_store::{Condition, FolderStore, Store};
use resguardo_vault::CopyPlace;

use crate::copy::{offsite, over_copy, sync};
use crate::world::World;

/// Changes one byte of an object, whose size stays as it is.
pub(crate) fn flip(store: &dyn Store, key: &resguardo_store::Key) {
    let mut bytes = store.get(key).unwrap().to_vec();
    bytes[100] ^= 1;
    store.put(key, bytes.into(), Condition::Always).unwrap();
}

#[test]
fn a_number_that_is_used_again_is_not_taken_for_the_lost_backup_at_a_copy() {
    let world = World::new();
    let ctx = world.context();
    world.back_up();
    let place = offsite(&world);
    sync(&ctx, &place).unwrap();
    world.later(1);
    let packs = world.keys("packs");
    world.sql("update orders set cents = 7 where id = 3");
    let lost = world.back_up();
    sync(&ctx, &place).unwrap();
    // The copy gets the receipt as well that says it holds both.
    sync(&ctx, &place).unwrap();
    let there = FolderStore::open(world.path("offsite")).unwrap();
    let second = world.keys("packs");
    for key in second.iter().filter(|key| !packs.contains(key)) {
        flip(&there, &key.parse().unwrap());
    }
    for info in world.store.list("").unwrap() {
        world.store.delete(&info.key).unwrap();
    }
    let to = CopyPlace::new("vault", world.store.clone());
    let done = copy::rebuild(&over_copy(&world, &ctx), "offsite", &[], &to, false).unwrap();
    assert!(!done.is_whole());
    // What this machine remembers of the lost backup is lost as well.
    std::fs::remove_dir_all(world.path("cache")).unwrap();
    world.later(1);
    let again = world.context();
    let next = world.back_up_in(&again);
    let heads = again.vault().unwrap().heads(None).unwrap().heads;
    let numbers: Vec<u64> = heads.iter().map(|stored| stored.head.sequence).collect();
    assert_eq!(numbers, [1, 2]);
    let listed = list::list(&again, None).unwrap();
    let line = listed.backups.iter().find(|one| one.id == next.id).unwrap();
    assert_eq!(line.copies, ["memory:"]);
    assert!(listed.backups.iter().all(|one| one.id != lost.id));
    let behind = copy::behind(&again, &place.describe()).unwrap();
    assert_eq!((behind[0].backups, behind[0].of), (1, 2));
}

fn verify_at(ctx: &Context, place: &CopyPlace, depth: Depth) -> usize {
    let at_copy = copy::at_copy(ctx, place).unwrap();
    let scope = Scope::All;
    let done = verify::verify(&at_copy, &VerifyRequest { scope, depth }).unwrap();
    done.findings.findings.len()
}

fn verified(ctx: &Context, place: &CopyPlace) -> Option<Verified> {
    let status = copy::status(ctx, place).unwrap().sources.unwrap();
    status[0].verified.clone()
}

#[test]
fn what_was_found_at_a_copy_is_told_until_it_was_put_right() {
    let world = World::new();
    let ctx = world.context();
    let taken = world.back_up();
    let place = offsite(&world);
    sync(&ctx, &place).unwrap();
    assert_eq!(verified(&ctx, &place), None);
    assert_eq!(verify_at(&ctx, &place, Depth::Digests), 0);
    let sound = verified(&ctx, &place).unwrap();
    assert_eq!(sound.at, Some(world.context().clock.now()));
    assert_eq!(sound.findings, []);
    let told = |ctx: &Context| copy::diagnose_verified(ctx, "offsite", &place.describe()).unwrap();
    assert_eq!(told(&ctx)[0].severity, Severity::Ok);

    world.later(1);
    let there = FolderStore::open(world.path("offsite")).unwrap();
    flip(&there, &world.keys("packs")[0].parse().unwrap());
    assert_eq!(verify_at(&ctx, &place, Depth::Digests), 1);
    let status = copy::status(&ctx, &place).unwrap().sources.unwrap();
    assert_eq!((status[0].held, status[0].missing.len()), (1, 0));
    let ailing = verified(&ctx, &place).unwrap();
    assert_eq!(ailing.findings[0].kind, FindingKind::PackDamaged);
    assert_eq!(ailing.findings[0].backups_hit, [taken.id]);
    // Who looks less closely takes nothing back, and no other machine forgets it.
    world.later(1);
    assert_eq!(verify_at(&ctx, &place, Depth::Heads), 0);
    sync(&ctx, &place).unwrap();
    let other = Context {
        catalog: resguardo_ops::catalog::Catalog::in_memory().unwrap(),
        ..ctx.clone()
    };
    for ctx in [&ctx, &other] {
        assert_eq!(verified(ctx, &place).unwrap().findings, ailing.findings);
        let line = list::list(ctx, None).unwrap().backups.remove(0);
        assert_eq!(line.damaged_at, [place.describe()]);
        let reference = taken.id.to_string().parse().unwrap();
        let shown = show::show(ctx, &reference).unwrap();
        assert_eq!(shown.backup.damaged_at, [place.describe()]);
        let told = told(ctx);
        assert_eq!(told[0].severity, Severity::Problem);
        assert!(told[0].next.contains("copy sync offsite --mend"));
    }

    world.later(1);
    let source: SourceName = "shop".parse().unwrap();
    let request = SyncRequest {
        place: &place,
        source: &source,
        mend: true,
        policy: None,
        begin_anew: false,
    };
    let done = copy::sync(&ctx, &request).unwrap();
    assert_eq!(done.synced.mended.len(), 1);
    let again = verified(&ctx, &place).unwrap();
    assert_eq!(again.findings, []);
    assert_eq!(again.at, Some(ctx.clock.now()));
    let line = list::list(&ctx, None).unwrap().backups.remove(0);
    assert_eq!(line.damaged_at, [""; 0]);
}

#[test]
fn a_look_at_one_backup_of_a_copy_is_none_at_all_of_them() {
    let world = World::new();
    let ctx = world.context();
    let taken = world.back_up();
    let place = CopyPlace::new("near", Arc::new(resguardo_store::MemoryStore::new()));
    sync(&ctx, &place).unwrap();
    let at_copy = copy::at_copy(&ctx, &place).unwrap();
    let request = VerifyRequest {
        scope: Scope::Backup(taken.id.to_string().parse().unwrap()),
        depth: Depth::Bytes,
    };
    verify::verify(&at_copy, &request).unwrap();
    assert_eq!(verified(&ctx, &place).unwrap().at, None);
}

/// A vault of two backups at two copies, and lost: the packs that the second added are named.
struct Lost {
    world: World,
    ctx: Context,
    near: CopyPlace,
    there: FolderStore,
    nearby: Arc<resguardo_store::MemoryStore>,
    first: Vec<String>,
    second: Vec<String>,
    ids: [resguardo_model::BackupId; 2],
}

fn lost() -> Lost {
    let world = World::new();
    let ctx = world.context();
    let one = world.back_up().id;
    let first = world.keys("packs");
    world.later(1);
    world.sql("update orders set cents = 7 where id = 3");
    let two = world.back_up().id;
    let mut second = world.keys("packs");
    second.retain(|key| !first.contains(key));
    let place = offsite(&world);
    let nearby = Arc::new(resguardo_store::MemoryStore::new());
    let near = CopyPlace::new("near", nearby.clone());
    for place in [&place, &near] {
        sync(&ctx, place).unwrap();
    }
    for info in world.store.list("").unwrap() {
        world.store.delete(&info.key).unwrap();
    }
    let there = FolderStore::open(world.path("offsite")).unwrap();
    Lost {
        ids: [one, two],
        world,
        ctx,
        near,
        there,
        nearby,
        first,
        second,
    }
}

impl Lost {
    fn rebuild(&self, others: &[CopyPlace]) -> copy::RebuildDone {
        let to = CopyPlace::new("vault", self.world.store.clone());
        let from = over_copy(&self.world, &self.ctx);
        copy::rebuild(&from, "offsite", others, &to, false).unwrap()
    }

    fn assert_whole(&self) {
        let request = VerifyRequest {
            scope: Scope::All,
            depth: Depth::Bytes,
        };
        let found = verify::verify(&self.world.context(), &request).unwrap();
        assert_eq!(found.findings.findings, []);
        assert_eq!(found.findings.whole.len(), 2);
    }
}

#[test]
fn a_vault_is_made_again_from_copies_of_which_none_is_whole() {
    let lost = lost();
    flip(&lost.there, &lost.first[0].parse().unwrap());
    let second = lost.second[0].parse().unwrap();
    lost.nearby.delete(&second).unwrap();
    // One head is at the near copy alone, and one damaged there.
    let head = |id| format!("shop/snapshots/{id}.head.json").parse().unwrap();
    lost.there.delete(&head(lost.ids[1])).unwrap();
    flip(&*lost.nearby, &head(lost.ids[0]));
    let alone = lost.rebuild(&[]);
    assert!(!alone.is_whole());
    assert_eq!(alone.sources[0].nowhere, [lost.ids[0]]);
    assert_eq!(alone.lost, []);
    let done = lost.rebuild(std::slice::from_ref(&lost.near));
    assert!(done.is_whole(), "{done:?}");
    let source = &done.sources[0];
    let came = |number: usize| source.came_from(number, &done.from[number].1);
    assert_eq!((came(0).backups, came(1).backups), (1, 1));
    // The pack that is damaged off site came from the near copy, and the one lost there from off site.
    let elsewhere: Vec<&str> = source
        .parts
        .iter()
        .flat_map(|part| &part.elsewhere)
        .map(|one| one.object.as_str())
        .collect();
    assert_eq!(elsewhere, [&lost.first[0], &lost.second[0]]);
    assert!(came(0).bytes > 0 && came(1).bytes > 0);
    lost.assert_whole();
    let receipt = resguardo_ops::receipts::find(&lost.world.context(), &done.receipts[0]).unwrap();
    let from = &receipt.statement.predicate.details["rebuilt_from"];
    assert_eq!(
        (&from[0]["copy"], &from[1]["copy"]),
        (&"offsite".into(), &"near".into())
    );
}

#[test]
fn what_is_nowhere_whole_is_named() {
    let lost = lost();
    let pack = lost.second[0].parse().unwrap();
    flip(&lost.there, &pack);
    flip(&*lost.nearby, &pack);
    let done = lost.rebuild(std::slice::from_ref(&lost.near));
    assert!(!done.is_whole());
    assert_eq!(done.sources[0].nowhere, [lost.ids[1]]);
    assert_eq!(done.lost, []);
}

#[test]
fn a_vault_without_the_backups_of_a_retired_writer_is_not_whole() {
    let lost = lost();
    // Another machine with a key of its own made the vault again: it believes nobody else.
    let stranger = lost.world.stranger_access();
    let copy = FolderStore::open(lost.world.path("offsite")).unwrap();
    let settings = lost.world.settings();
    let vault = resguardo_vault::Vault::open_copy(Arc::new(copy), stranger, settings).unwrap();
    let from = Context {
        vault: Some(Arc::new(vault)),
        ..lost.ctx.clone()
    };
    let to = CopyPlace::new("vault", lost.world.store.clone());
    let done = copy::rebuild(&from, "offsite", &[], &to, false).unwrap();
    assert!(!done.is_whole());
    let left: Vec<_> = done.sources[0]
        .left_behind
        .iter()
        .map(|one| one.backup)
        .collect();
    assert_eq!(left, lost.ids);
    assert!(!done.sources[0].left_behind[0].retired);
    let own = lost.ctx.vault().unwrap().writer().unwrap();
    assert_eq!(done.sources[0].left_behind[0].writer, own);
}

#[test]
fn a_record_that_differs_is_settled_by_who_knows() {
    use resguardo_vault::Side;
    let world = World::new();
    let ctx = world.context();
    world.back_up();
    let place = offsite(&world);
    sync(&ctx, &place).unwrap();
    let there = FolderStore::open(world.path("offsite")).unwrap();
    let name = there.list("shop/receipts").unwrap()[0].key.to_string();
    let key = name.parse().unwrap();
    let good = world.store.get(&key).unwrap();
    let refused = |keep, object: &str| {
        let error = copy::settle(&ctx, &place, object, keep).unwrap_err();
        assert_eq!(error.kind(), resguardo_ops::ErrorKind::Refused);
        error.to_string()
    };
    assert!(refused(Side::Vault, &name).contains("the same"));
    assert!(refused(Side::Vault, &world.keys("packs")[0]).contains("no receipt"));
    flip(&there, &key);
    let forged = there.get(&key).unwrap();
    // What is not well signed takes nobody's place.
    assert!(refused(Side::Copy, &name).contains("was left as it is"));
    assert_eq!(world.store.get(&key).unwrap(), good);
    let done = copy::settle(&ctx, &place, &name, Side::Vault).unwrap();
    assert_eq!(there.get(&key).unwrap(), good);
    let replaced = done.replaced.unwrap();
    let sha256 = resguardo_model::Sha256Digest::of(&forged);
    assert_eq!(replaced.sha256, sha256);
    let kept = replaced.objects[0].parse().unwrap();
    assert_eq!(there.get(&kept).unwrap(), forged);
    let receipt = resguardo_ops::receipts::find(&ctx, &done.receipt.unwrap()).unwrap();
    let details = &receipt.statement.predicate.details;
    assert_eq!(details["replaced_objects"][0], replaced.objects[0]);
    assert_eq!(details["replaced_sha256"], sha256.to_string());
    assert_eq!(details["keeps"], "vault");
    // The other way round: the vault's own was lost.
    world.store.delete(&key).unwrap();
    let done = copy::settle(&ctx, &place, &name, Side::Copy).unwrap();
    assert_eq!(done.replaced, None);
    assert_eq!(world.store.get(&key).unwrap(), good);
}
