//! `serve` goes on: another config, a death in the middle, somebody else at the same source.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Stdio};

use crate::serve::{change, jobs, outcome, scheduled, serve, serves};
use crate::world::{World, finish, send, wait_for};

/// Serves, and writes what it says into a file.
fn serve_into(world: &World, log: &str) -> Child {
    let file = std::fs::File::create(world.path(log)).unwrap();
    let mut command = world.command(&["serve"]);
    command.stderr(Stdio::from(file)).spawn().unwrap()
}

fn said(world: &World, log: &str, text: &str) -> bool {
    let log = std::fs::read_to_string(world.path(log)).unwrap_or_default();
    log.contains(text)
}

fn wait_until_said(world: &World, log: &str, text: &str) {
    wait_for(text, || said(world, log, text));
}

/// The first words of whatever a service manager is told, until it is told that the service ends.
fn heard(socket: &UnixDatagram) -> Vec<String> {
    let mut words = Vec::new();
    let mut buffer = [0; 4096];
    while words.last().map(String::as_str) != Some("STOPPING=1") {
        let length = socket.recv(&mut buffer).unwrap();
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let word = text.lines().next().unwrap().to_owned();
        if word != "WATCHDOG=1" {
            words.push(word);
        }
    }
    words
}

fn config(world: &World) -> String {
    std::fs::read_to_string(world.path("resguardo.toml")).unwrap()
}

#[test]
fn another_config_is_taken_on_a_signal_and_a_broken_one_is_not() {
    let world = scheduled();
    let socket = UnixDatagram::bind(world.path("notify")).unwrap();
    let place = world.path("notify").display().to_string();
    let world = world.with("NOTIFY_SOCKET", &place);
    let manager = std::thread::spawn(move || heard(&socket));
    let child = serve_into(&world, "log");
    serves(&world, 3);
    let good = config(&world);
    world.write(
        "resguardo.toml",
        &good.replace("daily 02:00", "daily 26:00"),
    );
    send("HUP", &child);
    wait_until_said(&world, "log", "the old one holds");
    let line = 1 + good
        .lines()
        .position(|line| line.contains("daily 02:00"))
        .unwrap();
    wait_until_said(
        &world,
        "log",
        &format!("resguardo.toml:{line}: \"daily 26:00\" is not a schedule"),
    );
    wait_until_said(&world, "log", "every day at 2:00 is \"daily 02:00\"");
    std::fs::remove_file(world.path("resguardo.toml")).unwrap();
    send("HUP", &child);
    wait_until_said(&world, "log", "resguardo.toml is gone");
    assert_eq!(jobs(&world), Some(3));
    let more = "[environments.production]\nverify = { schedule = \"weekly sunday 05:00\" }";
    world.write(
        "resguardo.toml",
        &good.replace("[environments.production]", more),
    );
    send("HUP", &child);
    wait_until_said(
        &world,
        "log",
        "the config was read again: 3 jobs by schedule",
    );
    wait_for("the new job is known", || jobs(&world) == Some(4));
    // What would not be started is not gone on with.
    world.write("resguardo.toml", "");
    send("HUP", &child);
    wait_until_said(&world, "log", "there is nothing to do by schedule");
    assert_eq!(jobs(&world), Some(4));
    send("TERM", &child);
    finish(child).exits(0);
    let words = manager.join().unwrap();
    assert_eq!(
        words.iter().filter(|word| *word == "RELOADING=1").count(),
        4,
        "{words:?}"
    );
    for (place, word) in words.iter().enumerate() {
        if word == "RELOADING=1" {
            assert!(words[place..].contains(&"READY=1".to_owned()), "{words:?}");
        }
    }
}

