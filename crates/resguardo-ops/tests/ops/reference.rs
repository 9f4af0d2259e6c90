//! Naming backups.

use resguardo_engine::port::Location;
use resguardo_ops::refer::resolve;
use resguardo_ops::restore::{RestoreRequest, restore};
use resguardo_ops::{Context, ErrorKind, OpsError, Origin, Reference, list};

use crate::world::{World, run_drill, take};

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
        clean: false,
        confirmation: None,
        safety_backup: true,
        only: Vec::new(),
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
