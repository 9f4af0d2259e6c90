//! A throwaway server never outlives its drill: not a signal, and not our own sudden death but until the next
//! run.

use std::path::{Path, PathBuf};
use std::process::Child;

use resguardo_testkit::{PgServer, PgVersion};
use serde_json::Value;

use crate::world::{World, finish, send, wait_for};

/// A shop whose drill asks the throwaway server for something that never ends.
fn busy() -> (World, PgServer, PathBuf) {
    let server = PgServer::start(PgVersion::V15);
    server.create_database("shop", "");
    server.psql(
        "shop",
        "create table orders as select generate_series(1, 1000) as id",
    );
    let world = World::new();
    let source = format!("shop={}", server.url("shop"));
    let words = ["init", "--vault", "./vault", "--source", &source, "--yes"];
    world.run(&words).exits(0);
    world.run(&["backup"]).exits(0);
    let started = world.path("started");
    let endless = "select count(*) from generate_series(1, 100000000000)";
    world.add_to_config(&format!(
        "[[sources.shop.checks]]\nname = \"endless\"\ntimeout = \"10m\"\n\
         command = '''echo > {}; exec psql -X -c \"{endless}\"'''\n",
        started.display()
    ));
    (world, server, started)
}

/// A drill in the middle of that, and the server of its sandbox.
fn drill(world: &World, started: &Path) -> (Child, Sandbox) {
    let _ = std::fs::remove_file(started);
    let child = world.command(&["drill"]).spawn().unwrap();
    wait_for("the check runs", || started.exists());
    let sandbox = Sandbox::of(world);
    wait_for("the server works on it", || !sandbox.busy().is_empty());
    (child, sandbox)
}

struct Sandbox {
    /// The postmaster's process.
    server: u32,
    annex: PathBuf,
}

impl Sandbox {
    fn of(world: &World) -> Self {
        let entries = std::fs::read_dir(world.home().join("sandboxes")).unwrap();
        let folder = entries
            .map(|entry| entry.unwrap().path())
            .find(|path| path.is_dir())
            .unwrap();
        let marker = std::fs::read(folder.join("sandbox.json")).unwrap();
        let marker: Value = serde_json::from_slice(&marker).unwrap();
        let annex = marker["annex"].as_str().map(PathBuf::from);
        let annex = annex.unwrap_or_else(|| folder.join("data"));
        let pid = std::fs::read_to_string(annex.join("cluster/postmaster.pid")).unwrap();
        Self {
            server: pid.lines().next().unwrap().parse().unwrap(),
            annex,
        }
    }

    /// Its processes that work on the check's statement.
    fn busy(&self) -> Vec<u32> {
        let children = self.processes();
        let is_busy = |pid: &u32| {
            let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&words).contains("SELECT")
        };
        children.into_iter().filter(is_busy).collect()
    }

    fn processes(&self) -> Vec<u32> {
        let numbers = std::fs::read_dir("/proc").unwrap();
        let numbers = numbers.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let is_child = |pid: &u32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let parent = stat.rsplit(')').next().unwrap_or_default();
            parent.split_whitespace().nth(1) == Some(&self.server.to_string())
        };
        numbers.filter(is_child).collect()
    }
}

fn is_running(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn a_signal_during_a_drill_ends_its_server() {
    let (world, _server, started) = busy();
    for signal in ["INT", "TERM"] {
        let (child, sandbox) = drill(&world, &started);
        let processes = sandbox.processes();
        send(signal, &child);
        finish(child).exits(130);
        assert!(!is_running(sandbox.server));
        for pid in processes {
            wait_for("a process of the server has ended", || !is_running(pid));
        }
        assert!(!sandbox.annex.exists());
        assert_eq!(world.sandboxes(), 0);
    }
}

#[test]
fn the_server_of_a_drill_that_was_killed_ends_with_the_next_run() {
    let (world, _server, started) = busy();
    let (child, sandbox) = drill(&world, &started);
    let processes = sandbox.processes();
    send("KILL", &child);
    finish(child);
    assert!(is_running(sandbox.server), "nobody is left to end it");
    assert!(sandbox.annex.exists());
    let config = std::fs::read_to_string(world.path("resguardo.toml")).unwrap();
    let (config, _) = config.split_once("[[sources.shop.checks]]").unwrap();
    world.write("resguardo.toml", config);
    world
        .run(&["drill"])
        .exits(0)
        .complains(&["removed the sandbox of a run that died"]);
    // Whoever inherited them reaps them in its own time.
    for pid in processes.into_iter().chain([sandbox.server]) {
        wait_for("a process of the server has ended", || !is_running(pid));
    }
    assert!(!sandbox.annex.exists());
    assert_eq!(world.sandboxes(), 0);
}
