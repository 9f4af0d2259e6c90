//! The catalog is a cache and a history: it may be lost, and what died is found.

use resguardo_engine::process::ProcessMark;
use resguardo_model::Severity;
use resguardo_ops::catalog::{self, Catalog, CatalogError, RunRow, RunState};
use resguardo_ops::doctor::{self, DoctorRequest};
use resguardo_ops::drill::{self, DrillRequest};
use resguardo_ops::{Origin, list, recover};
use rusqlite::Connection;

use crate::world::{Watcher, World, command_check, run_drill, take};

#[test]
fn a_rebuilt_catalog_knows_all_that_the_vault_tells() {
    let world = World::new();
    let mut ctx = world.context();
    world.back_up_in(&ctx);
    world.later(1);
    run_drill(&ctx, &world.shop()).unwrap();
    let listed = list::list(&ctx, None).unwrap();
    assert!(listed.backups[0].proven_at.is_some());
    let runs = ctx.catalog.runs(10).unwrap();

    ctx.catalog = Catalog::in_memory().unwrap();
    assert_eq!(
        list::list(&ctx, None).unwrap(),
        listed,
        "nobody has to rebuild it"
    );
    ctx.catalog = Catalog::in_memory().unwrap();
    let rebuilt = catalog::rebuild(&ctx).unwrap();
    assert_eq!(
        (rebuilt.heads, rebuilt.receipts, rebuilt.runs_added),
        (1, 2, 2)
    );
    let again = ctx.catalog.runs(10).unwrap();
    let ids = |rows: &[RunRow]| {
        rows.iter()
            .map(|row| (row.run, row.state))
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&again), ids(&runs));
    assert_eq!(catalog::rebuild(&ctx).unwrap().runs_added, 0);
}

#[test]
fn a_removed_receipt_proves_nothing_any_more() {
    let world = World::new();
    let ctx = world.context();
    world.back_up_in(&ctx);
    let done = run_drill(&ctx, &world.shop()).unwrap();
    assert!(
        list::list(&ctx, None).unwrap().backups[0]
            .proven_at
            .is_some()
    );
    let key = done.receipt.unwrap().parse().unwrap();
    resguardo_store::Store::delete(&*world.store, &key).unwrap();
    assert_eq!(list::list(&ctx, None).unwrap().backups[0].proven_at, None);
}

#[test]
fn a_damaged_catalog_is_moved_aside_and_a_newer_one_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog.db");
    std::fs::write(
        &path,
        "this is no database, but it is long enough to look like one".repeat(100),
    )
    .unwrap();
    let opened = Catalog::open(&path).unwrap();
    assert_eq!(opened.notes().len(), 1, "{:?}", opened.notes());
    assert!(folder.path().join("catalog.db.damaged-1").exists());
    drop(opened);
    assert!(Catalog::open(&path).unwrap().notes().is_empty());

    Connection::open(&path)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    let error = Catalog::open(&path).err().unwrap();
    assert!(
        matches!(error, CatalogError::Newer { version: 99, .. }),
        "{error}"
    );
    assert!(path.exists());
}

#[test]
fn one_that_is_current_is_opened_without_a_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog.db");
    drop(Catalog::open(&path).unwrap());
    let other = Connection::open(&path).unwrap();
    other.execute_batch("begin immediate").unwrap();
    // A write would wait for the other one, and say that it is busy.
    let opened = Catalog::open(&path).unwrap();
    assert_eq!(opened.runs(1).unwrap(), []);
    assert!(opened.notes().is_empty());
}

/// A process that has ended: its number and start time fit nobody any more.
fn dead_process() -> ProcessMark {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let mark = ProcessMark {
        started: "a boot:1".to_owned(),
        ..ProcessMark::of(child.id())
    };
    child.wait().unwrap();
    mark
}

