//! SIGINT and SIGTERM: no head, no orphan process, lease released, no sandbox.

use crate::world::{World, finish, send, wait_for};

/// A database whose backup takes a while: random bytes, squeezed as hard as zstd can.
fn slow_world() -> World {
    let world = World::with_shop();
    let connection = rusqlite::Connection::open(world.path("shop.db")).unwrap();
    connection
        .execute_batch(
            "CREATE TABLE blobs (id INTEGER PRIMARY KEY, data BLOB);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)
             INSERT INTO blobs SELECT i, randomblob(65000) FROM n;",
        )
        .unwrap();
    let config = std::fs::read_to_string(world.path("resguardo.toml")).unwrap();
    world.write(
        "resguardo.toml",
        &config.replace("# compression_level = 1 ", "compression_level = 19 "),
    );
    world
}

#[test]
fn a_signal_during_a_backup_leaves_nothing() {
    let world = slow_world();
    let lease = world.path("vault/shop/lease.json");
    for signal in ["INT", "TERM"] {
        let child = world.command(&["backup"]).spawn().unwrap();
        wait_for("the backup has its lease", || lease.exists());
        send(signal, &child);
        finish(child).exits(130).complains(&["interrupted"]);
        assert!(!lease.exists(), "the lease is released");
        assert!(
            world.objects("shop/snapshots", ".head.json").is_empty(),
            "no head is written"
        );
    }
    let runs = world.run(&["catalog", "runs", "--json"]).exits(0).json();
    assert_eq!(runs["runs"][0]["state"], "interrupted");
    // The next one finds nothing in its way.
    let config = std::fs::read_to_string(world.path("resguardo.toml")).unwrap();
    world.write(
        "resguardo.toml",
        &config.replace("compression_level = 19", "compression_level = 1"),
    );
    world.run(&["backup"]).exits(0);
}

#[test]
fn a_signal_during_a_drill_ends_its_children() {
    let world = World::with_shop();
    world.backup();
    let marker = world.path("started");
    world.add_to_config(&format!(
        "[[sources.shop.checks]]\nname = \"slow\"\ncommand = 'echo $$ > {}; sleep 300'\ntimeout = \"10m\"\n",
        marker.display()
    ));
    for signal in ["INT", "TERM"] {
        let _ = std::fs::remove_file(&marker);
        let child = world.command(&["drill"]).spawn().unwrap();
        let pid = || {
            std::fs::read_to_string(&marker)
                .ok()
                .filter(|text| text.ends_with('\n'))
        };
        wait_for("the check runs", || pid().is_some());
        send(signal, &child);
        finish(child).exits(130);
        let process = format!("/proc/{}", pid().unwrap().trim());
        wait_for("the check's process has ended", || {
            !std::path::Path::new(&process).exists()
        });
        assert_eq!(world.sandboxes(), 0, "the sandbox is destroyed");
    }
    let receipts = world.run(&["receipts", "list", "--json"]).exits(0).json();
    let last = receipts["receipts"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    assert_eq!(last["outcome"], "interrupted");
}

#[test]
fn what_died_is_swept_and_said() {
    let world = World::with_shop();
    world.backup();
    let marker = world.path("started");
    world.add_to_config(&format!(
        "[[sources.shop.checks]]\nname = \"slow\"\ncommand = 'echo $$ > {}; sleep 300'\ntimeout = \"10m\"\n",
        marker.display()
    ));
    let child = world.command(&["drill"]).spawn().unwrap();
    let pid = || {
        std::fs::read_to_string(&marker)
            .ok()
            .filter(|text| text.ends_with('\n'))
    };
    wait_for("the check runs", || pid().is_some());
    send("KILL", &child);
    finish(child);
    assert_eq!(world.sandboxes(), 1, "a killed drill cannot clean up");
    let runs = world.run(&["catalog", "runs", "--json"]).exits(0).json();
    assert_eq!(runs["runs"][0]["state"], "died");
    assert_eq!(world.sandboxes(), 0, "the next start does");
    let process = format!("/proc/{}", pid().unwrap().trim());
    wait_for("the orphan has ended", || {
        !std::path::Path::new(&process).exists()
    });
}
