//! Heads and records of which two copies hold different ones, all well signed: what a rebuild says of them.

use std::sync::Arc;

use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use ed25519_dalek::{Signer as _, SigningKey};
use resguardo_model::receipt::Verb;
use resguardo_model::{BackupId, FindingKind, SourceName};
use resguardo_ops::copy::{self, RebuildDone, Unsettled};
use resguardo_ops::pin::{self, PinRequest};
use resguardo_ops::{Context, Reference, show};
use resguardo_store::{Condition, FolderStore, Key, MemoryStore, Store};
use resguardo_vault::{CopyPlace, Side};

use crate::copy::{offsite, over_copy, sync};
use crate::rebuilt::{lose, prune_to};
use crate::world::World;

fn signing_key(world: &World) -> SigningKey {
    let key: serde_json::Value = serde_json::from_str(&world.write_key).unwrap();
    let secret = key["writer_secret"].as_str().unwrap();
    let secret = HEXLOWER_PERMISSIVE.decode(secret.as_bytes()).unwrap();
    SigningKey::from_bytes(&secret.try_into().unwrap())
}

/// The same of a receipt.
fn receipt_anew(world: &World, envelope: &[u8], from: &str, to: &str) -> Vec<u8> {
    let mut envelope: serde_json::Value = serde_json::from_slice(envelope).unwrap();
    let payload = envelope["payload"].as_str().unwrap().as_bytes();
    let payload = String::from_utf8(BASE64.decode(payload).unwrap()).unwrap();
    assert!(payload.contains(from), "{payload}");
    let payload = payload.replace(from, to);
    let kind = envelope["payloadType"].as_str().unwrap();
    let message = format!("DSSEv1 {} {kind} {} {payload}", kind.len(), payload.len());
    let signature = signing_key(world).sign(message.as_bytes()).to_bytes();
    envelope["payload"] = BASE64.encode(payload.as_bytes()).into();
    envelope["signatures"][0]["sig"] = BASE64.encode(&signature).into();
    serde_json::to_vec(&envelope).unwrap()
}

/// Signs the body of a head or prune record again, with something else in it: what somebody does who stole the key.
fn signed_anew(world: &World, line: &[u8], kind: &str, from: &str, to: &str) -> Vec<u8> {
    let secret = signing_key(world);
    let text = std::str::from_utf8(line).unwrap();
    let body = text.strip_prefix(&format!("{{\"{kind}\":")).unwrap();
    let (body, _) = body.rsplit_once(",\"signature\"").unwrap();
    assert!(body.contains(from), "{body}");
    let body = body.replace(from, to);
    let message = format!("resguardo-{kind}-v1\n{body}");
    let signature = HEXLOWER.encode(&secret.sign(message.as_bytes()).to_bytes());
    format!("{{\"{kind}\":{body},\"signature\":\"{signature}\"}}\n").into_bytes()
}

/// Two copies of one vault that has pruned one of its backups: the first in a folder.
struct Copies {
    world: World,
    ctx: Context,
    there: FolderStore,
    nearby: Arc<MemoryStore>,
    near: CopyPlace,
    newest: BackupId,
}

fn copies() -> Copies {
    let world = World::new();
    let ctx = world.context();
    let mut newest = None;
    for cents in 0..3 {
        world.later(24);
        world.sql(&format!("update orders set cents = {cents} where id = 3"));
        newest = Some(world.back_up().id);
    }
    prune_to(&ctx, None, 2);
    let place = offsite(&world);
    let nearby = Arc::new(MemoryStore::with_clock(world.clock.clone()));
    let near = CopyPlace::new("near", nearby.clone());
    sync(&ctx, &place).unwrap();
    sync(&ctx, &near).unwrap();
    let there = FolderStore::open(world.path("offsite")).unwrap();
    Copies {
        newest: newest.unwrap(),
        world,
        ctx,
        there,
        nearby,
        near,
    }
}

impl Copies {
    fn sign_anew(&self, key: &Key, kind: &str, from: &str, to: &str) {
        let line = self.nearby.get(key).unwrap();
        let other = signed_anew(&self.world, &line, kind, from, to);
        self.nearby
            .put(key, other.into(), Condition::Always)
            .unwrap();
    }

