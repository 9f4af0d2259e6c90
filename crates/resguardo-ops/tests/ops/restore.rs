//! The safety of restores: nothing is lost by accident, and the message says how the target stands.

use std::path::Path;

use bytes::Bytes;
use jiff::SignedDuration;
use resguardo_engine::port::{Location, RestoreOptions, TargetState};
use resguardo_model::EngineKind;
use resguardo_model::receipt::Verb;
use resguardo_ops::restore::{self, Hooks, RestoreDone, RestoreRequest, beside};
use resguardo_ops::{Context, ErrorKind, OpsError, Origin, SourceSpec, backup, list, receipts};
use resguardo_store::{Condition, Store};
use rusqlite::Connection;

use crate::world::{ORDERS, Watcher, World, latest, take};

struct Try<'a> {
    clean: bool,
    name: Option<&'a str>,
    safety: bool,
}

const PLAIN: Try<'_> = Try {
    clean: false,
    name: None,
    safety: true,
};

fn request<'a>(sources: &'a [SourceSpec], to: &Path, how: &Try<'_>) -> RestoreRequest<'a> {
    RestoreRequest {
        origin: latest(),
        sources,
        to: Location::new(to.to_str().unwrap()),
        engine: EngineKind::Sqlite,
        options: RestoreOptions {
            clean: how.clean,
            ..RestoreOptions::default()
        },
        confirmation: how.name.map(ToOwned::to_owned),
        safety_backup: how.safety,
        hooks: Hooks::default(),
    }
}

fn bring_back(
    ctx: &Context,
    world: &World,
    to: &Path,
    how: &Try<'_>,
) -> Result<RestoreDone, OpsError> {
    restore::restore(ctx, &request(&[world.shop()], to, how))
}

fn orders(path: &Path) -> u64 {
    let opened = Connection::open(path).unwrap();
    let count: i64 = opened
        .query_row("select count(*) from orders", [], |row| row.get(0))
        .unwrap();
    count.try_into().unwrap()
}

#[test]
fn what_comes_back_is_byte_identical() {
    let world = World::new();
    let taken = world.back_up();
    let before = std::fs::read(world.database()).unwrap();
    let ctx = world.context();
    let to = world.path("restored.sqlite");
    let done = bring_back(&ctx, &world, &to, &PLAIN).unwrap();
    assert_eq!(std::fs::read(&to).unwrap(), before);
    assert_eq!(
        (done.backup, done.bytes),
        (Some(taken.id), before.len() as u64)
    );
    assert!(done.safety_backup.is_none());
    let receipt = receipts::find(&ctx, &done.run.to_string()).unwrap();
    assert_eq!(receipt.statement.predicate.outcome, "succeeded");
    let digest = resguardo_model::Sha256Digest::of(&before).to_string();
    let subjects = &receipt.statement.subject;
    assert!(
        subjects
            .iter()
            .any(|subject| subject.digest["sha256"] == digest)
    );
}

