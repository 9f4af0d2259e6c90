//! How a source stands by what lies in the vault, and what becomes of what is wrong.

use std::sync::Arc;

use resguardo_model::receipt::Verb;
use resguardo_model::{Concern, ExceptionKind, Standing};
use resguardo_ops::catalog::{self, Catalog};
use resguardo_ops::exception::{self, Changed, Exception};
use resguardo_ops::status::{self, SourceStatus, Status, Watched};
use resguardo_ops::{Context, ErrorKind, receipts};
use resguardo_store::wrap::{Fault, Faulty, Operation, Rule};

use crate::world::{World, command_check, equals, run_drill, sql_check, watched};

fn look(ctx: &Context) -> Status {
    status::look(ctx, &[watched()]).unwrap()
}

fn shop(ctx: &Context) -> SourceStatus {
    look(ctx).sources.remove(0)
}

/// Looks and assesses; what changed.
fn assess(ctx: &Context) -> Vec<(ExceptionKind, Changed)> {
    let changes = exception::assess(ctx, &look(ctx)).unwrap();
    changes
        .iter()
        .map(|change| (change.exception.kind, change.what))
        .collect()
}

fn told(exceptions: &[Exception]) -> Vec<(ExceptionKind, bool)> {
    exceptions
        .iter()
        .map(|one| (one.kind, one.receipt.is_some()))
        .collect()
}

#[test]
fn a_source_stands_by_what_was_proven() {
    let world = World::new();
    let ctx = world.context();
    let nothing = shop(&ctx);
    assert_eq!(nothing.standing, Standing::Breached);
    assert_eq!(nothing.backups, 0);
    let backup = world.back_up_in(&ctx);
    let backed_up = shop(&ctx);
    assert_eq!(backed_up.standing, Standing::NeverProven);
    assert_eq!(backed_up.concerns, [Concern::NeverProven]);
    assert_eq!(backed_up.last_backup.as_ref().unwrap().id, backup.id);
    assert_eq!(backed_up.last_run.as_ref().unwrap().verb, Verb::Backup);
    assert!(backed_up.stored_bytes > 0);
    world.later(1);
    let done = run_drill(&ctx, &world.shop()).unwrap();
    let proven = shop(&ctx);
    assert_eq!(proven.standing, Standing::Ok);
    assert_eq!(proven.concerns, []);
    let proof = proven.proven.unwrap();
    assert_eq!(proof.backup, backup.id);
    assert_eq!(proof.backup_taken_at, Some(backup.taken_at));
    assert_eq!(proof.rto_seconds, done.rto_seconds);
    assert_eq!(Some(proof.receipt), done.receipt);
    assert_eq!(proven.rpo.seconds, Some(3600.0));
    world.later(30);
    assert_eq!(shop(&ctx).concerns, [Concern::RpoPassed]);
}

#[test]
fn what_strangers_sign_counts_for_nothing() {
    let world = World::new();
    let stranger = Context {
        vault: Some(Arc::new(world.vault_of_a_stranger())),
        ..world.context()
    };
    world.back_up_in(&stranger);
    run_drill(&stranger, &world.shop()).unwrap();
    let ctx = Context {
        catalog: Catalog::in_memory().unwrap(),
        ..world.context()
    };
    let status = shop(&ctx);
    assert_eq!((status.backups, status.untrusted), (0, 1));
    assert_eq!(status.proven, None);
    assert_eq!(status.standing, Standing::Breached);
}

#[test]
fn an_exception_is_opened_signed_resolved_and_signed() {
    let world = World::new();
    let ctx = world.context();
    world.back_up_in(&ctx);
    run_drill(&ctx, &world.shop()).unwrap();
    assert_eq!(assess(&ctx), []);
    world.later(30);
    let rpo = ExceptionKind::RpoBreached;
    assert_eq!(assess(&ctx), [(rpo, Changed::Opened)]);
    assert_eq!(assess(&ctx), []);
    let open = exception::open(&ctx).unwrap();
    assert_eq!(told(&open), [(rpo, true)]);
    assert_eq!(shop(&ctx).exceptions, 1);
    world.back_up_in(&ctx);
    assert_eq!(assess(&ctx), [(rpo, Changed::Good)]);
    assert_eq!(assess(&ctx), []);
    assert_eq!(exception::open(&ctx).unwrap().len(), 1, "it stays open");

    let id = open[0].id.to_string();
    let done = exception::resolve(&ctx, &id[..12], " the disk was full \n").unwrap();
    assert!(!done.was_resolved);
    let resolved = done.exception.resolved.unwrap();
    assert_eq!(
        (resolved.note.as_str(), resolved.by.as_str()),
        ("the disk was full", "ana")
    );
    assert_eq!(exception::open(&ctx).unwrap(), []);
    assert_eq!(assess(&ctx), []);
    // Resolved again, nothing changes.
    let again = exception::resolve(&ctx, &id, "another note").unwrap();
    assert!(again.was_resolved);
    assert_eq!(again.exception.resolved.unwrap().note, "the disk was full");

    let listed = receipts::list(&ctx, None).unwrap();
    assert_eq!(listed.findings, []);
    let signed: Vec<_> = listed
        .receipts
        .iter()
        .filter(|receipt| receipt.verb == Verb::Exception)
        .map(|receipt| (receipt.outcome.as_str(), receipt.trusted))
        .collect();
    assert_eq!(signed, [("opened", true), ("resolved", true)]);
    assert_eq!(
        resolved.receipt.as_deref(),
        Some(&*listed.receipts.last().unwrap().key)
    );
    // It is no run.
    let runs = ctx.catalog.runs(50).unwrap();
    assert!(runs.iter().all(|run| run.verb != Verb::Exception));

    world.later(30);
    assert_eq!(assess(&ctx), [(rpo, Changed::Opened)]);
    assert_ne!(exception::open(&ctx).unwrap()[0].id, open[0].id);
}

