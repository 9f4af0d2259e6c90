//! Several `serve` processes that share their work by a PostgreSQL server, each with a home of its own.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use resguardo_testkit::servers::{Answer, Answering};
use resguardo_testkit::{PgServer, PgServerOptions, PgVersion};

use crate::world::{World, finish, send, shop, wait_for};

/// The password of the catalog's role: nothing that is printed has it.
const PASSWORD: &str = "s3cret-of-catalog";
/// Jobs that are known, of those with a schedule: two of each source.
const JOBS: &str = "select count(*) from resguardo.jobs where task in ('backup', 'drill')";
const SOURCES: [&str; 3] = ["blog", "crm", "shop"];

const MORE: &str = r#"
[catalog]
url = "${CATALOG_URL}"
lease = "5s"

[sources.blog]
url = "blog.db"
environment = "production"

[sources.crm]
url = "crm.db"
environment = "production"

[[sources.shop.checks]]
name = "slow"
timeout = "10m"
command = 'echo begun >> begun; while [ ! -e go ]; do sleep 0.1; done'
"#;

/// A server, and three machines that know its catalog.
struct Several {
    server: PgServer,
    machines: [World; 3],
    homes: [PathBuf; 3],
}

impl Several {
    fn new() -> Self {
        let mut options = PgServerOptions::new(PgVersion::V15);
        options.password = Some(PASSWORD.to_owned());
        let server = PgServer::start_with(options);
        server.create_database("catalog", "");
        let world = World::with_scheduled_shop().with("CATALOG_URL", &server.url("catalog"));
        for name in ["blog", "crm"] {
            shop(&world.path(&format!("{name}.db")), 50);
        }
        world.add_to_config(MORE);
        let names = ["", "-b", "-c"];
        let homes = names.map(|name| PathBuf::from(format!("{}{name}", world.home().display())));
        for home in &homes[1..] {
            copy_folder(&world.home(), home);
        }
        let at = |home: &PathBuf| world.again_with("RESGUARDO_HOME", &home.display().to_string());
        let machines = homes.each_ref().map(at);
        Self {
            server,
            machines,
            homes,
        }
    }

    fn world(&self) -> &World {
        &self.machines[0]
    }

    fn ask(&self, sql: &str) -> String {
        self.server.psql("catalog", sql)
    }

    fn number(&self, sql: &str) -> usize {
        self.ask(sql).parse().unwrap()
    }

    /// Changes what is written of a task of one source, or of all of them, as if another machine had.
    fn change(&self, source: &str, task: &str, field: &str, value: &str) {
        self.ask(&format!(
            "update resguardo.jobs set revision = revision + 1,
             state = jsonb_set(state::jsonb, '{{{field}}}', '\"{value}\"')::text
             where task = '{task}' and source like '{source}'"
        ));
    }

    fn outcome(&self, source: &str, task: &str) -> String {
        self.ask(&format!(
            "select state::jsonb -> 'last' ->> 'outcome' from resguardo.jobs
             where source = '{source}' and task = '{task}'"
        ))
    }

    /// How often each source was backed up.
    fn backups(&self, source: &str) -> usize {
        let folder = format!("{source}/snapshots");
        self.world().objects(&folder, ".head.json").len()
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &place);
        } else {
            std::fs::copy(entry.path(), place).unwrap();
        }
    }
}

/// A daemon and what it says.
struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    fn start(world: &World, number: usize) -> Self {
        let log = world.path(&format!("log-{number}"));
        let file = std::fs::File::create(&log).unwrap();
        let mut command = world.command(&["serve"]);
        let child = command.stderr(Stdio::from(file)).spawn().unwrap();
        Self { child, log }
    }

    fn said(&self, text: &str) -> usize {
        let log = std::fs::read_to_string(&self.log).unwrap();
        assert!(!log.contains(PASSWORD), "{log}");
        log.lines().filter(|line| line.contains(text)).count()
    }
}

fn said(daemons: &[Daemon], text: &str) -> usize {
    daemons.iter().map(|daemon| daemon.said(text)).sum()
}

/// The one that began the drill last, out of those that have not been killed.
fn at_work(daemons: &[Daemon], before: &[usize]) -> usize {
    let begins = "drill of shop begins";
    let mut numbers = 0..daemons.len();
    numbers
        .find(|number| daemons[*number].said(begins) > before[*number])
        .unwrap()
}

fn drills(daemons: &[Daemon]) -> Vec<usize> {
    let begun = daemons.iter().map(|one| one.said("drill of shop begins"));
    begun.collect()
}