#[test]
fn beside_its_source_a_backup_comes_back_over_nothing() {
    let world = World::new();
    let taken = world.back_up();
    let ctx = world.context();
    let restore = |name: &str| beside::restore_beside(&ctx, &world.shop(), taken.id, name);
    let done = restore("shop-2026.db").unwrap();
    let folder = world.database().parent().unwrap().to_owned();
    assert_eq!(orders(&folder.join("shop-2026.db")), ORDERS);
    assert_eq!((done.backup, done.safety_backup), (Some(taken.id), None));
    // What is there stays: another restore, the source itself, a file without anything in it.
    std::fs::write(folder.join("empty.db"), "").unwrap();
    let source = world.database();
    let own = source.file_name().unwrap().to_str().unwrap();
    for name in ["shop-2026.db", own, "empty.db"] {
        let before = std::fs::read(folder.join(name)).unwrap();
        let error = restore(name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{name}: {error}");
        assert!(error.to_string().contains("is there already"), "{error}");
        assert_eq!(std::fs::read(folder.join(name)).unwrap(), before);
    }
}

#[test]
fn an_occupied_target_is_refused_until_its_name_is_typed() {
    let world = World::new();
    world.back_up();
    let ctx = world.context();
    let to = world.path("other.sqlite");
    Connection::open(&to)
        .unwrap()
        .execute_batch("create table a (x); insert into a values (1)")
        .unwrap();
    let before = std::fs::read(&to).unwrap();
    for how in [
        PLAIN,
        Try {
            clean: true,
            ..PLAIN
        },
        Try {
            clean: true,
            name: Some("shop.sqlite"),
            ..PLAIN
        },
        Try {
            clean: false,
            name: Some("other.sqlite"),
            ..PLAIN
        },
    ] {
        let error = bring_back(&ctx, &world, &to, &how).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        assert!(error.to_string().contains("1 table"), "{error}");
        assert!(
            error
                .hint()
                .unwrap()
                .contains("--yes-overwrite other.sqlite")
        );
        assert_eq!(std::fs::read(&to).unwrap(), before);
    }
    let how = Try {
        clean: true,
        name: Some("other.sqlite"),
        ..PLAIN
    };
    let done = bring_back(&ctx, &world, &to, &how).unwrap();
    assert_eq!(orders(&to), ORDERS);
    let safety = done.safety_backup.unwrap();
    assert_eq!((safety.reason.as_str(), safety.tables), ("safety", 1));
    assert_eq!(list::list(&ctx, None).unwrap().backups.len(), 2);

    // The safety backup is no newest one, and comes back by its id.
    let again = world.path("again.sqlite");
    bring_back(&ctx, &world, &again, &PLAIN).unwrap();
    assert_eq!(orders(&again), ORDERS);
    let sources = [world.shop()];
    let old = world.path("old.sqlite");
    let mut by_id = request(&sources, &old, &PLAIN);
    by_id.origin = Origin::Backup(safety.id.to_string().parse().unwrap());
    restore::restore(&ctx, &by_id).unwrap();
    let opened = Connection::open(&old).unwrap();
    assert_eq!(
        opened.query_row("select x from a", [], |row| row.get(0)),
        Ok(1)
    );
}

#[test]
fn the_source_itself_is_named_as_such_and_comes_back_after_a_disaster() {
    let world = World::new();
    world.back_up();
    world.later(1);
    world.sql("delete from orders");
    let ctx = world.context();
    let to = world.database();
    let error = bring_back(&ctx, &world, &to, &PLAIN).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(
        error.to_string().contains("is the source shop itself"),
        "{error}"
    );
    let location = Location::new(to.to_str().unwrap());
    let seen = restore::inspect(&ctx, EngineKind::Sqlite, &location, &[world.shop()]).unwrap();
    assert_eq!(seen.is_source, Some("shop".parse().unwrap()));
    assert!(matches!(seen.state, TargetState::Occupied { .. }));

    let how = Try {
        clean: true,
        name: Some("shop.sqlite"),
        ..PLAIN
    };
    let done = bring_back(&ctx, &world, &to, &how).unwrap();
    assert_eq!(orders(&to), ORDERS);
    assert!(done.safety_backup.is_some());
}

#[test]
fn without_a_safety_backup_nothing_is_touched_unless_it_is_given_up() {
    let world = World::new();
    world.back_up();
    let mut ctx = world.context();
    let vault = world.vault_with(false, Some(&world.identity));
    ctx.vault = Some(std::sync::Arc::new(vault));
    let to = world.path("other.sqlite");
    Connection::open(&to)
        .unwrap()
        .execute_batch("create table a (x); insert into a values (1)")
        .unwrap();
    let before = std::fs::read(&to).unwrap();
    let how = Try {
        clean: true,
        name: Some("other.sqlite"),
        ..PLAIN
    };
    let error = bring_back(&ctx, &world, &to, &how).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert!(error.hint().unwrap().contains("--no-safety-backup"));
    assert_eq!(std::fs::read(&to).unwrap(), before);

    let how = Try {
        safety: false,
        ..how
    };
    let done = bring_back(&ctx, &world, &to, &how).unwrap();
    assert!(done.safety_backup.is_none() && done.receipt.is_none());
    assert!(
        done.notes.iter().any(|note| note.contains("no receipt")),
        "{:?}",
        done.notes
    );
}

#[test]
fn a_damaged_backup_does_not_touch_the_target() {
    let world = World::new();
    world.back_up();
    let key = world.keys("/packs/")[0].parse().unwrap();
    let mut pack = world.store.get(&key).unwrap().to_vec();
    let middle = pack.len() / 2;
    pack[middle] ^= 1;
    world
        .store
        .put(&key, Bytes::from(pack), Condition::Always)
        .unwrap();
    let ctx = world.context();

    let to = world.path("new.sqlite");
    let error = bring_back(&ctx, &world, &to, &PLAIN).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Findings, "{error}");
    assert!(
        error.to_string().contains("nothing was made there"),
        "{error}"
    );
    assert!(!to.exists());

    let occupied = world.path("other.sqlite");
    Connection::open(&occupied)
        .unwrap()
        .execute_batch("create table a (x); insert into a values (1)")
        .unwrap();
    let before = std::fs::read(&occupied).unwrap();
    let how = Try {
        clean: true,
        name: Some("other.sqlite"),
        ..PLAIN
    };
    let error = bring_back(&ctx, &world, &occupied, &how).unwrap_err();
    let words = error.to_string();
    assert!(
        words.contains("as it was before") && words.contains("safety backup is"),
        "{words}"
    );
    assert_eq!(std::fs::read(&occupied).unwrap(), before);
    let receipt = receipts::find(&ctx, "latest").unwrap();
    assert_eq!(receipt.statement.predicate.outcome, "failed");
}

