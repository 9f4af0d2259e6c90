//! Copies from the command line: every backup reaches them, what cannot is said, and a lost vault comes back.

use resguardo_testkit::S3Server;
use rusqlite::Connection;

use crate::world::{World, ask};

/// A shop whose vault has the copy `./offsite`.
fn with_copy() -> World {
    let world = World::with_shop();
    add_copies(&world, "copies = [\"./offsite\"]");
    world
}

/// Adds a line to `[vault]`.
fn add_copies(world: &World, line: &str) {
    let config = std::fs::read_to_string(world.path("resguardo.toml")).unwrap();
    let config = config.replacen("[vault]\n", &format!("[vault]\n{line}\n"), 1);
    assert!(config.contains(line));
    world.write("resguardo.toml", &config);
}

fn change(world: &World) {
    let shop = Connection::open(world.path("shop.db")).unwrap();
    shop.execute("UPDATE customers SET note = 'x' WHERE id = 7", [])
        .unwrap();
}

fn a_pack(world: &World, vault: &str) -> std::path::PathBuf {
    let folder = world.path(vault).join("shop/packs");
    let mut packs = std::fs::read_dir(folder).unwrap();
    packs.next().unwrap().unwrap().path()
}

fn flip(path: &std::path::Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn every_backup_reaches_the_copy() {
    let world = with_copy();
    let ran = world.run(&["backup", "--json"]).exits(0);
    let answer = ran.json();
    let copy = &answer["backups"][0]["copies"][0];
    assert_eq!(copy["copy"], "offsite");
    assert_eq!(copy["whole"], true);
    let id = answer["backups"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(copy["sent"][0]["backup"], id);
    world.run(&["list"]).exits(0).prints(&["COPIES", "offsite"]);
    let listed = world.run(&["list", "--json"]).exits(0).json();
    let copies = listed["backups"][0]["copies"].as_array().unwrap().len();
    assert_eq!(copies, 2);
    world
        .run(&["copy", "status"])
        .exits(0)
        .prints(&["has everything"]);
    world
        .run(&["doctor"])
        .exits(0)
        .prints(&["copy offsite: it has every backup of shop"]);
    world
        .run(&["copy", "verify"])
        .exits(0)
        .prints(&["nothing is wrong"]);
    world.run(&["drill", "--from", "offsite"]).exits(0);
    world
        .run(&["restore", &id, "--from", "offsite", "--to", "back.db"])
        .exits(0);
    assert_eq!(
        ask(&world.path("back.db"), "SELECT count(*) FROM customers"),
        "500"
    );
    // Receipts lie in the vault alone, each in one chain.
    world.run(&["receipts", "verify"]).exits(0);
}

#[test]
fn a_backup_that_does_not_reach_its_copy_stands_and_is_said_to() {
    let world = with_copy();
    world.write("offsite", "a file, not a folder");
    let ran = world
        .run(&["backup", "--json"])
        .exits(5)
        .complains(&["the backup of shop stands", "the copy offsite is behind"]);
    let answer = ran.json();
    assert!(answer["backups"][0]["id"].is_string());
    assert!(answer["backups"][0]["copies"][0]["error"].is_object());
    world.run(&["list"]).exits(0).prints(&["none"]);
    world.run(&["doctor"]).exits(3).prints(&["copy offsite"]);
    std::fs::remove_file(world.path("offsite")).unwrap();
    change(&world);
    world.run(&["backup", "--no-copy"]).exits(0);
    world.run(&["doctor"]).exits(0).prints(&[
        "copy offsite",
        "holds no vault",
        "resguardo copy sync offsite",
    ]);
    let synced = world.run(&["copy", "sync", "--json"]).exits(0).json();
    assert_eq!(synced["syncs"][0]["sent"].as_array().unwrap().len(), 2);
    world.run(&["backup", "--no-copy"]).exits(0);
    world
        .run(&["doctor"])
        .exits(0)
        .prints(&["it lacks 1 backup of shop, of 3"]);
    world
        .run(&["copy", "status"])
        .exits(0)
        .prints(&["behind: `resguardo copy sync offsite`"]);
}

#[test]
fn a_lost_vault_is_read_from_its_copy_and_made_again() {
    let world = with_copy();
    let id = world.backup();
    std::fs::remove_dir_all(world.path("vault")).unwrap();
    world
        .run(&["list"])
        .exits(5)
        .complains(&["--from offsite", "resguardo copy rebuild --from offsite"]);
    world.run(&["backup"]).exits(5);
    world
        .run(&["list", "--from", "offsite"])
        .exits(0)
        .prints(&[&id[..10]]);
    world.run(&["show", "latest", "--from", "offsite"]).exits(0);
    world
        .run(&["restore", "shop", "--from", "offsite", "--to", "back.db"])
        .exits(0)
        .complains(&["no receipt"]);
    assert_eq!(
        ask(&world.path("back.db"), "SELECT count(*) FROM customers"),
        "500"
    );
    let rebuilt = world
        .run(&["copy", "rebuild", "--from", "offsite", "--json"])
        .exits(0)
        .json();
    assert_eq!(rebuilt["sources"][0]["sent"][0], id);
    assert_eq!(rebuilt["whole"], true);
    world.run(&["verify"]).exits(0);
    world.run(&["backup"]).exits(0);
    world.run(&["receipts", "verify"]).exits(0);
    world.run(&["copy", "verify"]).exits(0);
}

#[test]
fn a_machine_with_nothing_but_the_identity_restores_from_a_copy() {
    let world = with_copy();
    world.backup();
    let identity = world.keys().join("identity.txt");
    std::fs::copy(identity, world.path("identity.txt")).unwrap();
    let offsite = world.path("offsite").display().to_string();
    let bare = World::new();
    std::fs::copy(world.path("identity.txt"), bare.path("identity.txt")).unwrap();
    bare.run(&[
        "restore",
        "shop",
        "--from",
        &offsite,
        "--identity",
        "identity.txt",
        "--to",
        "back.db",
    ])
    .exits(0);
    assert_eq!(
        ask(&bare.path("back.db"), "SELECT count(*) FROM customers"),
        "500"
    );
}

#[test]
fn damage_at_a_copy_is_found_and_mended() {
    let world = with_copy();
    world.backup();
    flip(&a_pack(&world, "offsite"));
    world
        .run(&["copy", "verify"])
        .exits(3)
        .prints(&["pack-damaged", "resguardo copy sync offsite --mend"]);
    world.run(&["copy", "sync"]).exits(0);
    world.run(&["copy", "verify", "offsite"]).exits(3);
    world
        .run(&["copy", "sync", "--mend"])
        .exits(0)
        .prints(&["1 object mended"]);
    world.run(&["copy", "verify"]).exits(0);
    // The other way round: what is damaged in the vault is never sent, and mended from the copy.
    flip(&a_pack(&world, "vault"));
    world.run(&["verify", "--depth", "digests"]).exits(3);
    world
        .run(&["copy", "rebuild", "--from", "offsite", "--mend"])
        .exits(0);
    world.run(&["verify"]).exits(0);
}

#[test]
fn what_a_copy_cannot_be() {
    let world = with_copy();
    let other = World::with_shop();
    let theirs = other.path("vault").display().to_string();
    world.backup();
    world
        .run(&["copy", "sync", &theirs])
        .exits(7)
        .complains(&["is no copy of vault", "it holds vault"]);
    std::fs::create_dir(world.path("photos")).unwrap();
    world.write("photos/1.jpg", "jpeg");
    world
        .run(&["copy", "sync", "./photos"])
        .exits(7)
        .complains(&["holds no vault and is not empty"]);
    world
        .run(&["copy", "sync", "offsit"])
        .exits(1)
        .complains(&["there is no copy offsit", "did you mean offsite?"]);
    world
        .run(&["list", "--from", "nowhere"])
        .exits(1)
        .complains(&["configured: offsite"]);
    std::fs::remove_dir_all(world.path("offsite")).unwrap();
    world
        .run(&["copy", "sync"])
        .exits(5)
        .complains(&["the copy offsite is gone", "copy sync offsite --new"]);
    assert!(!world.path("offsite").exists(), "what is gone is not made");
    world.run(&["copy", "sync", "offsite", "--new"]).exits(0);
    let without = World::with_shop();
    without.backup();
    without
        .run(&["copy", "sync"])
        .exits(1)
        .complains(&["no copy is configured", "copies = ["]);
}

#[test]
fn what_makes_no_sense_in_the_config_is_pointed_at() {
    for (line, needles) in [
        (
            "copies = [\"./a/x\", \"./b/x\"]",
            ["two copies are called x", "name = \"offsite\""],
        ),
        (
            "copies = [\"./vault\"]",
            ["is the vault itself", "another place"],
        ),
        (
            "copies = [{ url = \"./x\", bandwidth = \"10Mb\" }]",
            ["is no bandwidth", "10MB/s"],
        ),
        (
            "copies = [{ url = \"./x\", bandwith = \"10MB/s\" }]",
            ["bandwith", "bandwidth"],
        ),
        ("copies = [{ name = \"x\" }]", ["a copy has a url", "s3://"]),
        (
            "copies = [{ url = \"./x\", name = \"Off Site\" }]",
            ["is no name of a copy", "1 to 63"],
        ),
        (
            "copies = [{ url = \"./x\", retention = {} }]",
            ["keeps nothing", "daily = 14"],
        ),
    ] {
        let world = World::with_shop();
        add_copies(&world, line);
        world.run(&["list"]).exits(1).complains(&needles);
    }
}

#[test]
fn from_a_folder_to_s3_and_back() {
    let server = S3Server::s3s_fs();
    server.create_bucket("offsite");
    let world = World::with_shop().with("OFFSITE_SECRET", S3Server::SECRET_ACCESS_KEY);
    add_copies(
        &world,
        &format!(
            "copies = [{{ url = \"s3://offsite/shop\", endpoint = \"{}\", access_key = \"{}\", secret_key = \"${{OFFSITE_SECRET}}\", bandwidth = \"500MB/s\" }}]",
            server.endpoint(),
            S3Server::ACCESS_KEY_ID
        ),
    );
    let id = world.backup();
    change(&world);
    world.backup();
    let listed = world.run(&["list", "--json"]).exits(0).json();
    let copies = listed["backups"][1]["copies"].as_array().unwrap();
    assert!(copies[1].as_str().unwrap().starts_with("s3://offsite/shop"));
    world.run(&["copy", "verify"]).exits(0);
    world
        .run(&["restore", &id, "--from", "offsite", "--to", "back.db"])
        .exits(0);
    std::fs::remove_dir_all(world.path("vault")).unwrap();
    world
        .run(&["copy", "rebuild", "--from", "offsite"])
        .exits(0);
    world.run(&["verify"]).exits(0);
    let wrong = world.again_with("OFFSITE_SECRET", "wrong");
    wrong
        .run(&["backup"])
        .exits(5)
        .complains(&["stands", "is behind", "access denied"]);
    drop(server);
}

#[test]
fn prune_lets_each_copy_keep_its_own() {
    let world = World::with_shop();
    add_copies(
        &world,
        "copies = [{ url = \"./offsite\", retention = { last = 1, keep_successful = 1 } }]",
    );
    for _ in 0..3 {
        change(&world);
        world.backup();
    }
    let planned = world.run(&["prune", "--dry-run", "--json"]).exits(0).json();
    assert_eq!(planned["deleted"].as_array().unwrap().len(), 0);
    assert_eq!(planned["copies"][0]["copy"], "offsite");
    assert_eq!(planned["copies"][0]["deleted"].as_array().unwrap().len(), 2);
    world.run(&["prune", "--no-copies"]).exits(0);
    world
        .run(&["prune"])
        .exits(0)
        .prints(&["at the copy offsite", "deleted 2 of 3 backups"]);
    let listed = world.run(&["list", "--json"]).exits(0).json();
    let copies = |number: usize| {
        listed["backups"][number]["copies"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!([copies(0), copies(1), copies(2)], [1, 1, 2]);
    world
        .run(&["doctor"])
        .exits(0)
        .prints(&["it has every backup of shop"]);
    let synced = world.run(&["copy", "sync", "--json"]).exits(0).json();
    assert_eq!(synced["syncs"][0]["sent"].as_array().unwrap().len(), 0);
    assert_eq!(synced["syncs"][0]["left_out"].as_array().unwrap().len(), 2);
    world.run(&["copy", "verify"]).exits(0);
    // A pin holds everywhere, and is taken away everywhere.
    world.run(&["pin", "latest", "--reason", "audit"]).exits(0);
    let pins = world.path("offsite/shop/pins");
    assert_eq!(std::fs::read_dir(&pins).unwrap().count(), 1);
    world.run(&["unpin", "latest"]).exits(0);
    assert_eq!(std::fs::read_dir(&pins).unwrap().count(), 0);
}

#[test]
fn a_change_of_recipients_reaches_the_copies_at_once() {
    let world = with_copy();
    world.backup();
    let (_, bea) = resguardo_vault::generate_identity(jiff::Timestamp::UNIX_EPOCH);
    world.run(&["keys", "add", &bea]).exits(0);
    let json = |vault: &str| std::fs::read(world.path(vault).join("vault.json")).unwrap();
    assert_eq!(json("offsite"), json("vault"));
    // A copy that is away is named.
    std::fs::rename(world.path("offsite"), world.path("away")).unwrap();
    world
        .run(&["keys", "retire", &bea])
        .exits(5)
        .complains(&["nothing was changed", "--without-copy offsite"]);
    world
        .run(&["keys", "retire", &bea, "--without-copy", "offsite"])
        .exits(0)
        .complains(&["resguardo copy sync offsite"]);
    std::fs::rename(world.path("away"), world.path("offsite")).unwrap();
    assert_ne!(json("offsite"), json("vault"));
    // The vault is lost before it was brought up to date: everything still comes back.
    std::fs::remove_dir_all(world.path("vault")).unwrap();
    for verb in [
        &["list", "--from", "offsite"][..],
        &["verify", "--from", "offsite"],
        &["drill", "--from", "offsite"],
        &["restore", "shop", "--from", "offsite", "--to", "back.db"],
        &["restore", "shop", "--vault", "./offsite", "--to", "two.db"],
    ] {
        world.run(verb).exits(0).complains(&["resguardo copy sync"]);
    }
    world.run(&["doctor"]).exits(3).prints(&["--from offsite"]);
    world
        .run(&["keys", "add", &bea])
        .exits(5)
        .complains(&["copy rebuild --from offsite"]);
    world
        .run(&["copy", "rebuild", "--from", "offsite"])
        .exits(0);
    world.backup();
    assert_eq!(json("offsite"), json("vault"));
    world.run(&["copy", "status"]).exits(0);
}

#[test]
fn another_vault_in_the_place_of_a_copy_is_refused() {
    let world = with_copy();
    let id = world.backup();
    std::fs::remove_dir_all(world.path("offsite")).unwrap();
    let other = World::with_shop();
    other.backup();
    std::fs::rename(other.path("vault"), world.path("offsite")).unwrap();
    for verb in [&["list"][..], &["show", &id], &["show", "latest"]] {
        let from = [verb, &["--from", "offsite"]].concat();
        world.run(&from).exits(7).complains(&["--vault"]);
    }
}

#[test]
fn a_copy_that_is_away_is_no_new_vault() {
    let world = with_copy();
    world.backup();
    std::fs::remove_dir_all(world.path("offsite")).unwrap();
    for verb in ["list", "restore"] {
        let mut all = vec![verb, "--from", "offsite"];
        if verb == "restore" {
            all.extend(["shop", "--to", "back.db"]);
        }
        let ran = world.run(&all).exits(5);
        ran.complains(&["mounted", "resguardo copy sync offsite"]);
    }
}

#[test]
fn a_key_is_not_rotated_behind_the_back_of_a_copy() {
    let world = with_copy();
    let config = std::fs::read_to_string(world.path("resguardo.toml")).unwrap();
    let config = config.replace("[\"./offsite\"]", "[\"./offsite\", \"./disk/near\"]");
    world.write("resguardo.toml", &config);
    std::fs::create_dir(world.path("disk")).unwrap();
    world.run(&["backup"]).exits(0);
    let keys = || {
        let files = ["write-key.json", "identity.txt"];
        files.map(|name| std::fs::read(world.keys().join(name)).unwrap())
    };
    let before = keys();
    let vault = std::fs::read(world.path("vault/vault.json")).unwrap();
    std::fs::rename(world.path("disk"), world.path("away")).unwrap();
    for which in ["writer", "identity"] {
        world.run(&["keys", "rotate", which]).exits(5).complains(&[
            "the copy near cannot be reached, and nothing was changed",
            "--without-copy near",
        ]);
        assert!(keys() == before, "{which}");
        assert_eq!(
            std::fs::read(world.path("vault/vault.json")).unwrap(),
            vault
        );
    }
    world
        .run(&["keys", "rotate", "identity", "--without-copy", "nera"])
        .exits(2)
        .complains(&["there is no copy nera"]);
    world
        .run(&["keys", "rotate", "identity", "--without-copy", "near"])
        .exits(0)
        .complains(&["the copy near does not know of it yet"]);
    assert!(keys() != before);
    std::fs::rename(world.path("away"), world.path("disk")).unwrap();
    world
        .run(&["keys", "list"])
        .exits(0)
        .complains(&["the copy near does not know yet of the recipient age1"]);
    let listed = world.run(&["keys", "list", "--json"]).exits(0).json();
    let lacks = |listed: &serde_json::Value| {
        let copies = listed["copies"].as_array().unwrap().iter();
        let lacks = copies.map(|copy| copy["lacks"]["recipients"].as_array().unwrap().len());
        lacks.collect::<Vec<_>>()
    };
    assert_eq!(lacks(&listed), [0, 1]);
    world
        .run(&["doctor"])
        .prints(&["copy near: it does not know yet of the recipient age1"]);
    world.run(&["copy", "sync", "near"]).exits(0);
    let listed = world.run(&["keys", "list", "--json"]).exits(0).json();
    assert_eq!(lacks(&listed), [0, 0]);
}
