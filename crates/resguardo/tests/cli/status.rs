//! `status`, `exceptions`, `metrics`

use crate::world::World;

const PROMISES: &str = r#"
[environments.local]
rpo = "24h"
rto = "4h"
"#;

#[test]
fn a_source_is_breached_then_never_proven_then_ok() {
    let world = World::with_shop();
    world.add_to_config(PROMISES);
    world.run(&["status"]).exits(3).prints(&[
        "SOURCE",
        "shop",
        "breached",
        "nothing could be restored",
    ]);
    world.run(&["backup"]).exits(0);
    world.run(&["status"]).exits(0).prints(&[
        "never_proven",
        "no drill ever passed",
        "of 24h",
        "? of 4h",
    ]);
    world.run(&["drill"]).exits(0);
    let ran = world.run(&["status"]).exits(0).prints(&["ok"]);
    assert!(!ran.stdout.contains("never"), "{}", ran.stdout);
    world.run(&["status", "shop"]).exits(0).prints(&[
        "environment",
        "last backup",
        "last drill",
        "next backup",
    ]);
    let answer = world.run(&["status", "--json"]).exits(0).json();
    let shop = &answer["sources"][0];
    assert_eq!(shop["standing"], "ok", "{answer}");
    assert_eq!(shop["rpo"]["target_seconds"], 86_400);
    assert_eq!(shop["concerns"], serde_json::json!([]));
    assert!(shop["proven"]["receipt"].is_string());
    assert_eq!(answer["unreachable"], serde_json::Value::Null);
}

#[test]
fn a_name_that_is_none_is_told_with_the_one_that_was_meant() {
    let world = World::with_shop();
    world
        .run(&["status", "shpo"])
        .exits(1)
        .complains(&["did you mean shop?"]);
    world.run(&["status", "../etc"]).exits(2);
}

#[test]
fn what_failed_is_resolved_with_a_note() {
    let world = World::with_shop();
    world.run(&["backup"]).exits(0);
    world
        .run(&["exceptions"])
        .exits(0)
        .prints(&["no exception is open"]);
    world.add_to_config(
        r#"
[[sources.shop.checks]]
name = "no orders"
sql = "select count(*) from sqlite_master"
equals = "-1"
"#,
    );
    world.run(&["drill"]).exits(3);
    world
        .run(&["exceptions"])
        .exits(0)
        .prints(&["drill_failed", "shop", "holds", "no orders"]);
    let answer = world.run(&["exceptions", "--json"]).exits(0).json();
    let all = answer["exceptions"].as_array().unwrap();
    let of_drill: Vec<_> = all
        .iter()
        .filter(|one| one["kind"] == "drill_failed")
        .collect();
    assert_eq!(of_drill.len(), 1, "{answer}");
    assert!(of_drill[0]["receipt"].is_string());
    let id = of_drill[0]["id"].as_str().unwrap();
    world.run(&["exceptions", "resolve", id]).exits(2);
    world
        .run(&["exceptions", "resolve", id, "--note", "  "])
        .exits(2)
        .complains(&["this one is empty"]);
    world
        .run(&["exceptions", "resolve", "01zzzzzz", "--note", "x"])
        .exits(1)
        .complains(&[
            "there is no exception 01zzzzzz",
            "resguardo exceptions --all",
        ]);
    world
        .run(&["exceptions", "resolve", id, "--note", "the check was wrong"])
        .exits(0)
        .prints(&["resolved"]);
    world
        .run(&["exceptions", "resolve", id, "--note", "again"])
        .exits(0)
        .prints(&["was resolved before", "the check was wrong"]);
    world
        .run(&["exceptions", "--all"])
        .exits(0)
        .prints(&["resolved by", "the check was wrong"]);
    world.run(&["receipts", "verify"]).exits(0);
    world
        .run(&["receipts", "list"])
        .exits(0)
        .prints(&["exception", "opened", "resolved"]);
}

#[test]
fn metrics_are_printed_or_written() {
    let world = World::with_shop();
    world.add_to_config(PROMISES);
    world.run(&["backup"]).exits(0);
    world.run(&["metrics"]).exits(0).prints(&[
        "# TYPE resguardo_rpo_seconds gauge",
        "resguardo_proven{source=\"shop\"",
        "# EOF",
    ]);
    let file = world.path("resguardo.prom");
    let out = file.to_str().unwrap();
    world.run(&["metrics", "--out", out]).exits(0);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    let nowhere = world.path("nowhere/resguardo.prom");
    world
        .run(&["metrics", "--out", nowhere.to_str().unwrap()])
        .exits(1);
    assert!(!nowhere.exists());
}

#[test]
fn without_sources_there_is_nothing_to_say() {
    let world = World::new();
    for verb in ["status", "metrics"] {
        world
            .run(&[verb])
            .exits(1)
            .complains(&["no source is configured"]);
    }
}
