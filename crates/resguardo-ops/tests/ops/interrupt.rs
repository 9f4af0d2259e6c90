//! Interrupted at every phase: no sandbox, no process, no lease and no head is left.

use std::path::PathBuf;
use std::time::Duration;

use resguardo_engine::port::RestoreOptions;
use resguardo_engine::process::ProcessMark;
use resguardo_model::EngineKind;
use resguardo_ops::catalog::RunState;
use resguardo_ops::restore::{self, Hooks, RestoreRequest};
use resguardo_ops::source::HttpCheck;
use resguardo_ops::{CheckKind, Context, ErrorKind, SourceSpec, receipts};

use crate::world::{Watcher, World, check, command_check, latest, run_drill, take};

/// A context whose token is raised as soon as `phase` begins, or, where a file is named, as soon as
/// that file is there.
fn cancelled_at(world: &World, phase: &'static str, once: Option<PathBuf>) -> Context {
    let mut ctx = world.context();
    let cancel = ctx.cancel.clone();
    ctx.progress = Watcher::new(move |begun| {
        if begun != phase {
            return;
        }
        let cancel = cancel.clone();
        match once.clone() {
            None => cancel.cancel(),
            Some(file) => {
                std::thread::spawn(move || {
                    while !file.exists() {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                    cancel.cancel();
                });
            }
        }
    });
    ctx
}

fn assert_gone(file: &std::path::Path) {
    let pid = std::fs::read_to_string(file)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let started = String::new();
    assert!(
        !ProcessMark { pid, started }.is_alive(),
        "process {pid} is left"
    );
}

#[test]
fn a_drill_at_every_phase() {
    let world = World::new();
    world.back_up();
    std::fs::write(world.path("roles.sql"), "create table role (name text);").unwrap();
    let mut shop = world.shop();
    shop.drill.provision = vec!["roles.sql".into()];
    shop.drill.migrate = Some("true".to_owned());
    shop.checks = vec![command_check("smoke", "true")];
    for phase in [
        "select",
        "restore",
        "compare",
        "provision",
        "migrate",
        "checks",
    ] {
        world.later(1);
        let ctx = cancelled_at(&world, phase, None);
        let error = run_drill(&ctx, &shop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Interrupted, "{phase}");
        world.assert_nothing_left();
        let run = &ctx.catalog.runs(1).unwrap()[0];
        assert_eq!(run.state, RunState::Interrupted, "{phase}");
        let key = run.receipt.as_deref().unwrap();
        let receipt = receipts::find(&ctx, key).unwrap();
        assert_eq!(receipt.statement.predicate.outcome, "interrupted");
    }
    // What is restored and checked by then stands.
    let ctx = cancelled_at(&world, "destroy", None);
    assert!(run_drill(&ctx, &shop).is_ok());
    world.assert_nothing_left();
}

fn drill_stopped_while(world: &World, shop: &SourceSpec, phase: &'static str) {
    let file = world.path("running");
    let ctx = cancelled_at(world, phase, Some(file.clone()));
    let error = run_drill(&ctx, shop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted, "{phase}");
    world.assert_nothing_left();
    assert_gone(&file);
}

/// Written in one step, so that whoever sees the file sees the number.
const SLEEP: &str = "echo $$ > running.new; mv running.new running; exec sleep 1000";

#[test]
fn a_drill_while_its_migration_runs() {
    let world = World::new();
    world.back_up();
    let mut shop = world.shop();
    shop.drill.migrate = Some(SLEEP.to_owned());
    drill_stopped_while(&world, &shop, "migrate");
}

#[test]
fn a_drill_while_a_command_runs() {
    let world = World::new();
    world.back_up();
    let mut shop = world.shop();
    shop.checks = vec![command_check("asleep", SLEEP)];
    drill_stopped_while(&world, &shop, "checks");
}

#[test]
fn a_drill_while_an_application_gets_ready() {
    let world = World::new();
    world.back_up();
    let mut shop = world.shop();
    let mut health = HttpCheck::get("http://127.0.0.1:${PORT}/");
    health.serve = Some(SLEEP.to_owned());
    shop.checks = vec![check("health", CheckKind::Http(health))];
    drill_stopped_while(&world, &shop, "checks");
}

#[test]
fn a_backup_at_every_phase() {
    for phase in ["probe", "capture", "commit"] {
        let world = World::new();
        let ctx = cancelled_at(&world, phase, None);
        match take(&ctx, &world.shop()) {
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Interrupted, "{phase}: {error}");
                assert_eq!(world.keys(".head.json"), [""; 0], "{phase}");
                assert_eq!(ctx.catalog.runs(1).unwrap()[0].state, RunState::Interrupted);
            }
            Ok(_) => assert_eq!(world.keys(".head.json").len(), 1, "{phase}"),
        }
        world.assert_nothing_left();
    }
}

#[test]
fn a_restore_leaves_the_target_as_it_was() {
    let world = World::new();
    world.back_up();
    let to = world.path("restored.sqlite");
    for phase in ["select", "restore"] {
        let ctx = cancelled_at(&world, phase, None);
        let request = RestoreRequest {
            origin: latest(),
            sources: &[world.shop()],
            to: resguardo_engine::port::Location::new(to.to_str().unwrap()),
            engine: EngineKind::Sqlite,
            options: RestoreOptions::default(),
            confirmation: None,
            safety_backup: true,
            hooks: Hooks::default(),
        };
        let error = restore::restore(&ctx, &request).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Interrupted, "{phase}: {error}");
        assert!(!to.exists(), "{phase}");
        world.assert_nothing_left();
    }
}
