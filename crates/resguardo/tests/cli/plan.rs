//! `plan`

use crate::world::World;

#[test]
fn what_comes_next_by_schedule() {
    let world = World::with_shop();
    world
        .run(&["plan"])
        .exits(0)
        .prints(&["shop has no schedule"]);
    world.add_to_config(
        r#"
[environments.night]
timezone = "America/Bogota"
schedule = "daily 02:00"
quiet = ["01:00-03:30"]
drill = { schedule = "monthly first sunday 04:00" }

[sources.blog]
url = "blog.db"
environment = "night"
"#,
    );
    let ran = world.run(&["plan", "blog"]).exits(0);
    let ran = ran.prints(&["03:30", "America/Bogota", "blog", "daily 02:00", "drill"]);
    assert!(!ran.stdout.contains("shop"), "{}", ran.stdout);
    let answer = world.run(&["plan", "-n", "3", "--json"]).exits(0).json();
    let runs = answer["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 6, "{answer}");
    for run in runs {
        assert_eq!(run["source"], "blog");
        let word = if run["task"] == "backup" {
            "daily 02:00"
        } else {
            "monthly first sunday 04:00"
        };
        assert_eq!(run["schedule"], word);
        assert_eq!(run["timezone"], "America/Bogota");
        let hour = if run["task"] == "backup" {
            ("T07:00:00Z", "T08:30:00Z")
        } else {
            ("T09:00:00Z", "T09:00:00Z")
        };
        assert!(
            run["scheduled_at"].as_str().unwrap().ends_with(hour.0),
            "{run}"
        );
        assert!(
            run["begins_at"].as_str().unwrap().ends_with(hour.1),
            "{run}"
        );
    }
    world
        .run(&["plan", "blgo"])
        .exits(1)
        .complains(&["did you mean blog?"]);
}

#[test]
fn hours_that_leave_no_room_are_refused() {
    let world = World::with_shop();
    world.add_to_config(
        r#"
[environments.never]
schedule = "daily 26:00"
quiet = ["00:00-24:00", "at night"]
"#,
    );
    world.run(&["plan"]).exits(1).complains(&[
        "a time of day is written like 02:00",
        "\"at night\" is no stretch of the day",
        "leave none in which anything could begin",
    ]);
}