fn is_running(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Whoever inherited it reaps it in its own time.
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

#[test]
fn what_a_killed_daemon_left_is_gone_at_the_next_start() {
    let world = scheduled();
    world.backup();
    let good = config(&world);
    let started = world.path("started");
    world.add_to_config(&format!(
        "[[sources.shop.checks]]\nname = \"slow\"\ntimeout = \"10m\"\ncommand = '''echo $$ > {0}.new; mv {0}.new {0}; exec sleep 600'''\n",
        started.display()
    ));
    change(&world, "drill", "handled", "2026-01-01T00:00:00Z");
    let child = serve(&world);
    wait_for("the check runs", || Path::exists(&started));
    assert_eq!(world.sandboxes(), 1);
    let pid = std::fs::read_to_string(&started).unwrap().trim().to_owned();
    send("KILL", &child);
    finish(child);
    assert!(is_running(&pid), "nobody is left to end it");
    world.write("resguardo.toml", &good);
    let child = serve(&world);
    wait_for("it is found", || {
        outcome(&world, "drill").as_deref() == Some("died")
    });
    assert_eq!(world.sandboxes(), 0);
    wait_for("the check has ended", || !is_running(&pid));
    send("TERM", &child);
    finish(child).exits(0).complains(&[
        "removed the sandbox of a run that died",
        "the drill of shop that began",
        "drill of shop: its process ended without a word; again at",
    ]);
    change(&world, "drill", "retry_at", "2026-01-01T00:00:00Z");
    let child = serve(&world);
    wait_for("it is done", || {
        outcome(&world, "drill").as_deref() == Some("succeeded")
    });
    send("TERM", &child);
    finish(child)
        .exits(0)
        .complains(&["drill of shop: done in"]);
}

#[test]
fn a_source_that_somebody_else_backs_up_is_waited_for() {
    let world = scheduled();
    let lease = world.path("vault/shop/lease.json");
    std::fs::create_dir_all(lease.parent().unwrap()).unwrap();
    let other = serde_json::json!({
        "format": 1, "run": "01kars7y5w0000000000000000", "host": "elsewhere", "pid": 1,
        "acquired_at": "2026-11-22T00:00:00Z", "ttl_seconds": 900,
    });
    std::fs::write(&lease, other.to_string()).unwrap();
    change(&world, "backup", "handled", "2026-01-01T00:00:00Z");
    let child = serve(&world);
    wait_for("it is locked", || {
        outcome(&world, "backup").as_deref() == Some("locked")
    });
    send("TERM", &child);
    let ran = finish(child).exits(0).complains(&[
        "backup of shop: waits: ",
        "shop is locked by",
        "; again at",
    ]);
    assert!(!ran.stderr.contains("failed"), "{}", ran.stderr);
    std::fs::remove_file(&lease).unwrap();
    // A backup by hand leaves the schedule as it is.
    world.backup();
    change(&world, "backup", "retry_at", "2026-01-01T00:00:00Z");
    let child = serve(&world);
    wait_for("it is done", || {
        outcome(&world, "backup").as_deref() == Some("succeeded")
    });
    send("TERM", &child);
    finish(child).exits(0);
    assert_eq!(world.objects("shop/snapshots", ".head.json").len(), 2);
}

#[test]
fn copies_are_filled_what_is_stored_is_verified_and_what_may_go_is_deleted() {
    let world = World::with_shop();
    let text = config(&world);
    let plans = "[environments.production]\nretention = \"minimum\"\nschedule = \"daily 02:00\"\n\
         verify = { schedule = \"daily 03:00\", depth = \"bytes\" }\nprune = { schedule = \"daily 04:00\" }\n\
         copy = { schedule = \"daily 05:00\" }\ndrill = { schedule = \"daily 06:00\", choose = \"random\" }";
    let text = text.replace("[environments.production]", plans);
    world.write(
        "resguardo.toml",
        &text.replacen("[vault]", "[vault]\ncopies = [\"./copy\"]", 1),
    );
    std::fs::create_dir(world.path("copy")).unwrap();
    for _ in 0..4 {
        world.run(&["backup", "--no-copy"]).exits(0);
    }
    let answer = world.run(&["plan", "--json"]).exits(0).json();
    let mut tasks: Vec<&str> = answer["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["task"].as_str().unwrap())
        .collect();
    tasks.sort_unstable();
    assert_eq!(tasks, ["backup", "copy", "drill", "prune", "verify"]);
    let child = world.command(&["serve"]).spawn().unwrap();
    serves(&world, 6);
    send("TERM", &child);
    finish(child)
        .exits(0)
        .complains(&["serving 5 jobs by schedule"]);
    for task in ["copy", "verify", "prune", "drill"] {
        change(&world, task, "handled", "2026-01-01T00:00:00Z");
        let child = world.command(&["serve"]).spawn().unwrap();
        wait_for(task, || outcome(&world, task).is_some());
        send("TERM", &child);
        let done = format!("{task} of shop: done in");
        finish(child).exits(0).complains(&[&done]);
        assert_eq!(outcome(&world, task).as_deref(), Some("succeeded"));
    }
    let copied = std::fs::read_dir(world.path("copy/shop/snapshots"))
        .unwrap()
        .count();
    assert!(copied > 0);
    assert_eq!(world.objects("shop/snapshots", ".head.json").len(), 2);
    let receipts = world.run(&["receipts", "list", "--json"]).exits(0).json();
    for verb in ["copy", "verify", "prune", "drill"] {
        assert!(
            receipts.to_string().contains(&format!("\"{verb}\"")),
            "{verb}: {receipts}"
        );
    }
}

#[test]
fn what_makes_no_sense_of_a_schedule_is_pointed_at() {
    let world = World::with_shop();
    let base = config(&world);
    for (line, says) in [
        ("deadline = \"0s\"", "every run would be ended at once"),
        ("silence = \"soon\"", "is not a duration"),
        (
            "verify = { schedule = \"daily 03:00\", depth = \"byte\" }",
            "did you mean bytes?",
        ),
        (
            "verify = { schedule = \"daily 25:00\" }",
            "a time of day is written like 02:00",
        ),
        ("drill = { choose = \"randon\" }", "did you mean random?"),
        (
            "drill = { within = \"30d\" }",
            "within means nothing for the latest backup",
        ),
        (
            "prune = { schedul = \"daily 03:00\" }",
            "did you mean schedule?",
        ),
        ("copy = \"daily 03:00\"", "invalid type"),
        ("copy = { schedule = \"evry 1m\" }", "every 15m"),
        (
            "prune = { schedule = \"daily 03:00\" }",
            "prune is scheduled for other, and nothing says what is kept there",
        ),
    ] {
        world.write(
            "resguardo.toml",
            &format!("{base}\n[environments.other]\n{line}\n"),
        );
        world.run(&["plan"]).exits(1).complains(&[says]);
    }
}
