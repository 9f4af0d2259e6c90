//! `keys`: recipients and writers that come and go, the passphrase, the rehearsal.

mod elsewhere;

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::Value;

use crate::world::{World, ask};
use elsewhere::TO_PLUGIN;

/// A new identity in the user's folder, and its recipient.
fn person(world: &World, name: &str) -> String {
    let path = world.path(name);
    let made = Command::new("age-keygen").arg("-o").arg(&path).output();
    assert!(made.expect("package age: age-keygen").status.success());
    let text = std::fs::read_to_string(path).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("# public key: "));
    line.unwrap().to_owned()
}

fn restores(world: &World, identity: &str, to: &str) -> i32 {
    let arguments = ["restore", "shop", "--identity", identity, "--to", to];
    let ran = world.run(&arguments);
    if ran.code == 0 {
        let rows = ask(&world.path(to), "SELECT count(*) FROM customers");
        assert_eq!(rows, "500");
    }
    ran.code
}

fn listed(world: &World) -> Value {
    world.run(&["keys", "list", "--json"]).exits(0).json()
}

#[test]
fn a_new_recipient_reads_from_the_next_backup_on_and_old_ones_when_asked() {
    let world = World::with_shop();
    let first = world.backup();
    let bea = person(&world, "bea.txt");
    world
        .run(&["keys", "add", &bea])
        .exits(0)
        .prints(&["reads what is backed up from now on"])
        .complains(&[
            "the next backup of each source is a whole one",
            "--old-backups",
        ]);
    assert_eq!(restores(&world, "bea.txt", "early.db"), 1);
    world.backup();
    assert_eq!(restores(&world, "bea.txt", "next.db"), 0);
    let list = listed(&world);
    assert_eq!(list["recipients"][1]["opens"], 1);
    assert_eq!(list["recipients"][0]["opens"], 2);
    assert_eq!(list["recipients"][0]["here"], true);

    let given = world
        .run(&["keys", "add", &bea, "--old-backups", "--json"])
        .exits(0)
        .json();
    assert_eq!(given["vault_changed"], false);
    assert!(given["old_backups"][0]["objects"].as_u64().unwrap() >= 2);
    let old = ["restore", &first, "--identity", "bea.txt", "--to", "old.db"];
    world.run(&old).exits(0);
    assert_eq!(listed(&world)["recipients"][1]["opens"], 2);
    // The vault still opens without Resguardo.
    let out = Command::new("python3")
        .arg(world.path("vault/read_vault.py"))
        .arg(world.path("vault"))
        .args(["--source", "shop", "--snapshot", &first, "--identity"])
        .arg(world.path("bea.txt"))
        .arg("--out")
        .arg(world.path("out"))
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
}

#[test]
fn a_retired_recipient_keeps_the_past_and_gets_nothing_new() {
    let world = World::with_shop();
    let bea = person(&world, "bea.txt");
    world.run(&["keys", "add", &bea]).exits(0);
    let before = world.backup();
    world
        .run(&["keys", "retire", &bea])
        .exits(0)
        .prints(&["what it could read before stays readable to it"]);
    world.backup();
    let latest = ["restore", "shop", "--identity", "bea.txt", "--to", "new.db"];
    world
        .run(&latest)
        .exits(1)
        .complains(&["is not encrypted to the identity", "--identity FILE"]);
    let old = [
        "restore",
        &before,
        "--identity",
        "bea.txt",
        "--to",
        "old.db",
    ];
    world.run(&old).exits(0);
    let list = listed(&world);
    let retired = &list["recipients"][1];
    assert_eq!(
        (&retired["recipient"], &retired["opens"]),
        (&bea.into(), &1.into())
    );
    assert!(retired["retired_at"].is_string());
    let ours = list["recipients"][0]["recipient"].as_str().unwrap();
    world
        .run(&["keys", "retire", ours])
        .exits(1)
        .complains(&["is the last recipient"]);
    let eve = person(&world, "eve.txt");
    world
        .run(&["keys", "retire", &eve])
        .exits(1)
        .complains(&["is no recipient of this vault", "keys list"]);
}

