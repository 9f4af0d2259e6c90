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

/// Fills what is left of a disk with one file.
fn fill(path: &Path) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path).unwrap();
    let block = [7; 4096];
    while file.write_all(&block).is_ok() {}
}

#[test]
fn the_disk_is_full_when_old_backups_are_to_go() {
    where_mounting_is_allowed(
        "full_disk::the_disk_is_full_when_old_backups_are_to_go",
        full_at_prune,
    );
}

fn full_at_prune() {
    let world = World::new();
    shop(&world.path("shop.db"), 500);
    let _disk = SmallDisk::mount(&world.path("small"), "4m");
    world.init("./small/vault");
    let config = std::fs::read_to_string(world.path("resguardo.toml")).unwrap();
    let header = "[environments.production]";
    let config = config.replace(header, &format!("{header}\nretention = {{ last = 2 }}"));
    let config = match config.contains("\nenvironment = \"production\"") {
        true => config,
        false => config.replace(
            "[sources.shop]",
            "[sources.shop]\nenvironment = \"production\"",
        ),
    };
    world.write("resguardo.toml", &config);
    let ids: Vec<String> = (0..4).map(|_| world.backup()).collect();
    fill(&world.path("small/junk"));
    world
        .run(&["prune"])
        .exits(5)
        .complains(&["no space left", "hint: "]);
    // Nothing went, for what goes has to be written down first.
    let listed = world.run(&["list", "--json"]).exits(0).json();
    assert_eq!(listed["backups"].as_array().unwrap().len(), 4);
    world.run(&["verify", "--all"]).exits(0);
    std::fs::remove_file(world.path("small/junk")).unwrap();
    let pruned = world.run(&["prune", "--json"]).exits(0).json();
    let gone: Vec<&str> = pruned["deleted"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].as_str().unwrap())
        .collect();
    assert_eq!(gone.len(), 2, "{pruned}");
    assert!(gone.iter().all(|id| ids[..2].iter().any(|old| old == id)));
    world.run(&["verify", "--all"]).exits(0);
}

#[test]
fn the_disk_of_a_copy_is_full() {
    where_mounting_is_allowed("full_disk::the_disk_of_a_copy_is_full", copy_is_full);
}

fn copy_is_full() {
    let world = World::with_shop();
    let _disk = SmallDisk::mount(&world.path("small"), "1m");
    let config = std::fs::read_to_string(world.path("resguardo.toml")).unwrap();
    let copies = "[vault]\ncopies = [\"./small/offsite\"]\n";
    world.write("resguardo.toml", &config.replacen("[vault]\n", copies, 1));
    let small = world.backup();
    shop(&world.path("big.db"), 40_000);
    std::fs::copy(world.path("big.db"), world.path("shop.db")).unwrap();
    for side in ["shop.db-wal", "shop.db-shm"] {
        let _ = std::fs::remove_file(world.path(side));
    }
    // The backup stands; the copy is behind, and that is said.
    world
        .run(&["backup"])
        .exits(5)
        .complains(&["no space left", "hint: "]);
    let listed = world.run(&["list", "--json"]).exits(0).json();
    assert_eq!(listed["backups"].as_array().unwrap().len(), 2);
    world
        .run(&["restore", "latest", "--to", "restored.db"])
        .exits(0);
    // What the copy has is whole, and what it has not it does not claim.
    let from_copy = world
        .run(&["restore", &small, "--from", "offsite", "--to", "old.db"])
        .exits(0);
    drop(from_copy);
    let at_copy = world
        .run(&["list", "--from", "offsite", "--json"])
        .exits(0)
        .json();
    assert_eq!(at_copy["backups"].as_array().unwrap().len(), 1);
}

#[test]
fn the_disk_of_the_home_is_full() {
    where_mounting_is_allowed("full_disk::the_disk_of_the_home_is_full", home_is_full);
}

/// A backup is worth more than what this machine remembers of it.
fn home_is_full() {
    let world = World::new();
    let _disk = SmallDisk::mount(&world.home(), "16m");
    // Of so many pages the ids are written to the disk of the home while a backup runs.
    shop(&world.path("shop.db"), 20_000);
    world.init("./vault");
    world.backup();
    let junk = world.home().join("junk");
    fill(&junk);
    for backups in 2..4 {
        world
            .run(&["backup"])
            .exits(0)
            .complains(&["catalog", "full", "page map"]);
        let listed = world.run(&["list", "--json"]).exits(0).json();
        assert_eq!(listed["backups"].as_array().unwrap().len(), backups);
    }
    world.run(&["status"]).exits(0);
    // Not even its own file fits.
    for side in ["catalog.db", "catalog.db-wal", "catalog.db-shm"] {
        let _ = std::fs::remove_file(world.home().join(side));
    }
    fill(&world.home().join("more"));
    world
        .run(&["backup"])
        .exits(0)
        .complains(&["catalog", "full", "gone with this process"]);
    world.run(&["verify", "--all"]).exits(0);
    for file in ["junk", "more"] {
        std::fs::remove_file(world.home().join(file)).unwrap();
    }
    world.backup();
    let ran = world.run(&["backup"]).exits(0);
    assert!(!ran.stderr.contains("catalog"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("page map"), "{}", ran.stderr);
    let listed = world.run(&["list", "--json"]).exits(0).json();
    assert_eq!(listed["backups"].as_array().unwrap().len(), 6);
}