#[test]
fn a_run_that_is_tried_again_opens_nothing_until_it_is_given_up() {
    let world = World::new();
    let ctx = world.context();
    world.back_up_in(&ctx);
    run_drill(&ctx, &world.shop()).unwrap();
    world.later(1);
    let assess = |since: Option<jiff::Timestamp>| {
        let retried = since.map(|since| (Verb::Prune, since));
        let watched = Watched {
            retried: retried.into_iter().collect(),
            ..watched()
        };
        let status = status::look(&ctx, &[watched]).unwrap();
        let changes = exception::assess(&ctx, &status).unwrap();
        changes.iter().map(|one| one.what).collect::<Vec<_>>()
    };
    let fails = || {
        let shop = "shop".parse().unwrap();
        resguardo_ops::failed_to_begin(&ctx, Verb::Prune, &shop, "no route to host").unwrap();
    };
    let since = ctx.clock.now();
    fails();
    assert_eq!(assess(Some(since)), []);
    assert_eq!(assess(None), [Changed::Opened]);
    // The next time has come: while it is tried, nothing is good, and nothing is new.
    world.later(1);
    let since = ctx.clock.now();
    fails();
    assert_eq!(assess(Some(since)), []);
    assert_eq!(assess(None), []);
    let [open] = &exception::open(&ctx).unwrap()[..] else {
        panic!("there is one")
    };
    assert_eq!((open.times, open.good_at), (2, None));
}

#[test]
fn exceptions_survive_the_loss_of_the_catalog() {
    let world = World::new();
    let ctx = world.context();
    world.back_up_in(&ctx);
    let mut spec = world.shop();
    spec.checks.push(command_check("app", "exit 3"));
    run_drill(&ctx, &spec).unwrap();
    world.later(30);
    assert_eq!(assess(&ctx).len(), 2);
    let before = exception::open(&ctx).unwrap();
    let resolved = exception::resolve(&ctx, &before[0].id.to_string(), "seen")
        .unwrap()
        .exception;

    for rebuilds in [false, true] {
        let ctx = Context {
            catalog: Catalog::in_memory().unwrap(),
            ..ctx.clone()
        };
        if rebuilds {
            catalog::rebuild(&ctx).unwrap();
        }
        look(&ctx);
        let all = exception::all(&ctx, 10).unwrap();
        assert_eq!(all.len(), 2);
        let again = all.iter().find(|one| one.id == resolved.id).unwrap();
        assert_eq!(again.resolved, resolved.resolved);
        assert_eq!(again.what, resolved.what);
        assert_eq!(assess(&ctx), [], "what is known is not opened again");
        let runs = ctx.catalog.runs(50).unwrap();
        assert!(runs.iter().all(|run| run.verb != Verb::Exception));
    }
}

#[test]
fn two_who_look_at_once_open_one() {
    let world = World::new();
    let path = world.path("catalog.db");
    let contexts: Vec<Context> = (0..4)
        .map(|_| Context {
            catalog: Catalog::open(&path).unwrap(),
            ..world.context()
        })
        .collect();
    world.back_up_in(&contexts[0]);
    run_drill(&contexts[0], &world.shop()).unwrap();
    world.later(30);
    let opened: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = contexts
            .iter()
            .map(|ctx| scope.spawn(|| assess(ctx).len()))
            .collect();
        threads.into_iter().map(|one| one.join().unwrap()).sum()
    });
    assert_eq!(opened, 1);
    let signed = receipts::list(&contexts[0], None).unwrap();
    assert_eq!(signed.findings, []);
    let of_exceptions = signed.receipts.iter();
    let of_exceptions = of_exceptions.filter(|receipt| receipt.verb == Verb::Exception);
    assert_eq!(of_exceptions.count(), 1);
}