#[test]
fn a_file_comes_back_and_one_with_another_hash_does_not() {
    let world = World::new();
    let ctx = world.context();
    let out = world.path("shop.sqlite.gz");
    let exported = backup::export(&ctx, &world.shop(), &out).unwrap();
    let sources = [world.shop()];
    let to = world.path("from-file.sqlite");
    let mut from_file = request(&sources, &to, &PLAIN);
    from_file.origin = Origin::File {
        path: exported.paths[0].clone(),
        source: None,
    };
    let done = restore::restore(&ctx, &from_file).unwrap();
    assert_eq!(orders(&to), ORDERS);
    assert!(done.source.is_none() && done.receipt.is_none());

    let occupied = restore::restore(
        &ctx,
        &RestoreRequest {
            options: RestoreOptions {
                clean: true,
                ..RestoreOptions::default()
            },
            confirmation: Some("from-file.sqlite".to_owned()),
            ..from_file.clone()
        },
    );
    let error = occupied.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Refused,
        "its safety backup belongs nowhere"
    );

    let mut bytes = std::fs::read(&exported.paths[0]).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&exported.paths[0], bytes).unwrap();
    let other = world.path("other.sqlite");
    from_file.to = Location::new(other.to_str().unwrap());
    let error = restore::restore(&ctx, &from_file).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Findings, "{error}");
    assert!(!other.exists());

    from_file.origin = Origin::File {
        path: world.path("none.gz"),
        source: None,
    };
    assert_eq!(
        restore::restore(&ctx, &from_file).unwrap_err().kind(),
        ErrorKind::User
    );
}

#[test]
fn single_tables_come_back() {
    let world = World::new();
    world.back_up();
    let ctx = world.context();
    let sources = [world.shop()];
    let to = world.path("customers.sqlite");
    let mut some = request(&sources, &to, &PLAIN);
    some.options.only = vec!["customer".to_owned()];
    let done = restore::restore(&ctx, &some).unwrap();
    assert_eq!(done.tables, 1);
    some.options.only = vec!["invoice".to_owned()];
    some.to = Location::new(world.path("none.sqlite").to_str().unwrap());
    let error = restore::restore(&ctx, &some).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::User, "{error}");
}

#[test]
fn the_chain_of_receipts_runs_on_through_a_safety_backup() {
    let world = World::new();
    world.back_up();
    let mut ctx = world.context();
    // The restore begins before its safety backup and ends after it, so its receipt has the older name.
    let clock = world.clock.clone();
    ctx.progress = Watcher::new(move |_| clock.advance(SignedDuration::from_secs(1)));
    let how = Try {
        clean: true,
        name: Some("shop.sqlite"),
        ..PLAIN
    };
    bring_back(&ctx, &world, &world.database(), &how).unwrap();
    take(&ctx, &world.shop()).unwrap();
    let listed = receipts::list(&ctx, None).unwrap();
    let sequences: Vec<_> = listed.receipts.iter().map(|one| one.sequence).collect();
    assert_eq!(sequences, [1, 2, 3, 4]);
    assert!(listed.findings.is_empty());
    let restored = listed
        .receipts
        .iter()
        .find(|one| one.verb == Verb::Restore)
        .unwrap();
    assert_eq!(restored.sequence, 3);
    Store::delete(&*world.store, &restored.key.parse().unwrap()).unwrap();
    assert_eq!(
        receipts::list(&ctx, None).unwrap().findings.len(),
        1,
        "it leaves a hole"
    );
}

#[test]
fn a_place_that_cannot_be_restored_to_has_a_hint_that_helps() {
    let world = World::new();
    world.back_up();
    let ctx = world.context();
    for (to, kind, words) in [
        ("nodir/new.db", ErrorKind::Unreachable, "--create"),
        ("scratch", ErrorKind::User, "--to"),
    ] {
        let error = bring_back(&ctx, &world, &world.path(to), &PLAIN).unwrap_err();
        assert_eq!(error.kind(), kind, "{to}: {error}");
        let hint = error.hint().unwrap();
        assert!(hint.contains(words), "{to}: {hint}");
    }
}

#[test]
fn a_lock_on_the_source_is_waited_for_as_long_as_the_source_says() {
    let world = World::new();
    world.back_up();
    let ctx = world.context();
    let holder = Connection::open(world.database()).unwrap();
    holder.execute_batch("begin immediate").unwrap();
    let mut shop = world.shop();
    shop.lock_timeout = std::time::Duration::from_millis(100);
    let sources = [shop];
    let how = Try {
        clean: true,
        name: Some("shop.sqlite"),
        safety: false,
    };
    let to = world.database();
    let error = restore::restore(&ctx, &request(&sources, &to, &how)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
    let hint = error.hint().unwrap();
    assert!(hint.contains("lock_timeout of the source shop"), "{hint}");
    let cause = in_full(&error);
    assert!(cause.contains("waited 0.1 s"), "{cause}");
    drop(holder);
    assert_eq!(orders(&to), ORDERS);
}

/// An error with its causes.
fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
