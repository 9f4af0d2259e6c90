//! `notify`, and what `serve` and runs of the command line tell.

use resguardo_testkit::servers::{Answer, Answering};
use serde_json::Value;

use crate::world::{World, finish, send, wait_for};

fn fine() -> Answering {
    Answering::with(|_| Answer::new("200 OK", "ok"))
}

/// A shop, and `text` beside it in the config; `{ENV}` in it stands for the table of the environment.
fn told(server: &Answering, environment: &str, text: &str) -> World {
    let world = World::with_shop().with("HOOK", &format!("{}/t0ken-path", server.endpoint()));
    let config = std::fs::read_to_string(world.path("resguardo.toml")).unwrap();
    let table = "[environments.production]";
    world.write(
        "resguardo.toml",
        &config.replace(table, &format!("{table}\n{environment}")),
    );
    world.add_to_config(text);
    world
}

const TEAM: &str =
    "[notify.team]\nkind = \"webhook\"\nurl = \"${HOOK}\"\nsecret = \"s3cret-webhook\"\n";

#[test]
fn who_is_told_is_listed_without_secrets() {
    let server = fine();
    let world = told(
        &server,
        "notify = [\"team\"]",
        &format!(
            "{TEAM}[notify.later]\nkind = \"slack\"\nurl = \"${{NOT_SET}}\"\n[sources.shop.ping]\nbackup = \"file:missing\"\n"
        ),
    );
    let ran = world.run(&["notify", "list"]).exits(0).prints(&[
        "team",
        "exception, reminder, recovery",
        "production",
        "ping:shop:backup",
    ]);
    let ran = ran.complains(&["NOT_SET is not set", "later is told nothing"]);
    assert!(!ran.stdout.contains("t0ken"), "{}", ran.stdout);
    let answer = world.run(&["notify", "list", "--json"]).exits(0).json();
    let names: Vec<&str> = answer["endpoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["later", "team", "ping:shop:backup"]);
    assert_eq!(answer["endpoints"][0]["place"], Value::Null);
    assert_eq!(answer["endpoints"][1]["place"], server.endpoint());
    for words in [["config", "show"], ["notify", "list"]] {
        let ran = world.run(&words).exits(0);
        for secret in ["s3cret-webhook", "t0ken"] {
            assert!(!ran.stdout.contains(secret), "{}", ran.stdout);
        }
    }
    assert_eq!(server.asked(), []);
}

#[test]
fn a_test_says_whether_it_arrived() {
    let server = fine();
    let world = told(&server, "notify = [\"team\"]", TEAM);
    world
        .run(&["notify", "test"])
        .exits(0)
        .prints(&["team was told, in"]);
    let asked = server.asked();
    assert_eq!(asked[0].target, "/t0ken-path");
    assert!(asked[0].header("resguardo-signature").is_some());
    let answer = world
        .run(&["notify", "test", "team", "--json"])
        .exits(0)
        .json();
    assert_eq!(answer["told"][0]["delivered"], true);
    world
        .run(&["notify", "test", "taem"])
        .exits(1)
        .complains(&["there is no endpoint taem", "did you mean team?"]);
    let refusing = Answering::with(|_| Answer::new("403 Forbidden", "no_service"));
    let world = world.again_with("HOOK", &format!("{}/t0ken-path", refusing.endpoint()));
    let ran = world.run(&["notify", "test"]).exits(4).complains(&[
        "team was not told",
        "answered 403",
        "no_service",
    ]);
    assert!(!ran.stderr.contains("t0ken"), "{}", ran.stderr);
    let unread = world.again_with("HOOK", "file:missing");
    unread
        .run(&["notify", "test"])
        .exits(1)
        .complains(&["team cannot be told", "missing"]);
    let nobody = World::with_shop();
    nobody
        .run(&["notify", "test"])
        .exits(1)
        .complains(&["nobody is told anything", "[notify.team]"]);
}

#[test]
fn what_makes_no_sense_is_pointed_at() {
    for (environment, text, complaints) in [
        (
            "notify = [\"taem\"]",
            TEAM,
            ["there is no endpoint taem", "did you mean team?"],
        ),
        (
            "language = \"de\"",
            "",
            ["there is no language de", "en or es"],
        ),
        (
            "",
            "[notify.a]\nurl = \"https://x\"\n",
            ["[notify.a] has no kind", "slack, webhook, email, ping"],
        ),
        (
            "",
            "[notify.a]\nkind = \"slak\"\n",
            ["there is no kind of endpoint slak", "did you mean slack?"],
        ),
        (
            "",
            "[notify.a]\nkind = \"slack\"\n",
            ["[notify.a] has no url", "add url"],
        ),
        (
            "",
            "[notify.a]\nkind = \"slack\"\nurl = \"https://x\"\nto = [\"a@b.c\"]\n",
            ["has no to", "belongs to email"],
        ),
        (
            "",
            "[notify.a]\nkind = \"webhook\"\nurl = \"https://x\"\non = [\"recover\"]\n",
            ["nobody is told of recover", "did you mean recovery?"],
        ),
        (
            "",
            "[notify.\"a b\"]\nkind = \"slack\"\n",
            ["is no name of an endpoint", "a-z, 0-9"],
        ),
        (
            "",
            "[notify.m]\nkind = \"email\"\nserver = \"m\"\nfrom = \"a@b.c\"\nto = [\"x\\r\\nBcc: e@x.y\"]\n",
            ["an address is one line", "to"],
        ),
        (
            "",
            "[notify.m]\nkind = \"email\"\nserver = \"m\"\nfrom = \"a@b.c\"\nto = [\"a@b.c\"]\nsecurity = \"plain\"\npassword = \"x\"\n",
            ["in the clear", "starttls"],
        ),
        (
            "",
            "[sources.shop.ping]\nrestore = \"https://x\"\n",
            ["restore", "backup"],
        ),
    ] {
        let world = told(&fine(), environment, text);
        world
            .run(&["notify", "list"])
            .exits(1)
            .complains(&complaints);
    }
}

#[test]
fn a_run_of_the_command_line_pings_its_switch_and_ends_as_it_ends() {
    let server = fine();
    let text = "[sources.shop.ping]\nbackup = \"${HOOK}/b\"\ndrill = \"${HOOK}/d\"\n";
    let world = told(&server, "", text);
    world.run(&["backup"]).exits(0);
    world.run(&["drill"]).exits(0);
    std::fs::rename(world.path("shop.db"), world.path("elsewhere.db")).unwrap();
    world.run(&["backup"]).exits(4);
    // A ping that begins a run is not waited for.
    let ends = |server: &Answering| -> Vec<String> {
        let targets = server.asked().into_iter().map(|one| one.target);
        targets
            .filter(|target| !target.ends_with("/start"))
            .collect()
    };
    assert_eq!(
        ends(&server),
        ["/t0ken-path/b", "/t0ken-path/d", "/t0ken-path/b/fail"]
    );
    let down = world.again_with("HOOK", "http://127.0.0.1:1");
    std::fs::rename(world.path("elsewhere.db"), world.path("shop.db")).unwrap();
    down.run(&["backup"])
        .exits(0)
        .complains(&["ping:shop:backup was not pinged"]);
    let unset = world.again_with("HOOK", "");
    unset
        .run(&["backup"])
        .exits(0)
        .complains(&["HOOK is not set"]);
}

#[test]
fn the_daemon_tells_of_its_runs() {
    let server = fine();
    let text = format!(
        "{TEAM}on = [\"run_failed\", \"run_succeeded\"]\n[sources.shop.ping]\nbackup = \"${{HOOK}}/switch\"\n"
    );
    let environment = "schedule = \"daily 02:00\"\nnotify = [\"team\"]\nlanguage = \"es\"";
    let world = told(&server, environment, &text);
    let catalog = || rusqlite::Connection::open(world.home().join("catalog.db")).unwrap();
    let count = |sql: &str| -> i64 {
        let answer = catalog().query_row(sql, [], |row| row.get(0));
        answer.unwrap_or(0)
    };
    let child = world.command(&["serve"]).spawn().unwrap();
    wait_for("the job is known", || {
        count("select count(*) from jobs where task = 'backup'") == 1
    });
    send("TERM", &child);
    finish(child).exits(0);
    let changed = catalog().execute(
        "update jobs set state = json_set(state, '$.handled', '2026-01-01T00:00:00Z') where task = 'backup'",
        [],
    );
    assert_eq!(changed.unwrap(), 1);
    let child = world.command(&["serve"]).spawn().unwrap();
    let sent =
        "select count(*) from outbox where state = 'sent' and payload like '%run_succeeded%'";
    wait_for("both are told", || count(sent) == 2);
    send("TERM", &child);
    finish(child).exits(0);
    let mut targets: Vec<String> = server.asked().into_iter().map(|one| one.target).collect();
    targets.sort();
    targets.retain(|target| !target.ends_with("/start"));
    assert_eq!(targets, ["/t0ken-path", "/t0ken-path/switch"]);
    let secrets =
        "select count(*) from outbox where payload like '%t0ken%' or payload like '%s3cret%'";
    assert_eq!(count(secrets), 0);
}
