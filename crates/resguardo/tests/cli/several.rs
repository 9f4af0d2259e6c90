//! Several `serve` processes that share their work by a PostgreSQL server, each with a home of its own.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Stdio};

use resguardo_testkit::{PgServer, PgServerOptions, PgVersion};

use crate::world::{World, finish, send, shop, wait_for};

/// The password of the catalog's role: nothing that is printed has it.
const PASSWORD: &str = "s3cret-of-catalog";
/// Backup, copy, verify, drill and prune of each source.
const TASKS: usize = 5;
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
}

impl Several {
    fn new() -> Self {
        let mut options = PgServerOptions::new(PgVersion::V15);
        options.password = Some(PASSWORD.to_owned());
        let server = PgServer::start_with(options);
        server.create_database("catalog", "");
        let world = World::with_shop().with("CATALOG_URL", &server.url("catalog"));
        for name in ["blog", "crm"] {
            shop(&world.path(&format!("{name}.db")), 50);
        }
        let config = std::fs::read_to_string(world.path("resguardo.toml")).unwrap();
        world.write(
            "resguardo.toml",
            &config.replace(
                "[environments.production]",
                "[environments.production]\nschedule = \"daily 02:00\"\ndrill = { schedule = \"monthly 1 04:00\" }",
            ),
        );
        world.add_to_config(MORE);
        let machines = ["", "-b", "-c"].map(|name| {
            let home = format!("{}{name}", world.home().display());
            if !name.is_empty() {
                copy_folder(&world.home(), home.as_ref());
            }
            world.again_with("RESGUARDO_HOME", &home)
        });
        Self { server, machines }
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

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
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
    log: std::path::PathBuf,
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
            && several.number("select count(*) from resguardo.jobs") == SOURCES.len() * TASKS
    });

    // Each time is run once.
    for round in 1..=4 {
        several.change("%", "backup", "handled", "2026-01-01T00:00:00Z");
        wait_for("each is backed up", || {
            let heads = SOURCES.map(|source| several.backups(source));
            let free = "select count(*) from resguardo.leases where holder is not null";
            heads.iter().all(|count| *count >= round) && several.number(free) == 0
        });
        for source in SOURCES {
            assert_eq!(several.backups(source), round, "{source}");
            assert_eq!(several.outcome(source, "backup"), "succeeded");
        }
        assert_eq!(said(&daemons, "begins"), SOURCES.len() * round);
    }

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
    let holder = several.ask("select fence from resguardo.leases where holder is not null");
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
    let free = "select count(*) from resguardo.leases where holder is not null";
    assert_eq!(several.number(free), 0);
    assert_eq!(several.outcome("shop", "drill"), "succeeded");
    world.run(&["verify", "--all"]).exits(0);
}
