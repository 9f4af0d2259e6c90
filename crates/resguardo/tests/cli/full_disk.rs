//! No space left, in the vault and in the sandbox: named, and nothing lost.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::world::{World, is_root, shop};

/// A small disk, mounted while it lives.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path, size: &str) -> Self {
        std::fs::create_dir_all(at).unwrap();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o"])
            .arg(format!("size={size},mode=0777"))
            .arg("none")
            .arg(at)
            .status()
            .unwrap();
        assert!(status.success(), "mount -t tmpfs {}", at.display());
        Self(at.to_path_buf())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// Runs the test where it may mount: here for root, else once more in a user namespace of its own.
fn where_mounting_is_allowed(name: &str, test: impl FnOnce()) {
    if is_root() {
        return test();
    }
    let status = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .status()
        .unwrap();
    assert!(
        status.success(),
        "{name}: a full disk is tried on a mounted tmpfs, which takes root or a user namespace (unshare --user)"
    );
}

#[test]
fn the_disk_of_the_vault_is_full() {
    where_mounting_is_allowed("full_disk::the_disk_of_the_vault_is_full", vault_is_full);
}

fn vault_is_full() {
    let world = World::new();
    shop(&world.path("shop.db"), 500);
    let _disk = SmallDisk::mount(&world.path("small"), "1m");
    world.init("./small/vault");
    let small = world.run(&["backup", "--json"]).exits(0);
    shop(&world.path("big.db"), 40_000);
    std::fs::copy(world.path("big.db"), world.path("shop.db")).unwrap();
    for side in ["shop.db-wal", "shop.db-shm"] {
        let _ = std::fs::remove_file(world.path(side));
    }
    world
        .run(&["backup"])
        .exits(5)
        .complains(&["no space left", "hint: "]);
    // Nothing is lost: the backup before is whole, and there is no other.
    let listed = world.run(&["list", "--json"]).exits(0).json();
    assert_eq!(listed["backups"].as_array().unwrap().len(), 1);
    assert_eq!(listed["backups"][0]["id"], small.json()["backups"][0]["id"]);
    world
        .run(&["restore", "latest", "--to", "restored.db"])
        .exits(0);
}

#[test]
fn the_disk_of_the_sandbox_is_full() {
    where_mounting_is_allowed(
        "full_disk::the_disk_of_the_sandbox_is_full",
        sandbox_is_full,
    );
}

fn sandbox_is_full() {
    let world = World::new();
    shop(&world.path("shop.db"), 40_000);
    world.init("./vault");
    world.backup();
    let disk = SmallDisk::mount(&world.home().join("sandboxes"), "1m");
    let ran = world.run(&["drill", "--json"]).exits(3);
    let drill = &ran.json()["drills"][0];
    assert_eq!(drill["verdict"], "error");
    assert!(
        ran.stdout.contains("no space left") || ran.stdout.contains("No space left"),
        "{}",
        ran.stdout
    );
    assert_eq!(world.sandboxes(), 0);
    drop(disk);
    world.run(&["drill"]).exits(0);
}

#[test]
fn the_disk_of_an_export_is_full() {
    where_mounting_is_allowed("full_disk::the_disk_of_an_export_is_full", export_is_full);
}

fn export_is_full() {
    let world = World::new();
    shop(&world.path("shop.db"), 40_000);
    world.init("./vault");
    let _disk = SmallDisk::mount(&world.path("small"), "1m");
    for name in ["shop.sqlite", "shop.sqlite.gz"] {
        let out = format!("./small/{name}");
        world
            .run(&["backup", "--out", &out])
            .exits(4)
            .complains(&["no space left", "hint: make space there"]);
        let left = std::fs::read_dir(world.path("small")).unwrap().count();
        assert_eq!(left, 0, "{name}");
    }
}

#[test]
fn the_doctor_sees_that_no_sandbox_fits() {
    where_mounting_is_allowed(
        "full_disk::the_doctor_sees_that_no_sandbox_fits",
        home_is_small,
    );
}

fn home_is_small() {
    let world = World::new();
    let _disk = SmallDisk::mount(&world.home(), "16m");
    world.set_up();
    world.run(&["doctor"]).exits(3).prints(&[
        "space for sandboxes",
        " free, ",
        " are needed",
        "make space on the file system of ",
    ]);
}