#[test]
fn a_key_that_is_none_changes_nothing() {
    let world = World::with_shop();
    let vault = std::fs::read(world.path("vault/vault.json")).unwrap();
    let secret = std::fs::read_to_string(world.keys().join("identity.txt")).unwrap();
    let secret = secret.lines().last().unwrap();
    let ran = world.run(&["keys", "add", secret]).exits(2);
    assert!(!ran.stderr.contains(secret), "{}", ran.stderr);
    ran.complains(&["that is a secret key", "age-keygen -y"]);
    world
        .run(&["keys", "add", "age1nope"])
        .exits(2)
        .complains(&["is no age recipient"]);
    world
        .run(&["keys", "add", TO_PLUGIN])
        .exits(1)
        .complains(&["age-plugin-tiny is not in PATH"]);
    world.run(&["keys", "retire", "ed25519:77"]).exits(2);
    assert_eq!(
        std::fs::read(world.path("vault/vault.json")).unwrap(),
        vault
    );
    world.write("not-a-key.txt", "hello\n");
    world
        .run(&["keys", "rehearse", "--identity", "not-a-key.txt"])
        .exits(1)
        .complains(&["that is no identity", "line 1"]);
    world.write("pub.txt", &format!("{TO_PLUGIN}\n"));
    world
        .run(&["keys", "rehearse", "--identity", "pub.txt"])
        .exits(1)
        .complains(&["is a recipient, which is a public key"]);
}

#[test]
fn another_host_stops_until_the_change_is_accepted_there() {
    let world = World::with_shop();
    world.backup();
    let key = world.keys().join("write-key.json");
    let before = std::fs::read(&key).unwrap();
    let bea = person(&world, "bea.txt");
    world.run(&["keys", "add", &bea]).exits(0);
    // As the other host knows it.
    std::fs::write(&key, before).unwrap();
    world
        .run(&["backup"])
        .exits(5)
        .complains(&["vault.json differs", "resguardo keys add"]);
    let eve = person(&world, "eve.txt");
    world
        .run(&["keys", "add", &eve])
        .exits(5)
        .complains(&["vault.json differs"]);
    world
        .run(&["keys", "add", &bea])
        .exits(0)
        .prints(&["was added elsewhere, and is accepted on this machine now"]);
    world.backup();
    assert_eq!(restores(&world, "bea.txt", "out.db"), 0);
}

#[test]
fn an_identity_is_rotated_and_both_are_kept() {
    let world = World::with_shop();
    let first = world.backup();
    let old = listed(&world)["recipients"][0]["recipient"]
        .as_str()
        .unwrap()
        .to_owned();
    let done = world
        .run(&["keys", "rotate", "identity", "--old-backups", "--json"])
        .exits(0)
        .json();
    let new = done["key"].as_str().unwrap().to_owned();
    assert_eq!(done["recipients"], serde_json::json!([new]));
    let text = std::fs::read_to_string(world.keys().join("identity.txt")).unwrap();
    assert_eq!(text.matches("AGE-SECRET-KEY-1").count(), 2);
    world.backup();
    // The new one alone opens all, the old one the old backup.
    let keys: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("AGE-"))
        .collect();
    world.write("new.txt", keys[0]);
    world.write("old.txt", keys[1]);
    assert_eq!(restores(&world, "new.txt", "new.db"), 0);
    assert_eq!(restores(&world, "old.txt", "never.db"), 1);
    for (identity, to) in [("new.txt", "a.db"), ("old.txt", "b.db")] {
        world
            .run(&["restore", &first, "--identity", identity, "--to", to])
            .exits(0);
    }
    let list = listed(&world);
    assert_eq!(list["recipients"][1]["recipient"], old.as_str());
}