fn begun(world: &World) -> usize {
    let begun = std::fs::read_to_string(world.path("begun")).unwrap_or_default();
    begun.lines().count()
}

fn each_time_is_run_once(several: &Several, daemons: &[Daemon]) {
    for round in 1..=4 {
        several.change("%", "backup", "handled", "2026-01-01T00:00:00Z");
        wait_for("each is backed up", || {
            let heads = SOURCES.map(|source| several.backups(source));
            let free = "select count(*) from resguardo.leases where holder <> '' and source <> ''";
            heads.iter().all(|count| *count >= round) && several.number(free) == 0
        });
        for source in SOURCES {
            assert_eq!(several.backups(source), round, "{source}");
            assert_eq!(several.outcome(source, "backup"), "succeeded");
        }
        assert_eq!(said(daemons, "begins"), SOURCES.len() * round);
    }
}

#[test]
fn three_share_the_work_and_one_is_killed_and_one_is_frozen() {
    let several = Several::new();
    let world = several.world();
    let mut daemons: Vec<Daemon> = several
        .machines
        .iter()
        .enumerate()
        .map(|(number, machine)| Daemon::start(machine, number))
        .collect();
    wait_for("all jobs are known", || {
        said(&daemons, "sharing the work by") == 3
            && several.number("select count(*) from pg_tables where schemaname = 'resguardo'") > 0
            && several.number(JOBS) == SOURCES.len() * 2
    });

    each_time_is_run_once(&several, &daemons);

    // One is killed while it drills.
    let before = drills(&daemons);
    several.change("shop", "drill", "handled", "2026-01-01T00:00:00Z");
    wait_for("the drill checks", || begun(world) == 1);
    let killed = at_work(&daemons, &before);
    let mut killed = daemons.remove(killed);
    killed.child.kill().unwrap();
    assert_eq!(killed.child.wait().unwrap().signal(), Some(9));
    let died = "drill of shop: ";
    let unheard = "was not heard of for 5 s; again at";
    wait_for("it is missed", || {
        several.outcome("shop", "drill") == "died"
    });
    wait_for("that is said", || said(&daemons, unheard) == 1);
    assert_eq!(said(&daemons, died), 1);

    // One of the others does it again, and is frozen.
    let before = drills(&daemons);
    several.change("shop", "drill", "retry_at", "2026-01-02T00:00:00Z");
    wait_for("another drills", || begun(world) == 2);
    let frozen = at_work(&daemons, &before);
    send("STOP", &daemons[frozen].child);
    wait_for("it is missed", || said(&daemons, unheard) == 2);
    assert_eq!(several.outcome("shop", "drill"), "died");
    let other = 1 - frozen;
    several.change("shop", "drill", "retry_at", "2026-01-02T00:00:00Z");
    wait_for("the last one drills", || begun(world) == 3);

    // It thaws, and finds that it has nothing to say any more.
    send("CONT", &daemons[frozen].child);
    wait_for("it notices", || {
        daemons[frozen].said("another one has taken it over") == 1
    });
    let holder =
        several.ask("select fence from resguardo.leases where holder <> '' and source <> ''");
    std::fs::write(world.path("go"), "").unwrap();
    wait_for("the drill ends", || {
        daemons[other].said("drill of shop: done in") == 1
    });
    assert_eq!(several.outcome("shop", "drill"), "succeeded");
    assert!(!holder.is_empty());
    assert_eq!(begun(world), 3);
    assert_eq!(daemons[frozen].said("drill of shop: done in"), 0);
    for daemon in daemons {
        send("TERM", &daemon.child);
        finish(daemon.child).exits(0);
    }
    let free = "select count(*) from resguardo.leases where holder <> '' and source <> ''";
    assert_eq!(several.number(free), 0);
    assert_eq!(several.outcome("shop", "drill"), "succeeded");
    world.run(&["verify", "--all"]).exits(0);
}

/// A machine that serves by the catalog of a server of its own.
fn alone() -> Several {
    let several = Several::new();
    several.world().write("go", "");
    several
}

