//! Naming backups.

use jiff::SignedDuration;
use resguardo_engine::port::{Location, RestoreOptions};
use resguardo_model::{Clock as _, EngineKind};
use resguardo_ops::refer::resolve;
use resguardo_ops::restore::{Hooks, RestoreRequest, restore};
use resguardo_ops::{Context, ErrorKind, OpsError, Origin, Reference, list};
use resguardo_store::{Condition, Store as _};

use crate::world::{Watcher, World, latest, run_drill, take};

fn named(ctx: &Context, text: &str) -> Result<String, OpsError> {
    let reference: Reference = text.parse()?;
    resolve(ctx, &reference).map(|stored| stored.head.backup.to_string())
}

#[test]
fn each_way_to_name_a_backup() {
    let world = World::new();
    let ctx = world.context();
    assert!(
        named(&ctx, "latest")
            .unwrap_err()
            .to_string()
            .contains("no backup yet")
    );
    let mut ids = Vec::new();
    // 02:00, 14:00, and 02:00 of the next day.
    for _ in 0..3 {
        ids.push(world.back_up_in(&ctx).id.to_string());
        world.later(12);
    }
    for (text, id) in [
        ("latest", &ids[2]),
        ("shop", &ids[2]),
        ("shop:latest", &ids[2]),
        ("shop@2026-11-22", &ids[1]),
        ("shop@2026-11-23", &ids[2]),
        ("shop@2026-11-22T13:59", &ids[0]),
        ("shop@2026-11-22T14:00", &ids[1]),
        ("shop@2026-11-22T09:00:00-05:00", &ids[1]),
        ("shop@2026-11-22T14:00Z", &ids[1]),
        (&ids[0][..], &ids[0]),
        (&ids[1][..14], &ids[1]),
    ] {
        assert_eq!(&named(&ctx, text).unwrap(), id, "{text}");
    }
    let mut bogota = ctx.clone();
    bogota.zone = jiff::tz::TimeZone::get("America/Bogota").unwrap();
    assert_eq!(
        named(&bogota, "shop@2026-11-21").unwrap(),
        ids[0],
        "21:00 there"
    );
}

#[test]
fn what_cannot_be_named_says_what_there_is() {
    let world = World::new();
    let ctx = world.context();
    let first = world.back_up_in(&ctx).id.to_string();
    let mut other = world.shop();
    other.name = "crm".parse().unwrap();
    take(&ctx, &other).unwrap();
    for (text, kind, says) in [
        ("latest", ErrorKind::User, "crm:latest, shop:latest"),
        ("shop@2026-11-01", ErrorKind::User, first.as_str()),
        ("stock:latest", ErrorKind::User, "backups of crm, shop"),
        ("zzzz", ErrorKind::User, "backups of crm, shop"),
        // Both were taken in the same moment, so their ids begin alike.
        (&first[..8], ErrorKind::User, "could be any of"),
        (&first[..3], ErrorKind::User, "there is no backup"),
        ("shop@yesterday", ErrorKind::Usage, "yesterday"),
        ("shop:oldest", ErrorKind::Usage, "oldest"),
        ("Shop!", ErrorKind::Usage, "Shop!"),
        ("", ErrorKind::Usage, "names no backup"),
    ] {
        let error = named(&ctx, text).unwrap_err();
        assert_eq!(error.kind(), kind, "{text}: {error}");
        assert!(error.to_string().contains(says), "{text}: {error}");
        assert!(error.hint().is_some(), "{text}");
    }
}