#[test]
fn a_rotation_that_was_stopped_goes_on_and_a_retired_identity_does_not_come_back() {
    let world = World::with_shop();
    let recipient = || {
        let all = listed(&world)["recipients"].clone();
        all[0]["recipient"].as_str().unwrap().to_owned()
    };
    let vault = world.path("vault/vault.json");
    let key = world.keys().join("write-key.json");
    let before = (
        std::fs::read(&vault).unwrap(),
        std::fs::read(&key).unwrap(),
        recipient(),
    );
    let rotate = || {
        world
            .run(&["keys", "rotate", "identity", "--json"])
            .exits(0)
            .json()["key"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let new = rotate();
    // Stopped before the pin, and before `vault.json`.
    std::fs::write(&key, &before.1).unwrap();
    assert_eq!(rotate(), new);
    std::fs::write(&vault, &before.0).unwrap();
    std::fs::write(&key, &before.1).unwrap();
    assert_eq!(rotate(), new);
    // The new one is retired, and the old one takes its place; both stay in the file, the retired one first.
    world
        .run(&["keys", "add", &before.2, "--instead-of", &new])
        .exits(0);
    assert_eq!(recipient(), before.2);
    let third = rotate();
    assert!(third != new && third != before.2, "{third}");
}

#[test]
fn a_retired_writer_is_believed_again_only_where_that_is_said() {
    let world = World::with_shop();
    world.backup();
    let key = world.keys().join("write-key.json");
    let stolen = std::fs::read(&key).unwrap();
    let done = world
        .run(&["keys", "rotate", "writer", "--json"])
        .exits(0)
        .json();
    let old = done["retired"].as_str().unwrap();
    let next = std::fs::read(&key).unwrap();
    std::fs::write(&key, stolen).unwrap();
    let forged = world.backup();
    std::fs::write(&key, &next).unwrap();
    let refused = world.run(&["restore", &forged, "--to", "out.db"]).exits(7);
    assert!(!refused.stderr.contains("trust"), "{}", refused.stderr);
    let list = world.run(&["list"]).exits(0);
    assert!(
        list.stderr.contains("retired here") && !list.stderr.contains("--trust"),
        "{}",
        list.stderr
    );
    for command in [["init", "--trust", old], ["keys", "trust", old]] {
        world
            .run(&command)
            .exits(1)
            .complains(&["was retired here"]);
        assert_eq!(std::fs::read(&key).unwrap(), next);
    }
    world.run(&["keys", "trust", old, "--again"]).exits(0);
    world.run(&["restore", &forged, "--to", "out.db"]).exits(0);
}

#[test]
fn a_rotated_writer_keeps_the_history_and_its_old_key_is_worth_nothing_more() {
    let world = World::with_shop();
    world.backup();
    let key = world.keys().join("write-key.json");
    let stolen = std::fs::read(&key).unwrap();
    let done = world
        .run(&["keys", "rotate", "writer", "--json"])
        .exits(0)
        .json();
    assert_eq!(done["kept"], 2, "a head and a receipt");
    let next = std::fs::read(&key).unwrap();
    assert_eq!(
        std::fs::metadata(&key).unwrap().permissions().mode() & 0o777,
        0o600
    );
    world.backup();
    world.run(&["verify", "--depth", "heads"]).exits(0);
    std::fs::write(&key, stolen).unwrap();
    world.run(&["backup"]).exits(0);
    std::fs::write(&key, next).unwrap();
    let found = world
        .run(&["verify", "--depth", "heads", "--json"])
        .exits(3)
        .json();
    let kinds: Vec<&str> = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["kind"].as_str().unwrap())
        .collect();
    assert!(
        kinds.iter().all(|kind| *kind == "writer-retired"),
        "{kinds:?}"
    );
    assert_eq!(kinds.len(), 2, "its head and its receipt: {kinds:?}");
    let list = world.run(&["list", "--json"]).exits(0).json();
    let trusted: Vec<bool> = list["backups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|backup| backup["trusted"].as_bool().unwrap())
        .collect();
    assert_eq!(trusted, [true, true, false]);
    let own = done["key"].as_str().unwrap();
    world
        .run(&["keys", "retire", own])
        .exits(1)
        .complains(&["this host's own writer", "keys rotate writer"]);
}

#[test]
fn a_drill_during_which_the_writer_is_rotated_is_signed_by_the_new_one() {
    let world = World::with_shop();
    let backup = world.backup();
    let rotate = world.command(&["keys", "rotate", "writer", "--json"]);
    let program = rotate.get_program().to_str().unwrap().to_owned();
    let words: Vec<&str> = rotate
        .get_args()
        .map(|word| word.to_str().unwrap())
        .collect();
    world.add_to_config(&format!(
        "[sources.shop.drill]\nmigrate = \"RESGUARDO_HOME={} {program} {} --config {} > {}\"\n",
        world.home().display(),
        words.join(" "),
        world.path("resguardo.toml").display(),
        world.path("rotated.json").display(),
    ));
    let drill = world.run(&["drill", "--json"]).exits(0).json();
    assert_eq!(drill["drills"][0]["verdict"], "passed");
    let rotated = std::fs::read_to_string(world.path("rotated.json")).unwrap();
    let rotated: serde_json::Value = serde_json::from_str(&rotated).unwrap();
    let receipts = world.run(&["receipts", "list", "--json"]).exits(0).json();
    let receipts = receipts["receipts"].as_array().unwrap();
    let of_drill = receipts.iter().find(|one| one["verb"] == "drill").unwrap();
    assert_eq!(of_drill["writer"], rotated["key"]);
    assert_eq!(of_drill["trusted"], true);
    world.run(&["receipts", "verify"]).exits(0);
    world.run(&["verify", "--all"]).exits(0);
    let list = world.run(&["list", "--json"]).exits(0).json();
    assert_eq!(list["backups"][0]["id"], backup.as_str());
    assert!(list["backups"][0]["proven_at"].is_string(), "{list}");
}

#[test]
fn a_write_key_has_no_passphrase_to_change() {
    let world = World::with_shop();
    world.backup();
    world.write("one", "correct horse\n");
    let key = world.keys().join("write-key.json");
    let before = std::fs::read(&key).unwrap();
    let named = key.to_str().unwrap();
    world
        .run(&[
            "keys",
            "passphrase",
            "--identity",
            named,
            "--new-passphrase-file",
            "one",
        ])
        .exits(1)
        .complains(&["write-key.json", "that is no identity"]);
    assert_eq!(std::fs::read(&key).unwrap(), before);
    world.backup();
}

#[test]
fn the_passphrase_is_set_changed_and_removed() {
    let world = World::with_shop();
    world.backup();
    for (file, text) in [("one", "correct horse\n"), ("two", "battery staple\n")] {
        world.write(file, text);
    }
    let rehearse = |passphrase: Option<&str>| {
        let mut arguments = vec!["keys", "rehearse"];
        arguments.extend(
            passphrase
                .map(|file| ["--passphrase-file", file])
                .iter()
                .flatten(),
        );
        world.run(&arguments).code
    };
    world
        .run(&["keys", "passphrase"])
        .exits(2)
        .complains(&["--new-passphrase-file"]);
    world
        .run(&["keys", "passphrase", "--new-passphrase-file", "one"])
        .exits(0);
    assert_eq!((rehearse(None), rehearse(Some("one"))), (1, 0));
    let wrong = ["keys", "passphrase", "--passphrase-file", "two", "--remove"];
    world
        .run(&wrong)
        .exits(1)
        .complains(&["the passphrase does not open the identity"]);
    let change = [
        "keys",
        "passphrase",
        "--passphrase-file",
        "one",
        "--new-passphrase-file",
        "two",
    ];
    world.run(&change).exits(0);
    assert_eq!((rehearse(Some("one")), rehearse(Some("two"))), (1, 0));
    let remove = ["keys", "passphrase", "--passphrase-file", "two", "--remove"];
    world.run(&remove).exits(0);
    assert_eq!(rehearse(None), 0);
    let mode = std::fs::metadata(world.keys().join("identity.txt")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_rehearsal_says_what_opens_and_leaves_a_receipt() {
    let world = World::with_shop();
    world
        .run(&["keys", "rehearse"])
        .exits(0)
        .prints(&["there is no backup to open yet"]);
    let id = world.backup();
    let away = world.path("usb.txt");
    std::fs::rename(world.keys().join("identity.txt"), &away).unwrap();
    world
        .run(&["keys", "rehearse"])
        .exits(1)
        .complains(&["--identity FILE"]);
    let arguments = ["keys", "rehearse", "--identity", "usb.txt", "--json"];
    let done = world.run(&arguments).exits(0).json();
    let one = &done["rehearsals"][0];
    assert_eq!((&one["backup"], &one["opened"]), (&id.into(), &true.into()));
    assert!(one["frame_bytes"].as_u64().unwrap() > 0);
    let receipts = world.run(&["receipts", "list", "--json"]).exits(0).json();
    let verbs: Vec<&str> = receipts["receipts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|receipt| receipt["verb"].as_str().unwrap())
        .collect();
    assert_eq!(verbs, ["backup", "keys"]);
    world
        .run(&["doctor"])
        .prints(&["the identity was last rehearsed 0 d ago"]);
    person(&world, "eve.txt");
    world
        .run(&["keys", "rehearse", "--identity", "eve.txt"])
        .exits(3)
        .prints(&["does not open"]);
    assert!(listed(&world)["rehearsed"]["shop"].is_string());
}