#[test]
fn a_run_whose_process_is_gone_is_marked_and_named() {
    let world = World::new();
    let mut ctx = world.context();
    ctx.catalog = Catalog::open(&world.path("catalog.db")).unwrap();
    take(&ctx, &world.shop()).unwrap();
    // As a killed process leaves it.
    let process = dead_process();
    Connection::open(world.path("catalog.db"))
        .unwrap()
        .execute(
            "update runs set state = 'running', finished_at = null, pid = ?1, process_started = ?2",
            (process.pid, &process.started),
        )
        .unwrap();
    let watcher = Watcher::new(|_| {});
    ctx.progress = watcher.clone();
    let mut elsewhere = ctx.clone();
    elsewhere.host = "backup-2".to_owned();
    assert!(
        recover::sweep(&elsewhere).unwrap().runs.is_empty(),
        "another machine cannot know"
    );
    let swept = recover::sweep(&ctx).unwrap();
    assert_eq!(swept.runs.len(), 1);
    assert_eq!(ctx.catalog.runs(1).unwrap()[0].state, RunState::Died);
    assert!(
        watcher.notes()[0].contains("backup of shop"),
        "{:?}",
        watcher.notes()
    );
    assert!(recover::sweep(&ctx).unwrap().runs.is_empty(), "once");

    let said = diagnoses(&world, &ctx);
    let runs = said.iter().find(|one| one.subject == "runs").unwrap();
    assert_eq!(runs.severity, Severity::Warning);
    assert!(runs.next.contains("resguardo backup shop"), "{runs:?}");
}

fn diagnoses(world: &World, ctx: &resguardo_ops::Context) -> Vec<resguardo_model::Diagnosis> {
    let request = DoctorRequest {
        sources: &[world.shop()],
        cache: world.path("cache"),
        clock_ahead_milliseconds: Some(12),
    };
    doctor::doctor(ctx, &request)
}

#[test]
fn the_doctor_is_content_after_a_drill_and_says_what_is_missing_before() {
    let world = World::new();
    let ctx = world.context();
    let before = diagnoses(&world, &ctx);
    let backups = before
        .iter()
        .find(|one| one.subject == "backups of shop")
        .unwrap();
    assert_eq!(backups.severity, Severity::Warning);
    assert!(backups.next.contains("resguardo backup shop"));

    world.back_up_in(&ctx);
    let unproven = diagnoses(&world, &ctx);
    assert!(
        unproven
            .iter()
            .any(|one| one.next.contains("resguardo drill shop"))
    );
    run_drill(&ctx, &world.shop()).unwrap();
    let after = diagnoses(&world, &ctx);
    assert!(
        after.iter().all(|one| one.severity == Severity::Ok),
        "{after:#?}"
    );
}

#[test]
fn the_doctor_names_the_next_command_for_each_problem() {
    let world = World::new();
    let mut ctx = world.context();
    world.back_up_in(&ctx);
    ctx.vault = Some(std::sync::Arc::new(world.vault_with(false, None)));
    std::fs::remove_file(world.database()).unwrap();
    let request = DoctorRequest {
        sources: &[world.shop()],
        cache: world.path("cache"),
        clock_ahead_milliseconds: Some(-400_000),
    };
    let said = doctor::doctor(&ctx, &request);
    for subject in ["write key", "identity", "clock", "source shop"] {
        let one = said.iter().find(|one| one.subject == subject).unwrap();
        assert!(
            one.severity > Severity::Ok && !one.next.is_empty(),
            "{one:?}"
        );
    }
    ctx.vault = None;
    assert!(
        doctor::doctor(&ctx, &request)
            .iter()
            .any(|one| one.next.contains("resguardo init"))
    );
}

#[test]
fn the_doctor_speaks_of_runs_of_this_vault_alone_and_of_no_mistyped_name() {
    let world = World::new();
    let ctx = world.context();
    world.back_up_in(&ctx);
    run_drill(&ctx, &world.shop()).unwrap();
    // Another project of the same user: same catalog, another vault, and a drill that failed there.
    let mut other = World::new();
    other.catalog = ctx.catalog.clone();
    let theirs = other.context();
    other.back_up_in(&theirs);
    let mut shop = other.shop();
    shop.checks = vec![command_check("smoke", "exit 1")];
    run_drill(&theirs, &shop).unwrap();
    let of = |world: &World, ctx: &resguardo_ops::Context| {
        let said = diagnoses(world, ctx);
        let runs = said.into_iter().filter(|one| one.subject == "runs");
        runs.map(|one| one.severity).collect::<Vec<_>>()
    };
    assert_eq!(of(&world, &ctx), [Severity::Ok]);
    assert_eq!(of(&other, &theirs), [Severity::Warning]);

    world.later(1);
    let request = DrillRequest {
        origin: Origin::Backup("shp:latest".parse().unwrap()),
        sources: &[],
        keep: false,
    };
    drill::drill(&ctx, &request).unwrap_err();
    assert_eq!(ctx.catalog.runs(1).unwrap()[0].state, RunState::Failed);
    assert_eq!(of(&world, &ctx), [Severity::Ok]);
}