#[test]
fn a_stranger_s_backup_is_never_the_newest_and_is_refused_by_its_id() {
    let world = World::new();
    let ctx = world.context();
    let mut theirs = world.context();
    theirs.vault = Some(std::sync::Arc::new(world.vault_of_a_stranger()));
    let forged = world.back_up_in(&theirs).id.to_string();
    let error = named(&ctx, "shop").unwrap_err();
    assert!(error.to_string().contains("trusted"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Refused);
    let hint = error.hint().unwrap();
    assert!(
        hint.contains("init --trust ed25519:") && hint.contains("recovery kit"),
        "{hint}"
    );
    world.later(1);
    let ours = world.back_up_in(&ctx).id.to_string();
    world.later(1);
    world.back_up_in(&theirs);
    assert_eq!(named(&ctx, "latest").unwrap(), ours);

    let location = Location::new(world.path("restored.sqlite").to_str().unwrap());
    let request = RestoreRequest {
        origin: Origin::Backup(forged.parse().unwrap()),
        sources: &[],
        to: location,
        engine: EngineKind::Sqlite,
        options: RestoreOptions::default(),
        confirmation: None,
        safety_backup: true,
        hooks: Hooks::default(),
    };
    let error = restore(&ctx, &request).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert!(error.hint().unwrap().contains("--trust"));

    // A stranger's drill proves nothing here.
    let theirs_newest = list::list(&theirs, None).unwrap().backups.pop().unwrap();
    run_drill(&theirs, &world.shop()).unwrap();
    let of = |ctx: &Context| {
        let mut backups = list::list(ctx, None).unwrap().backups;
        backups.retain(|backup| backup.id == theirs_newest.id);
        backups[0].proven_at
    };
    assert!(of(&theirs).is_some());
    assert!(of(&ctx).is_none());
}

#[test]
fn a_minute_without_seconds_is_meant_to_its_end() {
    let world = World::new();
    let ctx = world.context();
    let first = world.back_up_in(&ctx).id.to_string();
    world.clock.advance(SignedDuration::from_secs(2 * 60 + 30));
    let second = world.back_up_in(&ctx).id.to_string();
    for (text, id) in [
        ("shop@2026-11-22T02:02", &second),
        ("shop@2026-11-22 02:02", &second),
        ("shop@2026-11-22T02:02Z", &second),
        ("shop@2026-11-22T02:02:29", &first),
        ("shop@2026-11-22T02:02:30", &second),
        ("shop@2026-11-22T02:02:29Z", &first),
        ("shop@2026-11-22T02:01", &first),
    ] {
        assert_eq!(&named(&ctx, text).unwrap(), id, "{text}");
    }
}

#[test]
fn the_newest_is_the_last_that_was_signed_whatever_the_clock_said() {
    let world = World::new();
    let ctx = world.context();
    world.back_up_in(&ctx);
    world.later(30 * 24);
    let ahead = world.back_up_in(&ctx).id.to_string();
    world.later(-30 * 24 + 1);
    let last = world.back_up_in(&ctx).id.to_string();
    for text in ["latest", "shop", "shop:latest", "shop@2026-11-22"] {
        assert_eq!(named(&ctx, text).unwrap(), last, "{text}");
    }
    assert_eq!(named(&ctx, "shop@2026-12-31").unwrap(), ahead);
}

/// What whoever watches is told before a restore and a drill of `shop:latest`.
fn told(world: &World) -> (Vec<String>, Vec<String>) {
    let mut ctx = world.context();
    let watcher = Watcher::new(|_| {});
    ctx.progress = watcher.clone();
    run_drill(&ctx, &world.shop()).unwrap();
    let of_drill = watcher.notes();
    let watcher = Watcher::new(|_| {});
    ctx.progress = watcher.clone();
    let to = world
        .folder
        .path()
        .join(format!("{}.sqlite", world.clock.now()));
    let request = RestoreRequest {
        origin: latest(),
        sources: &[],
        to: Location::new(to.to_str().unwrap()),
        engine: EngineKind::Sqlite,
        options: RestoreOptions::default(),
        confirmation: None,
        safety_backup: true,
        hooks: Hooks::default(),
    };
    restore(&ctx, &request).unwrap();
    (of_drill, watcher.notes())
}

#[test]
fn a_newest_backup_that_is_forged_or_gone_is_told_before_an_older_one_is_taken() {
    let world = World::new();
    let first = world.back_up();
    let (drill, restore) = told(&world);
    assert_eq!(
        (drill.len(), restore.len()),
        (0, 0),
        "{drill:?} {restore:?}"
    );
    world.later(1);
    let second = world.back_up();
    let id = second.id.to_string();
    let key = world
        .keys(".head.json")
        .into_iter()
        .find(|key| key.contains(&id));
    let key = key.unwrap().parse().unwrap();
    let head = world.store.get(&key).unwrap();
    let forged = String::from_utf8(head.to_vec())
        .unwrap()
        .replace("\"reason\":\"manual\"", "\"reason\":\"deploy\"");
    assert_ne!(forged.as_bytes(), &head[..]);
    let put = |bytes: Vec<u8>| {
        let bytes = bytes::Bytes::from(bytes);
        world.store.put(&key, bytes, Condition::Always).unwrap();
    };
    put(forged.into_bytes());
    // A host that has not seen the good one: its catalog is empty.
    let mut world = world;
    for damage in ["signature", "rolled back"] {
        world.catalog = resguardo_ops::catalog::Catalog::in_memory().unwrap();
        if damage == "rolled back" {
            world.store.delete(&key).unwrap();
        }
        world.later(1);
        let (drill, restore) = told(&world);
        for notes in [drill, restore] {
            let all = notes.join("\n");
            assert!(all.contains(&id) && all.contains(damage), "{all}");
            assert!(all.contains(&first.id.to_string()), "{all}");
            assert!(all.contains("may not be the newest"), "{all}");
        }
    }
}
