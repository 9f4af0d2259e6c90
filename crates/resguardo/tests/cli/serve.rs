//! `serve`: what is due is done, remembered, and told. What is due now was missed before: schedules are
//! counted in minutes, and tests do not wait for them.

use std::process::Child;

use resguardo_store::exclusive::Exclusive;
use rusqlite::Connection;

use crate::world::{World, finish, send, wait_for};

/// A shop with a schedule; `serve` has known its jobs for a moment.
pub fn scheduled() -> World {
    let world = World::with_scheduled_shop();
    world
        .run(&["plan"])
        .exits(0)
        .prints(&["daily 02:00", "monthly 1 04:00"]);
    let child = serve(&world);
    send("TERM", &child);
    finish(child)
        .exits(0)
        .complains(&["serving 2 jobs", "stopping; 0 runs"]);
    world
}

/// Backup, drill, and the sweep of this machine.
const JOBS: i64 = 3;

pub fn serve(world: &World) -> Child {
    let child = world.command(&["serve"]).spawn().unwrap();
    serves(world, JOBS);
    child
}

/// Waits until somebody serves so many jobs.
pub fn serves(world: &World, count: i64) {
    // It listens for signals before it takes its lock.
    let lock = world.home().join("serve.lock");
    let is_held = || lock.exists() && Exclusive::take(&lock).unwrap().is_none();
    wait_for("it serves", is_held);
    wait_for("the jobs are known", || jobs(world) == Some(count));
}

pub fn catalog(world: &World) -> Connection {
    let path = world.home().join("catalog.db");
    let catalog = Connection::open(path).unwrap();
    catalog
        .busy_timeout(std::time::Duration::from_secs(20))
        .unwrap();
    catalog
}

pub fn jobs(world: &World) -> Option<i64> {
    if !world.home().join("catalog.db").exists() {
        return None;
    }
    let count = "select count(*) from jobs where task <> 'notify'";
    catalog(world).query_row(count, [], |row| row.get(0)).ok()
}

/// The state of a job, changed.
pub fn change(world: &World, task: &str, field: &str, value: &str) {
    let sql = "update jobs set state = json_set(state, '$.' || ?2, ?3) where task = ?1";
    assert_eq!(
        catalog(world).execute(sql, [task, field, value]).unwrap(),
        1
    );
}

pub fn outcome(world: &World, task: &str) -> Option<String> {
    let sql = "select json_extract(state, '$.last.outcome') from jobs where task = ?1";
    catalog(world)
        .query_row(sql, [task], |row| row.get(0))
        .unwrap()
}

#[test]
fn what_was_missed_is_done_once_and_remembered() {
    let world = scheduled();
    for task in ["backup", "drill"] {
        // The drill has waited longer, and would find nothing.
        let handled = if task == "drill" {
            "2025-01-01"
        } else {
            "2026-01-01"
        };
        change(&world, task, "handled", &format!("{handled}T00:00:00Z"));
    }
    let child = serve(&world);
    let both = || {
        ["backup", "drill"]
            .iter()
            .all(|task| outcome(&world, task).is_some())
    };
    wait_for("both are done", both);
    // The lock is held as long as it runs.
    world
        .run(&["serve"])
        .exits(6)
        .complains(&["another `resguardo serve`"]);
    send("TERM", &child);
    finish(child).exits(0).complains(&[
        "backup of shop begins",
        "backup of shop: done in",
        "drill of shop: done in",
    ]);
    let answer = world.run(&["list", "--json"]).exits(0).json();
    let backups = answer["backups"].as_array().unwrap();
    assert_eq!(backups.len(), 1, "{answer}");
    assert_eq!(backups[0]["reason"], "scheduled");
    assert!(backups[0]["proven_at"].is_string(), "{answer}");
    let child = serve(&world);
    send("INT", &child);
    let ran = finish(child).exits(0);
    assert!(!ran.stderr.contains("begins"), "{}", ran.stderr);
}

#[test]
fn what_died_is_said_to_have_died() {
    let world = scheduled();
    change(&world, "backup", "running_since", "2026-11-22T02:00:00Z");
    let child = serve(&world);
    wait_for("it is found", || {
        outcome(&world, "backup").as_deref() == Some("died")
    });
    send("TERM", &child);
    finish(child)
        .exits(0)
        .complains(&["backup of shop: its process ended without a word; again at"]);
}

#[test]
fn a_source_that_cannot_be_reached_is_tried_again() {
    let world = scheduled();
    std::fs::rename(world.path("shop.db"), world.path("elsewhere.db")).unwrap();
    change(&world, "backup", "handled", "2026-01-01T00:00:00Z");
    let child = serve(&world);
    wait_for("it failed", || {
        outcome(&world, "backup").as_deref() == Some("failed")
    });
    send("TERM", &child);
    finish(child)
        .exits(0)
        .complains(&["backup of shop: failed", "shop.db", "; again at"]);
}

#[test]
fn nothing_to_do_is_an_error() {
    let world = World::with_shop();
    world
        .run(&["serve"])
        .exits(1)
        .complains(&["nothing to do by schedule", "schedule = \"daily 02:00\""]);
}