    fn rebuild(&self) -> RebuildDone {
        lose(&self.world);
        let to = CopyPlace::new("vault", self.world.store.clone());
        let from = over_copy(&self.world, &self.ctx);
        let others = std::slice::from_ref(&self.near);
        copy::rebuild(&from, "offsite", others, &to, false).unwrap()
    }
}

fn only(done: &RebuildDone) -> &Unsettled {
    assert!(!done.is_whole());
    let [one] = &done.sources[0].unsettled[..] else {
        panic!("{:?}", done.sources[0].unsettled)
    };
    one
}

#[test]
fn a_head_that_two_copies_hold_differently_is_not_chosen_in_silence() {
    let copies = copies();
    let head: Key = format!("shop/snapshots/{}.head.json", copies.newest)
        .parse()
        .unwrap();
    copies.sign_anew(
        &head,
        "head",
        "\"reason\":\"manual\"",
        "\"reason\":\"drilled\"",
    );
    let done = copies.rebuild();
    let one = only(&done);
    assert_eq!(one.finding.kind, FindingKind::HeadChanged);
    assert_eq!(one.finding.object, head.to_string());
    assert!(
        one.next.contains("resguardo show ID --from"),
        "{}",
        one.next
    );
    // That of the copy that was asked first stands; the other copy keeps its own.
    let stands = copies.world.store.get(&head).unwrap();
    assert_eq!(stands, copies.there.get(&head).unwrap());
    assert_ne!(stands, copies.nearby.get(&head).unwrap());
}

#[test]
fn a_record_that_two_copies_hold_differently_is_settled_by_the_command_that_is_named() {
    let copies = copies();
    let record = copies.nearby.list("shop/prunes").unwrap()[0].key.clone();
    copies.sign_anew(&record, "prune", "\"made_at\":\"2026", "\"made_at\":\"2025");
    let done = copies.rebuild();
    let one = only(&done);
    assert_eq!(one.finding.kind, FindingKind::RecordDiffers);
    let command = format!("resguardo copy settle near {record} --keep vault");
    assert!(one.next.contains(&command), "{}", one.next);
    let ctx = copies.world.context();
    let other = copies.nearby.get(&record).unwrap();
    let settled = copy::settle(&ctx, &copies.near, record.as_str(), Side::Vault).unwrap();
    let kept: Key = settled.replaced.unwrap().objects[0].parse().unwrap();
    assert_eq!(copies.nearby.get(&kept).unwrap(), other);
    let done = copies.rebuild();
    assert!(done.is_whole(), "{done:?}");
}

#[test]
fn a_receipt_that_the_copys_took_the_place_of_is_not_remembered() {
    let copies = copies();
    let (ctx, world) = (&copies.ctx, &copies.world);
    let newest = copies.newest.to_string().parse().unwrap();
    let shown = || {
        let receipts = show::show(ctx, &newest).unwrap().receipts;
        let mut of_backup = receipts.into_iter().filter(|one| one.verb == Verb::Backup);
        of_backup.next().unwrap()
    };
    let before = shown();
    assert_eq!(before.outcome, "succeeded");
    let receipt: Key = before.key.parse().unwrap();
    let line = copies.nearby.get(&receipt).unwrap();
    let other = receipt_anew(world, &line, "\"succeeded\"", "\"failed\"");
    copies
        .nearby
        .put(&receipt, other.into(), Condition::Always)
        .unwrap();
    copy::settle(ctx, &copies.near, receipt.as_str(), Side::Copy).unwrap();
    assert_eq!(shown().outcome, "failed");
}

#[test]
fn the_later_of_two_pins_stands_and_the_older_one_is_no_dispute() {
    let copies = copies();
    let source: SourceName = "shop".parse().unwrap();
    let reference = copies.newest.to_string().parse::<Reference>().unwrap();
    let pinned = |reason: &str, places: &[CopyPlace]| {
        copies.world.later(1);
        let request = PinRequest {
            backup: &reference,
            reason,
            until: None,
            copies: places,
        };
        pin::pin(&copies.ctx, &request).unwrap();
    };
    pinned("audit", std::slice::from_ref(&copies.near));
    // This copy cannot be reached when the pin is made anew.
    pinned("court", &[offsite(&copies.world)]);
    let done = copies.rebuild();
    assert!(done.is_whole(), "{done:?}");
    let pins = copies
        .world
        .context()
        .vault()
        .unwrap()
        .pins(Some(&source))
        .unwrap();
    assert_eq!(pins.pins[0].reason, "court");
}