#[test]
fn what_is_wrong_with_the_catalog_is_said_with_what_to_do() {
    let several = alone();
    let world = several.world();
    world
        .run(&["doctor"])
        .complains(&[])
        .prints(&["nobody has served by it yet"]);
    let wrong = several.server.url("catalog").replace(PASSWORD, "an-0ther");
    let ran = world
        .again_with("CATALOG_URL", &wrong)
        .run(&["serve"])
        .exits(4)
        .complains(&["password authentication failed", "url of [catalog]"]);
    assert!(!ran.stderr.contains("an-0ther"), "{}", ran.stderr);
    world
        .again_with("CATALOG_URL", &several.server.url("nowhere"))
        .run(&["serve"])
        .exits(4)
        .complains(&["nowhere does not exist", "CREATE DATABASE"]);
    world
        .again_with("CATALOG_URL", "mysql://db/x")
        .run(&["serve"])
        .exits(1)
        .complains(&["the shared catalog is a PostgreSQL database"]);
    several.ask("create role plain login password 'plain-s3cret'");
    let plain = several
        .server
        .url_of("plain", Some("plain-s3cret"), "catalog");
    world
        .again_with("CATALOG_URL", &plain)
        .run(&["serve"])
        .exits(4)
        .complains(&["permission denied for database", "AUTHORIZATION"]);
    let daemon = Daemon::start(world, 0);
    wait_for("it serves", || daemon.said("serving") == 1);
    let jobs = "select count(*) from pg_tables where schemaname = 'resguardo'";
    wait_for("its tables are there", || several.number(jobs) > 0);
    world
        .run(&["doctor"])
        .prints(&["shared catalog: postgresql://", "version 1; 0 runs go on"]);
    several.server.stop_fast();
    wait_for("it is missed", || {
        daemon.said("the shared catalog cannot be used") == 1
    });
    world
        .run(&["doctor"])
        .exits(3)
        .prints(&["PROBLEM  shared catalog", "cannot be reached"]);
    world
        .again_with("RESGUARDO_HOME", &several.homes[1].display().to_string())
        .run(&["serve"])
        .exits(4)
        .complains(&["cannot be reached", "is its server up"]);
    several.server.start_again();
    wait_for("it is heard again", || {
        daemon.said("the shared catalog answers again") == 1
    });
    several.change("shop", "backup", "handled", "2026-01-01T00:00:00Z");
    wait_for("it works on", || {
        daemon.said("backup of shop: done in") == 1
    });
    several.ask("update resguardo.catalog set version = 1000");
    wait_for("it notices", || daemon.said("has version 1000") == 1);
    send("TERM", &daemon.child);
    finish(daemon.child).exits(0);
    world
        .run(&["serve"])
        .exits(1)
        .complains(&["has version 1000", "knows 1", "update Resguardo"]);
}

#[test]
fn machines_take_what_their_labels_say() {
    let world = World::with_shop();
    shop(&world.path("blog.db"), 50);
    let config = std::fs::read_to_string(world.path("resguardo.toml")).unwrap();
    let config = config.replace(
        "[environments.production]",
        "[environments.production]\nschedule = \"daily 02:00\"\nlabels = [\"bogota\", \"cali\"]",
    );
    let blog = "[sources.blog]\nurl = \"blog.db\"\nenvironment = \"production\"\n";
    world.write("resguardo.toml", &format!("{config}\n{blog}"));
    world
        .run(&["serve"])
        .exits(1)
        .complains(&["none of the labels", "--label"]);
    world
        .run(&["plan"])
        .exits(0)
        .prints(&["TAKEN BY", "bogota or cali, not here"]);
    let free =
        format!("{config}\n[serve]\nlabels = [\"lima\"]\n{blog}labels = [\"lima\", \"quito\"]\n");
    world.write("resguardo.toml", &free);
    let answer = world.run(&["plan", "--json"]).exits(0).json();
    for run in answer["runs"].as_array().unwrap() {
        let is_blog = run["source"] == "blog";
        assert_eq!(run["taken_here"], is_blog, "{run}");
        assert_eq!(run["labels"][0], if is_blog { "lima" } else { "bogota" });
    }
    for (label, jobs) in [("lima", "1 job"), ("cali", "1 job")] {
        let log = format!("log-{label}");
        let file = std::fs::File::create(world.path(&log)).unwrap();
        let mut command = world.command(&["serve", "--label", label]);
        let daemon = Daemon {
            child: command.stderr(Stdio::from(file)).spawn().unwrap(),
            log: world.path(&log),
        };
        wait_for("it serves", || daemon.said(&format!("serving {jobs}")) == 1);
        send("TERM", &daemon.child);
        finish(daemon.child).exits(0);
    }
    world
        .run(&["serve", "--label", "Lima!"])
        .exits(2)
        .complains(&["a label is 1 to 63"]);
    for (text, words) in [
        ("[serve]\nlabels = [\"a b\"]", "\"a b\" is no label"),
        ("[serve]\nlabels = [\"\"]", "\"\" is no label"),
        ("[catalog]\nlease = \"60s\"", "url"),
        (
            "[catalog]\nurl = \"catalog.db\"",
            "is a PostgreSQL database",
        ),
        (
            "[catalog]\nurl = \"postgresql://db/x\"\nlease = \"2s\"",
            "no time to wait for a machine",
        ),
        ("[serve]\nlabel = [\"a\"]", "labels"),
    ] {
        world.write("resguardo.toml", &format!("{config}\n{text}\n"));
        world.run(&["plan"]).exits(1).complains(&[words]);
    }
    // Backups by hand need no catalog.
    let catalog = "[catalog]\nurl = \"${CATALOG_URL}\"";
    let any = config.replace("labels = [\"bogota\", \"cali\"]", "");
    world.write("resguardo.toml", &format!("{any}\n{catalog}\n"));
    world.backup();
    world
        .run(&["serve"])
        .exits(1)
        .complains(&["the url of [catalog]", "CATALOG_URL is not set"]);
    world
        .run(&["doctor"])
        .exits(3)
        .prints(&["PROBLEM  shared catalog", "CATALOG_URL"]);
}