#[test]
fn what_two_machines_opened_is_resolved_together() {
    let world = World::new();
    let here = world.context();
    world.back_up_in(&here);
    run_drill(&here, &world.shop()).unwrap();
    let there = Context {
        catalog: Catalog::in_memory().unwrap(),
        ..here.clone()
    };
    world.later(30);
    // Neither has seen what the other wrote.
    let (seen_here, seen_there) = (look(&here), look(&there));
    assert_eq!(exception::assess(&here, &seen_here).unwrap().len(), 1);
    assert_eq!(exception::assess(&there, &seen_there).unwrap().len(), 1);
    look(&here);
    let open = exception::open(&here).unwrap();
    assert_eq!(open.len(), 2);
    exception::resolve(&here, &open[0].id.to_string(), "one and the same").unwrap();
    look(&there);
    for ctx in [&here, &there] {
        assert_eq!(exception::open(ctx).unwrap(), []);
        assert_eq!(assess(ctx), []);
    }
    assert_eq!(receipts::list(&here, None).unwrap().findings, []);
}

#[test]
fn without_a_write_key_they_are_kept_here_and_signed_by_who_has_one() {
    let world = World::new();
    world.back_up();
    let reader = Context {
        vault: Some(Arc::new(world.vault_with(false, None))),
        ..world.context()
    };
    world.later(30);
    assert_eq!(
        assess(&reader),
        [(ExceptionKind::RpoBreached, Changed::Opened)]
    );
    let open = exception::open(&reader).unwrap();
    assert_eq!(told(&open), [(ExceptionKind::RpoBreached, false)]);
    let done = exception::resolve(&reader, &open[0].id.to_string(), "seen").unwrap();
    assert_eq!(done.exception.resolved.unwrap().receipt, None);
    assert_eq!(assess(&world.context()), []);
    let signed = exception::all(&reader, 10).unwrap().remove(0);
    assert!(signed.receipt.is_some());
    assert!(signed.resolved.unwrap().receipt.is_some());
}

#[test]
fn a_note_is_asked_for_and_a_name_must_be_one() {
    let world = World::new();
    let ctx = world.context();
    world.back_up_in(&ctx);
    world.later(30);
    assess(&ctx);
    let id = exception::open(&ctx).unwrap()[0].id.to_string();
    for note in ["", "  \n", "a\u{1b}[31mred", &"ñ".repeat(2001)] {
        let error = exception::resolve(&ctx, &id, note).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{note:?}");
        assert!(error.hint().unwrap().contains("--note"));
    }
    for name in ["", "01j", "01zzzzzzzz", "../../etc/passwd", "%"] {
        let error = exception::resolve(&ctx, name, "a note").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::User, "{name:?}");
    }
    assert_eq!(exception::open(&ctx).unwrap().len(), 1);
}

#[test]
fn a_vault_that_cannot_be_reached_is_an_answer() {
    let world = World::new();
    let ctx = world.context();
    world.back_up_in(&ctx);
    run_drill(&ctx, &world.shop()).unwrap();
    let before = shop(&ctx);
    let denied = Rule::from(1, Fault::Denied).on(Operation::List);
    let cut_off = world.context_over(Arc::new(Faulty::new(world.store.clone()).with(denied)));
    let status = look(&cut_off);
    assert!(status.unreachable.is_some());
    let known = &status.sources[0];
    assert_eq!(known.standing, before.standing);
    assert_eq!(known.proven, before.proven);
    // What others may have made good meanwhile is no alarm.
    world.later(30);
    let status = look(&cut_off);
    assert_eq!(status.sources[0].standing, Standing::Breached);
    assert_eq!(exception::assess(&cut_off, &status).unwrap(), []);
}

#[test]
fn a_drill_by_which_nothing_is_proven_is_told() {
    let world = World::new();
    let ctx = world.context();
    let mut spec = world.shop();
    let count = "select count(*) from customer";
    spec.checks.push(sql_check("customers", count, equals(41)));
    world.back_up_in(&ctx);
    world.later(1);
    run_drill(&ctx, &spec).unwrap();
    let failed = shop(&ctx);
    assert_eq!(failed.standing, Standing::Breached);
    assert!(failed.concerns.contains(&Concern::DrillFailed));
    let kinds: Vec<_> = failed.alarms.iter().map(|alarm| alarm.kind()).collect();
    assert!(kinds.contains(&ExceptionKind::DrillFailed), "{kinds:?}");
}