fn failed_drills(home: &Path) -> i64 {
    let catalog = rusqlite::Connection::open(home.join("catalog.db")).unwrap();
    let patience = std::time::Duration::from_secs(20);
    catalog.busy_timeout(patience).unwrap();
    let sql = "select count(*) from runs where verb like '%drill%' and state = 'failed'";
    catalog.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn people_are_told_once_whoever_leads() {
    let hook = Answering::with(|_| Answer::new("200 OK", "ok"));
    let several = Several::new();
    let place = format!("{}/hook", hook.endpoint());
    let world = several.world();
    let config = std::fs::read_to_string(world.path("resguardo.toml")).unwrap();
    let config = config.replace(
        "[environments.production]",
        "[environments.production]\nnotify = [\"team\"]",
    );
    let failing = "[[sources.blog.checks]]\nname = \"never\"\ncommand = \"false\"\n";
    let team = "[notify.team]\nkind = \"webhook\"\nurl = \"${HOOK}\"\n";
    world.write("resguardo.toml", &format!("{config}\n{failing}{team}"));
    world.backup();
    let daemons: Vec<Daemon> = (several.machines.iter().enumerate())
        .map(|(number, machine)| Daemon::start(&machine.again_with("HOOK", &place), number))
        .collect();
    wait_for("all serve", || {
        said(&daemons, "serving") == 3
            && several.number("select count(*) from pg_tables where schemaname = 'resguardo'") > 0
            && several.number("select count(*) from resguardo.machines") == 3
    });
    several.change("blog", "drill", "handled", "2026-01-01T00:00:00Z");
    wait_for("it has failed", || {
        several.outcome("blog", "drill") == "failed"
    });
    let sent = "select count(*) from resguardo.messages where sent_at is not null";
    wait_for("people hear of it", || !hook.asked().is_empty());
    // Who leads next has nothing new to tell of that.
    let leader = several.ask("select holder from resguardo.leases where source = ''");
    assert!(!leader.is_empty());
    several.ask("update resguardo.leases set until = clock_timestamp() where source = ''");
    let before = several.number(sent);
    several.change("blog", "drill", "handled", "2026-01-01T00:00:00Z");
    wait_for("it has failed again", || {
        said(&daemons, "drill of blog: failed") == 2
    });
    wait_for("that is told", || several.number(sent) > before);
    // Each hears of all runs, at its next look: when somebody has done something.
    let mut turn = 0;
    wait_for("all runs are known", || {
        turn += 1;
        let at = format!("2026-01-01T00:00:00.{turn:06}Z");
        several.change("crm", "verify", "handled", &at);
        several.homes.iter().all(|home| failed_drills(home) == 2)
    });
    let mut again = 0;
    for daemon in daemons {
        send("TERM", &daemon.child);
        again += daemon.said("team cannot be told");
        finish(daemon.child).exits(0);
    }
    let asked = hook.asked();
    let deliveries = asked.iter();
    let deliveries: BTreeSet<&str> = deliveries
        .map(|one| one.header("resguardo-delivery").unwrap())
        .collect();
    assert_eq!(deliveries.len(), several.number(sent));
    // Twice only where the first try did not arrive.
    assert!(asked.len() <= deliveries.len() + again, "{asked:?}");
}
